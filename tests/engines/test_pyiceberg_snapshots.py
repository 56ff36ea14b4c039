"""Branches, tags, rollback, expiry and statistics."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table
from pyiceberg.table.statistics import BlobMetadata, StatisticsFile

from support.rows import SIGHTINGS, in_order, sightings


@pytest.fixture
def table(catalog: Catalog, namespace: str) -> Table:
    """A table with three snapshots, a row in each."""
    table = catalog.create_table((namespace, "t"), SIGHTINGS)
    for number in (1, 2, 3):
        table.append(sightings((number, "Oslo", None)))
    return table


def ids(table: Table, **scan: object) -> list[int]:
    return [row[0] for row in in_order(table.scan(**scan).to_arrow())]  # type: ignore[arg-type]


def test_branches_and_tags_are_created_read_and_removed(catalog: Catalog, table: Table) -> None:
    first, second, _ = (snapshot.snapshot_id for snapshot in table.snapshots())
    with table.manage_snapshots() as manage:
        manage.create_tag(first, "one", max_ref_age_ms=86_400_000)
        manage.create_branch(second, "two", max_snapshot_age_ms=3_600_000, min_snapshots_to_keep=2)
    loaded = catalog.load_table(table.name())
    refs = loaded.refs()
    assert set(refs) == {"main", "one", "two"}
    assert (refs["one"].snapshot_id, refs["one"].max_ref_age_ms) == (first, 86_400_000)
    assert (refs["two"].snapshot_id, refs["two"].max_snapshot_age_ms, refs["two"].min_snapshots_to_keep) == (
        second,
        3_600_000,
        2,
    )
    assert in_order(loaded.scan().use_ref("one").to_arrow()) == [(1, "Oslo", None)]
    with loaded.manage_snapshots() as manage:
        manage.remove_tag("one")
        manage.remove_branch("two")
    assert set(catalog.load_table(table.name()).refs()) == {"main"}


def test_branch_has_separate_commits(catalog: Catalog, table: Table) -> None:
    with table.manage_snapshots() as manage:
        manage.create_branch(table.snapshots()[0].snapshot_id, "audit")
    table.append(sightings((50, "Voss", None)), branch="audit")
    table.append(sightings((4, "Oslo", None)))
    loaded = catalog.load_table(table.name())
    assert ids(loaded) == [1, 2, 3, 4]
    assert [row[0] for row in in_order(loaded.scan().use_ref("audit").to_arrow())] == [1, 50]


def test_moved_ref_is_not_overwritten(catalog: Catalog, table: Table) -> None:
    stale = catalog.load_table(table.name())
    with table.manage_snapshots() as manage:
        manage.create_tag(table.snapshots()[0].snapshot_id, "release")
    with pytest.raises(CommitFailedException), stale.manage_snapshots() as manage:
        manage.create_tag(stale.snapshots()[1].snapshot_id, "release")
    assert catalog.load_table(table.name()).refs()["release"].snapshot_id == table.snapshots()[0].snapshot_id


def test_append_after_a_rollback_continues_from_the_old_snapshot(catalog: Catalog, table: Table) -> None:
    first = table.snapshots()[0]
    with table.manage_snapshots() as manage:
        manage.rollback_to_snapshot(first.snapshot_id)
    loaded = catalog.load_table(table.name())
    assert ids(loaded) == [1]
    assert [entry.snapshot_id for entry in loaded.history()][-1] == first.snapshot_id
    loaded.append(sightings((9, "Oslo", None)))
    loaded = catalog.load_table(table.name())
    assert ids(loaded) == [1, 9]
    current = loaded.current_snapshot()
    assert current is not None and current.parent_snapshot_id == first.snapshot_id
    assert current.sequence_number == 4


def test_current_snapshot_is_set_from_a_tag(catalog: Catalog, table: Table) -> None:
    with table.manage_snapshots() as manage:
        manage.create_tag(table.snapshots()[1].snapshot_id, "good")
    with table.manage_snapshots() as manage:
        manage.set_current_snapshot(ref_name="good")
    assert ids(catalog.load_table(table.name())) == [1, 2]


def test_expiry_keeps_the_snapshots_of_refs(catalog: Catalog, table: Table) -> None:
    first, second, third = (snapshot.snapshot_id for snapshot in table.snapshots())
    with table.manage_snapshots() as manage:
        manage.create_tag(first, "keep")
    table.maintenance.expire_snapshots().older_than(datetime.now() + timedelta(days=1)).commit()
    loaded = catalog.load_table(table.name())
    assert {snapshot.snapshot_id for snapshot in loaded.snapshots()} == {first, third}
    assert second not in {entry.snapshot_id for entry in loaded.history()}
    assert ids(loaded) == [1, 2, 3]


def test_statistics_are_set_and_removed(catalog: Catalog, table: Table) -> None:
    snapshot = table.current_snapshot()
    assert snapshot is not None
    blob = BlobMetadata.model_validate(
        {
            "type": "apache-datasketches-theta-v1",
            "snapshot-id": snapshot.snapshot_id,
            "sequence-number": 3,
            "fields": [1],
            "properties": {"ndv": "3"},
        }
    )
    statistics = StatisticsFile.model_validate(
        {
            "snapshot-id": snapshot.snapshot_id,
            "statistics-path": f"{table.location()}/metadata/three.puffin",
            "file-size-in-bytes": 413,
            "file-footer-size-in-bytes": 42,
            "blob-metadata": [blob],
        }
    )
    with table.update_statistics() as update:
        update.set_statistics(statistics)
    loaded = catalog.load_table(table.name())
    assert loaded.metadata.statistics == [statistics]
    with loaded.update_statistics() as update:
        update.remove_statistics(snapshot.snapshot_id)
    assert catalog.load_table(table.name()).metadata.statistics == []


def test_table_with_150_snapshots_is_loaded_and_read(catalog: Catalog, namespace: str) -> None:
    table = catalog.create_table((namespace, "many"), SIGHTINGS)
    for batch in range(5):
        with table.transaction() as transaction:
            for number in range(30):
                transaction.append(sightings((batch * 30 + number, "Oslo", None)))
    loaded = catalog.load_table(table.name())
    assert len(loaded.snapshots()) == 150
    assert len(loaded.history()) >= 5
    assert ids(loaded) == list(range(150))
    assert loaded.metadata.last_sequence_number == 150
