"""Iceberg's procedures for Spark."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from conftest import Sql
from support.readers import duckdb_rows, pyiceberg, pyiceberg_rows
from support.server import Server

TEN_DAYS_S = 10 * 86_400


def snapshots(sql: Sql, table: str) -> list[int]:
    return [row[0] for row in sql(f"SELECT snapshot_id FROM tw.{table}.snapshots ORDER BY committed_at")]


@pytest.fixture
def worn(sql: Sql, table: str) -> str:
    """A table of many small files and some deletes."""
    sql(f"ALTER TABLE tw.{table} SET TBLPROPERTIES ('write.delete.mode'='merge-on-read')")
    for row in range(3, 8):
        sql(f"INSERT INTO tw.{table} VALUES ({row}, 'Rome', 3.5, 30)")
    sql(f"DELETE FROM tw.{table} WHERE id IN (1, 4)")
    return table


REMAINING = [2, 3, 5, 6, 7]


def test_data_files_are_rewritten(server: Server, sql: Sql, worn: str) -> None:
    ((rewritten, added, *_),) = sql(
        f"CALL tw.system.rewrite_data_files(table => '{worn}', strategy => 'sort', sort_order => 'id DESC', "
        "options => map('rewrite-all', 'true', 'remove-dangling-deletes', 'true'))"
    )
    assert rewritten >= 6 and added == 1
    assert [row[0] for row in pyiceberg_rows(server, worn)] == REMAINING
    assert [row[0] for row in duckdb_rows(server, worn)] == REMAINING
    assert sql(f"SELECT count(*) FROM tw.{worn}.data_files") == [(1,)]


def test_manifests_are_rewritten(server: Server, sql: Sql, worn: str) -> None:
    ((rewritten, added),) = sql(f"CALL tw.system.rewrite_manifests('{worn}')")
    assert rewritten > added >= 1
    assert [row[0] for row in pyiceberg_rows(server, worn)] == REMAINING


def test_position_deletes_are_rewritten(server: Server, sql: Sql, worn: str) -> None:
    sql(f"DELETE FROM tw.{worn} WHERE id = 7")
    sql(f"CALL tw.system.rewrite_position_delete_files(table => '{worn}', options => map('rewrite-all', 'true'))")
    assert [row[0] for row in pyiceberg_rows(server, worn)] == REMAINING[:-1]


def test_expiry_removes_old_snapshots_and_their_files(server: Server, sql: Sql, worn: str) -> None:
    sql(f"CALL tw.system.rewrite_data_files(table => '{worn}', options => map('rewrite-all', 'true'))")
    before = snapshots(sql, worn)
    ((data_files, *_),) = sql(f"CALL tw.system.expire_snapshots(table => '{worn}', older_than => now(), retain_last => 1)")
    assert data_files > 0
    assert snapshots(sql, worn) == before[-1:]
    assert len(pyiceberg(server).load_table(worn).metadata.snapshots) == 1
    assert [row[0] for row in pyiceberg_rows(server, worn)] == REMAINING


def test_only_orphan_files_are_removed(server: Server, sql: Sql, worn: str) -> None:
    root = Path(pyiceberg(server).load_table(worn).location().removeprefix("file://"))
    orphans = [root / "data/orphan.parquet", root / "metadata/orphan.avro"]
    for orphan in orphans:
        orphan.write_bytes(b"nobody knows of this")
    # All files are as old as the orphans, so only files that the table references may stay.
    for file in (path for path in root.rglob("*") if path.is_file()):
        os.utime(file, times=(time.time() - TEN_DAYS_S,) * 2)
    removed = {row[0].removeprefix("file:") for row in sql(f"CALL tw.system.remove_orphan_files(table => '{worn}')")}
    assert {"/" + path.lstrip("/") for path in removed} == {str(orphan) for orphan in orphans}
    assert not any(orphan.exists() for orphan in orphans)
    sql(f"REFRESH TABLE tw.{worn}")
    sql(f"INSERT INTO tw.{worn} VALUES (8, 'Rome', 3.5, 30)")
    assert [row[0] for row in pyiceberg_rows(server, worn)] == [*REMAINING, 8]
    for (file,) in sql(f"SELECT file FROM tw.{worn}.metadata_log_entries"):
        assert Path(file.removeprefix("file://")).exists(), file


def test_table_is_rolled_back_to_a_snapshot_and_a_time(server: Server, sql: Sql, worn: str) -> None:
    all_of_them = snapshots(sql, worn)
    sql(f"CALL tw.system.rollback_to_snapshot('{worn}', {all_of_them[1]})")
    assert [row[0] for row in pyiceberg_rows(server, worn)] == [1, 2, 3]
    sql(f"CALL tw.system.set_current_snapshot('{worn}', {all_of_them[-1]})")
    assert [row[0] for row in pyiceberg_rows(server, worn)] == REMAINING
    ((began,),) = sql(f"SELECT committed_at FROM tw.{worn}.snapshots WHERE snapshot_id = {all_of_them[2]}")
    sql(f"CALL tw.system.rollback_to_timestamp('{worn}', TIMESTAMP '{began}')")
    assert len(pyiceberg_rows(server, worn)) == 3
    sql(f"CALL tw.system.cherrypick_snapshot('{worn}', {all_of_them[3]})")
    assert len(pyiceberg_rows(server, worn)) == 4


def test_table_is_registered_from_its_metadata(server: Server, sql: Sql, table: str, space: str) -> None:
    file = pyiceberg(server).load_table(table).metadata_location
    sql(f"DROP TABLE tw.{table}")
    registered = sql(f"CALL tw.system.register_table(table => '{space}.again', metadata_file => '{file}')")
    assert registered[0][1] == 2
    assert [row[0] for row in pyiceberg_rows(server, f"{space}.again")] == [1, 2]
    with pytest.raises(Exception, match="(?i)already exists"):
        sql(f"CALL tw.system.register_table(table => '{space}.again', metadata_file => '{file}')")


def test_ancestors_of_a_snapshot_and_changes_are_shown(sql: Sql, table: str) -> None:
    sql(f"INSERT INTO tw.{table} VALUES (3, 'Rome', 3.5, 30)")
    (first, second) = snapshots(sql, table)
    assert [row[0] for row in sql(f"CALL tw.system.ancestors_of('{table}')")] == [second, first]
    sql(f"CALL tw.system.create_changelog_view(table => '{table}', changelog_view => 'changes')")
    assert sql("SELECT id, _change_type FROM changes WHERE id = 3") == [(3, "INSERT")]
    sql("DROP VIEW changes")


def test_statistics_are_computed_and_kept(server: Server, sql: Sql, table: str) -> None:
    sql(f"ALTER TABLE tw.{table} ADD PARTITION FIELD city")
    sql(f"INSERT INTO tw.{table} VALUES (3, 'Rome', 3.5, 30)")
    sql(f"CALL tw.system.compute_table_stats(table => '{table}')")
    sql(f"CALL tw.system.compute_partition_stats(table => '{table}')")
    metadata = pyiceberg(server).load_table(table).metadata
    assert len(metadata.statistics) == 1 and len(metadata.partition_statistics) == 1
