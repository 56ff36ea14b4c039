"""Processes that run beside a test: they are told what to do as JSON on their standard input, end when it is closed, and print
one line of JSON then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

ENGINES = Path(__file__).resolve().parents[1]

# What makes trouble gives way to what is measured.
NICENESS = 10

END_DEADLINE_S = 180

BEGUN = "begun"


class Beside:
    """A module of `support` in a process of its own."""

    def __init__(self, module: str, task: dict[str, Any], *, gives_way: bool = False):
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"support.{module}"],
            cwd=ENGINES,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=(lambda: os.nice(NICENESS)) if gives_way else None,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()

    def wait_until_begun(self) -> None:
        """Waits for the line that says that it does what it was told: an interpreter takes its time to start."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == BEGUN + "\n", "it ended before it had begun"

    def is_running(self) -> bool:
        return self._process.poll() is None

    def end(self) -> dict[str, Any]:
        """Tells it to end, if it has not by itself, and gives what it has seen."""
        try:
            printed, _ = self._process.communicate(timeout=END_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        assert self._process.returncode == 0, f"{self._process.args}: {self._process.returncode}"
        return json.loads(printed.splitlines()[-1])

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def read_task() -> tuple[dict[str, Any], threading.Event]:
    """What this process is to do, and what tells it to end."""
    task, ended = json.loads(sys.stdin.readline()), threading.Event()

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    return task, ended


def say_begun() -> None:
    """Says that the first thing was done."""
    print(BEGUN, flush=True)


def report(seen: dict[str, Any]) -> None:
    """Prints what was seen; the last thing that a process does."""
    print(json.dumps(seen), flush=True)
