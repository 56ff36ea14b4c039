"""Azure for tests: the emulator Azurite, and a gateway in front of it for features that Azurite lacks.

Azurite has no hierarchical namespace: it refuses every signature for a folder (`sr=d`), so the gateway accepts these.
It computes the signature with Microsoft's library, enforces folder, time and permissions, and asks Azurite with a
signature for the account. This does not prove that Azure accepts the signatures. The unit tests compare the signed
text with the documentation, and these tests compare it with the library.

Azurite has no directory service either: the gateway issues tokens to one application with one secret. Azurite checks
the tokens except for their signer.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import os
import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit
from xml.etree import ElementTree

import jwt
import pytest
from azure.storage.blob import AccountSasPermissions, BlobServiceClient, ResourceTypes, generate_account_sas
from azure.storage.filedatalake import UserDelegationKey, generate_directory_sas
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support.gateway import Gateway, Request, Response
from support.ports import free_ports, wait_until_open
from support.server import REPOSITORY

ACCOUNT = "devstoreaccount1"
# Azurite's built-in key, the same in every installation.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
HOST = f"{ACCOUNT}.dfs.core.windows.net"
TENANT, CLIENT, SECRET = str(uuid.uuid4()), str(uuid.uuid4()), "the application's secret"

LEFT_OUT = (
    "SKIPPING the tests with an Azure emulator. They need Azurite, which `cargo xtask test` installs if Node is installed "
    "(Debian: apt-get install nodejs npm)"
)
SAS_PARAMETERS = {"sv", "st", "se", "sr", "sdd", "sp", "spr", "sig", "skoid", "sktid", "skt", "ske", "sks", "skv"}


class Certificate(NamedTuple):
    """Files: the issuer's certificate, the certificate, and its private key."""

    issuer: Path
    certificate: Path
    key: Path


def certificate(folder: Path, *hosts: str) -> Certificate:
    """Creates a certificate for 127.0.0.1 and these hosts, signed by a private issuer."""
    now = datetime.datetime.now(datetime.UTC)
    loopback = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), *(x509.DNSName(host) for host in hosts)]
    )
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("the tests' issuer", "127.0.0.1")]

    def signed(key: ec.EllipticCurvePrivateKey, name: x509.Name, *, is_issuer: bool) -> bytes:
        made = x509.CertificateBuilder().subject_name(name).issuer_name(names[0]).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number())
        made = made.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        made = made.add_extension(x509.BasicConstraints(ca=is_issuer, path_length=None), critical=True)
        if not is_issuer:
            made = made.add_extension(loopback, critical=False)
        return made.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    paths = Certificate(folder / "issuer.pem", folder / "certificate.pem", folder / "key.pem")
    paths.issuer.write_bytes(signed(keys[0], names[0], is_issuer=True))
    paths.certificate.write_bytes(signed(keys[1], names[1], is_issuer=False))
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    paths.key.write_bytes(keys[1].private_bytes(pem, pkcs8, serialization.NoEncryption()))
    return paths


class Azurite:
    """The emulator over https, because it accepts tokens only over https."""

    def __init__(self, folder: Path):
        modules = Path(os.environ.get("TIDEWATER_NODE_MODULES", REPOSITORY / "target/node/node_modules"))
        script = modules / "azurite/dist/src/blob/main.js"
        node = shutil.which("node")
        if node is None or not script.exists():
            # A run without Azure must not look like a complete run.
            (pytest.fail if os.environ.get("CI") else pytest.skip)(LEFT_OUT)
        self.certificate = certificate(folder)
        (port,) = free_ports(1)
        self.uri = f"https://127.0.0.1:{port}"
        command = [node, script, "--disableTelemetry", "--silent", "--skipApiVersionCheck", "--oauth", "basic"]
        command += ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", folder / "data"]
        command += ["--cert", self.certificate.certificate, "--key", self.certificate.key]
        with (folder / "azurite.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until_open(port, self._process, folder / "azurite.log")

    @property
    def endpoint(self) -> str:
        return f"{self.uri}/{ACCOUNT}"

    def client(self) -> BlobServiceClient:
        """Returns a client of Azurite with the account's key and without retries."""
        return BlobServiceClient(self.endpoint, credential=KEY, connection_verify=False, retry_total=0)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)


def refusal(code: str, why: str, status: int = 403) -> Response:
    body = f'\ufeff<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{why}\nRequestId:0</Message></Error>'
    headers = {"Content-Type": "application/xml", "x-ms-error-code": code}
    return Response(status, headers, body.encode())


