"""Labels reach clients with loads, and PyIceberg reads labelled tables."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

from support.admin import Admin
from support.rest import answer
from support.server import Server

SCHEMA = Schema(NestedField(1, "id", LongType(), required=False))


@pytest.fixture
def admin(server: Server) -> Admin:
    return Admin(server)


def test_labels_are_in_the_next_load_and_follow_a_rename(admin: Admin, connect: Callable[..., RestCatalog]) -> None:
    organisation = admin.organisation("enterprise")
    key = admin.key(organisation, "writer")
    catalog = connect(token=key.text)
    catalog.create_namespace("ns")
    catalog.create_table(("ns", "t"), SCHEMA)
    rest = admin.rest(key)

    def command(*arguments: str) -> str:
        return admin.server.command("label", *arguments, "--org", organisation).stdout

    first = rest.get("/namespaces/ns/tables/t")
    assert "labels" not in answer(first)
    command("set", "owner=sales", "domain=retail", "--namespace", "ns")
    command("set", "owner=orders", "--table", "ns.t")
    command("set", "class=key", "--table", "ns.t", "--column", "id")
    expected = {
        "object-labels": {"owner": "orders", "domain": "retail"},
        "fields": [{"field-id": 1, "labels": {"class": "key"}}],
    }
    assert answer(rest.get("/namespaces/ns/tables/t", headers={"If-None-Match": first.headers["ETag"]}))["labels"] == expected
    assert catalog.load_table(("ns", "t")).schema() == SCHEMA
    shown = json.loads(command("show", "--table", "ns.t", "--json"))
    assert shown["effective-labels"] == expected["object-labels"]
    assert "a namespace" in command("show", "--table", "ns.t")

    catalog.rename_table(("ns", "t"), ("ns", "u"))
    assert answer(rest.get("/namespaces/ns/tables/u"))["labels"] == expected
    command("delete", "owner", "--table", "ns.u")
    assert answer(rest.get("/namespaces/ns/tables/u"))["labels"]["object-labels"] == {"owner": "sales", "domain": "retail"}
