"""Every endpoint of the seed's API with its parameters and its answers, as raw HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from support import documents
from support.rest import Rest, answer, empty, namespace_path, refused, segment
from support.server import Server


@pytest.fixture(params=["", "/v1", "warehouse"], ids=["plain", "twice v1", "prefix"])
def rest(request: pytest.FixtureRequest, server: Server) -> Iterator[Rest]:
    """The same API on each of its addresses."""
    assert server.printed is not None
    if request.param == "warehouse":
        yield Rest(server.uri, server.key, prefix=server.printed.warehouse)
    else:
        yield Rest(server.uri + request.param, server.key)


#: The User-Agent of a Java client that compares header names case-sensitively.
OLD_JAVA = {"X-Client-Version": "Apache Iceberg 1.10.0 (commit 1)"}


def entity_tag(response: requests.Response) -> str:
    """Returns the entity tag of a load, from the header name that the Java client expects."""
    answer(response)
    assert "ETag" in list(response.raw.headers), list(response.raw.headers)
    return response.headers["ETag"]


# ---- namespaces ----


def test_namespaces_are_listed_at_the_top_and_below_a_parent(rest: Rest, namespace: str) -> None:
    rest.create_namespace(namespace, "b")
    rest.create_namespace(namespace, "a")
    body = answer(rest.get("/namespaces"))
    assert set(body) <= {"namespaces", "next-page-token"}
    assert [namespace] in body["namespaces"] and [namespace, "a"] not in body["namespaces"]
    assert body.get("next-page-token") is None
    children = answer(rest.get("/namespaces", params={"parent": namespace}))
    assert children["namespaces"] == [[namespace, "a"], [namespace, "b"]]
    assert answer(rest.get("/namespaces", params={"parent": f"{namespace}\x1fa"}))["namespaces"] == []
    assert [namespace] in answer(rest.get("/namespaces", params={"parent": ""}))["namespaces"]
    refused(
        rest.get("/namespaces", params={"parent": "no_such_parent"}), 404, "NoSuchNamespaceException", "no_such_parent"
    )


def test_namespace_is_created_loaded_and_dropped(rest: Rest, unique: str) -> None:
    created = answer(rest.post("/namespaces", json={"namespace": [unique], "properties": {"owner": "ana"}}))
    assert created["namespace"] == [unique] and created["properties"]["owner"] == "ana"
    loaded = answer(rest.get(f"/namespaces/{unique}"))
    assert loaded == created
    empty(rest.head(f"/namespaces/{unique}"))
    empty(rest.delete(f"/namespaces/{unique}"))
    refused(rest.get(f"/namespaces/{unique}"), 404, "NoSuchNamespaceException", unique)
    refused(rest.delete(f"/namespaces/{unique}"), 404, "NoSuchNamespaceException", unique)
    empty(rest.head(f"/namespaces/{unique}"), 404)


def test_namespace_without_properties_is_created(rest: Rest, unique: str) -> None:
    created = answer(
        rest.post(
            "/namespaces",
            json={
                "namespace": [
                    unique,
                ]
            },
        )
    )
    assert created["properties"] == {} or "properties" in created
    refused(rest.post("/namespaces", json={"namespace": [unique]}), 409, "AlreadyExistsException", unique)


def test_nested_namespace_needs_an_existing_parent(rest: Rest, namespace: str) -> None:
    answer(rest.post("/namespaces", json={"namespace": [namespace, "child"]}))
    loaded = answer(rest.get(f"/namespaces/{namespace_path(namespace, 'child')}"))
    assert loaded["namespace"] == [namespace, "child"]
    refused(rest.post("/namespaces", json={"namespace": ["no_such_parent", "child"]}), 404, "NoSuchNamespaceException")


def test_namespace_with_tables_is_not_dropped(rest: Rest, namespace: str) -> None:
    rest.create_table(namespace, documents.table("t"))
    refused(rest.delete(f"/namespaces/{namespace}"), 409, says="not empty")
    empty(rest.delete(f"/namespaces/{namespace}/tables/t"))
    empty(rest.delete(f"/namespaces/{namespace}"))


def test_namespace_properties_are_set_and_removed(rest: Rest, namespace: str) -> None:
    path = f"/namespaces/{namespace}/properties"
    body = answer(rest.post(path, json={"updates": {"a": "1", "b": "2"}}))
    assert sorted(body["updated"]) == ["a", "b"] and body["removed"] == []
    body = answer(rest.post(path, json={"removals": ["a", "zzz"], "updates": {"b": "3"}}))
    assert body["updated"] == ["b"] and body["removed"] == ["a"] and body["missing"] == ["zzz"]
    properties = answer(rest.get(f"/namespaces/{namespace}"))["properties"]
    assert properties["b"] == "3" and "a" not in properties
    refused(rest.post(path, json={"removals": ["b"], "updates": {"b": "4"}}), 422, "UnprocessableEntityException")
    refused(rest.post("/namespaces/no_such/properties", json={"updates": {"a": "1"}}), 404, "NoSuchNamespaceException")


# ---- tables ----


def test_tables_are_listed(rest: Rest, namespace: str) -> None:
    assert answer(rest.get(f"/namespaces/{namespace}/tables"))["identifiers"] == []
    for name in ("b", "a"):
        rest.create_table(namespace, documents.table(name))
    body = answer(rest.get(f"/namespaces/{namespace}/tables"))
    assert set(body) <= {"identifiers", "next-page-token"}
    assert body["identifiers"] == [{"namespace": [namespace], "name": "a"}, {"namespace": [namespace], "name": "b"}]
    refused(rest.get("/namespaces/no_such/tables"), 404, "NoSuchNamespaceException", "no_such")


def test_table_is_created_with_the_requested_metadata(rest: Rest, namespace: str) -> None:
    body = documents.table(
        "t",
        **{
            "partition-spec": documents.PARTITION_BY_CITY,
            "write-order": documents.SORT_BY_ID,
            "properties": {"owner": "ana"},
        },
    )
    response = rest.post(f"/namespaces/{namespace}/tables", json=body)
    created = answer(response)
    assert (
        {"metadata-location", "metadata"}
        <= set(created)
        <= {"metadata-location", "metadata", "config", "storage-credentials"}
    )
    metadata = created["metadata"]
    assert metadata["format-version"] == 2
    assert metadata["last-column-id"] == 3
    assert [field["name"] for field in metadata["schemas"][0]["fields"]] == ["id", "city", "seen_at"]
    assert metadata["partition-specs"][0]["fields"][0]["name"] == "city"
    assert metadata["last-partition-id"] == 1000
    assert metadata["default-sort-order-id"] == metadata["sort-orders"][-1]["order-id"] != 0
    assert metadata["properties"].items() >= {"owner": "ana"}.items()
    assert metadata.get("current-snapshot-id") in (None, -1)
    assert created["metadata-location"].startswith(metadata["location"] + "/metadata/00000-")
    assert answer(rest.get(f"/namespaces/{namespace}/tables/t"))["metadata"] == metadata
    refused(rest.post(f"/namespaces/{namespace}/tables", json=body), 409, "AlreadyExistsException", "t")
    refused(rest.post("/namespaces/no_such/tables", json=body), 404, "NoSuchNamespaceException", "no_such")


def test_table_is_created_at_the_requested_location(rest: Rest, namespace: str) -> None:
    beside = rest.create_table(namespace, documents.table("first"))["metadata"]["location"]
    wanted = f"{beside.rsplit('/', 1)[0]}/chosen-{namespace}"
    created = rest.create_table(namespace, documents.table("second", location=wanted))
    assert created["metadata"]["location"] == wanted
    assert created["metadata-location"].startswith(f"{wanted}/metadata/")


def test_load_with_a_current_etag_is_answered_304(rest: Rest, namespace: str) -> None:
    rest.create_table(namespace, documents.table("t"))
    path = f"/namespaces/{namespace}/tables/t"
    tag = entity_tag(rest.get(path, headers=OLD_JAVA))
    same = rest.get(path, headers={"If-None-Match": tag})
    assert (same.status_code, same.content) == (304, b"")
    answer(rest.commit(namespace, "t", [documents.set_properties(a="1")]))
    changed = rest.get(path, headers={"If-None-Match": tag})
    assert changed.status_code == 200 and changed.headers["ETag"] != tag


def test_load_returns_all_snapshots_or_only_referenced_ones(rest: Rest, namespace: str) -> None:
    metadata = rest.create_table(namespace, documents.table("t"))["metadata"]
    first = documents.snapshot(metadata["location"], 1)
    second = documents.snapshot(metadata["location"], 2, parent=first["snapshot-id"])
    answer(rest.commit(namespace, "t", documents.append(first)))
    answer(rest.commit(namespace, "t", documents.append(second)))
    path = f"/namespaces/{namespace}/tables/t"
    every = rest.get(path, params={"snapshots": "all"}, headers=OLD_JAVA)
    tag = entity_tag(every)
    named = rest.get(path, params={"snapshots": "refs"})
    assert [s["snapshot-id"] for s in answer(every)["metadata"]["snapshots"]] == [
        first["snapshot-id"],
        second["snapshot-id"],
    ]
    assert [s["snapshot-id"] for s in answer(named)["metadata"]["snapshots"]] == [second["snapshot-id"]]
    assert named.headers["ETag"] != tag
    refused(rest.get(path, params={"snapshots": "some"}), 400, "BadRequestException")


def test_commit_checks_requirements_and_applies_updates(rest: Rest, namespace: str) -> None:
    created = rest.create_table(namespace, documents.table("t"))
    metadata = created["metadata"]
    snapshot = documents.snapshot(metadata["location"], 1)
    response = rest.commit(
        namespace,
        "t",
        [*documents.append(snapshot), documents.set_properties(owner="bo")],
        [documents.assert_uuid(metadata), documents.assert_ref("main", None)],
    )
    body = answer(response)
    assert {"metadata-location", "metadata"} <= set(body)
    assert body["metadata"]["current-snapshot-id"] == snapshot["snapshot-id"]
    assert body["metadata"]["properties"]["owner"] == "bo"
    assert body["metadata-location"] != created["metadata-location"]
    assert body["metadata"]["metadata-log"][-1]["metadata-file"] == created["metadata-location"]
    assert rest.load(namespace, "t")["metadata-location"] == body["metadata-location"]


def test_commit_with_several_schema_updates_is_applied(rest: Rest, namespace: str) -> None:
    rest.create_table(namespace, documents.table("t"))
    wider = {
        **documents.SCHEMA,
        "fields": [*documents.SCHEMA["fields"], {"id": 4, "name": "note", "required": False, "type": "string"}],
    }
    body = answer(
        rest.commit(
            namespace,
            "t",
            [
                {"action": "add-schema", "schema": wider, "last-column-id": 4},
                {"action": "set-current-schema", "schema-id": -1},
            ],
            [
                {"type": "assert-current-schema-id", "current-schema-id": 0},
                {"type": "assert-last-assigned-field-id", "last-assigned-field-id": 3},
            ],
        )
    )
    assert body["metadata"]["current-schema-id"] == 1
    assert body["metadata"]["last-column-id"] == 4


def test_empty_commit_succeeds_and_keeps_the_pointer(rest: Rest, namespace: str) -> None:
    created = rest.create_table(namespace, documents.table("t"))
    assert answer(rest.commit(namespace, "t", []))["metadata-location"] == created["metadata-location"]


REQUIREMENTS = {
    "assert-create": {"type": "assert-create"},
    "assert-table-uuid": {"type": "assert-table-uuid", "uuid": "00000000-0000-4000-8000-000000000000"},
    "assert-ref-snapshot-id": {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 7},
    "assert-last-assigned-field-id": {"type": "assert-last-assigned-field-id", "last-assigned-field-id": 99},
    "assert-current-schema-id": {"type": "assert-current-schema-id", "current-schema-id": 99},
    "assert-last-assigned-partition-id": {"type": "assert-last-assigned-partition-id", "last-assigned-partition-id": 5},
    "assert-default-spec-id": {"type": "assert-default-spec-id", "default-spec-id": 99},
    "assert-default-sort-order-id": {"type": "assert-default-sort-order-id", "default-sort-order-id": 99},
}


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_failed_requirement_is_a_conflict_and_changes_nothing(
    rest: Rest, namespace: str, requirement: str
) -> None:
    created = rest.create_table(namespace, documents.table("t"))
    response = rest.commit(namespace, "t", [documents.set_properties(a="1")], [REQUIREMENTS[requirement]])
    refused(response, 409, "CommitFailedException", "Requirement failed")
    assert rest.load(namespace, "t")["metadata-location"] == created["metadata-location"]


def test_stale_sequence_number_is_refused_with_409(rest: Rest, namespace: str) -> None:
    metadata = rest.create_table(namespace, documents.table("t"))["metadata"]
    first = documents.snapshot(metadata["location"], 1)
    answer(rest.commit(namespace, "t", documents.append(first)))
    stale = documents.snapshot(metadata["location"], 1, parent=first["snapshot-id"])
    refused(rest.commit(namespace, "t", documents.append(stale)), 409, "CommitFailedException")


def test_commit_to_a_missing_table_gets_404(rest: Rest, namespace: str) -> None:
    refused(
        rest.commit(namespace, "t", [documents.set_properties(a="1")]), 404, "NoSuchTableException", f"{namespace}.t"
    )
    refused(rest.commit("no_such", "t", [documents.set_properties(a="1")]), 404)


def test_staged_table_exists_after_its_commit(rest: Rest, namespace: str) -> None:
    staged = rest.create_table(namespace, documents.table("t", **{"stage-create": True}))
    assert staged.get("metadata-location") is None
    refused(rest.get(f"/namespaces/{namespace}/tables/t"), 404, "NoSuchTableException")
    metadata = staged["metadata"]
    updates = [
        {"action": "assign-uuid", "uuid": metadata["table-uuid"]},
        {"action": "upgrade-format-version", "format-version": 2},
        {"action": "add-schema", "schema": metadata["schemas"][0], "last-column-id": 3},
        {"action": "set-current-schema", "schema-id": -1},
        {"action": "add-spec", "spec": {"spec-id": 0, "fields": []}},
        {"action": "set-default-spec", "spec-id": -1},
        {"action": "add-sort-order", "sort-order": {"order-id": 0, "fields": []}},
        {"action": "set-default-sort-order", "sort-order-id": -1},
        {"action": "set-location", "location": metadata["location"]},
    ]
    body = answer(rest.commit(namespace, "t", updates, [{"type": "assert-create"}]))
    assert body["metadata"]["table-uuid"] == metadata["table-uuid"]
    assert body["metadata"].get("metadata-log", []) == []
    refused(rest.commit(namespace, "t", updates, [{"type": "assert-create"}]), 409)


def test_table_is_dropped(rest: Rest, namespace: str) -> None:
    for query in ({}, {"purgeRequested": "true"}, {"purgeRequested": "False"}, {"purgeRequested": "false"}):
        rest.create_table(namespace, documents.table("t"))
        empty(rest.head(f"/namespaces/{namespace}/tables/t"))
        empty(rest.delete(f"/namespaces/{namespace}/tables/t", params=query))
        refused(rest.get(f"/namespaces/{namespace}/tables/t"), 404, "NoSuchTableException", f"{namespace}.t")
        empty(rest.head(f"/namespaces/{namespace}/tables/t"), 404)
    refused(rest.delete(f"/namespaces/{namespace}/tables/t"), 404, "NoSuchTableException")


def test_table_is_renamed(rest: Rest, namespace: str) -> None:
    rest.create_namespace(namespace, "other")
    rest.create_table(namespace, documents.table("a"))
    rest.create_table(namespace, documents.table("taken"))

    def rename(source: tuple[list[str], str], destination: tuple[list[str], str]) -> dict:
        names = zip(("source", "destination"), (source, destination), strict=True)
        return {side: {"namespace": levels, "name": name} for side, (levels, name) in names}

    here = [namespace]
    empty(rest.post("/tables/rename", json=rename((here, "a"), (here, "b"))))
    empty(rest.post("/tables/rename", json=rename((here, "b"), ([namespace, "other"], "c"))))
    answer(rest.get(f"/namespaces/{namespace_path(namespace, 'other')}/tables/c"))
    refused(
        rest.post("/tables/rename", json=rename((here, "a"), (here, "d"))),
        404,
        "NoSuchTableException",
        f"{namespace}.a",
    )
    refused(
        rest.post("/tables/rename", json=rename((here, "taken"), (["no_such"], "d"))), 404, "NoSuchNamespaceException"
    )
    other = ([namespace, "other"], "c")
    refused(rest.post("/tables/rename", json=rename((here, "taken"), other)), 409, "AlreadyExistsException")


SCAN_REPORT = {
    "report-type": "scan-report",
    "table-name": "t",
    "snapshot-id": 1,
    "filter": True,
    "schema-id": 0,
    "projected-field-ids": [1],
    "projected-field-names": ["id"],
    "metrics": {"total-planning-duration": {"count": 1, "time-unit": "nanoseconds", "total-duration": 2644235116}},
}
COMMIT_REPORT = {
    "report-type": "commit-report",
    "table-name": "t",
    "snapshot-id": 1,
    "sequence-number": 1,
    "operation": "append",
    "metrics": {"attempts": {"unit": "count", "value": 1}},
    "metadata": {"engine-name": "spark"},
}


@pytest.mark.parametrize("report", [SCAN_REPORT, COMMIT_REPORT], ids=["scan", "commit"])
def test_metrics_report_is_accepted(rest: Rest, namespace: str, report: dict) -> None:
    rest.create_table(namespace, documents.table("t"))
    empty(rest.post(f"/namespaces/{namespace}/tables/t/metrics", json=report))
    refused(rest.post(f"/namespaces/{namespace}/tables/none/metrics", json=report), 404, "NoSuchTableException")


# ---- pages ----


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize("what", ["namespaces", "tables"])
def test_paged_list_has_every_item_once(rest: Rest, namespace: str, what: str, size: int) -> None:
    expected = [f"n{number}" for number in range(5)]
    for name in expected:
        if what == "namespaces":
            rest.create_namespace(namespace, name)
        else:
            rest.create_table(namespace, documents.table(name))
    path = "/namespaces" if what == "namespaces" else f"/namespaces/{namespace}/tables"
    parent = {"parent": namespace} if what == "namespaces" else {}
    token, seen, pages = "", [], 0
    while token is not None:
        body = answer(rest.get(path, params={"pageToken": token, "pageSize": size, **parent}))
        found = (
            [n[-1] for n in body["namespaces"]] if what == "namespaces" else [i["name"] for i in body["identifiers"]]
        )
        assert len(found) <= size
        seen += found
        pages += 1
        token = body.get("next-page-token")
        assert token != "" and pages <= 6
    assert seen == expected


def test_invalid_page_parameters_are_refused(rest: Rest, namespace: str) -> None:
    for path in ("/namespaces", f"/namespaces/{namespace}/tables"):
        for params in (
            {"pageSize": "0"},
            {"pageSize": "-1"},
            {"pageSize": "many"},
            {"pageSize": "9" * 30},
            {"pageToken": "not one of ours"},
        ):
            refused(rest.get(path, params=params), 400, "BadRequestException")


# ---- addresses ----


def test_plus_in_a_path_matches_the_existing_name(rest: Rest, unique: str) -> None:
    """Java up to 1.11 encodes a space as `+` (URLEncoder). For all other clients it is a plus."""
    rest.create_namespace(f"{unique} a")
    assert answer(rest.get(f"/namespaces/{unique}+a"))["namespace"] == [f"{unique} a"]
    rest.create_namespace(f"{unique}+a")
    assert answer(rest.get(f"/namespaces/{unique}+a"))["namespace"] == [f"{unique}+a"]
    assert answer(rest.get(f"/namespaces/{unique}%20a"))["namespace"] == [f"{unique} a"]
    assert answer(rest.get(f"/namespaces/{unique}%2Ba"))["namespace"] == [f"{unique}+a"]


def test_load_of_a_metadata_table_gets_404(rest: Rest, namespace: str) -> None:
    rest.create_table(namespace, documents.table("t"))
    refused(rest.get(f"/namespaces/{namespace_path(namespace, 't')}/tables/files"), 404)


def test_change_through_one_address_is_visible_through_the_others(server: Server, unique: str) -> None:
    assert server.printed is not None
    plain = Rest(server.uri, server.key)
    plain.create_namespace(unique)
    plain.create_table(unique, documents.table("t é"))
    for other in (Rest(server.uri + "/v1", server.key), Rest(server.uri, server.key, prefix=server.printed.warehouse)):
        assert other.load(unique, "t é")["metadata"] == plain.load(unique, "t é")["metadata"]
        assert answer(other.get(f"/namespaces/{segment(unique)}"))["namespace"] == [unique]
