"""The quickstart's sample table."""

from __future__ import annotations

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyiceberg.transforms import VoidTransform

from support.server import Server
from test_pyiceberg_tables import path_of


@pytest.fixture
def sample(server: Server, catalog: Catalog) -> Table:
    """The sample table."""
    assert server.printed is not None
    return catalog.load_table((server.printed.namespace, server.printed.table))


def test_sample_table_is_listed(server: Server, catalog: Catalog) -> None:
    assert server.printed is not None
    assert (server.printed.namespace, server.printed.table) in catalog.list_tables(server.printed.namespace)


def test_sample_table_row_counts_match_its_snapshots(sample: Table) -> None:
    assert len(sample.snapshots()) >= 2
    for snapshot in sample.snapshots():
        assert snapshot.summary is not None
        rows = sample.scan(snapshot_id=snapshot.snapshot_id).to_arrow()
        assert rows.num_rows == int(snapshot.summary["total-records"])
    assert sample.scan().to_arrow().num_rows > 0
    assert sample.scan().count() == sample.scan().to_arrow().num_rows


def test_every_sample_table_column_has_values(sample: Table) -> None:
    rows = sample.scan().to_arrow()
    assert rows.column_names == [field.name for field in sample.schema().fields]
    assert all(rows[name].null_count < rows.num_rows for name in rows.column_names)


def test_partition_filter_reads_fewer_files(sample: Table) -> None:
    fields = [field for field in sample.spec().fields if not isinstance(field.transform, VoidTransform)]
    assert fields
    files = list(sample.scan().plan_files())
    assert len(files) >= 2
    source = sample.schema().find_field(fields[0].source_id)
    rows = sample.scan(selected_fields=(source.name,)).to_arrow()
    value = rows[source.name].drop_null()[0].as_py()
    literal = (
        repr(value)
        if isinstance(value, (int, float))
        else f"'{value.isoformat() if hasattr(value, 'isoformat') else value}'"
    )
    pruned = sample.scan(row_filter=f"{source.name} == {literal}")
    assert 0 < len(list(pruned.plan_files())) < len(files)
    assert pruned.to_arrow().num_rows == rows[source.name].to_pylist().count(value)


def test_sample_table_statistics_file_exists(sample: Table) -> None:
    assert sample.metadata.statistics
    for statistics in sample.metadata.statistics:
        content = path_of(statistics.statistics_path).read_bytes()
        assert len(content) == statistics.file_size_in_bytes
        assert content[:4] == b"PFA1" == content[-4:]
        assert statistics.snapshot_id in {snapshot.snapshot_id for snapshot in sample.snapshots()}
        assert statistics.blob_metadata


def test_sample_table_files_are_at_their_metadata_paths(sample: Table) -> None:
    for task in sample.scan().plan_files():
        assert path_of(task.file.file_path).stat().st_size == task.file.file_size_in_bytes
        assert task.file.lower_bounds and task.file.upper_bounds and task.file.value_counts
