"""Snapshots, branches, tags, and their metadata tables."""

from __future__ import annotations

from datetime import timedelta

import pytest
from conftest import Sql
from support.readers import pyiceberg, pyiceberg_rows
from support.server import Server

METADATA_TABLES = (
    "all_data_files", "all_delete_files", "all_entries", "all_files", "all_manifests", "data_files", "delete_files", "entries",
    "files", "history", "manifests", "metadata_log_entries", "partitions", "position_deletes", "refs", "snapshots",
)  # fmt: skip


def test_earlier_state_is_read_by_snapshot_and_by_time(server: Server, sql: Sql, table: str) -> None:
    sql(f"INSERT INTO tw.{table} VALUES (3, 'Rome', 3.5, 30)")
    (first, began), (second, _) = sql(f"SELECT snapshot_id, committed_at FROM tw.{table}.snapshots ORDER BY committed_at")
    assert sql(f"SELECT count(*) FROM tw.{table} VERSION AS OF {first}") == [(2,)]
    assert sql(f"SELECT count(*) FROM tw.{table} VERSION AS OF {second}") == [(3,)]
    assert sql(f"SELECT count(*) FROM tw.{table} TIMESTAMP AS OF '{began}'") == [(2,)]
    with pytest.raises(Exception, match="(?i)cannot find a snapshot"):
        sql(f"SELECT count(*) FROM tw.{table} TIMESTAMP AS OF '{began - timedelta(hours=1)}'")
    assert len(pyiceberg_rows(server, table, first)) == 2


def test_branch_is_written_read_and_published(server: Server, sql: Sql, table: str) -> None:
    sql(f"ALTER TABLE tw.{table} CREATE BRANCH audit RETAIN 7 DAYS WITH SNAPSHOT RETENTION 3 SNAPSHOTS 2 DAYS")
    sql(f"INSERT INTO tw.{table}.branch_audit VALUES (3, 'Rome', 3.5, 30)")
    sql(f"DELETE FROM tw.{table}.branch_audit WHERE id = 1")
    assert sql(f"SELECT id FROM tw.{table} VERSION AS OF 'audit' ORDER BY id") == [(2,), (3,)]
    assert sql(f"SELECT id FROM tw.{table} ORDER BY id") == [(1,), (2,)]
    retained = pyiceberg(server).load_table(table).refs()["audit"]
    assert (retained.max_ref_age_ms, retained.min_snapshots_to_keep, retained.max_snapshot_age_ms) == (
        7 * 86_400_000, 3, 2 * 86_400_000,
    )  # fmt: skip
    sql(f"CALL tw.system.fast_forward('{table}', 'main', 'audit')")
    assert sql(f"SELECT id FROM tw.{table} ORDER BY id") == [(2,), (3,)]
    sql(f"ALTER TABLE tw.{table} DROP BRANCH audit")
    assert sql(f"SELECT name FROM tw.{table}.refs") == [("main",)]


def test_staged_change_is_published_after_its_audit(sql: Sql, table: str) -> None:
    sql(f"ALTER TABLE tw.{table} SET TBLPROPERTIES ('write.wap.enabled'='true')")
    try:
        sql("SET spark.wap.id = audit-1")
        sql(f"INSERT INTO tw.{table} VALUES (3, 'Rome', 3.5, 30)")
    finally:
        sql("RESET spark.wap.id")
    assert sql(f"SELECT count(*) FROM tw.{table}") == [(2,)]
    sql(f"CALL tw.system.publish_changes('{table}', 'audit-1')")
    assert sql(f"SELECT count(*) FROM tw.{table}") == [(3,)]


def test_tag_is_created_moved_read_and_dropped(sql: Sql, table: str) -> None:
    sql(f"ALTER TABLE tw.{table} CREATE TAG release")
    sql(f"INSERT INTO tw.{table} VALUES (3, 'Rome', 3.5, 30)")
    assert sql(f"SELECT count(*) FROM tw.{table}.tag_release") == [(2,)]
    ((newest,),) = sql(f"SELECT snapshot_id FROM tw.{table}.refs WHERE name = 'main'")
    sql(f"ALTER TABLE tw.{table} REPLACE TAG release AS OF VERSION {newest} RETAIN 30 DAYS")
    assert sql(f"SELECT count(*) FROM tw.{table} VERSION AS OF 'release'") == [(3,)]
    sql(f"ALTER TABLE tw.{table} DROP TAG release")
    assert sql(f"SELECT name FROM tw.{table}.refs") == [("main",)]
    with pytest.raises(Exception, match="(?i)cannot find matching snapshot"):
        sql(f"SELECT count(*) FROM tw.{table} VERSION AS OF 'release'")


@pytest.mark.parametrize("name", METADATA_TABLES)
def test_metadata_table_is_read(sql: Sql, table: str, name: str) -> None:
    sql(f"ALTER TABLE tw.{table} SET TBLPROPERTIES ('write.delete.mode'='merge-on-read')")
    sql(f"DELETE FROM tw.{table} WHERE id = 1")
    assert sql(f"SELECT * FROM tw.{table}.{name}")
