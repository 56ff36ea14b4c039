"""Dropped tables: restored and read by real clients, or purged with all of their files and no others."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import BadRequestError, NoSuchTableError
from pyiceberg.table import Table
from pyiceberg.table.statistics import StatisticsFile

from support import sail
from support.admin import Admin
from support.rest import Rest, answer, empty, refused
from support.rows import SIGHTINGS, in_order, sightings
from support.server import Server
from test_duckdb import EXTENSIONS, extension_file
from test_pyiceberg_tables import path_of

ENOUGH_S = 90.0


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server]) -> Server:
    """A server that keeps dropped tables for a week."""
    server = make_server("dropped")
    server.start()
    return server


@pytest.fixture(scope="module")
def hasty(make_server: Callable[..., Server]) -> Server:
    """A server that keeps no dropped tables."""
    server = make_server("hasty", env={"TIDEWATER_DROP__RETENTION_S": "0"})
    server.start()
    return server


@pytest.fixture(scope="module")
def few_seconds(make_server: Callable[..., Server]) -> Server:
    """A server that keeps dropped tables just long enough to create a table."""
    server = make_server("few_seconds", env={"TIDEWATER_DROP__RETENTION_S": "4"})
    server.start()
    return server


@pytest.fixture(scope="module")
def brief(make_server: Callable[..., Server]) -> Server:
    """A server that keeps dropped tables for a second, so that no answer waits for a purge."""
    server = make_server("brief", env={"TIDEWATER_DROP__RETENTION_S": "1"})
    server.start()
    return server


def client(server: Server) -> RestCatalog:
    return RestCatalog("tidewater", uri=server.uri, token=server.key)


def duck(server: Server) -> duckdb.DuckDBPyConnection:
    """DuckDB with the catalog as `ic`."""
    assert server.printed is not None
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "threads": "2"})
    for name in EXTENSIONS:
        connection.execute(f"LOAD '{extension_file(name)}'")
    connection.execute(
        f"ATTACH '{server.printed.warehouse}' AS ic (TYPE ICEBERG, ENDPOINT '{server.uri}', TOKEN '{server.key}')"
    )
    return connection


def management(server: Server, rest: str = "dropped") -> str:
    assert server.printed is not None
    return f"{server.uri}/management/v1/warehouses/{server.printed.warehouse}/{rest}"


def dropped(server: Server) -> list[dict]:
    return answer(Rest(server.uri, server.key).get(management(server)))["dropped"]


def files(folder: Path) -> dict[Path, int]:
    """Returns all files below a folder with their modification times. Files and folders may disappear meanwhile."""
    found = {}
    for parent, _, names in os.walk(folder):
        for path in (Path(parent) / name for name in names):
            with contextlib.suppress(FileNotFoundError):
                found[path] = path.stat().st_mtime_ns
    return found


def until(is_so: Callable[[], bool]) -> None:
    """Waits for the effect of a background task."""
    deadline = time.monotonic() + ENOUGH_S
    while not is_so():
        assert time.monotonic() < deadline, f"the condition is not met after {ENOUGH_S} s"
        time.sleep(0.02)


def furnished(server: Server, namespace: str, name: str, version: str = "2", **properties: str) -> Table:
    """Creates a table with snapshots of two engines, deleted rows, and a statistics file."""
    catalog = client(server)
    catalog.create_namespace_if_not_exists(namespace)
    table = catalog.create_table((namespace, name), SIGHTINGS, properties={"format-version": version, **properties})
    with duck(server) as engine:
        for number in range(4):
            if version == "2":
                table.append(sightings((2 * number, "Oslo", 1.5), (2 * number + 1, "Voss", None)))
            else:
                # PyIceberg 0.12 writes no manifests of version 3.
                values = f"({2 * number}, 'Oslo', 1.5), ({2 * number + 1}, 'Voss', NULL)"
                engine.execute(f"INSERT INTO ic.{namespace}.{name} VALUES {values}")
        engine.execute(f"DELETE FROM ic.{namespace}.{name} WHERE id = 3")
        engine.execute(f"INSERT INTO ic.{namespace}.{name} VALUES (100, 'Bergen', 2.5)")
    table = catalog.load_table((namespace, name))
    statistics = path_of(table.location()) / "metadata" / "of-a-test.stats"
    statistics.write_bytes(b"PFA1")
    snapshot = table.current_snapshot()
    assert snapshot is not None
    with table.update_statistics() as update:
        update.set_statistics(
            StatisticsFile(
                snapshot_id=snapshot.snapshot_id,
                statistics_path=statistics.as_uri(),
                file_size_in_bytes=4,
                file_footer_size_in_bytes=1,
                blob_metadata=[],
            )
        )
    return catalog.load_table((namespace, name))


def manifest_names(table: Table) -> set[str]:
    return {entry.content.name for snapshot in table.snapshots() for entry in snapshot.manifests(table.io)}


def test_dropped_table_is_restored_and_read_unchanged(server: Server, unique: str) -> None:
    table = furnished(server, unique, "t")
    rows = in_order(table.scan().to_arrow())
    location, before = path_of(table.location()), files(path_of(table.location()))
    catalog = client(server)
    catalog.drop_table((unique, "t"))
    with pytest.raises(NoSuchTableError):
        catalog.load_table((unique, "t"))
    catalog.create_table((unique, "t"), SIGHTINGS).append(sightings((7, "new", None)))

    listed = json.loads(server.command("table", "dropped", unique, "--json").stdout)
    assert [(one["name"], one["restorable"], one["state"]) for one in listed] == [("t", True, "kept")]
    taken = server.command("table", "restore", f"{unique}.t", check=False)
    assert taken.returncode == 1 and "--as" in taken.stderr
    assert f"Restored table '{unique}.old'." in server.command("table", "restore", f"{unique}.t", "--as", f"{unique}.old").stdout
    restored = catalog.load_table((unique, "old"))
    assert restored.metadata == table.metadata
    assert in_order(restored.scan().to_arrow()) == rows
    with duck(server) as engine:
        read = engine.execute(f"SELECT id, city, size FROM ic.{unique}.old ORDER BY id").fetchall()
        assert read == rows
        engine.execute(f"INSERT INTO ic.{unique}.old VALUES (200, 'after', 0)")
    assert catalog.load_table((unique, "old")).scan().to_arrow().num_rows == len(rows) + 1
    assert before.items() <= files(location).items(), "a file was removed or changed"
    assert in_order(catalog.load_table((unique, "t")).scan().to_arrow()) == [(7, "new", None)]


def test_table_dropped_with_a_purge_can_be_restored(server: Server, unique: str) -> None:
    table = furnished(server, unique, "t")
    rows = in_order(table.scan().to_arrow())
    client(server).purge_table((unique, "t"))
    (entry,) = [one for one in dropped(server) if one["identifier"]["namespace"] == [unique]]
    assert entry["purge-requested"] and entry["restorable"]
    rest = Rest(server.uri, server.key)
    empty(rest.post(management(server, f"dropped/{entry['id']}/restore"), json={}))
    assert in_order(client(server).load_table((unique, "t")).scan().to_arrow()) == rows


@pytest.mark.parametrize("purge", [False, True])
def test_table_at_a_dropped_tables_location_works_and_is_not_purged(
    few_seconds: Server, unique: str, purge: bool
) -> None:
    """The old table's purge would become due while the new one is written."""
    old = furnished(few_seconds, unique, "t")
    catalog = client(few_seconds)
    (catalog.purge_table if purge else catalog.drop_table)((unique, "t"))
    new = catalog.create_table((unique, "t"), SIGHTINGS, location=old.location())
    assert new.location() == old.location()
    (entry,) = [one for one in dropped(few_seconds) if one["identifier"]["namespace"] == [unique]]
    assert (entry["state"], entry["restorable"], entry["purge-requested"]) == ("replaced", False, False)
    refusal = few_seconds.command("table", "restore", "--id", entry["id"], check=False)
    assert refusal.returncode == 1 and f"given to table {unique}.t" in refusal.stderr, refusal.stderr
    before = files(path_of(old.location()))
    new.append(sightings((1, "Oslo", 1.5)))
    until(lambda: all(one["id"] != entry["id"] for one in dropped(few_seconds)))
    new.append(sightings((2, "Voss", None)))
    assert before.items() <= files(path_of(old.location())).items(), "a file was removed or changed"
    assert in_order(catalog.load_table((unique, "t")).scan().to_arrow()) == [(1, "Oslo", 1.5), (2, "Voss", None)]
    with duck(few_seconds) as engine:
        engine.execute(f"INSERT INTO ic.{unique}.t VALUES (3, 'Bergen', 2.5)")
        assert engine.execute(f"SELECT count(*) FROM ic.{unique}.t").fetchall() == [(3,)]


