"""Schemas and tables: create, change, rename, drop."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import trino as client
from conftest import Sql
from support.readers import duckdb_rows, pyiceberg, pyiceberg_rows
from support.server import Server


FAILS = "SELECT CAST(fail('no such thing') AS INTEGER) AS x"


def names(rows: list[tuple]) -> set[str]:
    return {row[0] for row in rows}


def test_schemas_are_created_shown_and_dropped(sql: Sql, space: str) -> None:
    assert {space, "demo"} <= names(sql("SHOW SCHEMAS FROM tw"))
    assert sql(f"SHOW SCHEMAS FROM tw LIKE '{space}'") == [(space,)]
    sql(f"CREATE SCHEMA IF NOT EXISTS tw.{space}")
    with pytest.raises(client.exceptions.TrinoUserError, match="already exists"):
        sql(f"CREATE SCHEMA tw.{space}")
    sql(f"CREATE TABLE tw.{space}.t (x INTEGER)")
    with pytest.raises(client.exceptions.TrinoUserError, match="non-empty"):
        sql(f"DROP SCHEMA tw.{space}")
    sql(f"DROP SCHEMA tw.{space} CASCADE")
    assert space not in names(sql("SHOW SCHEMAS FROM tw"))
    with pytest.raises(client.exceptions.TrinoUserError, match="does not exist"):
        sql(f"DROP SCHEMA tw.{space}")


def test_nested_schema_and_its_table_are_created_and_dropped(server: Server, sql: Sql, space: str) -> None:
    sql(f'CREATE SCHEMA tw."{space}.inner"')
    sql(f'CREATE SCHEMA tw."{space}.inner.innermost"')
    sql(f'CREATE TABLE tw."{space}.inner.innermost".t AS SELECT 1 AS x')
    assert {f"{space}.inner", f"{space}.inner.innermost"} <= names(sql("SHOW SCHEMAS FROM tw"))
    assert sql(f'SELECT x FROM tw."{space}.inner.innermost".t') == [(1,)]
    assert pyiceberg(server).list_tables((space, "inner", "innermost")) == [(space, "inner", "innermost", "t")]
    tables = sql(f"SELECT table_schema, table_name FROM tw.information_schema.tables WHERE table_schema LIKE '{space}%'")
    assert tables == [(f"{space}.inner.innermost", "t")]
    sql(f'DROP TABLE tw."{space}.inner.innermost".t')
    sql(f'DROP SCHEMA tw."{space}.inner.innermost"')
    sql(f'DROP SCHEMA tw."{space}.inner"')


def test_information_schema_lists_tables_views_and_columns(sql: Sql, table: str, space: str) -> None:
    sql(f"CREATE VIEW tw.{space}.v AS SELECT id FROM tw.{table}")
    where = f"WHERE table_schema = '{space}' ORDER BY table_name"
    told = sql(f"SELECT table_name, table_type FROM tw.information_schema.tables {where}")
    assert told == [("sightings", "BASE TABLE"), ("v", "VIEW")]
    assert sql(f"SELECT table_name FROM tw.information_schema.views {where}") == [("v",)]
    columns = sql(f"SELECT table_name, column_name, data_type FROM tw.information_schema.columns {where}, ordinal_position")
    assert columns == [
        ("sightings", "id", "bigint"),
        ("sightings", "city", "varchar"),
        ("sightings", "size", "real"),
        ("sightings", "seen", "integer"),
        ("v", "id", "bigint"),
    ]
    assert sql(f"SHOW TABLES FROM tw.{space} LIKE 'sight%'") == [("sightings",)]
    assert [row[:2] for row in sql(f"DESCRIBE tw.{table}")][:2] == [("id", "bigint"), ("city", "varchar")]


def test_columns_are_added_renamed_retyped_and_dropped(server: Server, sql: Sql, table: str) -> None:
    for change in (
        "ADD COLUMN late DATE",
        "ADD COLUMN extra ROW(x INTEGER)",
        "ADD COLUMN extra.y VARCHAR",
        "RENAME COLUMN seen TO sightings",
        "RENAME COLUMN extra.y TO z",
        "ALTER COLUMN sightings SET DATA TYPE BIGINT",
        "ALTER COLUMN size SET DATA TYPE DOUBLE",
        "ALTER COLUMN id DROP NOT NULL",
        "DROP COLUMN late",
    ):
        sql(f"ALTER TABLE tw.{table} {change}")
    sql(f"COMMENT ON COLUMN tw.{table}.city IS 'where'")
    sql(f"COMMENT ON TABLE tw.{table} IS 'seen'")
    loaded = pyiceberg(server).load_table(table)
    shown = [(field.name, field.required) for field in loaded.schema().fields]
    assert shown == [(name, False) for name in ("id", "city", "size", "sightings", "extra")]
    assert [str(loaded.schema().find_type(name)) for name in ("size", "sightings", "extra.z")] == ["double", "long", "string"]
    assert loaded.schema().find_field("city").doc == "where" and loaded.properties["comment"] == "seen"
    expected = [(1, "Oslo", 1.5, 10, None), (2, "Bergen", 2.5, 20, None)]
    assert sql(f"SELECT * FROM tw.{table} ORDER BY id") == expected
    assert pyiceberg_rows(server, table) == expected


def test_rows_stay_readable_after_changes_of_partitioning_and_sorting(server: Server, sql: Sql, table: str) -> None:
    for row, partitioning in enumerate(("'truncate(city, 2)'", "'bucket(id, 4)', 'city'", "", "'bucket(id, 4)'"), start=3):
        sql(f"ALTER TABLE tw.{table} SET PROPERTIES partitioning = ARRAY[{partitioning}]")
        sql(f"INSERT INTO tw.{table} VALUES ({row}, 'Rome', 3.5, 30)")
    sql(f"ALTER TABLE tw.{table} SET PROPERTIES sorted_by = ARRAY['city DESC NULLS LAST']")
    sql(f"INSERT INTO tw.{table} VALUES (7, 'Rome', 3.5, 30)")
    assert [row[0] for row in pyiceberg_rows(server, table)] == list(range(1, 8))
    assert [row[0] for row in duckdb_rows(server, table)] == list(range(1, 8))
    loaded = pyiceberg(server).load_table(table)
    assert [str(field.transform) for field in loaded.spec().fields] == ["bucket[4]"]
    assert [str(field.direction) for field in loaded.sort_order().fields] == ["DESC"]


def test_table_properties_are_set(server: Server, sql: Sql, table: str) -> None:
    sql(f"ALTER TABLE tw.{table} SET PROPERTIES extra_properties = MAP(ARRAY['a'], ARRAY['b'])")
    assert pyiceberg(server).load_table(table).properties["a"] == "b"
    sql(f"ALTER TABLE tw.{table} SET PROPERTIES object_store_layout_enabled = true")
    sql(f"INSERT INTO tw.{table} VALUES (3, 'Rome', 3.5, 30)")
    assert len(pyiceberg_rows(server, table)) == 3


def test_table_is_created_from_a_query_and_replaced(server: Server, sql: Sql, table: str, space: str) -> None:
    name = f"{space}.made"
    sql(f"CREATE TABLE tw.{name} WITH (partitioning = ARRAY['city']) AS SELECT id, city FROM tw.{table}")
    assert pyiceberg_rows(server, name) == [(1, "Oslo"), (2, "Bergen")]
    uuid = pyiceberg(server).load_table(name).metadata.table_uuid
    sql(f"CREATE OR REPLACE TABLE tw.{name} AS SELECT id * 2 AS doubled FROM tw.{table}")
    assert pyiceberg_rows(server, name) == [(2,), (4,)]
    assert pyiceberg(server).load_table(name).metadata.table_uuid == uuid
    sql(f"CREATE TABLE tw.{space}.empty AS SELECT * FROM tw.{table} WITH NO DATA")
    sql(f"CREATE TABLE tw.{space}.alike (LIKE tw.{table} EXCLUDING PROPERTIES)")
    assert pyiceberg_rows(server, f"{space}.empty") == pyiceberg_rows(server, f"{space}.alike") == []
    with pytest.raises(client.exceptions.TrinoUserError, match="already exists"):
        sql(f"CREATE TABLE tw.{name} AS SELECT 1 AS x")


def test_table_from_a_query_is_created_at_a_given_location(server: Server, sql: Sql, table: str, space: str) -> None:
    """With a location, Trino stages the table, and creates it when the query has ended."""
    location = f"{server.data_dir.as_uri()}/warehouse/{space}-own"
    sql(f"CREATE TABLE tw.{space}.own WITH (location = '{location}') AS SELECT id FROM tw.{table}")
    loaded = pyiceberg(server).load_table(f"{space}.own")
    assert loaded.location() == location
    assert pyiceberg_rows(server, f"{space}.own") == [(1,), (2,)]
    with pytest.raises(client.exceptions.TrinoUserError, match="no such thing"):
        sql(f"CREATE TABLE tw.{space}.never WITH (location = '{location}-2') AS {FAILS}")
    assert not pyiceberg(server).table_exists(f"{space}.never")


def test_failed_query_leaves_trinos_empty_table(sql: Sql, space: str) -> None:
    """Without a location, Trino creates the table first, at the catalog's default location."""
    with pytest.raises(client.exceptions.TrinoUserError, match="no such thing"):
        sql(f"CREATE TABLE tw.{space}.remains AS {FAILS}")
    assert sql(f"SELECT * FROM tw.{space}.remains") == []
    sql(f"DROP TABLE tw.{space}.remains")
    assert sql(f"SHOW TABLES FROM tw.{space}") == []


