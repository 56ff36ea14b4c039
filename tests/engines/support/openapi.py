"""Makes schemathesis use existing objects (a namespace with a table, a view and a dropped table) and meaningful
bodies.

`schemathesis run` also loads this file as its hooks: SCHEMATHESIS_HOOKS names it, and the environment has the
server's address.
"""

from __future__ import annotations

import atexit
import ipaddress
import itertools
import json
import os
import re
import time
import zlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.core import NotSet
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode

from support import documents
from support.rest import Rest, answer, empty

AT = {
    "namespace": "ns",
    "table": "t",
    "view": "v",
    "function": "f",
    "plan-id": "01980000-0000-7000-8000-000000000001",
    "organisation": "quickstart",
    "key": "another",
    "operator": "ops",
    "user": "alice@example.com",
    "principal": "quickstart",
    "principal-role": "analysts",
    "catalog-role": "readers",
    "subscription": "another",
}
REPORTED_WITHIN_S = 30.0

# Variables with the server's address, key and warehouse for the hooks, and with the file for the counts of statuses.
URI, KEY, WAREHOUSE = "TIDEWATER_TESTED_URI", "TIDEWATER_TESTED_KEY", "TIDEWATER_TESTED_WAREHOUSE"
STATUSES = "TIDEWATER_TESTED_STATUSES"


class World:
    """A namespace with a table (with a report), a view and a dropped table. All exist before each request."""

    def __init__(self, uri: str, key: str, warehouse: str):
        """`warehouse` is also the prefix; `key` belongs to an administrator."""
        self.rest = Rest(uri, key, warehouse)
        self.warehouse = warehouse
        self.management = f"{self.rest.uri}/management/v1/warehouses/{warehouse}"
        self.dropped_id = ""

    @property
    def at(self) -> dict[str, str]:
        """Returns the values of a path's parameters."""
        return {**AT, "prefix": self.warehouse, "warehouse": self.warehouse, "id": self.dropped_id}

    def body(self, operation: str) -> Any:
        """Returns a meaningful body, if the operation has one."""
        known = BODIES.get(operation)
        return {**known, "uri": self.address()} if known is TO_SIGN else known

    def address(self) -> str:
        """Returns the URL of one of the table's files, or an example if the storage has no URLs."""
        loaded = self.rest.load("ns", "t")
        endpoint, location = loaded["config"].get("s3.endpoint"), loaded["metadata"]["location"]
        return f"{endpoint.rstrip('/')}/{location.removeprefix('s3://')}/data/a" if endpoint else TO_SIGN["uri"]

    def restore(self) -> None:
        """Creates missing objects."""
        if self.rest.head("/namespaces/ns").status_code == 404:
            self.rest.create_namespace("ns")
        if self.rest.head("/namespaces/ns/tables/t").status_code == 404:
            self.rest.create_table("ns", documents.table("t"))
        if self.rest.head("/namespaces/ns/views/v").status_code == 404:
            answer(self.rest.post("/namespaces/ns/views", json=documents.view("v")))
        if not self.reports():
            self.report()
        if not any(one["id"] == self.dropped_id for one in self.dropped()):
            self.drop()

    def dropped(self) -> list[dict[str, Any]]:
        """Returns the restorable tables that this object dropped."""
        listed = answer(self.rest.get(f"{self.management}/dropped", params={"namespace": "ns"}))["dropped"]
        return [one for one in listed if one["restorable"] and one["identifier"]["name"] == "dropped"]

    def drop(self) -> None:
        if self.rest.head("/namespaces/ns/tables/dropped").status_code == 404:
            self.rest.create_table("ns", documents.table("dropped"))
        empty(self.rest.delete("/namespaces/ns/tables/dropped"))
        self.dropped_id = self.dropped()[0]["id"]

    def reports(self) -> list[dict[str, Any]]:
        return answer(self.rest.get(f"{self.management}/metrics"))["reports"]

    def report(self) -> None:
        """Sends a report and waits until it is listed: reports are written in the background."""
        empty(self.rest.post("/namespaces/ns/tables/t/metrics", json=REPORT))
        deadline = time.monotonic() + REPORTED_WITHIN_S
        while not self.reports():
            assert time.monotonic() < deadline, f"the list has no report after {REPORTED_WITHIN_S} s"
            time.sleep(0.02)


def rename(source: str, destination: str) -> dict[str, Any]:
    return {
        "source": {"namespace": ["ns"], "name": source},
        "destination": {"namespace": ["ns"], "name": destination},
    }


REPORT = {
    "report-type": "scan-report",
    "table-name": "ns.t",
    "snapshot-id": 1,
    "filter": True,
    "schema-id": 0,
    "projected-field-ids": [1],
    "projected-field-names": ["id"],
    "metrics": {},
}

PULL = "POST /v1/{prefix}/events"

TO_SIGN = {"region": "us-east-1", "uri": "https://s3.example.com/bucket/t/data/a", "method": "GET", "headers": {}}

