"""Rows that Trino writes and other clients read, and the reverse."""

from __future__ import annotations

import pyarrow as pa
import pytest
from conftest import Sql
from support.readers import duckdb_rows, pyiceberg, pyiceberg_rows
from support.server import Server


@pytest.mark.parametrize("catalog", ["tw", "documented"])
def test_sample_table_is_read_with_a_token_and_with_a_credential(server: Server, sql: Sql, catalog: str) -> None:
    ((rows,),) = sql(f"SELECT count(*) FROM {catalog}.demo.tides")
    assert rows == pyiceberg(server).load_table("demo.tides").scan().to_arrow().num_rows


@pytest.mark.parametrize("file_format", ["PARQUET", "ORC", "AVRO"])
def test_rows_are_inserted_merged_updated_and_deleted(server: Server, sql: Sql, space: str, file_format: str) -> None:
    name = f"{space}.t"
    sql(
        f"CREATE TABLE tw.{name} (id BIGINT, city VARCHAR, size DOUBLE) "
        f"WITH (format = '{file_format}', partitioning = ARRAY['bucket(id, 4)'])"
    )
    sql(f"INSERT INTO tw.{name} VALUES (1, 'Oslo', 1.5), (2, 'Bergen', 2.5), (3, NULL, NULL), (4, 'Vardø', 4.0)")
    sql(
        f"MERGE INTO tw.{name} t USING (VALUES (2, 'Bergen', 9e0), (5, 'Kiel', 5e0)) s(id, city, size) ON t.id = s.id "
        "WHEN MATCHED THEN UPDATE SET size = s.size WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.city, s.size)"
    )
    sql(f"UPDATE tw.{name} SET city = upper(city) WHERE id = 1")
    sql(f"DELETE FROM tw.{name} WHERE id = 4")
    expected = [(1, "OSLO", 1.5), (2, "Bergen", 9.0), (3, None, None), (5, "Kiel", 5.0)]
    assert sql(f"SELECT * FROM tw.{name} ORDER BY id") == expected
    if file_format == "PARQUET":
        # DuckDB reads this format only; PyArrow 26 cannot read the position deletes that Trino writes.
        assert duckdb_rows(server, name) == expected


def test_table_is_truncated(server: Server, sql: Sql, table: str) -> None:
    sql(f"TRUNCATE TABLE tw.{table}")
    assert pyiceberg_rows(server, table) == []


def test_rows_of_another_engine_are_read(server: Server, sql: Sql, table: str) -> None:
    loaded = pyiceberg(server).load_table(table)
    loaded.append(pa.Table.from_pylist([{"id": 3, "city": "Rome", "size": 3.5, "seen": 30}], loaded.schema().as_arrow()))
    assert sql(f"SELECT id, city FROM tw.{table} ORDER BY id") == [(1, "Oslo"), (2, "Bergen"), (3, "Rome")]


def test_every_type_is_read_as_written(server: Server, sql: Sql, space: str) -> None:
    name = f"{space}.types"
    sql(
        f"CREATE TABLE tw.{name} AS SELECT true b, 1 i, BIGINT '2' l, REAL '1.5' f, 2.5e0 d, DECIMAL '12345678901234567.125' n, "
        "'ß' s, X'00FF' y, DATE '2026-02-03' da, TIMESTAMP '2026-02-03 04:05:06.789012 UTC' ts, "
        "TIMESTAMP '2026-02-03 04:05:06.000001' tn, TIME '01:02:03.000004' ti, "
        "UUID '12151fd2-7586-11e9-8f9e-2a86e4085a59' u, ARRAY[1, 2] a, MAP(ARRAY['k'], ARRAY[3]) m, "
        "CAST(ROW(1, ROW('deep')) AS ROW(x INTEGER, y ROW(z VARCHAR))) st"
    )
    (row,) = pyiceberg(server).load_table(name).scan().to_arrow().to_pylist()
    shown = {column: str(row[column]) for column in ("n", "da", "ts", "tn", "ti", "u")}
    assert shown == {
        "n": "12345678901234567.125",
        "da": "2026-02-03",
        "ts": "2026-02-03 04:05:06.789012+00:00",
        "tn": "2026-02-03 04:05:06.000001",
        "ti": "01:02:03.000004",
        "u": "12151fd2-7586-11e9-8f9e-2a86e4085a59",
    }
    assert (row["b"], row["i"], row["l"], row["f"], row["d"], row["s"], row["y"]) == (True, 1, 2, 1.5, 2.5, "ß", b"\x00\xff")
    assert (row["a"], dict(row["m"]), row["st"]) == ([1, 2], {"k": 3}, {"x": 1, "y": {"z": "deep"}})


def test_table_of_format_3_has_deletion_vectors(server: Server, sql: Sql, space: str) -> None:
    name = f"{space}.v3"
    sql(f"CREATE TABLE tw.{name} (id BIGINT, word VARCHAR) WITH (format_version = 3)")
    sql(f"INSERT INTO tw.{name} VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    sql(f"DELETE FROM tw.{name} WHERE id = 1")
    sql(f"UPDATE tw.{name} SET word = 'B' WHERE id = 2")
    assert sql(f"SELECT * FROM tw.{name} ORDER BY id") == [(2, "B"), (3, "c")]
    formats = sql(f"""SELECT DISTINCT file_format FROM tw.{space}."v3$files" WHERE content <> 0""")
    assert formats == [("PUFFIN",)]
    metadata = pyiceberg(server).load_table(name).metadata
    assert metadata.format_version == 3 and metadata.next_row_id >= 3


def test_table_is_upgraded_to_format_3(server: Server, sql: Sql, table: str) -> None:
    sql(f"ALTER TABLE tw.{table} SET PROPERTIES format_version = 3")
    sql(f"INSERT INTO tw.{table} VALUES (3, 'Rome', 3.5, 30)")
    assert sql(f"SELECT count(*) FROM tw.{table}") == [(3,)]
    assert pyiceberg(server).load_table(table).metadata.format_version == 3
