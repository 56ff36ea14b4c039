"""PyIceberg lets the catalog plan its scans, and reads the same rows as when it plans them itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
import requests
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.expressions import BooleanExpression, StartsWith
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform, TruncateTransform
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
)

from support.rest import Rest
from support.server import Server

Connect = Callable[..., RestCatalog]

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=False),
    NestedField(2, "number", IntegerType(), required=False),
    NestedField(3, "city", StringType(), required=False),
    NestedField(4, "real", FloatType(), required=False),
    NestedField(5, "size", DoubleType(), required=False),
    NestedField(6, "price", DecimalType(9, 2), required=False),
    NestedField(7, "seen", DateType(), required=False),
    NestedField(8, "at", TimeType(), required=False),
    NestedField(9, "local", TimestampType(), required=False),
    NestedField(10, "moment", TimestamptzType(), required=False),
    NestedField(11, "flag", BooleanType(), required=False),
    NestedField(12, "raw", BinaryType(), required=False),
)

ARROW = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("number", pa.int32()),
        pa.field("city", pa.string()),
        pa.field("real", pa.float32()),
        pa.field("size", pa.float64()),
        pa.field("price", pa.decimal128(9, 2)),
        pa.field("seen", pa.date32()),
        pa.field("at", pa.time64("us")),
        pa.field("local", pa.timestamp("us")),
        pa.field("moment", pa.timestamp("us", tz="UTC")),
        pa.field("flag", pa.bool_()),
        pa.field("raw", pa.large_binary()),
    ]
)

# PyIceberg 0.12 refuses a plan with a null in a partition, so the columns of partitions have none.
LAYOUTS = {
    "unpartitioned": PartitionSpec(),
    "by_date": PartitionSpec(PartitionField(7, 1000, IdentityTransform(), "seen")),
    "by_day_and_bucket": PartitionSpec(
        PartitionField(10, 1000, DayTransform(), "moment_day"), PartitionField(1, 1001, BucketTransform(3), "id_bucket")
    ),
    "by_city": PartitionSpec(PartitionField(3, 1000, TruncateTransform(2), "city_start")),
}

CITIES = ["Oslo", "Bergen", "Bodø", "Tromsø"]


def rows(numbers: range) -> pa.Table:
    """Rows with these ids. Columns without a partition have nulls."""
    begun = datetime(2026, 3, 1, 23, 0, 0)
    made = [
        {
            "id": number,
            "number": None if number % 7 == 0 else number % 5,
            "city": CITIES[number % 4],
            "real": number / 4,
            "size": float("nan") if number % 11 == 0 else number / 2,
            "price": Decimal(number) / 4,
            "seen": date(1969, 12, 30) + timedelta(days=number % 4),
            "at": time(number % 24, 0, 0, number),
            "local": begun + timedelta(hours=number, microseconds=number),
            "moment": (begun + timedelta(hours=number)).replace(tzinfo=UTC),
            "flag": None if number % 5 == 0 else number % 2 == 0,
            "raw": bytes([number, 255]),
        }
        for number in numbers
    ]
    return pa.Table.from_pylist(made, schema=ARROW)


FILTERS: list[str | BooleanExpression] = [
    "id == 5",
    "id != 5",
    "id < 10",
    "id <= 10",
    "id > 50",
    "id >= 50",
    "id in (1, 2, 30, 99)",
    "id not in (1, 2, 30, 99)",
    "number is null",
    "number is not null and number >= 3",
    "size is nan",
    "size is not nan",
    "real > 12.25",
    "size <= 3.5",
    "price == 2.25",
    "price < 1.50",
    "seen == '1969-12-31'",
    "seen > '1969-12-31'",
    "at >= '20:00:00'",
    "local < '2026-03-02T10:00:00'",
    "moment >= '2026-03-03T00:00:00+00:00'",
    "moment < '2026-03-02T00:00:00+00:00' or id > 58",
    "flag == true",
    "city == 'Oslo'",
    "city in ('Bodø', 'Tromsø')",
    StartsWith("city", "B"),
    "city like 'Ber%'",
    "not (city == 'Oslo' or id < 20)",
    "city == 'Oslo' and id > 20 and number < 4",
    "id == 1000",
]


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The paths of requests to plan."""
    paths: list[str] = []
    send = requests.Session.send

    def recorded(session: requests.Session, request: requests.PreparedRequest, **options: object) -> requests.Response:
        if request.path_url.endswith(("/plan", "/tasks")):
            paths.append(request.path_url)
        return send(session, request, **options)

    monkeypatch.setattr(requests.Session, "send", recorded)
    yield paths


