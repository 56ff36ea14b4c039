"""What must hold after a run, apart from linearizability: each acknowledged change is in the events exactly once, and every
pointer that a table had leads to a document."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from support.rest import Rest

from cluster.history import DONE, UNKNOWN, History, Operation
from cluster.replica import events
from cluster.workload import Group, Workload

CREATES, SWAPS = {"create-table"}, {"update-table"}


def audit(rests: list[Rest], workload: Workload) -> list[str]:
    """Returns what does not hold. `rests` is the API of each replica."""
    found = events(rests[0])
    problems = [*workload.history.problems, *check_events(workload.history, found), *check_pointers(found)]
    current = {one["object-id"]: one for one in ends_of(found)}
    for group in workload.groups:
        for table in group.tables:
            problems += check_table(rests, group, table, workload.history, current)
    return problems


def check_events(history: History, found: list[dict[str, Any]]) -> list[str]:
    """Checks that each acknowledged change has its events exactly once, and that no refused one has any."""
    counts = Counter(one["request-id"] for one in found)
    problems = []
    for one in history.operations:
        if not one.is_change():
            continue
        wanted = one.tables_changed()
        allowed = {DONE: {wanted}, UNKNOWN: {0, wanted}}.get(one.outcome, {0})
        if counts[one.id] not in allowed:
            problems.append(f"{one.id} ({one.kind}, {one.outcome}, attempts: {one.attempts}) has {counts[one.id]} events, not {sorted(allowed)}")
    return problems


def chains_of(found: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Returns the events that set each table's pointer."""
    chains: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in found:
        if one["operation"] in CREATES | SWAPS:
            chains[one["object-id"]].append(one)
    return chains


def ends_of(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the event with the last pointer of each table."""
    ends = []
    for chain in chains_of(found).values():
        before = {one["details"].get("pointer-before") for one in chain}
        ends += [one for one in chain if one["details"]["pointer-after"] not in before]
    return ends


def check_pointers(found: list[dict[str, Any]]) -> list[str]:
    """Checks that each table's events are one chain of pointers from its creation, and that each pointer has a document."""
    problems = []
    for table, chain in chains_of(found).items():
        created = [one for one in chain if one["operation"] in CREATES]
        after = {one["details"].get("pointer-before"): one["details"]["pointer-after"] for one in chain}
        length, pointer = 0, None
        while pointer in after and length <= len(chain):
            pointer, length = after[pointer], length + 1
        if len(created) != 1 or length != len(chain) or len(after) != len(chain):
            problems.append(f"table {table}: {len(chain)} events, {len(created)} creations, a chain of {length} pointers")
        missing = [one["details"]["pointer-after"] for one in chain if not path_of(one["details"]["pointer-after"]).is_file()]
        problems += [f"table {table}: no document {location}" for location in missing]
    return problems


def check_table(
    rests: list[Rest], group: Group, table: str, history: History, current: dict[str, dict[str, Any]]
) -> list[str]:
    """Checks that all replicas load the same document, which is the last one by the events and exists, and that it has each
    acknowledged snapshot."""
    where = f"{group.namespace}.{table}"
    answers = [rest.get(f"/namespaces/{group.namespace}/tables/{table}") for rest in rests]
    if any(one.content != answers[0].content for one in answers):
        return [f"{where}: replicas load different documents: {[one.status_code for one in answers]}"]
    if answers[0].status_code == 404:
        return [f"{where} is missing"] if table in group.fixed else []
    if answers[0].status_code != 200:
        return [f"{where}: {answers[0].status_code} {answers[0].text[:300]}"]
    loaded = answers[0].json()
    location, metadata = loaded["metadata-location"], loaded["metadata"]
    problems = []
    if not any(one["details"]["pointer-after"] == location for one in current.values()):
        problems.append(f"{where}: {location} is not the last pointer of its events")
    if json.loads(path_of(location).read_bytes()) != metadata:
        problems.append(f"{where}: the file has another document")
    if table in group.fixed:
        problems += check_snapshots(where, group, table, history, metadata)
    return problems


def check_snapshots(where: str, group: Group, table: str, history: History, metadata: dict[str, Any]) -> list[str]:
    """Checks that each acknowledged snapshot is there once, and that no refused one is."""
    counts = Counter(str(one["snapshot-id"]) for one in metadata.get("snapshots", []))
    outcomes = {
        change.ref: one.outcome for one in swaps(history, group) for change in one.changes if change.table == table and change.ref
    }
    problems = [f"{where}: snapshot {ref} is lost" for ref, outcome in outcomes.items() if outcome == DONE and counts[ref] != 1]
    wrong = [ref for ref in counts if outcomes.get(ref) not in (DONE, UNKNOWN) or counts[ref] != 1]
    return problems + [f"{where}: snapshot {ref} is there {counts[ref]} times, its outcome is {outcomes.get(ref)}" for ref in wrong]


def swaps(history: History, group: Group) -> list[Operation]:
    return [one for one in history.operations if one.group == group.name and one.kind == "commit"]


def path_of(location: str) -> Path:
    return Path(unquote(urlsplit(location).path))


