"""PyIceberg signs in at the company's identity provider: services with a client secret, people with a token."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import jwt
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import ForbiddenError, NoSuchNamespaceError, RESTError, UnauthorizedError
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

from support.admin import eventually
from support.oidc_provider import AUDIENCE, SECRETS, OidcProvider, issuer_settings
from support.rest import Rest
from support.server import Server

GROUPS = {"ann": ["team-analysts"], "bob": ["people"], "etl": ["team-loaders"]}


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    provider = OidcProvider(tmp_path_factory.mktemp("provider"), groups=dict(GROUPS))
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server], provider: OidcProvider) -> Server:
    """A server with two namespaces: `demo`, which analysts may read, and `loads`, which loaders may change."""
    settings = issuer_settings(provider, group_mappings=[{"pattern": "team-*", "principal_role": "*"}])
    server = make_server("provider", env={"TIDEWATER_AUTH__ISSUERS": json.dumps([settings])})
    server.start()
    RestCatalog("admin", uri=server.uri, token=server.key).create_namespace("loads")
    for team, privilege, namespace in (("analysts", "SELECT", "demo"), ("loaders", "ALL", "loads")):
        server.command("role", "create", team)
        server.command("role", "create", f"of-{team}", "--catalog")
        server.command("role", "assign", f"of-{team}", team, "--catalog")
        server.command("grant", "add", f"of-{team}", privilege, "--namespace", namespace)
    return server


def with_token(server: Server, token: str) -> RestCatalog:
    return RestCatalog("tidewater", uri=server.uri, token=token)


def as_person(server: Server, provider: OidcProvider, account: str) -> RestCatalog:
    return with_token(server, provider.user_token(account)["access_token"])


def issued_s(token: str) -> int:
    return jwt.decode(token, options={"verify_signature": False})["iat"]


def later_token(provider: OidcProvider, account: str, token: str) -> str:
    """Returns a new token of the account, issued in a later second than the given one: tokens count whole seconds."""
    while issued_s(later := provider.user_token(account)["access_token"]) <= issued_s(token):
        pass
    return later


def as_service(server: Server, provider: OidcProvider, client: str) -> RestCatalog:
    return RestCatalog(
        "tidewater",
        uri=server.uri,
        credential=f"{client}:{SECRETS[client]}",
        **{"oauth2-server-uri": provider.token_endpoint},
    )


def test_person_sees_what_the_role_of_her_group_is_granted(server: Server, provider: OidcProvider) -> None:
    catalog = as_person(server, provider, "ann")
    assert catalog.list_namespaces() == [("demo",)]
    assert catalog.load_table("demo.tides").scan(limit=1).to_arrow().num_rows == 1
    with pytest.raises(NoSuchNamespaceError):
        catalog.list_tables("loads")
    with pytest.raises(ForbiddenError, match="TABLE_DROP"):
        catalog.drop_table("demo.tides")


def test_person_in_no_known_group_sees_nothing(server: Server, provider: OidcProvider) -> None:
    with pytest.raises(RESTError, match="No default warehouse"):
        as_person(server, provider, "bob")


def test_service_signs_in_with_its_client_secret(server: Server, provider: OidcProvider) -> None:
    catalog = as_service(server, provider, "etl")
    assert catalog.list_namespaces() == [("loads",)]
    table = catalog.create_table("loads.by_etl", Schema(NestedField(1, "id", LongType())))
    assert table.scan().to_arrow().num_rows == 0
    with pytest.raises(NoSuchNamespaceError):
        catalog.list_tables("demo")


def test_group_that_is_removed_is_gone_with_the_next_token(server: Server, provider: OidcProvider) -> None:
    provider.set_groups(eve=["team-analysts"])
    with_group = provider.user_token("eve")["access_token"]
    assert with_token(server, with_group).list_namespaces() == [("demo",)]
    provider.set_groups(eve=[])
    without_group = later_token(provider, "eve", with_group)
    with pytest.raises(RESTError, match="No default warehouse"):
        with_token(server, without_group)
    # An older token does not bring the role back.
    with pytest.raises(RESTError, match="No default warehouse"):
        with_token(server, with_group)


def test_token_for_another_audience_is_refused(server: Server, provider: OidcProvider) -> None:
    token = provider.client_token("etl", resource=f"{AUDIENCE}/other")
    with pytest.raises(UnauthorizedError, match="audience"):
        RestCatalog("tidewater", uri=server.uri, token=token)


def test_token_of_a_rotated_key_is_accepted(server: Server, provider: OidcProvider) -> None:
    before = provider.client_token("etl")
    provider.rotate_keys()
    after = provider.client_token("etl")
    # The server asks for unknown keys at most once in ten seconds.
    assert eventually(Rest(server.uri, after), "/namespaces", 200).status_code == 200
    for token in (after, before):
        assert with_token(server, token).list_namespaces() == [("loads",)]


def test_wrong_client_secret_is_refused_by_the_provider(server: Server, provider: OidcProvider) -> None:
    with pytest.raises(Exception, match="invalid_client"):
        RestCatalog(
            "tidewater", uri=server.uri, credential="etl:wrong", **{"oauth2-server-uri": provider.token_endpoint}
        )
