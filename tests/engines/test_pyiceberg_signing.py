"""PyIceberg on S3 without any credentials: every request to the storage is signed by the catalog."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyiceberg.exceptions import SignError
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DoubleType, LongType, NestedField, StringType
from pyiceberg.utils.concurrent import ExecutorFactory

from support.documents import table as create_body
from support.lake import Lake, make_lake
from support.rest import answer, refused
from support.rows import SIGHTINGS, in_order, sightings
from support.s3 import S3Server
from support.server import Server
from support.signing import Signer

SCHEMA = Schema(
    NestedField(1, "id", LongType()), NestedField(2, "city", StringType()), NestedField(3, "size", DoubleType())
)


@pytest.fixture(autouse=True)
def _one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits PyIceberg to one thread, as the guide recommends. Threads share s3fs's client, and each replaces the signer.

    During the replacement, another thread's request is unsigned, and the storage answers 403.
    """
    monkeypatch.setenv("PYICEBERG_MAX_WORKERS", "1")
    monkeypatch.setattr(ExecutorFactory, "_instance", None)


@pytest.fixture
def namespace(signing_lake: Lake, unique: str) -> str:
    return signing_lake.rest().create_namespace(unique)


def test_writer_appends_and_deletes_rows_and_reader_reads_them(signing_lake: Lake, namespace: str) -> None:
    catalog = signing_lake.catalog()
    spec = PartitionSpec(PartitionField(source_id=2, field_id=1000, transform=IdentityTransform(), name="city"))
    table = catalog.create_table((namespace, "t"), SCHEMA, partition_spec=spec)
    assert "s3.access-key-id" not in table.io.properties
    table.append(sightings((1, "Oslo", 1.5), (2, "Ål/Bergen+b c", 2.5)))
    table.append(sightings((3, "Oslo", 3.5)))
    table.delete("id == 1")
    rows = in_order(signing_lake.catalog(signing_lake.reader).load_table((namespace, "t")).scan().to_arrow())
    assert rows == [(2, "Ål/Bergen+b c", 2.5), (3, "Oslo", 3.5)]


def test_file_of_90_mib_is_written_and_read(signing_lake: Lake, namespace: str) -> None:
    table = signing_lake.catalog().create_table((namespace, "t"), SIGHTINGS)
    path = f"{table.location()}/data/large"
    with table.io.new_output(path).create() as stream:
        for _ in range(3):
            stream.write(b"x" * 30 * 2**20)
    assert len(table.io.new_input(path)) == 90 * 2**20
    with table.io.new_input(path).open() as stream:
        stream.seek(90 * 2**20 - 3)
        assert stream.read() == b"xxx"


def test_removal_without_named_files_is_refused(signing_lake: Lake, namespace: str) -> None:
    """s3fs removes even one file with a list of names in the body, and PyIceberg does not show bodies to the signer."""
    table = signing_lake.catalog().create_table((namespace, "t"), SIGHTINGS)
    path = f"{table.location()}/data/x"
    with table.io.new_output(path).create() as stream:
        stream.write(b"x")
    with pytest.raises(SignError, match="400"):
        table.io.delete(path)
    assert table.io.new_input(path).exists()


def test_file_write_with_a_readers_key_is_refused(signing_lake: Lake, namespace: str) -> None:
    signing_lake.catalog().create_table((namespace, "t"), SIGHTINGS).append(sightings((1, "Oslo", 1.5)))
    table = signing_lake.catalog(signing_lake.reader).load_table((namespace, "t"))
    with pytest.raises(SignError, match="403"):
        table.append(sightings((2, "Bergen", 2.5)))


def test_staged_create_writes_before_the_table_exists(signing_lake: Lake, namespace: str) -> None:
    catalog = signing_lake.catalog()
    with catalog.create_table_transaction((namespace, "t"), SIGHTINGS) as transaction:
        transaction.append(sightings((1, "Oslo", 1.5)))
    assert in_order(catalog.load_table((namespace, "t")).scan().to_arrow()) == [(1, "Oslo", 1.5)]


def test_tables_with_unusual_names_are_signed(signing_lake: Lake, unique: str) -> None:
    catalog = signing_lake.catalog()
    catalog.create_namespace((unique,))
    catalog.create_namespace((unique, "a b"))
    for name in ("*", "t%2A", "ü/+ x"):
        table = catalog.create_table((unique, "a b", name), SIGHTINGS)
        table.append(sightings((1, "Oslo", 1.5)))
        assert in_order(catalog.load_table((unique, "a b", name)).scan().to_arrow()) == [(1, "Oslo", 1.5)]


def test_signer_is_found_from_three_forms_of_the_catalogs_address(signing_lake: Lake, namespace: str) -> None:
    signing_lake.catalog().create_table((namespace, "t"), SIGHTINGS).append(sightings((1, "Oslo", 1.5)))
    for suffix in ("/", "/v1", "/catalog"):
        catalog = signing_lake.catalog(uri=signing_lake.server.uri + suffix)
        assert in_order(catalog.load_table((namespace, "t")).scan().to_arrow()) == [(1, "Oslo", 1.5)]


def test_fast_scan_is_slowed_down_and_succeeds(
    make_server: Callable[..., Server], s3: S3Server, tmp_path: Path, unique: str
) -> None:
    """PyIceberg ends the scan on a 429, so the server delays requests instead."""
    server = make_server("paced", env={"TIDEWATER_API__SIGNATURES_PER_SECOND": "8"})
    server.start()
    lake = make_lake(server, s3, "paced", tmp_path, role=None)
    lake.rest().create_namespace(unique)
    table = lake.catalog().create_table((unique, "t"), SIGHTINGS)
    for number in range(3):
        table.append(sightings((number, "Oslo", 1.5)))
    assert len(in_order(lake.catalog().load_table((unique, "t")).scan().to_arrow())) == 3
    statuses = re.findall(r"/sign\"? status=(\d+)", re.sub(r"\x1b\[[0-9;]*m", "", server.stderr()))
    assert len(statuses) > 16, "the scan did not exceed the rate limit"
    assert set(statuses) == {"200"}


def test_flooding_key_is_refused_and_another_key_is_not(
    make_server: Callable[..., Server], s3: S3Server, tmp_path: Path, unique: str
) -> None:
    server = make_server("flooded", env={"TIDEWATER_API__SIGNATURES_PER_SECOND": "4"})
    server.start()
    lake = make_lake(server, s3, "flooded", tmp_path, role=None)
    lake.rest().create_namespace(unique)
    location = lake.rest().create_table(unique, create_body("t"))["metadata"]["location"]
    key = f"{location.split('/', 3)[3]}/data/x"
    flood = Signer(lake, unique, "t")
    with ThreadPoolExecutor(32) as pool:
        responses = list(pool.map(lambda _: flood.ask("GET", flood.url(key)), range(64)))
        other = Signer(lake, unique, "t", lake.reader)
        answer(other.ask("GET", other.url(key)))
    refusals = [response for response in responses if response.status_code != 200]
    assert refusals and len(refusals) < len(responses)
    for response in refusals:
        refused(response, 429, "TooManyRequestsException", "api.signatures_per_second")
        assert response.headers["Retry-After"] == "1"
