"""Rewrites of files by the maintenance of tables: the same rows before and after, beside writers and kills."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import duckdb
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform

from support.equality_deletes import delete_equal
from support.readers import EXTENSIONS, extension_file
from support.rows import SIGHTINGS, in_order, sightings
from support.server import Server
from test_maintenance import NAMESPACE, client, files_of, folder_of, needed_by, numbers, run
from test_pyiceberg_data import SCHEMA
from test_pyiceberg_tables import path_of

BY_CITY = PartitionSpec(PartitionField(source_id=2, field_id=1000, transform=IdentityTransform(), name="city"))
CITIES = ["Oslo", "Bergen", None]


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    server = make_server("rewrites", env={"TIDEWATER_MAINTENANCE__LOOK_INTERVAL_S": "1"})
    server.start()
    return server


def fill(catalog: RestCatalog, version: str = "2", files: int = 12) -> Table:
    """A table with many small files, some of whose rows are deleted."""
    catalog.create_namespace_if_not_exists(NAMESPACE)
    table = catalog.create_table(
        (NAMESPACE, "t"), SCHEMA, partition_spec=BY_CITY, properties={"format-version": version}
    )
    for number in range(files):
        rows = [(number * 10 + row, CITIES[row % 3], row / 2) for row in range(10)]
        table.append(sightings(*rows))
    table.delete("id in (3, 14, 15, 92)")
    return table


def entries(table: Table) -> list[tuple]:
    """The live files with their numbers, as PyIceberg reads them."""
    found = []
    for manifest in table.current_snapshot().manifests(table.io):
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            file = entry.data_file
            found.append((file.file_path, entry.snapshot_id, entry.sequence_number, entry.file_sequence_number))
    return sorted(found)


def by_duckdb(table: Table) -> list[tuple]:
    """The rows as DuckDB reads them from the files alone."""
    with duckdb.connect(config={"autoinstall_known_extensions": "false", "threads": "2"}) as connection:
        for name in EXTENSIONS:
            connection.execute(f"LOAD '{extension_file(name)}'")
        location = str(path_of(table.metadata_location))
        rows = connection.execute("SELECT id, city, size FROM iceberg_scan(?)", [location]).fetchall()
    return sorted(rows, key=lambda row: row[0])


@pytest.mark.parametrize("version", ["1", "2"])
def test_compaction_keeps_the_rows_in_fewer_files(server: Server, version: str) -> None:
    table = fill(client(server), version)
    before, files = in_order(table.scan().to_arrow()), len(entries(table))
    shown = run(server, "compact-files", verb="preview")
    assert (shown["outcome"], shown["written-files"]) == ("succeeded", 0), shown
    done = run(server, "compact-files")
    assert done["outcome"] == "succeeded" and done["items"] == [], done
    assert (done["replaced-files"], done["replaced-bytes"]) == (shown["replaced-files"], shown["replaced-bytes"])
    assert (done["replaced-files"], done["written-files"]) == (files, 3)
    table.refresh()
    assert len(entries(table)) == 3
    assert in_order(table.scan().to_arrow()) == before
    assert by_duckdb(table) == before
    assert table.scan(row_filter="city == 'Oslo' and id > 50").to_arrow().num_rows == len(
        [row for row in before if row[1] == "Oslo" and row[0] > 50]
    )
    assert table.current_snapshot().summary.operation.value == "replace"
    assert run(server, "compact-files")["written-files"] == 0
    assert needed_by(table) <= files_of(folder_of(table))


def test_rewritten_manifests_have_the_same_entries(server: Server) -> None:
    table = fill(client(server))
    before, rows = entries(table), in_order(table.scan().to_arrow())
    manifests = len(table.current_snapshot().manifests(table.io))
    done = run(server, "rewrite-manifests")
    assert (done["outcome"], done["written-files"]) == ("succeeded", 1), done
    assert done["replaced-files"] == manifests
    table.refresh()
    assert entries(table) == before
    assert in_order(table.scan().to_arrow()) == rows == by_duckdb(table)
    summary = table.current_snapshot().summary
    assert (summary["manifests-created"], summary["entries-processed"]) == ("1", str(len(before)))


def test_statistics_have_the_distinct_values(server: Server) -> None:
    table = fill(client(server))
    done = run(server, "compute-statistics")
    assert (done["outcome"], done["written-files"]) == ("succeeded", 1), done
    table.refresh()
    (statistics,) = table.metadata.statistics
    assert statistics.snapshot_id == table.current_snapshot().snapshot_id
    distinct = {blob.fields[0]: blob.properties["ndv"] for blob in statistics.blob_metadata}
    rows = numbers(table)
    assert (distinct[1], distinct[2]) == (str(len(set(rows))), "2")
    assert statistics.file_size_in_bytes == path_of(statistics.statistics_path).stat().st_size


def fill_plain(catalog: RestCatalog, **properties: str) -> Table:
    """A table without partitions with six small files: DuckDB fails on equality deletes beside a partition whose value is null."""
    catalog.create_namespace_if_not_exists(NAMESPACE)
    table = catalog.create_table((NAMESPACE, "t"), SIGHTINGS, properties=properties)
    for number in range(6):
        table.append(sightings(*((number * 10 + row, CITIES[row % 3], row / 2) for row in range(10))))
    return table


def test_equality_deletes_are_counted_applied_and_removed(server: Server) -> None:
    table = fill_plain(client(server), **{"history.expire.max-snapshot-age-ms": "1"})
    deleted = delete_equal(table, "id", [0, 10, 20, 999])
    table.append(sightings((10, "Oslo", 9.5)))
    ids = [number for number in range(60) if number not in (0, 20)]
    expected = [(number, CITIES[number % 10 % 3], number % 10 / 2) for number in ids]
    # This 10 is younger than the deletes.
    expected[ids.index(10)] = (10, "Oslo", 9.5)
    assert by_duckdb(table) == expected
    shown = json.loads(server.command("maintenance", "health", f"{NAMESPACE}.t", "--json").stdout)
    assert shown["equality-delete-files"] == 1
    assert [finding["kind"] for finding in shown["findings"]] == ["equality-deletes"], shown
    assert run(server, "compute-statistics")["outcome"] == "succeeded"
    table.refresh()
    distinct = {blob.fields[0]: blob.properties["ndv"] for blob in table.metadata.statistics[0].blob_metadata}
    assert distinct[1] == str(len(ids))
    done = run(server, "compact-files")
    assert (done["outcome"], done["written-files"], done["items"]) == ("succeeded", 1, []), done
    table.refresh()
    # PyIceberg reads no table with equality deletes.
    assert in_order(table.scan().to_arrow()) == by_duckdb(table) == expected
    assert table.current_snapshot().summary["removed-equality-delete-files"] == "1"
    assert path_of(deleted).exists()
    assert run(server, "expire-snapshots")["outcome"] == "succeeded"
    table.refresh()
    assert not path_of(deleted).exists() and len(table.snapshots()) == 1
    assert in_order(table.scan().to_arrow()) == expected
    assert needed_by(table) <= files_of(folder_of(table))


def test_equality_deletes_that_a_writer_commits_beside_compactions_apply(server: Server) -> None:
    table = fill_plain(client(server))
    outcomes: list[str] = []
    compaction = threading.Thread(target=lambda: outcomes.append(run(server, "compact-files")["outcome"]))
    compaction.start()
    for number in (0, 10, 20, 30):
        while True:
            try:
                delete_equal(table, "id", [number])
                break
            except CommitFailedException:
                table.refresh()
    compaction.join()
    assert outcomes == ["succeeded"]
    expected = [number for number in range(60) if number not in (0, 10, 20, 30)]
    assert [row[0] for row in by_duckdb(table)] == expected
    assert run(server, "compact-files")["outcome"] == "succeeded"
    table.refresh()
    assert [row[0] for row in by_duckdb(table)] == expected


def test_appends_beside_compactions_lose_and_double_no_row(server: Server) -> None:
    catalog = client(server)
    table = fill(catalog, files=6)
    expected = numbers(table)
    done = threading.Event()

    def append() -> None:
        own = client(server).load_table((NAMESPACE, "t"))
        for number in range(1000, 1015):
            while True:
                try:
                    own.append(sightings((number, "Oslo", None)))
                    break
                except CommitFailedException:
                    own.refresh()
        done.set()

    writer = threading.Thread(target=append)
    writer.start()
    outcomes = set()
    while not done.is_set():
        outcomes.add(run(server, "compact-files")["outcome"])
    writer.join()
    assert "succeeded" in outcomes
    run(server, "compact-files")
    table.refresh()
    assert numbers(table) == expected + list(range(1000, 1015))


def test_killed_compaction_leaves_the_table_whole(server: Server) -> None:
    table = fill(client(server))
    expected = numbers(table)
    for _ in range(2):
        command = ("maintenance", "run", f"{NAMESPACE}.t", "compact-files")
        begun = threading.Thread(target=lambda: server.command(*command, check=False))
        begun.start()
        server.kill()
        begun.join()
        server.start()
        table = client(server).load_table((NAMESPACE, "t"))
        assert numbers(table) == expected
        assert needed_by(table) <= files_of(folder_of(table))
