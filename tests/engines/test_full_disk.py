"""A disk without space for a document: the client gets an error, and nothing is lost or left behind."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support import documents
from support.admin import Admin
from support.rest import Rest, answer
from support.server import Server

pytestmark = pytest.mark.embedded_database

LARGEST_FILE_BYTES = 4 * 1024 * 1024
SMALL_DISK_BYTES = 16 * 1024 * 1024


def metadata_files(location: str) -> set[str]:
    return {path.name for path in Path(urlsplit(location).path).joinpath("metadata").iterdir()}


@pytest.mark.makes_unavailable
def test_document_above_the_file_size_limit_is_refused_and_leaves_no_file(
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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A separate file system in memory."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("only who may mount a file system can fill one")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Fills the remaining space."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return filler


@pytest.mark.makes_unavailable
def test_commits_refused_by_a_full_database_disk_leave_no_documents(
    make_server: Callable[..., Server], small_disk: Path, tmp_path: Path
) -> None:
    server = make_server("full_database", loses_storage=True)
    server.data_dir = small_disk / "data"
    server.start()
    admin = Admin(server)
    organisation = admin.organisation("enterprise", warehouse=None)
    root = tmp_path / "lake"
    server.command("warehouse", "create", "lake", "--org", organisation, "--root", root.as_uri())
    rest = admin.rest(admin.key(organisation, "admin"))
    rest.create_namespace("ns")
    location = rest.create_table("ns", documents.table("t"))["metadata"]["location"]
    before = metadata_files(location)

    filler = fill(small_disk)
    refusals = []
    # The log may have room for a few commits still.
    for number in range(200):
        response = rest.commit("ns", "t", [documents.set_properties(**{f"p{number}": "x"})])
        if response.status_code == 200:
            before = metadata_files(location)
            continue
        refusals.append(answer(response, 503)["error"]["message"])
        assert "Retry-After" in response.headers
        if len(refusals) == 5:
            break
    assert len(refusals) == 5, "the disk did not become full"
    assert all("database has no space left: nothing was changed" in message for message in refusals), refusals
    assert metadata_files(location) == before, "refused commits left documents"
    refused = rest.post("/namespaces/ns/tables", json=documents.table("u"))
    assert "nothing was changed" in answer(refused, 503)["error"]["message"]
    assert len(list(root.rglob("*.metadata.json"))) == len(before)

    filler.unlink()
    changed = answer(rest.commit("ns", "t", [documents.set_properties(small="y")]))
    assert changed["metadata"]["properties"]["small"] == "y"
    server.kill()
    server.start()
    assert rest.load("ns", "t")["metadata"] == changed["metadata"]
