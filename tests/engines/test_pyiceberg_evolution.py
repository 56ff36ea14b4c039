"""Schemas, partition specs and sort orders that change under data that stays."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table
from pyiceberg.table.sorting import NullOrder, SortDirection
from pyiceberg.transforms import BucketTransform, IdentityTransform, TruncateTransform
from pyiceberg.types import DoubleType, IntegerType, ListType, LongType, NestedField, StringType, StructType

from support.rows import SIGHTINGS, in_order, sightings


@pytest.fixture
def table(catalog: Catalog, namespace: str) -> Table:
    """A table with two rows."""
    table = catalog.create_table((namespace, "t"), SIGHTINGS)
    table.append(sightings((1, "Oslo", 1.5), (2, "Bergen", 2.5)))
    return table


def names(table: Table) -> list[str]:
    return [field.name for field in table.schema().fields]


def test_columns_are_added_renamed_dropped_and_moved_over_old_rows(catalog: Catalog, table: Table) -> None:
    with table.update_schema() as update:
        update.add_column("note", StringType(), doc="free text")
        update.rename_column("city", "town")
        update.move_first("size")
    loaded = catalog.load_table(table.name())
    assert names(loaded) == ["size", "id", "town", "note"]
    assert sorted(loaded.scan().to_arrow().to_pylist(), key=lambda row: row["id"]) == [
        {"size": 1.5, "id": 1, "town": "Oslo", "note": None},
        {"size": 2.5, "id": 2, "town": "Bergen", "note": None},
    ]
    with loaded.update_schema() as update:
        update.delete_column("size")
        update.move_after("id", "note")
    loaded = catalog.load_table(table.name())
    assert names(loaded) == ["town", "note", "id"]
    assert loaded.scan(row_filter="town == 'Oslo'").to_arrow().to_pylist() == [{"town": "Oslo", "note": None, "id": 1}]


def test_column_with_a_dropped_columns_name_is_a_new_column(catalog: Catalog, table: Table) -> None:
    old_id = table.schema().find_field("size").field_id
    with table.update_schema() as update:
        update.delete_column("size")
    with table.update_schema() as update:
        update.add_column("size", DoubleType())
    loaded = catalog.load_table(table.name())
    assert loaded.schema().find_field("size").field_id == 4 != old_id
    assert loaded.scan().to_arrow()["size"].to_pylist() == [None, None]


def test_column_types_are_widened_over_old_rows(catalog: Catalog, namespace: str) -> None:
    narrow = pa.schema([pa.field("a", pa.int32()), pa.field("b", pa.float32()), pa.field("c", pa.decimal128(9, 2))])
    table = catalog.create_table((namespace, "t"), narrow)
    rows = {"a": [1], "b": [0.5], "c": [None]}
    table.append(pa.table(rows, schema=narrow))
    with table.update_schema() as update:
        update.update_column("a", LongType())
        update.update_column("b", DoubleType())
    loaded = catalog.load_table(table.name())
    assert [str(field.field_type) for field in loaded.schema().fields] == ["long", "double", "decimal(9, 2)"]
    loaded.append(pa.table({"a": [2**40], "b": [1e300], "c": [None]}, schema=loaded.schema().as_arrow()))
    assert sorted(loaded.scan().to_arrow()["a"].to_pylist()) == [1, 2**40]


def test_nested_columns_are_added_and_renamed(catalog: Catalog, table: Table) -> None:
    with table.update_schema() as update:
        update.add_column(
            "place", StructType(NestedField(100, "name", StringType()), NestedField(101, "zip", IntegerType()))
        )
        update.add_column("marks", ListType(102, StructType(NestedField(103, "x", DoubleType()))))
    with table.update_schema() as update:
        update.add_column(("place", "country"), StringType())
        update.rename_column(("place", "zip"), "postcode")
        update.add_column(("marks", "y"), DoubleType())
    with table.update_schema() as update:
        update.update_column(("place", "postcode"), LongType())
    loaded = catalog.load_table(table.name())
    assert str(loaded.schema().find_type("place.postcode")) == "long"
    assert str(loaded.schema().find_type("marks.element.y")) == "double"
    ids = [field.field_id for field in loaded.schema().fields]
    assert len(set(ids)) == len(ids)
    row = {
        "id": 3,
        "city": "Voss",
        "size": 1.0,
        "place": {"name": "a", "postcode": 2**33, "country": "NO"},
        "marks": [{"x": 1.0, "y": 2.0}],
    }
    loaded.append(pa.Table.from_pylist([row], schema=loaded.schema().as_arrow()))
    assert catalog.load_table(table.name()).scan(row_filter="id == 3").to_arrow().to_pylist() == [row]


def test_union_by_name_takes_new_columns_from_a_writer(catalog: Catalog, table: Table) -> None:
    more = pa.table({"id": [3], "city": ["Voss"], "size": [1.0], "colour": ["blue"]})
    with table.update_schema() as update:
        update.union_by_name(more.schema)
    table.append(more)
    assert in_order(catalog.load_table(table.name()).scan().to_arrow()) == [
        (1, "Oslo", 1.5, None),
        (2, "Bergen", 2.5, None),
        (3, "Voss", 1.0, "blue"),
    ]


def test_default_value_of_a_new_column_is_kept(catalog: Catalog, namespace: str) -> None:
    table = catalog.create_table((namespace, "t"), SIGHTINGS, properties={"format-version": "3"})
    with table.update_schema() as update:
        update.add_column("stars", IntegerType(), default_value=5)
    field = catalog.load_table(table.name()).schema().find_field("stars")
    assert (field.initial_default, field.write_default) == (5, 5)


def test_schema_equal_to_an_earlier_one_gets_its_id(catalog: Catalog, table: Table) -> None:
    first = table.schema().schema_id
    with table.update_schema() as update:
        update.rename_column("city", "town")
    with table.update_schema() as update:
        update.rename_column("town", "city")
    loaded = catalog.load_table(table.name())
    assert loaded.schema().schema_id == first
    assert len(loaded.schemas()) == 2


def test_one_of_two_schema_changes_from_the_same_state_is_refused(catalog: Catalog, table: Table) -> None:
    stale = catalog.load_table(table.name())
    with table.update_schema() as update:
        update.add_column("a", StringType())
    with pytest.raises(CommitFailedException, match="Requirement failed"), stale.update_schema() as update:
        update.add_column("b", StringType())
    assert names(catalog.load_table(table.name())) == ["id", "city", "size", "a"]


def test_partition_spec_evolves_and_old_files_stay_readable(catalog: Catalog, table: Table) -> None:
    with table.update_spec() as update:
        update.add_identity("city")
    table.append(sightings((3, "Oslo", 3.5)))
    with table.update_spec() as update:
        update.add_field("id", BucketTransform(8), "id_bucket")
        update.rename_field("city", "town_part")
    table.append(sightings((4, "Bergen", 4.5)))
    with table.update_spec() as update:
        update.remove_field("town_part")
    table.append(sightings((5, "Oslo", 5.5)))
    loaded = catalog.load_table(table.name())
    assert [field.name for field in loaded.spec().fields] == ["id_bucket"]
    assert len(loaded.specs()) == 4
    assert loaded.metadata.last_partition_id == 1001
    assert [row[0] for row in in_order(loaded.scan(row_filter="city == 'Oslo'").to_arrow())] == [1, 3, 5]


def test_replaced_sort_order_is_loaded(catalog: Catalog, table: Table) -> None:
    assert table.sort_order().is_unsorted
    with table.update_sort_order() as update:
        update.asc("city", IdentityTransform(), NullOrder.NULLS_FIRST)
    with table.update_sort_order() as update:
        update.desc("id", IdentityTransform(), NullOrder.NULLS_LAST)
        update.asc("city", TruncateTransform(3), NullOrder.NULLS_FIRST)
    loaded = catalog.load_table(table.name())
    assert [(str(f.transform), f.direction) for f in loaded.sort_order().fields] == [
        ("identity", SortDirection.DESC),
        ("truncate[3]", SortDirection.ASC),
    ]
    assert len(loaded.sort_orders()) == 3


def test_replaced_identifier_fields_are_loaded(catalog: Catalog, table: Table) -> None:
    with table.update_schema(allow_incompatible_changes=True) as update:
        update.update_column("id", required=True)
        update.set_identifier_fields("id")
    assert catalog.load_table(table.name()).schema().identifier_field_names() == {"id"}
