"""Rows as PyIceberg writes and reads them."""

from __future__ import annotations

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform, IdentityTransform
from pyiceberg.types import DoubleType, LongType, NestedField, StringType

from support.rows import SIGHTINGS, in_order, sightings

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=False),
    NestedField(2, "city", StringType(), required=False),
    NestedField(3, "size", DoubleType(), required=False),
)
LAYOUTS = {
    "unpartitioned": PartitionSpec(),
    "by city": PartitionSpec(PartitionField(source_id=2, field_id=1000, transform=IdentityTransform(), name="city")),
    "by bucket": PartitionSpec(
        PartitionField(source_id=1, field_id=1000, transform=BucketTransform(4), name="id_bucket")
    ),
}
ROWS = [(number, ["Oslo", "Bergen", None][number % 3], number / 2) for number in range(12)]


@pytest.fixture(params=LAYOUTS)
def table(request: pytest.FixtureRequest, catalog: Catalog, namespace: str) -> Table:
    """A table in each layout."""
    return catalog.create_table((namespace, "t"), SCHEMA, partition_spec=LAYOUTS[request.param])


def read(catalog: Catalog, table: Table, **scan: object) -> list[tuple]:
    """The rows as the catalog has them now."""
    return in_order(catalog.load_table(table.name()).scan(**scan).to_arrow())  # type: ignore[arg-type]


def test_appended_rows_are_read_with_and_without_filters(catalog: Catalog, table: Table) -> None:
    table.append(sightings(*ROWS[:7]))
    table.append(sightings(*ROWS[7:]))
    assert read(catalog, table) == ROWS
    assert read(catalog, table, row_filter="city == 'Oslo'") == [row for row in ROWS if row[1] == "Oslo"]
    assert read(catalog, table, row_filter="city is null and id > 4") == [
        row for row in ROWS if row[1] is None and row[0] > 4
    ]
    assert read(catalog, table, row_filter="id in (1, 5, 99)") == [ROWS[1], ROWS[5]]
    assert read(catalog, table, row_filter="size >= 4.5", selected_fields=("id",)) == [(9,), (10,), (11,)]
    assert read(catalog, table, limit=0) == []


def test_overwrite_replaces_all_rows_or_those_of_a_filter(catalog: Catalog, table: Table) -> None:
    table.append(sightings(*ROWS))
    table.overwrite(sightings((100, "Oslo", 0.0)), overwrite_filter="city == 'Oslo'")
    assert read(catalog, table) == [row for row in ROWS if row[1] != "Oslo"] + [(100, "Oslo", 0.0)]
    table.overwrite(sightings((1, "Tromsø", 1.0)))
    assert read(catalog, table) == [(1, "Tromsø", 1.0)]


def test_delete_removes_the_rows_of_a_filter(catalog: Catalog, table: Table) -> None:
    table.append(sightings(*ROWS))
    table.delete("id < 3")
    assert read(catalog, table) == ROWS[3:]
    table.delete("city == 'Bergen'")
    assert read(catalog, table) == [row for row in ROWS[3:] if row[1] != "Bergen"]
    table.delete()
    assert read(catalog, table) == []


def test_upsert_updates_existing_rows_and_inserts_new_rows(catalog: Catalog, table: Table) -> None:
    table.append(sightings(*ROWS))
    result = table.upsert(sightings((0, "Oslo", 99.0), (1, "Bergen", 0.5), (50, "Tromsø", 1.0)), join_cols=["id"])
    assert (result.rows_updated, result.rows_inserted) == (1, 1)
    assert read(catalog, table) == [(0, "Oslo", 99.0), *ROWS[1:], (50, "Tromsø", 1.0)]


def test_dynamic_partition_overwrite_replaces_whole_partitions(catalog: Catalog, namespace: str) -> None:
    table = catalog.create_table((namespace, "t"), SCHEMA, partition_spec=LAYOUTS["by city"])
    table.append(sightings(*ROWS))
    table.dynamic_partition_overwrite(sightings((70, "Oslo", 7.0)))
    assert read(catalog, table) == [row for row in ROWS if row[1] != "Oslo"] + [(70, "Oslo", 7.0)]


def test_changes_of_one_transaction_are_visible_together(catalog: Catalog, table: Table) -> None:
    table.append(sightings(*ROWS))
    with table.transaction() as transaction:
        transaction.delete("id >= 6")
        transaction.append(sightings((100, "Oslo", 1.0)))
        transaction.set_properties({"checked": "yes"})
        with transaction.update_schema() as schema:
            schema.add_column("note", StringType())
    loaded = catalog.load_table(table.name())
    assert in_order(loaded.scan().to_arrow()) == [(*row, None) for row in [*ROWS[:6], (100, "Oslo", 1.0)]]
    assert loaded.properties["checked"] == "yes"


def test_failed_transaction_changes_nothing(catalog: Catalog, table: Table) -> None:
    table.append(sightings(*ROWS))
    before = catalog.load_table(table.name())
    with pytest.raises(RuntimeError, match="on purpose"), table.transaction() as transaction:
        transaction.append(sightings((100, "Oslo", 1.0)))
        raise RuntimeError("on purpose")
    assert catalog.load_table(table.name()).metadata_location == before.metadata_location


def test_old_snapshot_is_read_and_history_is_inspected(catalog: Catalog, table: Table) -> None:
    table.append(sightings(*ROWS[:4]))
    first = table.current_snapshot()
    assert first is not None
    table.append(sightings(*ROWS[4:]))
    table.delete("id == 0")
    assert read(catalog, table, snapshot_id=first.snapshot_id) == ROWS[:4]
    loaded = catalog.load_table(table.name())
    assert [entry.snapshot_id for entry in loaded.history()] == [
        snapshot.snapshot_id for snapshot in loaded.snapshots()
    ]
    assert loaded.inspect.snapshots().num_rows == len(loaded.snapshots())
    assert sum(loaded.inspect.partitions()["record_count"].to_pylist()) == 11
    assert loaded.inspect.metadata_log_entries().num_rows >= 4


def test_partition_filter_reads_only_its_files(catalog: Catalog, namespace: str) -> None:
    table = catalog.create_table((namespace, "t"), SCHEMA, partition_spec=LAYOUTS["by city"])
    table.append(sightings(*ROWS))
    assert len(list(table.scan().plan_files())) == 3
    assert len(list(table.scan(row_filter="city == 'Oslo'").plan_files())) == 1


def test_table_is_created_from_an_arrow_schema(catalog: Catalog, namespace: str) -> None:
    table = catalog.create_table((namespace, "t"), SIGHTINGS)
    table.append(sightings(*ROWS))
    assert read(catalog, table) == ROWS
