"""Tests with real clients: one server for the session, one namespace for each test.

`cargo xtask test` runs this. By hand: make a virtual environment from requirements.txt, build the binary, run `pytest`
here; `TIDEWATER_BIN` names another binary, and `-n 4` divides the tests between four processes, each with servers of its own.
"""

from __future__ import annotations

import os
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.rest import RestCatalog

from support import node
from support.chromium import chromium, watched_page
from support.clouds import CLOUDS, Cloud
from support.lake import Lake, make_lake
from support.postgres import is_postgres, store_settings
from support.recording import Recording, installed
from support.rest import Rest
from support.s3 import S3Server
from support.server import Server, find_binary
from support.versity import VersityServer
from support.workers import WORKERS, Workers, join_shared_s3

# The client of a test module, by the prefix of its name. Other modules use plain HTTP.
CLIENTS = {
    "test_pyiceberg": "pyiceberg",
    "test_duckdb": "duckdb",
    "test_clickhouse": "clickhouse",
    "test_sail": "sail",
    "test_iceberg_js": "iceberg-js",
    "test_snowflake": "snowflake",
}

_recording = Recording(
    CLIENTS,
    {
        "pyiceberg": installed("pyiceberg"),
        "duckdb": installed("duckdb"),
        "clickhouse": installed("chdb"),
        "sail": installed("pysail"),
        "iceberg-js": lambda: node.version("iceberg-js"),
        "snowflake": lambda: "as documented in 2026",
    },
)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_recording)
    config.pluginmanager.register(Workers(config), WORKERS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips tests about SQLite when the servers have PostgreSQL."""
    if is_postgres():
        skip = pytest.mark.skip(reason="is about the embedded database")
        for item in items:
            if item.get_closest_marker("embedded_database"):
                item.add_marker(skip)


# Set before any client is made: the gateway does not read the checksums that AWS's libraries send by default.
os.environ["AWS_REQUEST_CHECKSUM_CALCULATION"] = "when_required"

_failures_lock = threading.Lock()
_server_failures: list[str] = []


@pytest.fixture(scope="session", autouse=True)
def _record_server_failures() -> Iterator[None]:
    """Records every 5xx that a client in this process gets, including PyIceberg."""
    send = requests.Session.send

    def recording(session: requests.Session, request: requests.PreparedRequest, **options: object) -> requests.Response:
        response = send(session, request, **options)
        if response.status_code >= 500:
            with _failures_lock:
                _server_failures.append(f"{request.method} {request.url}: {response.status_code} {response.text[:500]}")
        return response

    requests.Session.send = recording  # type: ignore[method-assign]
    yield
    requests.Session.send = send  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _no_server_failures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that got a 5xx, unless the test removes something that the server needs."""
    yield
    with _failures_lock:
        seen, _server_failures[:] = list(_server_failures), []
    if request.node.get_closest_marker("makes_unavailable"):
        seen = [failure for failure in seen if ": 503 " not in failure]
    assert not seen, "\n".join(seen)


@pytest.fixture(scope="session")
def binary() -> Path:
    """The `tidewater` under test."""
    return find_binary()


@pytest.fixture(scope="session")
def make_server(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Creates servers, each with its own folder. Stops them, and fails if one panicked or had an internal error."""
    made: list[Server] = []

    def make(name: str, **options: object) -> Server:
        data_dir = tmp_path_factory.mktemp(name) / "data"
        server = Server(binary, data_dir, **{"store": store_settings(data_dir), **options})  # type: ignore[arg-type]
        made.append(server)
        return server

    yield make
    complaints = []
    for server in made:
        if server.is_running():
            server.stop()
        _recording.saw_log(server.stderr())
        complaints += server.complaints()
    assert not complaints, "\n".join(complaints)


@pytest.fixture(scope="session")
def s3(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server with a token service, shared by all workers."""
    shared = request.config.pluginmanager.get_plugin(WORKERS).shared
    if shared is not None:
        yield join_shared_s3(shared)
        return
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session", params=CLOUDS)
def each_cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """S3, Azure and Google Cloud, one after the other."""
    yield from CLOUDS[request.param](request, tmp_path_factory.mktemp(request.param))


def own_bucket(name: str) -> str:
    """A bucket's name that no other worker uses on the shared server."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def lake(make_server: Callable[..., Server], s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A warehouse on S3, on a separate server."""
    server = make_server("lake")
    server.start()
    return make_lake(server, s3, own_bucket("lake"), tmp_path_factory.mktemp("lake_profile"))


@pytest.fixture(scope="session", params=["ceph", "versity"])
def signing_lake(
    request: pytest.FixtureRequest, make_server: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lake]:
    """A warehouse on S3 without a role, so requests are signed one by one. Runs on two servers, one after the other."""
    server = make_server("signing_lake")
    server.start()
    profile, bucket = tmp_path_factory.mktemp("signing_profile"), own_bucket("signed")
    if request.param == "ceph":
        yield make_lake(server, request.getfixturevalue("s3"), bucket, profile, role=None)
        return
    gateway = VersityServer(tmp_path_factory.mktemp("versity"))
    gateway.start()
    yield make_lake(server, gateway, bucket, profile, role=None)
    gateway.stop()


@pytest.fixture(scope="session")
def server(make_server: Callable[..., Server]) -> Server:
    """The server of the session: a quickstart with its sample table."""
    server = make_server("quickstart")
    server.start()
    return server


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real browser."""
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page of a new browser profile, whose errors fail the test. It accepts the certificates of tests."""
    with watched_page(browser, ignore_https_errors=True) as page:
        yield page


@pytest.fixture
def rest(server: Server) -> Rest:
    """The session's server as raw HTTP, signed in with its key."""
    return Rest(server.uri, server.key)


@pytest.fixture
def connect(server: Server) -> Callable[..., RestCatalog]:
    """Connects PyIceberg to the session's server, by default with its key."""

    def connect(**properties: object) -> RestCatalog:
        signed_in = {"token": server.key} if not {"token", "credential", "auth"} & set(properties) else {}
        return RestCatalog("tidewater", **{"uri": server.uri, **signed_in, **properties})  # type: ignore[arg-type]

    return connect


@pytest.fixture
def catalog(connect: Callable[..., RestCatalog]) -> Catalog:
    """PyIceberg, signed in."""
    return connect()


@pytest.fixture
def unique(request: pytest.FixtureRequest) -> str:
    """A name that no other test and no earlier run uses."""
    plain = re.sub(r"[^a-z0-9]+", "_", request.node.name.lower()).strip("_")[:40]
    return f"{plain}_{uuid.uuid4().hex[:8]}"


@pytest.fixture
def namespace(rest: Rest, unique: str) -> str:
    """A new, empty namespace for this test."""
    return rest.create_namespace(unique)
