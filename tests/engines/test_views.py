"""Views: with PyIceberg, with plain HTTP where PyIceberg has no function, and with the command line."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchViewError, ViewAlreadyExistsError
from pyiceberg.view.metadata import SQLViewRepresentation, ViewRepresentation, ViewVersion

from support.rest import Rest, answer, empty, refused, segment
from support.rows import SIGHTINGS
from support.server import Server

AWKWARD = ["two words", "a+b", "100%", "a/b", "a.b", "it's", "größe", "冰山", "views", "n" * 255]


def version(sql: str, *dialects: str) -> ViewVersion:
    representations = [
        ViewRepresentation(SQLViewRepresentation(type="sql", sql=sql, dialect=dialect)) for dialect in dialects
    ]
    return ViewVersion(schema_id=1, representations=representations, default_namespace=("ns",))


def replacement(sql: str, dialect: str = "spark", **more: object) -> dict:
    """Returns a commit of a new version, as an engine sends it after a load."""
    new = {
        "version-id": 2,
        "timestamp-ms": 1_800_000_000_000,
        "schema-id": 0,
        "summary": {"engine-name": "test"},
        "default-namespace": ["ns"],
        "representations": [{"type": "sql", "sql": sql, "dialect": dialect}],
    }
    return {
        "requirements": [],
        "updates": [
            {"action": "add-view-version", "view-version": {**new, **more}},
            {"action": "set-current-view-version", "view-version-id": -1},
        ],
    }


def test_view_is_created_used_and_dropped(catalog: Catalog, namespace: str) -> None:
    identifier = (namespace, "cities")
    made = catalog.create_view(
        identifier, SIGHTINGS, version("select * from t", "spark", "trino"), properties={"comment": "all of them"}
    )
    assert made.properties["comment"] == "all of them"
    assert catalog.view_exists(identifier)
    assert not catalog.table_exists(identifier)
    assert catalog.list_views(namespace) == [identifier]
    assert catalog.list_tables(namespace) == []
    loaded = catalog.load_view(identifier)
    assert loaded.metadata == made.metadata
    assert loaded.current_version().version_id == 1
    assert [field.name for field in loaded.schema().fields] == ["id", "city", "size"]
    assert [one.root.dialect for one in loaded.current_version().representations] == ["spark", "trino"]
    assert [entry.version_id for entry in loaded.history()] == [1]
    with pytest.raises(ViewAlreadyExistsError):
        catalog.create_view(identifier, SIGHTINGS, version("select 1", "spark"))
    catalog.drop_view(identifier)
    assert not catalog.view_exists(identifier)
    for gone in (catalog.load_view, catalog.drop_view):
        with pytest.raises(NoSuchViewError):
            gone(identifier)


def test_view_is_registered_from_its_metadata(catalog: Catalog, rest: Rest, namespace: str) -> None:
    made = catalog.create_view((namespace, "before"), SIGHTINGS, version("select 1", "spark"))
    location = answer(rest.get(f"/namespaces/{namespace}/views/before"))["metadata-location"]
    catalog.drop_view((namespace, "before"))
    assert Path(location.removeprefix("file://")).exists(), "the drop removed the metadata file"
    registered = catalog.register_view((namespace, "after"), location)
    assert registered.metadata == made.metadata
    with pytest.raises(ViewAlreadyExistsError):
        catalog.register_view((namespace, "after"), location)


@pytest.mark.parametrize("name", AWKWARD)
def test_unusual_name_works_for_a_view(catalog: Catalog, rest: Rest, namespace: str, name: str) -> None:
    # PyIceberg 0.12 sends a new view's name percent-encoded, so plain HTTP creates these views.
    (added, _) = replacement("select 1")["updates"]
    body = {
        "name": name,
        "schema": {"type": "struct", "fields": []},
        "view-version": added["view-version"],
        "properties": {},
    }
    answer(rest.post(f"/namespaces/{namespace}/views", json=body))
    assert catalog.list_views(namespace) == [(namespace, name)]
    assert catalog.load_view((namespace, name)).current_version().version_id == 1
    answer(rest.post(f"/namespaces/{namespace}/views/{segment(name)}", json=replacement("select 2")))
    assert catalog.load_view((namespace, name)).current_version().version_id == 2
    catalog.drop_view((namespace, name))


def test_view_is_replaced_renamed_and_found_by_its_new_name(catalog: Catalog, rest: Rest, namespace: str) -> None:
    catalog.create_view((namespace, "v"), SIGHTINGS, version("select 1", "spark"))
    replaced = answer(rest.post(f"/namespaces/{namespace}/views/v", json=replacement("select 2")))
    assert set(replaced) == {"metadata-location", "metadata", "config"}
    body = {
        "source": {"namespace": [namespace], "name": "v"},
        "destination": {"namespace": [namespace], "name": "w"},
    }
    empty(rest.post("/views/rename", json=body))
    refused(rest.post("/views/rename", json=body), 404, "NoSuchViewException", f"View does not exist: {namespace}.v")
    loaded = catalog.load_view((namespace, "w"))
    assert loaded.current_version().representations[0].root.sql == "select 2"
    assert loaded.version(1).representations[0].root.sql == "select 1"
    assert [entry.version_id for entry in loaded.history()] == [1, 2]


def test_table_and_view_cannot_share_a_name(catalog: Catalog, rest: Rest, namespace: str) -> None:
    catalog.create_table((namespace, "table"), SIGHTINGS)
    catalog.create_view((namespace, "view"), SIGHTINGS, version("select 1", "spark"))
    with pytest.raises(ViewAlreadyExistsError, match="Table with same name already exists"):
        catalog.create_view((namespace, "table"), SIGHTINGS, version("select 1", "spark"))
    with pytest.raises(Exception, match="View with same name already exists"):
        catalog.create_table((namespace, "view"), SIGHTINGS)
    for kind, name, other in (("tables", "table", "view"), ("views", "view", "table")):
        body = {
            "source": {"namespace": [namespace], "name": name},
            "destination": {"namespace": [namespace], "name": other},
        }
        says = f"Cannot rename {namespace}.{name} to {namespace}.{other}. {other.title()} already exists"
        refused(rest.post(f"/{kind}/rename", json=body), 409, "AlreadyExistsException", says)
    refused(rest.delete(f"/namespaces/{namespace}"), 409, "NamespaceNotEmptyException")


def test_concurrent_replacements_of_a_view_all_succeed(catalog: Catalog, rest: Rest, namespace: str) -> None:
    made = catalog.create_view((namespace, "v"), SIGHTINGS, version("select 0", "spark"))

    def replace(n: int) -> dict:
        body = replacement(f"select {n}")
        body["requirements"] = [{"type": "assert-view-uuid", "uuid": str(made.uuid())}]
        return answer(rest.post(f"/namespaces/{namespace}/views/v", json=body))

    with ThreadPoolExecutor(8) as pool:
        current = [done["metadata"]["current-version-id"] for done in pool.map(replace, range(1, 31))]
    assert sorted(current) == list(range(2, 32))
    loaded = catalog.load_view((namespace, "v"))
    assert [version.version_id for version in loaded.versions] == list(range(22, 32)), "not exactly the ten newest versions are kept"
    assert [entry.version_id for entry in loaded.history()] == list(range(22, 32))


def test_unknown_fields_are_kept(catalog: Catalog, rest: Rest, namespace: str) -> None:
    catalog.create_view((namespace, "v"), SIGHTINGS, version("select 1", "spark"))
    representations = [{"type": "sql", "sql": "select 1", "dialect": "spark", "x-hint": [1, {"a": None}]}]
    body = replacement("", representations=representations, **{"x-lineage": {"from": ["t"]}})
    answer(rest.post(f"/namespaces/{namespace}/views/v", json=body))
    settings = {"updates": [{"action": "set-properties", "updates": {"a": "b"}}]}
    answer(rest.post(f"/namespaces/{namespace}/views/v", json=settings))
    current = answer(rest.get(f"/namespaces/{namespace}/views/v"))["metadata"]["versions"][-1]
    assert current["representations"] == representations
    assert current["x-lineage"] == {"from": ["t"]}


def test_invalid_request_is_refused_with_the_reason(rest: Rest, catalog: Catalog, namespace: str) -> None:
    catalog.create_view((namespace, "v"), SIGHTINGS, version("select 1", "spark"))
    view = f"/namespaces/{namespace}/views/v"
    before = answer(rest.get(view))
    for body in ({"updates": [{"action": "add-snapshot"}]}, {"updates": "x"}, [], {"requirements": [{"type": "x"}]}):
        refused(rest.post(view, json=body), 400, "BadRequestException")
    for body, says in (
        (replacement("select 2", "trino"), "no query for spark"),
        (replacement("", representations=[]), "no representations"),
        (replacement("", representations=[{"type": "substrait", "plan": "AAAA"}]), "unknown type of representation"),
        (replacement("select 2", **{"schema-id": 9}), "unknown schema: 9"),
    ):
        refused(rest.post(view, json=body), 400, "IllegalArgumentException", says)
    stale = replacement("select 2")
    stale["requirements"] = [{"type": "assert-view-uuid", "uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1"}]
    refused(rest.post(view, json=stale), 409, "CommitFailedException", "view UUID does not match")
    outside = {"name": "x", "metadata-location": "file:///etc/passwd"}
    refused(rest.post(f"/namespaces/{namespace}/register-view", json=outside), 400, "BadRequestException", "outside")
    assert answer(rest.get(view)) == before


def test_command_line_shows_views(server: Server, catalog: Catalog, namespace: str) -> None:
    catalog.create_view((namespace, "v"), SIGHTINGS, version("select 1", "spark"), properties={"comment": "c"})
    org = ("--org", "quickstart")
    assert json.loads(server.command("view", "list", namespace, "--json", *org).stdout) == ["v"]
    shown = server.command("view", "show", f"{namespace}.v", *org).stdout
    for line in ("spark         select 1", "property      comment = c", "column        city string"):
        assert line in shown
    assert json.loads(server.command("namespace", "show", namespace, "--json", *org).stdout)["views"] == ["v"]
    missing = server.command("view", "show", f"{namespace}.none", *org, check=False)
    assert missing.returncode == 1
    assert "there is no view 'none'" in missing.stderr
