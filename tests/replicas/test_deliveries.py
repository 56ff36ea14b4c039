"""Webhooks of several servers: one of them delivers, and another continues when it is killed."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from support import documents
from support.rest import answer
from support.server import find_binary
from support.webhook_receiver import LOCAL, Receiver

from cluster.database import Database
from cluster.processes import wait_for
from cluster.replica import ORGANISATION, Fleet

NAMESPACE = "delivered"
COMMITS = 10

# A lease of a killed server ends after 15 s.
ARRIVES_WITHIN_S = 90.0


def test_events_arrive_in_order_whichever_replica_is_killed(stack: ExitStack, tmp_path: Path, logs: Path) -> None:
    database = Database(tmp_path)
    stack.callback(database.remove)
    fleet = Fleet(find_binary(), tmp_path, logs, count=2, env={**database.settings, **LOCAL})
    stack.callback(fleet.kill)
    key = fleet.organisation()
    fleet.start()
    receiver = Receiver(lambda *_: 204)
    stack.enter_context(receiver.serving())
    rests = fleet.rest(key)
    rests[0].create_namespace(NAMESPACE)
    rests[0].create_table(NAMESPACE, documents.table("orders"))
    subscriptions = f"{rests[0].uri}/management/v1/organisations/{ORGANISATION}/subscriptions"
    asked = {"name": "hook", "url": receiver.url, "objects": [f"{NAMESPACE}.*"], "operations": ["update-table"]}
    receiver.secret = answer(rests[0].post(subscriptions, json=asked))["secret"]
    made = 0

    def commit(replica: int) -> None:
        nonlocal made
        for _ in range(COMMITS):
            made += 1
            answer(rests[replica].commit(NAMESPACE, "orders", [documents.set_properties(count=str(made))]))

    def arrive(who: str) -> None:
        since = time.monotonic()
        wait_for(f"all events arrive {who}", lambda: len(receiver.numbers(f"{NAMESPACE}.orders")) == made, ARRIVES_WITHIN_S)
        print(f"{who}: the last event arrived after {time.monotonic() - since:.1f} s")

    commit(0)
    arrive("from both")
    # One of the two delivered these. Each is killed once, so the other had to continue once.
    for number, replica in enumerate(fleet.replicas):
        commit(number)
        replica.kill()
        commit(1 - number)
        arrive(f"without {replica.name}")
        replica.start()
    numbers = receiver.numbers(f"{NAMESPACE}.orders")
    assert numbers == sorted(numbers, key=int)
    assert not receiver.wrong
    fleet.end()
