"""Maintenance of tables: expiry of snapshots and removal of orphan files beside writers and kills. No row is lost or doubled, and no
file that a table needs goes."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.table import Table

from support.rows import SIGHTINGS, in_order, sightings
from support.server import Server
from test_pyiceberg_tables import path_of

NAMESPACE = "ns"
# A snapshot expires at once, except the current one.
HASTY = {"history.expire.max-snapshot-age-ms": "1"}
# Files of this age can be orphans. Appends take much less, also on a slow machine.
ORPHAN_AGE_S = 60


def client(server: Server) -> RestCatalog:
    return RestCatalog("tidewater", uri=server.uri, token=server.key)


def folder_of(table: Table) -> Path:
    return path_of(table.location())


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def needed_by(table: Table) -> set[str]:
    """The files to which the table's current document leads, as PyIceberg reads it."""
    folder, io = folder_of(table), table.io
    needed = {table.metadata_location, *(entry.metadata_file for entry in table.metadata.metadata_log)}
    for snapshot in table.snapshots():
        needed.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(io):
            needed.add(manifest.manifest_path)
            for entry in manifest.fetch_manifest_entry(io, discard_deleted=True):
                needed.add(entry.data_file.file_path)
    return {str(path_of(location).relative_to(folder)) for location in needed}


def make_older(path: Path, age_s: float) -> None:
    moment = time.time() - age_s
    os.utime(path, (moment, moment))


def run(server: Server, operation: str, table: str = f"{NAMESPACE}.t", verb: str = "run") -> dict:
    return json.loads(server.command("maintenance", verb, table, operation, "--json").stdout)


def numbers(table: Table) -> list[int]:
    return [row[0] for row in in_order(table.scan().to_arrow())]


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    env = {
        "TIDEWATER_MAINTENANCE__MIN_ORPHAN_AGE_S": str(ORPHAN_AGE_S),
        "TIDEWATER_MAINTENANCE__LOOK_INTERVAL_S": "1",
    }
    server = make_server("maintenance", env=env)
    server.start()
    return server


def shorten_orphan_age(server: Server) -> None:
    """Sets the age of files from which they can be orphans. Nothing runs by itself because of it."""
    server.command("maintenance", "set-policy", "--orphan-age", f"{ORPHAN_AGE_S}s")


def test_expired_snapshots_go_with_the_files_that_only_they_need(server: Server) -> None:
    catalog = client(server)
    catalog.create_namespace(NAMESPACE)
    table = catalog.create_table((NAMESPACE, "t"), SIGHTINGS, properties=HASTY)
    for number in range(3):
        table.append(sightings((number, "Oslo", None)))
    with table.manage_snapshots() as snapshots:
        snapshots.create_tag(table.current_snapshot().snapshot_id, "third")
    table.overwrite(sightings((7, "Bergen", None)))
    table.overwrite(sightings((8, "Bodø", None)))
    before = files_of(folder_of(table))
    shown = run(server, "expire-snapshots", verb="preview")
    assert shown["outcome"] == "succeeded" and shown["snapshots"] > 0 and files_of(folder_of(table)) == before
    done = run(server, "expire-snapshots")
    assert (done["snapshots"], done["files"]) == (shown["snapshots"], shown["files"])
    table.refresh()
    kept = {table.current_snapshot().snapshot_id, table.metadata.refs["third"].snapshot_id}
    assert {snapshot.snapshot_id for snapshot in table.snapshots()} == kept
    assert numbers(table) == [8]
    third = table.scan(snapshot_id=table.metadata.refs["third"].snapshot_id).to_arrow()
    assert [row[0] for row in in_order(third)] == [0, 1, 2]
    gone = {path_of(item["name"]).relative_to(folder_of(table)) for item in done["items"] if item["kind"] == "file"}
    assert {name for name in before - files_of(folder_of(table))} == {str(name) for name in gone}
    assert needed_by(table) <= files_of(folder_of(table))
    events = json.loads(server.command("events", "--json", "--limit", "5").stdout)
    assert any(event.get("details", {}).get("maintenance") == "expire-snapshots" for event in events)


