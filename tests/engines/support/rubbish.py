"""Invalid requests. Each kind returns raw bytes, or a method, a path, a body and headers."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

Request = tuple[str, str, bytes | None, dict[str, str]]
Kind = Callable[[random.Random, dict[str, Any]], Request | bytes]

RESOURCES = ("namespaces", "namespaces/{ns}/tables", "namespaces/{ns}/tables/t", "namespaces/{ns}/views", "tables/rename")
RESOURCES += ("namespaces/{ns}/register", "namespaces/{ns}/properties", "transactions/commit", "namespaces/{ns}/tables/t/metrics")
RESOURCES += ("namespaces/{ns}/tables/t/plan", "namespaces/{ns}/tables/t/sign", "nothing/of/the/kind")

BAD_TEXTS = (b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"a":', b"[" * 100_000, b'{"a":' * 50_000, b"1e999999", b'"\\ud800"')
BAD_TEXTS += (b'{"requirements":null,"updates":[{"action":"add-schema","schema":7}]}', b'{"updates":[{"action":"fly"}]}')


def _path(chance: random.Random, namespace: str) -> str:
    return "/v1/" + chance.choice(RESOURCES).format(ns=namespace)


def rubbish_bytes(chance: random.Random, task: dict[str, Any]) -> bytes:
    """Not HTTP, or only its beginning."""
    begin = chance.choice((b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\n", b"POST /v1/namespaces HTTP/1.1\r\nHost: a\r\n"))
    return begin + chance.randbytes(chance.randrange(1, 5_000)) + b"\r\n\r\n"


def endless_head(chance: random.Random, task: dict[str, Any]) -> bytes:
    """A head over the size limit."""
    line = b"X-%d: %s\r\n" % (chance.randrange(1_000), b"y" * chance.choice((10, 1_000, 60_000)))
    return b"GET /v1/config HTTP/1.1\r\nHost: a\r\n" + line * (200_000 // len(line) + 1) + b"\r\n"


def bad_text(chance: random.Random, task: dict[str, Any]) -> Request:
    """A body that cannot be read."""
    method = chance.choice(("POST", "PUT", "DELETE", "GET", "HEAD", "PATCH"))
    return method, _path(chance, task["namespace"]), chance.choice(BAD_TEXTS), {}


@cache
def _largest(max_body_bytes: int) -> bytes:
    value = "x" * (1 << 19)
    pairs = {f"k{number}": value for number in range(max_body_bytes // len(value) - 1)}
    return json.dumps({"requirements": [], "updates": [{"action": "set-properties", "updates": pairs}]}).encode()


def largest_body(chance: random.Random, task: dict[str, Any]) -> Request:
    """A body of the maximum size, usually for a missing table."""
    return "POST", f"/v1/namespaces/{task['namespace']}/tables/{chance.choice(('t', 'missing'))}", _largest(task["max_body_bytes"]), {}


def too_large(chance: random.Random, task: dict[str, Any]) -> bytes:
    """A body with a Content-Length over the limit."""
    head = f"POST {_path(chance, task['namespace'])} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {task['key']}\r\n"
    return head.encode() + b"Content-Length: 99999999999\r\n\r\n" + b"x" * 10_000


@cache
def _packed(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([packer.compress(b" " * (1 << 20)) for _ in range(size >> 20)]) + packer.flush()


def packed_body(chance: random.Random, task: dict[str, Any]) -> Request:
    """A small compressed body that decompresses to a large one, or to nothing."""
    body = chance.choice((_packed(task["max_body_bytes"] // 2), _packed(256 << 20), gzip.compress(b"{}")[:-6], b"\x1f\x8b" + b"\0" * 50))
    return "POST", _path(chance, task["namespace"]), body, {"Content-Encoding": "gzip"}


def many_columns(chance: random.Random, task: dict[str, Any]) -> Request:
    """More columns than allowed, or nearly so."""
    count = chance.choice((10_000, 60_000))
    fields = [{"id": n, "name": f"c{n}", "required": False, "type": "long"} for n in range(1, count + 1)]
    body = {"name": f"wide_{chance.randrange(10)}", "schema": {"type": "struct", "fields": fields}}
    return "POST", f"/v1/namespaces/{task['namespace']}/tables", json.dumps(body).encode(), {}


def bad_key(chance: random.Random, task: dict[str, Any]) -> Request:
    """An unknown key, or one similar to a valid key."""
    victim = task["victim"]
    keys = ("", "Basic !!", "Bearer", f"Bearer {task['key'][:-1]}", f"Bearer {victim['organisation']}", "Bearer " + "x" * 8_000)
    form = f"grant_type=client_credentials&client_id={victim['organisation']}&client_secret={chance.randrange(1 << 40)}"
    if chance.random() < 0.3:
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": ""}
        return "POST", "/v1/oauth/tokens", form.encode(), kind
    return "GET", _path(chance, victim["namespace"]), None, {"Authorization": chance.choice(keys)}


def foreign_names(chance: random.Random, task: dict[str, Any]) -> Request:
    """Another organisation's warehouse, namespace, tables and files, with the attacker's own key."""
    victim = task["victim"]
    prefix = chance.choice(("", f"/{victim['warehouse']}", f"/{victim['organisation']}", f"/{victim['organisation']}%2F{victim['warehouse']}", "/.."))
    tables = f"/v1{prefix}/namespaces/{victim['namespace']}/tables"
    own = f"/v1/namespaces/{task['namespace']}"
    move = {"action": "set-location", "location": victim["location"]}
    schema = {"type": "struct", "fields": [{"id": 1, "name": "a", "required": False, "type": "long"}]}
    table = {"name": f"stolen_{chance.randrange(5)}", "schema": schema, "location": victim["location"]}
    register = {"name": f"stolen_{chance.randrange(5)}", "metadata-location": victim["metadata_location"]}
    rename = {name: {"namespace": [victim["namespace"]], "name": name} for name in ("source", "destination")}
    change = {"identifier": rename["source"] | {"name": victim["table"]}, "requirements": [], "updates": [move]}
    requests: list[tuple[str, str, Any]] = [
        ("GET", f"{tables}/{victim['table']}", None),
        ("HEAD", f"{tables}/{victim['table']}", None),
        ("DELETE", f"{tables}/{victim['table']}?purgeRequested=true", None),
        ("POST", f"{tables}/{victim['table']}", {"requirements": [], "updates": [move]}),
        ("DELETE", f"/v1{prefix}/namespaces/{victim['namespace']}", None),
        ("POST", f"{own}/tables/t", {"requirements": [], "updates": [move]}),
        ("POST", f"{own}/tables", table),
        ("POST", f"{own}/register", register),
        ("POST", f"/v1{prefix}/tables/rename", rename),
        ("POST", f"/v1{prefix}/transactions/commit", {"table-changes": [change]}),
        ("GET", f"/v1/config?warehouse={victim['warehouse']}", None),
        ("GET", f"/v1/config?warehouse={victim['organisation']}", None),
    ]
    method, path, body = chance.choice(requests)
    return method, path, None if body is None else json.dumps(body).encode(), {}


KINDS: tuple[Kind, ...] = (
    rubbish_bytes,
    endless_head,
    bad_text,
    bad_text,
    largest_body,
    too_large,
    packed_body,
    many_columns,
    bad_key,
    foreign_names,
    foreign_names,
)