def test_dropped_table_deleted_by_the_command_line_is_gone(server: Server, unique: str) -> None:
    keep, purge = furnished(server, unique, "keep"), furnished(server, unique, "purge")
    kept = files(path_of(keep.location()))
    for name in ("keep", "purge"):
        client(server).drop_table((unique, name))
    ids = {one["name"]: one["id"] for one in json.loads(server.command("table", "dropped", unique, "--json").stdout)}
    assert "its files stay" in server.command("table", "delete", ids["keep"]).stdout
    assert "a running server removes" in server.command("table", "delete", ids["purge"], "--purge").stdout
    late = server.command("table", "restore", "--id", ids["purge"], check=False)
    assert late.returncode == 1, late
    until(lambda: not files(path_of(purge.location())))
    assert files(path_of(keep.location())) == kept
    assert "no dropped table" in server.command("table", "dropped", unique).stderr


def test_dropped_view_is_restored_unchanged(server: Server, unique: str) -> None:
    rest = Rest(server.uri, server.key)
    rest.create_namespace(unique)
    view = {
        "name": "v",
        "properties": {},
        "schema": {"type": "struct", "fields": [{"id": 1, "name": "id", "required": False, "type": "int"}]},
        "view-version": {
            "version-id": 1,
            "timestamp-ms": 1_700_000_000_000,
            "schema-id": 0,
            "summary": {},
            "default-namespace": [unique],
            "representations": [{"type": "sql", "sql": "select 1", "dialect": "duckdb"}],
        },
    }
    made = answer(rest.post(f"/namespaces/{unique}/views", json=view))
    client(server).drop_view((unique, "v"))
    refused(rest.get(f"/namespaces/{unique}/views/v"), 404, "NoSuchViewException")
    assert f"{unique}.v" in server.command("view", "dropped", unique).stdout
    server.command("view", "restore", f"{unique}.v")
    assert answer(rest.get(f"/namespaces/{unique}/views/v")) == made


