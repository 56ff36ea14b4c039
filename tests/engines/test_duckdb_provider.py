"""DuckDB signs in at the company's identity provider with a client secret."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import duckdb
import pytest

from support.oidc_provider import SECRETS, OidcProvider, issuer_settings
from support.readers import EXTENSIONS, extension_file
from support.server import Server


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    provider = OidcProvider(tmp_path_factory.mktemp("provider"), groups={"etl": ["loaders"], "reports": []})
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server], provider: OidcProvider) -> Server:
    """A server whose services of the group `loaders` may read the sample table."""
    settings = issuer_settings(provider, group_mappings=[{"group": "loaders", "principal_role": "loaders"}])
    server = make_server("duckdb_provider", env={"TIDEWATER_AUTH__ISSUERS": json.dumps([settings])})
    server.start()
    server.command("role", "create", "loaders")
    server.command("role", "create", "readers", "--catalog")
    server.command("role", "assign", "readers", "loaders", "--catalog")
    server.command("grant", "add", "readers", "SELECT", "--namespace", "demo")
    return server


def attached(server: Server, provider: OidcProvider, client: str) -> duckdb.DuckDBPyConnection:
    """A connection to the quickstart's warehouse as this client of the provider."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    for name in EXTENSIONS:
        connection.execute(f"LOAD '{extension_file(name)}'")
    connection.execute(
        f"CREATE SECRET service (TYPE ICEBERG, CLIENT_ID '{client}', CLIENT_SECRET '{SECRETS[client]}', "
        f"OAUTH2_SERVER_URI '{provider.token_endpoint}', OAUTH2_SCOPE 'catalog')"
    )
    connection.execute(f"ATTACH 'quickstart' AS tidewater (TYPE ICEBERG, ENDPOINT '{server.uri}', SECRET service)")
    return connection


def test_service_reads_what_the_role_of_its_group_is_granted(server: Server, provider: OidcProvider) -> None:
    with attached(server, provider, "etl") as connection:
        assert connection.sql("SELECT count(*) FROM tidewater.demo.tides").fetchone()[0] > 0
        with pytest.raises(duckdb.Error, match="403|Forbidden"):
            connection.execute("DROP TABLE tidewater.demo.tides")


def test_service_without_a_role_is_refused(server: Server, provider: OidcProvider) -> None:
    with pytest.raises(duckdb.Error, match="404|NotFound"):
        attached(server, provider, "reports")
