"""Requests are repeated on other replicas after their answer was lost. Each change is made once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import documents
from support.keys import fresh_key
from support.plain_client import Lost, PlainClient, Reply
from support.rest import Rest
from support.server import find_binary

from cluster.audit import check_pointers
from cluster.database import Database
from cluster.processes import wait_for
from cluster.replica import Fleet, Key, events

REPLICAS = 3
NAMESPACE = "repeated"


@dataclass
class Catalog:
    """Three replicas and their database."""

    fleet: Fleet
    database: Database
    key: Key
    rests: list[Rest]

    def send(self, replica: int, request: Request) -> Reply | None:
        """Sends a request to a replica. Returns the answer, or None if it is lost."""
        try:
            headers = {"Idempotency-Key": request.key, "x-request-id": request.id}
            return PlainClient(self.fleet.uris[replica], self.key.text).send(request.method, request.path, request.body, headers)
        except Lost:
            return None

    def count(self, request: Request) -> int:
        """Returns the number of events of a request."""
        return sum(one["request-id"] == request.id for one in events(self.rests[0]))


class Request:
    """A change with its key and its id."""

    def __init__(self, method: str, path: str, body: Any = None):
        self.method, self.path, self.body = method, path, json.dumps(body).encode() if body is not None else None
        self.key, self.id = fresh_key(), fresh_key()


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    folder = tmp_path_factory.mktemp("idempotency")
    with ExitStack() as stack:
        database = Database(folder)
        stack.callback(database.remove)
        fleet = Fleet(find_binary(), folder, folder, count=REPLICAS, env=database.settings)
        stack.callback(fleet.kill)
        key = fleet.organisation()
        fleet.start()
        rests = fleet.rest(key)
        rests[0].create_namespace(NAMESPACE)
        yield Catalog(fleet, database, key, rests)
        assert not check_pointers(events(rests[0]))
        fleet.end()


def make_requests(catalog: Catalog, name: str) -> dict[str, Request]:
    """Returns a change of each kind, which succeeds."""
    rest, tables = catalog.rests[0], f"/v1/namespaces/{NAMESPACE}/tables"
    for suffix in ("a", "b", "old", "gone"):
        rest.create_table(NAMESPACE, documents.table(f"{name}_{suffix}"))
    set_once = documents.set_properties(once="1")
    return {
        "create": Request("POST", tables, documents.table(f"{name}_new")),
        "commit": Request("POST", f"{tables}/{name}_a", documents.table_change(NAMESPACE, f"{name}_a", [set_once])),
        "transaction": Request(
            "POST",
            "/v1/transactions/commit",
            {"table-changes": [documents.table_change(NAMESPACE, f"{name}_{one}", [set_once]) for one in ("a", "b")]},
        ),
        "rename": Request(
            "POST",
            "/v1/tables/rename",
            {
                "source": {"namespace": [NAMESPACE], "name": f"{name}_old"},
                "destination": {"namespace": [NAMESPACE], "name": f"{name}_renamed"},
            },
        ),
        "drop": Request("DELETE", f"{tables}/{name}_gone"),
        "namespace": Request("POST", "/v1/namespaces", {"namespace": [f"{name}_space"]}),
    }


EVENTS = {"transaction": 2}


def check_once(catalog: Catalog, kind: str, request: Request, replies: list[Reply]) -> None:
    """Checks that the repeated request gets the same success from each replica, and has changed the catalog once."""
    replies = replies + [reply for replica in range(REPLICAS) if (reply := catalog.send(replica, request))]
    assert len(replies) >= REPLICAS, f"{kind}: answers are missing"
    shown = [(reply.status, reply.content[:300]) for reply in replies]
    assert all(reply.status in (200, 204) for reply in replies), f"{kind}: {shown}"
    assert all(reply.content == replies[0].content for reply in replies), f"{kind}: {shown}"
    assert catalog.count(request) == EVENTS.get(kind, 1), f"{kind} was not made once"


def test_request_that_is_repeated_on_other_replicas_is_made_once(catalog: Catalog) -> None:
    for kind, request in make_requests(catalog, "answered").items():
        check_once(catalog, kind, request, [])


def test_request_that_all_replicas_get_at_once_is_made_once(catalog: Catalog) -> None:
    with ThreadPoolExecutor(2 * REPLICAS) as pool:
        for kind, request in make_requests(catalog, "at_once").items():
            ready = threading.Barrier(2 * REPLICAS)

            def send(number: int, request: Request = request, ready: threading.Barrier = ready) -> Reply | None:
                ready.wait()
                return catalog.send(number % REPLICAS, request)

            replies = [reply for reply in pool.map(send, range(2 * REPLICAS)) if reply]
            check_once(catalog, kind, request, replies)


@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_request_whose_commit_was_cut_is_made_once(catalog: Catalog, moment: str) -> None:
    """The replica loses its connection to the database. It answers, or the client repeats the request elsewhere."""
    for kind, request in make_requests(catalog, f"cut_{moment}").items():
        cut = catalog.database.proxy.counts()["cut"]
        catalog.database.proxy.arm(moment, 1)
        reply = catalog.send(0, request)
        wait_for("the commit is cut", lambda cut=cut: catalog.database.proxy.counts()["cut"] > cut)
        catalog.database.proxy.disarm()
        if reply is not None and reply.status >= 500 and reply.headers.get("Retry-After"):
            assert catalog.count(request) == 0, f"{kind}: the answer says that nothing was changed: {reply.content!r}"
        check_once(catalog, kind, request, [reply] if reply is not None and reply.status < 300 else [])


def test_request_to_a_replica_that_is_killed_is_made_once(catalog: Catalog) -> None:
    victim = catalog.fleet.replicas[0]
    for kind, request in make_requests(catalog, "killed").items():
        sending = threading.Thread(target=catalog.send, args=(0, request))
        sending.start()
        victim.kill()
        sending.join()
        victim.begin()
        reply = catalog.send(-1, request)
        victim.wait_until_ready()
        assert reply is not None
        check_once(catalog, kind, request, [reply])
