"""Backups during writes, and the restored catalogs."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from support import documents
from support.rest import Rest, answer
from support.server import Server, clean_environment

pytestmark = pytest.mark.embedded_database

WRITERS = 6
BACKUPS = 3
BACKUP_DEADLINE_S = 60


@pytest.fixture
def own(make_server: Callable[..., Server]) -> Server:
    server = make_server("backup")
    server.start()
    return server


def run(binary: Path, *args: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(binary), *args],
        capture_output=True,
        check=False,
        text=True,
        timeout=BACKUP_DEADLINE_S,
        env=clean_environment(),
    )


class Writers:
    """Threads that commit to separate tables, and their acknowledged commits."""

    def __init__(self, server: Server, namespace: str):
        self._server = server
        self._namespace = namespace
        self._lock = threading.Lock()
        self._acknowledged: set[tuple[str, str]] = set()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _write(self, number: int) -> None:
        rest = Rest(self._server.uri, self._server.key)
        table = f"t{number}"
        count = 0
        while not self._stop.is_set():
            mark = f"mark.{count}"
            answer(rest.commit(self._namespace, table, [documents.set_properties(**{mark: "1"})]))
            with self._lock:
                self._acknowledged.add((table, mark))
            count += 1

    def acknowledged(self) -> set[tuple[str, str]]:
        with self._lock:
            return set(self._acknowledged)

    def wait_for(self, count: int) -> None:
        """Waits for this number of further acknowledged commits."""
        goal = len(self.acknowledged()) + count
        while len(self.acknowledged()) < goal:
            assert any(thread.is_alive() for thread in self._threads)
            self._stop.wait(0.01)


def test_backup_during_writes_restores_every_acknowledged_commit(
    own: Server, make_server: Callable[..., Server], tmp_path: Path
) -> None:
    rest = Rest(own.uri, own.key)
    rest.create_namespace("busy")
    for number in range(WRITERS):
        rest.create_table("busy", documents.table(f"t{number}"))
    before: list[set[tuple[str, str]]] = []
    with Writers(own, "busy") as writers:
        for number in range(BACKUPS):
            writers.wait_for(20)
            before.append(writers.acknowledged())
            done = own.command("backup", str(tmp_path / f"backup-{number}.db"))
            assert "Backed up the catalog in" in done.stdout and "Not in the backup: the files of tables" in done.stderr
        # Writes ran all the time.
        writers.wait_for(1)
    assert sorted(path.name for path in tmp_path.glob("backup-*")) == [f"backup-{n}.db" for n in range(BACKUPS)]
    assert own.stop() == 0
    for number, acknowledged in enumerate(before):
        other = make_server(f"restored_{number}")
        other.data_dir.mkdir()
        # The warehouse of a quickstart is in its data folder, and its tables name that path.
        done = run(own.binary, "restore", str(tmp_path / f"backup-{number}.db"), "--data-dir", str(other.data_dir))
        assert done.returncode == 0 and "Restored" in done.stdout, done.stderr
        other.start()
        # A quickstart in another folder has another key.
        restored = Rest(other.uri, other.key)
        found = {
            (f"t{table}", mark)
            for table in range(WRITERS)
            for mark in restored.load("busy", f"t{table}")["metadata"]["properties"]
        }
        assert acknowledged <= found, acknowledged - found
        # It is a catalog like any other: it takes commits.
        answer(restored.commit("busy", "t0", [documents.set_properties(after="restore")]))
        assert other.stop() == 0


def test_restore_into_a_used_folder_is_refused(own: Server, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    own.command("backup", str(file))
    for stop in (False, True):
        if stop:
            own.stop()
        done = run(own.binary, "restore", str(file), "--data-dir", str(own.data_dir))
        assert done.returncode == 1 and "is not empty" in done.stderr and "never replaces a catalog" in done.stderr
    own.start()
    Rest(own.uri, own.key).config()


def test_backup_of_an_empty_folder_is_refused(binary: Path, tmp_path: Path) -> None:
    done = run(binary, "backup", str(tmp_path / "b.db"), "--data-dir", str(tmp_path / "none"))
    assert done.returncode == 1 and f"there is no catalog in {tmp_path / 'none'}" in done.stderr
    assert list(tmp_path.iterdir()) == []
