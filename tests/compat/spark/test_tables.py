"""Namespaces and tables: create, change, rename, drop."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Sql
from pyspark.sql import SparkSession
from support.readers import duckdb_rows, pyiceberg, pyiceberg_rows
from support.server import Server


def test_nested_namespace_is_created_with_properties(sql: Sql, space: str) -> None:
    sql(f"CREATE NAMESPACE tw.{space}.inner COMMENT 'within' WITH PROPERTIES ('a'='b')")
    sql(f"CREATE NAMESPACE tw.{space}.inner.innermost")
    assert sql(f"SHOW NAMESPACES IN tw.{space}") == [(f"{space}.inner",)]
    assert sql(f"SHOW NAMESPACES IN tw.{space}.inner") == [(f"{space}.inner.innermost",)]
    sql(f"ALTER NAMESPACE tw.{space}.inner SET PROPERTIES ('c'='d')")
    sql(f"ALTER NAMESPACE tw.{space}.inner UNSET PROPERTIES ('a')")
    described = dict(sql(f"DESCRIBE NAMESPACE EXTENDED tw.{space}.inner"))
    assert described["Comment"] == "within"
    assert described["Properties"] == "((c,d))"
    sql(f"CREATE TABLE tw.{space}.inner.innermost.t USING iceberg AS SELECT 1 AS x")
    assert sql(f"SELECT x FROM tw.{space}.inner.innermost.t") == [(1,)]
    with pytest.raises(Exception, match="not empty"):
        sql(f"DROP NAMESPACE tw.{space}.inner")
    sql(f"DROP TABLE tw.{space}.inner.innermost.t")
    sql(f"DROP NAMESPACE tw.{space}.inner.innermost")
    sql(f"DROP NAMESPACE tw.{space}.inner")
    assert sql(f"SHOW NAMESPACES IN tw.{space}") == []


def test_columns_are_added_moved_renamed_retyped_and_dropped(server: Server, sql: Sql, table: str) -> None:
    for change in (
        "ADD COLUMNS (extra STRUCT<x: INT> COMMENT 'more', late DATE)",
        "ADD COLUMN extra.y STRING AFTER x",
        "ADD COLUMN first STRING FIRST",
        "RENAME COLUMN seen TO sightings",
        "ALTER COLUMN sightings TYPE BIGINT",
        "ALTER COLUMN size TYPE DOUBLE",
        "ALTER COLUMN id DROP NOT NULL",
        "ALTER COLUMN city COMMENT 'where'",
        "ALTER COLUMN late AFTER city",
        "RENAME COLUMN extra.y TO z",
        "DROP COLUMN first",
    ):
        sql(f"ALTER TABLE tw.{table} {change}")
    schema = pyiceberg(server).load_table(table).schema()
    shown = [(field.name, str(schema.find_type(field.name)), field.required) for field in schema.fields]
    assert shown[:5] == [
        ("id", "long", False),
        ("city", "string", False),
        ("late", "date", False),
        ("size", "double", False),
        ("sightings", "long", False),
    ]
    assert [field.name for field in schema.fields[5:]] == ["extra"]
    assert str(schema.find_type("extra.x")) == "int" and str(schema.find_type("extra.z")) == "string"
    assert schema.find_field("city").doc == "where"
    expected = [(1, "Oslo", None, 1.5, 10, None), (2, "Bergen", None, 2.5, 20, None)]
    assert sql(f"SELECT * FROM tw.{table} ORDER BY id") == expected
    assert pyiceberg_rows(server, table) == expected


def test_identifier_fields_and_write_orders_are_kept(server: Server, sql: Sql, table: str) -> None:
    sql(f"ALTER TABLE tw.{table} SET IDENTIFIER FIELDS id")
    sql(f"ALTER TABLE tw.{table} WRITE DISTRIBUTED BY PARTITION LOCALLY ORDERED BY city DESC NULLS LAST, bucket(8, id)")
    loaded = pyiceberg(server).load_table(table)
    assert loaded.schema().identifier_field_names() == {"id"}
    assert [str(field.transform) for field in loaded.sort_order().fields] == ["identity", "bucket[8]"]
    sql(f"INSERT INTO tw.{table} VALUES (3, 'Rome', 3.5, 30)")
    sql(f"ALTER TABLE tw.{table} DROP IDENTIFIER FIELDS id")
    sql(f"ALTER TABLE tw.{table} WRITE UNORDERED")
    loaded = pyiceberg(server).load_table(table)
    assert not loaded.schema().identifier_field_ids
    assert loaded.sort_order().is_unsorted


def test_partition_fields_are_added_replaced_and_dropped(server: Server, sql: Sql, table: str) -> None:
    for row, change in enumerate(
        ("ADD PARTITION FIELD truncate(2, city) AS start", "REPLACE PARTITION FIELD start WITH bucket(4, id) AS part",
         "DROP PARTITION FIELD part", "ADD PARTITION FIELD bucket(4, id) AS part"), start=3,
    ):  # fmt: skip
        sql(f"ALTER TABLE tw.{table} {change}")
        sql(f"INSERT INTO tw.{table} VALUES ({row}, 'Rome', 3.5, 30)")
    assert [row[0] for row in pyiceberg_rows(server, table)] == [1, 2, 3, 4, 5, 6]
    assert [row[0] for row in duckdb_rows(server, table)] == [1, 2, 3, 4, 5, 6]
    loaded = pyiceberg(server).load_table(table)
    assert [str(field.transform) for field in loaded.spec().fields] == ["bucket[4]"]
    assert len(loaded.specs()) == 3, "equal partition fields created another spec"


def test_table_properties_are_set_and_unset(server: Server, sql: Sql, table: str) -> None:
    sql(f"ALTER TABLE tw.{table} SET TBLPROPERTIES ('a'='b', 'c'='d', 'comment'='seen')")
    sql(f"ALTER TABLE tw.{table} UNSET TBLPROPERTIES ('a')")
    properties = pyiceberg(server).load_table(table).properties
    assert properties["c"] == "d" and properties["comment"] == "seen" and "a" not in properties


def test_table_is_created_from_a_query_and_replaced(server: Server, sql: Sql, table: str, space: str) -> None:
    name = f"{space}.made"
    sql(f"CREATE TABLE tw.{name} USING iceberg PARTITIONED BY (city) AS SELECT id, city FROM tw.{table}")
    assert pyiceberg_rows(server, name) == [(1, "Oslo"), (2, "Bergen")]
    uuid = pyiceberg(server).load_table(name).metadata.table_uuid
    sql(f"REPLACE TABLE tw.{name} USING iceberg AS SELECT id * 2 AS doubled FROM tw.{table}")
    assert pyiceberg_rows(server, name) == [(2,), (4,)]
    sql(f"CREATE OR REPLACE TABLE tw.{name} USING iceberg TBLPROPERTIES ('x'='y') AS SELECT 'new' AS word")
    replaced = pyiceberg(server).load_table(name)
    assert pyiceberg_rows(server, name) == [("new",)]
    assert replaced.metadata.table_uuid == uuid and replaced.properties["x"] == "y"
    assert len(replaced.metadata.snapshots) == 3, "the replacement lost earlier snapshots"
    with pytest.raises(Exception, match="(?i)already exists"):
        sql(f"CREATE TABLE tw.{name} USING iceberg AS SELECT 1 AS x")
    sql(f"CREATE TABLE IF NOT EXISTS tw.{name} USING iceberg AS SELECT 1 AS x")
    with pytest.raises(Exception, match="(?i)not.*found"):
        sql(f"REPLACE TABLE tw.{space}.none USING iceberg AS SELECT 1 AS x")


def test_failed_query_creates_no_table(sql: Sql, space: str) -> None:
    with pytest.raises(Exception, match="(?i)no such thing"):
        sql(f"CREATE TABLE tw.{space}.never USING iceberg AS SELECT CAST(raise_error('no such thing') AS INT) AS x")
    assert sql(f"SHOW TABLES IN tw.{space}") == []


def test_table_is_renamed_within_and_across_namespaces(server: Server, sql: Sql, table: str, space: str) -> None:
    sql(f"CREATE NAMESPACE tw.{space}.other")
    sql(f"ALTER TABLE tw.{table} RENAME TO {space}.other.renamed")
    assert sql(f"SHOW TABLES IN tw.{space}") == []
    assert [row[0] for row in sql(f"SELECT id FROM tw.{space}.other.renamed ORDER BY id")] == [1, 2]
    assert pyiceberg(server).list_tables((space, "other")) == [(space, "other", "renamed")]


@pytest.mark.parametrize("purge", ["", " PURGE"], ids=["keeping files", "with purge"])
def test_table_is_dropped(server: Server, sql: Sql, table: str, space: str, purge: str) -> None:
    sql(f"DROP TABLE tw.{table}{purge}")
    assert sql(f"SHOW TABLES IN tw.{space}") == []
    assert not pyiceberg(server).table_exists(table)
    with pytest.raises(Exception, match="TABLE_OR_VIEW_NOT_FOUND"):
        sql(f"SELECT * FROM tw.{table}")
    sql(f"DROP TABLE IF EXISTS tw.{table}{purge}")
    sql(f"CREATE TABLE tw.{table} USING iceberg AS SELECT 7 AS x")
    assert sql(f"SELECT x FROM tw.{table}") == [(7,)]


def test_names_with_dots_spaces_and_foreign_letters_are_kept(sql: Sql, space: str) -> None:
    for name in ("a.b", "two words", "größe", "冰山", "UPPER", "100%", "it's"):
        sql(f"CREATE TABLE tw.{space}.`{name}` USING iceberg AS SELECT '{name.replace(chr(39), chr(92) + chr(39))}' AS n")
        assert sql(f"SELECT n FROM tw.{space}.`{name}`") == [(name,)]
        assert [row[1] for row in sql(f"SHOW TABLES IN tw.{space}")] == [name]
        sql(f"DROP TABLE tw.{space}.`{name}`")


def test_all_files_are_below_the_tables_location(server: Server, sql: Sql, table: str) -> None:
    root = Path(pyiceberg(server).load_table(table).location().removeprefix("file://"))
    for (file,) in sql(f"SELECT file_path FROM tw.{table}.all_files"):
        assert Path(file.removeprefix("file:")).is_relative_to(root), file


def test_data_frame_is_written_and_appended(server: Server, spark: SparkSession, space: str) -> None:
    name = f"{space}.frame"
    frame = spark.createDataFrame([(1, "a"), (2, "b")], "id bigint, word string")
    frame.writeTo(f"tw.{name}").tableProperty("write.parquet.compression-codec", "zstd").create()
    frame.writeTo(f"tw.{name}").append()
    frame.writeTo(f"tw.{name}").overwritePartitions()
    assert pyiceberg_rows(server, name) == [(1, "a"), (2, "b")]
