"""Maintenance of tables on S3, with `kill -9` in each step, twice in a row: the server is killed while a request of the step waits for
its answer. No row is lost or doubled, no file that a table needs goes, and nothing is left for ever.

The step of each operation in which most could be lost has a test of its own. All steps take minutes: `cargo xtask compat chaos` goes through
them, with a removal of files, the search for orphans and a rewrite in a step at the same time, each on a table of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import pytest

from support.clouds import is_document, make_lake_on, on_s3
from support.faulty_proxy import Fault, FaultyProxy, Request
from support.rows import SIGHTINGS, sightings
from support.server import Server
from support.upkeep import NAMESPACE, Place, end_leases, needed_by, numbers
from test_dropped import until

HAS_ALL_STEPS = os.environ.get("TIDEWATER_MAINTENANCE_STEPS") == "all"

# A snapshot expires at once, except the current one.
HASTY = {"history.expire.max-snapshot-age-ms": "1"}
FILES = 3
# Younger files are no orphans. Storage counts in seconds.
ORPHAN_AGE_S = 1
TABLES = {
    "expired": "expire-snapshots",
    "searched": "remove-orphan-files",
    "compacted": "compact-files",
    "listed": "rewrite-manifests",
    "counted": "compute-statistics",
}


@dataclass(frozen=True)
class Step:
    """A step of the operation on a table: the request in which the server is killed."""

    table: str
    name: str
    method: str
    part: str
    ending: str = ""
    # Whether the storage gets the request before the kill.
    is_heard: bool = False

    def applies(self, request: Request) -> bool:
        path, _, query = request.path.partition("?")
        if self.part == "list":
            return request.method == "GET" and "list-type=2" in query and f"{self.table}" in query
        is_of_table = f"/{self.table}/" in path and request.method == self.method
        return is_of_table and self.part in path and path.endswith(self.ending)

    def fault(self) -> Fault:
        return Fault("hold-answer" if self.is_heard else "silence", self.applies)


DOCUMENT = ("PUT", "/metadata/", ".metadata.json")
REMOVAL_OF_A_DATA_FILE = Step("expired", "removal of a data file", "DELETE", "/data/", is_heard=True)
REMOVAL_OF_AN_ORPHAN = Step("searched", "removal", "DELETE", "/data/", "orphan.parquet")
COMMIT_OF = {
    table: Step(table, "commit, written", *DOCUMENT, is_heard=True) for table in ("compacted", "listed", "counted")
}
# The step of each operation in which most could be lost: files go, or new ones are needed and the run does not know it.
WORST_STEPS = [REMOVAL_OF_A_DATA_FILE, REMOVAL_OF_AN_ORPHAN, *COMMIT_OF.values()]
STEPS = [
    [
        Step("expired", "commit, not written", *DOCUMENT),
        Step("expired", "commit, written", *DOCUMENT, is_heard=True),
        Step("expired", "read of a manifest", "GET", "-m0.avro"),
        REMOVAL_OF_A_DATA_FILE,
        Step("expired", "removal of a manifest", "DELETE", "-m0.avro"),
        Step("expired", "removal of a manifest list", "DELETE", "/snap-", is_heard=True),
    ],
    [
        Step("searched", "time of the storage", "PUT", "/metadata/clock-", is_heard=True),
        Step("searched", "list", "GET", "list"),
        REMOVAL_OF_AN_ORPHAN,
    ],
    [
        Step("compacted", "write of a data file", "PUT", "/data/", ".parquet", is_heard=True),
        Step("compacted", "write of the manifest list", "PUT", "/metadata/snap-"),
        COMMIT_OF["compacted"],
        Step("listed", "write of a manifest", "PUT", "-m"),
        COMMIT_OF["listed"],
        Step("counted", "write of the statistics", "PUT", "/metadata/", ".stats", is_heard=True),
        COMMIT_OF["counted"],
    ],
]


@pytest.fixture
def place(make_server: Callable[..., Server], request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    (cloud,) = on_s3(request, tmp_path)
    proxy = FaultyProxy(cloud.uri)
    server = make_server("maintenance-kills", env={"TIDEWATER_MAINTENANCE__MIN_ORPHAN_AGE_S": "0"})
    server.start()
    lake = make_lake_on(cloud, server, tmp_path, through=proxy.uri)
    # Nothing runs by itself because of it.
    server.command("maintenance", "set-policy", "--orphan-age", f"{ORPHAN_AGE_S}s", "--min-manifests", "2", "--min-input-files", "2", "--org", lake.organisation)
    yield Place(cloud, server, proxy, lake)
    proxy.close()


def fill(place: Place, name: str) -> list[int]:
    """Creates a table with small files, of whose rows some are deleted, and an orphan. Returns its numbers."""
    # The name of the table is in the path of each request.
    location = f"{place.lake.root}/{name}"
    table = place.lake.catalog().create_table((NAMESPACE, name), SIGHTINGS, location, properties=HASTY)
    for number in range(FILES):
        table.append(sightings((number * 2, "Oslo", None), (number * 2 + 1, "Bergen", 0.5)))
    table.delete("id in (3, 4)")
    place.cloud.put(f"{table.location()}/data/orphan.parquet", b"nobody knows of this")
    return [number for number in range(FILES * 2) if number not in (3, 4)]


def wait_for_age() -> None:
    """Waits until the files that are there now are old enough to be orphans."""
    end = time.monotonic() + ORPHAN_AGE_S + 2
    until(lambda: time.monotonic() > end)


def kill_in(place: Place, steps: list[Step]) -> None:
    """Kills the server while a request of each step waits for its answer."""
    faults = {step: step.fault() for step in steps}
    place.proxy.spoil(*faults.values())
    runs = {step: place.begin(TABLES[step.table], step.table) for step in steps}

    def is_waiting(step: Step) -> bool:
        record = place.record(runs[step])
        assert record["outcome"] in ("queued", "running"), (step, record)
        return place.proxy.hits(faults[step]) > 0

    until(lambda: all(is_waiting(step) for step in steps))
    place.server.kill()
    place.proxy.spoil()
    place.proxy.wait_until_quiet()
    end_leases(place.server)
    place.server.start()


def check(place: Place, name: str, expected: list[int], steps: list[Step]) -> None:
    table = place.load(name)
    assert numbers(table) == expected, steps
    assert needed_by(table) <= place.cloud.names(table.location()), steps


def check_end(place: Place, name: str, expected: list[int]) -> None:
    """Runs the operation of a table to its end, and checks that nothing is left of those before."""
    for operation in dict.fromkeys([TABLES[name], "expire-snapshots", "remove-orphan-files"]):
        done = place.run(operation, name)
        assert done["outcome"] == "succeeded", done
    check(place, name, expected, [])
    table = place.load(name)
    left = place.cloud.names(table.location())
    assert len(table.snapshots()) == 1 and left <= needed_by(table, with_removed=True), name


@pytest.mark.parametrize("step", WORST_STEPS, ids=lambda step: TABLES[step.table])
def test_kills_in_the_worst_step_lose_no_row_and_leave_nothing_for_ever(place: Place, step: Step) -> None:
    place.lake.catalog().create_namespace(NAMESPACE)
    expected = fill(place, step.table)
    wait_for_age()
    for _ in range(2):
        kill_in(place, [step])
    check(place, step.table, expected, [step])
    wait_for_age()
    check_end(place, step.table, expected)


@pytest.mark.skipif(not HAS_ALL_STEPS, reason="TIDEWATER_MAINTENANCE_STEPS is not 'all'")
def test_kills_in_each_step_lose_no_row_and_leave_nothing_for_ever(place: Place) -> None:
    place.lake.catalog().create_namespace(NAMESPACE)
    expected = {name: fill(place, name) for name in TABLES}
    wait_for_age()
    for steps in zip_longest(*STEPS):
        together = [step for step in steps if step is not None]
        for _ in range(2):
            kill_in(place, together)
        for step in together:
            check(place, step.table, expected[step.table], together)
    wait_for_age()
    for name in TABLES:
        check_end(place, name, expected[name])
