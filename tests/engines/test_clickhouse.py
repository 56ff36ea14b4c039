"""ClickHouse reads what the catalog holds, and writes into it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DoubleType, LongType, NestedField, StringType

from support import clickhouse
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
    """A server of its own: this client looks at every namespace whenever it looks for a table."""
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
def test_it_reads_the_sample_table(server: Server, catalog: Catalog, sign_in: str) -> None:
    assert server.printed is not None
    name = (server.printed.namespace, server.printed.table)
    query = f"SELECT count() AS n FROM ic.`{'.'.join(name)}`"
    *_, tables, rows = clickhouse.run([*attach(server, sign_in), "SHOW TABLES FROM ic", query], server.data_dir)
    assert {"name": ".".join(name)} in tables
    assert int(rows[0]["n"]) == catalog.load_table(name).scan().to_arrow().num_rows


def test_it_reads_what_pyiceberg_wrote(server: Server, catalog: Catalog, namespace: str) -> None:
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


def test_it_inserts_and_pyiceberg_reads(server: Server, catalog: Catalog, namespace: str) -> None:
    catalog.create_table((namespace, "t"), SIGHTINGS).append(sightings((1, "Oslo", 1.5)))
    insert = f"INSERT INTO ic.`{namespace}.t` VALUES (2, 'Bergen', 2.5), (3, 'Voss', 3.5)"
    clickhouse.run([*attach(server, "credential"), insert], server.data_dir)
    rows = in_order(catalog.load_table((namespace, "t")).scan().to_arrow())
    assert rows == [(1, "Oslo", 1.5), (2, "Bergen", 2.5), (3, "Voss", 3.5)]


def test_a_key_that_is_none_is_refused(server: Server) -> None:
    statements = [statement.replace(server.key, "flx_none") for statement in attach(server, "header")]
    with pytest.raises(RuntimeError, match="NotAuthorized|401|Unauthorized"):
        clickhouse.run([*statements, "SHOW TABLES FROM ic"], server.data_dir)
