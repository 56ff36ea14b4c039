"""The daily limit of an organisation over three replicas: never exceeded, and nearly all of it served."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.plain_client import Lost, PlainClient
from support.server import find_binary

from cluster.database import Database
from cluster.processes import missing, say
from cluster.replica import Fleet

REPLICAS = 3
CLIENTS_PER_REPLICA = 2

LIMIT = 2_000
SERVED_AT_LEAST = 0.99

# How long replicas may take to learn that others have given requests back.
SETTLE_S = 6.0

# The pause of a client that was refused and waits for midnight.
PAUSE_S = 0.02

# Seconds until midnight when the replicas start, by their own clock.
BEFORE_MIDNIGHT_S = 15

TIER = {"TIDEWATER_TIERS__DAILY__REQUESTS_PER_DAY": str(LIMIT)}


def start(stack: ExitStack, folder: Path, logs: Path, env: dict[str, str] | None = None) -> tuple[Fleet, str]:
    """Starts the replicas. Returns them and the key of an organisation with the daily limit."""
    database = Database(logs)
    stack.callback(database.remove)
    fleet = Fleet(find_binary(), folder, logs, count=REPLICAS, env={**database.settings, **TIER, **(env or {})})
    stack.callback(fleet.kill)
    key = fleet.organisation("daily")
    fleet.start()
    return fleet, key.text


def spend(uri: str, key: str, stop_at: int, until: float | None = None) -> Counter[int]:
    """Sends requests until one is refused, until `stop_at` were sent, or until a time. Returns the number of answers by status,
    0 for a lost one."""
    client, statuses = PlainClient(uri, key), Counter[int]()
    while statuses.total() < stop_at and (until is None or time.monotonic() < until):
        try:
            status = client.send("GET", "/v1/namespaces").status
        except Lost:
            status = 0
        statuses[status] += 1
        if status == 429:
            if until is None:
                break
            time.sleep(PAUSE_S)
    return statuses


def spend_everywhere(fleet: Fleet, key: str, stop_at: int = LIMIT, until: float | None = None) -> Counter[int]:
    """Sends requests to all replicas at the same time."""
    with ThreadPoolExecutor(REPLICAS * CLIENTS_PER_REPLICA) as pool:
        uris = fleet.uris * CLIENTS_PER_REPLICA
        return sum(pool.map(lambda uri: spend(uri, key, stop_at, until), uris), Counter[int]())


def spend_rest(fleet: Fleet, key: str) -> Counter[int]:
    """Sends requests to one replica after the other, until all refuse them for good."""
    time.sleep(SETTLE_S)
    return sum((spend(uri, key, LIMIT) for uri in fleet.uris), Counter[int]())


@pytest.mark.long
def test_daily_limit_over_replicas_is_exact(stack: ExitStack, tmp_path: Path, logs: Path) -> None:
    fleet, key = start(stack, tmp_path, logs)
    statuses = spend_everywhere(fleet, key)
    at_first = statuses[200]
    statuses += spend_rest(fleet, key)
    say(f"served {at_first} and then {statuses[200] - at_first} of {LIMIT}")
    assert set(statuses) == {200, 429}, statuses
    assert SERVED_AT_LEAST * LIMIT <= statuses[200] <= LIMIT, statuses
    fleet.end()


@pytest.mark.long
def test_uneven_load_over_replicas_is_served_up_to_the_limit(stack: ExitStack, tmp_path: Path, logs: Path) -> None:
    """Replicas that got few requests do not keep much of the day's budget."""
    fleet, key = start(stack, tmp_path, logs)
    statuses = sum((spend(uri, key, 3) for uri in fleet.uris[1:]), Counter[int]())
    statuses += spend(fleet.uris[0], key, LIMIT)
    say(f"served {statuses[200]} of {LIMIT}")
    assert SERVED_AT_LEAST * LIMIT <= statuses[200] <= LIMIT, statuses
    fleet.end()


def test_killed_replica_loses_only_its_lease(stack: ExitStack, tmp_path: Path, logs: Path) -> None:
    fleet, key = start(stack, tmp_path, logs)
    statuses = spend_everywhere(fleet, key, stop_at=LIMIT // (3 * REPLICAS * CLIENTS_PER_REPLICA))
    fleet.replicas[0].kill()
    fleet.replicas[0].start()
    statuses += spend_everywhere(fleet, key)
    statuses += spend_rest(fleet, key)
    say(f"served {statuses[200]} of {LIMIT} with a killed replica")
    assert SERVED_AT_LEAST * LIMIT <= statuses[200] <= LIMIT, statuses
    fleet.end()


def find_faketime() -> Path:
    """Returns the library that gives a process another clock."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return found[0] if found else missing("libfaketime")


def clock_before_midnight(seconds: int) -> dict[str, str]:
    """Returns the environment of processes whose clock reaches midnight UTC after this time. Their monotonic clock stays."""
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    offset = (midnight - now).total_seconds() - seconds
    return {"LD_PRELOAD": str(find_faketime()), "FAKETIME": f"+{offset:.1f}", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def test_each_day_has_its_whole_limit_over_midnight(stack: ExitStack, tmp_path: Path, logs: Path) -> None:
    begun = time.monotonic()
    fleet, key = start(stack, tmp_path, logs, clock_before_midnight(BEFORE_MIDNIGHT_S))
    midnight = begun + BEFORE_MIDNIGHT_S
    before = spend_everywhere(fleet, key, stop_at=LIMIT, until=midnight - 1)
    assert before[429] > 0, f"the first day's limit was not reached before midnight: {before}"
    # Requests of this time belong to either day.
    around = spend_everywhere(fleet, key, stop_at=LIMIT, until=midnight + 1)
    after = spend_everywhere(fleet, key) + spend_rest(fleet, key)
    say(f"before midnight {before[200]}, around it {around[200]}, after it {after[200]}, of {LIMIT} for each day")
    assert before[200] <= LIMIT, before
    assert before[200] + around[200] + after[200] <= 2 * LIMIT
    assert around[200] + after[200] >= SERVED_AT_LEAST * LIMIT
    assert before[200] >= SERVED_AT_LEAST * LIMIT, before
    fleet.end()