def ids(table: Table, **scan: object) -> list[int]:
    """The ids of a scan, in order."""
    return sorted(table.scan(**scan).to_arrow()["id"].to_pylist())  # type: ignore[arg-type]


def files(table: Table, **scan: object) -> dict[str, tuple[int, tuple[str, ...]]]:
    """The data files of a scan: their numbers of rows, and the paths of their deletes."""
    return {
        task.file.file_path: (task.file.record_count, tuple(sorted(deletes.file_path for deletes in task.delete_files)))
        for task in table.scan(**scan).plan_files()  # type: ignore[arg-type]
    }


@pytest.fixture(params=LAYOUTS)
def name(request: pytest.FixtureRequest, connect: Connect, namespace: str) -> tuple[str, str]:
    """A table in each layout, with some deletes."""
    table = connect().create_table(
        (namespace, "t"), SCHEMA, partition_spec=LAYOUTS[request.param], properties={"write.delete.mode": "copy-on-write"}
    )
    for begin in range(0, 64, 16):
        table.append(rows(range(begin, begin + 16)))
    table.delete("id == 17")
    return (namespace, "t")


def test_each_kind_of_filter_reads_the_same_files_and_rows(
    connect: Connect, name: tuple[str, str], planned: list[str]
) -> None:
    by_client = connect().load_table(name)
    by_server = connect(**{"scan-planning-mode": "server"}).load_table(name)
    for row_filter in FILTERS:
        expected = ids(by_client, row_filter=row_filter)
        assert not planned, "the client plans"
        assert ids(by_server, row_filter=row_filter) == expected, row_filter
        assert planned, "the server plans"
        planned.clear()
        # The server leaves out files that PyIceberg keeps, such as those with only the value that is not wanted.
        assert files(by_server, row_filter=row_filter).items() <= files(by_client, row_filter=row_filter).items(), row_filter
        planned.clear()
    assert ids(by_server) == [number for number in range(64) if number != 17]


def test_time_travel_reads_the_rows_of_the_snapshot(connect: Connect, name: tuple[str, str]) -> None:
    by_client = connect().load_table(name)
    by_server = connect(**{"scan-planning-mode": "server"}).load_table(name)
    for snapshot in by_client.snapshots():
        scan = {"snapshot_id": snapshot.snapshot_id, "row_filter": "id > 7"}
        assert ids(by_server, **scan) == ids(by_client, **scan)


def test_case_insensitive_filter_finds_the_column(connect: Connect, name: tuple[str, str]) -> None:
    by_server = connect(**{"scan-planning-mode": "server"}).load_table(name)
    assert ids(by_server, row_filter="ID < 3", case_sensitive=False) == [0, 1, 2]
    with pytest.raises(Exception, match="ID"):
        ids(by_server, row_filter="ID < 3")


def test_table_property_is_the_mode_in_the_tables_configuration(
    connect: Connect, name: tuple[str, str], rest: Rest
) -> None:
    namespace, table = name
    assert "scan-planning-mode" not in rest.load(namespace, table)["config"]
    for mode in ("server", "client"):
        with connect().load_table(name).transaction() as change:
            change.set_properties({"scan-planning-mode": mode})
        assert rest.load(namespace, table)["config"]["scan-planning-mode"] == mode


def test_mode_of_a_warehouse_is_the_default_of_its_clients(server: Server, connect: Connect, unique: str, tmp_path: Path) -> None:
    of = ("--org", "quickstart")
    server.command("warehouse", "create", unique, *of, "--root", tmp_path.as_uri(), "--scan-planning-mode", "server")
    catalog = connect(warehouse=unique)
    assert catalog.properties["scan-planning-mode"] == "server"
    assert connect(warehouse=unique, **{"scan-planning-mode": "client"}).properties["scan-planning-mode"] == "client"
    catalog.create_namespace("ns")
    catalog.create_table(("ns", "t"), SCHEMA).append(rows(range(10)))
    assert ids(catalog.load_table(("ns", "t")), row_filter="id < 3") == [0, 1, 2]
    server.command("warehouse", "set-options", unique, *of, "--scan-planning-mode", "unset")
    assert "scan-planning-mode" not in connect(warehouse=unique).properties
