"""Writes the page `docs/conformance.md` from each client's records in `docs/conformance.json`.

A complete run of a client's tests replaces the client's record and writes the page again. Do not edit the page.
`python -m support.conformance` only writes the page, from the records and the endpoints in the router.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from support.locking import locked
from support.postgres import is_postgres

REPOSITORY = Path(__file__).resolve().parents[3]
RECORDS = REPOSITORY / "docs/conformance.json"
PAGE = REPOSITORY / "docs/conformance.md"
ENDPOINTS = REPOSITORY / "src/api/endpoints.rs"

NAMESPACE = "/v1/{prefix}/namespaces/{namespace}"
TABLE = NAMESPACE + "/tables/{table}"
VIEW = NAMESPACE + "/views/{view}"

# Every operation of the specification, in its order.
SPECIFICATION = (
    "GET /v1/config",
    "POST /v1/oauth/tokens",
    "GET /v1/{prefix}/namespaces",
    "POST /v1/{prefix}/namespaces",
    f"GET {NAMESPACE}",
    f"HEAD {NAMESPACE}",
    f"DELETE {NAMESPACE}",
    f"POST {NAMESPACE}/properties",
    f"GET {NAMESPACE}/tables",
    f"POST {NAMESPACE}/tables",
    f"GET {NAMESPACE}/functions",
    f"GET {NAMESPACE}/functions/{{function}}",
    f"POST {TABLE}/plan",
    f"GET {TABLE}/plan/{{plan-id}}",
    f"DELETE {TABLE}/plan/{{plan-id}}",
    f"POST {TABLE}/tasks",
    f"POST {NAMESPACE}/register",
    f"GET {TABLE}",
    f"POST {TABLE}",
    f"DELETE {TABLE}",
    f"HEAD {TABLE}",
    f"POST {TABLE}/unregister",
    f"GET {TABLE}/credentials",
    f"POST {TABLE}/sign",
    "POST /v1/{prefix}/tables/rename",
    f"POST {TABLE}/metrics",
    "POST /v1/{prefix}/transactions/commit",
    f"GET {NAMESPACE}/views",
    f"POST {NAMESPACE}/views",
    f"GET {VIEW}",
    f"POST {VIEW}",
    f"DELETE {VIEW}",
    f"HEAD {VIEW}",
    "POST /v1/{prefix}/views/rename",
    f"POST {NAMESPACE}/register-view",
)

# The clients in the order of the page, with their names there.
CLIENTS = {
    "rck": "REST Compatibility Kit",
    "rck-1.11": "REST Compatibility Kit, Iceberg 1.11",
    "spark": "Spark",
    "spark-1.11": "Spark, Iceberg 1.11",
    "trino": "Trino",
    "pyiceberg": "PyIceberg",
    "duckdb": "DuckDB",
    "clickhouse": "ClickHouse (chdb)",
    "sail": "Sail",
    "iceberg-js": "iceberg-js",
    "snowflake": "Snowflake (its requests, replayed)",
    "http": "plain HTTP",
}

# The same clients with an older release of Iceberg. They have only a row, because the newer release has the details.
OLDER = ("rck-1.11", "spark-1.11")

# The client of each User-Agent. A Java client is identified by its server.
AGENTS = {
    "pyiceberg/": "pyiceberg",
    "duckdb": "duckdb",
    "clickhouse": "clickhouse",
    "sail/": "sail",
    # The User-Agent of Node's fetch.
    "node": "iceberg-js",
    "snowflake": "snowflake",
    "python-requests/": "http",
}

ANSWERED = re.compile(
    r' answered method="(?P<method>[A-Z]+)" path="(?P<path>[^"]*)" status=(?P<status>\d+) .*agent="(?P<agent>[^"]*)"'
)


@dataclass
class Record:
    """The results of a client's last complete run."""

    version: str
    works: list[str] = field(default_factory=list)
    fails: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    endpoints: list[str] = field(default_factory=list)


def with_iceberg(client: str, version: str) -> str:
    """Returns the name of the record of a client with this release of Iceberg."""
    older = f"{client}-{version.rpartition('.')[0]}"
    return older if older in OLDER else client


def endpoint_of(method: str, path: str) -> str | None:
    """Returns the operation of a request. The prefix may be missing."""
    for endpoint in SPECIFICATION:
        verb, template = endpoint.split(" ")
        pattern = re.escape(template).replace(r"/\{prefix\}", "(/[^/]+)?")
        if verb == method and re.fullmatch(re.sub(r"\\{[a-z\\-]+\\}", "[^/]+", pattern), path):
            return endpoint
    return None


def client_of(agent: str) -> str | None:
    """Returns the client of a User-Agent, if it is known."""
    return next((client for start, client in AGENTS.items() if agent.lower().startswith(start)), None)


