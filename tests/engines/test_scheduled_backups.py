"""Backups that a server makes by itself: under load, to buckets, after a kill, and on a full disk."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from support import documents
from support.clouds import Cloud
from support.ports import free_ports
from support.rest import Rest, answer
from support.server import Server, clean_environment
from test_backup import WRITERS, Writers, run
from test_full_disk import small_disk as small_disk

pytestmark = pytest.mark.embedded_database

DEADLINE_S = 90
INTERVAL_S = 10


def with_backups(server: Server, to: str, **settings: object) -> str:
    """Sets scheduled backups for the next start. Returns the address of the metrics."""
    [port] = free_ports(1)
    wanted = {"to": to, "interval_s": INTERVAL_S, **settings}
    server._env.update({f"TIDEWATER_BACKUPS__{name.upper()}": str(value) for name, value in wanted.items()})
    server._env["TIDEWATER_TELEMETRY__LISTEN"] = f"127.0.0.1:{port}"
    return f"127.0.0.1:{port}"


def metric(address: str, name: str) -> float:
    text = requests.get(f"http://{address}/metrics", timeout=30).text
    [value] = re.findall(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(value)


def wait_for(address: str, name: str, is_there: Callable[[float], bool]) -> float:
    """Reads a metric until it has the wanted value."""
    until, waiting = time.monotonic() + DEADLINE_S, threading.Event()
    while not is_there(value := metric(address, name)):
        assert time.monotonic() < until, f"{name} is still {value}"
        waiting.wait(0.1)
    return value


LAST = "tidewater_backup_last_success_timestamp_seconds"


def listed(server: Server, *args: str) -> list[dict]:
    return json.loads(server.command("backups", *args, "--json").stdout)


def fill(server: Server, mebibytes: int) -> None:
    """Adds incompressible rows to the database of a stopped server."""
    with sqlite3.connect(server.data_dir / "tidewater.db") as database:
        database.execute("CREATE TABLE filler (content BLOB)")
        database.executemany("INSERT INTO filler VALUES (?)", ((os.urandom(1 << 20),) for _ in range(mebibytes)))
    database.close()


def test_backups_at_a_busy_server_end_and_have_every_commit_before_them(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = make_server("scheduled")
    server.start()
    rest = Rest(server.uri, server.key)
    rest.create_namespace("busy")
    for number in range(WRITERS):
        rest.create_table("busy", documents.table(f"t{number}"))
    server.stop()
    fill(server, 32)
    folder = tmp_path / "backups"
    folder.mkdir()
    address = with_backups(server, str(folder), keep=2)
    server.start()
    with Writers(server, "busy") as writers:
        first = wait_for(address, LAST, lambda value: value > 0)
        writers.wait_for(20)
        before, at = writers.acknowledged(), time.time()
        newest = wait_for(address, LAST, lambda value: value > max(first, at))
        wait_for(address, LAST, lambda value: value > newest)
        writers.wait_for(1)
    wait_for(address, "tidewater_backups", lambda count: count == 2)
    assert server.stop() == 0
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 2 and all(re.fullmatch(r"tidewater-\d{8}T\d{6}Z-[0-9a-f]{8}\.db\.zst", name) for name in names), names
    assert [backup["name"] for backup in listed(server)] == names
    assert "made and verified a backup" in server.stderr() and "removed a backup" in server.stderr()

    other = make_server("scheduled_restored")
    done = run(server.binary, "restore", str(folder), "--data-dir", str(other.data_dir))
    assert done.returncode == 0 and names[-1] in done.stdout, done.stderr
    other.start()
    restored = Rest(other.uri, other.key)
    found = {
        (f"t{table}", mark) for table in range(WRITERS) for mark in restored.load("busy", f"t{table}")["metadata"]["properties"]
    }
    assert before <= found, before - found
    answer(restored.commit("busy", "t0", [documents.set_properties(after="restore")]))


def test_backups_in_a_bucket_are_listed_and_restored_and_show_no_credentials(
    each_cloud: Cloud, make_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = make_server("scheduled_bucket")
    server.start()
    server.stop()
    root, profile = each_cloud.root("backups"), each_cloud.profile(tmp_path)
    # Larger than one part of an upload. The emulator of Google's storage takes no uploads in parts, so these are not shown there.
    size_mib = 4 if root.startswith("gs://") else 20
    fill(server, size_mib)
    address = with_backups(server, root, storage_file=profile, keep=1)
    server.start()
    first = wait_for(address, LAST, lambda value: value > 0)
    wait_for(address, LAST, lambda value: value > first)
    wait_for(address, "tidewater_backups", lambda count: count == 1)
    shown = server.command("settings", "--json").stdout + server.command("status", "--json").stdout
    assert server.stop() == 0
    # The stop may have met another backup.
    newest = listed(server)[-1]
    assert newest["file"] == f"{root}/{newest['name']}" and newest["size-bytes"] > size_mib << 20
    assert list(server.data_dir.glob(".tidewater*")) == []
    log = re.sub(r"\x1b\[[0-9;]*m", "", server.stderr())
    for secret in re.findall(r'(?:secret-access-key|account-key|private_key)"?\s*[=:]\s*"([^"]+)"', profile.read_text()):
        assert secret not in log and secret not in shown

    for number, (source, named) in enumerate([(root, None), (newest["file"], newest["name"])]):
        folder = tmp_path / f"restored-{number}"
        done = run(server.binary, "restore", source, "--storage", str(profile), "--data-dir", str(folder), "--json")
        assert done.returncode == 0, done.stderr
        assert named is None or json.loads(done.stdout)["file"].endswith(named)
        assert not (folder / "restore.fetched").exists()
        organisations = run(server.binary, "org", "list", "--data-dir", str(folder), "--json")
        assert [one["name"] for one in json.loads(organisations.stdout)] == ["quickstart"]


def test_backup_that_was_killed_in_the_middle_is_no_backup(make_server: Callable[..., Server], tmp_path: Path) -> None:
    server = make_server("scheduled_killed")
    server.start()
    server.stop()
    fill(server, 64)
    folder = tmp_path / "backups"
    folder.mkdir()
    address = with_backups(server, str(folder), interval_s=3600)
    server.start()
    until, waiting = time.monotonic() + DEADLINE_S, threading.Event()
    while not list(folder.glob(".tidewater-*.packed.partial")):
        assert time.monotonic() < until
        waiting.wait(0.002)
    server.kill()
    assert list(folder.glob(".tidewater-*.partial")) and listed(server) == []
    refused = run(server.binary, "restore", str(folder), "--data-dir", str(tmp_path / "restored"))
    assert refused.returncode == 1 and "there is no scheduled backup in" in refused.stderr
    server.start()
    wait_for(address, LAST, lambda value: value > 0)
    assert server.stop() == 0
    assert [path.name for path in folder.iterdir()] == [backup["name"] for backup in listed(server)]
    assert run(server.binary, "restore", str(folder), "--data-dir", str(tmp_path / "restored")).returncode == 0


def test_backup_on_a_full_disk_fails_before_it_begins_and_commits_go_on(
    make_server: Callable[..., Server], small_disk: Path
) -> None:
    server = make_server("scheduled_full")
    address = with_backups(server, str(small_disk))
    server.start()
    wait_for(address, 'tidewater_backup_failures_total{step="copy"}', lambda count: count >= 1)
    tasks = json.loads(server.command("status", "--json").stdout)["background"]
    [task] = [task for task in tasks if task["name"] == "backups"]
    assert "bytes free, and the backup needs up to" in task["last-error"], task
    assert list(small_disk.iterdir()) == []
    Rest(server.uri, server.key).create_namespace("still")
    assert server.stop() == 0


def test_scheduled_backups_of_postgresql_are_refused_at_the_start(binary: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(binary), "serve", "--store", "postgres://nobody:hush@127.0.0.1:1/none"],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        env=clean_environment({"TIDEWATER_BACKUPS__TO": str(tmp_path)}),
    )
    assert done.returncode == 2 and "docs/production-postgresql.md" in done.stderr and "hush" not in done.stderr
