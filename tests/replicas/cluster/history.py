"""Histories of operations, in the form that `tools/check-history` reads."""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cluster.processes import tool

# Outcomes. The checker gets no operation that was not applied: a change that shows nevertheless has no cause then.
DONE, MISSING, EXISTS, FAILED, UNKNOWN, NOT_APPLIED = "done", "missing", "exists", "failed", "unknown", "not-applied"

# The kind of an operation that the checker does not know: clients use a namespace only when it exists.
NAMESPACE = "namespace"


@dataclass
class Table:
    """The checked state of a table: values that a client chooses and never uses twice."""

    born: str
    ref: str
    note: str

    @classmethod
    def of(cls, metadata: dict[str, Any]) -> Table:
        properties = metadata["properties"]
        current = metadata.get("current-snapshot-id")
        ref = "" if current in (None, -1) else str(current)
        return cls(properties.get("born", ""), ref, properties.get("note", ""))


@dataclass
class Change:
    """A commit's part for one table. Empty texts change nothing."""

    table: str
    create: str = ""
    expect: str = ""
    expect_born: str = ""
    ref: str = ""
    note: str = ""


@dataclass
class Operation:
    """One operation. `id` is its request's id, also of repeated requests."""

    group: str
    client: int
    kind: str
    table: str = ""
    to: str = ""
    born: str = ""
    changes: list[Change] = field(default_factory=list)
    call: int = 0
    returned: int = 0
    outcome: str = UNKNOWN
    seen: Table | None = None
    names: list[str] | None = None
    id: str = ""
    attempts: int = 0

    def is_change(self) -> bool:
        return self.kind not in ("load", "list")

    def tables_changed(self) -> int:
        return len(self.changes) or 1


class History:
    """The operations of all clients."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.problems: list[str] = []
        self._numbers = itertools.count(1)
        self._run = f"{time.time_ns():x}"
        self._lock = threading.Lock()

    def name(self, prefix: str) -> str:
        """Returns a value that is used only once."""
        return f"{prefix}-{self._run}-{next(self._numbers)}"

    def add(self, operation: Operation) -> None:
        with self._lock:
            self.operations.append(operation)

    def complain(self, problem: str) -> None:
        with self._lock:
            self.problems.append(problem)

    def count(self) -> dict[str, int]:
        """Returns the number of operations by kind and outcome."""
        counts: dict[str, int] = {}
        for one in self.operations:
            counts[f"{one.kind} {one.outcome}"] = counts.get(f"{one.kind} {one.outcome}", 0) + 1
        return dict(sorted(counts.items()))

    def write(self, path: Path) -> None:
        write(path, self.operations)


def write(path: Path, operations: Iterable[Operation]) -> None:
    """Writes a history without the creations of namespaces, and without operations that were not applied."""
    with path.open("w") as file:
        for one in operations:
            if one.outcome == NOT_APPLIED or one.kind == NAMESPACE:
                continue
            line = asdict(one)
            line["return"] = line.pop("returned")
            file.write(json.dumps({name: value for name, value in line.items() if value not in (None, "", [])} | names(one)) + "\n")


def names(one: Operation) -> dict[str, list[str]]:
    return {} if one.names is None else {"names": one.names}


def check(path: Path, limit_s: int = 60) -> tuple[bool, dict[str, Any]]:
    """Checks a history. Returns whether it is linearizable, and the checker's report. Draws what is not beside it."""
    done = subprocess.run(
        [tool("check-history"), "-limit", f"{limit_s}s", "-picture", path.with_suffix(".html"), path],
        capture_output=True, text=True, check=False, timeout=1800,
    )  # fmt: skip
    assert done.returncode in (0, 1), f"no result: {done.returncode} {done.stdout} {done.stderr}"
    return done.returncode == 0, json.loads(done.stdout)


def now() -> int:
    """Returns the time of the history's clock, in nanoseconds."""
    return time.monotonic_ns()
