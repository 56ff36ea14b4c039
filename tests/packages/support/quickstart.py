"""Starts the quickstart of a package, and reads its sample table with DuckDB."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

EXTENSIONS = ("httpfs", "avro", "iceberg")
# The slowest: an emulated processor on a busy machine.
START_S = 240


@dataclass(frozen=True)
class Quickstart:
    """A running quickstart, as its first line describes it."""

    uri: str
    warehouse: str
    key: str
    table: str

    def rows(self) -> int:
        """Counts the sample table's rows with DuckDB, which reads the data files by their paths on this machine."""
        with duckdb.connect(config={"autoinstall_known_extensions": "false", "threads": "2"}) as connection:
            for name in EXTENSIONS:
                connection.execute(f"LOAD '{_extension(name)}'")
            connection.execute(
                f"ATTACH '{self.warehouse}' AS lake (TYPE ICEBERG, ENDPOINT '{self.uri}', TOKEN '{self.key}', "
                "ACCESS_DELEGATION_MODE 'none')"
            )
            found = connection.execute(f"SELECT count(*), max(level_m) FROM lake.{self.table}").fetchone()
        assert found is not None and found[1] is not None
        return found[0]


def _extension(name: str) -> Path:
    package = __import__(f"duckdb_extension_{name}")
    (file,) = Path(package.__file__).parent.rglob(f"{name}.duckdb_extension")
    return file


@contextmanager
def quickstart(program: list[str], data: str) -> Iterator[Quickstart]:
    """Runs `program quickstart` until the block ends. `data` is the data folder, as the program sees it."""
    command = [*program, "quickstart", "--data-dir", data, "--listen", "127.0.0.1:0", "--json"]
    with running(command) as process:
        assert process.stdout is not None
        line = _first_line(process)
        printed = json.loads(line)
        yield Quickstart(
            printed["uri"], printed["warehouse"], printed["api_key"], f"{printed['namespace']}.{printed['table']}"
        )


@contextmanager
def running(command: list[str], environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Runs a command until the block ends, then stops it and checks that it ended well."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment or {"PATH": os.environ["PATH"]})
    try:
        yield process
    except BaseException:
        process.kill()
        raise
    finally:
        if process.poll() is None:
            os.kill(_innermost(process.pid), signal.SIGTERM)
        code = process.wait(60)
    assert code == 0, f"{command} ended with {code}"


def _innermost(pid: int) -> int:
    """Returns the process that a chain of processes ends with. A program that runs containers may not pass signals on."""
    while children := [int(word) for one in Path(f"/proc/{pid}/task").iterdir() for word in (one / "children").read_text().split()]:
        (pid,) = children
    return pid


def _first_line(process: subprocess.Popen[str]) -> str:
    """Waits for the first line. Ends the process if it takes too long."""
    assert process.stdout is not None
    timer = threading.Timer(START_S, process.kill)
    timer.start()
    try:
        line = process.stdout.readline()
    finally:
        timer.cancel()
    assert line, f"the quickstart printed nothing (exit code {process.poll()})"
    return line
