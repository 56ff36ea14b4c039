"""Many writers at once: no acknowledged row is lost, and none exists twice."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import CommitFailedException, NamespaceAlreadyExistsError, TableAlreadyExistsError

from support.appender import append_until_acknowledged
from support.rows import SIGHTINGS, in_order, sightings
from support.server import Server, clean_environment

WRITERS = 4
APPENDS_EACH = 6


def check_history(catalog: Catalog, name: tuple[str, ...], expected: list[int]) -> None:
    """Every row once, one snapshot for each, in one line of descent with rising sequence numbers."""
    table = catalog.load_table(name)
    assert [row[0] for row in in_order(table.scan().to_arrow())] == expected
    snapshots = table.snapshots()
    assert len(snapshots) == len(expected)
    assert [snapshot.sequence_number for snapshot in snapshots] == list(range(1, len(expected) + 1))
    assert [snapshot.parent_snapshot_id for snapshot in snapshots] == [None, *(s.snapshot_id for s in snapshots[:-1])]


def test_appends_of_threads_lose_no_rows(connect: Callable[..., RestCatalog], namespace: str) -> None:
    name = (namespace, "t")
    connect().create_table(name, SIGHTINGS)

    def write(writer: int) -> None:
        catalog = connect()
        for number in range(APPENDS_EACH):
            append_until_acknowledged(catalog, name, writer * APPENDS_EACH + number)

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))
    check_history(connect(), name, list(range(WRITERS * APPENDS_EACH)))


def test_appends_of_processes_lose_no_rows(server: Server, connect: Callable[..., RestCatalog], namespace: str) -> None:
    name = (namespace, "t")
    connect().create_table(name, SIGHTINGS)
    writers = [
        subprocess.Popen(
            [sys.executable, "-m", "support.appender", server.uri, server.key, *name, str(first), str(APPENDS_EACH)],
            cwd=Path(__file__).parent,
            env=clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for first in range(0, 3 * APPENDS_EACH, APPENDS_EACH)
    ]
    acknowledged = []
    for writer in writers:
        out, err = writer.communicate(timeout=100)
        assert writer.returncode == 0, err
        acknowledged += [int(line) for line in out.split()]
    check_history(connect(), name, sorted(acknowledged))
    assert len(acknowledged) == 3 * APPENDS_EACH


def test_stale_append_without_retries_is_refused(catalog: Catalog, namespace: str) -> None:
    table = catalog.create_table((namespace, "t"), SIGHTINGS, properties={"commit.retry.num-retries": "0"})
    stale = catalog.load_table(table.name())
    table.append(sightings((1, "Oslo", None)))
    with pytest.raises(CommitFailedException, match="Requirement failed"):
        stale.append(sightings((2, "Oslo", None)))
    check_history(catalog, table.name(), [1])


def test_concurrent_creates_of_one_name_succeed_once(connect: Callable[..., RestCatalog], namespace: str) -> None:
    def create(writer: int) -> str | None:
        catalog = connect()
        with suppress(NamespaceAlreadyExistsError):
            catalog.create_namespace((namespace, "child"))
        try:
            return str(
                catalog.create_table(
                    (namespace, "child", "t"), SIGHTINGS, properties={"writer": str(writer)}
                ).metadata.table_uuid
            )
        except TableAlreadyExistsError:
            return None

    with ThreadPoolExecutor(WRITERS) as pool:
        outcomes = list(pool.map(create, range(WRITERS)))
    winners = [outcome for outcome in outcomes if outcome]
    assert len(winners) == 1
    assert str(connect().load_table((namespace, "child", "t")).metadata.table_uuid) == winners[0]


def test_concurrent_renames_to_one_name_succeed_once(connect: Callable[..., RestCatalog], namespace: str) -> None:
    for writer in range(WRITERS):
        connect().create_table((namespace, f"t{writer}"), SIGHTINGS)

    def rename(writer: int) -> bool:
        try:
            connect().rename_table((namespace, f"t{writer}"), (namespace, "winner"))
        except TableAlreadyExistsError:
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as pool:
        outcomes = list(pool.map(rename, range(WRITERS)))
    assert outcomes.count(True) == 1
    left = {f"t{writer}" for writer in range(WRITERS) if not outcomes[writer]}
    assert {name[-1] for name in connect().list_tables(namespace)} == {*left, "winner"}