class Account(Gateway):
    """An account with signatures for folders, as with a hierarchical namespace, and the directory that issues its
    tokens."""

    def __init__(self, azurite: Azurite, secure: Certificate | None = None):
        super().__init__(azurite.uri, secure[1:] if secure else None)
        self.azurite = azurite
        self.keys: dict[tuple[str, ...], UserDelegationKey] = {}
        self.keys_given = 0
        # Whether the application has the role 'Storage Blob Delegator'.
        self.may_delegate = True
        # The seconds by which the account's clock is ahead.
        self.ahead_s = 0

    @property
    def endpoint(self) -> str:
        return f"{self.uri}/{ACCOUNT}"

    def answer(self, request: Request) -> Response:
        if request.path == f"/{TENANT}/oauth2/v2.0/token":
            return self._token(request)
        if "sig" in request.query:
            return self._signed(request)
        if request.query.get("comp") != "userdelegationkey":
            return self.forward(request.method, request.target, request.headers, request.body)
        if not self.may_delegate:
            return refusal("AuthorizationPermissionMismatch", "This request is not authorized.")
        self.keys_given += 1
        answer = self.forward(request.method, request.target, request.headers, request.body)
        if answer.status == 200:
            self._remember(answer.body)
        return answer

    def _token(self, request: Request) -> Response:
        form = request.form()
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
            return Response(401, {}, b'{"error":"invalid_client"}')
        return Response(200, {"Content-Type": "application/json"}, json.dumps(self.token()).encode())

    @staticmethod
    def token() -> dict:
        """Issues a token of the directory for the application."""
        now = int(time.time())
        claims = {"aud": "https://storage.azure.com", "iss": f"https://sts.windows.net/{TENANT}/", "tid": TENANT}
        claims |= {"oid": CLIENT, "iat": now, "nbf": now, "exp": now + 3600}
        token = jwt.encode(claims, "nobody checks the signature of this one", algorithm="HS256")
        return {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}

    def _remember(self, answer: bytes) -> None:
        document = ElementTree.fromstring(answer)
        key = UserDelegationKey()
        for name, tag in (
            ("signed_oid", "SignedOid"),
            ("signed_tid", "SignedTid"),
            ("signed_start", "SignedStart"),
            ("signed_expiry", "SignedExpiry"),
            ("signed_service", "SignedService"),
            ("signed_version", "SignedVersion"),
            ("value", "Value"),
        ):
            setattr(key, name, document.findtext(tag))
        self.keys[key.signed_oid, key.signed_tid, key.signed_start, key.signed_expiry] = key

    def _signed(self, request: Request) -> Response:
        query = request.query
        _, account, container, *path = request.path.split("/")
        is_list = query.get("restype") == "container" and query.get("comp") == "list"
        within = query.get("prefix", "").split("/") if is_list else path
        depth = int(query.get("sdd", "0"))
        if query.get("sr") != "d" or account != ACCOUNT or depth < 1 or len(within) <= depth:
            return refusal("AuthorizationFailure", "the signature is not for this")
        if query.get("sig") != self.signature(container, within[:depth], query):
            return refusal("AuthenticationFailed", "the signature is not right")
        if urlsplit(self.uri).scheme not in query["spr"].split(","):
            return refusal("AuthorizationProtocolMismatch", "not over this protocol")
        now = datetime.datetime.fromtimestamp(time.time() + self.ahead_s, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if not query["st"] <= now < query["se"]:
            return refusal("AuthenticationFailed", "the signature is not good now")
        if not self._allows(request, query["sp"], is_list):
            return refusal("AuthorizationPermissionMismatch", "the signature does not allow this")
        return self._as_account(request)

    def signature(self, container: str, folder: list[str], query: dict[str, str]) -> str | None:
        """Computes the signature with Microsoft's library, from the folder and the other parameters."""
        credential: object = KEY
        if "skoid" in query:
            credential = self.keys.get((query["skoid"], query["sktid"], query["skt"], query["ske"]))
            if credential is None:
                return None
        made = generate_directory_sas(
            ACCOUNT,
            container,
            "/".join(folder),
            credential,
            permission=query["sp"],
            start=query["st"],
            expiry=query["se"],
            protocol=query["spr"],
        )
        parameters = dict(parse_qsl(made))
        # Exactly the parameters that the library would send.
        sent = {name: value for name, value in query.items() if name in SAS_PARAMETERS}
        return parameters["sig"] if parameters.keys() == sent.keys() and parameters["sv"] == query["sv"] else None

    @staticmethod
    def _allows(request: Request, permissions: str, is_list: bool) -> bool:
        if is_list:
            return "l" in permissions
        if request.query.get("restype") == "container":
            return False
        needed = {"GET": "r", "HEAD": "r", "DELETE": "d", "PUT": "cw"}.get(request.method, "")
        return any(one in permissions for one in needed)

    def _as_account(self, request: Request) -> Response:
        parts = urlsplit(request.target)
        kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in SAS_PARAMETERS]
        everything = AccountSasPermissions(read=True, write=True, delete=True, list=True, add=True, create=True)
        resources = ResourceTypes(container=True, object=True)
        later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
        own = generate_account_sas(ACCOUNT, KEY, resources, everything, later)
        target = "&".join(filter(None, [urlencode(kept, quote_via=quote), own]))
        return self.forward(request.method, f"{parts.path}?{target}", request.headers, request.body)


