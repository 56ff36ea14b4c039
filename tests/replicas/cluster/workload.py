"""Concurrent operations of many clients on groups of tables: one table, many tables, transactions, and names.

Every few seconds the clients go on to new groups, so that each group's history is short enough for the checker.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from support import documents

from cluster.client import Client
from cluster.history import NAMESPACE, UNKNOWN, Change, History, Operation, Table

GENERATION_S = 3.0

# How often the last load of a table is tried.
LAST_ATTEMPTS = 5

MANY = 6
TOGETHER = ("a", "b", "c")
NAMES = ("x", "y", "z")


@dataclass
class Known:
    """What a client knows of a table, as it last saw it."""

    table: Table
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Group:
    """Tables that are checked together. Names of `free` come and go; `fixed` ones exist from the beginning."""

    name: str
    namespace: str
    fixed: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    # The relative frequency of each kind of operation.
    weights: dict[str, int] = field(default_factory=dict)

    @property
    def tables(self) -> tuple[str, ...]:
        return self.fixed + self.free


SINGLE = {"load": 35, "swap": 35, "note": 20, "both": 10}
TRANSACTIONS = {"load": 30, "swap": 15, "together": 45, "note": 10}
COME_AND_GO = {"load": 20, "list": 12, "create": 20, "drop": 12, "rename": 15, "swap": 12, "note": 9}


def make_groups(generation: int) -> list[Group]:
    """Returns the groups of a generation. Groups of one table may share a namespace."""
    many = f"many_{generation}"
    return [
        Group(f"one_{generation}", f"one_{generation}", fixed=("t",), weights=SINGLE),
        *(Group(f"{many}.t{number}", many, fixed=(f"t{number}",), weights=SINGLE) for number in range(MANY)),
        Group(f"together_{generation}", f"together_{generation}", fixed=TOGETHER, weights=TRANSACTIONS),
        Group(f"names_{generation}", f"names_{generation}", free=NAMES, weights=COME_AND_GO),
    ]


class Worker:
    """A client in a thread of its own."""

    def __init__(self, client: Client):
        self.client = client
        self._known: dict[tuple[str, str], Known] = {}

    def act(self, group: Group) -> None:
        """Makes one operation on a group."""
        (kind,) = self.client.chance.choices(list(group.weights), list(group.weights.values()))
        getattr(self, f"_{kind}")(group)

    def _begin(self, group: Group, kind: str, **more: Any) -> Operation:
        return Operation(group.name, self.client.number, kind, **more)

    def _any(self, group: Group) -> str:
        return self.client.chance.choice(group.tables)

    def _learn(self, group: Group, table: str, metadata: dict[str, Any] | None) -> None:
        if metadata is None:
            self._known.pop((group.namespace, table), None)
        else:
            self._known[group.namespace, table] = Known(Table.of(metadata), metadata)

    # ---- operations ----

    def _load(self, group: Group, table: str | None = None) -> None:
        table = table or self._any(group)
        self._learn(group, table, self.client.load(self._begin(group, "load", table=table), group.namespace))

    def _list(self, group: Group) -> None:
        self.client.list(self._begin(group, "list"), group.namespace)

    def _swap(self, group: Group, *, note: bool = False) -> None:
        table = self._any(group)
        known = self._known.get((group.namespace, table))
        if known is None:
            self._load(group, table)
            return
        change, part = self._swap_part(group, table, known, note=note)
        self._commit(group, change, part)

    def _both(self, group: Group) -> None:
        self._swap(group, note=True)

    def _note(self, group: Group) -> None:
        table, note = self._any(group), self.client.history.name("note")
        part = documents.table_change(group.namespace, table, [documents.set_properties(note=note)])
        self._commit(group, Change(table, note=note), part)

    def _commit(self, group: Group, change: Change, part: dict[str, Any]) -> None:
        operation = self._begin(group, "commit", changes=[change])
        path = f"/v1/namespaces/{group.namespace}/tables/{change.table}"
        self._learn(group, change.table, self.client.change(operation, "POST", path, part))

    def _swap_part(self, group: Group, table: str, known: Known, *, note: bool) -> tuple[Change, dict[str, Any]]:
        """Returns the commit that replaces the known snapshot by a new one."""
        parent = int(known.table.ref) if known.table.ref else None
        made = documents.snapshot(known.metadata["location"], known.metadata["last-sequence-number"] + 1, parent=parent)
        updates = documents.append(made)
        change = Change(table, expect=known.table.ref, expect_born=known.table.born, ref=str(made["snapshot-id"]))
        if note:
            change.note = self.client.history.name("note")
            updates.append(documents.set_properties(note=change.note))
        requirements = [documents.assert_uuid(known.metadata), documents.assert_ref("main", parent)]
        return change, documents.table_change(group.namespace, table, updates, requirements)

    def _together(self, group: Group) -> None:
        tables = self.client.chance.sample(group.fixed, self.client.chance.choice((2, len(group.fixed))))
        parts = []
        for table in tables:
            known = self._known.get((group.namespace, table))
            if known is None:
                self._load(group, table)
                return
            parts.append(self._swap_part(group, table, known, note=False))
        operation = self._begin(group, "commit", changes=[change for change, _ in parts])
        self.client.change(operation, "POST", "/v1/transactions/commit", {"table-changes": [part for _, part in parts]})
        for table in tables:
            self._learn(group, table, None)

    def _create(self, group: Group) -> None:
        self.create(group, self._any(group))

    def create(self, group: Group, table: str, *, repeat: bool | None = None) -> None:
        """Creates a table."""
        operation = self._begin(group, "create", table=table, born=self.client.history.name("born"))
        body = documents.table(table, properties={"born": operation.born})
        path = f"/v1/namespaces/{group.namespace}/tables"
        self._learn(group, table, self.client.change(operation, "POST", path, body, repeat=repeat))

    def _drop(self, group: Group) -> None:
        table = self._any(group)
        self.client.change(self._begin(group, "drop", table=table), "DELETE", f"/v1/namespaces/{group.namespace}/tables/{table}")

    def _rename(self, group: Group) -> None:
        table, to = self.client.chance.sample(group.free, 2)
        body = {
            "source": {"namespace": [group.namespace], "name": table},
            "destination": {"namespace": [group.namespace], "name": to},
        }
        self.client.change(self._begin(group, "rename", table=table, to=to), "POST", "/v1/tables/rename", body)


class Workload:
    """All clients, and all groups until now."""

    def __init__(self, uris: list[str], key: str, *, clients: int, seed: int, generation_s: float = GENERATION_S):
        self.history = History()
        self.groups: list[Group] = []
        self._uris = uris
        self._generation_s = generation_s
        self._workers = [Worker(Client(number, uris, key, self.history, seed)) for number in range(clients)]
        self._present: list[Group] = []
        self._setter = Worker(Client(clients, uris, key, self.history, seed))
        self._ended = threading.Event()

    def run(self, seconds: float, beside: Callable[[], None] | None = None) -> None:
        """Runs all clients for this time, or until `beside` returns if that takes longer."""
        self._next_generation()
        threads = [threading.Thread(target=self._work, args=(worker,), daemon=True) for worker in self._workers]
        threads.append(threading.Thread(target=self._renew, daemon=True))
        for thread in threads:
            thread.start()
        end = time.monotonic() + seconds
        try:
            if beside is not None:
                beside()
            time.sleep(max(0.0, end - time.monotonic()))
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    def _work(self, worker: Worker) -> None:
        while not self._ended.is_set():
            worker.act(worker.client.chance.choice(self._present))

    def _renew(self) -> None:
        while not self._ended.wait(self._generation_s):
            self._next_generation()

    def _next_generation(self) -> None:
        groups = make_groups(len(self.groups))
        client = self._setter.client
        for namespace in sorted({group.namespace for group in groups}):
            operation = Operation(namespace, client.number, NAMESPACE)
            client.change(operation, "POST", "/v1/namespaces", {"namespace": [namespace]}, repeat=True)
        for group in groups:
            for table in group.fixed:
                self._setter.create(group, table, repeat=True)
        self.groups += groups
        self._present = groups

    def load_all(self) -> None:
        """Loads each table through each replica, as the end of the history."""
        client = self._setter.client
        for group in self.groups:
            for replica in range(len(self._uris)):
                for table in group.tables:
                    operation = Operation(group.name, client.number, "load", table=table)
                    # The connection may have ended with an earlier process of the replica.
                    for _ in range(LAST_ATTEMPTS):
                        client.load(operation, group.namespace, replica)
                        if operation.outcome != UNKNOWN:
                            break
                    else:
                        self.history.complain(f"the last load of {group.namespace}.{table} got no answer")
