"""iceberg-js: all that this client of Node and of browsers can do."""

from __future__ import annotations

from typing import Any

import pytest
from pyiceberg.catalog import Catalog

from support import documents, node
from support.node import IcebergJs, IcebergJsError
from support.rest import Rest, answer, segment
from support.rows import SIGHTINGS, sightings
from support.server import Server


@pytest.fixture(autouse=True)
def _node() -> None:
    node.needed()


@pytest.fixture
def client(server: Server) -> IcebergJs:
    return IcebergJs(server)


def ident(namespace: str, name: str) -> dict[str, Any]:
    return {"namespace": [namespace], "name": name}


@pytest.mark.parametrize("base", ["", "/", "/v1", "/catalog"])
@pytest.mark.parametrize("warehouse", ["named", "default"])
def test_each_base_url_leads_to_the_catalog(server: Server, base: str, warehouse: str) -> None:
    client = IcebergJs(server, baseUrl=server.uri + base)
    if warehouse == "default":
        del client.options["warehouse"]
    assert "demo" in [name["namespace"][0] for name in client.call("listNamespaces")["namespaces"]]


@pytest.mark.parametrize("form", ["bearer", "header"])
def test_both_sign_in_forms_are_accepted_and_wrong_keys_refused(server: Server, form: str) -> None:
    def auth(key: str) -> dict[str, str]:
        header = {"type": "header", "name": "Authorization", "value": f"Bearer {key}"}
        return {"type": "bearer", "token": key} if form == "bearer" else header

    assert IcebergJs(server, auth=auth(server.key)).call("tableExists", ident("demo", "tides")) is True
    for refused in (auth("flx_none"), {"type": "none"}):
        with pytest.raises(IcebergJsError) as caught:
            IcebergJs(server, auth=refused).call("tableExists", ident("demo", "tides"))
        assert caught.value.error["status"] == 401
        with pytest.raises(IcebergJsError) as caught:
            IcebergJs(server, auth=refused).call("loadTable", ident("demo", "tides"))
        assert (caught.value.error["type"], caught.value.error["code"]) == ("NotAuthorizedException", 401)


def test_configuration_names_the_prefix_and_the_endpoints(client: IcebergJs, server: Server) -> None:
    assert server.printed is not None
    config = client.call("loadConfig")
    assert config["overrides"]["prefix"] == server.printed.warehouse
    assert "POST /v1/{prefix}/namespaces/{namespace}/register" in config["endpoints"]
    assert config["idempotency-key-lifetime"].startswith("P")


def test_namespace_is_created_used_and_dropped(client: IcebergJs, unique: str) -> None:
    name, nested = {"namespace": [unique]}, {"namespace": [unique, "in side"]}
    made, again, exists, missing, inner, below, metadata, changed, after, full, dropped, gone = client.outcomes(
        ("createNamespace", name, {"properties": {"owner": "ana", "old": "1"}}),
        ("createNamespaceIfNotExists", name),
        ("namespaceExists", name),
        ("namespaceExists", {"namespace": [f"{unique}_none"]}),
        ("createNamespace", nested),
        ("listNamespaces", {"parent": name}),
        ("loadNamespaceMetadata", name),
        ("updateNamespaceProperties", name, {"updates": {"owner": "bo"}, "removals": ["old", "never"]}),
        ("loadNamespaceMetadata", name),
        ("dropNamespace", name),
        ("dropNamespace", nested),
        ("loadNamespaceMetadata", nested),
    )
    assert made["value"] == {"namespace": [unique], "properties": {"owner": "ana", "old": "1"}}
    assert again == {"value": None}
    assert (exists["value"], missing["value"]) == (True, False)
    assert inner["value"]["namespace"] == [unique, "in side"]
    assert below["value"] == {"namespaces": [nested]}
    assert metadata["value"]["properties"] == {"owner": "ana", "old": "1"}
    assert changed["value"] == {"updated": ["owner"], "removed": ["old"], "missing": ["never"]}
    assert after["value"]["properties"] == {"owner": "bo"}
    assert (full["error"]["type"], full["error"]["conflict"]) == ("NamespaceNotEmptyException", True)
    assert dropped == {"value": None}
    assert (gone["error"]["type"], gone["error"]["status"]) == ("NoSuchNamespaceException", 404)


