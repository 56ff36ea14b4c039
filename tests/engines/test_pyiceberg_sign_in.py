"""Every form of PyIceberg's sign-in."""

from __future__ import annotations

import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import OAuthError, UnauthorizedError

from support.server import Server

FORMS = {
    "token": lambda server: {"token": server.key},
    "credential with the key alone": lambda server: {"credential": server.key},
    "credential with any id and the key": lambda server: {"credential": f"laptop:{server.key}"},
    "credential with the key as id": lambda server: {"credential": f"{server.key}:unused"},
    "credential with the token address": lambda server: {
        "credential": server.key,
        "oauth2-server-uri": f"{server.uri}/v1/oauth/tokens",
    },
    "another scope": lambda server: {"credential": server.key, "scope": "PRINCIPAL_ROLE:ALL"},
    "oauth2 with the key as secret": lambda server: {
        "auth": {
            "type": "oauth2",
            "oauth2": {
                "client_id": "laptop",
                "client_secret": server.key,
                "token_url": f"{server.uri}/v1/oauth/tokens",
            },
        }
    },
    "oauth2 with the key as id": lambda server: {
        "auth": {
            "type": "oauth2",
            "oauth2": {
                "client_id": server.key,
                "client_secret": "unused",
                "token_url": f"{server.uri}/v1/oauth/tokens",
            },
        }
    },
    "oauth2 with a scope": lambda server: {
        "auth": {
            "type": "oauth2",
            "oauth2": {
                "client_id": "laptop",
                "client_secret": server.key,
                "token_url": f"{server.uri}/v1/oauth/tokens",
                "scope": "catalog",
            },
        }
    },
}


@pytest.mark.parametrize("with_warehouse", [True, False], ids=["warehouse", "no warehouse"])
@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"], ids=["plain", "slash", "v1", "v1 slash"])
@pytest.mark.parametrize("form", FORMS)
def test_each_sign_in_form_opens_the_catalog(server: Server, form: str, ending: str, with_warehouse: bool) -> None:
    assert server.printed is not None
    properties = {"uri": server.uri + ending, **FORMS[form](server)}
    if with_warehouse:
        properties["warehouse"] = server.printed.warehouse
    catalog = RestCatalog("tidewater", **properties)
    assert (server.printed.namespace,) in catalog.list_namespaces()
    assert catalog.load_table((server.printed.namespace, server.printed.table)).current_snapshot() is not None


@pytest.mark.parametrize("token", ["", "flx_nothing", "x" * 5000, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."])
def test_invalid_token_is_refused(server: Server, token: str) -> None:
    with pytest.raises(UnauthorizedError):
        RestCatalog("tidewater", uri=server.uri, token=token)


def test_missing_credentials_are_refused(server: Server) -> None:
    with pytest.raises(UnauthorizedError):
        RestCatalog("tidewater", uri=server.uri)


@pytest.mark.parametrize("credential", ["flx_nothing", "laptop:flx_nothing", "flx_nothing:", ":"])
def test_invalid_credential_is_refused(server: Server, credential: str) -> None:
    with pytest.raises(OAuthError):
        RestCatalog("tidewater", uri=server.uri, credential=credential)


def test_unknown_warehouse_is_refused_with_its_name(server: Server) -> None:
    with pytest.raises(Exception, match="no-such-warehouse"):
        RestCatalog("tidewater", uri=server.uri, token=server.key, warehouse="no-such-warehouse")
