"""Clients over all replicas, with faults: their recorded histories are linearizable, and no acknowledged change is lost or made
twice. `cargo xtask compat replicas --seconds N --seed S` runs this for longer."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.server import find_binary

from cluster.audit import audit
from cluster.database import Database
from cluster.faults import STATEMENT_TIMEOUT_S, Faults
from cluster.history import check
from cluster.processes import say
from cluster.replica import Fleet
from cluster.workload import Workload

SECONDS = float(os.environ.get("TIDEWATER_REPLICAS_SECONDS", "10"))
SEED = int(os.environ.get("TIDEWATER_REPLICAS_SEED", "1"))
CLIENTS = int(os.environ.get("TIDEWATER_REPLICAS_CLIENTS", "8"))

REPLICAS = 3

TIMEOUTS = {"TIDEWATER_STORE__STATEMENT_TIMEOUT_S": str(STATEMENT_TIMEOUT_S)}

TIMEOUT_S = 300 + 10 * SECONDS


def run(fleet: Fleet, database: Database | None, logs: Path, *, with_faults: bool = True, cuts: bool = True) -> None:
    """Runs the workload, and checks all that it has recorded."""
    key = fleet.organisation()
    fleet.start()
    workload = Workload(fleet.uris, key.text, clients=CLIENTS, seed=SEED)
    faults = Faults(fleet, database, SEED, cuts=cuts)
    workload.run(SECONDS, (lambda: faults.run(SECONDS)) if with_faults else None)
    workload.load_all()
    path = logs / "history.jsonl"
    workload.history.write(path)
    is_linearizable, report = check(path)
    counts = workload.history.count()
    say(f"{json.dumps(counts)}\nfaults: {dict(faults.made)}\n{json.dumps(report, indent=1)}")
    if database is not None:
        say(f"cut proxy: {database.proxy.counts()}, failovers: {database.failovers}")
    assert is_linearizable, json.dumps(report, indent=1)
    problems = audit(fleet.rest(key), workload)
    assert not problems, "\n".join(problems[:40])
    assert counts["commit done"] > 10 * SECONDS, counts
    fleet.end()


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("with_faults", [pytest.param(False, marks=pytest.mark.long, id="calm"), pytest.param(True, id="faults")])
def test_history_of_one_server_with_the_embedded_store_is_linearizable(
    stack: ExitStack, tmp_path: Path, logs: Path, with_faults: bool
) -> None:
    fleet = Fleet(find_binary(), tmp_path, logs)
    stack.callback(fleet.kill)
    run(fleet, None, logs, with_faults=with_faults)


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("pooled", [pytest.param(False, marks=pytest.mark.long, id="direct"), pytest.param(True, id="pgbouncer")])
def test_history_of_replicas_with_faults_is_linearizable(stack: ExitStack, tmp_path: Path, logs: Path, pooled: bool) -> None:
    database = Database(logs, standby=True, pooled=pooled)
    stack.callback(database.remove)
    fleet = Fleet(find_binary(), tmp_path, logs, count=REPLICAS, env={**database.settings, **TIMEOUTS})
    stack.callback(fleet.kill)
    run(fleet, database, logs)


@pytest.mark.long
@pytest.mark.timeout(TIMEOUT_S)
def test_history_of_replicas_that_find_the_primary_themselves_is_linearizable(
    stack: ExitStack, tmp_path: Path, logs: Path
) -> None:
    """The URL names both servers of PostgreSQL. A crashed primary is replaced by the other."""
    database = Database(logs, standby=True)
    stack.callback(database.remove)
    fleet = Fleet(find_binary(), tmp_path, logs, count=REPLICAS, env={**database.settings_of_both, **TIMEOUTS})
    stack.callback(fleet.kill)
    run(fleet, database, logs, cuts=False)
