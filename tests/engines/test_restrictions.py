"""PyIceberg does not apply read restrictions: it is refused, or reads within the plans of the catalog."""

from __future__ import annotations

import json
from collections.abc import Callable

import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import ForbiddenError
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType

from support.admin import Admin, Key, eventually
from support.rest import Rest, answer
from support.server import Server

Connect = Callable[..., RestCatalog]

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=False),
    NestedField(2, "country", StringType(), required=False),
    NestedField(3, "card", StringType(), required=False),
)
BY_COUNTRY = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "country"))
GERMAN = json.dumps({"type": "eq", "term": "country", "value": "DE"})
ROWS = [
    {"id": number, "country": country, "card": f"4111-{number}"} for number in range(6) for country in ("DE", "FR")
]


class Sales:
    """An organisation with the table ns.t in two layouts, and a reader with the restricted role `germany`."""

    def __init__(self, admin: Admin, connect: Connect, layout: PartitionSpec):
        self.admin, self.connect = admin, connect
        self.organisation = admin.organisation("enterprise")
        self.reader = admin.key(self.organisation, "reader")
        writer = connect(token=admin.key(self.organisation, "writer").text)
        writer.create_namespace("ns")
        table = writer.create_table(("ns", "t"), SCHEMA, partition_spec=layout)
        table.append(pa.Table.from_pylist(ROWS, schema=SCHEMA.as_arrow()))
        self.command("role", "create", "germany")
        self.command("role", "assign", "germany", self.reader.id)

    def command(self, *arguments: str) -> str:
        return self.admin.server.command(*arguments, "--org", self.organisation).stdout

    def restrict(self, *arguments: str) -> None:
        self.command("restriction", "set", "germany", "--table", "ns.t", *arguments)

    def rest(self, key: Key) -> Rest:
        return self.admin.rest(key)

    def reads(self, **scan: object) -> list[int]:
        """The ids that the reader sees through plans of the catalog."""
        table = self.connect(**{"token": self.reader.text, "scan-planning-mode": "server"}).load_table(("ns", "t"))
        return sorted(table.scan(**scan).to_arrow()["id"].to_pylist())  # type: ignore[arg-type]


@pytest.fixture
def by_country(server: Server, connect: Connect) -> Sales:
    return Sales(Admin(server), connect, BY_COUNTRY)


def test_restricted_reader_is_refused_until_an_administrator_trusts_its_engine(by_country: Sales) -> None:
    by_country.restrict("--filter", GERMAN, "--mask", "card=show-last-4")
    rest = by_country.rest(by_country.reader)
    eventually(rest, "/namespaces/ns/tables/t", 403)
    with pytest.raises(ForbiddenError, match="restricted for you"):
        by_country.connect(token=by_country.reader.text).load_table(("ns", "t"))
    shown = json.loads(by_country.command("restriction", "show", "germany", "--table", "ns.t", "--json"))
    assert shown["masks"] == [{"field-id": 3, "column": "card", "action": "show-last-4"}]
    assert "germany" in by_country.command("restriction", "list", "--table", "ns.t")

    by_country.command("restriction", "trust", by_country.reader.id)
    loaded = answer(eventually(rest, "/namespaces/ns/tables/t", 200))
    assert loaded["read-restrictions"] == {
        "required-row-filter": {
            "type": "eq",
            "left": {"type": "reference", "id": 2},
            "right": {"type": "literal", "value": "DE"},
        },
        "required-column-projections": [{"field-id": 3, "action": "show-last-4"}],
    }
    assert "reader" in by_country.command("restriction", "trusted")
    by_country.command("restriction", "distrust", by_country.reader.id)
    by_country.command("restriction", "delete", "germany", "--table", "ns.t")
    assert "read-restrictions" not in answer(eventually(rest, "/namespaces/ns/tables/t", 200))


def test_planned_reader_gets_the_files_with_visible_rows_only(by_country: Sales) -> None:
    sales = by_country
    sales.restrict("--filter", GERMAN, "--others", "plan")
    loaded = answer(sales.rest(sales.reader).get("/namespaces/ns/tables/t"))
    assert loaded["config"]["scan-planning-mode"] == "server"
    assert sales.reads() == [0, 1, 2, 3, 4, 5]
    assert sales.reads(row_filter="id > 3") == [4, 5]
    assert sales.reads(row_filter="country == 'FR'") == []
    sales.restrict("--filter", GERMAN, "--mask", "card=show-last-4", "--others", "plan")
    with pytest.raises(ForbiddenError, match="'card' is masked for you"):
        sales.reads(row_filter="card == '4111-1'")


def test_planned_reader_gets_a_file_with_hidden_rows_with_the_filter_for_its_rows(server: Server, connect: Connect) -> None:
    """The client must apply that filter. PyIceberg does not."""
    sales = Sales(Admin(server), connect, PartitionSpec())
    sales.restrict("--filter", GERMAN, "--others", "plan")
    plan = answer(sales.rest(sales.reader).post("/namespaces/ns/tables/t/plan", json={}))
    (task,) = plan["file-scan-tasks"]
    assert task["residual-filter"] == {"type": "eq", "term": "country", "value": "DE"}
