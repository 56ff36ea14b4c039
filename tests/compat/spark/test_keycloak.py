"""Spark signs in at Keycloak: a service with its client secret, a person with the settings that `tidewater login` writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from support import keycloak as keycloaks
from support.browser import Person
from support.keycloak import CREDENTIAL, Keycloak
from support.login import Laptop
from support.server import Server

from conftest import Sql


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


@pytest.fixture(scope="module")
def service(spark: SparkSession, teams: Server, keycloak: Keycloak) -> str:
    """A Spark catalog that signs in as the service."""
    settings = {
        "": "org.apache.iceberg.spark.SparkCatalog",
        ".type": "rest",
        ".uri": teams.uri,
        ".rest.auth.type": "oauth2",
        ".credential": CREDENTIAL,
        ".oauth2-server-uri": keycloak.token_endpoint,
        ".scope": "openid",
        ".token-exchange-enabled": "false",
    }
    for name, value in settings.items():
        spark.conf.set(f"spark.sql.catalog.service{name}", value)
    return "service"


def test_service_uses_what_the_role_of_its_group_is_granted(sql: Sql, service: str) -> None:
    assert sql(f"SHOW NAMESPACES IN {service}") == [("loads",)]
    sql(f"CREATE TABLE {service}.loads.by_spark (id BIGINT) USING iceberg")
    sql(f"INSERT INTO {service}.loads.by_spark VALUES (1), (2)")
    assert sql(f"SELECT count(*) FROM {service}.loads.by_spark") == [(2,)]
    with pytest.raises(Exception, match="TABLE_OR_VIEW_NOT_FOUND"):
        sql(f"SELECT * FROM {service}.demo.tides")


def test_person_uses_the_settings_that_login_writes(
    spark: SparkSession, sql: Sql, teams: Server, keycloak: Keycloak, tmp_path: Path
) -> None:
    laptop = Laptop(teams.binary, tmp_path, teams.uri)
    laptop.login(Person("ann", keycloak.password_of("ann")), "--write", "spark", "--to", str(tmp_path / "spark.conf"), "--warehouse", "quickstart")
    for line in (tmp_path / "spark.conf").read_text().splitlines():
        name, value = line.split(" ", 1)
        if name.startswith("spark.sql.catalog."):
            spark.conf.set(name, value)
    assert sql("SELECT count(*) FROM tidewater.demo.tides")[0][0] > 0
    with pytest.raises(Exception, match="TABLE_DROP"):
        sql("DROP TABLE tidewater.demo.tides")
    with pytest.raises(Exception, match="SCHEMA_NOT_FOUND|NoSuchNamespace"):
        sql("SHOW TABLES IN tidewater.loads")
