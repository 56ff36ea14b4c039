"""Scans that the server plans give the rows that Spark's own plans give."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Sql
from pyspark.sql import SparkSession
from support.server import Server

FILTERS = (
    "true",
    "day = DATE'2026-01-02'",
    "day <> DATE'2026-01-02'",
    "day IS NULL",
    "day IN (DATE'2026-01-01', DATE'2026-01-03') AND id > 5",
    "id BETWEEN 4 AND 9",
    "id = 7 OR city = 'Oslo'",
    "NOT (city = 'Oslo')",
    "city LIKE 'B%'",
    "city IS NULL",
    "size < 5.5 AND day >= DATE'2026-01-02'",
    "isnan(size)",
    "size IS NOT NULL AND id % 3 = 0",
    "seen >= TIMESTAMP'2026-01-02T05:00:00Z' AND seen < TIMESTAMP'2026-01-03T00:00:00Z'",
    "price > 4.50BD",
    "mark = X'0A'",
    "place.lat > 3",
    "place IS NULL",
    "ID > 5 AND CITY >= 'K'",
    "system.bucket(4, id) = 2",
    "system.days(day) = DATE'2026-01-02'",
    "id > 1000000",
)


@pytest.fixture(scope="module")
def planned(spark: SparkSession, server: Server) -> str:
    """The name of a catalog like `tw` for which the server plans."""
    assert server.printed is not None
    settings = {
        "": "org.apache.iceberg.spark.SparkCatalog",
        ".type": "rest",
        ".uri": server.uri,
        ".warehouse": server.printed.warehouse,
        ".token": server.key,
        ".scan-planning-mode": "server",
        # Without it, Spark would not see what `tw` commits.
        ".cache-enabled": "false",
    }
    for name, value in settings.items():
        spark.conf.set(f"spark.sql.catalog.planned{name}", value)
    return "planned"


def filled(sql: Sql, space: str, version: int, partitioning: str) -> str:
    """Creates a table with several files in each partition. Returns its name without the catalog's."""
    name = f"{space}.t{version}"
    sql(
        f"CREATE TABLE tw.{name} (id BIGINT, day DATE, seen TIMESTAMP, city STRING, size DOUBLE, price DECIMAL(9, 2), mark BINARY, "
        f"place STRUCT<lat: INT, lon: INT>) USING iceberg PARTITIONED BY ({partitioning}) TBLPROPERTIES "
        f"('format-version'='{version}', 'write.delete.mode'='merge-on-read', 'write.update.mode'='merge-on-read', "
        "'write.merge.mode'='merge-on-read')"
    )
    for first in (0, 8):
        sql(
            f"INSERT INTO tw.{name} SELECT id, IF(id % 5 = 4, NULL, date_add(DATE'2026-01-01', CAST(id % 4 AS INT))), "
            "TIMESTAMP'2026-01-01T00:00:00Z' + make_interval(0, 0, 0, 0, CAST(5 * id AS INT)), "
            "CASE id % 4 WHEN 0 THEN 'Oslo' WHEN 1 THEN 'Bergen' WHEN 2 THEN NULL ELSE 'Kiel' END, "
            "IF(id % 6 = 5, double('NaN'), id / 2D), CAST(id * 1.25BD AS DECIMAL(9, 2)), unhex(lpad(hex(id), 2, '0')), "
            "IF(id % 7 = 6, NULL, named_struct('lat', CAST(id AS INT), 'lon', 1)) "
            f"FROM range({first}, {first + 8})"
        )
    return name


def delete_equal(spark: SparkSession, table: str, ids: list[int]) -> None:
    """Deletes rows with these ids by an equality delete file for all partitions. Spark itself writes none."""
    jvm = spark.sparkContext._jvm
    iceberg = jvm.org.apache.iceberg
    loaded = iceberg.spark.Spark3Util.loadIcebergTable(spark._jsparkSession, table)
    unpartitioned = next((spec for spec in loaded.specs().values() if spec.isUnpartitioned()), None)
    assert unpartitioned is not None, "a delete file for all partitions needs an unpartitioned spec"
    location = f"{loaded.location()}/data/deletes.parquet"
    path = Path(unquote(urlsplit(location).path))
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([pa.field("id", pa.int64(), metadata={"PARQUET:field_id": "1"})])
    pq.write_table(pa.table({"id": ids}, schema=schema), path)
    by = spark.sparkContext._gateway.new_array(jvm.int, 1)
    by[0] = 1
    file = (
        iceberg.FileMetadata.deleteFileBuilder(unpartitioned).ofEqualityDeletes(by)
        .withPath(location).withFormat("parquet").withFileSizeInBytes(path.stat().st_size).withRecordCount(len(ids)).build()
    )  # fmt: skip
    loaded.newRowDelta().addDeletes(file).commit()