def test_writers_lose_and_double_no_row_while_their_table_is_maintained(server: Server) -> None:
    catalog = client(server)
    catalog.create_namespace(NAMESPACE)
    shorten_orphan_age(server)
    table = catalog.create_table((NAMESPACE, "t"), SIGHTINGS, properties={**HASTY, "commit.retry.num-retries": "20"})
    folder = folder_of(table)
    appended: list[int] = []
    failed: list[BaseException] = []

    def append(writer: int) -> None:
        try:
            own = client(server).load_table((NAMESPACE, "t"))
            for number in range(writer * 100, writer * 100 + 12):
                for _ in range(20):
                    try:
                        own.append(sightings((number, "Oslo", None)))
                        break
                    except (CommitFailedException, ValidationException):
                        # The second if the snapshot that it started from has expired.
                        own.refresh()
                else:
                    raise AssertionError("other commits were always faster")
                appended.append(number)
        except BaseException as error:  # the main thread reports it
            failed.append(error)

    threads = [threading.Thread(target=append, args=(writer,)) for writer in range(2)]
    for thread in threads:
        thread.start()
    orphan = folder / "data" / "00000-0-orphan.parquet"
    rounds = 0
    while any(thread.is_alive() for thread in threads) or rounds < 2:
        orphan.parent.mkdir(parents=True, exist_ok=True)
        orphan.write_bytes(b"orphan")
        make_older(orphan, ORPHAN_AGE_S * 2)
        assert run(server, "expire-snapshots")["outcome"] == "succeeded"
        assert run(server, "remove-orphan-files")["outcome"] == "succeeded"
        assert not orphan.exists()
        rounds += 1
    for thread in threads:
        thread.join()
    assert not failed, failed
    run(server, "expire-snapshots")
    table = catalog.load_table((NAMESPACE, "t"))
    assert len(table.snapshots()) == 1
    assert numbers(table) == sorted(appended) and len(appended) == 24
    assert needed_by(table) <= files_of(folder)


def test_kills_while_a_policy_maintains_a_table_lose_no_row_and_leave_nothing_for_ever(server: Server) -> None:
    catalog = client(server)
    catalog.create_namespace(NAMESPACE)
    table = catalog.create_table((NAMESPACE, "t"), SIGHTINGS, properties=HASTY)
    folder = folder_of(table)
    server.command("maintenance", "set-policy", "--expire-snapshots", "on", "--expire-interval", "60s", "--orphan-age", f"{ORPHAN_AGE_S}s")
    expected: list[int] = []
    random_ = random.Random(7)
    for round_ in range(4):
        for number in range(round_ * 10, round_ * 10 + 4):
            table = client(server).load_table((NAMESPACE, "t"))
            if number % 4 == 3:
                table.overwrite(sightings(*((known, "Oslo", None) for known in [*expected, number])))
            else:
                table.append(sightings((number, "Oslo", None)))
            expected.append(number)
        started = threading.Thread(
            target=lambda: server.command("maintenance", "run", f"{NAMESPACE}.t", "expire-snapshots", check=False)
        )
        started.start()
        time.sleep(random_.uniform(0.0, 1.2))  # a kill at any moment of the run
        server.kill()
        started.join()
        server.start()
        assert numbers(client(server).load_table((NAMESPACE, "t"))) == expected
    deadline = time.monotonic() + 90
    while True:  # the lease of the killed server ends within half a minute
        done = server.command("maintenance", "run", f"{NAMESPACE}.t", "expire-snapshots", check=False)
        if done.returncode == 0:
            break
        assert time.monotonic() < deadline, done.stderr
        time.sleep(1)
    for path in folder.rglob("*"):
        if path.is_file():
            make_older(path, ORPHAN_AGE_S * 2)
    run(server, "remove-orphan-files")
    table = client(server).load_table((NAMESPACE, "t"))
    assert numbers(table) == expected and len(table.snapshots()) == 1
    assert files_of(folder) == needed_by(table)
    outcomes = {one["outcome"] for one in json.loads(server.command("maintenance", "list", "--json").stdout)}
    assert "failed" not in outcomes and "running" not in outcomes, outcomes


def test_runs_and_health_are_shown_and_a_wrong_request_is_refused(server: Server) -> None:
    catalog = client(server)
    catalog.create_namespace(NAMESPACE)
    table = catalog.create_table((NAMESPACE, "t"), SIGHTINGS)
    for number in range(25):
        table.append(sightings((number, "Oslo", None)))
    health = json.loads(server.command("maintenance", "health", f"{NAMESPACE}.t", "--json").stdout)
    assert (health["snapshots"], health["data-files"], health["data-records"], health["small-files"]) == (25, 25, 25, 25)
    assert [finding["kind"] for finding in health["findings"]] == ["small-files"]
    management = server.printed.uri.rstrip("/")
    key = {"authorization": f"Bearer {server.key}"}
    name = requests.get(f"{management}/management/v1/who-am-i", headers=key, timeout=60).json()["organisation"]["name"]
    at = f"{management}/management/v1/organisations/{name}/warehouses/{server.printed.warehouse}/maintenance"
    refused = requests.put(f"{at}/policy", json={"remove-orphan-files": {"min-age-ms": 1}}, headers=key, timeout=60)
    assert refused.status_code == 400 and "min-age-ms" in refused.text
    body = {"identifier": {"namespace": [NAMESPACE], "name": "t"}, "operation": "vacuum"}
    refused = requests.post(f"{at}/runs", json=body, headers=key, timeout=60)
    assert refused.status_code == 400 and "remove-orphan-files" in refused.text
    assert "no policy is set" in server.command("maintenance", "policy").stderr
