"""Rows for the tests that write data."""

from __future__ import annotations

import pyarrow as pa

SIGHTINGS = pa.schema([pa.field("id", pa.int64()), pa.field("city", pa.string()), pa.field("size", pa.float64())])

Row = tuple[int, str | None, float | None]


def sightings(*rows: Row) -> pa.Table:
    """An Arrow table of (id, city, size)."""
    return pa.Table.from_pylist([dict(zip(SIGHTINGS.names, row, strict=True)) for row in rows], schema=SIGHTINGS)


def in_order(table: pa.Table) -> list[tuple]:
    """The rows of an Arrow table, sorted by their first column."""
    return sorted((tuple(row.values()) for row in table.to_pylist()), key=lambda row: row[0])
