"""Replicas stay alive while their database is away, and serve again when it is back."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from support import documents
from support.rest import Rest
from support.server import find_binary

from cluster.database import Database
from cluster.processes import wait_for
from cluster.replica import Fleet, Key

REPLICAS = 2
NAMESPACE = "outage"

NOTICED_WITHIN_S = 15.0
ANSWERED_WITHIN_S = 30.0


@pytest.fixture
def started(stack: ExitStack, tmp_path: Path, logs: Path) -> tuple[Fleet, Database, Key]:
    database = Database(logs)
    stack.callback(database.remove)
    fleet = Fleet(find_binary(), tmp_path, logs, count=REPLICAS, env=database.settings)
    stack.callback(fleet.kill)
    key = fleet.organisation()
    fleet.start()
    return fleet, database, key


def statuses(fleet: Fleet, path: str) -> set[int]:
    return {replica.status_of(path) for replica in fleet.replicas}


def check_refused(rest: Rest) -> None:
    """Checks that a load and a commit are answered 503 in time."""
    begun = time.monotonic()
    loaded = rest.get(f"/namespaces/{NAMESPACE}/tables/t")
    committed = rest.commit(NAMESPACE, "t", [documents.set_properties(never="1")])
    assert (loaded.status_code, committed.status_code) == (503, 503), (loaded.text, committed.text)
    assert time.monotonic() - begun < ANSWERED_WITHIN_S


def test_replicas_are_alive_but_not_ready_while_the_database_is_away(started: tuple[Fleet, Database, Key]) -> None:
    fleet, database, key = started
    rest = fleet.rest(key)[0]
    rest.create_namespace(NAMESPACE)
    rest.create_table(NAMESPACE, documents.table("t"))
    database.primary.stop()
    wait_for("/ready answers 503", lambda: statuses(fleet, "/ready") == {503}, NOTICED_WITHIN_S)
    assert statuses(fleet, "/health") == {200}
    for one in fleet.rest(key):
        check_refused(one)
    database.primary.start()
    wait_for("/ready answers 200", lambda: statuses(fleet, "/ready") == {200}, NOTICED_WITHIN_S)
    for one in fleet.rest(key):
        assert "never" not in one.load(NAMESPACE, "t")["metadata"]["properties"]
    fleet.end()


@pytest.mark.long
def test_replica_that_starts_without_its_database_waits_for_it(started: tuple[Fleet, Database, Key]) -> None:
    fleet, database, _ = started
    replica = fleet.replicas[0]
    assert replica.stop() == 0
    database.primary.stop()
    replica.begin()
    wait_for("the log names the database", lambda: "does not answer yet" in replica.text(), NOTICED_WITHIN_S)
    assert replica.is_running()
    database.primary.start()
    replica.wait_until_ready()
    fleet.end()
