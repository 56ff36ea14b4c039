"""Valid requests, mutated at random from a fixed seed: the server never fails, and a table stays complete.

`TIDEWATER_FUZZ_SEED` tries another seed, `TIDEWATER_FUZZ_CASES` more cases.
"""

from __future__ import annotations

import copy
import json
import os
import random
from typing import Any

import pytest

from support import documents
from support.rest import Rest, refused

SEEDS = [int(os.environ["TIDEWATER_FUZZ_SEED"])] if "TIDEWATER_FUZZ_SEED" in os.environ else [1, 2, 3]
CASES = int(os.environ.get("TIDEWATER_FUZZ_CASES", "1000"))

ODD_VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    2**31,
    2**31 - 1,
    2**63,
    2**63 - 1,
    -(2**63),
    2**64,
    1e308,
    0.5,
    -0.0,
    "",
    " ",
    "0",
    "-1",
    "a",
    "\x00",
    "\x1f",
    "..",
    "/",
    "%2F",
    "🧊",
    "x" * 300,
    "x" * 70_000,
    [],
    {},
    [[]],
    [None],
    [{}],
    {"": None},
    {"a": {"b": {"c": []}}},
    "main",
    "struct",
    "identity",
    "decimal(99999999999, 1)",
    "bucket[-1]",
    "bucket[99999999999999999999]",
    "truncate[",
    "fixed[9999999999999]",
    "assert-create",
    "set-properties",
    "unknown",
    "file:///etc/passwd",
    "s3://a/b",
    "00000000-0000-0000-0000-000000000000",
]


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """Every place inside a document, as a path of keys and indices."""
    found = [path] if path else []
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        found += places(child, (*path, key))
    return found


def parent_of(document: Any, path: tuple) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document


def spoil(random_: random.Random, document: Any) -> Any:
    """A copy with one to three places changed, removed, doubled or moved."""
    document = copy.deepcopy(document)
    for _ in range(random_.choice((1, 1, 1, 2, 3))):
        options = places(document)
        if not options:
            break
        path = random_.choice(options)
        parent, key = parent_of(document, path), path[-1]
        match random_.randrange(6):
            case 0:
                del parent[key]
            case 1 | 2:
                parent[key] = copy.deepcopy(random_.choice(ODD_VALUES))
            case 3:
                source = random_.choice(options)
                parent[key] = copy.deepcopy(parent_of(document, source)[source[-1]])
            case 4 if isinstance(parent, list):
                parent.insert(key, copy.deepcopy(parent[key]))
            case 4 | 5 if isinstance(parent, dict) and isinstance(key, str):
                parent[random_.choice((key.upper(), key + " ", "", "unknown", key[:-1]))] = parent.pop(key)
            case _:
                parent[key] = str(parent[key])
    return document


def spoil_bytes(random_: random.Random, text: bytes) -> bytes:
    """Text with a few bytes changed, cut or doubled."""
    spoilt = bytearray(text)
    for _ in range(random_.randint(1, 4)):
        position = random_.randrange(len(spoilt))
        match random_.randrange(4):
            case 0:
                spoilt[position] = random_.randrange(256)
            case 1:
                del spoilt[position : position + random_.randint(1, 20)]
            case 2:
                spoilt[position:position] = spoilt[position : position + random_.randint(1, 20)]
            case _:
                spoilt[position:position] = random_.choice(
                    (b"\xff", b"\x00", b'"', b"{", b"]", b"1e999", b"\\u0000", b"\\ud800", b"-")
                )
        if not spoilt:
            return b"{"
    return bytes(spoilt)


def a_create(random_: random.Random, name: str) -> dict[str, Any]:
    nested = {
        "type": "struct",
        "fields": [
            {"id": 5, "name": "x", "required": False, "type": "double"},
            {
                "id": 6,
                "name": "tags",
                "required": False,
                "type": {"type": "list", "element-id": 7, "element": "string", "element-required": True},
            },
            {
                "id": 8,
                "name": "counts",
                "required": False,
                "type": {
                    "type": "map",
                    "key-id": 9,
                    "key": "string",
                    "value-id": 10,
                    "value": "long",
                    "value-required": False,
                },
            },
        ],
    }
    schema = copy.deepcopy(documents.SCHEMA)
    schema["fields"].append({"id": 4, "name": "place", "required": False, "type": nested})
    schema["identifier-field-ids"] = [1]
    return {
        "name": name,
        "schema": schema,
        "partition-spec": documents.PARTITION_BY_CITY,
        "write-order": documents.SORT_BY_ID,
        "stage-create": random_.random() < 0.2,
        "properties": {
            "owner": "ana",
            "format-version": random_.choice("123"),
            "write.metadata.previous-versions-max": "5",
        },
    }


