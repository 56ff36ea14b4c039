"""Snowflake's requests, as its documentation and its error texts tell of them: Snowflake itself runs only elsewhere.

Its catalog integration reads like Iceberg's Java client: that one's order, encoding and parameters are sent here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_plus

import requests

from support.rest import TIMEOUT_S, answer, refused

AGENT = "snowflake-iceberg-rest/replay"

DELEGATION = {"X-Iceberg-Access-Delegation": "vended-credentials"}


def java_segment(name: str) -> str:
    """Encodes a name for a path like Java's URLEncoder: a space as `+`, a plus as `%2B`."""
    return quote_plus(name, safe="*-._")


class Integration:
    """One `CREATE CATALOG INTEGRATION`: signs in, requests the configuration, and then uses its prefix."""

    def __init__(self, catalog_uri: str, warehouse: str | None, authentication: dict[str, Any], namespace: str | None = None):
        """`authentication` has the fields of REST_AUTHENTICATION."""
        self.root = catalog_uri.rstrip("/") + "/v1"
        self.namespace = namespace
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["User-Agent"] = AGENT
        if authentication["TYPE"] == "OAUTH":
            token = self._sign_in(authentication)["access_token"]
        else:
            token = authentication["BEARER_TOKEN"]
        self.session.headers["Authorization"] = f"Bearer {token}"
        params = {"warehouse": warehouse} if warehouse is not None else {}
        self.config = answer(self.send("GET", f"{self.root}/config", params=params))
        prefix = {**self.config["defaults"], **self.config["overrides"]}.get("prefix")
        self.base = f"{self.root}/{prefix}" if prefix else self.root
        self.separator = self.config["overrides"].get("namespace-separator", "%1F")

    def _sign_in(self, authentication: dict[str, Any]) -> dict[str, Any]:
        form = {
            "grant_type": "client_credentials",
            "client_id": authentication["OAUTH_CLIENT_ID"],
            "client_secret": authentication["OAUTH_CLIENT_SECRET"],
            "scope": " ".join(authentication["OAUTH_ALLOWED_SCOPES"]),
        }
        address = authentication.get("OAUTH_TOKEN_URI", f"{self.root}/oauth/tokens")
        token = answer(self.session.post(address, data=form, timeout=TIMEOUT_S))
        assert token["token_type"].lower() == "bearer"
        return token

    def send(self, method: str, address: str, body: Any = None, **options: Any) -> requests.Response:
        """Sends one request. `address` is a URL, or a path after the prefix."""
        if body is not None:
            options["data"] = json.dumps(body)
            options["headers"] = {"Content-Type": "application/json", **options.get("headers", {})}
        whole = address if address.startswith("http") else self.base + address
        return self.session.request(method, whole, timeout=TIMEOUT_S, **options)

    def at(self, levels: tuple[str, ...], kind: str = "", name: str = "") -> str:
        """Returns the path of a namespace, of its tables or views, or of one of them."""
        path = "/namespaces/" + self.separator.join(java_segment(level) for level in levels)
        return path + (f"/{kind}" if kind else "") + (f"/{java_segment(name)}" if name else "")

    # ---- a linked database ----

    def pages(self, address: str, key: str, params: dict[str, str] | None = None) -> Iterator[list]:
        """Yields the pages of a list. Each request has the token of the page before, the first an empty token.

        A namespace that was dropped meanwhile has no pages.
        """
        token: str | None = ""
        seen = set()
        while token is not None:
            response = self.send("GET", address, params={**(params or {}), "pageToken": token})
            if response.status_code == 404:
                refused(response, 404, "NoSuchNamespaceException")
                return
            listed = answer(response)
            yield listed[key]
            token = listed.get("next-page-token")
            assert token not in seen, "a page token was repeated"
            seen.add(token)

    def namespaces(self, parent: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        """Yields all namespaces below the parent, each followed by its children."""
        params = {"parent": "\x1f".join(parent)} if parent else {}
        for page in self.pages("/namespaces", "namespaces", params):
            for levels in page:
                yield tuple(levels)
                yield from self.namespaces(tuple(levels))

    def names(self, levels: tuple[str, ...], kind: str) -> Iterator[str]:
        """Yields the names of a namespace's tables or views."""
        for page in self.pages(self.at(levels, kind), "identifiers"):
            for identifier in page:
                assert tuple(identifier["namespace"]) == levels
                yield identifier["name"]

    def load(self, levels: tuple[str, ...], table: str) -> dict[str, Any]:
        """Loads a table as a refresh does: with its storage credentials."""
        return answer(self.send("GET", self.at(levels, "tables", table), headers=DELEGATION))
