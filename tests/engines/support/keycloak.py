"""Keycloak for tests, with the realm in `tests/servers/keycloak-realm.json`. `cargo xtask compat` fetches it.

The realm `acme` has the people `ann` (group `analysts`) and `bob` (role `catalog-admin`), the client `tidewater-cli` for
people, and the service account of the client `etl` (group `loaders`).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from support.java import java
from support.locking import locked
from support.ports import free_ports
from support.rest import Rest
from support.server import REPOSITORY, Server, clean_environment, find_binary

# The first start of a release also builds it, which takes a minute, and several on a busy machine.
START_DEADLINE_S = 600.0
STOP_DEADLINE_S = 60.0
TIMEOUT_S = 60

REALM = REPOSITORY / "tests/servers/keycloak-realm.json"
CLI = "tidewater-cli"
CREDENTIAL = "etl:the secret of etl"
ADMIN, PASSWORD = "admin", "the administrator's password"


def release() -> Path:
    """Returns the archive of the release."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    found = list((target / "compat/keycloak").glob("keycloak-quarkus-dist-*.zip"))
    if len(found) != 1:
        raise SystemExit("Keycloak's release is missing: run `cargo xtask fetch keycloak`")
    return found[0]


def unpacked() -> Path:
    """Unpacks the release, if it is not. Returns its folder. The first start builds it there, so that later ones are quicker."""
    archive = release()
    home = archive.with_suffix("")
    with locked(archive.with_suffix(".lock")):
        if not (home / "unpacked").exists():
            shutil.rmtree(home, ignore_errors=True)
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(home)
            (home / "unpacked").touch()
    (found,) = home.glob("keycloak-*")
    (found / "data/import").mkdir(parents=True, exist_ok=True)
    shutil.copy(REALM, found / "data/import/acme-realm.json")
    return found


class Keycloak:
    """A server in development mode, with its database in memory. `folder` gets its log."""

    def __init__(self, folder: Path):
        self._folder = folder
        (self._port,) = free_ports(1)
        self._process: subprocess.Popen | None = None
        self.uri = f"http://127.0.0.1:{self._port}"
        self.issuer = f"{self.uri}/realms/acme"

    def start(self) -> None:
        """Starts it, and waits until it has the realm."""
        program = java(oldest=17)
        home = unpacked()
        options = ["start-dev", "--db=dev-mem", "--http-host=127.0.0.1", f"--http-port={self._port}", "--cache=local"]
        environment = {
            "JAVA_HOME": str(Path(program).resolve().parents[1]),
            "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx512m",
            "KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN,
            "KC_BOOTSTRAP_ADMIN_PASSWORD": PASSWORD,
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["bash", str(home / "bin/kc.sh"), *options, "--import-realm"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment(environment), start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + START_DEADLINE_S
        while not self._answers():
            alive = self._process.poll() is None and time.monotonic() < deadline
            if not alive:
                self.stop()
                raise AssertionError(f"Keycloak did not start:\n{self._log.read_text()[-5000:]}")
            time.sleep(0.2)

    @property
    def _log(self) -> Path:
        return self._folder / "keycloak.log"

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.issuer}/.well-known/openid-configuration", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def stop(self) -> None:
        """Stops it and its script."""
        process, self._process = self._process, None
        if process is None:
            return
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @property
    def token_endpoint(self) -> str:
        return f"{self.issuer}/protocol/openid-connect/token"

    def password_of(self, person: str) -> str:
        """Returns the password of a person."""
        return f"{person}'s password"

    # ---- administration ----

    def _administer(self, method: str, path: str, **options: Any) -> Any:
        form = {"grant_type": "password", "client_id": "admin-cli", "username": ADMIN, "password": PASSWORD}
        signed_in = requests.post(f"{self.uri}/realms/master/protocol/openid-connect/token", data=form, timeout=TIMEOUT_S)
        headers = {"Authorization": f"Bearer {signed_in.json()['access_token']}"}
        answer = requests.request(
            method, f"{self.uri}/admin/realms/acme{path}", headers=headers, timeout=TIMEOUT_S, **options
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def _user_group(self, method: str, user: str, group: str) -> None:
        (account,) = self._administer("GET", "/users", params={"username": user, "exact": "true"})
        (found,) = self._administer("GET", "/groups", params={"search": group, "exact": "true"})
        self._administer(method, f"/users/{account['id']}/groups/{found['id']}")

    def add_to_group(self, user: str, group: str) -> None:
        self._user_group("PUT", user, group)

    def remove_from_group(self, user: str, group: str) -> None:
        self._user_group("DELETE", user, group)


def issuer_settings(keycloak: Keycloak, **changes: Any) -> dict[str, Any]:
    """Returns the settings of the server's `auth.issuers` for the realm. Its users belong to the quickstart, and each group is
    the principal role of its name."""
    return {
        "name": "keycloak",
        "issuer": keycloak.issuer,
        "organisation": "quickstart",
        "audiences": ["tidewater"],
        "groups_claim": "groups",
        "group_mappings": [{"pattern": "*", "principal_role": "*"}],
        "login_client_id": CLI,
        "login_scopes": ["openid"],
        **changes,
    }


@contextmanager
def running(folder: Path) -> Iterator[Keycloak]:
    """Yields a started Keycloak, and stops it."""
    keycloak = Keycloak(folder)
    try:
        keycloak.start()
        yield keycloak
    finally:
        keycloak.stop()


@contextmanager
def with_teams(keycloak: Keycloak, folder: Path, **changes: Any) -> Iterator[Server]:
    """Yields a quickstart with two namespaces: `demo`, which `analysts` may read, and `loads`, which `loaders` may change."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = issuer_settings(keycloak, **changes)
    server = Server(find_binary(), folder / "data", env={"TIDEWATER_AUTH__ISSUERS": json.dumps([settings])})
    try:
        server.start()
        Rest(server.uri, server.key).create_namespace("loads")
        for team, privilege, namespace in (("analysts", "SELECT", "demo"), ("loaders", "ALL", "loads")):
            server.command("role", "create", team)
            server.command("role", "create", f"of-{team}", "--catalog")
            server.command("role", "assign", f"of-{team}", team, "--catalog")
            server.command("grant", "add", f"of-{team}", privilege, "--namespace", namespace)
        yield server
    finally:
        if server.is_running():
            server.stop()
    complaints = server.complaints()
    assert not complaints, "\n".join(complaints)