def a_commit(random_: random.Random, metadata: dict[str, Any]) -> dict[str, Any]:
    """Returns a valid commit for this table: one to four updates with their requirements."""
    location = metadata["location"]
    sequence = metadata.get("last-sequence-number", 0) + 1
    current = metadata.get("current-snapshot-id")
    current = None if current in (None, -1) else current
    more = {"first-row-id": metadata.get("next-row-id", 0), "added-rows": 1} if metadata["format-version"] == 3 else {}
    schema = next(s for s in metadata["schemas"] if s["schema-id"] == metadata["current-schema-id"])
    last = metadata["last-column-id"]
    made = documents.snapshot(location, sequence, parent=current, schema_id=metadata["current-schema-id"], **more)
    wider = {
        **schema,
        "fields": [*schema["fields"], {"id": last + 1, "name": f"c{last + 1}", "required": False, "type": "string"}],
    }
    spec = {
        "spec-id": 9,
        "fields": [
            {
                "source-id": 1,
                "field-id": 1001,
                "name": f"b{random_.randrange(9)}",
                "transform": f"bucket[{random_.randint(1, 64)}]",
            }
        ],
    }
    order = {
        "order-id": 9,
        "fields": [
            {
                "source-id": 1,
                "transform": "identity",
                "direction": random_.choice(("asc", "desc")),
                "null-order": "nulls-first",
            }
        ],
    }
    statistics = {
        "snapshot-id": current or 0,
        "statistics-path": f"{location}/s.puffin",
        "file-size-in-bytes": 4,
        "file-footer-size-in-bytes": 2,
        "blob-metadata": [],
    }
    choices: list[list[dict[str, Any]]] = [
        [documents.set_properties(a=str(random_.random()))],
        [{"action": "remove-properties", "removals": ["a", "never"]}],
        documents.append(made),
        [
            {"action": "add-schema", "schema": wider, "last-column-id": last + 1},
            {"action": "set-current-schema", "schema-id": -1},
        ],
        [{"action": "add-spec", "spec": spec}, {"action": "set-default-spec", "spec-id": -1}],
        [{"action": "add-sort-order", "sort-order": order}, {"action": "set-default-sort-order", "sort-order-id": -1}],
        [{"action": "set-snapshot-ref", "ref-name": "tag", "type": "tag", "snapshot-id": current or 1}],
        [{"action": "remove-snapshot-ref", "ref-name": "tag"}],
        [
            {
                "action": "remove-snapshots",
                "snapshot-ids": [
                    s["snapshot-id"] for s in metadata.get("snapshots", [])[:1] if s["snapshot-id"] != current
                ],
            }
        ],
        [{"action": "set-statistics", "snapshot-id": current or 0, "statistics": statistics}],
        [{"action": "remove-statistics", "snapshot-id": current or 0}],
        [{"action": "upgrade-format-version", "format-version": random_.choice((2, 3))}],
        [{"action": "assign-uuid", "uuid": metadata["table-uuid"]}],
    ]
    updates = [update for chosen in random_.sample(choices, random_.randint(1, 3)) for update in chosen]
    return {
        "requirements": [documents.assert_uuid(metadata), documents.assert_ref("main", current)],
        "updates": updates,
    }


def send(rest: Rest, path: str, body: bytes, seed: int, case: int) -> int:
    """Sends a request. Checks that the specification allows the answer. Returns the status."""
    response = rest.post(path, data=body, headers={"Content-Type": "application/json"})
    about = f"seed {seed}, case {case}: {path} {body[:3000]!r} -> {response.status_code} {response.text[:1000]}"
    assert response.status_code < 500, about
    if response.status_code != 200:
        try:
            refused(response, {400, 403, 404, 406, 409, 413, 422})
        except AssertionError as error:
            raise AssertionError(about) from error
    return response.status_code


def encode(random_: random.Random, document: Any) -> bytes:
    """Encodes the document with mutations, in its structure or its text."""
    if random_.random() < 0.2:
        return spoil_bytes(random_, json.dumps(document).encode())
    return json.dumps(spoil(random_, document), allow_nan=False).encode(errors="surrogatepass")


