"""Organisations, keys and roles: permissions, and isolation of organisations."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support import documents
from support.admin import Admin, eventually
from support.rest import Rest, answer, empty, refused, refused_oauth
from support.server import Server


@pytest.fixture
def admin(server: Server) -> Admin:
    """The command line beside the session's server."""
    return Admin(server)


@pytest.fixture
def organisation(admin: Admin) -> str:
    """Another organisation than the quickstart's."""
    return admin.organisation("enterprise")


WRITES: dict[str, Callable[[Rest, str], object]] = {
    "create a namespace": lambda rest, ns: rest.post("/namespaces", json={"namespace": [f"{ns}_new"]}),
    "drop a namespace": lambda rest, ns: rest.delete(f"/namespaces/{ns}_empty"),
    "change properties": lambda rest, ns: rest.post(f"/namespaces/{ns}/properties", json={"updates": {"a": "b"}}),
    "create a table": lambda rest, ns: rest.post(f"/namespaces/{ns}/tables", json=documents.table("new")),
    "stage a table": lambda rest, ns: rest.post(
        f"/namespaces/{ns}/tables", json=documents.table("staged", **{"stage-create": True})
    ),
    "commit": lambda rest, ns: rest.commit(ns, "t", [documents.set_properties(a="b")]),
    "rename": lambda rest, ns: rest.post(
        "/tables/rename",
        json={"source": {"namespace": [ns], "name": "t"}, "destination": {"namespace": [ns], "name": "u"}},
    ),
    "drop": lambda rest, ns: rest.delete(f"/namespaces/{ns}/tables/t"),
    "purge": lambda rest, ns: rest.delete(f"/namespaces/{ns}/tables/t", params={"purgeRequested": "true"}),
}


def test_readers_key_reads_and_is_refused_every_change(admin: Admin, organisation: str, unique: str) -> None:
    writer = admin.rest(admin.key(organisation, "writer"))
    reader = admin.rest(admin.key(organisation, "reader"))
    writer.create_namespace(unique)
    writer.create_namespace(f"{unique}_empty")
    created = writer.create_table(unique, documents.table("t"))
    for change in WRITES.values():
        refused(change(reader, unique), 403, "ForbiddenException")
    assert reader.load(unique, "t")["metadata"] == created["metadata"]
    assert answer(reader.get("/namespaces"))["namespaces"] == [[unique], [f"{unique}_empty"]]
    empty(reader.head(f"/namespaces/{unique}/tables/t"))
    reader.config()
    report = {"report-type": "scan-report", "table-name": "t", "snapshot-id": 1, "metrics": {}}
    assert reader.post(f"/namespaces/{unique}/tables/t/metrics", json=report).status_code in (204, 400)


def test_token_of_a_readers_key_has_only_the_readers_role(admin: Admin, organisation: str, unique: str) -> None:
    key = admin.key(organisation, "reader")
    form = {"grant_type": "client_credentials", "client_id": key.text, "scope": "PRINCIPAL_ROLE:ALL admin"}
    token = answer(Rest(admin.server.uri, None).post("/oauth/tokens", data=form))["access_token"]
    refused(Rest(admin.server.uri, token).post("/namespaces", json={"namespace": [unique]}), 403, "ForbiddenException")


@pytest.mark.parametrize("role", ["writer", "admin"])
def test_change_with_a_writers_or_admins_key_succeeds(admin: Admin, organisation: str, unique: str, role: str) -> None:
    rest = admin.rest(admin.key(organisation, role))
    for name in (unique, f"{unique}_empty"):
        rest.create_namespace(name)
    for name, change in WRITES.items():
        if name in ("commit", "rename", "drop", "purge"):
            rest.post(f"/namespaces/{unique}/tables", json=documents.table("t"))
        assert change(rest, unique).status_code in (200, 204), name  # type: ignore[attr-defined]


def test_expired_key_is_refused(admin: Admin, organisation: str) -> None:
    key = admin.key(organisation, "writer", "--expires-in", "1s")
    response = eventually(admin.rest(key), "/namespaces", 401)
    refused(response, 401, "NotAuthorizedException", "expired")
    form = {"grant_type": "client_credentials", "client_id": key.text}
    refused_oauth(Rest(admin.server.uri, None).post("/oauth/tokens", data=form), 401, "invalid_client")


