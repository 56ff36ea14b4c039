"""The API as raw HTTP: no client library between the test and the wire."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

import requests

TIMEOUT_S = 60


def segment(name: str) -> str:
    """Encodes a name as one segment of a path."""
    return quote(name, safe="")


def namespace_path(*levels: str) -> str:
    """Encodes a namespace as one segment of a path, its levels joined by %1F."""
    return "%1F".join(segment(level) for level in levels)


class Rest:
    """Sends requests with a key, to one prefix of the catalog (or to none: the default warehouse)."""

    def __init__(self, uri: str, key: str | None, prefix: str | None = None):
        self.uri = uri.rstrip("/")
        self.key = key
        self.base = f"{self.uri}/v1/{segment(prefix)}" if prefix else f"{self.uri}/v1"
        self.session = requests.Session()
        self.session.trust_env = False
        if key is not None:
            self.session.headers["Authorization"] = f"Bearer {key}"

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Sends one request. `path` starts after the prefix, or is a whole address."""
        address = path if path.startswith("http") else self.base + path
        options.setdefault("timeout", TIMEOUT_S)
        return self.session.request(method, address, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def head(self, path: str, **options: Any) -> requests.Response:
        return self.request("HEAD", path, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.request("POST", path, **options)

    def delete(self, path: str, **options: Any) -> requests.Response:
        return self.request("DELETE", path, **options)

    # ---- requests that most tests need ----

    def config(self, **params: str) -> dict:
        return answer(self.get(f"{self.uri}/v1/config", params=params))

    def create_namespace(self, *levels: str, properties: dict[str, str] | None = None) -> str:
        """Creates a namespace. Returns its path segment."""
        answer(self.post("/namespaces", json={"namespace": list(levels), "properties": properties or {}}))
        return namespace_path(*levels)

    def create_table(self, namespace: str, body: dict) -> dict:
        return answer(self.post(f"/namespaces/{namespace}/tables", json=body))

    def load(self, namespace: str, table: str) -> dict:
        return answer(self.get(f"/namespaces/{namespace}/tables/{segment(table)}"))

    def commit(self, namespace: str, table: str, updates: list, requirements: list | None = None) -> requests.Response:
        body = {"requirements": requirements or [], "updates": updates}
        return self.post(f"/namespaces/{namespace}/tables/{segment(table)}", json=body)

    def transact(self, changes: list[dict]) -> requests.Response:
        return self.post("/transactions/commit", json={"table-changes": changes})


def answer(response: requests.Response, status: int = 200) -> dict:
    """Checks that the answer is a success. Returns its body."""
    assert response.status_code == status, (
        f"{response.request.method} {response.url}: {response.status_code} {response.text[:2000]}"
    )
    assert response.headers["Content-Type"].split(";")[0].strip() == "application/json", response.headers
    return response.json()


def empty(response: requests.Response, status: int = 204) -> None:
    """Checks a success that has no body."""
    assert response.status_code == status, (
        f"{response.request.method} {response.url}: {response.status_code} {response.text[:2000]}"
    )
    assert response.content == b"", response.content


def refused(response: Any, status: int | set[int], kind: str | None = None, says: str | None = None) -> dict:
    """Checks a refusal: the Iceberg error shape with the status as code. Returns the error."""
    expected = {status} if isinstance(status, int) else status
    shown = f"{response.status_code} {response.text[:2000]}"
    assert response.status_code in expected, shown
    assert response.headers["Content-Type"].split(";")[0].strip() == "application/json", response.headers
    body = response.json()
    assert set(body) == {"error"}, shown
    error = body["error"]
    assert set(error) <= {"message", "type", "code", "stack"}, shown
    assert error["code"] == response.status_code, shown
    assert isinstance(error["message"], str) and error["message"].strip(), shown
    assert isinstance(error["type"], str) and error["type"].strip(), shown
    assert not error.get("stack"), "the error contains a stack trace"
    if kind is not None:
        assert error["type"] == kind, shown
    if says is not None:
        assert says in error["message"], shown
    return error


def refused_oauth(response: requests.Response, status: int, error: str) -> None:
    """Checks a refusal of the token endpoint: the OAuth 2 shape (RFC 6749, 5.2)."""
    assert response.status_code == status, f"{response.status_code} {response.text[:2000]}"
    body = response.json()
    assert set(body) <= {"error", "error_description", "error_uri"}, body
    assert body["error"] == error, body


@dataclass
class WireResponse:
    """The answer to a request that no client library would send."""

    status_code: int
    headers: http.client.HTTPMessage
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode(errors="replace")

    def json(self) -> Any:
        return json.loads(self.content)


def on_the_wire(uri: str, method: str, target: str, headers: dict[str, str | bytes], body: bytes = b"") -> WireResponse:
    """Sends a request target exactly as it is given: nothing is encoded, normalised or added."""
    where = urlsplit(uri)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=TIMEOUT_S)
    connection._validate_path = lambda url: None  # type: ignore[attr-defined]  # tests send invalid paths on purpose
    connection._encode_request = lambda request: request.encode("latin-1")  # type: ignore[attr-defined]
    try:
        connection.putrequest(method, target, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        response = connection.getresponse()
        return WireResponse(response.status, response.headers, response.read())
    finally:
        connection.close()


def read_answer(connection: BinaryIO) -> WireResponse:
    """Reads one answer from a connection that stays open."""
    status = connection.readline()
    assert status.startswith(b"HTTP/1.1 "), f"the connection ended: {status!r}"
    headers = http.client.parse_headers(connection)
    return WireResponse(int(status.split()[1]), headers, connection.read(int(headers["Content-Length"])))
