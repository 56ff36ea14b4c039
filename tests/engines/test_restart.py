"""A quickstart's promises: one line of output, a key that only its owner can read, and an unchanged state after a
restart."""

from __future__ import annotations

import json
import re
import stat
import threading
from collections.abc import Callable

import pytest

from support import documents
from support.rest import Rest, answer
from support.server import Server


@pytest.fixture(scope="module")
def own(make_server: Callable[..., Server]) -> Server:
    """A server for stops and starts."""
    server = make_server("restart")
    server.start()
    return server


def test_quickstart_prints_one_line_of_json(own: Server) -> None:
    assert own.printed is not None
    assert own.stdout_text.count("\n") == 1
    assert set(json.loads(own.stdout_text)) == {"uri", "warehouse", "api_key", "namespace", "table"}
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", own.printed.uri)
    assert own.printed.api_key.startswith("flx_")


def test_quickstart_stops_on_a_signal_and_starts_again_unchanged(own: Server, unique: str) -> None:
    rest = Rest(own.uri, own.key)
    rest.create_namespace(unique, properties={"a": "b"})
    created = rest.create_table(unique, documents.table("t"))
    namespaces = answer(rest.get("/namespaces"))
    before = own.printed
    assert own.stop() == 0
    assert own.start() == before
    again = Rest(own.uri, own.key)
    assert answer(again.get("/namespaces")) == namespaces
    assert again.load(unique, "t") == created


def test_token_stays_valid_after_a_restart(own: Server) -> None:
    form = {"grant_type": "client_credentials", "client_id": own.key}
    token = answer(Rest(own.uri, None).post("/oauth/tokens", data=form))["access_token"]
    own.stop()
    own.start()
    answer(Rest(own.uri, token).get("/namespaces"))


def test_stop_during_commits_loses_no_acknowledged_commit(own: Server, unique: str) -> None:
    """A commit sent before the stop gets either an answer, and is then durable, or a closed connection."""
    rest = Rest(own.uri, own.key)
    rest.create_namespace(unique)
    rest.create_table(unique, documents.table("t"))
    acknowledged: set[str] = set()
    begun = threading.Barrier(5)

    def commit(writer: int) -> None:
        mine = Rest(own.uri, own.key)
        begun.wait()
        for number in range(10_000):
            mark = f"mark.{writer}.{number}"
            try:
                response = mine.commit(unique, "t", [documents.set_properties(**{mark: "1"})])
            except OSError:
                return
            if response.status_code == 503:
                return
            answer(response)
            acknowledged.add(mark)

    threads = [threading.Thread(target=commit, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    begun.wait()
    while not acknowledged:
        assert any(thread.is_alive() for thread in threads)
    assert own.stop() == 0
    for thread in threads:
        thread.join(30)
    own.start()
    assert acknowledged <= set(Rest(own.uri, own.key).load(unique, "t")["metadata"]["properties"])


def test_key_is_in_one_file_that_only_its_owner_reads(own: Server) -> None:
    holding = [path for path in own.data_dir.rglob("*") if path.is_file() and own.key.encode() in path.read_bytes()]
    assert len(holding) == 1, holding
    assert stat.S_IMODE(holding[0].stat().st_mode) == 0o600
    assert not holding[0].name.endswith((".db", ".db-wal", ".db-shm"))
    assert own.key not in own.stderr()


def test_database_is_readable_by_its_owner_only(own: Server) -> None:
    for path in own.data_dir.glob("*.db*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
