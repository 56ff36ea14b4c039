"""Service accounts of Kubernetes: a cluster behind TLS of a private authority, whose keys need a token. PyIceberg signs in."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import ForbiddenError, RESTError, UnauthorizedError

from support.azure import Certificate, certificate
from support.gateway import Gateway, Request, Response
from support.server import Server

ACCOUNT = "system:serviceaccount:spark:driver"
BEARER = "a-token-of-the-catalogs-pod"


class Cluster(Gateway):
    """The API server of a cluster, as far as it serves discovery and keys."""

    def __init__(self, issued: Certificate):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        super().__init__("", (issued.certificate, issued.key))

    def answer(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {BEARER}":
            return Response(401)
        public = {**RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True), "kid": "k1", "alg": "RS256", "use": "sig"}
        documents = {
            "/.well-known/openid-configuration": {"issuer": self.uri, "jwks_uri": f"{self.uri}/openid/v1/jwks"},
            "/openid/v1/jwks": {"keys": [public]},
        }
        found = documents.get(request.path)
        return Response(200, body=json.dumps(found).encode()) if found else Response(404)

    def token(self, subject: str = ACCOUNT) -> str:
        now = int(time.time())
        claims = {"iss": self.uri, "aud": ["tidewater"], "sub": subject, "iat": now, "nbf": now, "exp": now + 600}
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": "k1"})


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def cluster(issued: Certificate) -> Iterator[Cluster]:
    cluster = Cluster(issued)
    yield cluster
    cluster.close()


def issuer(cluster: Cluster, ca_file: Path, folder: Path) -> dict[str, str]:
    """Returns the variable with the settings of the cluster as an issuer."""
    bearer = folder / "bearer"
    bearer.write_text(f"{BEARER}\n")
    settings = {
        "name": "cluster",
        "issuer": cluster.uri,
        "organisation": "quickstart",
        "audiences": ["tidewater"],
        "ca_file": str(ca_file),
        "bearer_file": str(bearer),
    }
    return {"TIDEWATER_AUTH__ISSUERS": json.dumps([settings])}


def who_am_i(server: Server, token: str) -> requests.Response:
    return requests.get(
        f"{server.uri}/management/v1/who-am-i", headers={"Authorization": f"Bearer {token}"}, timeout=60
    )


def test_service_account_reads_what_its_roles_allow_until_it_is_disabled(
    make_server: Callable[..., Server], cluster: Cluster, issued: Certificate, tmp_path: Path
) -> None:
    server = make_server("service_accounts", env=issuer(cluster, issued.issuer, tmp_path))
    printed = server.start()
    assert who_am_i(server, cluster.token()).json()["user"]["name"] == ACCOUNT
    for command in (
        ("role", "create", "jobs"),
        ("role", "create", "readers", "--catalog"),
        ("role", "assign", "jobs", ACCOUNT),
        ("role", "assign", "readers", "jobs", "--catalog"),
        ("grant", "add", "readers", "TABLE_READ_DATA"),
    ):
        server.command(*command, "--org", "quickstart")
    catalog = RestCatalog("cluster", uri=server.uri, token=cluster.token(), warehouse=printed.warehouse)
    table = (printed.namespace, printed.table)
    assert catalog.load_table(table).scan(limit=1).to_arrow().num_rows == 1
    with pytest.raises(ForbiddenError, match="TABLE_DROP"):
        catalog.drop_table(table)
    with pytest.raises(RESTError, match="Warehouse does not exist"):
        RestCatalog("other", uri=server.uri, token=cluster.token(f"{ACCOUNT}-2"), warehouse=printed.warehouse)
    server.command("user", "disable", ACCOUNT, "--org", "quickstart")
    with pytest.raises(UnauthorizedError, match="disabled"):
        catalog.load_table(table)


@pytest.mark.makes_unavailable
def test_certificate_of_an_unknown_authority_is_not_trusted(
    make_server: Callable[..., Server], cluster: Cluster, tmp_path: Path
) -> None:
    other = certificate(tmp_path)
    server = make_server("unknown_authority", env=issuer(cluster, other.issuer, tmp_path), loses_storage=True)
    server.start()
    refused = who_am_i(server, cluster.token())
    assert refused.status_code == 503 and "identity provider" in refused.text, refused.text
    assert "certificate" in server.stderr()
