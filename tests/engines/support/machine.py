"""A mock of the credential services of cloud machines, built from the clouds' documentation.

It runs on loopback, while the clouds have special addresses (169.254.169.254 and the like). Its credentials work on
the tests' servers: sessions of Ceph's token service, tokens of the Azure and Google gateways. It does not prove that
the clouds' services follow their documentation.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path

from support.gateway import Gateway, Request, Response
from support.s3 import ROLE, S3Server

SESSION_TOKEN = "a token of the machine's own"
MACHINE_ROLE = "role-of-the-machine"


def body(content: dict) -> Response:
    return Response(200, {"Content-Type": "application/json"}, json.dumps(content).encode())


class Machine(Gateway):
    """One machine. `served` lists the requested forms of credentials."""

    def __init__(
        self,
        answers: dict[str, Callable[[Request], Response | None]],
        certificate: tuple[Path, Path] | None = None,
    ):
        super().__init__("http://127.0.0.1:1", certificate)
        self._answers = answers
        self.served: list[str] = []

    def answer(self, request: Request) -> Response:
        for form, answers in self._answers.items():
            given = answers(request)
            if given is not None:
                if given.status == 200:
                    self.served.append(form)
                return given
        return Response(404, {}, b"no such thing on this machine")


def header(request: Request, name: str) -> str | None:
    return {one.lower(): value for one, value in request.headers.items()}.get(name)


class Amazon:
    """Serves credentials of an instance (IMDS version 2), of a container, and of a web identity. The keys are of a real session."""

    def __init__(self, s3: S3Server):
        self._s3 = s3

    def _session(self) -> dict[str, str]:
        """Returns a session of the role, requested with the owner's key."""
        given = self._s3.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="machine", DurationSeconds=900)
        return given["Credentials"]

    def _as_json(self) -> Response:
        session = self._session()
        expires: datetime.datetime = session["Expiration"]  # type: ignore[assignment]
        return body(
            {
                "Code": "Success",
                "LastUpdated": "2026-01-01T00:00:00Z",
                "Type": "AWS-HMAC",
                "AccessKeyId": session["AccessKeyId"],
                "SecretAccessKey": session["SecretAccessKey"],
                "Token": session["SessionToken"],
                "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )

    def instance(self, request: Request) -> Response | None:
        """Follows EC2, "Use the Instance Metadata Service". Every other request needs the token of the first."""
        if request.path == "/latest/api/token":
            lives = header(request, "x-aws-ec2-metadata-token-ttl-seconds")
            is_good = request.method == "PUT" and lives is not None and 1 <= int(lives) <= 21_600
            return Response(200, {}, SESSION_TOKEN.encode()) if is_good else Response(400)
        path = "/latest/meta-data/iam/security-credentials/"
        if not request.path.startswith(path):
            return None
        if header(request, "x-aws-ec2-metadata-token") != SESSION_TOKEN:
            return Response(401)
        name = request.path.removeprefix(path)
        if not name:
            return Response(200, {"Content-Type": "text/plain"}, MACHINE_ROLE.encode())
        return self._as_json() if name == MACHINE_ROLE else Response(404)

    def container(self, request: Request) -> Response | None:
        """Follows AWS SDKs, "Container credential provider"."""
        if request.path != "/v1/credentials":
            return None
        return self._as_json() if header(request, "authorization") == SESSION_TOKEN else Response(403)

    def web_identity(self, request: Request) -> Response | None:
        """Follows AWS STS, `AssumeRoleWithWebIdentity`."""
        if request.query.get("Action") != "AssumeRoleWithWebIdentity":
            return None
        asked = {name: request.query.get(name) for name in ("WebIdentityToken", "RoleArn", "Version")}
        if asked != {"WebIdentityToken": SESSION_TOKEN, "RoleArn": ROLE, "Version": "2011-06-15"}:
            return Response(400, {}, b"<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>")
        session = self._session()
        keys = "".join(f"<{name}>{session[name]}</{name}>" for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"))
        expires: datetime.datetime = session["Expiration"]  # type: ignore[assignment]
        text = f"<Credentials>{keys}<Expiration>{expires:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials>"
        text = f"<AssumeRoleWithWebIdentityResult>{text}</AssumeRoleWithWebIdentityResult>"
        text = f"<AssumeRoleWithWebIdentityResponse>{text}</AssumeRoleWithWebIdentityResponse>"
        return Response(200, {"Content-Type": "text/xml"}, text.encode())


def azure_identity(give: Callable[[], dict]) -> Callable[[Request], Response | None]:
    """Follows Azure, "How to use managed identities to acquire an access token", at the machine's own address."""

    def answer(request: Request) -> Response | None:
        if request.path != "/metadata/identity/oauth2/token":
            return None
        query = request.query
        asks_right = header(request, "metadata") == "true" and query.get("resource", "").rstrip("/") == "https://storage.azure.com"
        if not asks_right or "api-version" not in query:
            return Response(400, {}, b'{"error":"invalid_request"}')
        token = give()
        expires_on = int(datetime.datetime.now(datetime.UTC).timestamp()) + token["expires_in"]
        return body({**token, "expires_on": str(expires_on), "resource": query["resource"]})

    return answer


def azure_workload(tenant: str, client: str, give: Callable[[], dict]) -> Callable[[Request], Response | None]:
    """Follows Microsoft Entra ID, "Access token request with a federated credential"."""

    def answer(request: Request) -> Response | None:
        if request.path != f"/{tenant}/oauth2/v2.0/token":
            return None
        form = request.form()
        asked = (form.get("client_id"), form.get("client_assertion"), form.get("client_assertion_type"))
        if asked != (client, SESSION_TOKEN, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"):
            return Response(401, {}, b'{"error":"invalid_client"}')
        return body(give())

    return answer


def google_machine(give: Callable[[], dict]) -> Callable[[Request], Response | None]:
    """Follows Google Cloud, "About VM metadata": the token of the machine's service account."""

    def answer(request: Request) -> Response | None:
        if request.path != "/computeMetadata/v1/instance/service-accounts/default/token":
            return None
        return body(give()) if header(request, "metadata-flavor") == "Google" else Response(403)

    return answer
