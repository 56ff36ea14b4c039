"""Details of the protocol that clients compare exactly and servers often get wrong: pages, segments, headers,
statuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from support import documents
from support.keys import fresh_key
from support.rest import Rest, WireResponse, answer, empty, namespace_path, on_the_wire, refused
from support.server import Server

PAGE = 3


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server]) -> Server:
    """A server with small pages."""
    server = make_server("wire", env={"TIDEWATER_API__DEFAULT_PAGE_SIZE": str(PAGE)})
    server.start()
    return server


def wire(server: Server, method: str, target: str, body: bytes = b"", **headers: str) -> WireResponse:
    """Sends a target unchanged, with the server's key."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    signed_in = {"Host": "localhost", "Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
    return on_the_wire(server.uri, method, target, {**signed_in, **named}, body)


# ---- pages ----


class Listing:
    """A list of one kind, inside a namespace."""

    def __init__(self, rest: Rest, namespace: str, kind: str):
        self.rest, self.namespace, self.kind = rest, namespace, kind
        self.path = "/namespaces" if kind == "namespaces" else f"/namespaces/{namespace}/{kind}"
        self.parent = {"parent": namespace} if kind == "namespaces" else {}

    def add(self, name: str) -> None:
        if self.kind == "namespaces":
            self.rest.create_namespace(self.namespace, name)
        elif self.kind == "tables":
            self.rest.create_table(self.namespace, documents.table(name))
        else:
            answer(self.rest.post(self.path, json=documents.view(name)))

    def remove(self, name: str) -> None:
        inside = namespace_path(self.namespace, name)
        path = f"/namespaces/{inside}" if self.kind == "namespaces" else f"{self.path}/{name}"
        empty(self.rest.delete(path))

    def page(self, **params: Any) -> tuple[list[str], str | None]:
        """Returns the names on a page, and the token of the next. The answer always has the token, even if null."""
        listed = answer(self.rest.get(self.path, params={**self.parent, **params}))
        token = listed["next-page-token"]
        if self.kind == "namespaces":
            return [levels[-1] for levels in listed["namespaces"]], token
        return [identifier["name"] for identifier in listed["identifiers"]], token


@pytest.fixture(params=["namespaces", "tables", "views"])
def listing(request: pytest.FixtureRequest, rest: Rest, namespace: str) -> Listing:
    return Listing(rest, namespace, request.param)


def test_missing_page_token_lists_everything_and_an_empty_one_the_first_page(listing: Listing) -> None:
    names = [f"n{number}" for number in range(2 * PAGE)]
    for name in names:
        listing.add(name)
    assert listing.page() == (names, None)
    assert listing.page(pageSize=2) == (names, None)
    first, token = listing.page(pageToken="")
    assert first == names[:PAGE] and token
    # The last page has no token, although it is full.
    assert listing.page(pageToken=token) == (names[PAGE:], None)
    assert listing.page(pageToken="", pageSize=2 * PAGE) == (names, None)


def test_functions_are_listed_in_pages(rest: Rest, namespace: str) -> None:
    path = f"/namespaces/{namespace}/functions"
    for params in ({}, {"pageToken": ""}, {"pageToken": "", "pageSize": "1"}, {"pageSize": "1"}):
        assert answer(rest.get(path, params=params)) == {"next-page-token": None, "identifiers": []}
    refused(rest.get(path, params={"pageToken": "?"}), 400, "BadRequestException")
    refused(rest.get("/namespaces/none/functions", params={"pageToken": ""}), 404, "NoSuchNamespaceException")


def test_empty_parent_is_ignored(rest: Rest, namespace: str) -> None:
    at_the_top = answer(rest.get("/namespaces", params={"parent": ""}))
    assert [namespace] in at_the_top["namespaces"]
    assert at_the_top == answer(rest.get("/namespaces"))


def test_pages_stay_correct_while_the_list_changes(listing: Listing) -> None:
    """Between two pages, the last name of the first page is dropped, and names are added before and after it."""
    stay = [f"n{number}" for number in range(3 * PAGE)]
    for name in stay:
        listing.add(name)
    seen, token = listing.page(pageToken="")
    gone = [seen[-1]]
    listing.remove(gone[0])
    while token is not None:
        listing.add(f"a{len(seen)}")
        listing.add(f"{seen[-1]}x")
        names, token = listing.page(pageToken=token)
        assert not set(names) & set(seen), "an object is listed twice"
        seen += names
        if names and names[-1] in stay[:-1]:
            gone.append(names[-1])
            listing.remove(names[-1])
    assert set(stay) <= set(seen), "an object that existed all the time is missing"
    assert not [name for name in seen if name.startswith("a")], "an object before the first page is listed later"
    assert set(listing.page()[0]) >= set(stay) - set(gone)


