"""Commands on a remote server behind TLS, with a certificate of a private authority."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.azure import Certificate, certificate
from support.gateway import Gateway, Request, Response
from support.server import Server, clean_environment


class TlsProxy(Gateway):
    """Ends TLS before a server, as nginx and Caddy do."""

    def answer(self, request: Request) -> Response:
        return self.forward(request.method, request.target, request.headers, request.body)


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def remote(make_server: Callable[..., Server], issued: Certificate) -> Callable[..., subprocess.CompletedProcess]:
    """Runs a command on a server behind TLS, with an operator's key."""
    server = make_server("behind_tls")
    server.start()
    key = json.loads(server.command("operator", "create", "ops", "--json").stdout)["api_key"]
    proxy = TlsProxy(server.uri, (issued.certificate, issued.key))

    def run(*command: str, **environment: str) -> subprocess.CompletedProcess:
        access = {"TIDEWATER_URI": proxy.uri, "TIDEWATER_API_KEY": key, **environment}
        return subprocess.run(
            [str(server.binary), *command],
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
            env=clean_environment(access),
        )

    yield run
    proxy.close()


def test_certificate_of_a_named_authority_is_trusted(
    remote: Callable[..., subprocess.CompletedProcess], issued: Certificate
) -> None:
    made = remote("org", "create", "acme", "--ca-file", str(issued.issuer))
    assert made.returncode == 0, made.stderr
    listed = remote("org", "list", "--json", TIDEWATER_CA_FILE=str(issued.issuer))
    assert listed.returncode == 0 and "acme" in listed.stdout, listed.stderr


def test_certificate_of_an_unknown_authority_is_refused_with_advice(
    remote: Callable[..., subprocess.CompletedProcess], tmp_path: Path
) -> None:
    refused = remote("org", "list")
    assert refused.returncode == 1 and "--ca-file" in refused.stderr, refused.stderr
    other = certificate(tmp_path)
    refused = remote("org", "list", "--ca-file", str(other.issuer))
    assert refused.returncode == 1 and "certificate" in refused.stderr, refused.stderr


def test_authority_file_without_a_certificate_is_refused(
    remote: Callable[..., subprocess.CompletedProcess], issued: Certificate, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    for file, words in ((tmp_path / "missing.pem", "cannot read"), (empty, "has no certificate"), (issued.key, "has no certificate")):
        refused = remote("org", "list", "--ca-file", str(file))
        assert refused.returncode == 1 and words in refused.stderr and str(file) in refused.stderr, (file, refused.stderr)
