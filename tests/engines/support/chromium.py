"""A real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
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


@contextmanager
def watched_page(browser: Any, **options: Any) -> Iterator[Any]:
    """A page of a new browser profile. Fails if a page of the console has an error in its script, breaks its security policy, or asks for
    a file from elsewhere that does not come. Pages of others, such as an identity provider, are not judged."""
    context = browser.new_context(viewport={"width": 1200, "height": 760}, **options)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    complaints: list[str] = []

    def complain(text: str) -> None:
        if "/console/" in page.url:
            complaints.append(f"{page.url}: {text}")

    page.on("pageerror", lambda error: complain(str(error)))
    page.on("console", lambda line: complain(line.text) if "Content Security Policy" in line.text else None)
    page.on("requestfailed", lambda request: complain(request.url) if is_foreign(request) else None)
    yield page
    context.close()
    assert not complaints, complaints


def reload_until(page: Any, address: str, wanted: Callable[[], Any]) -> None:
    """Loads a page again until it has an element: some records are written within a second after their request."""
    deadline = time.monotonic() + TIMEOUT_MS / 1000
    page.goto(address)
    while wanted().count() == 0:
        assert time.monotonic() < deadline, f"{address} has not got what was waited for:\n{page.inner_text('main')}"
        page.goto(address)


def is_foreign(request: Any) -> bool:
    """Returns whether a file of a page is not the console's own. The page itself is none: a person may go elsewhere."""
    return not request.is_navigation_request() and "/console/" not in request.url


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