# ---- segments ----

# A name, and its encodings by Java's URLEncoder, JavaScript's encodeURIComponent and others.
SEGMENTS = {
    "a b": ["a+b", "a%20b"],
    "a+b": ["a%2Bb", "a%2bb"],
    "a%2Bb": ["a%252Bb"],
    "a/b": ["a%2Fb"],
    "a.b": ["a.b", "a%2Eb"],
    "größe 数": ["gr%C3%B6%C3%9Fe+%E6%95%B0", "gr%C3%B6%C3%9Fe%20%E6%95%B0"],
}


@pytest.mark.parametrize("name", SEGMENTS)
def test_every_encoding_of_a_segment_finds_its_name(server: Server, rest: Rest, namespace: str, name: str) -> None:
    nested = rest.create_namespace(namespace, name)
    rest.create_table(nested, documents.table(name))
    answer(rest.post(f"/namespaces/{nested}/views", json=documents.view(f"{name} v")))
    for spelling in SEGMENTS[name]:
        for separator in ("%1F", "%1f"):
            inside = f"/v1/namespaces/{namespace}{separator}{spelling}"
            assert wire(server, "GET", inside).json()["namespace"] == [namespace, name]
            for kind, segment in (("tables", spelling), ("views", f"{spelling}+v"), ("views", f"{spelling}%20v")):
                assert wire(server, "HEAD", f"{inside}/{kind}/{segment}").status_code == 204, (kind, segment)
        listed = wire(server, "GET", f"/v1/namespaces?parent={namespace}%1F{spelling}")
        assert listed.json() == {"next-page-token": None, "namespaces": []}
    refused(wire(server, "GET", f"/v1/namespaces/{namespace}%1F{SEGMENTS[name][0]}x"), 404, "NoSuchNamespaceException")


@pytest.mark.parametrize("segment", ["a%1Fb", "%1F", "a%1F", "%1Fa", "a%1F%1Fb", "%00", "%", "%2", "%GG", "%FF"])
def test_invalid_segment_is_refused(server: Server, namespace: str, segment: str) -> None:
    for kind in ("tables", "views"):
        refused(wire(server, "GET", f"/v1/namespaces/{namespace}/{kind}/{segment}"), {400, 404})
    refused(wire(server, "GET", f"/v1/namespaces/none%1F{segment}"), {400, 404})


# ---- bodies ----

TAKES_A_BODY = {
    "namespaces": "/v1/namespaces",
    "properties": "/v1/namespaces/{ns}/properties",
    "tables": "/v1/namespaces/{ns}/tables",
    "commit": "/v1/namespaces/{ns}/tables/t",
    "register": "/v1/namespaces/{ns}/register",
    "rename": "/v1/tables/rename",
    "transaction": "/v1/transactions/commit",
    "metrics": "/v1/namespaces/{ns}/tables/t/metrics",
    "views": "/v1/namespaces/{ns}/views",
    "replace": "/v1/namespaces/{ns}/views/v",
    "register-view": "/v1/namespaces/{ns}/register-view",
    "rename-view": "/v1/views/rename",
}


@pytest.mark.parametrize("where", TAKES_A_BODY)
def test_latin_1_body_is_refused_as_invalid_utf_8(server: Server, rest: Rest, namespace: str, where: str) -> None:
    """Java's HTTP client may use this encoding by default."""
    rest.create_table(namespace, documents.table("t"))
    answer(rest.post(f"/namespaces/{namespace}/views", json=documents.view("v")))
    body = '{"name": "größe", "namespace": ["größe"], "report-type": "größe"}'.encode("latin-1")
    content_type = "application/json; charset=ISO-8859-1"
    response = wire(server, "POST", TAKES_A_BODY[where].format(ns=namespace), body, Content_Type=content_type)
    refused(response, 400, "BadRequestException", "not UTF-8")


