"""Processes of a test: each has a log, and is stopped at the end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

STOP_DEADLINE_S = 60.0


class Process:
    """A program in the foreground. It may be started and ended many times."""

    def __init__(self, name: str, log: Path):
        self.name = name
        self.log = log
        self._process: subprocess.Popen | None = None

    def run(self, command: Sequence[str | Path], env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen:
        assert self._process is None, f"{self.name} is already running"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(word) for word in command], **{"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "env": env, **options}
            )
        return self._process

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} is not running"
        return self._process.pid

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def send(self, number: int) -> None:
        assert self._process is not None, f"{self.name} is not running"
        self._process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM, deadline_s: float = STOP_DEADLINE_S) -> int:
        """Sends a signal, waits for the end, and returns the exit code."""
        process, self._process = self._process, None
        assert process is not None, f"{self.name} is not running"
        process.send_signal(number)
        try:
            return process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{self.name} still ran {deadline_s:.0f} s after the signal:\n{self.tail()}") from None

    def kill(self) -> None:
        """Kills it, if it runs."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.text().splitlines()[-lines:])

    def wait_until(self, is_ready: Callable[[], bool], deadline_s: float) -> None:
        """Waits for its readiness. Fails if it ends before."""
        deadline = time.monotonic() + deadline_s
        while not is_ready():
            assert self.is_running(), f"{self.name} ended before it was ready:\n{self.tail()}"
            assert time.monotonic() < deadline, f"{self.name} was not ready after {deadline_s:.0f} s:\n{self.tail()}"
            time.sleep(0.05)


def wait_for(what: str, holds: Callable[[], bool], deadline_s: float = 60.0) -> None:
    """Waits until something holds."""
    deadline = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {deadline_s:.0f} s: {what}"
        time.sleep(0.05)


def find_program(name: str) -> Path:
    """Returns the path of an installed program."""
    folders = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return Path(shutil.which(name, path=folders) or missing(name))


def missing(what: str) -> NoReturn:
    """Skips the test. In CI it fails, since a run without it must not look like a complete run."""
    text = f"{what} is missing: SKIPPING. Debian: apt-get install postgresql pgbouncer haproxy libfaketime"
    (pytest.fail if os.environ.get("CI") else pytest.skip)(text)


def tool(name: str) -> Path:
    """Returns a program of `tests/replicas/tools`, which `cargo xtask compat replicas` builds."""
    folder = os.environ.get("TIDEWATER_REPLICAS_TOOLS")
    assert folder, "TIDEWATER_REPLICAS_TOOLS must name the folder with the built programs of tests/replicas/tools"
    return Path(folder) / name


def say(text: str) -> None:
    """Prints progress."""
    print(text, file=sys.stderr, flush=True)