@pytest.mark.parametrize("version", ["2", "3"])
def test_purge_removes_all_files_of_its_table_only(
    hasty: Server, unique: str, version: str
) -> None:
    table, neighbour = furnished(hasty, unique, "t", version), furnished(hasty, unique, "n", version)
    location, others = path_of(table.location()), files(path_of(neighbour.location()))
    assert manifest_names(table) == {"DATA", "DELETES"}
    if version == "3":
        assert list(location.rglob("*.puffin")), "the table has no deletion vectors"
    orphan = location / "data" / "nobody-knows.parquet"
    orphan.write_bytes(b"x")
    with duck(hasty) as engine:
        rows = engine.execute(f"SELECT * FROM ic.{unique}.n ORDER BY id").fetchall()
    client(hasty).purge_table((unique, "t"))
    until(lambda: not dropped(hasty))
    assert list(files(location)) == [orphan], "only the file that no snapshot uses may remain"
    assert files(path_of(neighbour.location())) == others
    with duck(hasty) as engine:
        assert engine.execute(f"SELECT * FROM ic.{unique}.n ORDER BY id").fetchall() == rows


def test_purge_with_gc_disabled_removes_nothing(hasty: Server, unique: str) -> None:
    table = furnished(hasty, unique, "t", **{"gc.enabled": "false"})
    before = files(path_of(table.location()))
    client(hasty).purge_table((unique, "t"))
    until(lambda: not dropped(hasty))
    assert files(path_of(table.location())) == before


