"""Deletes by value. No client of the tests writes them in Python: PyIceberg writes the files, with its own manifests."""

from __future__ import annotations

import uuid

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestWriterV2,
    write_manifest_list,
)
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import AddSnapshotUpdate, AssertRefSnapshotId, SetSnapshotRefUpdate
from pyiceberg.typedef import Record


class DeletesWriter(ManifestWriterV2):
    """Writes a manifest of delete files."""

    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


def delete_equal(table: Table, column: str, values: list[object], partition: Record | None = None) -> str:
    """Deletes the rows of a partition that have one of these values, by one equality delete file. Returns the file's location."""
    field = table.schema().find_field(column)
    kind = table.schema().as_arrow().field(column).type
    schema = pa.schema([pa.field(column, kind, metadata={"PARQUET:field_id": str(field.field_id)})])
    location = f"{table.location()}/data/{uuid.uuid4()}-deletes.parquet"
    with table.io.new_output(location).create() as output:
        pq.write_table(pa.table({column: pa.array(values, kind)}, schema=schema), output)
    file = DataFile.from_args(
        content=DataFileContent.EQUALITY_DELETES,
        file_path=location,
        file_format=FileFormat.PARQUET,
        partition=partition or Record(),
        record_count=len(values),
        file_size_in_bytes=len(table.io.new_input(location)),
        equality_ids=[field.field_id],
    )
    _commit(table, file)
    return location


def _commit(table: Table, file: DataFile) -> None:
    base, snapshot_id = table.current_snapshot(), table.metadata.new_snapshot_id()
    assert base is not None, "there is nothing to delete"
    sequence_number = table.metadata.next_sequence_number()
    at = f"{table.location()}/metadata/{uuid.uuid4()}"
    with DeletesWriter(table.spec(), table.schema(), table.io.new_output(f"{at}-m0.avro"), snapshot_id, "null") as writer:
        writer.add(ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, snapshot_id=snapshot_id, data_file=file))
    output = table.io.new_output(f"{at}-list.avro")
    with write_manifest_list(2, output, snapshot_id, base.snapshot_id, sequence_number, "null") as listed:
        listed.add_manifests([writer.to_manifest_file(), *base.manifests(table.io)])
    summary = Summary(Operation.DELETE, **{"added-equality-delete-files": "1", "added-delete-files": "1"})
    snapshot = Snapshot(
        snapshot_id=snapshot_id,
        parent_snapshot_id=base.snapshot_id,
        sequence_number=sequence_number,
        timestamp_ms=max(base.timestamp_ms, table.metadata.last_updated_ms) + 1,
        manifest_list=output.location,
        summary=summary,
        schema_id=table.schema().schema_id,
    )
    updates = (AddSnapshotUpdate(snapshot=snapshot), SetSnapshotRefUpdate(ref_name="main", type="branch", snapshot_id=snapshot_id))
    table.catalog.commit_table(table, (AssertRefSnapshotId(ref="main", snapshot_id=base.snapshot_id),), updates)
    table.refresh()