@pytest.mark.parametrize("key", ["", "1", "550e8400-e29b-41d4-a716-446655440000", "{%s}", "urn:uuid:%s", "%s,%s"])
def test_idempotency_key_that_is_not_a_uuid_7_is_refused(
    server: Server, rest: Rest, namespace: str, key: str
) -> None:
    rest.create_table(namespace, documents.table("t"))
    answer(rest.post(f"/namespaces/{namespace}/views", json=documents.view("v")))
    key = key.replace("%s", fresh_key())
    changes = [("POST", path.format(ns=namespace)) for path in TAKES_A_BODY.values()]
    changes.append(("POST", f"/v1/namespaces/{namespace}/tables/t/unregister"))
    changes += [("DELETE", f"/v1/namespaces/{namespace}/{what}") for what in ("tables/t", "views/v")]
    for method, path in changes:
        refused(wire(server, method, path, b"{}", Idempotency_Key=key), 400, "BadRequestException", "Idempotency-Key")
    assert rest.head(f"/namespaces/{namespace}/tables/t").status_code == 204
    assert rest.head(f"/namespaces/{namespace}/views/v").status_code == 204


# ---- headers ----


def spelled(response: WireResponse) -> list[str]:
    """Returns the capitals of the entity tag's header name."""
    return [name for name in response.headers.keys() if name.lower() == "etag"]


def test_etag_header_has_javas_capitals(server: Server, rest: Rest, namespace: str) -> None:
    def java(method: str, target: str, body: bytes = b"", **headers: str) -> WireResponse:
        version = "Apache Iceberg 1.11.0 (commit 1)"
        return wire(server, method, target, body, X_Client_Version=version, **headers)

    tables, table = f"/v1/namespaces/{namespace}/tables", f"/v1/namespaces/{namespace}/tables/t"
    created = java("POST", tables, json.dumps(documents.table("t")).encode())
    loaded, refs = java("GET", table), java("GET", f"{table}?snapshots=refs")
    every, default = java("GET", f"{table}?snapshots=all"), java("GET", f"{table}?snapshots=")
    committed = java("POST", table, b'{"requirements": [], "updates": []}')
    known = java("GET", table, If_None_Match=loaded.headers["ETag"])
    for response in (created, loaded, refs, every, default, committed, known):
        assert spelled(response) == ["ETag"], response.headers.items()
    tags = {response.headers["ETag"] for response in (created, loaded, every, default, committed, known)}
    assert len(tags) == 1 and refs.headers["ETag"] not in tags
    assert (known.status_code, known.content) == (304, b"")
    # Newer clients compare the header name without case.
    assert spelled(wire(server, "GET", table)) == ["etag"]
    # An entity tag of one form does not match the other form.
    assert java("GET", table, If_None_Match=refs.headers["ETag"]).status_code == 200
    assert java("GET", f"{table}?snapshots=refs", If_None_Match=loaded.headers["ETag"]).status_code == 200
    location = rest.load(namespace, "t")["metadata-location"]
    answer(rest.post(f"/namespaces/{namespace}/tables/t/unregister"))
    body = json.dumps({"name": "t", "metadata-location": location}).encode()
    assert spelled(java("POST", f"/v1/namespaces/{namespace}/register", body)) == ["ETag"]


@pytest.mark.parametrize("there", [True, False])
def test_head_answers_equal_get_answers_without_a_body(
    server: Server, rest: Rest, namespace: str, there: bool
) -> None:
    rest.create_table(namespace, documents.table("t"))
    answer(rest.post(f"/namespaces/{namespace}/views", json=documents.view("v")))
    inside = f"/v1/namespaces/{namespace if there else 'none'}"
    paths = [inside, f"{inside}/tables/t", f"{inside}/views/v"]
    lists = [f"{inside}/tables", f"{inside}/views", f"{inside}/functions", f"{inside}/tables/t/credentials"]
    for path in paths + lists:
        status = 404 if not there else 204 if path in paths else 200
        response = wire(server, "HEAD", path)
        assert (response.status_code, response.content) == (status, b""), path
    for path in ("/health", "/openapi.json", "/v1/config", "/v1/namespaces", "/nowhere"):
        response = wire(server, "HEAD", path)
        assert response.content == b"" and response.status_code == wire(server, "GET", path).status_code, path
    anonymous = on_the_wire(server.uri, "HEAD", inside, {"Host": "localhost"})
    assert (anonymous.status_code, anonymous.content) == (401, b"")


def test_every_success_has_a_status_that_java_accepts(server: Server) -> None:
    """The Java client takes 201 for an error. test_openapi.py shows that answers match the document."""
    document = answer(requests.get(f"{server.uri}/openapi.json", timeout=60))
    for path, members in document["paths"].items():
        for method, operation in members.items():
            # Polaris' own clients read its management API.
            if method != "parameters" and not path.startswith("/api/management/"):
                successes = {status for status in operation["responses"] if status < "400"}
                assert successes <= {"200", "204", "304"}, (method, path)