@pytest.mark.parametrize("seed", SEEDS)
def test_mutated_commits_leave_a_complete_table(rest: Rest, namespace: str, seed: int) -> None:
    random_ = random.Random(seed)
    statuses: dict[int, int] = {}
    loaded = rest.create_table(namespace, {**a_create(random_, "t"), "stage-create": False})
    for case in range(CASES):
        commit = a_commit(random_, loaded["metadata"])
        whole = random_.random() < 0.15
        body = json.dumps(commit).encode() if whole else encode(random_, commit)
        before = loaded
        status = send(rest, f"/namespaces/{namespace}/tables/t", body, seed, case)
        statuses[status] = statuses.get(status, 0) + 1
        loaded = rest.load(namespace, "t")
        if status != 200:
            assert loaded["metadata-location"] == before["metadata-location"], (
                f"seed {seed}, case {case}: {body[:3000]!r}"
            )
        check_whole(loaded["metadata"], f"seed {seed}, case {case}: {body[:3000]!r}")
    assert statuses.get(200, 0) > CASES // 20 and statuses.get(400, 0) > CASES // 5, statuses


def check_whole(metadata: dict[str, Any], about: str) -> None:
    """Checks that a table is complete: every named part exists."""
    schemas = {schema["schema-id"] for schema in metadata["schemas"]}
    specs = {spec["spec-id"] for spec in metadata["partition-specs"]}
    orders = {order["order-id"] for order in metadata["sort-orders"]}
    snapshots = [snapshot["snapshot-id"] for snapshot in metadata.get("snapshots", [])]
    assert metadata["current-schema-id"] in schemas and len(schemas) == len(metadata["schemas"]), about
    assert metadata["default-spec-id"] in specs and len(specs) == len(metadata["partition-specs"]), about
    assert metadata["default-sort-order-id"] in orders and len(orders) == len(metadata["sort-orders"]), about
    assert len(set(snapshots)) == len(snapshots), about
    assert all(ref["snapshot-id"] in snapshots for ref in metadata.get("refs", {}).values()), about
    current = metadata.get("current-snapshot-id")
    assert current in (None, -1) or current in snapshots, about
    assert metadata.get("refs", {}).get("main", {}).get("snapshot-id") == (
        None if current in (None, -1) else current
    ), about


@pytest.mark.parametrize("seed", SEEDS)
def test_mutated_creates_leave_complete_tables(rest: Rest, namespace: str, seed: int) -> None:
    random_ = random.Random(seed)
    statuses: dict[int, int] = {}
    for case in range(CASES // 2):
        create = a_create(random_, f"t{case}")
        body = json.dumps(create).encode() if random_.random() < 0.15 else encode(random_, create)
        status = send(rest, f"/namespaces/{namespace}/tables", body, seed, case)
        statuses[status] = statuses.get(status, 0) + 1
    assert statuses.get(200, 0) > CASES // 40 and statuses.get(400, 0) > CASES // 20, statuses
    for entry in rest.get(f"/namespaces/{namespace}/tables").json()["identifiers"]:
        check_whole(rest.load(namespace, entry["name"])["metadata"], f"seed {seed}: {entry}")


@pytest.mark.parametrize("seed", SEEDS)
def test_other_mutated_requests_get_no_server_error(rest: Rest, namespace: str, unique: str, seed: int) -> None:
    random_ = random.Random(seed)
    rest.create_table(namespace, documents.table("t"))
    requests = {
        "/namespaces": {"namespace": [f"{unique}_n", "x"], "properties": {"a": "b"}},
        f"/namespaces/{namespace}/properties": {"updates": {"a": "b"}, "removals": ["c"]},
        "/tables/rename": {
            "source": {"namespace": [namespace], "name": "none"},
            "destination": {"namespace": [namespace], "name": "other"},
        },
        f"/namespaces/{namespace}/tables/t/metrics": {
            "report-type": "scan-report",
            "table-name": "t",
            "snapshot-id": 1,
            "metrics": {},
        },
    }
    for case in range(CASES // 2):
        path = random_.choice(sorted(requests))
        response = rest.post(path, data=encode(random_, requests[path]), headers={"Content-Type": "application/json"})
        assert response.status_code < 500, f"seed {seed}, case {case}: {response.text[:500]}"
        if response.status_code not in (200, 204):
            refused(response, {400, 403, 404, 406, 409, 413, 422})
