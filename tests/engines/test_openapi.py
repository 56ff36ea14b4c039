"""Compares the server with its own OpenAPI document at /openapi.json.

First every operation once with a valid request, then schemathesis: valid and invalid requests generated from the
document with a fixed seed. Every answer must match the document.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from schemathesis.checks import CHECKS, load_all_checks

from support import openapi
from support.admin import Admin
from support.conformance import SPECIFICATION
from support.keys import fresh_key
from support.lake import Lake
from support.openapi import BODIES, PULL, World
from support.rest import answer
from support.server import Server, clean_environment

SEED = int(os.environ.get("TIDEWATER_FUZZ_SEED", "1"))
# Requests made at random for each operation, beside those that cover the edges of the document; about a minute in all.
EXAMPLES = int(os.environ.get("TIDEWATER_FUZZ_OPENAPI", "12"))

CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
# What is asked of requests that are made at random only.
CHECKED_AT_RANDOM = (*CHECKED, "negative_data_rejection", "unsupported_method", "allow_header_conformance", "ignored_auth")

SIGN = "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/sign"
MANAGED = "/management/v1/warehouses/{warehouse}"
PREVIEW = f"GET {MANAGED}/namespaces/{{namespace}}/tables/{{table}}/preview"
EVENTS = "GET /management/v1/organisations/{organisation}/events"
ORGANISATION = "/management/v1/organisations/{organisation}"
WAREHOUSE = f"{ORGANISATION}/warehouses/{{warehouse}}"
RECEIVER = {"name": "another", "url": "https://receiver.invalid/hook"}
# What only operators and the server's machine may do: an admin of an organisation is answered 403.
OPERATORS = {
    "GET /management/v1/operators": {},
    "POST /management/v1/operators": {"body": {"name": "ops"}},
    "DELETE /management/v1/operators/{operator}": {},
    "GET /management/v1/organisations": {},
    "POST /management/v1/organisations": {"body": {"name": "another"}},
    f"PATCH {ORGANISATION}": {"body": {"tier": "premium"}},
    f"DELETE {ORGANISATION}": {},
    f"POST {ORGANISATION}/restore": {},
    "GET /management/v1/events": {},
    "GET /management/v1/audit": {},
    "GET /management/v1/subscriptions": {},
    "POST /management/v1/subscriptions": {"body": RECEIVER},
    "GET /management/v1/subscriptions/{subscription}": {},
    "PATCH /management/v1/subscriptions/{subscription}": {"body": {"disabled": True}},
    "DELETE /management/v1/subscriptions/{subscription}": {},
    "POST /management/v1/subscriptions/{subscription}/rotate": {"body": {}},
    "POST /management/v1/subscriptions/{subscription}/test": {},
    "GET /management/v1/subscriptions/{subscription}/dead-letters": {},
    "DELETE /management/v1/subscriptions/{subscription}/dead-letters": {"body": {}},
    "POST /management/v1/subscriptions/{subscription}/dead-letters/replay": {"body": {}},
    "GET /management/v1/signing-keys": {},
    "POST /management/v1/signing-keys": {"body": {}},
    "DELETE /management/v1/signing-keys": {"query": {"created-before-ms": 0}},
    "GET /management/v1/status": {},
    "GET /metrics": {},
    "GET /management/v1/settings": {},
    "GET /management/v1/slow-requests": {},
    "POST /management/v1/reload": {},
    "POST /management/v1/reseal": {"body": {}},
    "POST /management/v1/backup": {"body": {"file": "/tmp/another.db"}},
    f"POST {ORGANISATION}/warehouses": {"body": {"name": "another", "root": "file:///srv/another"}},
}
RESTRICTIONS = f"{WAREHOUSE}/namespaces/{{namespace}}/tables/{{table}}/restrictions"
RESTRICTION = {"filter": {"type": "not-null", "term": {"type": "reference", "id": 1}}, "others": "plan"}
# The objects of labels, and the labels of their columns.
FIELDS = {"fields": [{"field-id": 1, "labels": {"class": "pii"}}]}
LABELLED: dict[str, dict[str, Any]] = {
    "/namespaces/{namespace}": {},
    "/namespaces/{namespace}/tables/{table}": FIELDS,
    "/namespaces/{namespace}/views/{view}": {},
}
GRANT = {"privilege": "TABLE_READ_DATA", "type": "namespace", "namespace": ["ns"]}
# An admin's requests in their order, with the expected statuses.
ADMINS: list[tuple[str, dict[str, Any], int]] = [
    (f"GET {ORGANISATION}", {}, 200),
    ("GET /management/v1/tiers", {}, 200),
    (f"GET {ORGANISATION}/usage", {"query": {"by": "key"}}, 200),
    (f"GET {ORGANISATION}/audit", {"query": {"decision": "allowed", "page-size": 5, "page-token": ""}}, 200),
    (f"POST {ORGANISATION}/keys", {"body": {"name": "another", "role": "reader"}}, 200),
    (f"GET {ORGANISATION}/keys", {"query": {"page-size": 1, "page-token": ""}}, 200),
    (f"GET {ORGANISATION}/keys/{{key}}", {}, 200),
    (f"PATCH {ORGANISATION}/keys/{{key}}", {"body": {"no-delete": True}}, 200),
    (f"POST {ORGANISATION}/keys/{{key}}/rotate", {"body": {"overlap-s": 0}}, 200),
    (f"DELETE {ORGANISATION}/keys/{{key}}", {}, 204),
    (f"GET {ORGANISATION}/warehouses", {}, 200),
    (f"GET {WAREHOUSE}", {}, 200),
    (f"PATCH {WAREHOUSE}", {"body": {"options": {"purge": "after-retention"}}}, 200),
    (f"DELETE {WAREHOUSE}", {}, 409),
    (f"POST {WAREHOUSE}/check", {}, 200),
    (f"GET {WAREHOUSE}/namespaces", {}, 200),
    (f"GET {WAREHOUSE}/namespaces/{{namespace}}", {}, 200),
    (f"GET {WAREHOUSE}/tables", {"query": {"namespace": "ns"}}, 200),
    (f"POST {WAREHOUSE}/tables/check", {"body": {}}, 200),
    (f"GET {WAREHOUSE}/dropped", {}, 200),
    (f"GET {WAREHOUSE}/dropped/{{id}}", {}, 200),
    (f"GET {WAREHOUSE}/metrics", {}, 200),
    (f"PUT {WAREHOUSE}/maintenance/policy", {"body": {"expire-snapshots": {"min-snapshots-to-keep": 2}}}, 200),
    (f"GET {WAREHOUSE}/maintenance/policy", {"query": {"namespace": "ns"}}, 200),
    (
        f"POST {WAREHOUSE}/maintenance/runs",
        {"body": {"identifier": {"namespace": ["ns"], "name": "t"}, "operation": "expire-snapshots", "dry-run": True}},
        200,
    ),
    (f"GET {WAREHOUSE}/maintenance/runs", {"query": {"page-size": 1, "page-token": ""}}, 200),
    (f"GET {WAREHOUSE}/maintenance/health", {"query": {"namespace": "ns", "table": "t"}}, 200),
    (f"DELETE {WAREHOUSE}/dropped/{{id}}", {}, 204),
    (f"POST {WAREHOUSE}/dropped/{{id}}/restore", {}, 404),
]
# A subscription to events. Nobody answers at its address.
SUBSCRIPTIONS = f"{ORGANISATION}/subscriptions"
SUBSCRIPTION = f"{SUBSCRIPTIONS}/{{subscription}}"
ADMINS += [
    (f"POST {SUBSCRIPTIONS}", {"body": {**RECEIVER, "objects": ["ns.*"], "operations": ["update-table"]}}, 200),
    (f"GET {SUBSCRIPTIONS}", {"query": {"page-size": 1, "page-token": ""}}, 200),
    (f"GET {SUBSCRIPTION}", {}, 200),
    (f"PATCH {SUBSCRIPTION}", {"body": {"disabled": True}}, 200),
    (f"POST {SUBSCRIPTION}/rotate", {"body": {"overlap-s": 60}}, 200),
    (f"POST {SUBSCRIPTION}/test", {}, 200),
    (f"GET {SUBSCRIPTION}/dead-letters", {"query": {"page-size": 1, "page-token": ""}}, 200),
    (f"POST {SUBSCRIPTION}/dead-letters/replay", {"body": {}}, 200),
    (f"DELETE {SUBSCRIPTION}/dead-letters", {"body": {"events": ["another"]}}, 200),
    (f"DELETE {SUBSCRIPTION}", {}, 204),
]
# Access, as an admin sets it up.
ADMINS += [
    (f"POST {ORGANISATION}/principal-roles", {"body": {"name": "analysts"}}, 200),
    (f"GET {ORGANISATION}/principal-roles", {}, 200),
    (f"GET {ORGANISATION}/principals", {}, 200),
    (f"GET {ORGANISATION}/users", {}, 200),
    (f"GET {ORGANISATION}/users/{{user}}", {}, 404),
    (f"PATCH {ORGANISATION}/users/{{user}}", {"body": {"disabled": True}}, 404),
    (f"DELETE {ORGANISATION}/users/{{user}}", {}, 404),
    (f"PUT {ORGANISATION}/principal-roles/{{principal-role}}/principals/{{principal}}", {}, 204),
    (f"GET {ORGANISATION}/principal-roles/{{principal-role}}/principals", {}, 200),
    (f"POST {WAREHOUSE}/catalog-roles", {"body": {"name": "readers"}}, 200),
    (f"GET {WAREHOUSE}/catalog-roles", {}, 200),
    (f"PUT {WAREHOUSE}/catalog-roles/{{catalog-role}}/principal-roles/{{principal-role}}", {}, 204),
    (f"GET {WAREHOUSE}/catalog-roles/{{catalog-role}}/principal-roles", {}, 200),
    (f"PUT {WAREHOUSE}/catalog-roles/{{catalog-role}}/grants", {"body": GRANT}, 204),
    (f"GET {WAREHOUSE}/catalog-roles/{{catalog-role}}/grants", {}, 200),
    (f"PUT {RESTRICTIONS}/{{principal-role}}", {"body": RESTRICTION}, 204),
    (f"GET {RESTRICTIONS}/{{principal-role}}", {}, 200),
    (f"GET {RESTRICTIONS}", {}, 200),
    (f"DELETE {RESTRICTIONS}/{{principal-role}}", {}, 204),
    *(
        call
        for path, more in LABELLED.items()
        for call in (
            (f"PUT {WAREHOUSE}{path}/labels", {"body": {"object-labels": {"owner": "sales"}, **more}}, 200),
            (f"PATCH {WAREHOUSE}{path}/labels", {"body": {"set": {"domain": "retail"}, "remove": ["none"]}}, 200),
            (f"GET {WAREHOUSE}{path}/labels", {}, 200),
        )
    ),
    (f"GET {WAREHOUSE}/labels", {"query": {"key": "owner", "value": "sales", "inherited": "false", "page-size": 1, "page-token": ""}}, 200),
    (f"GET {WAREHOUSE}/search", {"query": {"name": "t", "page-size": 1, "page-token": ""}}, 200),
    (f"GET {WAREHOUSE}/access", {"query": {"action": "load-table", "namespace": "ns", "table": "t"}}, 200),
    (f"POST {WAREHOUSE}/catalog-roles/{{catalog-role}}/grants", {"body": GRANT}, 204),
    (f"DELETE {WAREHOUSE}/catalog-roles/{{catalog-role}}/principal-roles/{{principal-role}}", {}, 204),
    (f"DELETE {WAREHOUSE}/catalog-roles/{{catalog-role}}", {}, 204),
    (f"PUT {ORGANISATION}/trusted-engines/{{principal}}", {}, 204),
    (f"GET {ORGANISATION}/trusted-engines", {}, 200),
    (f"DELETE {ORGANISATION}/trusted-engines/{{principal}}", {}, 204),
    (f"DELETE {ORGANISATION}/principal-roles/{{principal-role}}/principals/{{principal}}", {}, 204),
    (f"DELETE {ORGANISATION}/principal-roles/{{principal-role}}", {}, 204),
    ("GET /management/v1/who-am-i", {}, 200),
]
# Access, as an admin sets it up with Polaris' tools. The principal is 'robot', so that no test takes the quickstart's key away.
POLARIS = "/api/management/v1"
CATALOG = f"{POLARIS}/catalogs/{{warehouse}}"
CATALOG_ROLE = f"{CATALOG}/catalog-roles/{{catalog-role}}"
PRINCIPAL = f"{POLARIS}/principals/{{principal}}"
PRINCIPAL_ROLE = f"{POLARIS}/principal-roles/{{principal-role}}"
POLARIS_GRANT = {"grant": {"type": "namespace", "namespace": ["ns"], "privilege": "TABLE_READ_DATA"}}
NEW_CATALOG = {
    "name": "another",
    "properties": {"default-base-location": "file:///srv/another"},
    "storageConfigInfo": {"storageType": "FILE"},
}
UPDATE = {"currentEntityVersion": 1, "properties": {"a": "b"}}
LISTS = "/api/catalog/polaris/v1/{warehouse}"
POLARIS_REQUESTS: list[tuple[str, dict[str, Any], int]] = [
    (f"GET {POLARIS}/catalogs", {}, 200),
    (f"POST {POLARIS}/catalogs", {"body": {"catalog": NEW_CATALOG}}, 403),
    (f"GET {CATALOG}", {}, 200),
    (f"PUT {CATALOG}", {"body": {"properties": {"a": "b"}}}, 200),
    (f"DELETE {CATALOG}", {}, 409),
    (f"POST {POLARIS}/principals", {"body": {"principal": {"name": "robot"}}}, 201),
    (f"GET {POLARIS}/principals", {}, 200),
    (f"GET {PRINCIPAL}", {}, 200),
    (f"PUT {PRINCIPAL}", {"body": UPDATE}, 200),
    (f"PUT {PRINCIPAL}", {"body": UPDATE}, 409),
    (f"POST {PRINCIPAL}/rotate", {}, 200),
    (f"POST {PRINCIPAL}/reset", {"body": {}}, 200),
    (f"POST {POLARIS}/principal-roles", {"body": {"principalRole": {"name": "analysts"}}}, 201),
    (f"GET {POLARIS}/principal-roles", {}, 200),
    (f"GET {PRINCIPAL_ROLE}", {}, 200),
    (f"PUT {PRINCIPAL_ROLE}", {"body": UPDATE}, 200),
    (f"PUT {PRINCIPAL}/principal-roles", {"body": {"principalRole": {"name": "analysts"}}}, 201),
    (f"GET {PRINCIPAL}/principal-roles", {}, 200),
    (f"GET {PRINCIPAL_ROLE}/principals", {}, 200),
    (f"POST {CATALOG}/catalog-roles", {"body": {"catalogRole": {"name": "readers"}}}, 201),
    (f"GET {CATALOG}/catalog-roles", {}, 200),
    (f"GET {CATALOG_ROLE}", {}, 200),
    (f"PUT {CATALOG_ROLE}", {"body": UPDATE}, 200),
    (f"PUT {PRINCIPAL_ROLE}/catalog-roles/{{warehouse}}", {"body": {"catalogRole": {"name": "readers"}}}, 201),
    (f"GET {PRINCIPAL_ROLE}/catalog-roles/{{warehouse}}", {}, 200),
    (f"GET {CATALOG_ROLE}/principal-roles", {}, 200),
    (f"PUT {CATALOG_ROLE}/grants", {"body": POLARIS_GRANT}, 201),
    (f"GET {CATALOG_ROLE}/grants", {}, 200),
    (f"POST {CATALOG_ROLE}/grants", {"body": POLARIS_GRANT, "query": {"cascade": "true"}}, 201),
    (f"DELETE {PRINCIPAL_ROLE}/catalog-roles/{{warehouse}}/{{catalog-role}}", {}, 204),
    (f"DELETE {CATALOG_ROLE}", {}, 204),
    (f"DELETE {PRINCIPAL}/principal-roles/{{principal-role}}", {}, 204),
    (f"DELETE {PRINCIPAL_ROLE}", {}, 204),
    (f"DELETE {PRINCIPAL}", {}, 204),
    (f"GET {LISTS}/applicable-policies", {}, 200),
    (f"GET {LISTS}/namespaces/{{namespace}}/policies", {}, 200),
    (f"GET {LISTS}/namespaces/{{namespace}}/generic-tables", {}, 200),
]
# Requests made at random are not about these: one of them could take away the key that they are made with.
ADMINISTRATION = r"^/api/management/|^/management/v1/(?!warehouses/|organisations/[^/]+/events)|^/metrics$"
# Operations of this server outside of the specification.
OWN = {
    *OPERATORS,
    *(label for label, _, _ in ADMINS),
    *(label for label, _, _ in POLARIS_REQUESTS),
    "GET /health",
    "GET /ready",
    "GET /management/v1/sign-in",
    "GET /openapi.json",
    f"GET {MANAGED}/dropped",
    f"GET {MANAGED}/dropped/{{id}}",
    f"POST {MANAGED}/dropped/{{id}}/restore",
    f"DELETE {MANAGED}/dropped/{{id}}",
    f"GET {MANAGED}/metrics",
    PREVIEW,
    EVENTS,
    # A proposal, https://github.com/apache/iceberg/pull/12584.
    PULL,
}


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server]) -> Server:
    server = make_server("openapi", env={"TIDEWATER_CONNECTIONS__TRUSTED_PROXIES": "127.0.0.1", "TIDEWATER_EVENTS__PULL": "true"})
    server.start()
    return server


@pytest.fixture(scope="module")
def world(server: Server) -> World:
    assert server.printed is not None
    return World(server.uri, server.key, server.printed.warehouse)


@pytest.fixture(scope="module")
def signed(signing_lake: Lake) -> World:
    """A world in a warehouse on S3 whose requests are signed."""
    admin = Admin(signing_lake.server).key(signing_lake.organisation, "admin")
    return World(signing_lake.server.uri, admin.text, "lake")


def documented(server: Server) -> set[str]:
    """Returns every operation of the document."""
    document = answer(requests.get(f"{server.uri}/openapi.json", timeout=60))
    return {
        f"{method.upper()} {path}"
        for path, members in document["paths"].items()
        for method in members
        if method != "parameters"
    }


def test_documented_operations_match_the_specification(server: Server) -> None:
    assert documented(server) - set(SPECIFICATION) == OWN
    assert set(SPECIFICATION) <= documented(server)


def named(body: Any, name: str) -> Any:
    """Returns the body with another name for the created object."""
    return json.loads(json.dumps(body).replace("another", name))


def ask(world: World, label: str, parts: dict[str, Any], status: int) -> Any:
    """Sends one request, checks the answer against the document and the status, and returns it."""
    load_all_checks()
    schema = schemathesis.openapi.from_url(f"{world.rest.uri}/openapi.json")
    method, path = label.split(" ")
    names = re.findall(r"\{([a-z-]+)\}", path)
    at = {name: value for name, value in parts.pop("path_parameters", world.at).items() if name in names}
    case = schema[path][method].Case(path_parameters=at, **parts)
    signed_in = {"Authorization": f"Bearer {world.rest.key}"}
    response = case.call_and_validate(checks=CHECKS.get_by_names(list(CHECKED)), headers=signed_in)
    assert response.status_code == status, f"{label}: {response.status_code} {response.text[:1000]}"
    return response


def good_requests(world: World, server: Server) -> Iterator[tuple[str, dict[str, Any], int]]:
    """Yields a valid request for every operation of the document, with the expected status. Each depends on those before it."""
    base, at = "/v1/{prefix}", "/v1/{prefix}/namespaces/{namespace}"
    token = {"grant_type": "client_credentials", "client_secret": server.key}
    yield "GET /health", {}, 200
    yield "GET /ready", {}, 200
    yield "GET /management/v1/sign-in", {}, 200
    yield "GET /openapi.json", {}, 200
    yield "POST /v1/oauth/tokens", {"body": token, "media_type": "application/x-www-form-urlencoded"}, 200
    yield "GET /v1/config", {"query": {"warehouse": world.warehouse}}, 200
    for operation in (f"POST {base}/namespaces", f"POST {at}/properties", f"POST {at}/tables", f"POST {at}/views"):
        yield operation, {"body": named(BODIES[operation], "made"), "headers": {"Idempotency-Key": fresh_key()}}, 200
    for kind in ("tables", "views", "functions"):
        yield f"GET {at}/{kind}", {"query": {"pageToken": "", "pageSize": 1}}, 200
    yield f"GET {base}/namespaces", {"query": {"pageToken": "", "pageSize": 1}}, 200
    yield f"GET {at}", {}, 200
    yield f"HEAD {at}", {}, 204
    yield f"GET {at}/functions/{{function}}", {}, 404
    for query in ({}, {"snapshots": "refs"}, {"snapshots": "all"}):
        yield f"GET {at}/tables/{{table}}", {"query": query}, 200
    yield f"GET {at}/tables/{{table}}", {"headers": {"If-None-Match": "*"}}, 304
    yield f"HEAD {at}/tables/{{table}}", {}, 204
    yield f"GET {at}/tables/{{table}}/credentials", {}, 200
    plan, tasks = f"{at}/tables/{{table}}/plan", f"POST {at}/tables/{{table}}/tasks"
    yield f"POST {plan}", {"body": BODIES[f"POST {plan}"], "headers": {"Idempotency-Key": fresh_key()}}, 200
    # No plan is kept, and nobody has the plan task.
    yield f"GET {plan}/{{plan-id}}", {}, 404
    yield f"DELETE {plan}/{{plan-id}}", {}, 204
    yield tasks, {"body": BODIES[tasks]}, 404
    # Nothing is signed for tables on local disk.
    yield SIGN, {"body": BODIES[SIGN]}, 400
    yield from good_management_requests(world)
    for operation, status in (
        (f"POST {at}/tables/{{table}}", 200),
        (f"POST {at}/tables/{{table}}/metrics", 204),
        (f"POST {base}/transactions/commit", 204),
        (f"POST {base}/tables/rename", 204),
        (PULL, 200),
        (f"POST {at}/views/{{view}}", 200),
    ):
        yield operation, {"body": named(BODIES[operation], "renamed")}, status
    yield f"GET {at}/views/{{view}}", {}, 200
    yield f"HEAD {at}/views/{{view}}", {}, 204
    view_location = answer(world.rest.get("/namespaces/ns/views/v"))["metadata-location"]
    yield f"POST {base}/views/rename", {"body": named(BODIES[f"POST {base}/views/rename"], "renamed")}, 204
    renamed = {**world.at, "table": "renamed", "view": "renamed_view"}
    table_location = world.rest.load("ns", "renamed")["metadata-location"]
    yield f"POST {at}/tables/{{table}}/unregister", {"path_parameters": renamed}, 200
    yield f"POST {at}/register", {"body": {"name": "t", "metadata-location": table_location}}, 200
    yield f"DELETE {at}/views/{{view}}", {"path_parameters": renamed}, 204
    yield f"POST {at}/register-view", {"body": {"name": "v", "metadata-location": view_location}}, 200
    yield f"DELETE {at}/tables/{{table}}", {"query": {"purgeRequested": False}}, 204
    yield f"DELETE {at}", {"path_parameters": {**world.at, "namespace": "made"}}, 204


def good_management_requests(world: World) -> Iterator[tuple[str, dict[str, Any], int]]:
    """Yields valid requests for the operations that only this server has."""
    page = {"page-token": "", "page-size": 1}
    yield f"GET {MANAGED}/dropped", {"query": {"namespace": "ns", "type": "table", **page}}, 200
    yield f"GET {MANAGED}/dropped/{{id}}", {}, 200
    yield PREVIEW, {}, 200
    (report, *_) = world.reports()
    for query in (
        {"namespace": "ns", "table": "t", **page},
        {"table-id": report["table-id"], "report-type": "scan-report", "since": report["received-ms"]},
    ):
        yield f"GET {MANAGED}/metrics", {"query": query}, 200
    for query in ({"object": "ns.t", **page}, {"operation": "create-table", "actor": "quickstart", "since": 0}):
        yield EVENTS, {"query": query}, 200
    restore = f"POST {MANAGED}/dropped/{{id}}/restore"
    yield restore, {"body": named(BODIES[restore], "restored")}, 204
    yield restore, {}, 404
    world.restore()
    yield restore, {}, 204
    world.restore()
    yield f"DELETE {MANAGED}/dropped/{{id}}", {"query": {"purge-requested": True}}, 204
    world.restore()


def test_every_operation_answers_as_the_document_says(server: Server, world: World) -> None:
    world.restore()
    seen = set()
    for label, parts, status in good_requests(world, server):
        ask(world, label, parts, status)
        seen.add(label)
    for label, parts in OPERATORS.items():
        ask(world, label, dict(parts), 403)
        seen.add(label)
    world.restore()
    for label, parts, status in ADMINS:
        ask(world, label, dict(parts), status)
        seen.add(label)
    for label, parts, status in POLARIS_REQUESTS:
        ask(world, label, {**parts, "path_parameters": {**world.at, "principal": "robot"}}, status)
        seen.add(label)
    world.restore()
    assert seen == documented(server)


def test_signing_answers_match_the_document(signed: World) -> None:
    signed.restore()
    for method, may_be_kept in (("GET", "private"), ("PUT", "no-cache")):
        body = {**signed.body(SIGN), "method": method}
        response = ask(signed, SIGN, {"body": body}, 200)
        assert response.headers["cache-control"] == [may_be_kept]


# It takes a minute; a machine that does much else at once is given time.
@pytest.mark.timeout(920)
def test_answers_to_generated_requests_match_the_document(world: World, tmp_path: Path) -> None:
    check_reach(fuzz(world, tmp_path))


@pytest.mark.timeout(920)
def test_answers_to_generated_signing_requests_match_the_document(signed: World, tmp_path: Path) -> None:
    counts = fuzz(signed, tmp_path, "--include-path-regex", "/sign$", examples=10 * EXAMPLES)
    assert all(counts[f"{SIGN} {status}"] >= EXAMPLES for status in (200, 400)), counts


def fuzz(world: World, tmp_path: Path, *options: str, examples: int = EXAMPLES) -> Counter[str]:
    """Runs schemathesis. Returns how often each operation was answered with each status."""
    world.restore()
    statuses = tmp_path / "statuses.json"
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{world.rest.uri}/openapi.json", *options]
    command += ["--phases", "coverage,fuzzing", "--seed", str(SEED), "--max-examples", str(examples), "--checks", ",".join(CHECKED_AT_RANDOM)]
    command += ["--exclude-path-regex", ADMINISTRATION]
    command += ["--header", f"Authorization: Bearer {world.rest.key}", "--continue-on-failure", "--no-color"]
    # The time to generate a request depends on the machine's load, not on the server.
    command += ["--suppress-health-check", "too_slow"]
    environment = {
        "SCHEMATHESIS_HOOKS": "support.openapi",
        "PYTHONPATH": str(Path(__file__).parent),
        openapi.URI: world.rest.uri,
        openapi.KEY: str(world.rest.key),
        openapi.WAREHOUSE: world.warehouse,
        openapi.STATUSES: str(statuses),
    }
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, check=False, text=True, timeout=900, env=clean_environment(environment)
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    return Counter(json.loads(statuses.read_text()))


def check_reach(counts: Counter[str]) -> None:
    """Checks that the fuzzer got other answers than 404 from more than 30 operations."""
    beyond: Counter[str] = Counter()
    for answered, count in counts.items():
        label, _, status = answered.rpartition(" ")
        beyond[label] += 0 if status == "404" else count
    assert len(beyond) > 30, beyond
    # There are no functions, and no plans are kept.
    missing = re.compile(r"\{function\}|^GET \S+/\{plan-id\}$")
    lost = [label for label, count in beyond.items() if count < EXAMPLES // 5 and not missing.search(label)]
    assert not lost, {label: beyond[label] for label in lost}
    succeeded = {answered.rpartition(" ")[0] for answered in counts if " 2" in answered}
    # To drop a namespace that is not empty, to register without knowing a document, to have a request to the local disk signed,
    # and to guess a plan task cannot succeed.
    never = {label for label in beyond if re.search(r"\{function\}|/register|/sign$|/tasks$|^DELETE \S+/\{namespace\}$", label)}
    never |= {label for label in beyond if missing.search(label)}
    assert set(beyond) - succeeded <= never, sorted(set(beyond) - succeeded - never)
