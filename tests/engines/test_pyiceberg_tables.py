"""Tables created, renamed and dropped by PyIceberg."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.sorting import NullOrder, SortDirection, SortField, SortOrder
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform, TruncateTransform
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from support.rest import Rest, answer
from support.rows import SIGHTINGS, in_order, sightings

EVERY_TYPE = Schema(
    NestedField(1, "id", LongType(), required=True, doc="the key"),
    NestedField(2, "flag", BooleanType()),
    NestedField(3, "small", IntegerType()),
    NestedField(4, "ratio", FloatType()),
    NestedField(5, "precise", DoubleType()),
    NestedField(6, "price", DecimalType(18, 4)),
    NestedField(7, "day", DateType()),
    NestedField(8, "clock", TimeType()),
    NestedField(9, "local", TimestampType()),
    NestedField(10, "instant", TimestamptzType()),
    NestedField(11, "text", StringType()),
    NestedField(12, "identity", UUIDType()),
    NestedField(13, "code", FixedType(8)),
    NestedField(14, "blob", BinaryType()),
    NestedField(15, "tags", ListType(16, StringType(), element_required=True)),
    NestedField(17, "counts", MapType(18, StringType(), 19, LongType(), value_required=False)),
    NestedField(
        20,
        "place",
        StructType(
            NestedField(21, "name", StringType(), required=True),
            NestedField(22, "points", ListType(23, StructType(NestedField(24, "x", DoubleType())))),
        ),
    ),
    identifier_field_ids=[1],
)


def path_of(location: str) -> Path:
    """Returns the path of a location on local disk."""
    return Path(unquote(urlsplit(location).path) if location.startswith("file:") else location)


def test_schema_with_every_type_is_loaded_unchanged(catalog: Catalog, namespace: str) -> None:
    created = catalog.create_table((namespace, "t"), EVERY_TYPE)
    loaded = catalog.load_table((namespace, "t"))
    assert loaded.metadata == created.metadata
    assert str(loaded.schema()) == str(created.schema())
    assert [field.name for field in loaded.schema().fields] == [field.name for field in EVERY_TYPE.fields]
    assert loaded.schema().identifier_field_names() == {"id"}
    assert loaded.schema().find_field("id").doc == "the key"
    assert loaded.metadata.last_column_id == 24


def test_partition_spec_and_sort_order_are_loaded_unchanged(catalog: Catalog, namespace: str) -> None:
    spec = PartitionSpec(
        PartitionField(source_id=10, field_id=1000, transform=DayTransform(), name="instant_day"),
        PartitionField(source_id=1, field_id=1001, transform=BucketTransform(16), name="id_bucket"),
        PartitionField(source_id=11, field_id=1002, transform=TruncateTransform(4), name="text_trunc"),
    )
    order = SortOrder(
        SortField(
            source_id=10, transform=DayTransform(), direction=SortDirection.DESC, null_order=NullOrder.NULLS_LAST
        ),
        SortField(source_id=11, transform=IdentityTransform()),
    )
    catalog.create_table((namespace, "t"), EVERY_TYPE, partition_spec=spec, sort_order=order)
    loaded = catalog.load_table((namespace, "t"))
    by_name = {field.field_id: field.name for field in loaded.schema().fields}
    assert [(by_name[f.source_id], str(f.transform), f.name) for f in loaded.spec().fields] == [
        ("instant", "day", "instant_day"),
        ("id", "bucket[16]", "id_bucket"),
        ("text", "truncate[4]", "text_trunc"),
    ]
    assert loaded.metadata.last_partition_id == 1002
    assert [(by_name[f.source_id], str(f.transform), f.direction) for f in loaded.sort_order().fields] == [
        ("instant", "day", SortDirection.DESC),
        ("text", "identity", SortDirection.ASC),
    ]


@pytest.mark.parametrize("version", ["1", "2"])
def test_each_format_version_is_created_and_written(catalog: Catalog, namespace: str, version: str) -> None:
    table = catalog.create_table((namespace, "t"), SIGHTINGS, properties={"format-version": version})
    assert table.format_version == int(version)
    assert "format-version" not in table.properties
    table.append(sightings((1, "Oslo", 1.5), (2, None, None)))
    table.append(sightings((3, "Bergen", 2.5)))
    loaded = catalog.load_table((namespace, "t"))
    assert loaded.format_version == int(version)
    assert in_order(loaded.scan().to_arrow()) == [(1, "Oslo", 1.5), (2, None, None), (3, "Bergen", 2.5)]


def test_table_of_version_three_is_created_and_changed(catalog: Catalog, namespace: str) -> None:
    """This client does not write rows into such tables yet."""
    table = catalog.create_table((namespace, "t"), SIGHTINGS, properties={"format-version": "3"})
    with table.transaction() as transaction:
        transaction.set_properties({"owner": "ana"})
    loaded = catalog.load_table((namespace, "t"))
    assert (loaded.format_version, loaded.metadata.next_row_id) == (3, 0)
    assert loaded.properties["owner"] == "ana"


@pytest.mark.parametrize(("old", "new"), [("1", 2), ("1", 3), ("2", 3)])
def test_upgraded_table_keeps_its_rows(
    rest: Rest, catalog: Catalog, namespace: str, old: str, new: int
) -> None:
    table = catalog.create_table((namespace, "t"), SIGHTINGS, properties={"format-version": old})
    table.append(sightings((1, "Oslo", 1.5)))
    answer(rest.commit(namespace, "t", [{"action": "upgrade-format-version", "format-version": new}]))
    loaded = catalog.load_table((namespace, "t"))
    assert loaded.format_version == new
    assert in_order(loaded.scan().to_arrow()) == [(1, "Oslo", 1.5)]


def test_existing_object_cannot_be_created_again(catalog: Catalog, namespace: str) -> None:
    catalog.create_table((namespace, "t"), SIGHTINGS)
    with pytest.raises(TableAlreadyExistsError, match="already exists"):
        catalog.create_table((namespace, "t"), SIGHTINGS)
    assert catalog.create_table_if_not_exists((namespace, "t"), SIGHTINGS).name() == (namespace, "t")


def test_table_in_a_missing_namespace_is_refused(catalog: Catalog, unique: str) -> None:
    with pytest.raises(NoSuchNamespaceError, match="does not exist"):
        catalog.create_table((unique, "t"), SIGHTINGS)


def test_dropped_table_no_longer_exists(catalog: Catalog, namespace: str) -> None:
    assert not catalog.table_exists((namespace, "t"))
    catalog.create_table((namespace, "t"), SIGHTINGS)
    assert catalog.table_exists((namespace, "t"))
    catalog.drop_table((namespace, "t"))
    assert not catalog.table_exists((namespace, "t"))
    with pytest.raises(NoSuchTableError, match="does not exist"):
        catalog.load_table((namespace, "t"))
    with pytest.raises(NoSuchTableError, match="does not exist"):
        catalog.drop_table((namespace, "t"))


def test_name_is_free_after_a_drop_and_the_new_table_is_independent(catalog: Catalog, namespace: str) -> None:
    first = catalog.create_table((namespace, "t"), SIGHTINGS)
    first.append(sightings((1, "Oslo", 1.5)))
    catalog.drop_table((namespace, "t"))
    second = catalog.create_table((namespace, "t"), SIGHTINGS)
    assert second.metadata.table_uuid != first.metadata.table_uuid
    assert second.location() != first.location()
    assert second.scan().to_arrow().num_rows == 0


def test_drop_without_purge_leaves_the_files(catalog: Catalog, namespace: str) -> None:
    table = catalog.create_table((namespace, "t"), SIGHTINGS)
    table.append(sightings((1, "Oslo", 1.5)))
    files = [path_of(task.file.file_path) for task in table.scan().plan_files()]
    metadata_file = path_of(catalog.load_table((namespace, "t")).metadata_location)
    catalog.drop_table((namespace, "t"))
    assert metadata_file.exists()
    assert files and all(file.exists() for file in files)


def test_drop_with_purge_removes_the_table(catalog: Catalog, namespace: str) -> None:
    table = catalog.create_table((namespace, "t"), SIGHTINGS)
    table.append(sightings((1, "Oslo", 1.5)))
    catalog.purge_table((namespace, "t"))
    assert not catalog.table_exists((namespace, "t"))
    assert catalog.list_tables(namespace) == []


def test_rename_within_and_across_namespaces_keeps_the_table(catalog: Catalog, namespace: str) -> None:
    other = f"{namespace}_other"
    catalog.create_namespace(other)
    catalog.create_namespace((other, "nested"))
    table = catalog.create_table((namespace, "first"), SIGHTINGS)
    table.append(sightings((1, "Oslo", 1.5)))
    catalog.rename_table((namespace, "first"), (namespace, "second"))
    assert catalog.list_tables(namespace) == [(namespace, "second")]
    catalog.rename_table((namespace, "second"), (other, "nested", "third"))
    moved = catalog.load_table((other, "nested", "third"))
    assert moved.metadata.table_uuid == table.metadata.table_uuid
    assert moved.location() == table.location()
    moved.append(sightings((2, "Bergen", 2.5)))
    assert catalog.load_table((other, "nested", "third")).scan().to_arrow().num_rows == 2
    assert catalog.list_tables(namespace) == []


def test_invalid_rename_is_refused(catalog: Catalog, namespace: str) -> None:
    catalog.create_table((namespace, "a"), SIGHTINGS)
    catalog.create_table((namespace, "b"), SIGHTINGS)
    with pytest.raises(TableAlreadyExistsError, match="already exists"):
        catalog.rename_table((namespace, "a"), (namespace, "b"))
    with pytest.raises(NoSuchTableError, match="does not exist"):
        catalog.rename_table((namespace, "missing"), (namespace, "c"))
    with pytest.raises(NoSuchNamespaceError):
        catalog.rename_table((namespace, "a"), ("no_such_namespace_here", "a"))
    assert sorted(catalog.list_tables(namespace)) == [(namespace, "a"), (namespace, "b")]


def test_purge_after_a_rename_leaves_the_table_with_the_old_name(catalog: Catalog, namespace: str) -> None:
    first = catalog.create_table((namespace, "a"), SIGHTINGS)
    first.append(sightings((1, "Oslo", 1.5)))
    catalog.rename_table((namespace, "a"), (namespace, "b"))
    second = catalog.create_table((namespace, "a"), SIGHTINGS)
    second.append(sightings((2, "Bergen", 2.5)))
    catalog.purge_table((namespace, "b"))
    assert in_order(catalog.load_table((namespace, "a")).scan().to_arrow()) == [(2, "Bergen", 2.5)]


def test_properties_are_set_and_removed(catalog: Catalog, namespace: str) -> None:
    table = catalog.create_table((namespace, "t"), SIGHTINGS, properties={"owner": "ana", "keep": "yes"})
    with table.transaction() as transaction:
        transaction.set_properties({"owner": "bo", "größe": "Ω ☃"})
        transaction.remove_properties("keep")
    properties = catalog.load_table((namespace, "t")).properties
    assert (properties["owner"], properties["größe"]) == ("bo", "Ω ☃")
    assert "keep" not in properties


def test_staged_table_does_not_exist_before_its_commit(catalog: Catalog, namespace: str) -> None:
    rows = sightings((1, "Oslo", 1.5), (2, "Bergen", 2.5))
    spec = PartitionSpec(PartitionField(source_id=2, field_id=1000, transform=IdentityTransform(), name="city"))
    schema = Schema(
        NestedField(1, "id", LongType()), NestedField(2, "city", StringType()), NestedField(3, "size", DoubleType())
    )
    transaction = catalog.create_table_transaction(
        (namespace, "t"), schema, partition_spec=spec, properties={"owner": "ana"}
    )
    assert not catalog.table_exists((namespace, "t"))
    assert catalog.list_tables(namespace) == []
    transaction.append(rows)
    transaction.commit_transaction()
    table = catalog.load_table((namespace, "t"))
    assert in_order(table.scan().to_arrow()) == [(1, "Oslo", 1.5), (2, "Bergen", 2.5)]
    assert [field.name for field in table.spec().fields] == ["city"]
    assert table.properties["owner"] == "ana"
    assert table.metadata.metadata_log == []


@pytest.mark.parametrize("version", ["1", "2"])
def test_staged_create_has_the_requested_format_version(catalog: Catalog, namespace: str, version: str) -> None:
    transaction = catalog.create_table_transaction((namespace, "t"), SIGHTINGS, properties={"format-version": version})
    transaction.append(sightings((1, "Oslo", 1.5)))
    transaction.commit_transaction()
    table = catalog.load_table((namespace, "t"))
    assert table.format_version == int(version)
    assert table.scan().to_arrow().num_rows == 1


def test_one_of_two_staged_creates_of_the_same_name_succeeds(catalog: Catalog, namespace: str) -> None:
    first = catalog.create_table_transaction((namespace, "t"), SIGHTINGS)
    second = catalog.create_table_transaction((namespace, "t"), SIGHTINGS)
    first.commit_transaction()
    with pytest.raises(CommitFailedException):
        second.commit_transaction()
    with pytest.raises(TableAlreadyExistsError):
        catalog.create_table_transaction((namespace, "t"), SIGHTINGS)


def test_register_restores_a_dropped_table(catalog: Catalog, namespace: str) -> None:
    table = catalog.create_table((namespace, "t"), SIGHTINGS)
    table.append(sightings((1, "Oslo", 1.5)))
    location = catalog.load_table((namespace, "t")).metadata_location
    catalog.drop_table((namespace, "t"))
    back = catalog.register_table((namespace, "back"), location)
    assert in_order(back.scan().to_arrow()) == [(1, "Oslo", 1.5)]


def test_metadata_files_are_on_disk_under_the_table_and_never_rewritten(catalog: Catalog, namespace: str) -> None:
    table = catalog.create_table((namespace, "t"), SIGHTINGS)
    seen: dict[Path, bytes] = {}
    for number in range(3):
        file = path_of(catalog.load_table((namespace, "t")).metadata_location)
        assert file.parent == path_of(table.location()) / "metadata"
        assert file.name.startswith(f"{number:05}-") and file.name.endswith(".metadata.json")
        assert file not in seen
        seen[file] = file.read_bytes()
        table.append(sightings((number, "Oslo", None)))
    assert all(file.read_bytes() == content for file, content in seen.items())
    assert len(catalog.load_table((namespace, "t")).metadata.metadata_log) == 3


def test_compressed_metadata_is_written_and_read(catalog: Catalog, namespace: str) -> None:
    table = catalog.create_table((namespace, "t"), SIGHTINGS, properties={"write.metadata.compression-codec": "gzip"})
    table.append(sightings((1, "Oslo", 1.5)))
    loaded = catalog.load_table((namespace, "t"))
    assert loaded.metadata_location.endswith(".gz.metadata.json")
    assert path_of(loaded.metadata_location).read_bytes()[:2] == b"\x1f\x8b"
    assert in_order(loaded.scan().to_arrow()) == [(1, "Oslo", 1.5)]


def test_table_with_1000_columns_and_5000_properties_is_loaded(catalog: Catalog, namespace: str) -> None:
    wide = pa.schema([pa.field(f"column_{number}", pa.int64()) for number in range(1000)])
    properties = {f"property.{number}": "x" * 200 for number in range(2000)}
    table = catalog.create_table((namespace, "wide"), wide, properties=properties)
    with table.transaction() as transaction:
        transaction.set_properties({f"more.{number}": "y" * 200 for number in range(3000)})
    loaded = catalog.load_table((namespace, "wide"))
    assert len(loaded.schema().fields) == 1000
    assert len([name for name in loaded.properties if name.startswith(("property.", "more."))]) == 5000
