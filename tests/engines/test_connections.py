"""The process with silent clients and at its end: descriptors, signals, exit codes. tests/it/connections.rs tests
single connections."""

from __future__ import annotations

import re
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support import documents
from support.rest import Rest, answer
from support.server import Server

DEADLINE_S = 60.0


@pytest.fixture
def make(binary: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Creates a server that may log that requests were cut off."""
    made: list[Server] = []

    def make(descriptors: tuple[int, int] | None = None, **settings: object) -> Server:
        env = {f"TIDEWATER_{name.upper()}": str(value) for name, value in settings.items()}
        server = Server(binary, tmp_path / "data", env=env, descriptors=descriptors)
        made.append(server)
        server.start()
        return server

    yield make
    for server in made:
        server.kill()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"the condition is not met after {DEADLINE_S} s"
        time.sleep(0.02)


def begin_request(server: Server) -> socket.socket:
    """A request without its body. The server works on it, because it asked for the body."""
    where = urlsplit(server.uri)
    connection = socket.create_connection((where.hostname, where.port), timeout=10)
    head = (
        f"POST /v1/namespaces HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {server.key}\r\n"
        "Content-Type: application/json\r\nContent-Length: 20\r\nExpect: 100-continue\r\n\r\n"
    )
    connection.sendall(head.encode())
    assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
    return connection


def plain_log(server: Server) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", server.stderr())


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_ends_the_server_at_once(make: Callable[..., Server], second: signal.Signals) -> None:
    server = make(api__shutdown_grace_s=600, api__request_timeout_s=600, connections__body_timeout_s=600)
    with begin_request(server):
        server.signal(signal.SIGTERM)
        until(lambda: " stopping after " in plain_log(server))
        assert server.is_running()
        server.signal(second)
        assert server.wait(5) == 128 + second


def test_request_longer_than_the_grace_time_is_cut_off_and_logged(make: Callable[..., Server]) -> None:
    server = make(api__shutdown_grace_s=1, connections__body_timeout_s=600)
    with begin_request(server):
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
    log = plain_log(server)
    assert re.search(r"ERROR .*stopped before all had ended.* grace_s=1 connections=1 requests=1 changes=0", log), log
    assert re.search(r' INFO .*not answered.* method="POST" path="/v1/namespaces" .*organisation="', log), log


def test_change_longer_than_the_grace_time_is_cut_off_after_its_client_left(make: Callable[..., Server]) -> None:
    server = make(api__shutdown_grace_s=1)
    rest = Rest(server.uri, server.key)
    namespace = rest.create_namespace("cut")
    location = rest.create_table(namespace, documents.table("t"))["metadata"]["location"]
    folder = Path(urlsplit(location).path) / "metadata"
    before = set(folder.iterdir())
    body = b'{"requirements":[],"updates":[{"action":"set-properties","updates":{"a":"b"}}]}'
    where = urlsplit(server.uri)
    database = sqlite3.connect(server.data_dir / "tidewater.db", isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    try:
        with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
            head = (
                f"POST /v1/namespaces/{namespace}/tables/t HTTP/1.1\r\nHost: a\r\n"
                f"Authorization: Bearer {server.key}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            connection.sendall(head.encode() + body)
            # The document is written; the pointer waits for the database.
            until(lambda: bool(set(folder.iterdir()) - before))
        server.signal(signal.SIGTERM)
        assert server.wait(60) == 1
    finally:
        database.close()
    log = plain_log(server)
    assert re.search(r"ERROR .*stopped before all had ended.* requests=0 changes=1", log), log


def test_idle_server_stops_at_once_with_exit_code_0(make: Callable[..., Server]) -> None:
    server = make(api__shutdown_grace_s=600)
    answer(Rest(server.uri, server.key).get("/namespaces"))
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert " ERROR " not in plain_log(server)


def test_descriptor_limit_is_raised_to_the_system_maximum(make: Callable[..., Server]) -> None:
    server = make(descriptors=(128, 512))
    limits = Path(f"/proc/{server.pid}/limits").read_text()
    assert re.search(r"^Max open files +512 +512 ", limits, re.MULTILINE), limits


def test_server_uses_no_huge_pages(make: Callable[..., Server]) -> None:
    status = Path(f"/proc/{make().pid}/status").read_text()
    enabled = re.search(r"^THP_enabled:\s+(\d)", status, re.MULTILINE)
    if enabled is None:
        pytest.skip("this kernel does not report it")
    assert enabled[1] == "0", "an idle server would take 10 MB more"


@pytest.mark.parametrize("protocol", ["nothing", "half a preface"])
def test_four_hundred_silent_connections_do_not_block_other_clients(make: Callable[..., Server], protocol: str) -> None:
    server = make(descriptors=(256, 256), connections__head_timeout_s=600)
    rest = Rest(server.uri, server.key)
    namespace = rest.create_namespace("busy")
    rest.create_table(namespace, documents.table("t"))
    where = urlsplit(server.uri)
    with ExitStack() as open_connections:
        for _ in range(400):
            silent = open_connections.enter_context(socket.socket())
            silent.bind(("127.0.0.2", 0))
            silent.settimeout(10)
            silent.connect((where.hostname, where.port))
            if protocol == "half a preface":
                try:
                    silent.sendall(b"PRI * HT")
                except OSError:  # closed by now
                    pass
        until(lambda: "connections are refused" in plain_log(server))
        for number in range(20):
            # Each on a separate connection.
            fresh = Rest(server.uri, server.key)
            answer(fresh.commit(namespace, "t", [documents.set_properties(number=str(number))]))
    assert rest.load(namespace, "t")["metadata"]["properties"]["number"] == "19"
    assert re.search(r" WARN .*connections are refused: one address .*refused=1 last_address=\"127.0.0.2\"", plain_log(server))
    assert server.stop() == 0