def test_namespaces_and_tables_are_listed_in_pages(client: IcebergJs, rest: Rest, unique: str) -> None:
    rest.create_namespace(unique)
    expected = sorted(f"n{number}" for number in range(5))
    for name in expected:
        rest.create_namespace(unique, name)
        rest.create_table(unique, documents.table(name))
    parent = {"namespace": [unique]}
    listings = (
        (lambda page: ("listNamespaces", {"parent": parent, **page}), "namespaces", lambda one: one["namespace"][-1]),
        (lambda page: ("listTables", parent, page), "identifiers", lambda one: one["name"]),
    )
    for call, key, name_of in listings:
        assert sorted(map(name_of, client.call(*call({}))[key])) == expected
        found, page = [], {"pageSize": 2, "pageToken": ""}
        for _ in range(3):
            listed = client.call(*call(page))
            assert len(listed[key]) <= 2
            found += map(name_of, listed[key])
            page["pageToken"] = listed.get("nextPageToken")
        assert (sorted(found), page["pageToken"]) == (expected, None)


@pytest.mark.parametrize("name", ["t", "a b", "é+%2F", "a/b", "数据"])
def test_table_is_created_used_and_dropped(client: IcebergJs, namespace: str, name: str) -> None:
    table = ident(namespace, name)
    body = documents.table(
        name,
        **{
            "partition-spec": documents.PARTITION_BY_CITY,
            "write-order": documents.SORT_BY_ID,
            "properties": {"owner": "ana"},
        },
    )
    made, again, taken, exists, metadata, dropped, gone, missing = client.outcomes(
        ("createTableResult", {"namespace": [namespace]}, body),
        ("createTableIfNotExists", {"namespace": [namespace]}, body),
        ("createTable", {"namespace": [namespace]}, body),
        ("tableExists", table),
        ("loadTable", table),
        ("dropTable", table, {"purge": True}),
        ("tableExists", table),
        ("loadTable", table),
    )
    assert made["value"]["etag"] and made["value"]["metadata-location"].endswith(".metadata.json")
    assert made["value"]["metadata"] == again["value"] == metadata["value"]
    assert metadata["value"]["properties"]["owner"] == "ana"
    assert metadata["value"]["partition-specs"][0]["fields"][0]["name"] == "city"
    assert (taken["error"]["type"], taken["error"]["conflict"]) == ("AlreadyExistsException", True)
    assert (exists["value"], dropped, gone["value"]) == (True, {"value": None}, False)
    assert (missing["error"]["type"], missing["error"]["status"]) == ("NoSuchTableException", 404)


def test_commits_succeed_and_stale_commits_are_refused(client: IcebergJs, rest: Rest, namespace: str) -> None:
    metadata = rest.create_table(namespace, documents.table("t"))["metadata"]
    wider = {**documents.SCHEMA, "fields": [*documents.SCHEMA["fields"], {**FIELD, "id": 4, "name": "size"}]}
    change = {
        "requirements": [documents.assert_uuid(metadata), {"type": "assert-current-schema-id", "current-schema-id": 0}],
        "updates": [
            {"action": "add-schema", "schema": wider},
            {"action": "set-current-schema", "schema-id": -1},
            documents.set_properties(a="b"),
        ],
    }
    landed, stale, none = client.outcomes(
        ("commitTable", ident(namespace, "t"), change),
        ("updateTable", ident(namespace, "t"), change),
        ("updateTable", ident(namespace, "none"), change),
    )
    assert landed["value"]["metadata"]["current-schema-id"] == 1
    assert landed["value"]["metadata"]["properties"]["a"] == "b"
    assert landed["value"]["metadata-location"] == rest.load(namespace, "t")["metadata-location"]
    assert (stale["error"]["type"], stale["error"]["conflict"]) == ("CommitFailedException", True)
    assert none["error"]["type"] == "NoSuchTableException"


