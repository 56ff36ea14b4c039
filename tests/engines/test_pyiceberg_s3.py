"""PyIceberg on S3 with vended credentials only."""

from __future__ import annotations

import pytest
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DoubleType, LongType, NestedField, StringType

from support.lake import Lake
from support.rows import SIGHTINGS, in_order, sightings

SCHEMA = Schema(
    NestedField(1, "id", LongType()), NestedField(2, "city", StringType()), NestedField(3, "size", DoubleType())
)

FILE_IO = {
    "arrow": "pyiceberg.io.pyarrow.PyArrowFileIO",
    "s3fs": "pyiceberg.io.fsspec.FsspecFileIO",
}


@pytest.fixture(params=FILE_IO)
def file_io(request: pytest.FixtureRequest) -> dict[str, str]:
    return {"py-io-impl": FILE_IO[request.param]}


@pytest.fixture
def namespace(lake: Lake, unique: str) -> str:
    return lake.rest().create_namespace(unique)


def test_writer_appends_and_deletes_rows_and_reader_reads_them(lake: Lake, namespace: str, file_io: dict[str, str]) -> None:
    catalog = lake.catalog(**file_io)
    spec = PartitionSpec(PartitionField(source_id=2, field_id=1000, transform=IdentityTransform(), name="city"))
    table = catalog.create_table((namespace, "t"), SCHEMA, partition_spec=spec)
    table.append(sightings((1, "Oslo", 1.5), (2, "Bergen", 2.5)))
    table.append(sightings((3, "Oslo", 3.5)))
    table.delete("id == 1")
    rows = in_order(lake.catalog(lake.reader, **file_io).load_table((namespace, "t")).scan().to_arrow())
    assert rows == [(2, "Bergen", 2.5), (3, "Oslo", 3.5)]


def test_file_write_with_a_readers_key_is_refused(lake: Lake, namespace: str, file_io: dict[str, str]) -> None:
    lake.catalog(**file_io).create_table((namespace, "t"), SIGHTINGS).append(sightings((1, "Oslo", 1.5)))
    table = lake.catalog(lake.reader, **file_io).load_table((namespace, "t"))
    with pytest.raises(OSError) as refused:
        table.append(sightings((2, "Bergen", 2.5)))
    # s3fs says it by the error's class, Arrow in its text.
    assert isinstance(refused.value, PermissionError) or "ACCESS_DENIED" in str(refused.value)


def test_staged_create_writes_before_the_table_exists(lake: Lake, namespace: str, file_io: dict[str, str]) -> None:
    catalog = lake.catalog(**file_io)
    with catalog.create_table_transaction((namespace, "t"), SIGHTINGS) as transaction:
        transaction.append(sightings((1, "Oslo", 1.5)))
    assert in_order(catalog.load_table((namespace, "t")).scan().to_arrow()) == [(1, "Oslo", 1.5)]
