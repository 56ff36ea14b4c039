"""Compares rows that PyIceberg reads with plans of the server to rows that it reads with its own plans."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.expressions import (
    And,
    BooleanExpression,
    EqualTo,
    GreaterThanOrEqual,
    In,
    IsNull,
    LessThan,
    Not,
    NotNull,
    Or,
    StartsWith,
)
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform
from pyiceberg.types import DateType, DoubleType, LongType, NestedField, StringType, TimestamptzType
from support.server import Server

NAMESPACE = "rows"
FILTERS = 25

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "day", DateType()),
    NestedField(3, "seen", TimestamptzType()),
    NestedField(4, "city", StringType()),
    NestedField(5, "size", DoubleType()),
)
SPECS = {
    "unpartitioned": PartitionSpec(),
    "by_bucket_and_day": PartitionSpec(
        PartitionField(1, 1000, BucketTransform(3), "bucket"), PartitionField(3, 1001, DayTransform(), "seen_day"),
    ),
    "by_city": PartitionSpec(PartitionField(4, 1000, IdentityTransform(), "city")),
}  # fmt: skip


def judge_rows(server: Server, warehouse: str, seed: int, counts: Counter, differs: Callable[..., None]) -> None:
    catalogs = {
        mode: RestCatalog(mode, uri=server.uri, token=server.key, warehouse=warehouse, **{"scan-planning-mode": mode})
        for mode in ("client", "server")
    }
    catalogs["client"].create_namespace(NAMESPACE)
    choice = random.Random(seed)
    for name, spec in SPECS.items():
        table = catalogs["client"].create_table((NAMESPACE, name), SCHEMA, partition_spec=spec)
        for _ in range(4):
            table.append(rows(choice))
        table.delete(EqualTo("city", "Kiel"))
        tables = {mode: catalog.load_table((NAMESPACE, name)) for mode, catalog in catalogs.items()}
        for _ in range(FILTERS):
            row_filter = tree(choice, 2)
            read = {mode: read_rows(table, row_filter) for mode, table in tables.items()}
            counts["reads of rows by PyIceberg"] += 1
            counts["rows read"] += len(read["server"])
            if read["client"] != read["server"]:
                detail = f"{len(read['client'])} rows alone, {len(read['server'])} with the server"
                differs("pyiceberg: rows differ", table=name, filter=str(row_filter), detail=detail)


def rows(choice: random.Random) -> pa.Table:
    """Rows without nulls in partition columns: PyIceberg 0.12 cannot read such plans."""
    cities = choice.sample(["Oslo", "Bergen", "Kiel", "Rome", "Vardø"], 3)
    begin = datetime(2026, 1, choice.randint(1, 9), tzinfo=UTC)
    made = [
        {
            "id": choice.randint(0, 500),
            "day": date(2026, 1, 1) + timedelta(days=choice.randint(0, 20)) if choice.random() < 0.8 else None,
            "seen": begin + timedelta(hours=choice.randint(0, 60)),
            "city": choice.choice(cities),
            "size": choice.choice([None, float("nan"), choice.random() * 10]),
        }
        for _ in range(40)
    ]
    return pa.Table.from_pylist(made, schema=SCHEMA.as_arrow())


def tree(choice: random.Random, depth: int) -> BooleanExpression:
    if depth and choice.random() < 0.6:
        sides = tree(choice, depth - 1), tree(choice, depth - 1)
        return choice.choice([And, Or])(*sides) if choice.random() < 0.8 else Not(sides[0])
    day, hour = date(2026, 1, choice.randint(1, 20)), datetime(2026, 1, choice.randint(1, 12), choice.randint(0, 23), tzinfo=UTC)
    return choice.choice(
        [
            EqualTo("id", choice.randint(0, 500)),
            LessThan("id", choice.randint(0, 500)),
            GreaterThanOrEqual("day", day),
            LessThan("seen", hour),
            GreaterThanOrEqual("seen", hour),
            EqualTo("city", choice.choice(["Oslo", "Kiel", "nowhere"])),
            In("city", ("Oslo", "Rome")),
            StartsWith("city", "V"),
            IsNull("day"),
            NotNull("size"),
            LessThan("size", choice.random() * 10),
        ]
    )


def read_rows(table, row_filter: BooleanExpression) -> list[str]:
    """Returns the rows in order. NaN is equal to itself in text only."""
    return sorted(repr(row) for row in table.scan(row_filter=row_filter).to_arrow().to_pylist())