def test_table_is_renamed_within_and_across_schemas(server: Server, sql: Sql, table: str, space: str) -> None:
    sql(f"CREATE SCHEMA tw.{space}other")
    sql(f"ALTER TABLE tw.{table} RENAME TO tw.{space}other.renamed")
    assert sql(f"SHOW TABLES FROM tw.{space}") == []
    assert [row[0] for row in pyiceberg_rows(server, f"{space}other.renamed")] == [1, 2]
    assert sql(f"SELECT id FROM tw.{space}other.renamed ORDER BY id") == [(1,), (2,)]


def test_table_is_dropped(server: Server, sql: Sql, table: str, space: str) -> None:
    sql(f"DROP TABLE tw.{table}")
    assert sql(f"SHOW TABLES FROM tw.{space}") == []
    assert not pyiceberg(server).table_exists(table)
    sql(f"DROP TABLE IF EXISTS tw.{table}")
    sql(f"CREATE TABLE tw.{table} AS SELECT 7 AS x")
    assert sql(f"SELECT x FROM tw.{table}") == [(7,)]


def test_name_in_another_case_is_found_with_case_insensitive_matching(server: Server, sql: Sql, space: str) -> None:
    mixed = pyiceberg(server).create_table((space, "MixedCase"), pyiceberg(server).load_table("demo.tides").schema())
    assert mixed.name() == (space, "MixedCase")
    assert sql(f"SHOW TABLES FROM any_case.{space}") == [("mixedcase",)]
    sql(f"INSERT INTO any_case.{space}.mixedCASE SELECT * FROM any_case.demo.tides LIMIT 5")
    assert sql(f"SELECT count(*) FROM any_case.{space}.MIXEDCASE") == [(5,)]
    assert mixed.refresh().scan().to_arrow().num_rows == 5
    with pytest.raises(client.exceptions.TrinoUserError, match="does not exist"):
        sql(f'SELECT count(*) FROM tw.{space}."MixedCase"')


def test_concurrent_inserts_of_two_sessions_lose_nothing(server: Server, sql: Sql, table: str) -> None:
    def insert(writer: int) -> None:
        for step in range(5):
            sql(f"INSERT INTO tw.{table} VALUES ({100 * writer + step}, 'Rome', 3.5, {writer})")

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(insert, (1, 2, 3)))
    ids = [row[0] for row in pyiceberg_rows(server, table)]
    assert ids == [1, 2, *(100 * writer + step for writer in (1, 2, 3) for step in range(5))]