def test_plain_drop_without_retention_is_final_and_leaves_the_files(hasty: Server, unique: str) -> None:
    table = furnished(hasty, unique, "t")
    before = files(path_of(table.location()))
    client(hasty).drop_table((unique, "t"))
    assert dropped(hasty) == []
    assert files(path_of(table.location())) == before
    again = client(hasty).register_table((unique, "again"), table.metadata_location)
    assert in_order(again.scan().to_arrow()) == in_order(table.scan().to_arrow())


def test_purge_after_a_rename_leaves_the_new_table_of_the_old_name(hasty: Server, unique: str) -> None:
    catalog = client(hasty)
    furnished(hasty, unique, "a")
    catalog.rename_table((unique, "a"), (unique, "b"))
    second = furnished(hasty, unique, "a")
    before, rows = files(path_of(second.location())), in_order(second.scan().to_arrow())
    catalog.purge_table((unique, "b"))
    until(lambda: not dropped(hasty))
    assert files(path_of(second.location())) == before
    assert in_order(catalog.load_table((unique, "a")).scan().to_arrow()) == rows


def test_second_data_location_is_purged_and_then_free(hasty: Server, unique: str) -> None:
    catalog = client(hasty)
    other = furnished(hasty, unique, "other")
    data = other.location() + "-data"
    table = furnished(hasty, unique, "t", **{"write.data.path": data})
    assert files(path_of(data)), "the second location has no data"
    with pytest.raises(BadRequestError, match="overlaps that of another table"), other.transaction() as change:
        change.set_properties({"write.data.path": data + "/inner"})
    before = files(path_of(other.location()))
    catalog.purge_table((unique, "t"))
    until(lambda: not dropped(hasty))
    assert not files(path_of(data)) and not files(path_of(table.location()))
    with other.transaction() as change:
        change.set_properties({"write.data.path": data + "/inner"})
    other.append(sightings((200, "Oslo", 1.5)))
    assert files(path_of(data + "/inner"))
    assert before.items() <= files(path_of(other.location())).items()


def test_purge_removes_no_files_outside_of_the_tables_locations(hasty: Server, unique: str) -> None:
    victim = furnished(hasty, unique, "victim")
    before = files(path_of(victim.location()))
    catalog = client(hasty)
    thief = catalog.create_table((unique, "thief"), SIGHTINGS)
    foreign = [task.file.file_path for task in victim.scan().plan_files() if not task.delete_files]
    assert foreign
    thief.add_files(foreign)
    own = path_of(thief.location())
    catalog.purge_table((unique, "thief"))
    until(lambda: not dropped(hasty))
    assert not files(own)
    assert files(path_of(victim.location())) == before
    assert "are outside of its own locations" in hasty.stderr()


def test_dropped_table_is_removed_after_its_retention(make_server: Callable[..., Server], unique: str) -> None:
    server = make_server("short", env={"TIDEWATER_DROP__RETENTION_S": "2"})
    server.start()
    purged, kept = furnished(server, unique, "purged"), furnished(server, unique, "kept")
    remain = files(path_of(kept.location()))
    catalog = client(server)
    catalog.purge_table((unique, "purged"))
    catalog.drop_table((unique, "kept"))
    assert len(dropped(server)) == 2
    until(lambda: not dropped(server))
    assert not files(path_of(purged.location()))
    assert files(path_of(kept.location())) == remain
    server.stop()


def large(server: Server, namespace: str, name: str) -> Table:
    """Creates a table of some thousand small data files."""
    catalog = client(server)
    table = catalog.create_table((namespace, name), SIGHTINGS)
    table.append(sightings((1, "Oslo", 1.5)))
    (first,) = [path_of(task.file.file_path) for task in table.scan().plan_files()]
    copies = [first.with_name(f"copy-{number:04}.parquet") for number in range(3000)]
    for copy in copies:
        os.link(first, copy)
    table.add_files([copy.as_uri() for copy in copies], check_duplicate_files=False)
    return catalog.load_table((namespace, name))


