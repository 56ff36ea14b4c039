"""A receiver of webhooks that checks signatures as docs/events.md shows."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from support.server import REPOSITORY

ARRIVES_WITHIN_S = 90.0

# The settings of a server that may send to this machine.
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

    def numbers(self, subject: str) -> list[str]:
        """Returns the first arrivals of the events about an object, by their numbers."""
        mine = [event for event in self.accepted if event["subject"] == subject]
        return list(dict.fromkeys(event["sequence"] for event in mine))
