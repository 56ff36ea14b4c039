"""Request bodies: tables, and changes to them."""

from __future__ import annotations

import itertools
import time
from typing import Any

SCHEMA: dict[str, Any] = {
    "type": "struct",
    "schema-id": 0,
    "fields": [
        {"id": 1, "name": "id", "required": True, "type": "long"},
        {"id": 2, "name": "city", "required": False, "type": "string", "doc": "where it was seen"},
        {"id": 3, "name": "seen_at", "required": False, "type": "timestamptz"},
    ],
}

PARTITION_BY_CITY = {
    "spec-id": 0,
    "fields": [{"source-id": 2, "field-id": 1000, "name": "city", "transform": "identity"}],
}

SORT_BY_ID = {
    "order-id": 1,
    "fields": [{"source-id": 1, "transform": "identity", "direction": "asc", "null-order": "nulls-last"}],
}


def table(name: str, **more: Any) -> dict[str, Any]:
    """Returns the body that creates a table."""
    return {"name": name, "schema": SCHEMA, **more}


def view(name: str) -> dict[str, Any]:
    """Returns the body that creates a view of one query."""
    representations = [{"type": "sql", "sql": "select 1", "dialect": "spark"}]
    version = {
        "version-id": 1,
        "timestamp-ms": 1_700_000_000_000,
        "schema-id": 0,
        "summary": {},
        "default-namespace": ["ns"],
        "representations": representations,
    }
    return {"name": name, "schema": SCHEMA, "view-version": version, "properties": {}}


def set_properties(**properties: str) -> dict[str, Any]:
    return {"action": "set-properties", "updates": properties}


_snapshot_numbers = itertools.count(1)


def snapshot(
    location: str, sequence_number: int, *, parent: int | None = None, schema_id: int = 0, **more: Any
) -> dict[str, Any]:
    """Returns a snapshot. Its manifest list does not exist, because a catalog does not read it."""
    number = 3_000_000_000_000_000_000 + next(_snapshot_numbers)
    made = {
        "snapshot-id": number,
        "sequence-number": sequence_number,
        "timestamp-ms": time.time_ns() // 1_000_000,
        "manifest-list": f"{location}/metadata/snap-{number}.avro",
        "summary": {"operation": "append", "added-records": "1"},
        "schema-id": schema_id,
        **more,
    }
    if parent is not None:
        made["parent-snapshot-id"] = parent
    return made


def append(made: dict[str, Any], branch: str = "main") -> list[dict[str, Any]]:
    """Returns the updates that add a snapshot to a branch."""
    reference = {"action": "set-snapshot-ref", "ref-name": branch, "type": "branch", "snapshot-id": made["snapshot-id"]}
    return [{"action": "add-snapshot", "snapshot": made}, reference]


def table_change(namespace: str, table: str, updates: list, requirements: list | None = None) -> dict[str, Any]:
    """Returns a table's part of a transaction."""
    identifier = {"namespace": [namespace], "name": table}
    return {"identifier": identifier, "requirements": requirements or [], "updates": updates}


def creation(namespace: str, table: str) -> dict[str, Any]:
    """Returns the part of a transaction that creates a table, like the commit of a staged create."""
    updates = [
        {"action": "upgrade-format-version", "format-version": 2},
        {"action": "add-schema", "schema": SCHEMA},
        {"action": "set-current-schema", "schema-id": -1},
    ]
    return table_change(namespace, table, updates, [{"type": "assert-create"}])


def assert_uuid(metadata: dict[str, Any]) -> dict[str, Any]:
    return {"type": "assert-table-uuid", "uuid": metadata["table-uuid"]}


def assert_ref(name: str, snapshot_id: int | None) -> dict[str, Any]:
    return {"type": "assert-ref-snapshot-id", "ref": name, "snapshot-id": snapshot_id}
