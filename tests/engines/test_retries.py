"""A network that loses the answer to every change. The client repeats the change with the same key, like the Java
client."""

from __future__ import annotations

import pytest
import requests
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NamespaceAlreadyExistsError, NoSuchTableError
from pyiceberg.types import StringType

from support import documents
from support.keys import fresh_key
from support.rest import Rest, answer, empty, refused
from support.rows import SIGHTINGS, in_order, sightings


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Sends every change twice with one key, and returns only the second answer. Yields the sent changes."""
    send = requests.Session.send
    sent: list[str] = []

    def twice(session: requests.Session, request: requests.PreparedRequest, **options: object) -> requests.Response:
        if request.method in ("POST", "DELETE") and "/oauth/" not in str(request.url):
            request.headers["Idempotency-Key"] = fresh_key()
            sent.append(f"{request.method} {request.url}")
            unheard = send(session, request, **options)
            heard = send(session, request, **options)
            assert heard.status_code == unheard.status_code, request.url
            # A staged create changes nothing, so it is made anew.
            staged = heard.content.startswith(b'{"metadata-location":null')
            assert staged or heard.content == unheard.content, request.url
            return heard
        return send(session, request, **options)

    monkeypatch.setattr(requests.Session, "send", twice)
    return sent


def test_pyiceberg_changes_are_made_once_when_answers_are_lost(catalog: Catalog, unique: str, lost: list[str]) -> None:
    catalog.create_namespace(unique, {"a": "1"})
    with pytest.raises(NamespaceAlreadyExistsError):
        catalog.create_namespace(unique)
    summary = catalog.update_namespace_properties(unique, {"a"}, {"b": "2"})
    assert (summary.removed, summary.updated, summary.missing) == (["a"], ["b"], [])
    table = catalog.create_table((unique, "t"), SIGHTINGS)
    table.append(sightings((1, "Oslo", 1.5), (2, "Bergen", 2.5)))
    table.append(sightings((3, "Voss", 3.5)))
    table.delete("id == 1")
    with table.update_schema() as update:
        update.add_column("note", StringType())
    with table.transaction() as transaction:
        transaction.set_properties(owner="ann")
        transaction.append(sightings((4, "Tromsø", 4.5)).append_column("note", [["cold"]]))
    rows = in_order(catalog.load_table((unique, "t")).scan().to_arrow())
    assert [row[0] for row in rows] == [2, 3, 4]
    with catalog.create_table_transaction((unique, "staged"), SIGHTINGS) as transaction:
        transaction.set_properties(made="once")
    assert catalog.load_table((unique, "staged")).properties["made"] == "once"
    catalog.rename_table((unique, "t"), (unique, "u"))
    with pytest.raises(NoSuchTableError):
        catalog.drop_table((unique, "t"))
    catalog.drop_table((unique, "u"))
    catalog.drop_table((unique, "staged"))
    catalog.drop_namespace(unique)
    assert len(lost) >= 15, "too few answers were lost"


def test_repeated_transaction_is_made_once(rest: Rest, namespace: str) -> None:
    for table in ("a", "b"):
        rest.create_table(namespace, documents.table(table))
    key = {"Idempotency-Key": fresh_key()}
    parts = []
    for table in ("a", "b"):
        metadata = rest.load(namespace, table)["metadata"]
        made = documents.snapshot(metadata["location"], 1)
        parts.append(
            documents.table_change(namespace, table, documents.append(made), [documents.assert_ref("main", None)])
        )
    body = {"table-changes": [*parts, documents.creation(namespace, "c")]}
    for _ in range(3):
        empty(rest.post("/transactions/commit", json=body, headers=key))
    for table in ("a", "b"):
        assert len(rest.load(namespace, table)["metadata"]["snapshots"]) == 1
    refused(rest.post("/transactions/commit", json=body), 409, "CommitFailedException", "Requirement failed")
    other = {"table-changes": [documents.creation(namespace, "d")]}
    refused(rest.post("/transactions/commit", json=other, headers=key), 422, "UnprocessableEntityException")


def test_invalid_key_is_refused(rest: Rest, unique: str) -> None:
    body = {"namespace": [unique]}
    for bad in ("1", "550e8400-e29b-41d4-a716-446655440000"):
        error = refused(rest.post("/namespaces", json=body, headers={"Idempotency-Key": bad}), 400)
        assert error["type"] == "BadRequestException"
    assert answer(rest.get("/namespaces", headers={"Idempotency-Key": "1"}))
    assert rest.config()["idempotency-key-lifetime"] == "PT30M"
