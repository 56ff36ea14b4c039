"""The checker finds faults that are planted into a real history. `tools/model/catalog_test.go` has small ones of each kind."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from copy import deepcopy
from pathlib import Path

import pytest
from support.server import find_binary

from cluster.history import DONE, Operation, check, write
from cluster.replica import Fleet
from cluster.workload import Workload

SECONDS = 4.0

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


FAULTS = [plant_stale_load, plant_lost_acknowledged_commit, plant_lost_update, plant_change_applied_twice, plant_change_after_a_refusal]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> list[Operation]:
    """A history of a server with the embedded store."""
    folder = tmp_path_factory.mktemp("planted")
    with ExitStack() as stack:
        fleet = Fleet(find_binary(), folder, folder)
        stack.callback(fleet.kill)
        key = fleet.organisation()
        fleet.start()
        workload = Workload(fleet.uris, key.text, clients=4, seed=1)
        workload.run(SECONDS)
        workload.load_all()
        fleet.end()
    return [one for one in workload.history.operations if one.group == GROUP]


def test_history_without_a_planted_fault_is_linearizable(history: list[Operation], tmp_path: Path) -> None:
    write(tmp_path / "history.jsonl", history)
    assert check(tmp_path / "history.jsonl")[0]


@pytest.mark.parametrize("plant", FAULTS)
def test_planted_fault_is_found(history: list[Operation], tmp_path: Path, plant: Callable[[list[Operation]], None]) -> None:
    spoilt = deepcopy(history)
    plant(spoilt)
    write(tmp_path / "history.jsonl", spoilt)
    is_linearizable, report = check(tmp_path / "history.jsonl")
    assert not is_linearizable and report["group"] == GROUP, report
    assert (tmp_path / "history.html").exists()
