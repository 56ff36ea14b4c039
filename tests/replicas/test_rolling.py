"""Replicas behind HAProxy are replaced one after the other under load: clients see no failed request."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from support import documents
from support.latency import Attempt, Latency
from support.plain_client import Lost, PlainClient
from support.rest import answer
from support.server import find_binary

from cluster.audit import check_pointers
from cluster.database import Database
from cluster.haproxy import CHECK_INTERVAL_MS, HAProxy
from cluster.processes import say, wait_for
from cluster.replica import Fleet, events

REPLICAS = 3
ROUNDS = int(os.environ.get("TIDEWATER_REPLICAS_ROUNDS", "1"))
CLIENTS = 6

# How long a replica serves after its `/ready` has turned to 503. HAProxy sees that after one interval.
DRAIN_S = 2

NAMESPACE = "rolling"


class Caller(threading.Thread):
    """A client with a table of its own, which nobody else changes: each request must succeed."""

    def __init__(self, uri: str, key: str, number: int, ended: threading.Event):
        super().__init__(daemon=True)
        self.attempts: list[Attempt] = []
        self.failures: list[str] = []
        self.committed = 0
        self.path = f"/v1/namespaces/{NAMESPACE}/tables/t{number}"
        self._client = PlainClient(uri, key, timeout_s=60)
        self._ended = ended

    def run(self) -> None:
        while not self._ended.is_set():
            self._send("load", "GET", self.path)
            self._send("list", "GET", f"/v1/namespaces/{NAMESPACE}/tables")
            update = documents.table_change(NAMESPACE, self.name, [documents.set_properties(count=str(self.committed + 1))])
            self._send("commit", "POST", self.path, json.dumps(update).encode())

    def _send(self, kind: str, method: str, path: str, body: bytes | None = None) -> None:
        begun = time.monotonic()
        try:
            reply = self._client.send(method, path, body)
        except Lost as lost:
            self.failures.append(f"{kind}: {lost}")
            return
        self.attempts.append((kind, begun, time.monotonic(), reply.status))
        if reply.status != 200:
            self.failures.append(f"{kind}: {reply.status} {reply.content[:200]!r}")
        elif kind == "commit":
            self.committed += 1


@pytest.mark.timeout(300 + 120 * ROUNDS)
@pytest.mark.parametrize("upgrade", [pytest.param(False, marks=pytest.mark.long, id="restart"), pytest.param(True, id="upgrade")])
def test_rolling_restart_under_load_fails_no_request(stack: ExitStack, tmp_path: Path, logs: Path, upgrade: bool) -> None:
    database = Database(logs, pooled=True)
    stack.callback(database.remove)
    fleet = Fleet(find_binary(), tmp_path, logs, count=REPLICAS, env={**database.settings, "TIDEWATER_API__DRAIN_S": str(DRAIN_S)})
    stack.callback(fleet.kill)
    key = fleet.organisation()
    fleet.start()
    balancer = HAProxy(fleet.replicas, tmp_path, logs)
    stack.callback(balancer.stop)
    balancer.start()
    rest = fleet.rest(key)[0]
    rest.create_namespace(NAMESPACE)
    ended = threading.Event()
    callers = [Caller(balancer.uri, key.text, number, ended) for number in range(CLIENTS)]
    for number in range(CLIENTS):
        rest.create_table(NAMESPACE, documents.table(f"t{number}"))
    for caller in callers:
        caller.start()
    next_binary = Path(os.environ.get("TIDEWATER_BIN_NEXT", find_binary())) if upgrade else find_binary()
    for _ in range(ROUNDS):
        for replica in fleet.replicas:
            code = replica.stop()
            assert code == 0, f"{replica.name} ended with {code}:\n{replica.tail()}"
            replica.binary = next_binary
            replica.start()
            wait_for(f"HAProxy uses {replica.name} again", lambda replica=replica: balancer.is_up(replica))
    time.sleep(2 * CHECK_INTERVAL_MS / 1_000)
    ended.set()
    for caller in callers:
        caller.join()
    show(callers)
    failures = [failure for caller in callers for failure in caller.failures]
    assert not failures, "\n".join([f"{len(failures)} failed requests", *failures[:20], balancer.tail()])
    for caller in callers:
        metadata = answer(rest.get(caller.path.removeprefix("/v1")))["metadata"]
        assert metadata["properties"].get("count") == str(caller.committed)
    found = events(rest)
    assert Counter(one["operation"] for one in found)["update-table"] == sum(caller.committed for caller in callers)
    assert not check_pointers(found)
    fleet.end()


def show(callers: list[Caller]) -> None:
    for kind in ("load", "list", "commit"):
        say(f"{kind}: {Latency.of([one for caller in callers for one in caller.attempts if one[0] == kind])}")


def test_balancer_sends_nothing_to_a_replica_that_stops(stack: ExitStack, tmp_path: Path, logs: Path) -> None:
    """A replica that drains answers requests, and its `/ready` answers 503."""
    fleet = Fleet(find_binary(), tmp_path, logs, env={"TIDEWATER_API__DRAIN_S": str(DRAIN_S)})
    stack.callback(fleet.kill)
    fleet.organisation()
    fleet.start()
    (replica,) = fleet.replicas
    balancer = HAProxy(fleet.replicas, tmp_path, logs)
    stack.callback(balancer.stop)
    balancer.start()
    ended: list[int] = []
    stopping = threading.Thread(target=lambda: ended.append(replica.stop()))
    stopping.start()
    wait_for("/ready answers 503", lambda: replica.status_of("/ready") == 503, deadline_s=DRAIN_S)
    assert replica.status_of("/health") == 200, "the draining replica does not serve"
    wait_for("HAProxy sees the drain", lambda: not balancer.is_up(replica), deadline_s=DRAIN_S)
    stopping.join()
    assert ended == [0]
