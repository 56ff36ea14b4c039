"""What makes schemathesis meet what is there: a namespace with a table and a view, and bodies that mean something.

It is also the file of hooks that `schemathesis run` loads: SCHEMATHESIS_HOOKS names it, and the environment says where the server is.
"""

from __future__ import annotations

import atexit
import itertools
import json
import os
import re
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode

from support import documents
from support.rest import Rest, answer

PREFIX = "quickstart"
AT = {"prefix": PREFIX, "namespace": "ns", "table": "t", "view": "v", "function": "f"}

# Where the hooks find the server, and where they write how often which operation answered what.
URI, KEY, STATUSES = "TIDEWATER_TESTED_URI", "TIDEWATER_TESTED_KEY", "TIDEWATER_TESTED_STATUSES"


class World:
    """A namespace with a table and a view that are there for each request."""

    def __init__(self, uri: str, key: str):
        self.rest = Rest(uri, key, PREFIX)

    def restore(self) -> None:
        """Makes what is missing."""
        if self.rest.head("/namespaces/ns").status_code == 404:
            self.rest.create_namespace("ns")
        if self.rest.head("/namespaces/ns/tables/t").status_code == 404:
            self.rest.create_table("ns", documents.table("t"))
        if self.rest.head("/namespaces/ns/views/v").status_code == 404:
            answer(self.rest.post("/namespaces/ns/views", json=documents.view("v")))


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
    "POST /v1/{prefix}/tables/rename": rename("t", "another"),
    "POST /v1/{prefix}/transactions/commit": {
        "table-changes": [documents.table_change("ns", "t", [documents.set_properties(b="c")])]
    },
    "POST /v1/{prefix}/namespaces/{namespace}/views": documents.view("another_view"),
    "POST /v1/{prefix}/namespaces/{namespace}/views/{view}": {"updates": [documents.set_properties(a="b")]},
    "POST /v1/{prefix}/views/rename": rename("v", "another_view"),
}


def share(value: Any) -> int:
    """One of four shares that a generated value belongs to; the same for the same value."""
    return zlib.crc32(repr(value).encode()) % 4


def is_valid(case: schemathesis.Case, location: ParameterLocation) -> bool:
    """Whether that part of the request is as the document wants it; what was spoilt on purpose is left so."""
    component = case.meta.components.get(location) if case.meta else None
    return component is None or component.mode == GenerationMode.POSITIVE


def lead_somewhere(case: schemathesis.Case) -> None:
    """Most requests are about what is there; some have one name wrong, some all."""
    if case.path_parameters and is_valid(case, ParameterLocation.PATH):
        case.path_parameters = {
            name: AT[name] if name in AT and share(value) else value for name, value in case.path_parameters.items()
        }


def mean_something(case: schemathesis.Case) -> None:
    """Every other body is what a client would send, with a name that is new."""
    known = BODIES.get(case.operation.label)
    if known is not None and share(case.body) < 2 and is_valid(case, ParameterLocation.BODY):
        case.body = json.loads(json.dumps(known).replace("another", f"another{next(_numbers)}"))


_numbers = itertools.count()


def begin(world: World, statuses: Path) -> None:
    """Registers the hooks: every request leaves the world as it should be for the next, and is counted."""
    counts: Counter[str] = Counter()

    def restore(context: schemathesis.HookContext, case: schemathesis.Case, response: Any) -> None:
        counts[f"{case.operation.label} {response.status_code}"] += 1
        takes_away = case.method == "DELETE" or re.search("rename|unregister|commit", case.path)
        if takes_away and response.status_code < 300:
            world.restore()

    def prepare(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
        lead_somewhere(case)
        mean_something(case)

    schemathesis.hook("before_call")(prepare)
    schemathesis.hook("after_call")(restore)
    atexit.register(lambda: statuses.write_text(json.dumps(counts)))


if STATUSES in os.environ:
    begin(World(os.environ[URI], os.environ[KEY]), Path(os.environ[STATUSES]))
