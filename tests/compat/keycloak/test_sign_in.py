"""Keycloak as the company's identity provider: people with `tidewater login`, a service with PyIceberg. `cargo xtask compat
keycloak` runs this."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import ForbiddenError, NoSuchNamespaceError
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField
from support import keycloak as keycloaks
from support.browser import Person
from support.keycloak import CREDENTIAL, Keycloak
from support.login import Laptop
from support.server import Server


@pytest.fixture(scope="session")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    with keycloaks.running(tmp_path_factory.mktemp("keycloak")) as keycloak:
        yield keycloak


@pytest.fixture(scope="session")
def server(keycloak: Keycloak, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with keycloaks.with_teams(keycloak, tmp_path_factory.mktemp("tidewater")) as server:
        yield server


@pytest.fixture
def laptop(server: Server, tmp_path: Path) -> Laptop:
    return Laptop(server.binary, tmp_path, server.uri)


def person(keycloak: Keycloak, name: str, **options: bool) -> Person:
    return Person(name, keycloak.password_of(name), **options)


def roles(laptop: Laptop) -> list[str]:
    return [role["principal-role"] for role in laptop.who_am_i()["roles"]]


def as_service(server: Server, keycloak: Keycloak) -> RestCatalog:
    return RestCatalog(
        "tidewater",
        uri=server.uri,
        credential=CREDENTIAL,
        **{"oauth2-server-uri": keycloak.token_endpoint, "scope": "openid"},
    )


@pytest.mark.parametrize("way", [(), ("--browser",)], ids=["code", "browser"])
def test_person_in_a_group_has_its_role_after_login(laptop: Laptop, keycloak: Keycloak, way: tuple[str, ...]) -> None:
    laptop.login(person(keycloak, "ann"), *way)
    assert roles(laptop) == ["analysts"]
    token = laptop.run("login", "--print-token").stdout.strip()
    catalog = RestCatalog("tidewater", uri=laptop.uri, token=token)
    assert catalog.list_namespaces() == [("demo",)]
    with pytest.raises(NoSuchNamespaceError):
        catalog.list_tables("loads")
    with pytest.raises(ForbiddenError, match="TABLE_DROP"):
        catalog.drop_table("demo.tides")


def test_refused_sign_in_says_so(laptop: Laptop, keycloak: Keycloak) -> None:
    refused = laptop.login(person(keycloak, "ann", refuses=True), code=1)
    assert "the sign-in was refused at the identity provider" in refused.stderr


def test_service_account_signs_in_with_its_client_secret(server: Server, keycloak: Keycloak) -> None:
    catalog = as_service(server, keycloak)
    assert catalog.list_namespaces() == [("loads",)]
    catalog.create_table("loads.of_service", Schema(NestedField(1, "id", LongType())))
    with pytest.raises(NoSuchNamespaceError):
        catalog.list_tables("demo")


def renew_until(laptop: Laptop, expected: list[str]) -> None:
    """Renews the token until its user has the roles. Tokens count whole seconds, and of two from one second the first counts."""
    deadline = time.monotonic() + 20
    while True:
        laptop.change_saved(expires_ms=0)
        found = roles(laptop)
        if found == expected:
            return
        assert time.monotonic() < deadline, found


def test_changed_group_counts_with_the_renewed_token(laptop: Laptop, keycloak: Keycloak) -> None:
    laptop.login(person(keycloak, "bob"))
    assert roles(laptop) == []
    keycloak.add_to_group("bob", "analysts")
    renew_until(laptop, ["analysts"])
    keycloak.remove_from_group("bob", "analysts")
    renew_until(laptop, [])


def test_logout_ends_the_session_at_keycloak(laptop: Laptop, keycloak: Keycloak) -> None:
    laptop.login(person(keycloak, "ann"))
    refresh_token = laptop.saved()["refresh_token"]
    laptop.run("logout")
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": keycloaks.CLI}
    assert requests.post(keycloak.token_endpoint, data=form, timeout=60).json()["error"] == "invalid_grant"


def test_realm_role_gives_a_built_in_role(keycloak: Keycloak, tmp_path: Path) -> None:
    mappings = [{"group": "catalog-admin", "role": "admin"}]
    changes = {"groups_claim": "realm_access.roles", "group_mappings": mappings}
    with keycloaks.with_teams(keycloak, tmp_path / "server", **changes) as server:
        laptop = Laptop(server.binary, tmp_path / "home", server.uri)
        laptop.login(person(keycloak, "bob"))
        assert laptop.who_am_i()["role"] == "admin"
        assert "loads" in laptop.run("namespace", "list", "--org", "quickstart").stdout
        laptop.login(person(keycloak, "ann"))
        assert laptop.who_am_i()["role"] == "none"
