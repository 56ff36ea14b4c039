"""Raw HTTP requests to S3 with the catalog's signatures."""

from __future__ import annotations

from urllib.parse import quote

import requests

from support.admin import Key
from support.lake import Lake
from support.rest import Rest, answer, segment
from support.s3 import REGION

TIMEOUT_S = 60


class Signer:
    """Gets signatures for requests to one table, and sends the requests."""

    def __init__(self, lake: Lake, namespace: str, table: str, key: Key | None = None):
        self.lake = lake
        self.rest: Rest = lake.rest(key)
        self.path = f"/namespaces/{namespace}/tables/{segment(table)}/sign"

    def url(self, key: str, query: str = "") -> str:
        """Of an object, or with an empty key of the bucket."""
        path = f"/{quote(key, safe='/~')}" if key else ""
        return f"{self.lake.s3.uri}/{self.lake.bucket}{path}{query}"

    def ask(self, method: str, url: str, headers: dict[str, str] | None = None, **more: object) -> requests.Response:
        """Returns the catalog's answer to a signing request."""
        named = {name: [value] for name, value in (headers or {}).items()}
        body = {"region": REGION, "uri": url, "method": method, "headers": named, **more}
        return self.rest.post(self.path, json=body)

    def refused(self, method: str, url: str, headers: dict[str, str] | None = None, **more: object) -> str:
        """Checks that the catalog refuses to sign. Returns its message."""
        response = self.ask(method, url, headers, **more)
        assert response.status_code in {400, 403}, (method, url, response.status_code, response.text)
        return response.json()["error"]["message"]

    def send(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        data: bytes = b"",
        added: dict[str, str] | None = None,
        **more: object,
    ) -> requests.Response:
        """Sends a request with the catalog's signature and with additional unsigned headers."""
        signed = answer(self.ask(method, url, headers, **more))
        own = {name: ", ".join(values) for name, values in signed["headers"].items()}
        session = requests.Session()
        session.trust_env = False
        return session.request(method, signed["uri"], headers={**own, **(added or {})}, data=data, timeout=TIMEOUT_S)
