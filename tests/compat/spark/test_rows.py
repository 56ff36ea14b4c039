"""Rows that Spark writes and other clients read, and the reverse."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from conftest import Sql
from support.readers import duckdb_rows, pyiceberg, pyiceberg_rows
from support.server import Server

MODES = ("copy-on-write", "merge-on-read")


@pytest.mark.parametrize("catalog", ["tw", "signed_in"])
def test_sample_table_is_read_with_a_token_and_with_a_credential(server: Server, sql: Sql, catalog: str) -> None:
    ((rows,),) = sql(f"SELECT count(*) FROM {catalog}.demo.tides")
    assert rows == pyiceberg(server).load_table("demo.tides").scan().to_arrow().num_rows


@pytest.mark.parametrize("mode", MODES)
def test_rows_are_inserted_merged_updated_and_deleted(server: Server, sql: Sql, space: str, mode: str) -> None:
    modes = ", ".join(f"'write.{change}.mode'='{mode}'" for change in ("delete", "update", "merge"))
    name = f"{space}.t"
    sql(
        f"CREATE TABLE tw.{name} (id BIGINT, city STRING, size DOUBLE) USING iceberg PARTITIONED BY (bucket(4, id)) "
        f"TBLPROPERTIES ({modes})"
    )
    sql(f"INSERT INTO tw.{name} VALUES (1, 'Oslo', 1.5), (2, 'Bergen', 2.5), (3, NULL, NULL), (4, 'Vardø', 4.0)")
    sql(
        f"MERGE INTO tw.{name} t USING (SELECT * FROM VALUES (2L, 'Bergen', 9.0D), (5L, 'Kiel', 5.0D) AS s(id, city, size)) s "
        "ON t.id = s.id WHEN MATCHED THEN UPDATE SET t.size = s.size WHEN NOT MATCHED THEN INSERT *"
    )
    sql(f"UPDATE tw.{name} SET city = upper(city) WHERE id = 1")
    sql(f"DELETE FROM tw.{name} WHERE id = 4")
    expected = [(1, "OSLO", 1.5), (2, "Bergen", 9.0), (3, None, None), (5, "Kiel", 5.0)]
    assert sql(f"SELECT * FROM tw.{name} ORDER BY id") == expected
    assert pyiceberg_rows(server, name) == expected
    assert duckdb_rows(server, name) == expected
    ((deletes,),) = sql(f"SELECT count(*) FROM tw.{name}.delete_files")
    assert (deletes > 0) == (mode == "merge-on-read")


def test_partitions_are_overwritten(server: Server, sql: Sql, space: str) -> None:
    name = f"{space}.t"
    sql(f"CREATE TABLE tw.{name} (id BIGINT, day DATE) USING iceberg PARTITIONED BY (day)")
    sql(f"INSERT INTO tw.{name} VALUES (1, DATE'2026-01-01'), (2, DATE'2026-01-02')")
    sql(f"INSERT OVERWRITE tw.{name} PARTITION (day = DATE'2026-01-02') VALUES (20), (21)")
    assert [row[0] for row in pyiceberg_rows(server, name)] == [1, 20, 21]


def test_rows_of_another_engine_are_read(server: Server, sql: Sql, table: str) -> None:
    rows = pa.table({"id": [3], "city": ["Rome"], "size": pa.array([3.5], pa.float32()), "seen": pa.array([30], pa.int32())})
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False), *list(rows.schema)[1:]])
    pyiceberg(server).load_table(table).append(rows.cast(schema))
    sql(f"REFRESH TABLE tw.{table}")
    assert sql(f"SELECT id, city FROM tw.{table} ORDER BY id") == [(1, "Oslo"), (2, "Bergen"), (3, "Rome")]


def test_every_type_is_read_as_written(server: Server, sql: Sql, space: str) -> None:
    name = f"{space}.types"
    sql(
        f"CREATE TABLE tw.{name} (b BOOLEAN, i INT, l BIGINT, f FLOAT, d DOUBLE, n DECIMAL(20, 3), s STRING, y BINARY, da DATE, "
        "ts TIMESTAMP, tn TIMESTAMP_NTZ, a ARRAY<INT>, m MAP<STRING, BIGINT>, st STRUCT<x: INT, y: STRUCT<z: STRING>>) USING iceberg"
    )
    sql(
        f"INSERT INTO tw.{name} SELECT true, 1, 2L, 1.5F, 2.5D, 12345678901234567.125BD, 'ß', X'00FF', DATE'2026-02-03', "
        "TIMESTAMP'2026-02-03 04:05:06.789Z', TIMESTAMP_NTZ'2026-02-03 04:05:06', array(1, 2), map('k', 3L), "
        "named_struct('x', 1, 'y', named_struct('z', 'deep'))"
    )
    (row,) = pyiceberg(server).load_table(name).scan().to_arrow().to_pylist()
    assert str(row.pop("n")) == "12345678901234567.125"
    assert row.pop("ts") == datetime(2026, 2, 3, 4, 5, 6, 789000, UTC)
    assert row.pop("tn") == datetime(2026, 2, 3, 4, 5, 6)
    assert str(row.pop("da")) == "2026-02-03"
    assert dict(row.pop("m")) == {"k": 3}
    assert row == {
        "b": True, "i": 1, "l": 2, "f": 1.5, "d": 2.5, "s": "ß", "y": b"\x00\xff", "a": [1, 2],
        "st": {"x": 1, "y": {"z": "deep"}},
    }  # fmt: skip


def test_table_of_format_3_keeps_row_ids_variants_and_deletion_vectors(sql: Sql, space: str) -> None:
    name = f"tw.{space}.v3"
    sql(
        f"CREATE TABLE {name} (id BIGINT, v VARIANT) USING iceberg "
        "TBLPROPERTIES ('format-version'='3', 'write.delete.mode'='merge-on-read')"
    )
    sql(f"INSERT INTO {name} SELECT /*+ COALESCE(1) */ id, parse_json(text) FROM VALUES (1L, '{{\"a\": 1}}'), (2L, '[1]'), (3L, '3') AS s(id, text)")
    before = dict(sql(f"SELECT id, _row_id FROM {name}"))
    sql(f"DELETE FROM {name} WHERE id = 1")
    assert sql(f"SELECT id, to_json(v) FROM {name} ORDER BY id") == [(2, "[1]"), (3, "3")]
    assert sql(f"SELECT file_format FROM {name}.delete_files") == [("PUFFIN",)]
    sql(f"INSERT INTO {name}(id) VALUES (4)")
    after = dict(sql(f"SELECT id, _row_id FROM {name}"))
    assert {id: after[id] for id in (2, 3)} == {id: before[id] for id in (2, 3)}, "the row ids changed"
    assert after[4] not in before.values()


def test_table_is_upgraded_from_format_1_to_2_to_3(sql: Sql, space: str) -> None:
    name = f"tw.{space}.old"
    sql(f"CREATE TABLE {name} (id BIGINT) USING iceberg TBLPROPERTIES ('format-version'='1')")
    for version in ("2", "3"):
        sql(f"INSERT INTO {name} VALUES ({version})")
        sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('format-version'='{version}')")
        assert dict(sql(f"SHOW TBLPROPERTIES {name}"))["format-version"] == version
    sql(f"DELETE FROM {name} WHERE id = 2")
    assert sql(f"SELECT id FROM {name}") == [(3,)]
