"""A quiet organisation in a separate process: `python -m support.quiet`.

It loads one unchanged table, and appends snapshots to others, with a pause after each request. A request without an
answer, or with 503, is repeated with its idempotency key until it is answered. After each loss, earlier requests are
also repeated, and must get the same answer.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from support import documents
from support.beside import read_task, report, say_begun
from support.keys import fresh_key
from support.plain_client import Lost, PlainClient, Reply

PAUSE_S = 0.005
PAUSE_AFTER_LOSS_S = 0.05

# Keeps the documents small, because the test does not measure their size.
SNAPSHOTS_PER_TABLE = 25

# How many of the last acknowledged requests are repeated after a loss.
REPEATED = 5

NAMESPACE = "quiet"
STILL = "still"


@dataclass
class Acknowledged:
    """A request that succeeded."""

    path: str
    body: bytes
    key: str
    metadata_location: str


@dataclass
class Seen:
    """The history. Times are those of `time.monotonic`, which all processes of a machine share."""

    # Kind, begin, end, status (0: not answered).
    attempts: list[tuple[str, float, float, int]] = field(default_factory=list)
    # The acknowledged snapshots of each table, in order.
    tables: dict[str, list[int]] = field(default_factory=dict)
    repeats: int = 0
    problems: list[str] = field(default_factory=list)


class Quiet:
    """One of its two parts: a connection, and what was seen with it."""

    def __init__(self, uri: str, key: str, ended: threading.Event):
        self._client = PlainClient(uri, key, timeout_s=60)
        self._ended = ended
        self.seen = Seen()
        self.has_begun = threading.Event()

    def _attempt(self, kind: str, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Reply | None:
        begun = time.monotonic()
        try:
            reply = self._client.send(method, path, body, headers)
        except Lost:
            reply = None
        self.seen.attempts.append((kind, begun, time.monotonic(), reply.status if reply else 0))
        return reply

    def _until_answered(
        self, kind: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[Reply | None, bool]:
        """Returns the answer (None if the process ends before it), and whether the first attempt got it."""
        at_once = True
        while True:
            reply = self._attempt(kind, method, path, body, headers or {})
            if reply is not None and reply.status not in (503, 504):
                return reply, at_once
            at_once = False
            # A change with a lost answer is repeated even at the end, because its outcome must be known.
            if self._ended.is_set() and method == "GET":
                return None, at_once
            time.sleep(PAUSE_AFTER_LOSS_S)

    def load(self) -> None:
        """Loads the unchanged table until the end."""
        path, first = f"/v1/namespaces/{NAMESPACE}/tables/{STILL}", None
        while not self._ended.is_set():
            reply, _ = self._until_answered("load", "GET", path)
            if reply is None:
                return
            if reply.status != 200:
                self.seen.problems.append(f"load: {reply.status} {reply.content[:500]!r}")
            else:
                metadata = reply.json()["metadata"]
                first = first or metadata
                self.has_begun.set()
                if metadata != first:
                    self.seen.problems.append("load: the table is not what it was")
            self._ended.wait(PAUSE_S)

    def commit(self) -> None:
        """Creates tables and appends snapshots to them until the end."""
        answered: list[Acknowledged] = []
        number = 0
        while not self._ended.is_set():
            name = f"moving_{number}"
            number += 1
            created = self._change(f"/v1/namespaces/{NAMESPACE}/tables", documents.table(name), "create", answered)
            if created is None:
                return
            metadata = created["metadata"]
            self.seen.tables[name] = []
            parent = None
            for sequence_number in range(1, SNAPSHOTS_PER_TABLE + 1):
                if self._ended.is_set():
                    return
                made = documents.snapshot(metadata["location"], sequence_number, parent=parent)
                updates = [documents.set_properties(count=str(sequence_number)), *documents.append(made)]
                body = {"requirements": [documents.assert_ref("main", parent)], "updates": updates}
                if self._change(f"/v1/namespaces/{NAMESPACE}/tables/{name}", body, "commit", answered) is None:
                    return
                parent = made["snapshot-id"]
                self.seen.tables[name].append(parent)
                self._ended.wait(PAUSE_S)

    def _change(self, path: str, body: dict, kind: str, answered: list[Acknowledged]) -> dict[str, Any] | None:
        sent, key = json.dumps(body).encode(), fresh_key()
        reply, at_once = self._until_answered(kind, "POST", path, sent, {"Idempotency-Key": key})
        if reply is None or reply.status != 200:
            shown = (reply.status, reply.content[:500]) if reply else None
            self.seen.problems.append(f"{kind} of {path}: {shown}, sent again: {not at_once}")
            return None
        if not at_once:
            self._repeat(answered)
        answer = reply.json()
        answered.append(Acknowledged(path, sent, key, answer["metadata-location"]))
        del answered[:-REPEATED]
        return answer

    def _repeat(self, answered: list[Acknowledged]) -> None:
        for one in answered:
            reply, _ = self._until_answered("repeat", "POST", one.path, one.body, {"Idempotency-Key": one.key})
            if reply is None or reply.status != 200 or reply.json()["metadata-location"] != one.metadata_location:
                shown = (reply.status, reply.content[:500]) if reply else None
                self.seen.problems.append(f"repeat of {one.path}: not {one.metadata_location}, but {shown}")
            self.seen.repeats += 1


def main() -> None:
    task, ended = read_task()
    loader, committer = (Quiet(task["uri"], task["key"], ended) for _ in range(2))
    threads = [threading.Thread(target=loader.load), threading.Thread(target=committer.commit)]
    for thread in threads:
        thread.start()
    loader.has_begun.wait()
    say_begun()
    for thread in threads:
        thread.join()
    report(
        {
            "attempts": loader.seen.attempts + committer.seen.attempts,
            "tables": committer.seen.tables,
            "repeats": committer.seen.repeats,
            "problems": loader.seen.problems + committer.seen.problems,
        }
    )


if __name__ == "__main__":
    main()
