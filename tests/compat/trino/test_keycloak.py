"""Trino signs in at Keycloak: a service with its client secret, a person with the settings that `tidewater login` writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import keycloak as keycloaks
from support.browser import Person
from support.keycloak import CREDENTIAL, Keycloak
from support.login import Laptop
from support.server import Server

from conftest import Sql, catalog_of

LOCAL_DISK = {"fs.local.enabled": "true", "local.location": "/"}


# The first start of Keycloak builds it.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    with keycloaks.running(tmp_path_factory.mktemp("keycloak")) as keycloak:
        yield keycloak


@pytest.fixture(scope="module")
def teams(keycloak: Keycloak, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with keycloaks.with_teams(keycloak, tmp_path_factory.mktemp("tidewater")) as server:
        yield server


def test_service_uses_what_the_role_of_its_group_is_granted(ask: Sql, teams: Server, keycloak: Keycloak) -> None:
    settings = {
        "iceberg.catalog.type": "rest",
        "iceberg.rest-catalog.uri": teams.uri,
        "iceberg.rest-catalog.security": "OAUTH2",
        "iceberg.rest-catalog.oauth2.credential": CREDENTIAL,
        "iceberg.rest-catalog.oauth2.server-uri": keycloak.token_endpoint,
        "iceberg.rest-catalog.oauth2.scope": "openid",
        "iceberg.rest-catalog.oauth2.token-exchange-enabled": "false",
        **LOCAL_DISK,
    }
    ask(f"CREATE CATALOG service {catalog_of(settings)}")
    schemas = {name for (name,) in ask("SHOW SCHEMAS FROM service")}
    assert "loads" in schemas and "demo" not in schemas
    ask("CREATE TABLE service.loads.by_trino (id BIGINT)")
    ask("INSERT INTO service.loads.by_trino VALUES 1, 2")
    assert ask("SELECT count(*) FROM service.loads.by_trino") == [(2,)]
    with pytest.raises(Exception, match="does not exist"):
        ask("SELECT * FROM service.demo.tides")


def test_person_uses_the_settings_that_login_writes(ask: Sql, teams: Server, keycloak: Keycloak, tmp_path: Path) -> None:
    laptop = Laptop(teams.binary, tmp_path, teams.uri)
    written = laptop.login(Person("ann", keycloak.password_of("ann")), "--write", "trino", "--warehouse", "quickstart").stdout
    settings = dict(line.split("=", 1) for line in written.strip().splitlines())
    assert settings.pop("connector.name") == "iceberg"
    ask(f"CREATE CATALOG person {catalog_of(settings | LOCAL_DISK)}")
    assert ask("SELECT count(*) FROM person.demo.tides")[0][0] > 0
    with pytest.raises(Exception, match="TABLE_DROP|Failed to drop"):
        ask("DROP TABLE person.demo.tides")
    assert "loads" not in {name for (name,) in ask("SHOW SCHEMAS FROM person")}