BLOB_HOST = f"{ACCOUNT}.blob.core.windows.net"


class NamedAccount(Account):
    """The same account under its public host names, and with the file interface that some clients use for writes."""

    def __init__(self, azurite: Azurite, secure: Certificate):
        super().__init__(azurite, secure)
        self._appended: dict[str, list[str]] = {}

    def answer(self, request: Request) -> Response:
        host = {name.lower(): value for name, value in request.headers.items()}.get("host", "")
        if host not in (HOST, BLOB_HOST):
            return super().answer(request)
        target = f"/{ACCOUNT}{request.target}"
        as_blob = self._as_blob(Request(request.method, target, request.headers, request.body))
        return as_blob if isinstance(as_blob, Response) else super().answer(as_blob)

    def _as_blob(self, request: Request) -> Request | Response:
        """Translates requests of the file interface (create, append, flush) into block blob requests (Data Lake
        Storage, "Path")."""
        query = request.query
        if request.method == "PUT" and query.get("resource") == "file":
            self._appended[request.path] = []
            return changed(request, "PUT", {}, {"x-ms-blob-type": "BlockBlob"}, b"")
        if request.method == "PUT" and query.get("resource") == "directory":
            return changed(request, "PUT", {}, {"x-ms-blob-type": "BlockBlob", "x-ms-meta-hdi_isfolder": "true"}, b"")
        if request.method != "PATCH":
            return request
        blocks = self._appended.setdefault(request.path, [])
        if query.get("action") == "append":
            blocks.append(base64.b64encode(f"{int(query['position']):020}".encode()).decode())
            return changed(request, "PUT", {"comp": "block", "blockid": blocks[-1]}, {}, request.body)
        if query.get("action") == "flush":
            names = "".join(f"<Latest>{block}</Latest>" for block in blocks)
            body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{names}</BlockList>'.encode()
            return changed(request, "PUT", {"comp": "blocklist"}, {}, body)
        return refusal("UnsupportedOperation", "no such action", 400)

    def _signed(self, request: Request) -> Response:
        answer = super()._signed(request)
        # The status codes of an append and a flush.
        status = {"block": 202, "blocklist": 200}.get(request.query.get("comp", ""), answer.status)
        return Response(status, answer.headers, answer.body) if answer.status == 201 else answer


def changed(request: Request, method: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Request:
    """Returns the request with another method and body, and only with its signature's parameters and these."""
    parts = urlsplit(request.target)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name in SAS_PARAMETERS]
    target = f"{parts.path}?{urlencode([*kept, *query.items()], quote_via=quote)}"
    dropped = {"content-md5", "content-type", "x-ms-content-md5", "if-none-match", "if-match"}
    own = {name: value for name, value in request.headers.items() if name.lower() not in dropped}
    return Request(method, target, {**own, **headers}, body)


def profile(folder: Path, endpoint: str, *lines: str, identity: Account | None = None) -> Path:
    """Returns a storage profile with the account's key, or with the application of `identity`."""
    settings = ['type = "adls"', f'endpoint = "{endpoint}"', *lines, "[credentials]"]
    if identity:
        settings += ['kind = "azure-service-principal"', f'tenant-id = "{TENANT}"', f'client-id = "{CLIENT}"']
        settings += [f'client-secret = "{SECRET}"', f'authority-host = "{identity.uri}"']
    else:
        settings += ['kind = "azure-account-key"', f'account-key = "{KEY}"']
    path = folder / f"azure-{uuid.uuid4().hex}.toml"
    path.write_text("\n".join(settings) + "\n")
    return path


def wrong_key() -> str:
    """Returns a key of valid form that no account has."""
    return base64.b64encode(bytes(64)).decode()
