"""Spark's own procedures as the oracle of the catalog's maintenance: a preview of the catalog names the files that Spark then removes."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from conftest import Sql
from pyspark.sql import SparkSession
from support.readers import pyiceberg, pyiceberg_rows
from support.server import Server
from test_planning import delete_equal

TEN_DAYS_S = 10 * 86_400


def folder_of(server: Server, table: str) -> Path:
    return Path(pyiceberg(server).load_table(table).location().removeprefix("file://"))


def files_of(folder: Path) -> set[str]:
    """The files, without the checksums that Hadoop writes beside each on a local disk, which only Hadoop removes."""
    return {str(path) for path in folder.rglob("*") if path.is_file() and path.suffix != ".crc"}


def maintain(server: Server, verb: str, table: str, operation: str) -> dict:
    """Other tests add organisations to the server, so the command names the one of the table."""
    return json.loads(server.command("maintenance", verb, table, operation, "--org", "quickstart", "--json").stdout)


def preview(server: Server, table: str, operation: str) -> dict:
    return maintain(server, "preview", table, operation)


def previewed_files(run: dict) -> set[str]:
    assert run["outcome"] == "succeeded" and not run["more-items"], run
    return {item["name"].removeprefix("file://") for item in run["items"] if item["kind"] == "file"}


# The ways in which Spark deletes rows, with the format version: in version 3, it writes deletion vectors.
DELETES = [("copy-on-write", 2), ("merge-on-read", 2), ("merge-on-read", 3)]


@pytest.fixture(params=DELETES, ids=["copy-on-write", "position-deletes", "deletion-vectors"])
def worn(sql: Sql, table: str, request: pytest.FixtureRequest) -> str:
    """A table with a history: appends, deletes, a rewrite, a rollback, a branch and a tag."""
    mode, version = request.param
    sql(
        f"ALTER TABLE tw.{table} SET TBLPROPERTIES ('write.delete.mode'='{mode}', 'write.update.mode'='{mode}', "
        f"'format-version'='{version}', 'history.expire.max-snapshot-age-ms'='1')"
    )
    for row in range(3, 7):
        sql(f"INSERT INTO tw.{table} VALUES ({row}, 'Rome', 3.5, 30)")
    sql(f"ALTER TABLE tw.{table} CREATE TAG early")
    sql(f"DELETE FROM tw.{table} WHERE id = 4")
    sql(f"ALTER TABLE tw.{table} CREATE BRANCH audit")
    sql(f"INSERT INTO tw.{table}.branch_audit VALUES (90, 'Rome', 3.5, 30)")
    sql(f"INSERT INTO tw.{table} VALUES (50, 'Rome', 3.5, 30)")
    ((lost,),) = sql(f"SELECT snapshot_id FROM tw.{table}.snapshots ORDER BY committed_at DESC LIMIT 1")
    ((parent,),) = sql(f"SELECT parent_id FROM tw.{table}.snapshots WHERE snapshot_id = {lost}")
    sql(f"CALL tw.system.rollback_to_snapshot('{table}', {parent})")
    sql(f"DELETE FROM tw.{table} WHERE id = 1")
    sql(f"CALL tw.system.rewrite_data_files(table => '{table}', options => map('rewrite-all', 'true'))")
    sql(f"INSERT INTO tw.{table} VALUES (7, 'Rome', 3.5, 30)")
    return table


@pytest.mark.parametrize("refs", ["branch and tag", "main only"])
def test_preview_of_an_expiry_names_the_files_that_spark_removes(server: Server, sql: Sql, worn: str, refs: str) -> None:
    if refs == "main only":
        sql(f"ALTER TABLE tw.{worn} DROP BRANCH audit")
        sql(f"ALTER TABLE tw.{worn} DROP TAG early")
    folder = folder_of(server, worn)
    shown, before = preview(server, worn, "expire-snapshots"), files_of(folder)
    ids = {row[0] for row in sql(f"SELECT snapshot_id FROM tw.{worn}.snapshots")}
    rows = pyiceberg_rows(server, worn)
    sql(f"CALL tw.system.expire_snapshots(table => '{worn}')")
    left = {row[0] for row in sql(f"SELECT snapshot_id FROM tw.{worn}.snapshots")}
    expired = {int(item["name"]) for item in shown["items"] if item["kind"] == "snapshot"}
    assert expired == ids - left and expired
    assert previewed_files(shown) == before - files_of(folder)
    assert pyiceberg_rows(server, worn) == rows


def test_run_after_a_preview_removes_the_same_files(server: Server, sql: Sql, worn: str) -> None:
    folder, rows = folder_of(server, worn), pyiceberg_rows(server, worn)
    shown, before = preview(server, worn, "expire-snapshots"), files_of(folder)
    maintain(server, "run", worn, "expire-snapshots")
    # The commit wrote a new document.
    gone = before - files_of(folder)
    assert gone == previewed_files(shown)
    sql(f"REFRESH TABLE tw.{worn}")
    assert pyiceberg_rows(server, worn) == rows
    assert sql(f"SELECT count(*) FROM tw.{worn} VERSION AS OF 'early'") == [(6,)]
    assert sql(f"SELECT count(*) FROM tw.{worn}.branch_audit WHERE id = 90") == [(1,)]


def test_preview_of_orphans_names_the_files_that_spark_would_remove(server: Server, sql: Sql, worn: str) -> None:
    folder = folder_of(server, worn)
    for name in ("data/orphan.parquet", "metadata/orphan-m0.avro", "data/_SUCCESS", "data/_temporary/x.parquet"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"nobody knows of this")
    sql(f"CALL tw.system.expire_snapshots(table => '{worn}')")
    for file in (path for path in folder.rglob("*") if path.is_file()):
        os.utime(file, times=(time.time() - TEN_DAYS_S,) * 2)
    young = folder / "data/young.parquet"
    young.write_bytes(b"it is being written")
    shown = previewed_files(preview(server, worn, "remove-orphan-files"))
    sparks = {row[0] for row in sql(f"CALL tw.system.remove_orphan_files(table => '{worn}', dry_run => true)")}
    sparks = {"/" + path.removeprefix("file:").lstrip("/") for path in sparks}
    assert shown == {path for path in sparks if not path.endswith(".crc")}
    assert {str(folder / "data/orphan.parquet"), str(folder / "metadata/orphan-m0.avro")} <= shown
    maintain(server, "run", worn, "remove-orphan-files")
    assert not files_of(folder) & shown and young.exists()
    rows = pyiceberg_rows(server, worn)
    assert sql(f"SELECT count(*) FROM tw.{worn}") == [(len(rows),)]


def test_compaction_of_format_3_folds_deletion_vectors_and_keeps_the_lineage_of_rows(server: Server, sql: Sql, space: str) -> None:
    name = f"{space}.lineage"
    sql(
        f"CREATE TABLE tw.{name} (id BIGINT, city STRING) USING iceberg "
        "TBLPROPERTIES ('format-version'='3', 'write.delete.mode'='merge-on-read', 'write.update.mode'='merge-on-read')"
    )
    for number in range(6):
        sql(f"INSERT INTO tw.{name} SELECT /*+ COALESCE(1) */ * FROM VALUES ({number}, 'Oslo'), ({number + 10}, 'Bergen')")
    sql(f"DELETE FROM tw.{name} WHERE id IN (1, 13)")
    sql(f"UPDATE tw.{name} SET city = 'Rome' WHERE id = 2")
    lineage = f"SELECT id, city, _row_id, _last_updated_sequence_number FROM tw.{name} ORDER BY id"
    before = sql(lineage)
    assert sql(f"SELECT count(*) FROM tw.{name}.delete_files")[0][0] > 0
    done = maintain(server, "run", name, "compact-files")
    assert (done["outcome"], done["written-files"]) == ("succeeded", 1), done
    sql(f"REFRESH TABLE tw.{name}")
    assert sql(lineage) == before
    assert sql(f"SELECT count(*) FROM tw.{name}.delete_files") == [(0,)]
    assert len(sql(f"SELECT file_path FROM tw.{name}.files")) == 1
    # The next write gives new ids.
    sql(f"INSERT INTO tw.{name} VALUES (99, 'Paris')")
    ids = [row[2] for row in sql(lineage)]
    assert len(ids) == len(set(ids)) == len(before) + 1


@pytest.mark.parametrize("mode", ["copy-on-write", "merge-on-read"])
def test_rewrites_leave_the_rows_that_sparks_own_rewrites_leave(server: Server, sql: Sql, table: str, mode: str) -> None:
    sql(f"ALTER TABLE tw.{table} SET TBLPROPERTIES ('write.delete.mode'='{mode}')")
    for row in range(3, 9):
        sql(f"INSERT INTO tw.{table} VALUES ({row}, 'Rome', 3.5, 30)")
    sql(f"DELETE FROM tw.{table} WHERE id IN (2, 5)")
    copy = f"{table}_copy"
    sql(f"CREATE TABLE tw.{copy} USING iceberg AS SELECT * FROM tw.{table} WHERE id < 0")
    for row in sql(f"SELECT id, city, size, seen FROM tw.{table}"):
        sql(f"INSERT INTO tw.{copy} VALUES ({row[0]}, '{row[1]}', {row[2]}, {row[3]})")
    for operation in ("compact-files", "rewrite-manifests"):
        done = maintain(server, "run", table, operation)
        assert done["outcome"] == "succeeded", done
    sql(f"CALL tw.system.rewrite_data_files(table => '{copy}', options => map('rewrite-all', 'true'))")
    sql(f"CALL tw.system.rewrite_manifests('{copy}')")
    for name in (table, copy):
        sql(f"REFRESH TABLE tw.{name}")
    rows = "SELECT * FROM tw.{} ORDER BY id"
    assert sql(rows.format(table)) == sql(rows.format(copy))
    files = "SELECT sum(record_count), count(*) FROM tw.{}.data_files"
    assert sql(files.format(table)) == sql(files.format(copy))


def distinct_values(server: Server, table: str) -> dict[int, str]:
    """The distinct values of each column, as the statistics of the current snapshot have them."""
    loaded = pyiceberg(server).load_table(table)
    current = loaded.current_snapshot()
    (statistics,) = [one for one in loaded.metadata.statistics if current and one.snapshot_id == current.snapshot_id]
    return {blob.fields[0]: blob.properties["ndv"] for blob in statistics.blob_metadata}


def test_statistics_beside_deletion_vectors_are_those_that_spark_computes(server: Server, sql: Sql, space: str) -> None:
    name = f"{space}.counted"
    sql(
        f"CREATE TABLE tw.{name} (id BIGINT, city STRING) USING iceberg "
        "TBLPROPERTIES ('format-version'='3', 'write.delete.mode'='merge-on-read')"
    )
    sql(f"INSERT INTO tw.{name} SELECT id, concat('city ', id % 7) FROM range(40)")
    sql(f"DELETE FROM tw.{name} WHERE id % 7 = 3 OR id = 39")
    assert sql(f"SELECT DISTINCT file_format FROM tw.{name}.delete_files") == [("PUFFIN",)]
    assert maintain(server, "run", name, "compute-statistics")["outcome"] == "succeeded"
    ours = distinct_values(server, name)
    sql(f"REFRESH TABLE tw.{name}")
    sql(f"CALL tw.system.compute_table_stats('{name}')")
    assert ours == distinct_values(server, name)
    assert ours[2] == "6"


def test_compaction_applies_equality_deletes_and_spark_reads_the_same_rows(
    server: Server, spark: SparkSession, sql: Sql, space: str
) -> None:
    name = f"{space}.equal"
    sql(f"CREATE TABLE tw.{name} (id BIGINT, city STRING) USING iceberg TBLPROPERTIES ('format-version'='2')")
    for number in range(6):
        sql(f"INSERT INTO tw.{name} SELECT /*+ COALESCE(1) */ * FROM VALUES ({number}, 'Oslo'), ({number + 10}, 'Bergen')")
    delete_equal(spark, f"tw.{name}", [2, 12, 99])
    sql(f"INSERT INTO tw.{name} VALUES (12, 'Rome')")
    rows = f"SELECT * FROM tw.{name} ORDER BY id"
    before = sql(rows)
    assert (12, "Rome") in before and len(before) == 11
    done = maintain(server, "run", name, "compact-files")
    assert (done["outcome"], done["written-files"]) == ("succeeded", 1), done
    sql(f"REFRESH TABLE tw.{name}")
    assert sql(rows) == before == pyiceberg_rows(server, name)
    assert sql(f"SELECT count(*) FROM tw.{name}.delete_files") == [(0,)]
