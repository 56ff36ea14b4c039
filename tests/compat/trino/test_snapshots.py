"""Snapshots, metadata tables, and Trino's table maintenance."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import trino as client
from conftest import Sql
from support.readers import duckdb_rows, pyiceberg, pyiceberg_rows
from support.server import Server

TEN_DAYS_S = 10 * 86_400
METADATA_TABLES = (
    "all_entries", "all_manifests", "entries", "files", "history", "manifests", "metadata_log_entries", "partitions",
    "properties", "refs", "snapshots",
)  # fmt: skip
REMAINING = [2, 3, 5, 6, 7]


def hidden(table: str, name: str) -> str:
    """Returns the name of a metadata table."""
    space, plain = table.split(".")
    return f'tw.{space}."{plain}${name}"'


def snapshots(sql: Sql, table: str) -> list[int]:
    return [row[0] for row in sql(f"SELECT snapshot_id FROM {hidden(table, 'snapshots')} ORDER BY committed_at")]


@pytest.fixture
def worn(sql: Sql, table: str) -> str:
    """A table of many small files and some deletes."""
    for row in range(3, 8):
        sql(f"INSERT INTO tw.{table} VALUES ({row}, 'Rome', 3.5, 30)")
    sql(f"DELETE FROM tw.{table} WHERE id IN (1, 4)")
    return table


def test_earlier_state_is_read_by_snapshot_and_by_time(server: Server, sql: Sql, table: str) -> None:
    sql(f"INSERT INTO tw.{table} VALUES (3, 'Rome', 3.5, 30)")
    rows = sql(f"SELECT snapshot_id, CAST(committed_at AS VARCHAR) FROM {hidden(table, 'snapshots')} ORDER BY committed_at")
    (_, (first, began), (second, _)) = rows
    assert sql(f"SELECT count(*) FROM tw.{table} FOR VERSION AS OF {first}") == [(2,)]
    assert sql(f"SELECT count(*) FROM tw.{table} FOR VERSION AS OF {second}") == [(3,)]
    assert sql(f"SELECT count(*) FROM tw.{table} FOR TIMESTAMP AS OF TIMESTAMP '{began}'") == [(2,)]
    with pytest.raises(client.exceptions.TrinoUserError, match="No version history"):
        sql(f"SELECT count(*) FROM tw.{table} FOR TIMESTAMP AS OF TIMESTAMP '2020-01-01 00:00:00 UTC'")
    assert len(pyiceberg_rows(server, table, first)) == 2


def test_branches_and_tags_of_other_engines_are_read(server: Server, sql: Sql, table: str) -> None:
    loaded = pyiceberg(server).load_table(table)
    newest = loaded.current_snapshot().snapshot_id
    loaded.manage_snapshots().create_branch(newest, "audit").create_tag(newest, "release").commit()
    sql(f"INSERT INTO tw.{table} VALUES (3, 'Rome', 3.5, 30)")
    for name in ("audit", "release"):
        assert sql(f"SELECT count(*) FROM tw.{table} FOR VERSION AS OF '{name}'") == [(2,)]
    refs = sql(f"SELECT name, type FROM {hidden(table, 'refs')} ORDER BY name")
    assert refs == [("audit", "BRANCH"), ("main", "BRANCH"), ("release", "TAG")]
    assert set(pyiceberg(server).load_table(table).refs()) == {"audit", "main", "release"}, "a commit of Trino lost a branch or tag"


@pytest.mark.parametrize("name", METADATA_TABLES)
def test_metadata_table_is_read(sql: Sql, table: str, name: str) -> None:
    assert sql(f"SELECT * FROM {hidden(table, name)}")


def test_every_table_of_the_catalog_is_listed(sql: Sql, table: str) -> None:
    space, name = table.split(".")
    assert sql(f"SELECT table_name FROM tw.system.iceberg_tables WHERE table_schema = '{space}'") == [(name,)]


def test_small_files_are_compacted(server: Server, sql: Sql, worn: str) -> None:
    sql(f"ALTER TABLE tw.{worn} EXECUTE optimize(file_size_threshold => '10MB')")
    assert sql(f"SELECT count(*) FROM {hidden(worn, 'files')}") == [(1,)]
    assert [row[0] for row in pyiceberg_rows(server, worn)] == REMAINING, "PyIceberg reads other rows, so delete files may remain"


def test_manifests_are_compacted(server: Server, sql: Sql, worn: str) -> None:
    before = len(sql(f"SELECT path FROM {hidden(worn, 'manifests')}"))
    sql(f"ALTER TABLE tw.{worn} EXECUTE optimize_manifests")
    assert len(sql(f"SELECT path FROM {hidden(worn, 'manifests')}")) < before
    assert [row[0] for row in duckdb_rows(server, worn)] == REMAINING


def test_expiry_removes_old_snapshots(server: Server, sql: Sql, worn: str) -> None:
    newest = snapshots(sql, worn)[-1]
    sql(f"ALTER TABLE tw.{worn} EXECUTE expire_snapshots(retention_threshold => '0s')", expire_snapshots_min_retention="0s")
    assert snapshots(sql, worn) == [newest]
    assert len(pyiceberg(server).load_table(worn).metadata.snapshots) == 1
    assert [row[0] for row in duckdb_rows(server, worn)] == REMAINING


def test_only_orphan_files_are_removed(server: Server, sql: Sql, worn: str) -> None:
    root = Path(pyiceberg(server).load_table(worn).location().removeprefix("file://"))
    orphans = [root / "data/orphan.parquet", root / "metadata/orphan.avro"]
    for orphan in orphans:
        orphan.write_bytes(b"nobody knows of this")
    # All files are as old as the orphans, so only files that the table references may stay.
    for file in (path for path in root.rglob("*") if path.is_file()):
        os.utime(file, times=(time.time() - TEN_DAYS_S,) * 2)
    before = {path for path in root.rglob("*") if path.is_file()}
    sql(f"ALTER TABLE tw.{worn} EXECUTE remove_orphan_files(retention_threshold => '8d')")
    gone = before - {path for path in root.rglob("*") if path.is_file()}
    assert set(orphans) <= gone
    assert not [path for path in gone - set(orphans) if path.suffix == ".json"], "metadata documents were removed"
    sql(f"INSERT INTO tw.{worn} VALUES (8, 'Rome', 3.5, 30)")
    assert [row[0] for row in duckdb_rows(server, worn)] == [*REMAINING, 8]


def test_table_is_rolled_back_to_a_snapshot(server: Server, sql: Sql, worn: str) -> None:
    sql(f"ALTER TABLE tw.{worn} EXECUTE rollback_to_snapshot({snapshots(sql, worn)[2]})")
    assert [row[0] for row in pyiceberg_rows(server, worn)] == [1, 2, 3]


def test_changes_between_snapshots_are_shown(sql: Sql, worn: str) -> None:
    space, name = worn.split(".")
    of_all = snapshots(sql, worn)
    changes = sql(
        f"SELECT _change_type, id FROM TABLE(tw.system.table_changes('{space}', '{name}', {of_all[1]}, {of_all[3]})) ORDER BY id"
    )
    assert changes == [("insert", 3), ("insert", 4)]


def test_table_is_registered_from_its_metadata_and_unregistered(server: Server, sql: Sql, table: str, space: str) -> None:
    loaded = pyiceberg(server).load_table(table)
    sql(f"CALL tw.system.unregister_table('{space}', 'sightings')")
    assert sql(f"SHOW TABLES FROM tw.{space}") == []
    # Without the file's name, Trino looks for the newest file, and names files on local disk `local://`.
    file = Path(loaded.metadata_location).name
    sql(f"CALL tw.system.register_table('{space}', 'again', '{loaded.location()}', '{file}')")
    assert [row[0] for row in pyiceberg_rows(server, f"{space}.again")] == [1, 2]


def test_statistics_are_gathered_and_shown(server: Server, sql: Sql, table: str) -> None:
    sql(f"ANALYZE tw.{table}")
    shown = {row[0]: row for row in sql(f"SHOW STATS FOR tw.{table}")}
    assert shown["city"][2] == 2.0 and shown[None][4] == 2.0
    assert len(pyiceberg(server).load_table(table).metadata.statistics) == 1
