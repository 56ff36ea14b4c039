"""Token endpoint and configuration of the seed's API, word by word, as raw HTTP."""

from __future__ import annotations

import base64
import json
import re

import pytest
import requests

from support.rest import Rest, answer, refused, refused_oauth
from support.server import Server

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
ENDPOINT = re.compile(r"(GET|HEAD|POST|DELETE) /v1/(\{prefix\}/\S+|\{prefix\}|config|oauth/tokens)")


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def token_form(
    rest: Rest, form: dict[str, str] | None, headers: dict[str, str] | None = None, base: str = "/v1"
) -> requests.Response:
    """One request to the token endpoint, without any other credential."""
    return Rest(rest.uri, None).post(f"{rest.uri}{base}/oauth/tokens", data=form, headers=headers)


def claims(token: str) -> dict:
    """The payload of a JWT, unverified."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


FORMS = {
    "the seed's": lambda key: ({"grant_type": "client_credentials", "client_id": key}, None),
    "secret only": lambda key: ({"grant_type": "client_credentials", "client_secret": key, "scope": "catalog"}, None),
    "any id": lambda key: (
        {"grant_type": "client_credentials", "client_id": "me", "client_secret": key, "scope": "catalog"},
        None,
    ),
    "key as both": lambda key: ({"grant_type": "client_credentials", "client_id": key, "client_secret": key}, None),
    "key as id, any secret": lambda key: (
        {"grant_type": "client_credentials", "client_id": key, "client_secret": "x"},
        None,
    ),
    "basic password": lambda key: ({"grant_type": "client_credentials"}, basic("me", key)),
    "basic user": lambda key: ({"grant_type": "client_credentials", "scope": "catalog"}, basic(key, "")),
    "another engine's scope": lambda key: (
        {"grant_type": "client_credentials", "scope": "PRINCIPAL_ROLE:ALL", "client_secret": key, "client_id": "me"},
        None,
    ),
    "audience and resource": lambda key: (
        {"grant_type": "client_credentials", "client_id": key, "audience": "a", "resource": "r"},
        None,
    ),
}


@pytest.mark.parametrize("base", ["/v1", "/v1/v1"])
@pytest.mark.parametrize("form", FORMS)
def test_key_is_exchanged_for_a_token(rest: Rest, form: str, base: str) -> None:
    fields, headers = FORMS[form](rest.key)
    response = token_form(rest, fields, headers, base)
    body = answer(response)
    assert set(body) <= {"access_token", "token_type", "expires_in", "issued_token_type", "scope", "refresh_token"}
    assert body["token_type"].lower() == "bearer"
    assert body["issued_token_type"] == ACCESS_TOKEN
    assert 0 < body["expires_in"] <= 86_400
    assert body["access_token"].count(".") == 2
    assert response.headers["Cache-Control"] == "no-store"
    assert rest.key not in json.dumps(claims(body["access_token"]))
    answer(Rest(rest.uri, body["access_token"]).get("/namespaces"))


def test_token_is_exchanged_for_a_fresh_one(rest: Rest) -> None:
    token = answer(token_form(rest, {"grant_type": "client_credentials", "client_id": rest.key}))["access_token"]
    form = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": token,
        "subject_token_type": ACCESS_TOKEN,
        "scope": "catalog",
    }
    for headers in ({"Authorization": f"Bearer {token}"}, basic("me", rest.key or "")):
        body = answer(token_form(rest, form, headers))
        assert body["issued_token_type"] == ACCESS_TOKEN
        answer(Rest(rest.uri, body["access_token"]).get("/namespaces"))


REFUSED = {
    "no grant type": ({}, None, 400, "invalid_request"),
    "an unknown grant type": ({"grant_type": "password", "client_id": "KEY"}, None, 400, "unsupported_grant_type"),
    "no credential": ({"grant_type": "client_credentials"}, None, 401, "invalid_client"),
    "a key that is none": ({"grant_type": "client_credentials", "client_id": "flx_none"}, None, 401, "invalid_client"),
    "a secret that is none": (
        {"grant_type": "client_credentials", "client_id": "me", "client_secret": "no"},
        None,
        401,
        "invalid_client",
    ),
    "a basic header that is none": (
        {"grant_type": "client_credentials"},
        {"Authorization": "Basic !!!"},
        401,
        "invalid_client",
    ),
    "no subject token": ({"grant_type": TOKEN_EXCHANGE}, None, 400, "invalid_request"),
    "a subject token that is none": (
        {"grant_type": TOKEN_EXCHANGE, "subject_token": "a.b.c", "subject_token_type": ACCESS_TOKEN},
        None,
        400,
        "invalid_grant",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_invalid_key_gets_an_oauth_error(rest: Rest, case: str) -> None:
    fields, headers, status, error = REFUSED[case]
    fields = {name: rest.key if value == "KEY" else value for name, value in fields.items()}
    response = token_form(rest, fields, headers)
    if error == "invalid_grant" and response.status_code == 401:
        refused_oauth(response, 401, "invalid_client")  # both readings of RFC 6749, 5.2 are in use
    else:
        refused_oauth(response, status, error)
    assert rest.key not in response.text


def test_tampered_token_is_refused(rest: Rest) -> None:
    token = answer(token_form(rest, {"grant_type": "client_credentials", "client_id": rest.key}))["access_token"]
    header, payload, signature = token.split(".")
    other = base64.urlsafe_b64encode(json.dumps({**claims(token), "role": "admin", "exp": 9_999_999_999}).encode())
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    for forged in (
        f"{header}.{other.decode().rstrip('=')}.{signature}",
        f"{none}.{payload}.",
        f"{none}.{payload}.{signature}",
        f"{header}.{payload}.{signature[:-4]}AAAA",
        f"{header}.{payload}",
        f"{header}.{payload}.",
    ):
        refused(Rest(rest.uri, forged).get("/namespaces"), 401, "NotAuthorizedException")


def test_configuration_names_the_warehouse_and_the_endpoints(server: Server, rest: Rest) -> None:
    assert server.printed is not None
    body = rest.config()
    assert {"defaults", "overrides"} <= set(body) <= {"defaults", "overrides", "endpoints", "idempotency-key-lifetime"}
    settings = {**body["defaults"], **body["overrides"]}
    assert all(isinstance(value, str) for value in settings.values())
    assert settings["warehouse"] == server.printed.warehouse
    assert "uri" not in body["overrides"], "`uri` would send a client behind a proxy to the wrong address"
    assert all(ENDPOINT.fullmatch(endpoint) for endpoint in body["endpoints"]), body["endpoints"]
    assert {
        "GET /v1/{prefix}/namespaces",
        "POST /v1/{prefix}/namespaces",
        "GET /v1/{prefix}/namespaces/{namespace}",
        "DELETE /v1/{prefix}/namespaces/{namespace}",
        "POST /v1/{prefix}/namespaces/{namespace}/properties",
        "GET /v1/{prefix}/namespaces/{namespace}/tables",
        "POST /v1/{prefix}/namespaces/{namespace}/tables",
        "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}",
        "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}",
        "DELETE /v1/{prefix}/namespaces/{namespace}/tables/{table}",
        "POST /v1/{prefix}/tables/rename",
        "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics",
    } <= set(body["endpoints"])


def test_every_advertised_endpoint_exists(rest: Rest) -> None:
    """No advertised endpoint answers that the path or the method is unknown."""
    unknown = refused(rest.get("/no/such/path/at/all"), 404)["type"]
    for endpoint in rest.config()["endpoints"]:
        method, path = endpoint.split(" ")
        path = (
            path.replace("/{prefix}", "")
            .replace("{namespace}", "nowhere")
            .replace("{table}", "nothing")
            .replace("{view}", "nothing")
        )
        response = rest.request(method, rest.uri + path, json={} if method == "POST" else None)
        assert response.status_code != 405, endpoint
        if response.status_code == 404 and method != "HEAD":
            assert response.json()["error"]["type"] != unknown, endpoint


@pytest.mark.parametrize("base", ["/v1/config", "/v1/v1/config"])
def test_configuration_is_returned_for_a_named_warehouse(server: Server, rest: Rest, base: str) -> None:
    assert server.printed is not None
    for params in ({}, {"warehouse": ""}, {"warehouse": server.printed.warehouse}):
        answer(rest.get(rest.uri + base, params=params))
    refused(rest.get(rest.uri + base, params={"warehouse": "no-such"}), 404, "NoSuchWarehouseException", "no-such")


def test_configuration_without_a_key_is_refused(rest: Rest) -> None:
    response = Rest(rest.uri, None).get("/config")
    refused(response, 401, "NotAuthorizedException")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_health_without_a_key_is_answered(rest: Rest) -> None:
    assert Rest(rest.uri, None).get(f"{rest.uri}/health").status_code == 200
