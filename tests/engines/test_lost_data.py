"""A log damaged after kill -9, a missing database, a missing or wrong master key: each is reported."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from support import documents
from support.rest import Rest, answer
from support.server import Server, clean_environment

pytestmark = pytest.mark.embedded_database

FRAME_BYTES = 24 + 4096
PLAIN_S3 = """type = "s3"
region = "eu-west-1"
endpoint = "http://127.0.0.1:9"
path-style = true
[credentials]
kind = "aws-key"
access-key-id = "AKIA"
secret-access-key = "hush"
"""


@pytest.fixture
def server(binary: Path, tmp_path: Path) -> Iterator[Server]:
    """A server whose log may contain errors, because these tests read them."""
    server = Server(binary, tmp_path / "data")
    yield server
    server.kill()


def said(server: Server, pattern: str) -> str:
    """Waits for a line of the log."""
    deadline = time.monotonic() + 20
    while True:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", server.stderr())
        found = [line for line in plain.splitlines() if re.search(pattern, line)]
        if found:
            return found[-1]
        assert time.monotonic() < deadline, f"the log has no line {pattern}:\n{plain}"
        time.sleep(0.05)


def filled(server: Server, commits: int = 12) -> Rest:
    server.start()
    rest = Rest(server.uri, server.key)
    rest.create_namespace("ns")
    rest.create_table("ns", documents.table("t"))
    for number in range(commits):
        answer(rest.commit("ns", "t", [documents.set_properties(count=str(number))]))
    return rest


def count(rest: Rest) -> int:
    return int(rest.load("ns", "t")["metadata"]["properties"]["count"])


def run(server: Server, *args: str) -> subprocess.CompletedProcess:
    command = [str(server.binary), *args, "--data-dir", str(server.data_dir)]
    return subprocess.run(
        command, capture_output=True, check=False, text=True, timeout=60, env=clean_environment()
    )


def refused_start(server: Server) -> str:
    done = run(server, "serve", "--listen", "127.0.0.1:0")
    assert done.returncode == 1, done.stderr
    return done.stderr


def test_kill_with_an_intact_log_is_reported_and_loses_nothing(server: Server) -> None:
    rest = filled(server)
    server.kill()
    server.start()
    assert "left_out_bytes=0" in said(server, "WARN .*the database was not closed")
    assert "behind=0" in said(server, "looked for lost changes")
    assert count(rest) == 11
    assert server.stop() == 0
    before = len(server.stderr())
    server.start()
    assert "not closed" not in server.stderr()[before:]


@pytest.mark.parametrize("damage", ["cut off", "one byte", "removed"])
def test_damaged_log_is_reported_with_the_affected_tables(server: Server, damage: str) -> None:
    rest = filled(server)
    server.kill()
    log = server.data_dir / "tidewater.db-wal"
    data = bytearray(log.read_bytes())
    if damage == "cut off":
        log.write_bytes(data[: len(data) - 5 * FRAME_BYTES])
    elif damage == "one byte":
        data[len(data) - 6 * FRAME_BYTES + 500] ^= 0xFF
        log.write_bytes(data)
    else:
        log.unlink()
    if damage == "removed":
        # All since the last time that the log was folded back: the server begins as it was then.
        assert "log of the database is damaged" in run_until_told(server)
        return
    server.start()
    line = said(server, "ERROR .*the log of the database is damaged")
    assert int(re.search(r"missing_frames=(\d+)", line).group(1)) > 0, line
    behind = said(server, "WARN .*a table has a newer metadata document")
    assert "table=ns.t" in behind and "metadata.json" in behind
    assert count(rest) < 11
    checked = json.loads(server.command("table", "check", "--json").stdout)
    assert [one["name"] for one in checked["findings"] if one["newer-document"]] == ["ns.t"]
    # The advice of the log.
    newest = re.search(r"newest=(\S+)", behind).group(1)
    body = {"name": "t", "metadata-location": f"file://{newest}", "overwrite": True}
    answer(rest.post("/namespaces/ns/register", json=body))
    assert count(rest) == 11


def run_until_told(server: Server) -> str:
    command = [str(server.binary), "serve", "--listen", "127.0.0.1:0", "--data-dir", str(server.data_dir)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=clean_environment()) as process:
        assert process.stderr is not None
        text = ""
        for line in process.stderr:
            text += line
            if " serving " in line or "looked for lost" in line:
                break
        process.terminate()
    return text


def test_missing_database_is_not_replaced_by_an_empty_one(server: Server, tmp_path: Path) -> None:
    rest = filled(server)
    backup = tmp_path / "backup.db"
    server.command("backup", str(backup))
    server.kill()
    database = server.data_dir / "tidewater.db"
    database.rename(tmp_path / "lost.db")
    for state in ("missing", "empty"):
        text = refused_start(server)
        assert f"is {state}" in text and "tidewater.db-wal" in text and "tidewater restore" in text, text
        done = run(server, "org", "create", "acme", "--tier", "enterprise")
        assert done.returncode == 1 and f"is {state}" in done.stderr, done.stderr
        database.touch()
    database.unlink()
    for suffix in ("-wal", "-shm"):
        (server.data_dir / f"tidewater.db{suffix}").unlink(missing_ok=True)
    assert "server.lock" in refused_start(server)
    (server.data_dir / "quickstart.json").rename(tmp_path / "quickstart.json")
    done = run(server, "restore", str(backup))
    assert done.returncode == 0, done.stderr
    (tmp_path / "quickstart.json").rename(server.data_dir / "quickstart.json")
    server.start()
    assert count(rest) == 11


def with_sealed_warehouse(server: Server, tmp_path: Path) -> None:
    profile = tmp_path / "s3.toml"
    profile.write_text(PLAIN_S3)
    root = ("--root", "s3://bucket/lake", "--storage", str(profile), "--unchecked")
    server.command("warehouse", "create", "sealed", *root)


@pytest.mark.makes_unavailable
def test_missing_master_key_stops_the_start_and_makes_a_server_not_ready(server: Server, tmp_path: Path) -> None:
    server.start()
    with_sealed_warehouse(server, tmp_path)
    key, away = server.data_dir / "master.key", tmp_path / "away.key"
    assert server.stop() == 0
    server.start()
    ready = f"{server.uri}/ready"
    assert requests.get(ready, timeout=10).json() == {"status": "ready"}
    key.rename(away)
    deadline = time.monotonic() + 20
    while (answer := requests.get(ready, timeout=10)).status_code == 200:
        assert time.monotonic() < deadline, "/ready does not report the missing key"
        time.sleep(0.2)
    assert (answer.status_code, answer.json()["problems"]) == (503, ["master-key"])
    assert requests.get(f"{server.uri}/health", timeout=10).json() == {"status": "ok"}
    said(server, "ERROR .*the master key cannot be read any more")
    server.kill()
    assert "'sealed' of 'quickstart'" in refused_start(server)
    done = run(server, "warehouse", "set-storage", "sealed", "--storage", str(tmp_path / "s3.toml"), "--unchecked")
    assert done.returncode == 1 and "is missing" in done.stderr, done.stderr
    assert not key.exists(), "a second key was created"

    fresh = subprocess.run(["openssl", "rand", "-base64", "32"], capture_output=True, check=True, text=True).stdout
    key.write_text(fresh)
    assert "does not belong to this catalog" in refused_start(server)
    # The advice of the message.
    resealed = json.loads(run(server, "warehouse", "reseal", "--key-is-lost", "--json").stdout)
    assert resealed["lost"] == ["'sealed' of 'quickstart'"]
    server.command("warehouse", "set-storage", "sealed", "--storage", str(tmp_path / "s3.toml"), "--unchecked")
    server.start()
    assert requests.get(ready, timeout=10).status_code == 200
    assert server.stop() == 0
    # The old one is the wrong one now.
    key.write_text(away.read_text())
    assert "does not belong to this catalog" in refused_start(server)
