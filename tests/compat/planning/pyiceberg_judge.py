"""Compares plans of PyIceberg with the server to plans of PyIceberg alone."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.expressions import (
    AlwaysFalse,
    AlwaysTrue,
    And,
    BooleanExpression,
    EqualTo,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    IsNaN,
    IsNull,
    LessThan,
    LessThanOrEqual,
    Not,
    NotEqualTo,
    NotIn,
    NotNaN,
    NotNull,
    NotStartsWith,
    Or,
    StartsWith,
)
from pyiceberg.schema import Schema
from pyiceberg.table import DataScan, Table
from support.server import Server

UNARY = {"is-null": IsNull, "not-null": NotNull, "is-nan": IsNaN, "not-nan": NotNaN}
LITERAL = {
    "lt": LessThan, "lt-eq": LessThanOrEqual, "gt": GreaterThan, "gt-eq": GreaterThanOrEqual, "eq": EqualTo, "not-eq": NotEqualTo,
    "starts-with": StartsWith, "not-starts-with": NotStartsWith,
}  # fmt: skip
SETS = {"in": In, "not-in": NotIn}

Differs = Callable[..., None]


class Unsupported(Exception):
    """PyIceberg has no such filter."""


def expression(filter_: Any, schema: Schema, case_sensitive: bool) -> BooleanExpression:
    """Builds the filter from the JSON of Iceberg's library, with literals as a Python program gives them."""
    if isinstance(filter_, bool):
        return AlwaysTrue() if filter_ else AlwaysFalse()
    kind = filter_["type"]
    if kind in ("and", "or"):
        sides = (expression(filter_[side], schema, case_sensitive) for side in ("left", "right"))
        return (And if kind == "and" else Or)(*sides)
    if kind == "not":
        return Not(expression(filter_["child"], schema, case_sensitive))
    name = filter_["term"]
    if not isinstance(name, str) or "." in name:
        raise Unsupported("a transform, or a nested column")
    type_ = str(schema.find_field(name, case_sensitive).field_type)
    if kind in UNARY:
        return UNARY[kind](name)
    if kind in SETS:
        return SETS[kind](name, [literal(value, type_) for value in filter_["values"]])
    return LITERAL[kind](name, literal(filter_["value"], type_))


def literal(value: Any, type_: str) -> Any:
    """Returns the value as Python's type. The library writes numbers for dates and times."""
    if type_ == "date" and isinstance(value, int):
        return date(1970, 1, 1) + timedelta(days=value)
    if type_ == "time" and isinstance(value, int):
        return (datetime.min + timedelta(microseconds=value)).time()
    if type_.startswith("timestamp") and isinstance(value, int):
        instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value)
        return instant if type_.startswith("timestamptz") else instant.replace(tzinfo=None)
    if type_.startswith("decimal"):
        return Decimal(value)
    if type_ == "uuid":
        return UUID(value)
    if type_ == "binary" or type_.startswith("fixed"):
        return base64.b16decode(value.upper())
    return value


def judge_plans(server: Server, warehouse: str, namespace: str, scans: Path, most: int, counts: Counter, differs: Differs) -> None:
    """Plans scans that the library made, on both sides."""
    catalogs = {
        mode: RestCatalog(mode, uri=server.uri, token=server.key, warehouse=warehouse, **{"scan-planning-mode": mode})
        for mode in ("client", "server")
    }
    tables: dict[tuple[str, str], Table] = {}
    for line in scans.read_text().splitlines():
        if counts["plans of PyIceberg"] >= most:
            break
        scan = json.loads(line)
        request = scan["request"]
        # PyIceberg sends no incremental scans, and always reads an old snapshot with the current schema's names.
        if "start-snapshot-id" in request or request.get("use-snapshot-schema"):
            continue
        for mode, catalog in catalogs.items():
            if (mode, scan["table"]) not in tables:
                tables[mode, scan["table"]] = catalog.load_table((namespace, scan["table"]))
        compare({mode: tables[mode, scan["table"]] for mode in catalogs}, scan, counts, differs)


def compare(tables: dict[str, Table], scan: dict, counts: Counter, differs: Differs) -> None:
    """Compares a plan with the server to the answer on the wire, which the other judge has compared with rows, and to a plan without it."""
    if scan["has-fixed-partition"]:
        # PyIceberg 0.12 reads such manifests of the library wrong, and some of them end its process.
        counts["PyIceberg cannot read fixed partitions"] += 1
        return
    if scan["has-equality-deletes"]:
        counts["PyIceberg cannot read equality deletes"] += 1
        return
    request, schema = scan["request"], tables["client"].schema()
    try:
        row_filter = expression(request["filter"], schema, request["case-sensitive"])
        scans = {mode: as_scan(table, request, row_filter) for mode, table in tables.items()}
        client = plan(scans["client"])
    except Exception as error:
        # PyIceberg does not support all types, nor equality deletes of other files, and some filters fail in it.
        counts[f"PyIceberg cannot plan alone: {type(error).__name__}"] += 1
        return
    try:
        planned = plan(scans["server"])
    except Exception as error:
        # PyIceberg 0.12 rejects an answer with null in a partition.
        if "partition" in str(error) and "input_value=None" in str(error):
            counts["PyIceberg cannot read null partitions"] += 1
            return
        differs("pyiceberg: fails", table=scan["table"], request=request, filter=str(row_filter), detail=str(error)[:2000])
        return
    counts["plans of PyIceberg"] += 1
    wire = {path: set(deletes) for path, deletes in scan["files"].items()}
    where = {"table": scan["table"], "request": request, "filter": str(row_filter)}
    for path in planned.keys() | wire.keys():
        if planned.get(path) != wire.get(path):
            differs("pyiceberg: other plan than on the wire", **where, detail=path, wire=wire.get(path), read=planned.get(path))
    for path in client.keys() | planned.keys():
        if path not in planned:
            differs("pyiceberg: file that PyIceberg alone keeps", **where, detail=path)
        elif path not in client:
            differs("pyiceberg: file that PyIceberg alone prunes", **where, detail=path)
        elif client[path] != planned[path]:
            differs("pyiceberg: deletes that PyIceberg alone chooses otherwise", **where, detail=path)


def as_scan(table: Table, request: dict, row_filter: BooleanExpression) -> DataScan:
    return table.scan(
        row_filter=row_filter, case_sensitive=request["case-sensitive"], snapshot_id=request.get("snapshot-id"),
        selected_fields=tuple(request.get("select") or ("*",)),
    )  # fmt: skip


def plan(scan: DataScan) -> dict[str, set[str]]:
    """Returns the planned files with the locations of their deletes."""
    return {task.file.file_path: {delete.file_path for delete in task.delete_files} for task in scan.plan_files()}
