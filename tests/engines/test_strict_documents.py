"""Inputs that once made tables unloadable for clients. Each is refused, or stored in a form that PyIceberg reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
from pyiceberg.catalog.rest import RestCatalog

from support import documents
from support.rest import Rest, answer, refused
from support.server import Server

COLUMNS = [
    {"id": 1, "name": "id", "required": False, "type": "long"},
    {"id": 2, "name": "ts", "required": False, "type": "timestamptz"},
    {"id": 3, "name": "s", "required": False, "type": "string"},
]


def table(name: str, version: int) -> dict[str, Any]:
    schema = {"type": "struct", "fields": COLUMNS}
    return {"name": name, "schema": schema, "properties": {"format-version": str(version)}}


def column(**field: Any) -> dict[str, Any]:
    fields = [*COLUMNS, {"id": 4, "name": "x", "required": False, **field}]
    return {"action": "add-schema", "schema": {"type": "struct", "fields": fields}}


def spec(**field: Any) -> dict[str, Any]:
    return {"action": "add-spec", "spec": {"fields": [{"name": "b", **field}]}}


def order(**field: Any) -> dict[str, Any]:
    field = {"transform": "identity", "source-id": 1, "direction": "asc", "null-order": "nulls-first", **field}
    return {"action": "add-sort-order", "sort-order": {"order-id": 1, "fields": [field]}}


def statistics(blob: dict[str, Any]) -> dict[str, Any]:
    file = {"snapshot-id": 1, "statistics-path": "s3://b/s", "file-size-in-bytes": 1, "file-footer-size-in-bytes": 1}
    return {"action": "set-statistics", "statistics": {**file, "blob-metadata": [blob]}}


def key(metadata: str) -> dict[str, Any]:
    return {"action": "add-encryption-key", "encryption-key": {"key-id": "k", "encrypted-key-metadata": metadata}}


variant = column(type="variant", required=True)
variant["schema"]["identifier-field-ids"] = [4]

REFUSED: dict[str, tuple[int, dict[str, Any]]] = {
    "unknown type": (3, column(type="strng")),
    "unknown type as an object": (3, column(type={"type": "foo"})),
    "unknown algorithm of edges": (3, column(type="geography(OGC:CRS84, foo)")),
    "statistics without fields": (2, statistics({})),
    "identifier of type variant": (3, variant),
    "key that is not Base64": (3, key("not base64!")),
    "reserved id": (2, column(type="long", id=2147483540)),
    "bucket without a width": (2, spec(**{"source-id": 1, "transform": "bucket"})),
    "transform of two columns before v3": (2, spec(**{"source-ids": [1, 3], "transform": "hilbert"})),
    "default of another type": (3, column(type="int", **{"initial-default": "1"})),
    "format version 4": (2, {"action": "upgrade-format-version", "format-version": 4}),
}

STORED: dict[str, tuple[int, dict[str, Any], str, Any]] = {
    "type in capitals": (2, column(type="LONG"), "schemas.1.fields.3.type", "long"),
    "type with a space": (2, column(type="timestamp "), "schemas.1.fields.3.type", "timestamp"),
    "transform in capitals": (
        2,
        spec(**{"source-id": 1, "transform": "BUCKET[4]"}),
        "partition-specs.1.fields.0.transform",
        "bucket[4]",
    ),
    "one source of many": (
        2,
        spec(**{"source-ids": [1], "transform": "bucket[4]"}),
        "partition-specs.1.fields.0.source-id",
        1,
    ),
    "direction in capitals": (2, order(direction="ASC"), "sort-orders.1.fields.0.direction", "asc"),
    "nulls in capitals": (
        2,
        order(**{"null-order": "NULLS-FIRST"}),
        "sort-orders.1.fields.0.null-order",
        "nulls-first",
    ),
    "key without padding": (3, key("AQ"), "encryption-keys.0.encrypted-key-metadata", "AQ=="),
}


def found(metadata: dict[str, Any], place: str) -> Any:
    value: Any = metadata
    for step in place.split("."):
        value = value[int(step)] if step.isdigit() else value[step]
    return value


@pytest.mark.parametrize("case", REFUSED)
def test_update_that_engines_cannot_read_is_refused(rest: Rest, catalog: RestCatalog, namespace: str, case: str) -> None:
    version, update = REFUSED[case]
    created = rest.create_table(namespace, table("t", version))
    refused(rest.commit(namespace, "t", [update]), 400, "BadRequestException")
    assert rest.load(namespace, "t")["metadata-location"] == created["metadata-location"]
    catalog.load_table((namespace, "t"))


@pytest.mark.parametrize("case", STORED)
def test_update_in_another_case_is_stored_in_the_specifications_case(
    rest: Rest, catalog: RestCatalog, namespace: str, case: str
) -> None:
    version, update, place, expected = STORED[case]
    rest.create_table(namespace, table("t", version))
    stored = answer(rest.commit(namespace, "t", [update]))["metadata"]
    assert found(stored, place) == expected
    catalog.load_table((namespace, "t"))


def test_table_check_lists_faults_and_the_table_stays_loadable(make_server: Callable[..., Server]) -> None:
    server = make_server("check")
    printed = server.start()
    rest = Rest(server.uri, printed.api_key)
    namespace = rest.create_namespace("ns")
    location = rest.create_table(namespace, documents.table("t"))["metadata-location"]
    answer(rest.post(f"/namespaces/{namespace}/views", json=documents.view("v")))
    assert "no problems" in server.command("table", "check").stderr
    assert "no problems" in server.command("view", "check").stderr
    server.stop()

    file = Path(urlparse(location).path)
    metadata = json.loads(file.read_text())
    metadata["schemas"][0]["fields"][0]["type"] = "strng"
    metadata["statistics"] = None
    file.write_text(json.dumps(metadata))
    server.start()
    assert rest.load(namespace, "t")["metadata"] == metadata, "the existing table is not loaded unchanged"
    checked = server.command("table", "check", "ns.t", check=False)
    assert checked.returncode == 1
    assert "the specification has no type strng" in checked.stdout
    assert "statistics is null: leave it out" in checked.stdout
    findings = json.loads(server.command("table", "check", "--json", check=False).stdout)
    assert [one["name"] for one in findings["findings"]] == ["ns.t"]

    answer(rest.commit(namespace, "t", [documents.set_properties(a="b")]))
    left = server.command("table", "check", check=False).stdout
    assert "statistics" not in left, "the commit did not correct the statistics"
    assert "strng" in left, "the commit removed a column of an unknown type"
    assert "metadata breaks rules of the specification" in server.stderr()
