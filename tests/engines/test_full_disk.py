"""A disk without room for a document: the client is told, and nothing is lost or left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support import documents
from support.rest import Rest, answer
from support.server import Server

LARGEST_FILE_BYTES = 4 * 1024 * 1024


def metadata_files(location: str) -> set[str]:
    return {path.name for path in Path(urlsplit(location).path).joinpath("metadata").iterdir()}


@pytest.mark.makes_unavailable
def test_a_document_without_room_is_refused_and_leaves_nothing(
    make_server: Callable[..., Server], unique: str
) -> None:
    server = make_server("full_disk", largest_file_bytes=LARGEST_FILE_BYTES)
    server.start()
    rest = Rest(server.uri, server.key)
    rest.create_namespace(unique)
    created = rest.create_table(unique, documents.table("t"))
    before = metadata_files(created["metadata"]["location"])
    # Together larger than a file can be, and each within the limit of a property's value.
    pieces = LARGEST_FILE_BYTES // 1_000_000 + 1
    too_large = documents.set_properties(**{f"large-{number}": "x" * 1_000_000 for number in range(pieces)})

    refused = rest.commit(unique, "t", [too_large])
    assert answer(refused, 503)["error"]["type"] == "ServiceUnavailableException"
    assert rest.load(unique, "t") == created
    assert metadata_files(created["metadata"]["location"]) == before
    changed = answer(rest.commit(unique, "t", [documents.set_properties(small="y")]))
    assert changed["metadata"]["properties"]["small"] == "y"
