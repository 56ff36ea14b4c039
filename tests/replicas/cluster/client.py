"""A client of several replicas that records what it does, and what it learns of the outcome."""

from __future__ import annotations

import http.client
import json
import random
import time
from typing import Any
from urllib.parse import urlsplit

from support.keys import fresh_key
from support.plain_client import Lost, PlainClient, Reply

from cluster.history import DONE, EXISTS, FAILED, MISSING, NOT_APPLIED, UNKNOWN, History, Operation, Table, now

REQUEST_TIMEOUT_S = 30.0
REPEAT_DEADLINE_S = 90.0
PAUSE_S = 0.05

# Shares of changes: repeated with an idempotency key until they are answered, and left before the answer.
REPEATED = 0.6
LEFT = 0.03

# The share of loads that ask only for changes.
CONDITIONAL = 0.5

REFUSALS = {
    (404, "NoSuchTableException"): MISSING,
    (409, "AlreadyExistsException"): EXISTS,
}


class Client:
    """One client: a connection to each replica, and each request to any of them."""

    def __init__(self, number: int, uris: list[str], key: str, history: History, seed: int):
        self.number = number
        self.chance = random.Random(seed * 1_000 + number)
        self.history = history
        self._key = key
        self._uris = uris
        # The last answer to each path, with its ETag.
        self._loaded: dict[str, tuple[str, dict[str, Any]]] = {}
        self._clients = [PlainClient(uri, key, REQUEST_TIMEOUT_S) for uri in uris]

    # ---- reads ----

    def load(self, operation: Operation, namespace: str, replica: int | None = None) -> dict[str, Any] | None:
        """Loads a table, half of the time only if it has changed. Returns its metadata. A load without an answer says nothing, and is
        not recorded."""
        path = f"/v1/namespaces/{namespace}/tables/{operation.table}"
        etag, loaded = self._loaded.get(path, ("", None)) if self.chance.random() < CONDITIONAL else ("", None)
        reply = self._read(operation, path, replica, {"If-None-Match": etag} if etag else {})
        if reply is None:
            return None
        if reply.status in (200, 304):
            metadata = reply.json()["metadata"] if reply.status == 200 else loaded
            operation.outcome, operation.seen = DONE, Table.of(metadata)
            self._loaded[path] = (reply.headers["ETag"], metadata)
        else:
            metadata, operation.outcome = None, self._refusal(reply, operation)
        self.history.add(operation)
        return metadata

    def list(self, operation: Operation, namespace: str, replica: int | None = None) -> None:
        reply = self._read(operation, f"/v1/namespaces/{namespace}/tables", replica, {})
        if reply is None:
            return
        if reply.status == 200:
            operation.names = sorted(one["name"] for one in reply.json()["identifiers"])
            operation.outcome = DONE
            self.history.add(operation)
        else:
            self._refusal(reply, operation)

    def _read(self, operation: Operation, path: str, replica: int | None, headers: dict[str, str]) -> Reply | None:
        client = self._clients[replica] if replica is not None else self.chance.choice(self._clients)
        operation.call = now()
        try:
            reply = client.send("GET", path, headers=headers)
        except Lost:
            time.sleep(PAUSE_S)
            return None
        operation.returned = now()
        if reply.status >= 500:
            self._check_failure(reply, operation)
            time.sleep(PAUSE_S)
            return None
        return reply

    # ---- changes ----

    def change(
        self, operation: Operation, method: str, path: str, body: Any = None, *, repeat: bool | None = None
    ) -> dict[str, Any] | None:
        """Makes a change, and records it. Returns the metadata in the answer. With `repeat`, repeats the request on any
        replica until it is answered."""
        repeat = self.chance.random() < REPEATED if repeat is None else repeat
        operation.id = self.history.name("op")
        headers = {"x-request-id": operation.id, **({"Idempotency-Key": fresh_key()} if repeat else {})}
        sent = json.dumps(body).encode() if body is not None else None
        operation.call = now()
        reply, maybe = self._until_answered(operation, method, path, sent, headers, repeat)
        if reply is None:
            operation.outcome, operation.returned = UNKNOWN if maybe else NOT_APPLIED, now()
            self.history.add(operation)
            return None
        operation.returned = now()
        metadata = None
        if reply.status in (200, 204):
            operation.outcome = DONE
            metadata = reply.json().get("metadata") if reply.content else None
            operation.seen = Table.of(metadata) if metadata else None
        elif reply.status == 410 and repeat:
            # The change was made, and its table is gone.
            operation.outcome = DONE
        else:
            operation.outcome = self._refusal(reply, operation)
        self.history.add(operation)
        return metadata

    def _until_answered(
        self, operation: Operation, method: str, path: str, body: bytes | None, headers: dict[str, str], repeat: bool
    ) -> tuple[Reply | None, bool]:
        """Returns the answer, or None, and whether the change may have been made without an answer."""
        deadline = time.monotonic() + REPEAT_DEADLINE_S
        maybe = False
        while True:
            operation.attempts += 1
            reply, sent = self._attempt(method, path, body, headers)
            if reply is not None and reply.status < 500 and reply.status != 429:
                return reply, maybe
            if reply is not None:
                self._check_failure(reply, operation)
            # With `Retry-After` the answer says that nothing was changed.
            maybe = maybe or (sent if reply is None else not reply.headers.get("Retry-After"))
            if not repeat or time.monotonic() > deadline:
                return None, maybe
            time.sleep(PAUSE_S)

    def _attempt(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[Reply | None, bool]:
        """Sends a request. Returns the answer, and whether the server may have got it."""
        replica = self.chance.randrange(len(self._clients))
        if self.chance.random() < LEFT:
            return None, self._leave(self._uris[replica], method, path, body, headers)
        try:
            return self._clients[replica].send(method, path, body, headers), True
        except Lost as lost:
            return None, not isinstance(lost.__cause__, ConnectionRefusedError)

    def _leave(self, uri: str, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> bool:
        """Sends a request, and closes the connection soon. Returns whether the server may have got it."""
        where = urlsplit(uri)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=REQUEST_TIMEOUT_S)
        kind = {"Content-Type": "application/json"} if body is not None else {}
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {self._key}", **kind, **headers})
            time.sleep(self.chance.uniform(0, 0.01))
        except ConnectionRefusedError:
            return False
        except OSError:
            pass
        finally:
            connection.close()
        return True

    # ---- answers ----

    def _refusal(self, reply: Reply, operation: Operation) -> str:
        error = error_of(reply)
        outcome = REFUSALS.get((reply.status, error["type"]))
        if outcome is not None:
            return outcome
        if reply.status == 409 and error["type"] == "CommitFailedException":
            return FAILED if error["message"].startswith("Requirement failed") else NOT_APPLIED
        self.history.complain(f"{operation.id or operation.kind} {operation.table}: {reply.status} {reply.content[:400]!r}")
        return NOT_APPLIED

    def _check_failure(self, reply: Reply, operation: Operation) -> None:
        """Complains about a failure that is no answer to a missing database."""
        expected = reply.status in (429, 503, 504) or error_of(reply)["type"] == "CommitStateUnknownException"
        if not expected:
            self.history.complain(f"{operation.id or operation.kind} {operation.table}: {reply.status} {reply.content[:400]!r}")


def error_of(reply: Reply) -> dict[str, Any]:
    """Returns an answer's error, or an empty one if it has another form."""
    try:
        return reply.json()["error"]
    except (ValueError, KeyError, TypeError):
        return {"type": "", "message": ""}
