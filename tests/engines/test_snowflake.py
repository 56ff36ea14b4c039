"""Replays Snowflake's documented requests in their order, because Snowflake cannot run here."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from support import documents
from support.conformance import REPOSITORY
from support.credentials import complaints
from support.rest import Rest, answer, empty, refused, refused_oauth
from support.server import Server
from support.snowflake import DELEGATION, Integration, java_segment

PAGE = 5


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server]) -> Server:
    """A server with small pages, because Snowflake requests pages without a size."""
    server = make_server("snowflake", env={"TIDEWATER_API__DEFAULT_PAGE_SIZE": str(PAGE)})
    server.start()
    return server


def oauth(server: Server, *scopes: str, **more: str) -> dict[str, Any]:
    secret = {"OAUTH_CLIENT_ID": "snowflake", "OAUTH_CLIENT_SECRET": server.key}
    return {"TYPE": "OAUTH", **secret, "OAUTH_ALLOWED_SCOPES": scopes or ("catalog",), **more}


AUTHENTICATION: dict[str, Callable[[Server], dict[str, Any]]] = {
    "oauth": oauth,
    "oauth with several scopes": lambda server: oauth(server, "PRINCIPAL_ROLE:ALL", "all-apis", "sql"),
    "oauth with a token address": lambda server: oauth(server, OAUTH_TOKEN_URI=f"{server.uri}/v1/oauth/tokens"),
    "oauth with the key as id": lambda server: {**oauth(server), "OAUTH_CLIENT_ID": server.key},
    "bearer": lambda server: {"TYPE": "BEARER", "BEARER_TOKEN": server.key},
}


@pytest.fixture
def snowflake(server: Server) -> Integration:
    assert server.printed is not None
    return Integration(server.uri, server.printed.warehouse, AUTHENTICATION["bearer"](server))


@pytest.mark.parametrize("form", AUTHENTICATION)
@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/", "/catalog"])
def test_catalog_integration_is_verified(server: Server, form: str, ending: str) -> None:
    """The steps of SYSTEM$VERIFY_CATALOG_INTEGRATION: sign in, request the configuration, list."""
    assert server.printed is not None
    snowflake = Integration(server.uri + ending, server.printed.warehouse, AUTHENTICATION[form](server))
    assert snowflake.base.endswith(f"/v1/{server.printed.warehouse}")
    assert set(snowflake.config) >= {"defaults", "overrides", "endpoints"}
    assert ("demo",) in set(snowflake.namespaces())
    assert list(snowflake.names(("demo",), "tables")) == ["tides"]


def test_integration_without_a_catalog_name_uses_the_default_warehouse(server: Server) -> None:
    assert ("demo",) in set(Integration(server.uri, None, oauth(server)).namespaces())


def test_invalid_integration_is_refused_with_the_reason(server: Server, rest: Rest) -> None:
    form = {"grant_type": "client_credentials", "client_id": "snowflake", "scope": "catalog"}
    wrong = {**form, "client_secret": f"{server.key[:-4]}AAAA"}
    refused_oauth(Rest(server.uri, None).post("/oauth/tokens", data=wrong), 401, "invalid_client")
    refused(Rest(server.uri, "flx_none").get("/config"), 401, "NotAuthorizedException")
    missing = rest.get("/config", params={"warehouse": "none"})
    refused(missing, 404, "NoSuchWarehouseException", "none")


def grow(rest: Rest, top: str, namespaces: int, tables: int) -> set[tuple[tuple[str, ...], str]]:
    """Creates a tree of namespaces on two levels, with tables in each. Returns all tables."""
    made = set()
    rest.create_namespace(top)
    for number in range(namespaces):
        levels = (top, f"ns {number}+") if number % 2 else (top, f"ns {number - number % 4}+", f"in{number}")
        if number % 4 == 0:
            rest.create_namespace(*levels[:2])
        segment = rest.create_namespace(*levels)
        for name in (f"t{table}" for table in range(tables)):
            rest.create_table(segment, documents.table(name))
            made.add((levels, name))
    return made


def discover(snowflake: Integration, top: str, kind: str = "tables") -> list[tuple[tuple[str, ...], str]]:
    """Returns the tables that a linked database with ALLOWED_NAMESPACES = (top) finds."""
    return [(levels, name) for levels in snowflake.namespaces((top,)) for name in snowflake.names(levels, kind)]


def test_linked_database_finds_every_namespace_and_table_once(
    snowflake: Integration, rest: Rest, unique: str
) -> None:
    made = grow(rest, unique, namespaces=16, tables=2 * PAGE + 1)
    found = discover(snowflake, unique)
    assert len(found) == len(set(found)) and set(found) == made
    sizes = [len(page) for page in snowflake.pages("/namespaces", "namespaces", {"parent": unique})]
    assert len(sizes) > 2 and set(sizes[:-1]) == {PAGE} and 0 < sizes[-1] <= PAGE, sizes
    levels, _ = found[0]
    sizes = [len(page) for page in snowflake.pages(snowflake.at(levels, "tables"), "identifiers")]
    assert sizes == [PAGE, PAGE, 1]


def test_linked_database_lists_every_table_while_others_are_created_and_dropped(
    server: Server, snowflake: Integration, rest: Rest, unique: str
) -> None:
    made = grow(rest, unique, namespaces=4, tables=3 * PAGE)
    places = sorted({levels for levels, _ in made})
    stop = threading.Event()
    changes = 0

    def churn() -> None:
        nonlocal changes
        other = Rest(server.uri, server.key)
        while not stop.is_set():
            for levels in places:
                segment = "%1F".join(java_segment(level) for level in levels)
                # Names that sort before, between and after those that stay.
                for name in ("a", "t0x", "t14x", "z"):
                    other.create_table(segment, documents.table(name))
                for name in ("a", "t0x", "t14x", "z"):
                    empty(other.delete(f"/namespaces/{segment}/tables/{name}"))
                other.create_namespace(unique, "a passing one")
                empty(other.delete(f"/namespaces/{unique}%1Fa+passing+one"))
                changes += 1

    writer = threading.Thread(target=churn)
    writer.start()
    try:
        walks = 0
        while walks < 4 or changes < 8:
            assert writer.is_alive(), "the writer has failed"
            found = discover(snowflake, unique)
            stayed = [one for one in found if one in made]
            assert len(found) == len(set(found)), "an object is listed twice"
            assert set(stayed) == made, f"not found: {sorted(made - set(stayed))}"
            walks += 1
    finally:
        stop.set()
        writer.join()


@pytest.mark.parametrize("form", ["oauth", "bearer"])
def test_local_table_is_refreshed_without_credentials(server: Server, form: str) -> None:
    """Local disk needs no credentials. The answer has none, and no field that Snowflake would misread."""
    assert server.printed is not None
    snowflake = Integration(server.uri, server.printed.warehouse, AUTHENTICATION[form](server))
    loaded = snowflake.load(("demo",), "tides")
    assert complaints(loaded, time.time_ns() // 1_000_000) == []
    assert loaded["config"] == {} and not loaded.get("storage-credentials")
    alone = snowflake.send("GET", f"{snowflake.at(('demo',), 'tables', 'tides')}/credentials", headers=DELEGATION)
    assert answer(alone) == {"storage-credentials": []}


def test_refresh_without_changes_transfers_few_bytes(snowflake: Integration, rest: Rest, unique: str) -> None:
    rest.create_namespace(unique)
    rest.create_table(unique, documents.table("t"))
    path = snowflake.at((unique,), "tables", "t")
    first = snowflake.send("GET", path, headers=DELEGATION)
    known = {**DELEGATION, "If-None-Match": first.headers["ETag"]}
    again = snowflake.send("GET", path, headers=known)
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    answer(rest.commit(unique, "t", [documents.set_properties(a="b")]))
    assert answer(snowflake.send("GET", path, headers=known))["metadata"]["properties"]["a"] == "b"


def test_linked_database_creates_changes_and_drops_a_table(snowflake: Integration, unique: str) -> None:
    """CREATE SCHEMA, CREATE ICEBERG TABLE (staged, then committed), INSERT, ALTER, DROP."""
    namespace = (unique,)
    answer(snowflake.send("POST", "/namespaces", {"namespace": [unique], "properties": {}}))
    body = documents.table("t", **{"stage-create": True, "properties": {"format-version": "2"}})
    staged = answer(snowflake.send("POST", snowflake.at(namespace, "tables"), body, headers=DELEGATION))
    assert complaints(staged, time.time_ns() // 1_000_000) == [] and staged["metadata-location"] is None
    refused(snowflake.send("GET", snowflake.at(namespace, "tables", "t")), 404, "NoSuchTableException")
    location = staged["metadata"]["location"]
    made = documents.snapshot(location, 1)
    first = {
        "identifier": {"namespace": [unique], "name": "t"},
        "requirements": [{"type": "assert-create"}],
        "updates": [
            {"action": "assign-uuid", "uuid": staged["metadata"]["table-uuid"]},
            {"action": "upgrade-format-version", "format-version": 2},
            {"action": "add-schema", "schema": documents.SCHEMA, "last-column-id": 3},
            {"action": "set-current-schema", "schema-id": -1},
            {"action": "add-spec", "spec": {"spec-id": 0, "fields": []}},
            {"action": "set-default-spec", "spec-id": -1},
            {"action": "add-sort-order", "sort-order": {"order-id": 0, "fields": []}},
            {"action": "set-default-sort-order", "sort-order-id": -1},
            {"action": "set-location", "location": location},
            *documents.append(made),
        ],
    }
    table = snowflake.at(namespace, "tables", "t")
    committed = answer(snowflake.send("POST", table, first))
    assert committed["metadata"]["current-snapshot-id"] == made["snapshot-id"]
    again = snowflake.send("POST", table, first)
    refused(again, 409, "CommitFailedException")
    next_ = documents.snapshot(location, 2, parent=made["snapshot-id"])
    requirements = [documents.assert_uuid(committed["metadata"]), documents.assert_ref("main", made["snapshot-id"])]
    append = {"requirements": requirements, "updates": documents.append(next_)}
    assert answer(snowflake.send("POST", table, append))["metadata"]["last-sequence-number"] == 2
    refused(snowflake.send("POST", table, append), 409, "CommitFailedException")
    rename = {
        "source": {"namespace": [unique], "name": "t"},
        "destination": {"namespace": [unique], "name": "u"},
    }
    empty(snowflake.send("POST", "/tables/rename", rename))
    empty(snowflake.send("DELETE", snowflake.at(namespace, "tables", "u"), params={"purgeRequested": "false"}))
    empty(snowflake.send("DELETE", snowflake.at(namespace)))


def test_views_are_listed_in_pages_and_read(snowflake: Integration, rest: Rest, unique: str) -> None:
    rest.create_namespace(unique)
    made = {f"v{number}" for number in range(2 * PAGE)}
    for name in made:
        answer(rest.post(f"/namespaces/{unique}/views", json=documents.view(name)))
    found = list(snowflake.names((unique,), "views"))
    assert len(found) == len(made) and set(found) == made
    loaded = answer(snowflake.send("GET", snowflake.at((unique,), "views", "v0")))
    assert loaded["metadata"]["versions"][0]["representations"][0]["sql"] == "select 1"


def test_head_requests_report_existing_objects(snowflake: Integration, rest: Rest, unique: str) -> None:
    levels = (unique, "a + b")
    rest.create_namespace(unique)
    segment = rest.create_namespace(*levels)
    rest.create_table(segment, documents.table("t 1"))
    for path, status in (
        (snowflake.at(levels), 204),
        (snowflake.at(levels, "tables", "t 1"), 204),
        (snowflake.at((unique, "a   b")), 404),
        (snowflake.at(levels, "tables", "none"), 404),
        (snowflake.at(levels, "views", "t 1"), 404),
    ):
        response = snowflake.send("HEAD", path)
        assert (response.status_code, response.content) == (status, b""), path


def test_guide_lists_the_limits_of_each_tier() -> None:
    """The figures follow from the tiers, from the default interval of 30 seconds, and from 500,000 tables in an hour."""
    tiers = (REPOSITORY / "docs/configuration.md").read_text()
    guide = (REPOSITORY / "docs/engines/snowflake.md").read_text()
    refreshes_a_day = 86_400 // 30
    for tier, limit in re.findall(r"^\| `(\w+)` \| yes \| (\d+) \|", tiers, re.MULTILINE):
        row = f"| `{tier}` | {int(limit):,} | {int(limit) // refreshes_a_day} | {int(limit) // 139} s |"
        assert row in guide, row
