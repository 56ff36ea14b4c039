"""Attackers in a separate process: `python -m support.attackers`.

Each kind runs until its process gets the signal to end. It counts the answers, and reports each server error other
than 503 with `Retry-After`.
"""

from __future__ import annotations

import json
import random
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from support import documents, rubbish
from support.beside import read_task, report, say_begun
from support.plain_client import Lost, PlainClient, Reply

PAUSE_AFTER_LOSS_S = 0.05


class Seen:
    """The answers to all threads of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.has_begun = threading.Event()
        self.statuses: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.longest_s = 0.0

    def reply(self, what: str, reply: Reply, took_s: float) -> None:
        with self._lock:
            self.statuses[str(reply.status)] += 1
            self.has_begun.set()
            self.longest_s = max(self.longest_s, took_s)
            if reply.is_server_fault():
                self.wrong.append(f"{what}: {reply.status} {reply.content[:500]!r}")

    def count(self, what: str) -> None:
        with self._lock:
            self.statuses[what] += 1
            self.has_begun.set()

    def report(self) -> dict[str, Any]:
        return {"statuses": dict(self.statuses), "wrong": self.wrong[:20], "longest_s": self.longest_s}


def send(seen: Seen, client: PlainClient, what: str, method: str, path: str, body: bytes | None = None, **headers: str) -> None:
    """Sends one request and notes its answer."""
    begun = time.monotonic()
    try:
        reply = client.send(method, path, body, headers)
    except Lost:
        seen.count("lost")
        time.sleep(PAUSE_AFTER_LOSS_S)
        return
    seen.reply(what, reply, time.monotonic() - begun)


def commit_body(updates: list) -> bytes:
    return json.dumps({"requirements": [], "updates": updates}).encode()


def columns(count: int, seed: int) -> dict[str, Any]:
    fields = [{"id": n, "name": f"c{seed}_{n}", "required": False, "type": "string"} for n in range(1, count + 1)]
    return {"type": "struct", "fields": fields}


def heavy_bodies(seed: int) -> list[bytes]:
    """Returns commits that take the longest time within the limits."""
    location = "file:///nowhere"
    return [
        commit_body([{"action": "add-schema", "schema": columns(40_000, seed)}]),
        commit_body([documents.set_properties(**{f"k{n}": "v"}) for n in range(20_000)]),
        commit_body([{"action": "add-snapshot", "snapshot": documents.snapshot(location, n)} for n in range(1, 20_001)]),
        commit_body([{"action": "remove-snapshots", "snapshot-ids": [n]} for n in range(50_000)]),
    ]


def heavy(task: dict[str, Any], ended: threading.Event, seen: Seen, number: int) -> None:
    """Sends large commits to a separate table, one after the other."""
    client = PlainClient(task["uri"], task["key"])
    bodies = [heavy_bodies(number)[kind] for kind in task.get("bodies", range(4))]
    tables, name = f"/v1/namespaces/{task['namespace']}/tables", f"heavy_{number}"
    while not ended.is_set():
        # A new table each time, so that the documents stay below the size limit.
        send(seen, client, "drop", "DELETE", f"{tables}/{name}?purgeRequested=true")
        send(seen, client, "create", "POST", tables, json.dumps(documents.table(name)).encode())
        for body in bodies:
            if not ended.is_set():
                send(seen, client, "heavy commit", "POST", f"{tables}/{name}", body)


def stormy(task: dict[str, Any], ended: threading.Event, seen: Seen, number: int) -> None:
    """Loads and commits in a warehouse with failing storage."""
    client = PlainClient(task["uri"], task["key"])
    chance = random.Random(task["seed"] * 1_000 + number)
    path = f"/v1/namespaces/{task['namespace']}/tables/{task['table']}"
    while not ended.is_set():
        if chance.random() < 0.5:
            send(seen, client, "load", "GET", path)
        else:
            body = commit_body([documents.set_properties(**{f"p{chance.randrange(10)}": "v"})])
            send(seen, client, "commit", "POST", path, body)
        ended.wait(0.01)


def silent_sockets(task: dict[str, Any], ended: threading.Event, seen: Seen, number: int) -> None:
    """Opens connections that send nothing, half a preface, or a head byte by byte, or that do not read. Reopens
    closed ones."""
    where = urlsplit(task["uri"])
    head = f"GET /v1/namespaces HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {task['key']}\r\nX-Slow: ".encode()
    greedy = f"GET /v1/config HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {task['key']}\r\n\r\n".encode() * 200
    openings = [b"", b"PRI * HT", b"GET / HT", head, greedy]
    opened: list[socket.socket] = []
    with selectors.DefaultSelector() as selector:
        while not ended.is_set():
            if len(opened) < task["sockets"]:
                try:
                    # A different client address from that of the quiet organisation.
                    one = socket.create_connection(
                        (where.hostname, where.port), timeout=5, source_address=("127.0.0.3", 0)
                    )
                    one.sendall(openings[len(opened) % len(openings)])
                except OSError:
                    seen.count("not connected")
                    ended.wait(PAUSE_AFTER_LOSS_S)
                    continue
                seen.count("opened")
                one.setblocking(False)
                opened.append(one)
                selector.register(one, selectors.EVENT_READ)
                continue
            for key, _ in selector.select(0.2):
                closed = key.fileobj
                assert isinstance(closed, socket.socket)
                # Peeks, so that the data stays unread.
                try:
                    is_closed = closed.recv(1, socket.MSG_PEEK) == b""
                except BlockingIOError:
                    is_closed = False
                except OSError:
                    is_closed = True
                if is_closed:
                    seen.count("closed")
                    selector.unregister(closed)
                    opened.remove(closed)
                    closed.close()
            for one in opened[3 :: len(openings)]:
                try:
                    one.send(b"x")
                except OSError:
                    pass
            ended.wait(0.1)
    for one in opened:
        one.close()


def mixed(task: dict[str, Any], ended: threading.Event, seen: Seen, number: int) -> None:
    """Sends all kinds of bad requests, another kind each time."""
    chance = random.Random(task["seed"] * 1_000 + number)
    client = PlainClient(task["uri"], task["key"])
    for _ in range(task["requests"]):
        if ended.is_set():
            return
        kind = chance.choice(rubbish.KINDS)
        request = kind(chance, task)
        if isinstance(request, bytes):
            on_the_wire(task["uri"], request, seen, kind.__name__)
        else:
            method, path, body, headers = request
            send(seen, client, kind.__name__, method, path, body, **headers)


def on_the_wire(uri: str, sent: bytes, seen: Seen, what: str) -> None:
    """Sends bytes, and reads the answer up to its status."""
    where = urlsplit(uri)
    try:
        with socket.create_connection((where.hostname, where.port), timeout=3) as connection:
            connection.sendall(sent)
            start = connection.recv(4_096)
    except OSError:
        seen.count("lost")
        return
    words = start.split(b" ", 2)
    status = words[1].decode() if len(words) == 3 and start.startswith(b"HTTP/1.") else "closed"
    seen.count(status)
    if status.startswith("5") and b"retry-after" not in start.lower():
        seen.wrong.append(f"{what}: {start[:500]!r}")


KINDS: dict[str, Callable[[dict[str, Any], threading.Event, Seen, int], None]] = {
    "heavy": heavy,
    "stormy": stormy,
    "silent_sockets": silent_sockets,
    "mixed": mixed,
}


def main() -> None:
    task, ended = read_task()
    seen = Seen()
    work = KINDS[task["kind"]]
    threads = [threading.Thread(target=work, args=(task, ended, seen, number)) for number in range(task["threads"])]
    for thread in threads:
        thread.start()
    seen.has_begun.wait()
    say_begun()
    for thread in threads:
        thread.join()
    report(seen.report())


if __name__ == "__main__":
    main()