def rows(sql: Sql, catalog: str, table: str, condition: str, version: str = "") -> list[str]:
    """Returns the rows in order, as text, because NaN is not equal to itself."""
    condition = condition.replace("system.", f"{catalog}.system.")
    return sorted(map(repr, sql(f"SELECT * FROM {catalog}.{table} {version} WHERE {condition}")))


def plans(server: Server) -> int:
    """Returns how many plans the server's log has."""
    return server.stderr().count("/plan")


def assert_same_rows(server: Server, sql: Sql, planned: str, table: str) -> None:
    for condition in FILTERS:
        before = plans(server)
        assert rows(sql, planned, table, condition) == rows(sql, "tw", table, condition), condition
        # Spark needs no plan for a condition that is false for all rows.
        assert plans(server) > before, f"the server made no plan for {condition}"
    assert sql(f"SELECT count(*) FROM {planned}.{table}") == sql(f"SELECT count(*) FROM tw.{table}")


def test_position_and_equality_deletes_apply_when_the_server_plans(
    server: Server, spark: SparkSession, sql: Sql, space: str, planned: str
) -> None:
    table = filled(sql, space, 2, "day, bucket(4, id)")
    sql(f"DELETE FROM tw.{table} WHERE id IN (1, 9)")
    sql(f"UPDATE tw.{table} SET city = 'Rome' WHERE id = 10")
    # An equality delete for all partitions: the spec is replaced by an empty one, and comes back.
    for change in ("DROP PARTITION FIELD day", "DROP PARTITION FIELD bucket(4, id)"):
        sql(f"ALTER TABLE tw.{table} {change}")
    sql(f"REFRESH TABLE tw.{table}")
    delete_equal(spark, f"tw.{table}", [2, 12])
    sql(f"ALTER TABLE tw.{table} ADD PARTITION FIELD days(seen)")
    sql(f"INSERT INTO tw.{table} SELECT * FROM tw.{table} WHERE id = 3")
    contents = {content for (content,) in sql(f"SELECT content FROM tw.{table}.delete_files")}
    assert contents == {1, 2}
    assert not [row for row in sql(f"SELECT id FROM {planned}.{table} WHERE id IN (1, 2, 9, 12)")]
    assert_same_rows(server, sql, planned, table)


def test_deletion_vectors_apply_when_the_server_plans(server: Server, sql: Sql, space: str, planned: str) -> None:
    table = filled(sql, space, 3, "days(seen), truncate(1, city)")
    sql(f"DELETE FROM tw.{table} WHERE id IN (0, 1, 2, 9)")
    sql(f"UPDATE tw.{table} SET size = 1 WHERE id IN (5, 11)")
    sql(f"DELETE FROM tw.{table} WHERE id = 3")
    assert {file_format for (file_format,) in sql(f"SELECT file_format FROM tw.{table}.delete_files")} == {"PUFFIN"}
    assert not sql(f"SELECT id FROM {planned}.{table} WHERE id IN (0, 1, 2, 3, 9)")
    assert_same_rows(server, sql, planned, table)
    ids = "SELECT id, _row_id FROM {}.{} ORDER BY id"
    assert sql(ids.format(planned, table)) == sql(ids.format("tw", table))


def test_old_snapshot_after_a_rename_is_planned_by_the_server(sql: Sql, space: str, planned: str) -> None:
    table = filled(sql, space, 2, "day")
    ((first,),) = sql(f"SELECT snapshot_id FROM tw.{table}.snapshots ORDER BY committed_at LIMIT 1")
    sql(f"ALTER TABLE tw.{table} RENAME COLUMN city TO town")
    sql(f"ALTER TABLE tw.{table} ADD COLUMN city STRING")
    sql(f"ALTER TABLE tw.{table} CREATE TAG first AS OF VERSION {first}")
    for version in (f"VERSION AS OF {first}", "VERSION AS OF 'first'"):
        for condition in ("city = 'Oslo'", "city IS NULL", "true"):
            expected = rows(sql, "tw", table, condition, version)
            assert rows(sql, planned, table, condition, version) == expected, (version, condition)
    assert rows(sql, planned, table, "town = 'Oslo'") == rows(sql, "tw", table, "town = 'Oslo'")
    assert rows(sql, planned, table, "city = 'Oslo'") == []
