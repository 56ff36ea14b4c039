"""A minimal HTTP client for processes that measure, or send many requests."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 120


class Lost(Exception):
    """The connection ended before the answer."""


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    headers: http.client.HTTPMessage
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)

    def is_server_fault(self) -> bool:
        """Whether it is a 5xx other than 503 with `Retry-After` and an unknown commit state."""
        is_known = self.headers.get("Retry-After") or b"whether it happened is not known" in self.content
        return self.status >= 500 and not (self.status in (503, 504) and is_known)


class PlainClient:
    """One connection, signed in with a key. Reconnects after a loss."""

    def __init__(self, uri: str, key: str | None, timeout_s: float = TIMEOUT_S):
        self._where = urlsplit(uri)
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None

    def send(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Reply:
        """Sends one request. Raises `Lost` if there is no answer."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                self._where.hostname or "", self._where.port, timeout=self._timeout_s
            )
        kind = {"Content-Type": "application/json"} if body is not None else {}
        try:
            self._connection.request(method, path, body, {**self._headers, **kind, **(headers or {})})
            response = self._connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Lost(str(error)) from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
