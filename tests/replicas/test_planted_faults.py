"""The checks find faults that are planted into a real history, and a database that loses commits. `tools/model/catalog_test.go` has
small histories with each kind of fault."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.server import find_binary

from cluster.audit import CREATES, SWAPS, audit, check_events, check_pointers
from cluster.database import Database
from cluster.history import DONE, History, Operation, check, write
from cluster.processes import say, wait_for
from cluster.replica import Fleet, events
from cluster.workload import Workload

DEADLINE_S = 120.0

# Only the history of one table, in which each load is of the same table.
GROUP = "one_0"


def loads(history: list[Operation]) -> list[Operation]:
    return sorted((one for one in history if one.kind == "load" and one.outcome == DONE), key=lambda one: one.call)


def commits(history: list[Operation]) -> list[Operation]:
    done = [one for one in history if one.kind == "commit" and one.outcome == DONE]
    return sorted(done, key=lambda one: one.call)


def plant_stale_load(history: list[Operation]) -> None:
    first, last = loads(history)[0], loads(history)[-1]
    assert first.seen != last.seen
    last.seen = first.seen


def plant_lost_acknowledged_commit(history: list[Operation]) -> None:
    """As if the last acknowledged commit had never been made: later loads show the state before it."""
    last = commits(history)[-1]
    before = [one for one in loads(history) + commits(history) if one.returned < last.call][-1]
    for one in history:
        if one.call > last.returned and one.seen is not None:
            one.seen = before.seen
    assert any(one.call > last.returned for one in loads(history))


def plant_lost_update(history: list[Operation]) -> None:
    """As if a commit that was refused because of another one had been made."""
    refused = next(one for one in history if one.kind == "commit" and one.outcome == "failed")
    refused.outcome = DONE


def plant_change_applied_twice(history: list[Operation]) -> None:
    """As if an early note had been written again after a later one."""
    notes = [one for one in commits(history) if one.changes[0].note]
    seen = loads(history)[-1].seen
    assert seen is not None and seen.note != notes[0].changes[0].note
    seen.note = notes[0].changes[0].note


def plant_change_after_a_refusal(history: list[Operation]) -> None:
    """As if a commit whose answer was "nothing was changed" had been made."""
    history.remove(commits(history)[0])


def has_enough(workload: Workload) -> bool:
    """Returns whether each fault can be planted."""
    history = [one for one in list(workload.history.operations) if one.group == GROUP]
    notes = [one for one in commits(history) if one.changes[0].note]
    refused = [one for one in history if one.kind == "commit" and one.outcome == "failed"]
    return len(notes) >= 5 and len(refused) >= 2 and len(loads(history)) >= 10


FAULTS = [plant_stale_load, plant_lost_acknowledged_commit, plant_lost_update, plant_change_applied_twice, plant_change_after_a_refusal]


@dataclass
class Recorded:
    """A run of a server with the embedded store: its history, and the events after it."""

    history: History
    events: list[dict[str, Any]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("planted")
    with ExitStack() as stack:
        fleet = Fleet(find_binary(), folder, folder)
        stack.callback(fleet.kill)
        key = fleet.organisation()
        fleet.start()
        workload = Workload(fleet.uris, key.text, clients=4, seed=1, generation_s=DEADLINE_S)
        workload.run(0, lambda: wait_for("there are enough operations", lambda: has_enough(workload), DEADLINE_S))
        workload.load_all()
        found = events(fleet.rest(key)[0])
        fleet.end()
    return Recorded(workload.history, found)


@pytest.fixture
def history(recorded: Recorded) -> list[Operation]:
    """A copy of the history of one table."""
    return deepcopy([one for one in recorded.history.operations if one.group == GROUP])


def test_history_without_a_planted_fault_is_linearizable(history: list[Operation], tmp_path: Path) -> None:
    write(tmp_path / "history.jsonl", history)
    assert check(tmp_path / "history.jsonl")[0]


@pytest.mark.parametrize("plant", FAULTS)
def test_planted_fault_is_found(history: list[Operation], tmp_path: Path, plant: Callable[[list[Operation]], None]) -> None:
    plant(history)
    write(tmp_path / "history.jsonl", history)
    is_linearizable, report = check(tmp_path / "history.jsonl")
    assert not is_linearizable and report["group"] == GROUP, report
    assert (tmp_path / "history.html").exists()


def test_events_without_a_planted_fault_pass(recorded: Recorded) -> None:
    assert not check_events(recorded.history, recorded.events)
    assert not check_pointers(recorded.events)


def test_missing_event_is_found(recorded: Recorded) -> None:
    # A later event shows that one before it is missing.
    before = {one["details"].get("pointer-before") for one in recorded.events}
    swaps = [number for number, one in enumerate(recorded.events) if one["operation"] in SWAPS]
    at = next(number for number in swaps if recorded.events[number]["details"]["pointer-after"] in before)
    fewer = recorded.events[:at] + recorded.events[at + 1 :]
    assert check_events(recorded.history, fewer)
    assert check_pointers(fewer)


def test_event_that_is_there_twice_is_found(recorded: Recorded) -> None:
    twice = next(one for one in recorded.events if one["operation"] in SWAPS)
    assert check_events(recorded.history, [*recorded.events, twice])
    assert check_pointers([*recorded.events, twice])


def test_event_of_a_refused_change_is_found(recorded: Recorded) -> None:
    refused = next(one for one in recorded.history.operations if one.outcome == "failed")
    changed = next(one for one in recorded.events if one["operation"] in SWAPS)
    assert check_events(recorded.history, [*recorded.events, {**changed, "request-id": refused.id}])


def test_pointer_without_a_document_is_found(recorded: Recorded) -> None:
    spoilt = deepcopy(recorded.events)
    created = next(one for one in spoilt if one["operation"] in CREATES)
    created["details"]["pointer-after"] += ".gone"
    assert check_pointers(spoilt)


@pytest.mark.long
def test_database_that_loses_acknowledged_commits_is_found(stack: ExitStack, tmp_path: Path, logs: Path) -> None:
    """A standby that is behind is promoted."""
    database = Database(logs, standby=True)
    stack.callback(database.remove)
    fleet = Fleet(find_binary(), tmp_path, logs, count=2, env=database.settings)
    stack.callback(fleet.kill)
    key = fleet.organisation()
    fleet.start()
    workload = Workload(fleet.uris, key.text, clients=4, seed=1)

    def lose_commits() -> None:
        time.sleep(1.0)
        database.let_standby_fall_behind()
        time.sleep(1.0)
        database.fail_over()
        time.sleep(1.0)

    workload.run(1.0, lose_commits)
    workload.load_all()
    workload.history.write(tmp_path / "history.jsonl")
    is_linearizable, report = check(tmp_path / "history.jsonl")
    problems = audit(fleet.rest(key), workload)
    say(f"{report}\n{problems[:5]}")
    assert not is_linearizable
    assert any("has 0 events" in problem for problem in problems)
