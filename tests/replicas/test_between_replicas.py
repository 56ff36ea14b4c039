"""What one process could decide for itself holds between replicas: locations, limits, revoked access, background work."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from support import documents
from support.rest import Rest, answer, empty, refused
from support.server import find_binary

from cluster.database import Database
from cluster.processes import wait_for
from cluster.replica import ORGANISATION, Fleet, Key, events

REPLICAS = 3
NAMESPACE = "between"

ROUNDS = 10
MAX_TABLES = 5
PURGED = 24
PURGED_WITHIN_S = 120.0

SETTINGS = {"TIDEWATER_TIERS__FEW__MAX_TABLES": str(MAX_TABLES), "TIDEWATER_DROP__RETENTION_S": "0"}


@dataclass
class Catalog:
    """Three replicas, and the API of each with an admin's key."""

    fleet: Fleet
    database: Database
    key: Key
    rests: list[Rest]

    def at_once(self, *calls: Callable[[], requests.Response]) -> list[requests.Response]:
        """Makes the calls at the same time."""
        ready = threading.Barrier(len(calls))

        def call(one: Callable[[], requests.Response]) -> requests.Response:
            ready.wait()
            return one()

        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(call, calls))


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    folder = tmp_path_factory.mktemp("between")
    with ExitStack() as stack:
        database = Database(folder)
        stack.callback(database.remove)
        fleet = Fleet(find_binary(), folder, folder, count=REPLICAS, env={**database.settings, **SETTINGS})
        stack.callback(fleet.kill)
        key = fleet.organisation()
        fleet.start()
        rests = fleet.rest(key)
        rests[0].create_namespace(NAMESPACE)
        yield Catalog(fleet, database, key, rests)
        fleet.end()


def creation(rest: Rest, name: str, **more: Any) -> Callable[[], requests.Response]:
    return lambda: rest.post(f"/namespaces/{NAMESPACE}/tables", json=documents.table(name, **more))


def test_overlapping_locations_on_two_replicas_are_given_once(catalog: Catalog) -> None:
    first, second, _ = catalog.rests
    root = answer(creation(first, "any")())["metadata"]["location"].rpartition("/")[0]
    for number in range(ROUNDS):
        outer = f"{root}/outer_{number}"
        made = catalog.at_once(
            creation(first, f"outer_{number}", location=outer), creation(second, f"inner_{number}", location=f"{outer}/inner")
        )
        assert sorted(one.status_code for one in made) == [200, 400], [one.text[:300] for one in made]


def test_one_name_on_all_replicas_is_given_once(catalog: Catalog) -> None:
    for number in range(ROUNDS):
        made = catalog.at_once(*(creation(rest, f"name_{number}") for rest in catalog.rests))
        assert sorted(one.status_code for one in made) == [200, 409, 409], [one.text[:300] for one in made]


def test_namespace_that_is_dropped_while_it_gets_a_table_keeps_the_table(catalog: Catalog) -> None:
    first, second, third = catalog.rests
    for number in range(ROUNDS):
        namespace = first.create_namespace(f"contended_{number}")
        created, dropped = catalog.at_once(
            lambda namespace=namespace: first.post(f"/namespaces/{namespace}/tables", json=documents.table("t")),
            lambda namespace=namespace: second.delete(f"/namespaces/{namespace}"),
        )
        assert (created.status_code, dropped.status_code) in ((200, 409), (404, 204)), (created.text, dropped.text)
        assert third.get(f"/namespaces/{namespace}/tables/t").status_code == created.status_code


def test_limit_of_tables_is_exact_over_replicas(catalog: Catalog) -> None:
    key = catalog.fleet.organisation("few", name="few")
    rests = catalog.fleet.rest(key)
    rests[0].create_namespace(NAMESPACE)
    calls = [creation(rests[number % REPLICAS], f"t{number}") for number in range(4 * REPLICAS)]
    made = Counter(one.status_code for one in catalog.at_once(*calls))
    assert made == {200: MAX_TABLES, 403: len(calls) - MAX_TABLES}, made


def test_revoked_key_is_refused_by_every_replica_at_once(catalog: Catalog) -> None:
    """No replica serves a table to a key after another has answered its revocation."""
    answer(creation(catalog.rests[0], "secret")())
    path = f"/namespaces/{NAMESPACE}/tables/secret"
    for number in range(ROUNDS):
        admin = catalog.rests[number % REPLICAS]
        keys = f"{admin.uri}/management/v1/organisations/{ORGANISATION}/keys"
        made = answer(admin.post(keys, json={"name": f"short {number}", "role": "reader"}))
        readers = catalog.fleet.rest(Key(made["api_key"], made["id"]))
        for reader in readers:
            answer(reader.get(path))
        empty(admin.delete(f"{keys}/{made['id']}"))
        statuses = [reader.get(path).status_code for reader in readers]
        assert statuses == [401] * REPLICAS, f"round {number}: {statuses}, revoked by replica {number % REPLICAS + 1}"


def test_purges_are_made_once_though_a_replica_is_killed(catalog: Catalog) -> None:
    """Each dropped table is purged by one replica, and those of a killed one are taken over."""
    names = [f"purged_{number}" for number in range(PURGED)]
    rests, victim = catalog.rests, catalog.fleet.replicas[0]
    ids = {name: answer(creation(rests[1], name)())["metadata"]["table-uuid"] for name in names}
    assert len(set(ids.values())) == PURGED
    for number, name in enumerate(names):
        empty(rests[number % REPLICAS].delete(f"/namespaces/{NAMESPACE}/tables/{name}?purgeRequested=true"))
    victim.kill()

    def purges() -> Counter[str]:
        found = [one for one in events(rests[1]) if one["operation"] == "purge-table"]
        return Counter(one["object"] for one in found if one["object"].startswith(f"{NAMESPACE}.purged_"))

    wait_for("all tables are purged", lambda: len(purges()) == PURGED, PURGED_WITHIN_S)
    assert set(purges().values()) == {1}, purges()
    victim.start()
    refused(rests[0].get(f"/namespaces/{NAMESPACE}/tables/{names[0]}"), 404)
