"""Invalid addresses, methods, sizes, credentials and bytes: each is refused in the Iceberg error shape."""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from support import documents
from support.rest import Rest, answer, on_the_wire, read_answer, refused
from support.server import Server


@pytest.fixture
def table(rest: Rest, namespace: str) -> dict:
    """A table `t`."""
    return rest.create_table(namespace, documents.table("t"))


# ---- addresses ----

TARGETS = {
    "invalid UTF-8": "/v1/namespaces/%FF%FE",
    "invalid UTF-8 in a table": "/v1/namespaces/a/tables/%C3%28",
    "an overlong slash": "/v1/namespaces/%C0%AF",
    "a null character": "/v1/namespaces/a%00b",
    "a line end": "/v1/namespaces/a%0D%0Ab",
    "half an escape": "/v1/namespaces/a%2",
    "an escape that is none": "/v1/namespaces/a%ZZ",
    "an empty level": "/v1/namespaces/a%1F%1Fb",
    "a level at the end": "/v1/namespaces/a%1F",
    "only separators": "/v1/namespaces/%1F%1F%1F",
    "a huge name": "/v1/namespaces/" + "x" * 7_000,
    "very many levels": "/v1/namespaces/" + "%1F".join(["x"] * 1_500),
    "an empty name": "/v1/namespaces//tables",
    "an empty table name": "/v1/namespaces/a/tables/",
    "the level above": "/v1/namespaces/../../etc/passwd",
    "the level above in escapes": "/v1/namespaces/%2e%2e/tables/%2e%2e%2f%2e%2e",
    "an unknown path": "/v1/nothing/here",
    "no path": "/",
    "another version": "/v2/config",
    "a thousand segments": "/v1" + "/a" * 1_000,
    "a query that is none": "/v1/namespaces?parent=%FF&pageToken=%FF&pageSize=%",
    "a parameter twice": "/v1/namespaces?pageSize=1&pageSize=x",
    "an invalid page token": "/v1/namespaces?pageToken=%00",
    "a null character in the parent": "/v1/namespaces?parent=%00",
    "a huge query": "/v1/namespaces?parent=" + "y" * 7_000,
}


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("target", TARGETS)
def test_unknown_address_is_refused(server: Server, target: str, method: str) -> None:
    headers = {"Host": "localhost", "Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
    response = on_the_wire(server.uri, method, TARGETS[target], headers, b"{}" if method == "POST" else b"")
    refused(response, {400, 404, 405, 406, 409, 414, 415, 422})


def test_head_request_to_an_unknown_address_has_no_body(rest: Rest) -> None:
    for path in ("/namespaces/%FF", "/namespaces/none", "/namespaces/none/tables/none"):
        response = rest.head(path)
        assert response.status_code in (400, 404) and response.content == b""


METHODS = {
    "/v1/config": ["POST", "DELETE", "PUT", "PATCH"],
    "/v1/oauth/tokens": ["GET", "DELETE", "PUT"],
    "/v1/namespaces": ["DELETE", "PUT", "PATCH"],
    "/v1/namespaces/a": ["POST", "PUT"],
    "/v1/namespaces/a/properties": ["GET", "DELETE"],
    "/v1/namespaces/a/tables": ["DELETE", "PUT"],
    "/v1/namespaces/a/tables/t": ["PUT", "PATCH"],
    "/v1/namespaces/a/tables/t/metrics": ["GET", "DELETE"],
    "/v1/tables/rename": ["GET", "DELETE"],
}


@pytest.mark.parametrize(
    ("path", "method"), [(path, method) for path, methods in METHODS.items() for method in methods]
)
def test_unsupported_method_is_refused(rest: Rest, path: str, method: str) -> None:
    response = rest.request(method, rest.uri + path)
    refused(response, 405)
    assert response.headers["Allow"]


# ---- sizes and types ----


def test_oversized_body_is_refused_before_it_is_read(server: Server) -> None:
    headers = {
        "Host": "localhost",
        "Authorization": f"Bearer {server.key}",
        "Content-Type": "application/json",
        "Content-Length": str(10 << 30),
    }
    response = on_the_wire(server.uri, "POST", "/v1/namespaces", headers)
    refused(response, 413)


def test_commit_of_50000_snapshot_removals_is_accepted(rest: Rest, namespace: str, table: dict) -> None:
    numbers = list(range(10**18, 10**18 + 50_000))
    response = rest.commit(namespace, "t", [{"action": "remove-snapshots", "snapshot-ids": numbers}])
    assert response.status_code in (200, 400), response.text[:500]


def test_properties_of_a_megabyte_are_kept(rest: Rest, namespace: str, table: dict) -> None:
    answer(rest.commit(namespace, "t", [documents.set_properties(big="x" * 1_000_000)]))
    assert len(rest.load(namespace, "t")["metadata"]["properties"]["big"]) == 1_000_000


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "application/x-www-form-urlencoded", ";;;", None]
)
def test_non_json_body_is_refused_with_any_content_type(rest: Rest, unique: str, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    body = b"<namespace/>" if content_type == "application/xml" else b"namespace=" + unique.encode()
    refused(rest.post("/namespaces", data=body, headers=headers), {400, 415})


def test_token_request_without_a_form_is_refused(rest: Rest) -> None:
    for body, kind in (
        (b'{"grant_type": "client_credentials"}', "application/json"),
        (b"\xff\xfe=%FF", "application/x-www-form-urlencoded"),
        (b"", "text/plain"),
    ):
        response = Rest(rest.uri, None).post("/oauth/tokens", data=body, headers={"Content-Type": kind})
        assert response.status_code in (400, 401, 415), response.text
        assert set(response.json()) <= {"error", "error_description", "error_uri"}, response.text


@pytest.mark.parametrize("who", ["nobody", "the owner"])
def test_connection_after_a_refusal_works_or_announces_its_end(server: Server, who: str) -> None:
    """Clients send head and body separately, and reuse the connection unless the answer closes it."""
    where = urlsplit(server.uri)
    body = b'{"namespace": ["never_made"]}'
    head = (
        f"POST /v1/namespaces/none/properties HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {server.key if who == 'the owner' else 'flx_none'}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
        connection.sendall(head.encode())
        answered_early = bool(select.select([connection], [], [], 0.5)[0])
        connection.sendall(body)
        answers = connection.makefile("rb")
        first = read_answer(answers)
        refused(first, 404 if who == "the owner" else 401)
        if answered_early and first.headers["Connection"] == "close":
            return
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_answer(answers).status_code == 200


# ---- credentials ----

CREDENTIALS: dict[str, str | bytes] = {
    "empty": "",
    "a scheme alone": "Bearer",
    "a scheme and a space": "Bearer ",
    "the word None": "Bearer None",
    "garbage": "Bearer !!!",
    "a key that is none": "Bearer flx_" + "0" * 40,
    "the prefix alone": "Bearer flx_",
    "a token that is none": "Bearer a.b.c",
    "a token of dots": "Bearer ....",
    "a huge token": "Bearer " + "x" * 20_000,
    "another scheme": "Digest username=a",
    "basic": "Basic YTpi",
    "not ASCII": b"Bearer \xff\xfe",
    "two tokens": "Bearer a, Bearer b",
}


@pytest.mark.parametrize("credential", CREDENTIALS.values(), ids=CREDENTIALS.keys())
def test_invalid_credential_is_refused(server: Server, credential: str | bytes) -> None:
    headers = {"Host": "localhost", "Authorization": credential}
    for target in ("/v1/config", "/v1/namespaces", "/v1/namespaces/a/tables/t"):
        response = on_the_wire(server.uri, "GET", target, headers)
        refused(
            response,
            {400, 401, 431} if len(credential) > 10_000 else 401,
            None if len(credential) > 10_000 else "NotAuthorizedException",
        )


def test_answer_without_a_key_is_the_same_for_existing_and_missing_objects(server: Server, namespace: str) -> None:
    """Existing and missing objects get the same answer."""
    nobody = Rest(server.uri, None)
    answers = [
        nobody.get(path)
        for path in (f"/namespaces/{namespace}", "/namespaces/none", "/namespaces/none/tables/t", "/config")
    ]
    for response in answers:
        refused(response, 401, "NotAuthorizedException")
    assert len({response.json()["error"]["message"] for response in answers}) == 1


# ---- invalid HTTP ----

GARBAGE = {
    "noise": bytes(range(256)) * 8,
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    "half a request": b"GET /v1/config HTTP/1.1\r\nHost: a\r\n",
    "two lengths": b"POST /v1/namespaces HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
    "a length and chunks": b"POST /v1/namespaces HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks that are none": b"POST /v1/namespaces HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
    "a body cut short": b"POST /v1/namespaces HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n{",
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_server_still_answers_after_invalid_http(server: Server, rest: Rest, garbage: str) -> None:
    where = urlsplit(server.uri)
    with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
        received = b""
        with suppress(ConnectionError, BrokenPipeError):  # the server may hang up at the first wrong byte
            connection.sendall(GARBAGE[garbage])
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while chunk := connection.recv(65536):
                received += chunk
    assert not received.startswith(b"HTTP/1.1 2") and not received.startswith(b"HTTP/1.1 5")
    assert server.is_running()
    rest.config()