def purge_until_it_has_begun(server: Server, table: Table) -> Path:
    """Drops the table with a purge, and returns its folder of data files when the first of them is gone."""
    data = path_of(table.location()) / "data"
    assert len(list(data.iterdir())) > 3000
    early = data / "copy-0000.parquet"
    client(server).purge_table(table.name())
    deadline = time.monotonic() + ENOUGH_S
    # No pause between the looks: the middle is short.
    while early.exists():
        assert time.monotonic() < deadline, "the purge did not begin"
    return data


def kill_in_the_middle_of_a_purge(server: Server, namespace: str) -> Table:
    """Purges tables until one of them is left half-removed by a kill: a purge may end before a busy machine lets us kill it."""
    for attempt in range(10):
        table = large(server, namespace, f"large-{attempt}")
        data = purge_until_it_has_begun(server, table)
        server.kill()
        left = list(data.iterdir()) if data.exists() else []
        server.start()
        if left:
            return table
        until(lambda: not dropped(server))
    raise AssertionError("every purge had ended before it was killed")


def test_purge_interrupted_by_a_kill_ends_after_the_next_start(brief: Server, unique: str) -> None:
    client(brief).create_namespace(unique)
    neighbour = furnished(brief, unique, "n")
    others, rows = files(path_of(neighbour.location())), in_order(neighbour.scan().to_arrow())
    table = kill_in_the_middle_of_a_purge(brief, unique)
    (entry,) = dropped(brief)
    assert (entry["state"], entry["restorable"]) == ("removing", False)
    until(lambda: not dropped(brief))
    assert not files(path_of(table.location()))
    assert files(path_of(neighbour.location())) == others
    assert in_order(client(brief).load_table((unique, "n")).scan().to_arrow()) == rows


def test_keep_files_stops_a_running_purge_before_its_answer(brief: Server, unique: str) -> None:
    client(brief).create_namespace(unique)
    for attempt in range(10):
        data = purge_until_it_has_begun(brief, large(brief, unique, f"large-{attempt}"))
        (entry,) = dropped(brief)
        done = brief.command("table", "delete", entry["id"], "--keep-files", check=False)
        left = files(data)
        if done.returncode == 0 and left:
            break
        # The purge ended before the command.
        until(lambda: not dropped(brief))
    assert "those that are left stay" in done.stdout, done.stderr
    assert dropped(brief) == []
    # Whatever ran in the background has ended with the server.
    assert brief.stop() == 0
    assert files(data) == left
    brief.start()


def test_duckdb_sail_and_pyiceberg_request_a_purge_as_documented(server: Server, unique: str) -> None:
    catalog = client(server)
    catalog.create_namespace(unique)
    for name in ("duckdb", "sail", "sail_purge", "pyiceberg", "pyiceberg_purge"):
        catalog.create_table((unique, name), SIGHTINGS)
    with duck(server) as engine:
        engine.execute(f"DROP TABLE ic.{unique}.duckdb")
    statements = [f"DROP TABLE {unique}.sail", f"DROP TABLE {unique}.sail_purge PURGE"]
    sail.run(server, statements, bearer_access_token=server.key)
    catalog.drop_table((unique, "pyiceberg"))
    catalog.purge_table((unique, "pyiceberg_purge"))
    mine = [one for one in dropped(server) if one["identifier"]["namespace"] == [unique]]
    asked = {one["identifier"]["name"]: one["purge-requested"] for one in mine}
    assert asked == {name: name.endswith("_purge") for name in asked} and len(asked) == 5


def test_table_with_files_removed_by_an_engine_cannot_be_restored(server: Server, unique: str) -> None:
    """Spark's DROP TABLE ... PURGE sends a plain drop and removes the files itself."""
    table = furnished(server, unique, "t")
    catalog = client(server)
    catalog.drop_table((unique, "t"))
    shutil.rmtree(path_of(table.location()))
    refusal = server.command("table", "restore", f"{unique}.t", check=False)
    assert refusal.returncode == 1 and table.metadata_location in refusal.stderr, refusal.stderr
    (entry,) = [one for one in dropped(server) if one["identifier"]["namespace"] == [unique]]
    rest = Rest(server.uri, server.key)
    message = refused(rest.post(management(server, f"dropped/{entry['id']}/restore"), json={}), 409, "NotRestorableException")
    assert table.metadata_location in message["message"] and "is missing" in message["message"]
    assert not catalog.table_exists((unique, "t"))


