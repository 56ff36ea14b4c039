"""A real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from support import node

MISSING = (
    "Chromium or Playwright is missing: install both (Debian: apt-get install chromium; Python: requirements.txt), then run "
    "`cargo xtask test`"
)

TIMEOUT_MS = 30_000


def executable() -> str | None:
    """Returns the path of the browser, if there is one."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def chromium() -> Iterator[Any]:
    """Starts the browser. Skips the test if it is missing. In CI this is a failure."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    path = executable()
    if sync_playwright is None or path is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def axe_source() -> str:
    """Returns the script of axe-core, which finds faults for keyboards and screen readers. Skips the test if it is missing."""
    node.needed()
    modules = node.modules()
    assert modules is not None
    return (Path(modules) / "axe-core/axe.min.js").read_text()


class _BelowAPath(BaseHTTPRequestHandler):
    """Passes on requests below a path without the path, like a reverse proxy."""

    prefix = "/lake"
    upstream = ""
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        if not self.path.startswith(self.prefix):
            self.send_error(404)
            return
        length = int(self.headers.get("content-length", 0))
        connection = HTTPConnection(self.upstream, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        connection.request(self.command, self.path[len(self.prefix) :] or "/", self.rfile.read(length), headers)
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        connection.close()

    do_GET = do_POST = do_HEAD = _pass_on

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing."""


@contextmanager
def below_a_path(uri: str) -> Iterator[str]:
    """Serves a server below the path /lake of another address. Yields the whole address."""
    handler = type("Handler", (_BelowAPath,), {"upstream": urlsplit(uri).netloc})
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=proxy.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{proxy.server_port}/lake"
    proxy.shutdown()
    proxy.server_close()
