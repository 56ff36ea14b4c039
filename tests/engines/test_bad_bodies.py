"""Invalid bodies: each is refused in the Iceberg error shape, and changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support import documents
from support.rest import Rest, answer, refused

PATHS = {
    "create namespace": "/namespaces",
    "change properties": "/namespaces/{namespace}/properties",
    "create table": "/namespaces/{namespace}/tables",
    "commit": "/namespaces/{namespace}/tables/t",
    "rename": "/tables/rename",
    "metrics": "/namespaces/{namespace}/tables/t/metrics",
}


def everywhere(value: bytes) -> bytes:
    """Returns a body with this value at each of the paths."""
    names = (
        "namespace",
        "properties",
        "updates",
        "removals",
        "name",
        "schema",
        "requirements",
        "source",
        "destination",
    )
    return b"{" + b", ".join(b'"%s": %s' % (name.encode(), value) for name in (*names, "report-type")) + b"}"


BODIES: dict[str, bytes] = {
    "nothing": b"",
    "half an object": b'{"namespace": [',
    "not JSON": b"namespace=a",
    "two objects": b"{} {}",
    "a null": b"null",
    "a number": b"17",
    "a text": b'"namespace"',
    "a list": b"[]",
    "a huge number": everywhere(b"1e999"),
    "invalid UTF-8": b'{"namespace": ["\xff\xfe"], "name": "\xff\xfe", "updates": {"a": "\xff"}}',
    "Latin-1": '{"namespace": ["größe"], "name": "größe", "updates": {"a": "größe"}}'.encode("latin-1"),
    "UTF-16": '{"namespace": ["a"], "name": "a"}'.encode("utf-16"),
    "a null byte": b'{"namespace": ["a\x00b"], "name": "a\x00b"}',
    "only zeros": b"\x00" * 1000,
    "half a surrogate": b'{"namespace": ["\\ud800"], "name": "\\ud800", "updates": {"a": "\\ud800"}}',
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": everywhere(b'{"a":' * 5_000 + b"1" + b"}" * 5_000),
    "deep lists in an object": everywhere(b"[" * 5_000 + b"]" * 5_000),
    "a trailing comma": b'{"namespace": ["a"],}',
    "a comment": b'{"namespace": ["a"] /* no */}',
}


@pytest.fixture
def table(rest: Rest, namespace: str) -> dict:
    """A table `t`."""
    return rest.create_table(namespace, documents.table("t"))


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("path", PATHS)
def test_invalid_body_is_refused(rest: Rest, namespace: str, table: dict, path: str, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    response = rest.post(PATHS[path].format(namespace=namespace), data=BODIES[body], headers=headers)
    refused(response, 400, "BadRequestException")
    assert rest.load(namespace, "t")["metadata-location"] == table["metadata-location"]


NAMESPACES: dict[str, Any] = {
    "no namespace": {},
    "a text": {"namespace": "a"},
    "no level": {"namespace": []},
    "an empty level": {"namespace": [""]},
    "a null level": {"namespace": [None]},
    "a number": {"namespace": [1]},
    "a list in a list": {"namespace": [["a"]]},
    "a null": {"namespace": None},
    "a huge level": {"namespace": ["x" * 100_000]},
    "very many levels": {"namespace": ["x"] * 10_000},
    "a separator": {"namespace": ["a\x1fb"]},
    "a control character": {"namespace": ["a\nb"]},
    "a null character": {"namespace": ["a\x00b"]},
    "properties that are a list": {"namespace": ["never_made"], "properties": []},
    "a property that is a number": {"namespace": ["never_made"], "properties": {"a": 1}},
    "a property that is null": {"namespace": ["never_made"], "properties": {"a": None}},
    "a property that is an object": {"namespace": ["never_made"], "properties": {"a": {}}},
    "the level above": {"namespace": [".."]},
    "the same level": {"namespace": ["."]},
}


@pytest.mark.parametrize("body", NAMESPACES.values(), ids=NAMESPACES.keys())
def test_invalid_namespace_is_refused(rest: Rest, body: dict) -> None:
    refused(rest.post("/namespaces", json=body), 400, "BadRequestException")
    assert ["never_made"] not in answer(rest.get("/namespaces"))["namespaces"]


PROPERTIES: dict[str, Any] = {
    "updates that are a list": {"updates": []},
    "a value that is a number": {"updates": {"a": 1}},
    "a value that is null": {"updates": {"a": None}},
    "removals that are an object": {"removals": {}},
    "a removal that is a number": {"removals": [1]},
    "removals that are a text": {"removals": "a"},
}


@pytest.mark.parametrize("body", PROPERTIES.values(), ids=PROPERTIES.keys())
def test_invalid_properties_are_refused(rest: Rest, namespace: str, body: dict) -> None:
    before = answer(rest.get(f"/namespaces/{namespace}"))
    refused(rest.post(f"/namespaces/{namespace}/properties", json=body), 400, "BadRequestException")
    assert answer(rest.get(f"/namespaces/{namespace}")) == before


def schema(*fields: Any, **more: Any) -> dict[str, Any]:
    return {"schema": {"type": "struct", "schema-id": 0, "fields": list(fields), **more}}


def field(number: Any, name: Any, kind: Any, **more: Any) -> dict[str, Any]:
    return {"id": number, "name": name, "required": False, "type": kind, **more}


def spec(source: Any, transform: Any, name: Any = "p", field_id: Any = 1000) -> dict[str, Any]:
    return {
        "partition-spec": {
            "spec-id": 0,
            "fields": [{"source-id": source, "field-id": field_id, "name": name, "transform": transform}],
        }
    }


TABLES: dict[str, dict[str, Any]] = {
    "no name": {"name": None},
    "an empty name": {"name": ""},
    "a name that is a number": {"name": 1},
    "a huge name": {"name": "x" * 1_000_000},
    "a name with a null character": {"name": "a\x00b"},
    "a name with a separator": {"name": "a\x1fb"},
    "the level above": {"name": ".."},
    "the same level": {"name": "."},
    "no schema": {"schema": None},
    "a schema that is a text": {"schema": "struct"},
    "a schema that is a list": {"schema": []},
    "a schema that is no struct": {
        "schema": {"type": "list", "element-id": 1, "element": "int", "element-required": True}
    },
    "a schema without fields": {"schema": {"type": "struct"}},
    "a field without a type": schema({"id": 1, "name": "a", "required": True}),
    "a field without an id": schema({"name": "a", "required": True, "type": "int"}),
    "a field without a name": schema({"id": 1, "required": True, "type": "int"}),
    "a field whose id is a text": schema(field("1", "a", "int")),
    "a field whose id is too large": schema(field(2**40, "a", "int")),
    "a field whose name is a number": schema(field(1, 1, "int")),
    "a field whose required is a text": schema({"id": 1, "name": "a", "required": "yes", "type": "int"}),
    "a type that is a number": schema(field(1, "a", 1)),
    "a type that is null": schema(field(1, "a", None)),
    "two fields of one id": schema(field(1, "a", "int"), field(1, "b", "int")),
    "two fields of one name": schema(field(1, "a", "int"), field(2, "a", "int")),
    "a decimal without scale": schema(field(1, "a", "decimal(10)")),
    "a decimal of too many digits": schema(field(1, "a", "decimal(39, 2)")),
    "a fixed of negative length": schema(field(1, "a", "fixed[-1]")),
    "a list without an element": schema(field(1, "a", {"type": "list", "element-id": 2})),
    "a map without a value": schema(field(1, "a", {"type": "map", "key-id": 2, "key": "int"})),
    "an identifier field that is not there": schema(field(1, "a", "int"), **{"identifier-field-ids": [99]}),
    "a partition of no column": spec(99, "identity"),
    "a partition by a transform that is a number": spec(2, 7),
    "a partition of a struct": {
        **schema(field(1, "a", {"type": "struct", "fields": [field(2, "b", "int")]})),
        **spec(1, "identity"),
    },
    "a partition spec that is a list": {"partition-spec": []},
    "a partition field without a name": {
        "partition-spec": {"spec-id": 0, "fields": [{"source-id": 2, "transform": "identity"}]}
    },
    "a bucket of none": spec(2, "bucket[0]"),
    "two partition fields of one name": {
        "partition-spec": {
            "spec-id": 0,
            "fields": [
                {"source-id": 2, "field-id": 1000, "name": "p", "transform": "identity"},
                {"source-id": 1, "field-id": 1001, "name": "p", "transform": "identity"},
            ],
        }
    },
    "a sort order of no column": {
        "write-order": {
            "order-id": 1,
            "fields": [{"source-id": 99, "transform": "identity", "direction": "asc", "null-order": "nulls-first"}],
        }
    },
    "a sort order without direction": {
        "write-order": {"order-id": 1, "fields": [{"source-id": 1, "transform": "identity"}]}
    },
    "a sort order in no direction": {
        "write-order": {
            "order-id": 1,
            "fields": [{"source-id": 1, "transform": "identity", "direction": "sideways", "null-order": "nulls-first"}],
        }
    },
    "properties that are a list": {"properties": []},
    "a property that is a number": {"properties": {"a": 1}},
    "a format version that is none": {"properties": {"format-version": "two"}},
    "a format version of the future": {"properties": {"format-version": "99"}},
    "format version 0": {"properties": {"format-version": "0"}},
    "a location that is a number": {"location": 1},
    "a location elsewhere": {"location": "s3://somebody-elses-bucket/t"},
    "a location on the machine": {"location": "file:///etc"},
    "a location above the warehouse": {"location": "file:///"},
    "a location that is no address": {"location": "not a location\x00"},
    "a location that climbs": {"location": "WAREHOUSE/../../../etc"},
    "a location that climbs in escapes": {"location": "WAREHOUSE/%2e%2e/%2e%2e/etc"},
    "stage-create that is a text": {"stage-create": "yes"},
}


@pytest.mark.parametrize("change", TABLES.values(), ids=TABLES.keys())
def test_invalid_table_is_refused(rest: Rest, namespace: str, change: dict) -> None:
    body = {**documents.table("never_made"), **change}
    if isinstance(body.get("location"), str):
        near = rest.create_table(namespace, documents.table("near"))["metadata"]["location"]
        body["location"] = body["location"].replace("WAREHOUSE", near.rsplit("/", 1)[0])
        answer(rest.get(f"/namespaces/{namespace}/tables/near"))
        assert rest.delete(f"/namespaces/{namespace}/tables/near").status_code == 204
    refused(rest.post(f"/namespaces/{namespace}/tables", json=body), {400, 403})
    assert answer(rest.get(f"/namespaces/{namespace}/tables"))["identifiers"] == []


def test_table_inside_another_tables_location_is_refused(rest: Rest, namespace: str) -> None:
    location = rest.create_table(namespace, documents.table("t"))["metadata"]["location"]
    for inside in (location, f"{location}/", f"{location}/inner", f"{location}//inner", f"{location}/./inner"):
        refused(
            rest.post(f"/namespaces/{namespace}/tables", json=documents.table("u", location=inside)), {400, 403, 409}
        )


def test_location_property_overlapping_another_table_is_refused(rest: Rest, namespace: str) -> None:
    location = rest.create_table(namespace, documents.table("t"))["metadata"]["location"]
    data = location + "-data"
    answer(rest.commit(namespace, "t", [{"action": "set-properties", "updates": {"write.data.path": data}}]))
    rest.create_table(namespace, documents.table("u"))
    for taken in (data, f"{data}/", f"{data}/inner", location, f"{location}%2Ddata", f"{location}%252ddata"):
        for name in ("write.data.path", "write.metadata.path"):
            update = {"action": "set-properties", "updates": {name: taken}}
            refused(rest.commit(namespace, "u", [update]), 400, "BadRequestException", "overlaps")
    update = {"action": "set-properties", "updates": {"write.data.path": f"{data}2"}}
    answer(rest.commit(namespace, "u", [update]))


UPDATES: dict[str, Any] = {
    "no action": {},
    "an unknown action": {"action": "explode"},
    "an action that is a number": {"action": 1},
    "a text": "set-properties",
    "a null": None,
    "a list": [],
    "set-properties without any": {"action": "set-properties"},
    "set-properties of numbers": {"action": "set-properties", "updates": {"a": 1}},
    "remove-properties of a text": {"action": "remove-properties", "removals": "a"},
    "add-schema without one": {"action": "add-schema"},
    "add-schema of a list": {"action": "add-schema", "schema": []},
    "add-schema with a field id twice": {
        "action": "add-schema",
        "schema": schema(field(1, "a", "int"), field(1, "b", "int"))["schema"],
    },
    "set-current-schema to none": {"action": "set-current-schema", "schema-id": 99},
    "set-current-schema to the last added": {"action": "set-current-schema", "schema-id": -1},
    "set-current-schema to a text": {"action": "set-current-schema", "schema-id": "0"},
    "add-spec without one": {"action": "add-spec"},
    "add-spec of no column": {"action": "add-spec", "spec": spec(99, "identity")["partition-spec"]},
    "set-default-spec to none": {"action": "set-default-spec", "spec-id": 99},
    "set-default-spec to the last added": {"action": "set-default-spec", "spec-id": -1},
    "add-sort-order without one": {"action": "add-sort-order"},
    "set-default-sort-order to none": {"action": "set-default-sort-order", "sort-order-id": 99},
    "add-snapshot without one": {"action": "add-snapshot"},
    "add-snapshot of nothing": {"action": "add-snapshot", "snapshot": {}},
    "add-snapshot with a text as id": {
        "action": "add-snapshot",
        "snapshot": {"snapshot-id": "1", "timestamp-ms": 1, "manifest-list": "a", "summary": {"operation": "append"}},
    },
    "add-snapshot with a text as time": {
        "action": "add-snapshot",
        "snapshot": {"snapshot-id": 1, "timestamp-ms": "now", "manifest-list": "a", "summary": {"operation": "append"}},
    },
    "add-snapshot with too large an id": {
        "action": "add-snapshot",
        "snapshot": {"snapshot-id": 2**63, "timestamp-ms": 1, "manifest-list": "a", "summary": {"operation": "append"}},
    },
    "set-snapshot-ref to no snapshot": {
        "action": "set-snapshot-ref",
        "ref-name": "main",
        "type": "branch",
        "snapshot-id": 99,
    },
    "set-snapshot-ref without a type": {"action": "set-snapshot-ref", "ref-name": "main", "snapshot-id": 99},
    "set-snapshot-ref of an unknown type": {
        "action": "set-snapshot-ref",
        "ref-name": "main",
        "type": "leaf",
        "snapshot-id": 99,
    },
    "remove-snapshots of a text": {"action": "remove-snapshots", "snapshot-ids": "all"},
    "remove-snapshot-ref without a name": {"action": "remove-snapshot-ref"},
    "set-location to a number": {"action": "set-location", "location": 1},
    "set-location elsewhere": {"action": "set-location", "location": "s3://somebody-elses-bucket/t"},
    "set-location on the machine": {"action": "set-location", "location": "file:///etc"},
    "metadata elsewhere": {"action": "set-properties", "updates": {"write.metadata.path": "file:///etc"}},
    "data elsewhere": {"action": "set-properties", "updates": {"write.data.path": "s3://somebody-elses-bucket/t"}},
    "upgrade-format-version to the future": {"action": "upgrade-format-version", "format-version": 99},
    "upgrade-format-version backwards": {"action": "upgrade-format-version", "format-version": 1},
    "upgrade-format-version to a text": {"action": "upgrade-format-version", "format-version": "3"},
    "assign-uuid to none": {"action": "assign-uuid", "uuid": "not a uuid"},
    "assign-uuid to another": {"action": "assign-uuid", "uuid": "00000000-0000-4000-8000-000000000000"},
    "set-statistics without any": {"action": "set-statistics", "snapshot-id": 1},
    "set-statistics of a list": {"action": "set-statistics", "snapshot-id": 1, "statistics": []},
    "set-partition-statistics without any": {"action": "set-partition-statistics"},
    "remove-statistics of a text": {"action": "remove-statistics", "snapshot-id": "1"},
    "remove-partition-specs of the default": {"action": "remove-partition-specs", "spec-ids": [0]},
    "remove-schemas of the current": {"action": "remove-schemas", "schema-ids": [0]},
    "add-encryption-key without one": {"action": "add-encryption-key"},
    "a view's update": {"action": "add-view-version", "view-version": {}},
}


@pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES.keys())
def test_invalid_update_is_refused_and_the_whole_commit_with_it(
    rest: Rest, namespace: str, table: dict, update: Any
) -> None:
    response = rest.commit(namespace, "t", [documents.set_properties(beside="it"), update])
    refused(response, {400, 403})
    assert rest.load(namespace, "t")["metadata-location"] == table["metadata-location"]


REQUIREMENTS: dict[str, Any] = {
    "no type": {},
    "an unknown type": {"type": "assert-the-moon"},
    "a type that is a number": {"type": 1},
    "a text": "assert-create",
    "a null": None,
    "a uuid that is missing": {"type": "assert-table-uuid"},
    "a ref that is missing": {"type": "assert-ref-snapshot-id", "snapshot-id": 1},
    "a schema id that is a text": {"type": "assert-current-schema-id", "current-schema-id": "0"},
    "a schema id that is missing": {"type": "assert-current-schema-id"},
    "a field id that is an object": {"type": "assert-last-assigned-field-id", "last-assigned-field-id": {}},
    "a spec id that is huge": {"type": "assert-default-spec-id", "default-spec-id": 2**80},
    "a view's requirement": {"type": "assert-view-uuid", "uuid": "00000000-0000-4000-8000-000000000000"},
}


@pytest.mark.parametrize("requirement", REQUIREMENTS.values(), ids=REQUIREMENTS.keys())
def test_invalid_requirement_is_refused(rest: Rest, namespace: str, table: dict, requirement: Any) -> None:
    refused(rest.commit(namespace, "t", [documents.set_properties(a="1")], [requirement]), 400, "BadRequestException")
    assert rest.load(namespace, "t")["metadata-location"] == table["metadata-location"]


COMMITS: dict[str, Any] = {
    "requirements that are an object": {"requirements": {}, "updates": []},
    "updates that are an object": {"requirements": [], "updates": {}},
    "updates that are a text": {"requirements": [], "updates": "all"},
}


@pytest.mark.parametrize("body", COMMITS.values(), ids=COMMITS.keys())
def test_invalid_commit_is_refused(rest: Rest, namespace: str, table: dict, body: Any) -> None:
    refused(rest.post(f"/namespaces/{namespace}/tables/t", json=body), 400, "BadRequestException")
    assert rest.load(namespace, "t")["metadata-location"] == table["metadata-location"]


def test_commit_changes_only_the_table_of_its_path(rest: Rest, namespace: str, table: dict) -> None:
    """Guards against authorisation for one table and a change of another."""
    rest.create_table(namespace, documents.table("other"))
    body = {
        "identifier": {"namespace": [namespace], "name": "other"},
        "requirements": [],
        "updates": [documents.set_properties(a="1")],
    }
    other = rest.load(namespace, "other")["metadata-location"]
    response = rest.post(f"/namespaces/{namespace}/tables/t", json=body)
    assert response.status_code in (200, 400)
    assert rest.load(namespace, "other")["metadata-location"] == other


RENAMES: dict[str, Any] = {
    "no source": {"destination": {"namespace": ["a"], "name": "b"}},
    "no destination": {"source": {"namespace": ["a"], "name": "b"}},
    "a source that is a text": {"source": "a.b", "destination": {"namespace": ["a"], "name": "b"}},
    "a namespace that is a text": {
        "source": {"namespace": "a", "name": "b"},
        "destination": {"namespace": ["a"], "name": "c"},
    },
    "an empty name": {
        "source": {"namespace": ["NAMESPACE"], "name": "t"},
        "destination": {"namespace": ["NAMESPACE"], "name": ""},
    },
    "an empty namespace": {
        "source": {"namespace": [], "name": "t"},
        "destination": {"namespace": ["NAMESPACE"], "name": "u"},
    },
    "the level above": {
        "source": {"namespace": ["NAMESPACE"], "name": "t"},
        "destination": {"namespace": ["NAMESPACE"], "name": ".."},
    },
}


@pytest.mark.parametrize("body", RENAMES.values(), ids=RENAMES.keys())
def test_invalid_rename_is_refused(rest: Rest, namespace: str, table: dict, body: Any) -> None:
    text = json.dumps(body).replace("NAMESPACE", namespace)
    response = rest.post("/tables/rename", data=text, headers={"Content-Type": "application/json"})
    refused(response, 400, "BadRequestException")
    assert [entry["name"] for entry in answer(rest.get(f"/namespaces/{namespace}/tables"))["identifiers"]] == ["t"]