def used_endpoints(log: str, only_client: str | None = None) -> dict[str, set[str]]:
    """Returns the operations that each client used successfully, from a server's log. Unknown User-Agents are
    `only_client`."""
    used: dict[str, set[str]] = {}
    for line in set(ANSWERED.findall(re.sub(r"\x1b\[[0-9;]*m", "", log))):
        method, path, status, agent = line
        client, endpoint = client_of(agent) or only_client, endpoint_of(method, path)
        if client and endpoint and (status.startswith("2") or status == "304"):
            used.setdefault(client, set()).add(endpoint)
    return used


def write(records: dict[str, Record]) -> None:
    """Replaces the records of these clients, and writes the page. Locks both against a concurrent run. The page is about servers
    with SQLite; a run on PostgreSQL has the same operations."""
    if is_postgres():
        return
    with locked(PAGE):
        kept = read() | {client: _ordered(record) for client, record in records.items()}
        in_order = {client: asdict(kept[client]) for client in CLIENTS if client in kept}
        RECORDS.write_text(json.dumps(in_order, indent=2) + "\n")
        PAGE.write_text(page(kept, advertised()))


def _ordered(record: Record) -> Record:
    """Returns the record in a fixed order, so that runs with the same results write the same file."""
    endpoints = [endpoint for endpoint in SPECIFICATION if endpoint in record.endpoints]
    return Record(record.version, sorted(record.works), sorted(record.fails), sorted(record.left_out), endpoints)


def read() -> dict[str, Record]:
    """All records."""
    if not RECORDS.exists():
        return {}
    return {client: Record(**record) for client, record in json.loads(RECORDS.read_text()).items()}


def advertised() -> list[str]:
    """Returns the operations that the configuration advertises."""
    return re.findall(r'^    "((?:GET|POST|HEAD|DELETE) /v1/[^"]*)",$', ENDPOINTS.read_text(), re.MULTILINE)


# ---- the page ----


def page(records: dict[str, Record], advertised: Iterable[str]) -> str:
    """The whole page."""
    parts = [HEAD, *_clients(records), "", ENDPOINTS_HEAD, *_endpoints(records, set(advertised)), ""]
    for client, record in _listed(records):
        parts += _details(client, record)
    return "\n".join(parts).rstrip() + "\n"


HEAD = """\
# Conformance

Which clients work with Tidewater, and which operations of the Iceberg REST specification it supports. The tests write this page:
`cargo xtask test` and `cargo xtask compat` each write the results of their clients. A client without a complete run has no row.

## Clients

| Client | Version | Tests that pass | That fail | Left out |
|---|---|---|---|---|"""

ENDPOINTS_HEAD = """\
## Endpoints

Every operation of the specification. `GET /v1/config` advertises exactly the operations that Tidewater serves, except the sign-in, which
is not an operation of a catalog. The last column has the clients that used the operation successfully in the tests.

| Operation | Advertised | Used by |
|---|---|---|"""


def _listed(records: dict[str, Record]) -> list[tuple[str, Record]]:
    """Returns the records of real clients, without the tests' own HTTP client."""
    return [(client, records[client]) for client in CLIENTS if client in records and client != "http"]


def _clients(records: dict[str, Record]) -> list[str]:
    return [
        f"| {CLIENTS[client]} | {record.version} | {len(record.works)} | {len(record.fails)} | {len(record.left_out)} |"
        for client, record in _listed(records)
    ]


def _endpoints(records: dict[str, Record], advertised: set[str]) -> list[str]:
    rows = []
    for endpoint in SPECIFICATION:
        known = [client for client in CLIENTS if client in records and client not in OLDER]
        users = [CLIENTS[client] for client in known if endpoint in records[client].endpoints]
        shown = "served" if endpoint.endswith("/oauth/tokens") else "yes" if endpoint in advertised else "no"
        rows.append(f"| `{endpoint}` | {shown} | {', '.join(users)} |")
    return rows


def _details(client: str, record: Record) -> list[str]:
    lines = [f"## {CLIENTS[client]} {record.version}", ""]
    # The kit's own documentation lists its many tests, and the newer release has the details of an older one.
    works = [] if client == "rck" or client in OLDER else _counted(record.works)
    for title, tests in (("Fails", record.fails), ("Left out", record.left_out), ("Works", works)):
        if tests:
            lines += [f"{title}:", "", *(f"- {test}" for test in tests), ""]
    return lines if len(lines) > 2 else []


def _counted(tests: list[str]) -> list[str]:
    """Returns each test once, with the number of its parameters."""
    names = [test.partition(" (")[0] for test in tests]
    counts = {name: names.count(name) for name in names}
    return [name if count == 1 else f"{name} ({count} times)" for name, count in counts.items()]


if __name__ == "__main__":
    write({})
