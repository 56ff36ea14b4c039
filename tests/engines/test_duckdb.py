"""DuckDB attached to the catalog: it reads, writes and changes, and PyIceberg sees the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DoubleType, LongType, NestedField, StringType

from support.readers import EXTENSIONS, extension_file
from support.rest import Rest
from support.rows import SIGHTINGS, in_order, sightings
from support.server import Server

Connect = Callable[..., duckdb.DuckDBPyConnection]

SIGN_IN = {
    "token": lambda server: f"TOKEN '{server.key}'",
    "id and secret": lambda server: (
        f"CLIENT_ID 'laptop', CLIENT_SECRET '{server.key}', OAUTH2_SERVER_URI '{server.uri}/v1/oauth/tokens'"
    ),
    "key as id": lambda server: (
        f"CLIENT_ID '{server.key}', CLIENT_SECRET 'unused', OAUTH2_SERVER_URI '{server.uri}/v1/oauth/tokens'"
    ),
    "id and secret with a scope": lambda server: (
        f"CLIENT_ID 'laptop', CLIENT_SECRET '{server.key}', OAUTH2_SERVER_URI '{server.uri}/v1/oauth/tokens', OAUTH2_SCOPE 'PRINCIPAL_ROLE:ALL'"
    ),
    "no token address": lambda server: f"CLIENT_ID 'laptop', CLIENT_SECRET '{server.key}'",
}


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server]) -> Server:
    """A separate server, because this client lists every namespace to find a table."""
    server = make_server("duckdb", env={"TIDEWATER_LOG__LEVEL": "info,tidewater::api=debug"})
    server.start()
    return server


@pytest.fixture
def attach(server: Server) -> Iterator[Connect]:
    """Opens DuckDB with the catalog as `ic`."""
    opened: list[duckdb.DuckDBPyConnection] = []

    def attach(sign_in: str = "token", ending: str = "", more: str = "") -> duckdb.DuckDBPyConnection:
        assert server.printed is not None
        connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "threads": "2"})
        opened.append(connection)
        for name in EXTENSIONS:
            connection.execute(f"LOAD '{extension_file(name)}'")
        connection.execute(
            f"ATTACH '{server.printed.warehouse}' AS ic (TYPE ICEBERG, ENDPOINT '{server.uri}{ending}', {SIGN_IN[sign_in](server)}{more})"
        )
        return connection

    yield attach
    for connection in opened:
        connection.close()


@pytest.fixture
def duck(attach: Connect) -> duckdb.DuckDBPyConnection:
    """DuckDB with the catalog as `ic`."""
    return attach()


def rows(duck: duckdb.DuckDBPyConnection, query: str) -> list[tuple]:
    return duck.execute(query).fetchall()


# ---- sign in and read ----


@pytest.mark.parametrize("ending", ["", "/v1"], ids=["plain", "v1"])
@pytest.mark.parametrize("sign_in", SIGN_IN)
def test_each_attach_form_opens_the_catalog(
    server: Server, catalog: Catalog, attach: Connect, sign_in: str, ending: str
) -> None:
    assert server.printed is not None
    duck = attach(sign_in, ending)
    sample = (server.printed.namespace, server.printed.table)
    assert rows(duck, f'SELECT count(*) FROM ic."{sample[0]}"."{sample[1]}"') == [
        (catalog.load_table(sample).scan().to_arrow().num_rows,)
    ]


@pytest.mark.parametrize("mode", ["vended_credentials", "none"])
def test_each_delegation_mode_reads_local_files(server: Server, attach: Connect, mode: str) -> None:
    assert server.printed is not None
    duck = attach(more=f", ACCESS_DELEGATION_MODE '{mode}'")
    assert rows(duck, f'SELECT count(*) > 0 FROM ic."{server.printed.namespace}"."{server.printed.table}"') == [(True,)]


@pytest.mark.parametrize("sign_in", ["TOKEN 'flx_none'", "CLIENT_ID 'laptop', CLIENT_SECRET 'flx_none'"])
def test_invalid_key_is_refused(
    server: Server, attach: Connect, monkeypatch: pytest.MonkeyPatch, sign_in: str
) -> None:
    assert server.printed is not None
    monkeypatch.setitem(SIGN_IN, "wrong", lambda server: sign_in)
    with pytest.raises(duckdb.Error, match="(?i)unauthorized|notauthorized|invalid_client|unknown API key"):
        attach("wrong").execute(f'SELECT * FROM ic."{server.printed.namespace}"."{server.printed.table}"')


def test_sample_table_is_read_at_each_of_its_snapshots(
    server: Server, catalog: Catalog, duck: duckdb.DuckDBPyConnection
) -> None:
    assert server.printed is not None
    sample = catalog.load_table((server.printed.namespace, server.printed.table))
    name = f'ic."{server.printed.namespace}"."{server.printed.table}"'
    for snapshot in sample.snapshots():
        expected = sample.scan(snapshot_id=snapshot.snapshot_id).to_arrow().num_rows
        assert rows(duck, f"SELECT count(*) FROM {name} AT (VERSION => {snapshot.snapshot_id})") == [(expected,)]


@pytest.mark.parametrize("version", ["1", "2"])
def test_table_written_by_pyiceberg_is_read(
    catalog: Catalog, namespace: str, duck: duckdb.DuckDBPyConnection, version: str
) -> None:
    schema = Schema(
        NestedField(1, "id", LongType()), NestedField(2, "city", StringType()), NestedField(3, "size", DoubleType())
    )
    spec = PartitionSpec(PartitionField(source_id=2, field_id=1000, transform=IdentityTransform(), name="city"))
    table = catalog.create_table((namespace, "t"), schema, partition_spec=spec, properties={"format-version": version})
    table.append(sightings((1, "Oslo", 1.5), (2, "Bergen", 2.5), (3, None, None)))
    table.delete("id == 1")
    with table.update_schema() as update:
        update.rename_column("city", "town")
        update.add_column("note", StringType())
    assert rows(duck, f"SELECT * FROM ic.{namespace}.t ORDER BY id") == [
        (2, "Bergen", 2.5, None),
        (3, None, None, None),
    ]
    assert rows(duck, f"SELECT id FROM ic.{namespace}.t WHERE town = 'Bergen'") == [(2,)]


def test_show_tables_lists_every_table(catalog: Catalog, namespace: str, duck: duckdb.DuckDBPyConnection) -> None:
    for name in ("a", "b"):
        catalog.create_table((namespace, name), SIGHTINGS)
    query = (
        f"SELECT table_name FROM duckdb_tables() WHERE database_name = 'ic' AND schema_name = '{namespace}' ORDER BY 1"
    )
    assert rows(duck, query) == [("a",), ("b",)]


# ---- write ----


def test_schema_and_table_are_created_and_dropped(
    rest: Rest, catalog: Catalog, unique: str, duck: duckdb.DuckDBPyConnection
) -> None:
    duck.execute(f"CREATE SCHEMA ic.{unique}")
    assert catalog.namespace_exists(unique)
    duck.execute(
        f"CREATE TABLE ic.{unique}.t (id BIGINT, city VARCHAR, seen TIMESTAMPTZ, price DECIMAL(10, 2), tags VARCHAR[])"
    )
    assert [field.name for field in catalog.load_table((unique, "t")).schema().fields] == [
        "id",
        "city",
        "seen",
        "price",
        "tags",
    ]
    duck.execute(f"DROP TABLE ic.{unique}.t")
    assert not catalog.table_exists((unique, "t"))
    duck.execute(f"DROP SCHEMA ic.{unique}")
    assert not catalog.namespace_exists(unique)


def test_rows_are_inserted_updated_deleted_and_merged(
    catalog: Catalog, namespace: str, duck: duckdb.DuckDBPyConnection
) -> None:
    name = f"ic.{namespace}.t"
    duck.execute(f"CREATE TABLE {name} (id BIGINT, city VARCHAR, size DOUBLE)")

    def both(expected: list[tuple]) -> None:
        assert rows(duck, f"SELECT * FROM {name} ORDER BY id") == expected
        assert in_order(catalog.load_table((namespace, "t")).scan().to_arrow()) == expected

    duck.execute(f"INSERT INTO {name} VALUES (1, 'Oslo', 1.5), (2, 'Bergen', 2.5), (3, NULL, NULL)")
    both([(1, "Oslo", 1.5), (2, "Bergen", 2.5), (3, None, None)])
    duck.execute(f"UPDATE {name} SET size = size + 10 WHERE id <= 2")
    both([(1, "Oslo", 11.5), (2, "Bergen", 12.5), (3, None, None)])
    duck.execute(f"DELETE FROM {name} WHERE id = 1")
    both([(2, "Bergen", 12.5), (3, None, None)])
    duck.execute(
        f"MERGE INTO {name} AS t USING (VALUES (3, 'Voss', 3.5), (4, 'Tromsø', 4.5)) AS s(id, city, size) ON t.id = s.id "
        "WHEN MATCHED THEN UPDATE SET city = s.city, size = s.size WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.city, s.size)"
    )
    both([(2, "Bergen", 12.5), (3, "Voss", 3.5), (4, "Tromsø", 4.5)])


def test_table_of_version_three_is_written_and_read(
    rest: Rest, namespace: str, duck: duckdb.DuckDBPyConnection
) -> None:
    name = f"ic.{namespace}.t"
    duck.execute(f"CREATE TABLE {name} (id BIGINT, city VARCHAR) WITH ('format-version' = '3')")
    duck.execute(f"INSERT INTO {name} VALUES (1, 'Oslo'), (2, 'Bergen')")
    duck.execute(f"INSERT INTO {name} VALUES (3, 'Voss')")
    duck.execute(f"DELETE FROM {name} WHERE id = 2")
    assert rows(duck, f"SELECT * FROM {name} ORDER BY id") == [(1, "Oslo"), (3, "Voss")]
    metadata = rest.load(namespace, "t")["metadata"]
    assert (metadata["format-version"], metadata["next-row-id"]) == (3, 3)
    assert [snapshot["first-row-id"] for snapshot in metadata["snapshots"]][:2] == [0, 2]


def test_table_is_created_from_a_query(catalog: Catalog, namespace: str, duck: duckdb.DuckDBPyConnection) -> None:
    duck.execute(f"CREATE TABLE ic.{namespace}.t AS SELECT range AS id, 'city ' || range % 3 AS city FROM range(1000)")
    table = catalog.load_table((namespace, "t"))
    assert table.scan().to_arrow().num_rows == 1000
    assert table.scan(row_filter="city == 'city 1'").to_arrow().num_rows == 333


def test_duckdb_and_pyiceberg_append_to_each_others_tables(
    catalog: Catalog, namespace: str, duck: duckdb.DuckDBPyConnection
) -> None:
    table = catalog.create_table((namespace, "t"), SIGHTINGS)
    table.append(sightings((1, "Oslo", 1.5)))
    duck.execute(f"INSERT INTO ic.{namespace}.t VALUES (2, 'Bergen', 2.5)")
    table = catalog.load_table((namespace, "t"))
    table.append(sightings((3, "Voss", 3.5)))
    expected = [(1, "Oslo", 1.5), (2, "Bergen", 2.5), (3, "Voss", 3.5)]
    assert rows(duck, f"SELECT * FROM ic.{namespace}.t ORDER BY id") == expected
    assert in_order(catalog.load_table((namespace, "t")).scan().to_arrow()) == expected


def test_columns_are_added_renamed_and_dropped(
    catalog: Catalog, namespace: str, duck: duckdb.DuckDBPyConnection
) -> None:
    name = f"ic.{namespace}.t"
    duck.execute(f"CREATE TABLE {name} (id BIGINT, city VARCHAR, size DOUBLE)")
    duck.execute(f"INSERT INTO {name} VALUES (1, 'Oslo', 1.5)")
    duck.execute(f"ALTER TABLE {name} ADD COLUMN note VARCHAR")
    duck.execute(f"ALTER TABLE {name} RENAME COLUMN city TO town")
    duck.execute(f"ALTER TABLE {name} DROP COLUMN size")
    duck.execute(f"INSERT INTO {name} VALUES (2, 'Bergen', 'wet')")
    table = catalog.load_table((namespace, "t"))
    assert [field.name for field in table.schema().fields] == ["id", "town", "note"]
    assert in_order(table.scan().to_arrow()) == [(1, "Oslo", None), (2, "Bergen", "wet")]


def test_earlier_snapshots_are_read(catalog: Catalog, namespace: str, duck: duckdb.DuckDBPyConnection) -> None:
    name = f"ic.{namespace}.t"
    duck.execute(f"CREATE TABLE {name} (id BIGINT)")
    for number in (1, 2, 3):
        duck.execute(f"INSERT INTO {name} VALUES ({number})")
    snapshots = catalog.load_table((namespace, "t")).snapshots()
    assert len(snapshots) == 3
    for count, snapshot in enumerate(snapshots, 1):
        assert rows(duck, f"SELECT count(*) FROM {name} AT (VERSION => {snapshot.snapshot_id})") == [(count,)]


# ---- transactions ----


def test_transaction_over_one_table_is_visible_completely_or_not_at_all(
    catalog: Catalog, namespace: str, duck: duckdb.DuckDBPyConnection
) -> None:
    name = f"ic.{namespace}.t"
    duck.execute(f"CREATE TABLE {name} (id BIGINT)")
    duck.execute("BEGIN")
    duck.execute(f"INSERT INTO {name} VALUES (1)")
    duck.execute(f"INSERT INTO {name} VALUES (2)")
    assert catalog.load_table((namespace, "t")).scan().to_arrow().num_rows == 0
    duck.execute("ROLLBACK")
    assert catalog.load_table((namespace, "t")).scan().to_arrow().num_rows == 0
    duck.execute("BEGIN")
    duck.execute(f"INSERT INTO {name} VALUES (1)")
    duck.execute(f"INSERT INTO {name} VALUES (2)")
    duck.execute("COMMIT")
    assert in_order(catalog.load_table((namespace, "t")).scan().to_arrow()) == [(1,), (2,)]


def test_transaction_over_two_tables_succeeds(catalog: Catalog, namespace: str, duck: duckdb.DuckDBPyConnection) -> None:
    for table in ("a", "b"):
        duck.execute(f"CREATE TABLE ic.{namespace}.{table} (id BIGINT)")
    duck.execute("BEGIN")
    for table in ("a", "b"):
        duck.execute(f"INSERT INTO ic.{namespace}.{table} VALUES (1)")
    duck.execute("COMMIT")
    for table in ("a", "b"):
        assert in_order(catalog.load_table((namespace, table)).scan().to_arrow()) == [(1,)]


def test_transaction_over_several_tables_is_visible_completely_or_not_at_all(
    server: Server, rest: Rest, catalog: Catalog, namespace: str, duck: duckdb.DuckDBPyConnection
) -> None:
    tables = ("a", "b")
    for table in tables:
        duck.execute(f"CREATE TABLE ic.{namespace}.{table} (id BIGINT)")
        duck.execute(f"INSERT INTO ic.{namespace}.{table} VALUES (1), (2)")

    def change() -> None:
        duck.execute("BEGIN")
        duck.execute(f"INSERT INTO ic.{namespace}.a VALUES (3)")
        duck.execute(f"DELETE FROM ic.{namespace}.b WHERE id = 1")
        duck.execute(f"UPDATE ic.{namespace}.b SET id = 20 WHERE id = 2")

    def seen() -> dict[str, list[tuple]]:
        return {table: in_order(catalog.load_table((namespace, table)).scan().to_arrow()) for table in tables}

    before = seen()
    pointers = [rest.load(namespace, table)["metadata-location"] for table in tables]
    change()
    assert seen() == before, "changes are visible before the commit"
    duck.execute("ROLLBACK")
    assert seen() == before
    assert [rest.load(namespace, table)["metadata-location"] for table in tables] == pointers
    change()
    duck.execute("COMMIT")
    assert seen() == {"a": [(1,), (2,), (3,)], "b": [(20,)]}
    assert "/transactions/commit" in server.stderr(), "DuckDB did not use the transaction endpoint"


def test_one_of_two_transactions_over_the_same_tables_fails_completely(
    attach: Connect, catalog: Catalog, namespace: str
) -> None:
    first, second = attach(), attach()
    for table in ("a", "b", "c"):
        first.execute(f"CREATE TABLE ic.{namespace}.{table} (id BIGINT)")
        first.execute(f"INSERT INTO ic.{namespace}.{table} VALUES (0)")
    for duck, number, tables in ((first, 1, "ab"), (second, 2, "bc")):
        duck.execute("BEGIN")
        for table in tables:
            duck.execute(f"DELETE FROM ic.{namespace}.{table} WHERE id = 0")
            duck.execute(f"INSERT INTO ic.{namespace}.{table} VALUES ({number})")
    first.execute("COMMIT")
    with pytest.raises(duckdb.Error, match="Requirement failed|onflict|CommitFailed"):
        second.execute("COMMIT")
    seen = {table: in_order(catalog.load_table((namespace, table)).scan().to_arrow()) for table in "abc"}
    assert seen == {"a": [(1,)], "b": [(1,)], "c": [(0,)]}, "not exactly the first transaction was applied"


def test_two_writers_from_the_same_state_lose_no_acknowledged_rows(attach: Connect, catalog: Catalog, namespace: str) -> None:
    first, second = attach(), attach()
    name = f"ic.{namespace}.t"
    first.execute(f"CREATE TABLE {name} (id BIGINT)")
    for duck, number in ((first, 1), (second, 2)):
        duck.execute("BEGIN")
        duck.execute(f"INSERT INTO {name} VALUES ({number})")
    first.execute("COMMIT")
    landed = [(1,)]
    try:
        second.execute("COMMIT")
        landed.append((2,))
    except duckdb.Error as error:
        assert "Requirement failed" in str(error) or "onflict" in str(error) or "CommitFailed" in str(error), error
    assert in_order(catalog.load_table((namespace, "t")).scan().to_arrow()) == landed


def test_table_beside_a_view_is_created_and_read(
    rest: Rest, catalog: Catalog, namespace: str, duck: duckdb.DuckDBPyConnection
) -> None:
    """DuckDB 1.5 knows no views of a catalog: it must find the tables all the same."""
    version = {"version-id": 1, "timestamp-ms": 1, "schema-id": 0, "summary": {}, "default-namespace": [namespace]}
    version["representations"] = [{"type": "sql", "sql": "select 1 as a", "dialect": "duckdb"}]
    schema = {"type": "struct", "fields": [{"id": 1, "name": "a", "required": False, "type": "int"}]}
    body = {"name": "v", "schema": schema, "view-version": version, "properties": {}}
    assert rest.post(f"/namespaces/{namespace}/views", json=body).status_code == 200
    duck.execute(f"CREATE TABLE ic.{namespace}.t (id BIGINT)")
    duck.execute(f"INSERT INTO ic.{namespace}.t VALUES (1)")
    assert rows(duck, f"SELECT * FROM ic.{namespace}.t") == [(1,)]
    found = rows(duck, f"SELECT table_name FROM duckdb_tables() WHERE schema_name = '{namespace}'")
    assert found == [("t",)]
    with pytest.raises(duckdb.Error, match="already exists"):
        duck.execute(f"CREATE TABLE ic.{namespace}.v (id BIGINT)")
    assert catalog.list_views(namespace) == [(namespace, "v")]
