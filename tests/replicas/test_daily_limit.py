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

LIMIT = 1_200
SERVED_AT_LEAST = 0.99

# How long replicas may take to learn that others have given requests back.
SETTLE_S = 6.0

# The pause of a client that was refused and waits for midnight.
PAUSE_S = 0.02

# How long clients are refused and served around midnight, in seconds.
AROUND_MIDNIGHT_S = 2

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


class Clock:
    """The clock of processes, which the test can move. Their monotonic clock stays."""

    def __init__(self, folder: Path):
        self._file = folder / "clock"

    @property
    def settings(self) -> dict[str, str]:
        """The environment of processes with this clock."""
        return {
            "LD_PRELOAD": str(find_faketime()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set_hours_from_midnight(self, hours: float) -> None:
        """Sets the clock this long after the next midnight UTC, or before it if negative."""
        now = datetime.now(UTC)
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        offset_s = (midnight - now).total_seconds() + hours * 3_600
        moved = self._file.with_suffix(".new")
        moved.write_text(f"+{offset_s:.1f}")
        moved.replace(self._file)


def test_each_day_has_its_whole_limit_over_midnight(stack: ExitStack, tmp_path: Path, logs: Path) -> None:
    clock = Clock(tmp_path)
    clock.set_hours_from_midnight(-1)
    fleet, key = start(stack, tmp_path, logs, clock.settings)
    before = spend_everywhere(fleet, key) + spend_rest(fleet, key)
    with ThreadPoolExecutor(1) as pool:
        # The first day is spent, so all that is served in this time belongs to the second.
        around = pool.submit(spend_everywhere, fleet, key, LIMIT, time.monotonic() + AROUND_MIDNIGHT_S)
        time.sleep(AROUND_MIDNIGHT_S / 2)
        clock.set_hours_from_midnight(0.01)
        second = around.result()[200]
    second += (spend_everywhere(fleet, key) + spend_rest(fleet, key))[200]
    say(f"before midnight {before[200]}, after it {second}, of {LIMIT} for each day")
    for served in (before[200], second):
        assert SERVED_AT_LEAST * LIMIT <= served <= LIMIT
    fleet.end()
