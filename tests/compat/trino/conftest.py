"""Trino as a judge: one catalog server and one Trino for the session, one schema for each test. `cargo xtask compat trino`
runs this."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import trino as client
from support import judges
from support.java import for_trino
from support.recording import Recording
from support.server import Server

# The S3 server of the tests does not read the checksums that Amazon's libraries send by default.
os.environ["AWS_REQUEST_CHECKSUM_CALCULATION"] = "when_required"

START_DEADLINE_S = 240.0

# The options of a release's launcher, and the settings of a server that is its own only worker.
OPTIONS = (
    "-Xmx1200m", "--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)  # fmt: skip
CONFIG = """\
node.environment=test
node.id=judge
coordinator=true
node-scheduler.include-coordinator=true
http-server.http.port={port}
discovery.uri=http://127.0.0.1:{port}
node.internal-address=127.0.0.1
node.bind-ip=127.0.0.1
catalog.management=dynamic
plugin.dir=plugin
query.max-memory-per-node=256MB
memory.heap-headroom-per-node=256MB
"""
PLUGIN = "io.trino.plugin.iceberg.IcebergPlugin"


def version() -> str:
    return judges.version_of(judges.jars("trino/server"), "trino-main")


_recording = Recording({"test": "trino"}, {"trino": version})

Sql = Callable[..., list[tuple]]


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_recording)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with judges.judged(_recording, "trino", tmp_path_factory.mktemp("tidewater")) as server:
        yield server


def lay_out(folder: Path, server: Server, port: int) -> None:
    """Creates a release's folder with its settings, the documented catalog, and one plugin."""
    (folder / "etc/catalog").mkdir(parents=True)
    (folder / "etc/config.properties").write_text(CONFIG.format(port=port))
    (folder / "etc/log.properties").write_text("io.trino=WARN\n")
    catalog = judges.filled_in(judges.documented("engines/trino.md", "properties"), server)
    (folder / "etc/catalog/documented.properties").write_text(catalog)
    plugin = folder / "plugin/iceberg"
    plugin.mkdir(parents=True)
    for jar in judges.jars("trino/plugin").glob("*.jar"):
        (plugin / jar.name).symlink_to(jar)
    # In a release the build adds the file that names the plugin.
    with zipfile.ZipFile(plugin / "services.jar", "w") as services:
        services.writestr("META-INF/services/io.trino.spi.Plugin", f"{PLUGIN}\n")


def wait(process: subprocess.Popen, port: int, log: Path) -> None:
    """Waits until Trino answers that it has started."""
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"http://127.0.0.1:{port}/v1/info", timeout=5).json()["starting"] is False:
                return
        except (requests.RequestException, ValueError):
            pass
        time.sleep(0.2)
    raise AssertionError(f"Trino did not start:\n{log.read_text()[-5000:]}")


@pytest.fixture(scope="session")
def trino(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Trino server."""
    folder, port = tmp_path_factory.mktemp("trino"), judges.free_port()
    lay_out(folder, server, port)
    program = for_trino()
    command = [program, *OPTIONS, "-Dconfig=etc/config.properties", "-Dlog.levels-file=etc/log.properties"]
    command += ["-cp", f"{judges.jars('trino/server')}/*", str(Path(__file__).parent / "Start.java"), version()]
    log = folder / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, env=judges.clean_environment()
        )
    try:
        wait(process, port, log)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=60)


def documented(server: Server) -> dict[str, str]:
    """Returns the settings of the documented catalog, for CREATE CATALOG."""
    lines = judges.filled_in(judges.documented("engines/trino.md", "properties"), server).splitlines()
    settings = dict(line.split("=", 1) for line in lines)
    del settings["connector.name"]
    return settings


def catalog_of(properties: dict[str, str]) -> str:
    """Returns the end of a CREATE CATALOG statement, with these settings."""
    return "USING iceberg WITH (" + ", ".join(f""""{name}" = '{value}'""" for name, value in properties.items()) + ")"


@pytest.fixture(scope="session")
def ask(trino: int, server: Server) -> Sql:
    """Runs one statement in a new session and returns its rows. The catalog `tw` signs in with the key as a bearer token,
    and supports nested namespaces; `any_case` finds names in any case."""

    def ask(statement: str, **session: str) -> list[tuple]:
        settings = {f"tw.{name}": value for name, value in session.items()}
        with client.dbapi.connect(
            host="127.0.0.1", port=trino, user="judge", catalog="tw", session_properties=settings
        ) as connection:
            cursor = connection.cursor()
            cursor.execute(statement)
            return [tuple(row) for row in cursor.fetchall()]

    more = {"iceberg.rest-catalog.nested-namespace-enabled": "true", "iceberg.register-table-procedure.enabled": "true", "iceberg.allowed-extra-properties": "*"}
    by_token = documented(server) | more
    by_token["iceberg.rest-catalog.oauth2.token"] = by_token.pop("iceberg.rest-catalog.oauth2.credential")
    ask(f"CREATE CATALOG tw {catalog_of(by_token)}")
    any_case = documented(server) | {"iceberg.rest-catalog.case-insensitive-name-matching": "true"}
    ask(f"CREATE CATALOG any_case {catalog_of(any_case)}")
    return ask


@pytest.fixture
def sql(ask: Sql) -> Sql:
    return ask


@pytest.fixture
def space(sql: Sql) -> str:
    """A new schema for this test."""
    name = f"n{uuid.uuid4().hex[:10]}"
    sql(f"CREATE SCHEMA tw.{name}")
    return name


@pytest.fixture
def table(sql: Sql, space: str) -> str:
    """A table of two rows, without the catalog's name."""
    name = f"{space}.sightings"
    sql(f"CREATE TABLE tw.{name} (id BIGINT NOT NULL, city VARCHAR, size REAL, seen INTEGER)")
    sql(f"INSERT INTO tw.{name} VALUES (1, 'Oslo', 1.5, 10), (2, 'Bergen', 2.5, 20)")
    return name
