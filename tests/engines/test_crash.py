"""Kill -9 during work: acknowledged changes survive, and no change is half done."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from pyiceberg.catalog.rest import RestCatalog

from support import documents
from support.keys import fresh_key
from support.rest import Rest, answer, empty
from support.rows import SIGHTINGS, in_order, sightings
from support.server import Server
from test_pyiceberg_tables import path_of

ROUNDS = 12
WRITERS = 4
NAMESPACE = "crash"


@dataclass
class Writer:
    """One stream of changes, and its acknowledged changes."""

    number: int
    table: str
    sent: int = 0
    acknowledged: int = 0
    created: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    shared: set[int] = field(default_factory=set)


class Stream:
    """Counts the acknowledged changes of all writers, and signals when enough are done."""

    def __init__(self, moment: int):
        self._left = moment
        self._lock = threading.Lock()
        self.reached = threading.Event()

    def acknowledged(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left <= 0:
                self.reached.set()


def write(server: Server, writer: Writer, round_: int, stream: Stream) -> None:
    """Commits, creates and drops until the server dies."""
    rest = Rest(server.uri, server.key)
    try:
        while True:
            writer.sent += 1
            metadata = rest.load(NAMESPACE, writer.table)["metadata"]
            current = metadata.get("current-snapshot-id")
            parent = None if current in (None, -1) else current
            made = documents.snapshot(metadata["location"], metadata["last-sequence-number"] + 1, parent=parent)
            updates = [documents.set_properties(count=str(writer.sent)), *documents.append(made)]
            answer(rest.commit(NAMESPACE, writer.table, updates, [documents.assert_ref("main", parent)]))
            writer.acknowledged = writer.sent
            stream.acknowledged()

            mark = writer.number * 1_000_000 + writer.sent
            answer(rest.commit(NAMESPACE, "shared", [documents.set_properties(**{f"mark.{mark}": "1"})]))
            writer.shared.add(mark)
            stream.acknowledged()

            name = f"made_{round_}_{writer.number}_{writer.sent}"
            writer.unknown.add(name)
            rest.create_table(NAMESPACE, documents.table(name))
            writer.unknown.discard(name)
            writer.created.add(name)
            stream.acknowledged()
            if writer.sent % 2:
                writer.created.discard(name)
                writer.unknown.add(name)
                assert rest.delete(f"/namespaces/{NAMESPACE}/tables/{name}").status_code == 204
                writer.unknown.discard(name)
                writer.dropped.add(name)
                stream.acknowledged()
    except requests.ConnectionError:
        return


def check(server: Server, writers: list[Writer]) -> None:
    """Compares the acknowledged changes with the catalog."""
    rest = Rest(server.uri, server.key)
    shared = rest.load(NAMESPACE, "shared")["metadata"]["properties"]
    for writer in writers:
        metadata = rest.load(NAMESPACE, writer.table)["metadata"]
        count = int(metadata["properties"].get("count", "0"))
        assert writer.acknowledged <= count <= writer.sent
        # A commit is whole: its property and its snapshot came together, and no sequence number is left out.
        sequence = [snapshot["sequence-number"] for snapshot in metadata["snapshots"]]
        assert sequence == list(range(1, len(sequence) + 1))
        assert metadata["refs"]["main"]["snapshot-id"] == metadata["snapshots"][-1]["snapshot-id"]
        assert all(f"mark.{mark}" in shared for mark in writer.shared)
    names = {entry["name"] for entry in answer(rest.get(f"/namespaces/{NAMESPACE}/tables"))["identifiers"]}
    for writer in writers:
        assert writer.created <= names
        assert not writer.dropped & names
    known = {"shared", *(w.table for w in writers)}.union(*(w.created | w.unknown for w in writers))
    assert names <= known
    for name in names:
        loaded = rest.load(NAMESPACE, name)
        assert (
            json.loads(path_of(loaded["metadata-location"]).read_bytes())["table-uuid"]
            == loaded["metadata"]["table-uuid"]
        )
        for entry in loaded["metadata"].get("metadata-log", []):
            json.loads(path_of(entry["metadata-file"]).read_bytes())


def test_every_acknowledged_change_survives_a_kill(make_server: Callable[..., Server]) -> None:
    server = make_server("crash")
    first = server.start()
    rest = Rest(server.uri, server.key)
    rest.create_namespace(NAMESPACE)
    rest.create_table(NAMESPACE, documents.table("shared"))
    writers = [Writer(number, f"own_{number}") for number in range(WRITERS)]
    for writer in writers:
        rest.create_table(NAMESPACE, documents.table(writer.table))
    moments = random.Random(7)
    for round_ in range(ROUNDS):
        stream = Stream(moments.randint(15, 120))
        threads = [threading.Thread(target=write, args=(server, writer, round_, stream)) for writer in writers]
        for thread in threads:
            thread.start()
        assert stream.reached.wait(60), "the stream of commits stopped"
        server.kill()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        assert server.start() == first
        check(server, writers)
    server.stop()
    assert not list(server.data_dir.rglob("*.tmp*")), "a temporary file remains"


@dataclass
class Transactor:
    """A stream of transactions. Each changes two own and two shared tables, and creates a new one."""

    number: int
    sent: int = 0
    created: set[str] = field(default_factory=set)

    @property
    def tables(self) -> list[str]:
        return [f"left_{self.number}", f"right_{self.number}"]


def transact(server: Server, writer: Transactor, stream: Stream) -> None:
    """Sends transactions until the server dies."""
    rest = Rest(server.uri, server.key)
    try:
        while True:
            writer.sent += 1
            mark = documents.set_properties(**{f"mark.{writer.number}.{writer.sent}": "1"})
            new = f"new_{writer.number}_{writer.sent}"
            changes = [documents.table_change(NAMESPACE, table, [mark]) for table in ("all_1", "all_2", *writer.tables)]
            # In a random order that differs for each transaction.
            random.Random(writer.sent).shuffle(changes)
            empty(rest.transact([*changes, documents.creation(NAMESPACE, new)]))
            writer.created.add(new)
            stream.acknowledged()
    except requests.ConnectionError:
        return


def check_transactions(server: Server, writers: list[Transactor]) -> None:
    """Checks that every transaction is in all of its tables or in none, and that every acknowledged one exists."""
    rest = Rest(server.uri, server.key)
    names = {entry["name"] for entry in answer(rest.get(f"/namespaces/{NAMESPACE}/tables"))["identifiers"]}
    shared = [set(rest.load(NAMESPACE, table)["metadata"]["properties"]) for table in ("all_1", "all_2")]
    for writer in writers:
        own = [set(rest.load(NAMESPACE, table)["metadata"]["properties"]) for table in writer.tables]
        for number in range(1, writer.sent + 1):
            mark, new = f"mark.{writer.number}.{number}", f"new_{writer.number}_{number}"
            there = {mark in properties for properties in (*own, *shared)} | {new in names}
            assert len(there) == 1, f"transaction {number} of {writer.number} is partly applied"
        # The new table of an acknowledged transaction shows that it was made.
        assert writer.created <= names
    for name in names:
        json.loads(path_of(rest.load(NAMESPACE, name)["metadata-location"]).read_bytes())


def test_transaction_after_a_kill_is_complete_or_not_made(make_server: Callable[..., Server]) -> None:
    server = make_server("crash-transactions")
    server.start()
    rest = Rest(server.uri, server.key)
    rest.create_namespace(NAMESPACE)
    writers = [Transactor(number) for number in range(WRITERS)]
    for name in ("all_1", "all_2", *(table for writer in writers for table in writer.tables)):
        rest.create_table(NAMESPACE, documents.table(name))
    moments = random.Random(11)
    for _ in range(ROUNDS):
        stream = Stream(moments.randint(5, 40))
        threads = [threading.Thread(target=transact, args=(server, writer, stream)) for writer in writers]
        for thread in threads:
            thread.start()
        assert stream.reached.wait(60), "the stream of transactions stopped"
        server.kill()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        server.start()
        check_transactions(server, writers)
    server.stop()


@dataclass
class Repeater:
    """A stream of changes with keys to an own table. Repeats an interrupted change with its key until it is answered."""

    number: int
    done: int = 0
    cut_off: list[tuple[str, str, dict]] = field(default_factory=list)

    @property
    def table(self) -> str:
        return f"keyed_{self.number}"

    def next(self, rest: Rest) -> tuple[str, str, dict]:
        """Returns the key, path and body of the next change. A change that is made twice would appear twice or be refused."""
        if self.done % 3 == 2:
            return (fresh_key(), f"/namespaces/{NAMESPACE}/tables", documents.table(f"{self.table}_{self.done}"))
        metadata = rest.load(NAMESPACE, self.table)["metadata"]
        current = metadata.get("current-snapshot-id")
        parent = None if current in (None, -1) else current
        made = documents.snapshot(metadata["location"], metadata["last-sequence-number"] + 1, parent=parent)
        part = documents.table_change(
            NAMESPACE, self.table, documents.append(made), [documents.assert_ref("main", parent)]
        )
        if self.done % 3 == 1:
            both = [part, documents.creation(NAMESPACE, f"{self.table}_{self.done}")]
            return (fresh_key(), "/transactions/commit", {"table-changes": both})
        return (fresh_key(), f"/namespaces/{NAMESPACE}/tables/{self.table}", part)


def repeat(server: Server, writer: Repeater, stream: Stream) -> None:
    """Repeats the interrupted change, then sends new ones until the server dies."""
    rest = Rest(server.uri, server.key)
    try:
        while True:
            if not writer.cut_off:
                writer.cut_off.append(writer.next(rest))
            key, path, body = writer.cut_off[0]
            response = rest.post(path, json=body, headers={"Idempotency-Key": key})
            assert response.status_code in (200, 204), response.text
            writer.cut_off.clear()
            writer.done += 1
            stream.acknowledged()
    except requests.ConnectionError:
        return


def test_change_repeated_after_a_kill_is_made_once(make_server: Callable[..., Server]) -> None:
    server = make_server("crash-retries")
    server.start()
    rest = Rest(server.uri, server.key)
    rest.create_namespace(NAMESPACE)
    writers = [Repeater(number) for number in range(WRITERS)]
    for writer in writers:
        rest.create_table(NAMESPACE, documents.table(writer.table))
    moments = random.Random(13)
    again = 0
    for _ in range(ROUNDS):
        stream = Stream(moments.randint(5, 60))
        threads = [threading.Thread(target=repeat, args=(server, writer, stream)) for writer in writers]
        for thread in threads:
            thread.start()
        assert stream.reached.wait(60), "the stream of changes stopped, or a change was refused"
        server.kill()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        again += sum(len(writer.cut_off) for writer in writers)
        server.start()
    assert again > ROUNDS, "too few changes were interrupted"
    # The last that were cut off, then nothing more.
    rest = Rest(server.uri, server.key)
    for writer in writers:
        for key, path, body in writer.cut_off:
            assert rest.post(path, json=body, headers={"Idempotency-Key": key}).status_code in (200, 204)
            writer.done += 1
    names = {entry["name"] for entry in answer(rest.get(f"/namespaces/{NAMESPACE}/tables"))["identifiers"]}
    for writer in writers:
        snapshots = rest.load(NAMESPACE, writer.table)["metadata"]["snapshots"]
        commits = sum(number % 3 != 2 for number in range(writer.done))
        assert [snapshot["sequence-number"] for snapshot in snapshots] == list(range(1, commits + 1))
        made = {f"{writer.table}_{number}" for number in range(writer.done) if number % 3}
        assert {name for name in names if name.startswith(f"{writer.table}_")} == made
    server.stop()


def test_rows_appended_by_pyiceberg_survive_a_kill(make_server: Callable[..., Server]) -> None:
    server = make_server("crash-rows")
    server.start()
    catalog = RestCatalog("crash", uri=server.uri, token=server.key)
    catalog.create_namespace(NAMESPACE)
    appended: dict[int, set[int]] = {}
    for writer in range(2):
        catalog.create_table((NAMESPACE, f"t{writer}"), SIGHTINGS)
        appended[writer] = set()
    for round_ in range(2):
        stream = Stream(12)

        def append(writer: int, round_: int = round_, stream: Stream = stream) -> None:
            try:
                table = RestCatalog("crash", uri=server.uri, token=server.key).load_table((NAMESPACE, f"t{writer}"))
                for number in range(round_ * 1000, round_ * 1000 + 1000):
                    table.append(sightings((number, "Oslo", None)))
                    appended[writer].add(number)
                    stream.acknowledged()
            except requests.ConnectionError:
                return

        threads = [threading.Thread(target=append, args=(writer,)) for writer in appended]
        for thread in threads:
            thread.start()
        assert stream.reached.wait(60)
        server.kill()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        server.start()
        for writer, numbers in appended.items():
            table = RestCatalog("crash", uri=server.uri, token=server.key).load_table((NAMESPACE, f"t{writer}"))
            rows = [row[0] for row in in_order(table.scan().to_arrow())]
            assert numbers <= set(rows) and len(set(rows)) == len(rows) and len(rows) <= len(numbers) + round_ + 1
            assert Path(path_of(table.metadata_location)).exists()
    server.stop()