FIELD = {"required": False, "type": "double"}


def test_load_with_a_current_etag_gets_no_metadata(client: IcebergJs, catalog: Catalog, namespace: str) -> None:
    table = catalog.create_table((namespace, "t"), SIGHTINGS)
    table.append(sightings((1, "Oslo", 1.5)))
    table.overwrite(sightings((2, "Bergen", 2.5)))
    all_, refs = client.outcomes(
        ("loadTableResult", ident(namespace, "t")),
        ("loadTableResult", ident(namespace, "t"), {"snapshots": "refs"}),
    )
    assert len(all_["value"]["metadata"]["snapshots"]) > len(refs["value"]["metadata"]["snapshots"]) == 1
    tag, refs_tag = all_["value"]["etag"], refs["value"]["etag"]
    assert tag != refs_tag
    known, known_refs, other = client.outcomes(
        ("loadTableResult", ident(namespace, "t"), {"ifNoneMatch": tag, "snapshots": "all"}),
        ("loadTable", ident(namespace, "t"), {"ifNoneMatch": refs_tag, "snapshots": "refs"}),
        ("loadTableResult", ident(namespace, "t"), {"ifNoneMatch": refs_tag, "snapshots": "all"}),
    )
    assert (known, known_refs) == ({"value": None}, {"value": None})
    assert other["value"]["etag"] == tag


def test_table_is_renamed_unregistered_and_registered_again(client: IcebergJs, rest: Rest, namespace: str) -> None:
    made = rest.create_table(namespace, documents.table("t"))
    other = f"{namespace}_other"
    rest.create_namespace(other)
    registration = {"name": "w", "metadata-location": made["metadata-location"]}
    client.call("renameTable", {"source": ident(namespace, "t"), "destination": ident(other, "u")})
    assert rest.load(other, "u")["metadata"]["table-uuid"] == made["metadata"]["table-uuid"]
    answer(rest.post(f"/namespaces/{other}/tables/u/unregister"))
    registered, twice, over = client.outcomes(
        ("registerTable", {"namespace": [namespace]}, registration),
        ("registerTable", {"namespace": [namespace]}, registration),
        ("registerTableResult", {"namespace": [namespace]}, {**registration, "overwrite": True}),
    )
    assert registered["value"] == made["metadata"]
    assert twice["error"]["type"] == "AlreadyExistsException"
    assert over["value"]["metadata-location"] == made["metadata-location"] and over["value"]["etag"]


def test_access_delegation_is_requested_and_local_files_need_no_credentials(server: Server, namespace: str) -> None:
    client = IcebergJs(server, accessDelegation=["vended-credentials", "remote-signing"])
    made, loaded = client.outcomes(
        ("createTableResult", {"namespace": [namespace]}, documents.table("t")),
        ("loadTableResult", ident(namespace, "t")),
    )
    for result in (made["value"], loaded["value"]):
        assert result["config"] == {} and not result.get("storage-credentials")


def test_invalid_request_is_refused_with_the_reason(client: IcebergJs, rest: Rest, namespace: str) -> None:
    rest.create_table(namespace, documents.table("t"))
    unknown, nameless = client.outcomes(
        ("commitTable", ident(namespace, "t"), {"requirements": [], "updates": [{"action": "paint", "colour": "blue"}]}),
        ("createTable", {"namespace": [namespace]}, {"schema": documents.SCHEMA}),
    )
    assert (unknown["error"]["type"], unknown["error"]["status"]) == ("BadRequestException", 400)
    assert "paint" in unknown["error"]["message"]
    assert "name" in nameless["error"]["message"]
    assert rest.get(f"/namespaces/{segment(namespace)}/tables/t").status_code == 200
