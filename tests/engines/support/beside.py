"""Processes that run beside a test. They read their task as JSON from standard input, end when it is closed, and then
print one line of JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

ENGINES = Path(__file__).resolve().parents[1]

# Attackers have a lower priority than the measured client.
NICENESS = 10

END_DEADLINE_S = 180

BEGUN = "begun"


class Beside:
    """A module of `support` in a separate process."""

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
        """Waits for the line that announces the first action, because an interpreter starts slowly."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == BEGUN + "\n", "the process ended before its first action"

    def is_running(self) -> bool:
        return self._process.poll() is None

    def end(self) -> dict[str, Any]:
        """Ends the process, if it still runs, and returns its report."""
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
    """Reads this process's task, and returns it with the event that ends it."""
    task, ended = json.loads(sys.stdin.readline()), threading.Event()

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    return task, ended


def say_begun() -> None:
    """Announces the first action."""
    print(BEGUN, flush=True)


def report(seen: dict[str, Any]) -> None:
    """Prints the report, as the last action of a process."""
    print(json.dumps(seen), flush=True)
