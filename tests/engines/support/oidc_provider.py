"""An OpenID provider for tests: `oidc-provider` of npm, on loopback. `cargo xtask test` installs it.

Its clients: `etl` and `reports` (client credentials), `laptop` (a public client, for people), `no-device` (a public client
that must use the browser), `console` (the web console). Access tokens are JWTs for the audience `AUDIENCE`, with the claim `groups`.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

from support.browser import Person
from support.ports import free_ports
from support.server import REPOSITORY, clean_environment

START_DEADLINE_S = 60.0
TIMEOUT_S = 60

AUDIENCE = "https://tidewater.example.com"
SCRIPT = REPOSITORY / "tests/servers/oidc_provider.mjs"

MISSING = (
    "SKIPPING the tests with an OpenID provider. They need oidc-provider, which `cargo xtask test` installs if Node is "
    "installed (Debian: apt-get install nodejs npm)"
)

SECRETS = {"etl": "the secret of etl", "reports": "the secret of reports"}
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


def _clients() -> list[dict[str, Any]]:
    service = {
        "grant_types": ["client_credentials"],
        "redirect_uris": [],
        "response_types": [],
        "token_endpoint_auth_method": "client_secret_post",
    }
    person = {
        "token_endpoint_auth_method": "none",
        "application_type": "native",
        # The port of a loopback address may be any (RFC 8252, 7.3).
        "redirect_uris": ["http://127.0.0.1/callback"],
        "response_types": ["code"],
        "grant_types": ["authorization_code", "refresh_token"],
    }
    services = [{"client_id": name, "client_secret": secret, **service} for name, secret in SECRETS.items()]
    laptop = {**person, "client_id": "laptop", "grant_types": [*person["grant_types"], DEVICE_CODE]}
    # The console at any port, and below a path of a proxy.
    folders = ("", "/lake")
    console = {**person, "client_id": "console", "redirect_uris": [f"http://127.0.0.1{path}/console/signed-in" for path in folders]}
    return [*services, laptop, console, {**person, "client_id": "no-device"}]


def issuer_settings(provider: OidcProvider, **changes: Any) -> dict[str, Any]:
    """Returns the settings of the server's `auth.issuers` for this provider. Its users belong to the quickstart."""
    return {
        "name": "company",
        "issuer": provider.issuer,
        "organisation": "quickstart",
        "audiences": [AUDIENCE],
        "groups_claim": "groups",
        "login_client_id": "laptop",
        "login_scopes": ["openid", "groups", "catalog", "offline_access"],
        **changes,
    }


class OidcProvider:
    """A running provider. `groups` are those of accounts and of clients, by name."""

    def __init__(self, folder: Path, groups: dict[str, list[str]] | None = None, **settings: Any):
        self._folder = folder
        (port,) = free_ports(1)
        self._settings = {"port": port, "audience": AUDIENCE, "clients": _clients(), "groups": groups or {}, **settings}
        self._process: subprocess.Popen | None = None
        self.issuer = ""

    def start(self) -> None:
        """Starts it. A later start has the same address, new keys and no sessions."""
        modules = Path(os.environ.get("TIDEWATER_NODE_MODULES", REPOSITORY / "target/node/node_modules"))
        node = shutil.which("node")
        if node is None or not (modules / "oidc-provider").exists():
            # A run without a provider must not look like a complete run.
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(MISSING)
        with (self._folder / "oidc-provider.log").open("ab") as log:
            self._process = subprocess.Popen(
                [node, str(SCRIPT), str(modules), json.dumps(self._settings)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=clean_environment(),
            )  # fmt: skip
        self.issuer = self._answer()["issuer"]

    def _answer(self) -> dict[str, Any]:
        assert self._process is not None and self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline() if selector.select(START_DEADLINE_S) else ""
        if not line:
            self._process.kill()
            self._process.wait()
            raise AssertionError((self._folder / "oidc-provider.log").read_text())
        return json.loads(line)

    def stop(self) -> None:
        """Ends it: it is not reachable any more."""
        process, self._process = self._process, None
        if process is not None:
            process.communicate(timeout=TIMEOUT_S)

    # ---- commands of the script ----

    def command(self, **command: Any) -> dict[str, Any]:
        """Sends a command of the script, and returns its answer."""
        assert self._process is not None and self._process.stdin is not None, "the provider is not running"
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def rotate_keys(self, *, keep_old: bool = True) -> None:
        """Signs new tokens with a new key."""
        self.command(rotateKeys="keep" if keep_old else "drop")

    def set_groups(self, **groups: list[str]) -> None:
        """Replaces the groups of accounts or clients, for new tokens."""
        self.command(groups=groups)

    def set_lifetime(self, seconds: int) -> None:
        """Sets the lifetime of new access tokens."""
        self.command(accessTokenS=seconds)

    def key_set_requests(self) -> int:
        """Returns how often its key set was requested."""
        return self.command(keySetRequests=True)["keySetRequests"]

    # ---- what clients do ----

    @property
    def token_endpoint(self) -> str:
        return f"{self.issuer}/token"

    def client_token(self, client: str, **form: str) -> str:
        """Returns an access token of a client, by its secret."""
        asked = {"grant_type": "client_credentials", "scope": "catalog", "client_id": client, "client_secret": SECRETS[client]}
        return self._token({**asked, **form})["access_token"]

    def user_token(self, account: str, client: str = "laptop", scope: str = "openid groups catalog") -> dict[str, Any]:
        """Signs a person in by the device flow. Returns the answer with the tokens."""
        started = requests.post(f"{self.issuer}/device/auth", data={"client_id": client, "scope": scope}, timeout=TIMEOUT_S)
        started.raise_for_status()
        self.approve(account, started.json())
        return self._token({"grant_type": DEVICE_CODE, "client_id": client, "device_code": started.json()["device_code"]})

    def approve(self, account: str, started: dict[str, Any]) -> None:
        """Completes a device flow as a person does: with the address and the code that a device shows."""
        page = Person(account).visits(started["verification_uri"], started["user_code"])
        assert page.status_code == 200 and "Sign-in Success" in page.text, page.text[:2000]

    def _token(self, form: dict[str, str]) -> dict[str, Any]:
        answer = requests.post(self.token_endpoint, data=form, timeout=TIMEOUT_S)
        assert answer.status_code == 200, answer.text
        return answer.json()