def test_purge_interrupted_by_a_stop_continues_without_waiting_for_a_lease(brief: Server, unique: str) -> None:
    client(brief).create_namespace(unique)
    table = large(brief, unique, "large")
    data = purge_until_it_has_begun(brief, table)
    assert brief.stop() == 0
    left = len(files(data))
    brief.start()
    began = time.monotonic()
    until(lambda: not dropped(brief) or len(files(data)) < left)
    assert time.monotonic() - began < 20, "the purge waited for a lease"
    until(lambda: not dropped(brief))
    assert not files(path_of(table.location()))


def test_metrics_reports_are_stored_and_listed(server: Server, unique: str) -> None:
    """PyIceberg sends no reports, so these follow the specification."""
    rest = Rest(server.uri, server.key)
    furnished(server, unique, "t")
    scan = {
        "report-type": "scan-report",
        "table-name": f"{unique}.t",
        "snapshot-id": 23,
        "filter": {"type": "gt-eq", "term": "id", "value": 5},
        "schema-id": 0,
        "projected-field-ids": [1, 2, 3],
        "projected-field-names": ["id", "city", "size"],
        "metrics": {
            "total-planning-duration": {"count": 1, "time-unit": "nanoseconds", "total-duration": 2644235116},
            "result-data-files": {"unit": "count", "value": 1},
            "total-file-size-in-bytes": {"unit": "bytes", "value": 2 * 10**12},
        },
        "metadata": {"iceberg-version": "Apache Iceberg 1.11.0"},
    }
    commit = {
        "report-type": "commit-report",
        "table-name": f"{unique}.t",
        "snapshot-id": 24,
        "sequence-number": 2,
        "operation": "append",
        "metrics": {
            "total-duration": {"count": 1, "time-unit": "nanoseconds", "total-duration": 9},
            "attempts": {"unit": "count", "value": 1},
        },
    }
    for report in (scan, commit):
        empty(rest.post(f"/namespaces/{unique}/tables/t/metrics", json=report))
    refused(rest.post(f"/namespaces/{unique}/tables/t/metrics", json={**scan, "report-type": "x"}), 400)

    def shown() -> list[dict]:
        return json.loads(server.command("table", "metrics", f"{unique}.t", "--json").stdout)

    until(lambda: len(shown()) == 2)
    assert [one["report"] for one in shown()] == [commit, scan]
    assert "attempts=1" in server.command("table", "metrics", f"{unique}.t", "--type", "commit-report").stdout
    client(server).rename_table((unique, "t"), (unique, "u"))
    found = answer(rest.get(management(server, "metrics"), params={"namespace": unique, "table": "u"}))["reports"]
    assert [one["report"] for one in found] == [commit, scan]


def test_warehouse_with_dropped_tables_cannot_be_deleted(make_server: Callable[..., Server]) -> None:
    server = make_server("dropped-warehouse")
    server.start()
    admin = Admin(server)
    organisation = admin.organisation("enterprise")
    key = admin.key(organisation, "admin")
    rest = admin.rest(key)
    rest.create_namespace("ns")
    rest.create_table("ns", {"name": "t", "schema": {"type": "struct", "fields": []}})
    empty(rest.delete("/namespaces/ns/tables/t"))
    empty(rest.delete("/namespaces/ns"))
    kept = server.command("warehouse", "drop", "main", "--org", organisation, check=False)
    assert kept.returncode == 1 and "tidewater table dropped" in kept.stderr
    (one,) = json.loads(server.command("table", "dropped", "--org", organisation, "--json").stdout)
    server.command("table", "delete", one["id"], "--org", organisation)
    server.command("warehouse", "drop", "main", "--org", organisation)