def test_revoked_key_and_its_tokens_are_refused_within_seconds(admin: Admin, organisation: str) -> None:
    key = admin.key(organisation, "writer")
    other = admin.key(organisation, "writer")
    form = {"grant_type": "client_credentials", "client_id": key.text}
    token = answer(Rest(admin.server.uri, None).post("/oauth/tokens", data=form))["access_token"]
    answer(admin.rest(key).get("/namespaces"))
    answer(Rest(admin.server.uri, token).get("/namespaces"))
    admin.revoke(organisation, key)
    refused(eventually(admin.rest(key), "/namespaces", 401), 401, "NotAuthorizedException", "revoked")
    refused(eventually(Rest(admin.server.uri, token), "/namespaces", 401), 401, "NotAuthorizedException")
    refused_oauth(Rest(admin.server.uri, None).post("/oauth/tokens", data=form), 401, "invalid_client")
    answer(admin.rest(other).get("/namespaces"))


def test_key_is_never_listed_logged_or_stored(admin: Admin, organisation: str) -> None:
    keys = [admin.key(organisation, role) for role in ("reader", "writer", "admin")]
    for key in keys:
        answer(admin.rest(key).get("/namespaces"))
    listed = admin.list_keys(organisation)
    for key in keys:
        assert key.id in listed and key.text not in listed
        for path in admin.server.data_dir.rglob("*"):
            if path.is_file():
                assert key.text.encode() not in path.read_bytes(), path
        assert key.text not in admin.server.stderr()


def test_key_cannot_see_or_change_another_organisations_catalog(
    admin: Admin, server: Server, rest: Rest, unique: str
) -> None:
    assert server.printed is not None
    mine = admin.rest(admin.key(admin.organisation("enterprise"), "admin"))
    theirs = admin.organisation("enterprise", warehouse="theirs")
    their_key = admin.key(theirs, "admin")
    admin.rest(their_key).create_namespace(unique)
    location = admin.rest(their_key).create_table(unique, documents.table("t"))["metadata"]["location"]
    assert answer(mine.get("/namespaces"))["namespaces"] == []
    for change in WRITES.values():
        response = change(mine, unique)
        if response.status_code != 200:  # type: ignore[attr-defined]
            refused(response, {404, 409})
    prefixed = Rest(server.uri, mine.key, prefix="theirs")
    for response in (
        prefixed.get("/namespaces"),
        prefixed.get(f"/namespaces/{unique}/tables/t"),
        prefixed.delete(f"/namespaces/{unique}"),
    ):
        refused(response, 404, "NoSuchWarehouseException")
    missing = Rest(server.uri, mine.key, prefix="no-such")
    shown = missing.get("/namespaces").json()["error"]["message"].replace("no-such", "theirs")
    assert prefixed.get("/namespaces").json()["error"]["message"] == shown, (
        "another organisation's warehouse and a missing one get different answers"
    )
    refused(mine.get("/config", params={"warehouse": "theirs"}), 404, "NoSuchWarehouseException")
    mine.create_namespace(f"{unique}_mine")
    body = documents.table("t", location=f"{location}/inside")
    refused(mine.post(f"/namespaces/{unique}_mine/tables", json=body), {400, 403})
    answer(admin.rest(their_key).get(f"/namespaces/{unique}/tables/t"))


def test_each_warehouse_of_an_organisation_is_its_own_catalog(admin: Admin, organisation: str, unique: str) -> None:
    admin.warehouse(organisation, "second")
    key = admin.key(organisation, "writer")
    plain, first, second = admin.rest(key), admin.rest(key, "main"), admin.rest(key, "second")
    plain.create_namespace(unique)
    created = plain.create_table(unique, documents.table("t"))
    assert first.load(unique, "t")["metadata"] == created["metadata"]
    assert answer(second.get("/namespaces"))["namespaces"] == []
    second.create_namespace(unique)
    other = second.create_table(unique, documents.table("t"))
    assert other["metadata"]["table-uuid"] != created["metadata"]["table-uuid"]
    assert other["metadata"]["location"] != created["metadata"]["location"]
    config = plain.config(warehouse="second")
    assert {**config["defaults"], **config["overrides"]}["prefix"] == "second"


def test_key_needs_an_existing_role_and_organisation(
    admin: Admin, server: Server, organisation: str
) -> None:
    for arguments in (
        ("key", "create", "x", "--org", organisation, "--role", "root"),
        ("key", "create", "x", "--org", "no-such-org", "--role", "reader"),
        ("org", "create", organisation, "--tier", "enterprise"),
        ("org", "create", f"{organisation}-2", "--tier", "no-such-tier"),
        ("warehouse", "create", "../../etc", "--org", organisation, "--root", "file:///tmp/x"),
        ("warehouse", "create", "x", "--org", organisation, "--root", "not a location"),
    ):
        done = server.command(*arguments, check=False)
        assert done.returncode != 0 and done.stderr.strip(), arguments
        assert "panicked" not in done.stderr
