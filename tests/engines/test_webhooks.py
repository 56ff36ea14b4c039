"""Events over HTTP: a receiver that checks signatures as docs/events.md shows, and fails while the server is killed."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from support import documents
from support.rest import Rest, answer
from support.server import REPOSITORY, Server

ARRIVES_WITHIN_S = 90.0
KILLS = 3
COMMITS = 12
TABLES = ("orders", "returns")
LOCAL = {"TIDEWATER_DELIVERY__ALLOW_HTTP": "true", "TIDEWATER_DELIVERY__ALLOW_NETWORKS": "127.0.0.0/8"}


def documented_check() -> Callable[..., None]:
    """Returns the function in docs/events.md that checks a signature."""
    page = (REPOSITORY / "docs/events.md").read_text()
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert code
    names: dict[str, Any] = {}
    exec(compile(code.group(1), "docs/events.md", "exec"), names)
    return names["check"]


class Receiver:
    """Accepts events whose signatures are right. `status` decides the answer of each request, by its number and its event."""

    def __init__(self, status: Callable[[int, dict], int]):
        self._secret = ""
        self._knows_secret = threading.Event()
        self.accepted: list[dict] = []
        self.wrong: list[str] = []
        self.requests = 0
        self._status = status
        self._lock = threading.Lock()
        self._check = documented_check()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(receiver.take(self.headers, body))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Prints nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    @property
    def secret(self) -> str:
        return self._secret

    @secret.setter
    def secret(self, secret: str) -> None:
        self._secret = secret
        self._knows_secret.set()

    def take(self, headers: Any, body: bytes) -> int:
        # The first event may arrive before the command that created the subscription has ended.
        self._knows_secret.wait(ARRIVES_WITHIN_S)
        with self._lock:
            number, self.requests = self.requests, self.requests + 1
            try:
                self._check(self.secret, headers, body)
            except ValueError as error:
                self.wrong.append(str(error))
            event = json.loads(body)
            status = self._status(number, event)
            if status < 300:
                self.accepted.append(event)
            return status

    @contextmanager
    def serving(self) -> Iterator[Receiver]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ARRIVES_WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {ARRIVES_WITHIN_S} s"
        time.sleep(0.05)


def counts(events: list[dict], table: str) -> list[str]:
    """Returns the first arrivals of a table's events, by their numbers."""
    mine = [event for event in events if event["subject"] == f"ns.{table}"]
    return list(dict.fromkeys(event["sequence"] for event in mine))


def test_commits_arrive_signed_and_in_order_although_receiver_fails_and_server_is_killed(
    make_server: Callable[..., Server],
) -> None:
    server = make_server("webhooks", env=LOCAL)
    server.start()
    with Receiver(lambda number, _: 503 if number % 5 == 1 else 200).serving() as receiver:
        rest = Rest(server.uri, server.key)
        rest.create_namespace("ns")
        for table in TABLES:
            rest.create_table("ns", documents.table(table))
        arguments = ("--url", receiver.url, "--object", "ns.*", "--operation", "update-table")
        receiver.secret = server.command("subscription", "create", "hook", *arguments).stdout.strip()
        made = 0
        for _ in range(KILLS):
            for _ in range(COMMITS):
                made += 1
                for table in TABLES:
                    answer(rest.commit("ns", table, [documents.set_properties(count=str(made))]))
            server.kill()
            server.start()
        eventually(lambda: all(len(counts(receiver.accepted, table)) == made for table in TABLES))
        assert not receiver.wrong
        for table in TABLES:
            assert counts(receiver.accepted, table) == sorted(counts(receiver.accepted, table))
        ids = {event["id"] for event in receiver.accepted}
        assert len(ids) == made * len(TABLES), "an event that was sent again has the same id"
        assert {event["type"] for event in receiver.accepted} == {"io.tidewater.table.updated.v1"}


def test_dead_letter_is_listed_and_replayed_by_the_command_line(make_server: Callable[..., Server]) -> None:
    server = make_server("dead-letters", env={**LOCAL, "TIDEWATER_DELIVERY__REJECTIONS": "1"})
    server.start()
    accepts = threading.Event()

    def status(_: int, event: dict) -> int:
        return 422 if event["type"] != "io.tidewater.ping.v1" and not accepts.is_set() else 204

    with Receiver(status).serving() as receiver:
        created = server.command("subscription", "create", "hook", "--url", receiver.url, "--json")
        receiver.secret = json.loads(created.stdout)["secret"]
        assert "accepted" in server.command("subscription", "test", "hook").stdout
        Rest(server.uri, server.key).create_namespace("made")

        def letters() -> list[dict]:
            return json.loads(server.command("subscription", "dead-letters", "hook", "--json").stdout)

        eventually(lambda: any(letter["event"]["subject"] == "made" for letter in letters()))
        rotated = server.command("subscription", "rotate", "hook")
        receiver.secret = rotated.stdout.strip()
        accepts.set()
        assert "sent again" in server.command("subscription", "replay", "hook").stdout
        eventually(lambda: not letters())
        assert any(event["subject"] == "made" for event in receiver.accepted)
        assert not receiver.wrong
        refused = server.command("subscription", "create", "inside", "--url", "https://169.254.169.254/", check=False)
        assert refused.returncode == 1
        assert "inside a network" in refused.stderr
        server.command("subscription", "delete", "hook")
        assert json.loads(server.command("subscription", "list", "--json").stdout) == []
