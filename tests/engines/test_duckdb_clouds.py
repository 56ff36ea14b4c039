"""DuckDB on Azure and Google Cloud with vended credentials only, and ClickHouse on DuckDB's tables.

Both support only the clouds' own addresses, so they reach the emulators' gateways through a tunnel (support/tunnel.py). They run
in separate processes, because the proxy is set for a whole process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from support import azure, clickhouse, google
from support.admin import Key
from support.azure import BLOB_HOST, HOST, Azurite, Certificate, NamedAccount, certificate
from support.cloud_lake import CloudLake, make_cloud_lake
from support.google import Emulator, Google
from support.readers import EXTENSIONS, extension_file
from support.server import Server, clean_environment
from support.tunnel import Tunnel
from test_clickhouse import ALLOWED

PLACE = "lake"
GOOGLE_HOST = "storage.googleapis.com"
DEADLINE_S = 200

PROGRAM = """
import json, sys, duckdb
asked = json.load(sys.stdin)
connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "threads": "2"})
# A program without a file counts as a terminal, and a bar for a slow statement would come before the rows.
connection.execute("SET enable_progress_bar = false")
print(json.dumps([connection.execute(statement).fetchall() for statement in asked]))
"""


@dataclass
class Named:
    """A warehouse on a cloud that is reached by the names of its hosts."""

    lake: CloudLake
    tunnel: Tunnel
    issued: Certificate
    # Which hosts a client asks for.
    hosts: set[str]
    # DuckDB's settings for the tunnel.
    settings: list[str] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        proxy, issuer = f"http://{self.tunnel.address}", str(self.issued.issuer)
        way = {name: proxy for name in ("https_proxy", "HTTPS_PROXY")} | {name: "127.0.0.1" for name in ("no_proxy", "NO_PROXY")}
        return {**way, "CURL_CA_INFO": issuer, "SSL_CERT_FILE": issuer}

    def duckdb(self, key: Key, *statements: str) -> list[list]:
        """Runs the statements with the catalog as `ic`; gives the rows of each. Raises RuntimeError with DuckDB's words."""
        names = (*EXTENSIONS, "azure") if HOST in self.hosts else EXTENSIONS
        first = [f"LOAD '{extension_file(name)}'" for name in names]
        first += self.settings
        first += [f"ATTACH 'lake' AS ic (TYPE ICEBERG, ENDPOINT '{self.lake.server.uri}', TOKEN '{key.text}')"]
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            input=json.dumps([*first, *statements]),
            capture_output=True,
            check=False,
            text=True,
            timeout=DEADLINE_S,
            env=clean_environment(self.env),
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr[-4000:])
        return json.loads(done.stdout)[len(first) :]


@pytest.fixture(scope="module", params=["azure", "google"])
def named(
    request: pytest.FixtureRequest, make_server: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Named]:
    folder = tmp_path_factory.mktemp("named")
    issued = certificate(folder, HOST, BLOB_HOST, GOOGLE_HOST)
    server = make_server(f"named-{request.param}", env={"SSL_CERT_FILE": str(issued.issuer)})
    server.start()
    if request.param == "azure":
        emulator = Azurite(tmp_path_factory.mktemp("azurite"))
        emulator.client().create_container(PLACE)
        account = NamedAccount(emulator, issued)
        tunnel = Tunnel(account.uri)
        profile = azure.profile(folder, account.endpoint, f'client-endpoint = "https://{BLOB_HOST}"')
        lake = make_cloud_lake(server, f"abfss://{PLACE}@{HOST}/lake", profile)
        settings = ["SET azure_transport_option_type = 'curl'"]
        yield Named(lake, tunnel, issued, {HOST, BLOB_HOST}, settings)
        tunnel.close()
        account.close()
        emulator.stop()
        return
    store = Emulator(tmp_path_factory.mktemp("google"))
    store.make_bucket(PLACE)
    gateway = Google(store, issued[1:])
    tunnel = Tunnel(gateway.uri)
    lake = make_cloud_lake(server, f"gs://{PLACE}/lake", google.profile(folder, gateway))
    yield Named(lake, tunnel, issued, {GOOGLE_HOST}, [f"SET ca_cert_file = '{issued.issuer}'"])
    tunnel.close()
    gateway.close()
    store.stop()


@pytest.fixture
def namespace(named: Named, unique: str) -> str:
    return named.lake.rest().create_namespace(unique)


def test_rows_are_inserted_updated_deleted_and_read(named: Named, namespace: str) -> None:
    table = f"ic.{namespace}.t"
    named.duckdb(
        named.lake.writer,
        f"CREATE TABLE {table} (id BIGINT, city VARCHAR, size DOUBLE)",
        f"INSERT INTO {table} VALUES (1, 'Oslo', 1.5), (2, 'Bergen', 2.5), (3, 'Voss', 3.5)",
        f"UPDATE {table} SET size = 9.5 WHERE id = 2",
        f"DELETE FROM {table} WHERE id = 3",
    )
    (rows,) = named.duckdb(named.lake.reader, f"SELECT * FROM {table} ORDER BY id")
    assert rows == [[1, "Oslo", 1.5], [2, "Bergen", 9.5]]
    assert named.tunnel.hosts >= named.hosts, "DuckDB did not use the cloud's own host names"


def test_write_with_a_readers_key_is_refused(named: Named, namespace: str) -> None:
    table = f"ic.{namespace}.t"
    named.duckdb(named.lake.writer, f"CREATE TABLE {table} AS SELECT 1 AS id")
    with pytest.raises(RuntimeError, match="403|(?i:forbidden|denied|not allow|may not)"):
        named.duckdb(named.lake.reader, f"INSERT INTO {table} VALUES (2)")
    assert named.duckdb(named.lake.reader, f"SELECT * FROM {table}") == [[[1]]]


# Not on Azure: there ClickHouse takes no proxy, and no other address than the account's name.
@pytest.mark.parametrize("named", ["google"], indirect=True)
def test_clickhouse_reads_the_table(named: Named, namespace: str) -> None:
    named.duckdb(named.lake.writer, f"CREATE TABLE ic.{namespace}.t AS SELECT 1 AS id, 'Oslo' AS city")
    attach = (
        f"CREATE DATABASE ic ENGINE = DataLakeCatalog('{named.lake.server.uri}/v1') SETTINGS catalog_type='rest', "
        f"warehouse='lake', auth_header='Authorization: Bearer {named.lake.reader.text}'"
    )
    statements = [ALLOWED, attach, f"SELECT * FROM ic.`{namespace}.t`"]
    (*_, rows) = clickhouse.run(statements, named.lake.server.data_dir, named.env)
    assert [(int(row["id"]), row["city"]) for row in rows] == [(1, "Oslo")]