# For each operation with a body, one that means something where AT leads to.
BODIES: dict[str, Any] = {
    "POST /v1/{prefix}/namespaces": {"namespace": ["another"], "properties": {"a": "b"}},
    "POST /v1/{prefix}/namespaces/{namespace}/properties": {"updates": {"a": "c"}, "removals": ["d"]},
    "POST /v1/{prefix}/namespaces/{namespace}/tables": documents.table("another"),
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}": {
        "requirements": [],
        "updates": [documents.set_properties(a="b")],
    },
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics": REPORT,
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/plan": {"case-sensitive": True, "stats-fields": ["id"]},
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/sign": TO_SIGN,
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/tasks": {"plan-task": "a plan task"},
    "POST /v1/{prefix}/tables/rename": rename("t", "another"),
    PULL: {"page-size": 10, "object-types": ["table"], "catalog-objects-by-name": [["ns"]]},
    "POST /v1/{prefix}/transactions/commit": {
        "table-changes": [documents.table_change("ns", "t", [documents.set_properties(b="c")])]
    },
    "POST /v1/{prefix}/namespaces/{namespace}/views": documents.view("another_view"),
    "POST /v1/{prefix}/namespaces/{namespace}/views/{view}": {"updates": [documents.set_properties(a="b")]},
    "POST /v1/{prefix}/views/rename": rename("v", "another_view"),
    "POST /management/v1/warehouses/{warehouse}/dropped/{id}/restore": {
        "identifier": {"namespace": ["ns"], "name": "another"}
    },
}


def share(value: Any) -> int:
    """Assigns a generated value to one of four shares, always the same for the same value."""
    return zlib.crc32(repr(value).encode()) % 4


def is_valid(case: schemathesis.Case, location: ParameterLocation) -> bool:
    """Whether this part of the request is valid by the document. Intentionally invalid parts stay."""
    component = case.meta.components.get(location) if case.meta else None
    return component is None or component.mode == GenerationMode.POSITIVE


def lead_somewhere(case: schemathesis.Case, world: World) -> None:
    """Puts existing objects into most requests. Some get one wrong name, some only wrong names."""
    if case.path_parameters and is_valid(case, ParameterLocation.PATH):
        case.path_parameters = led(case.path_parameters, world.at)
    if case.query and is_valid(case, ParameterLocation.QUERY):
        query = led(case.query, {**AT, "table-id": world.dropped_id, "pageToken": "", "page-token": ""})
        # A request names a table in one way only.
        if case.path.endswith("/metrics") and len({"namespace", "table"} & set(query)) == 1:
            query = {**query, "namespace": AT["namespace"], "table": AT["table"]}
        if "table-id" in query and share(case.query):
            query = {name: value for name, value in query.items() if name not in {"namespace", "table"}}
        case.query = query


def led(parameters: Mapping[str, Any], there: dict[str, str]) -> dict[str, Any]:
    return {name: there[name] if name in there and share(value) else value for name, value in parameters.items()}


def mean_something(case: schemathesis.Case, world: World) -> None:
    """Replaces every other body by one that a client would send, with a new name."""
    if case.operation.label not in BODIES or not is_valid(case, ParameterLocation.BODY):
        return
    if share(case.body) < 2 and not isinstance(case.body, NotSet):
        known = world.body(case.operation.label)
        case.body = json.loads(json.dumps(known).replace("another", f"another{next(_numbers)}"))
    elif case.operation.label.endswith("/sign") and isinstance(case.body, dict):
        # Any method and headers, for a file that there may be.
        case.body = {**case.body, "uri": world.address()}


_numbers = itertools.count()
_clients = itertools.count()

# The first address of the clients. The server trusts this machine as a proxy.
CLIENTS = "10.0.0.1"


def begin(world: World, statuses: Path) -> None:
    """Registers the hooks: each restores the objects for the next request, and counts the request."""
    counts: Counter[str] = Counter()
    world.restore()

    def restore(context: schemathesis.HookContext, case: schemathesis.Case, response: Any) -> None:
        counts[f"{case.operation.label} {response.status_code}"] += 1
        takes_away = case.method == "DELETE" or re.search("rename|unregister|commit|restore", case.path)
        if takes_away and response.status_code < 300:
            world.restore()

    def prepare(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
        lead_somewhere(case, world)
        mean_something(case, world)
        # Each request comes from another client: the checks send wrong credentials, which are slowed by address.
        client = ipaddress.IPv4Address(CLIENTS) + next(_clients)
        case.headers["X-Forwarded-For"] = str(client)

    schemathesis.hook("before_call")(prepare)
    schemathesis.hook("after_call")(restore)
    atexit.register(lambda: statuses.write_text(json.dumps(counts)))


if STATUSES in os.environ:
    begin(World(os.environ[URI], os.environ[KEY], os.environ[WAREHOUSE]), Path(os.environ[STATUSES]))
