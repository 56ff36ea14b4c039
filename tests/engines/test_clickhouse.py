"""ClickHouse reads and writes the catalog's tables."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DoubleType, LongType, NestedField, StringType

from support import clickhouse, documents
from support.admin import Admin
from support.rest import Rest, refused
from support.rows import SIGHTINGS, in_order, sightings
from support.server import Server

ALLOWED = (
    "SET allow_experimental_database_iceberg=1, allow_insert_into_iceberg=1, write_full_path_in_iceberg_metadata=1"
)

SIGN_IN = {
    "credential": lambda server: f"catalog_credential='laptop:{server.key}'",
    "header": lambda server: f"auth_header='Authorization: Bearer {server.key}'",
}


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server]) -> Server:
    """A separate server, because this client lists every namespace to find a table."""
    server = make_server("clickhouse")
    server.start()
    return server


def attach(server: Server, sign_in: str, ending: str = "/v1") -> list[str]:
    """The statements that open the catalog as the database `ic`."""
    assert server.printed is not None
    return [
        ALLOWED,
        f"CREATE DATABASE ic ENGINE = DataLakeCatalog('{server.uri}{ending}') SETTINGS catalog_type='rest', "
        f"warehouse='{server.printed.warehouse}', vended_credentials=false, {SIGN_IN[sign_in](server)}",
    ]


@pytest.mark.parametrize("sign_in", SIGN_IN)
def test_sample_table_is_read(server: Server, catalog: Catalog, sign_in: str) -> None:
    assert server.printed is not None
    name = (server.printed.namespace, server.printed.table)
    query = f"SELECT count() AS n FROM ic.`{'.'.join(name)}`"
    *_, tables, rows = clickhouse.run([*attach(server, sign_in), "SHOW TABLES FROM ic", query], server.data_dir)
    assert {"name": ".".join(name)} in tables
    assert int(rows[0]["n"]) == catalog.load_table(name).scan().to_arrow().num_rows


def test_table_written_by_pyiceberg_is_read(server: Server, catalog: Catalog, namespace: str) -> None:
    schema = Schema(
        NestedField(1, "id", LongType()), NestedField(2, "city", StringType()), NestedField(3, "size", DoubleType())
    )
    spec = PartitionSpec(PartitionField(source_id=2, field_id=1000, transform=IdentityTransform(), name="city"))
    table = catalog.create_table((namespace, "t"), schema, partition_spec=spec)
    table.append(sightings((1, "Oslo", 1.5), (2, "Bergen", 2.5)))
    table.append(sightings((3, "Oslo", 3.5)))
    table.delete("id == 1")
    name = f"ic.`{namespace}.t`"
    *_, rows, oslo = clickhouse.run(
        [*attach(server, "header"), f"SELECT * FROM {name} ORDER BY id", f"SELECT id FROM {name} WHERE city = 'Oslo'"],
        server.data_dir,
    )
    assert [(int(row["id"]), row["city"], row["size"]) for row in rows] == [(2, "Bergen", 2.5), (3, "Oslo", 3.5)]
    assert [int(row["id"]) for row in oslo] == [3]


@pytest.mark.parametrize("sign_in", SIGN_IN)
@pytest.mark.parametrize("ending", ["/v1", "", "/v1/"])
def test_each_address_and_sign_in_opens_the_catalog(server: Server, sign_in: str, ending: str) -> None:
    *_, tables = clickhouse.run([*attach(server, sign_in, ending), "SHOW TABLES FROM ic"], server.data_dir)
    assert {"name": "demo.tides"} in tables


@pytest.mark.parametrize("sign_in", SIGN_IN)
def test_pyiceberg_reads_inserted_rows(server: Server, catalog: Catalog, namespace: str, sign_in: str) -> None:
    catalog.create_table((namespace, "t"), SIGHTINGS).append(sightings((1, "Oslo", 1.5)))
    insert = f"INSERT INTO ic.`{namespace}.t` VALUES (2, 'Bergen', 2.5), (3, 'Voss', 3.5)"
    clickhouse.run([*attach(server, sign_in), insert, insert.replace("(2", "(4").replace("(3", "(5")], server.data_dir)
    rows = in_order(catalog.load_table((namespace, "t")).scan().to_arrow())
    assert rows == [(1, "Oslo", 1.5), (2, "Bergen", 2.5), (3, "Voss", 3.5), (4, "Bergen", 2.5), (5, "Voss", 3.5)]


def create(server: Server, namespace: str) -> str:
    """Returns the statement that creates `t`. ClickHouse needs a path for it."""
    folder = server.data_dir / "warehouse" / namespace / "t"
    columns = "id Int64, city Nullable(String), size Nullable(Float64)"
    return f"CREATE TABLE ic.`{namespace}.t` ({columns}) ENGINE = IcebergLocal('{folder}/')"


@pytest.mark.parametrize("sign_in", SIGN_IN)
def test_table_is_created_altered_and_changed(server: Server, catalog: Catalog, namespace: str, sign_in: str) -> None:
    name = f"ic.`{namespace}.t`"
    *_, rows = clickhouse.run(
        [
            *attach(server, sign_in),
            create(server, namespace),
            f"INSERT INTO {name} VALUES (1, 'Oslo', 1.5), (2, 'Bergen', 2.5), (3, 'Voss', 3.5)",
            f"ALTER TABLE {name} ADD COLUMN depth Nullable(Float64)",
            f"ALTER TABLE {name} DELETE WHERE id = 1",
            f"SELECT * FROM {name} ORDER BY id",
        ],
        server.data_dir,
    )
    expected = [(2, "Bergen", 2.5, None), (3, "Voss", 3.5, None)]
    assert [(int(row["id"]), row["city"], row["size"], row["depth"]) for row in rows] == expected
    assert in_order(catalog.load_table((namespace, "t")).scan().to_arrow()) == expected


def test_drop_removes_the_table_although_clickhouse_reports_an_error(
    server: Server, rest: Rest, namespace: str
) -> None:
    """This version does not accept the specified 204 as success, drops again, and reports the second answer."""
    clickhouse.run([*attach(server, "header"), create(server, namespace)], server.data_dir)
    assert rest.load(namespace, "t")["metadata"]["location"].endswith(f"/{namespace}/t")
    with pytest.raises(RuntimeError, match="404 'Not Found'.*Table does not exist"):
        clickhouse.run([*attach(server, "header"), f"DROP TABLE ic.`{namespace}.t`"], server.data_dir)
    refused(rest.get(f"/namespaces/{namespace}/tables/t"), 404, "NoSuchTableException")


def test_drop_goes_to_the_default_warehouse_even_if_another_is_attached(make_server: Callable[..., Server]) -> None:
    """Only this request's address has no prefix. docs/engines/clickhouse.md warns about it."""
    server = make_server("clickhouse-two-warehouses")
    server.start()
    admin = Admin(server)
    organisation = admin.organisation("enterprise", "main")
    admin.warehouse(organisation, "other")
    key = admin.key(organisation, "writer")
    main, other = admin.rest(key, "main"), admin.rest(key, "other")
    for rest in (main, other):
        rest.create_namespace("ns")
        rest.create_table("ns", documents.table("t"))
    opened = [
        ALLOWED,
        f"CREATE DATABASE ic ENGINE = DataLakeCatalog('{server.uri}/v1') SETTINGS catalog_type='rest', "
        f"warehouse='other', vended_credentials=false, auth_header='Authorization: Bearer {key.text}'",
    ]
    with pytest.raises(RuntimeError):
        clickhouse.run([*opened, "DROP TABLE ic.`ns.t`"], server.data_dir.parent)
    refused(main.get("/namespaces/ns/tables/t"), 404, "NoSuchTableException")
    assert other.load("ns", "t")["metadata"]["table-uuid"]


def test_invalid_key_is_refused(server: Server) -> None:
    statements = [statement.replace(server.key, "flx_none") for statement in attach(server, "header")]
    with pytest.raises(RuntimeError, match="NotAuthorized|401|Unauthorized"):
        clickhouse.run([*statements, "SHOW TABLES FROM ic"], server.data_dir)
