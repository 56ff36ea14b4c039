"""DuckDB on S3 with vended credentials only."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from support.lake import Lake
from support.rows import SIGHTINGS, in_order, sightings
from test_duckdb import EXTENSIONS, extension_file


def attached(lake: Lake, key: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "threads": "2"})
    for name in EXTENSIONS:
        connection.execute(f"LOAD '{extension_file(name)}'")
    connection.execute(f"ATTACH 'lake' AS ic (TYPE ICEBERG, ENDPOINT '{lake.server.uri}', TOKEN '{key}')")
    return connection


@pytest.fixture
def writer(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    with attached(lake, lake.writer.text) as connection:
        yield connection


@pytest.fixture
def reader(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    with attached(lake, lake.reader.text) as connection:
        yield connection


def test_table_written_by_pyiceberg_is_read(lake: Lake, reader: duckdb.DuckDBPyConnection, unique: str) -> None:
    lake.rest().create_namespace(unique)
    lake.catalog().create_table((unique, "t"), SIGHTINGS).append(sightings((1, "Oslo", 1.5), (2, "Bergen", 2.5)))
    rows = reader.execute(f"SELECT * FROM ic.{unique}.t ORDER BY id").fetchall()
    assert rows == [(1, "Oslo", 1.5), (2, "Bergen", 2.5)]


def test_rows_are_inserted_updated_and_deleted(lake: Lake, writer: duckdb.DuckDBPyConnection, unique: str) -> None:
    lake.rest().create_namespace(unique)
    name = f"ic.{unique}.t"
    writer.execute(f"CREATE TABLE {name} (id BIGINT, city VARCHAR, size DOUBLE)")
    writer.execute(f"INSERT INTO {name} VALUES (1, 'Oslo', 1.5), (2, 'Bergen', 2.5), (3, 'Voss', 3.5)")
    writer.execute(f"UPDATE {name} SET size = 9.5 WHERE id = 2")
    writer.execute(f"DELETE FROM {name} WHERE id = 3")
    rows = in_order(lake.catalog(lake.reader).load_table((unique, "t")).scan().to_arrow())
    assert rows == [(1, "Oslo", 1.5), (2, "Bergen", 9.5)]


def test_write_with_a_readers_key_is_refused(lake: Lake, reader: duckdb.DuckDBPyConnection, unique: str) -> None:
    lake.rest().create_namespace(unique)
    table = lake.catalog().create_table((unique, "t"), SIGHTINGS)
    table.append(sightings((1, "Oslo", 1.5)))
    with pytest.raises(duckdb.Error, match="403|(?i:denied|forbidden|not allow)"):
        reader.execute(f"INSERT INTO ic.{unique}.t VALUES (2, 'Bergen', 2.5)")
    assert in_order(table.refresh().scan().to_arrow()) == [(1, "Oslo", 1.5)]
