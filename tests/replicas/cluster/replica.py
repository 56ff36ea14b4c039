"""Servers of one catalog: `tidewater serve`, each at a port of its own."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from support.ports import free_ports
from support.rest import Rest
from support.server import COMPLAINT, UNAVAILABLE, clean_environment

from cluster.processes import Process

START_DEADLINE_S = 120.0

ORGANISATION = "acme"
WAREHOUSE = "main"


class Replica(Process):
    """One server."""

    def __init__(self, name: str, binary: Path, folder: Path, logs: Path, env: dict[str, str]):
        super().__init__(name, logs / f"{name}.log")
        self.binary = binary
        self.folder = folder
        self.env = env
        (self.port,) = free_ports(1)
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it, and waits until it is ready."""
        self.begin()
        self.wait_until_ready()

    def begin(self) -> None:
        """Starts it without waiting."""
        command = [self.binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--data-dir", self.folder]
        self.run(command, env=clean_environment(self.env))

    def wait_until_ready(self) -> None:
        self.wait_until(self.is_ready, START_DEADLINE_S)

    def is_ready(self) -> bool:
        return self.status_of("/ready") == 200

    def status_of(self, path: str) -> int:
        """Returns the status of a request without a key, or 0 without an answer."""
        try:
            return requests.get(self.uri + path, timeout=5).status_code
        except requests.RequestException:
            return 0

    def complaints(self) -> list[str]:
        """Returns the log lines about panics, and about internal errors other than a missing database."""
        plain = re.sub(r"\x1b\[[0-9;]*m", "", self.text())
        return [line for line in plain.splitlines() if COMPLAINT.search(line) and not UNAVAILABLE.search(line)]


@dataclass(frozen=True)
class Key:
    """A key and its id."""

    text: str
    id: str


class Fleet:
    """All servers of a catalog, with the same settings. Without a database in `env`, the one server has the embedded store."""

    def __init__(self, binary: Path, folder: Path, logs: Path, *, count: int = 1, env: dict[str, str] | None = None):
        master_key = base64.b64encode(os.urandom(32)).decode()
        self.env = {"TIDEWATER_STORAGE__MASTER_KEY": master_key, "TIDEWATER_LOG__LEVEL": "info,tidewater::api=debug", **(env or {})}
        self._binary = binary
        self._folder = folder
        self.replicas = [
            Replica(f"replica-{number}", binary, folder / f"replica-{number}", logs, self.env) for number in range(1, count + 1)
        ]

    # ---- life ----

    def start(self) -> None:
        """Starts all at the same time."""
        for replica in self.replicas:
            replica.begin()
        for replica in self.replicas:
            replica.wait_until_ready()

    def end(self) -> None:
        """Stops those that run. Fails if one of them complained, or did not end well."""
        codes = {replica.name: replica.stop(signal.SIGTERM) for replica in self.replicas if replica.is_running()}
        complaints = [f"{replica.name}: {line}" for replica in self.replicas for line in replica.complaints()]
        assert not complaints, "\n".join(complaints[:50])
        assert not any(codes.values()), codes

    def kill(self) -> None:
        for replica in self.replicas:
            replica.kill()

    @property
    def uris(self) -> list[str]:
        return [replica.uri for replica in self.replicas]

    # ---- administration ----

    def command(self, *words: str) -> str:
        """Runs a command of the command line in its own process, on the database, and returns its output."""
        done = subprocess.run(
            [self._binary, *words, "--data-dir", self.replicas[0].folder],
            capture_output=True, check=False, text=True, timeout=120, env=clean_environment(self.env),
        )  # fmt: skip
        assert done.returncode == 0, f"tidewater {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def organisation(self, tier: str = "enterprise", name: str = ORGANISATION) -> Key:
        """Creates an organisation with a warehouse on local disk. Returns an admin's key."""
        self.command("org", "create", name, "--tier", tier)
        root = self._folder / "warehouses" / name
        root.mkdir(parents=True)
        self.command("warehouse", "create", WAREHOUSE, "--org", name, "--root", root.as_uri())
        return self.key(name)

    def key(self, organisation: str = ORGANISATION, role: str = "admin") -> Key:
        shown = json.loads(
            self.command("key", "create", f"{role} {uuid.uuid4().hex[:6]}", "--org", organisation, "--role", role, "--json")
        )
        return Key(text=shown["api_key"], id=shown["id"])

    def rest(self, key: Key) -> list[Rest]:
        """The API of each replica, signed in with that key."""
        return [Rest(replica.uri, key.text) for replica in self.replicas]


def events(rest: Rest, organisation: str = ORGANISATION) -> list[dict[str, Any]]:
    """Returns all events of an organisation, the newest first."""
    found: list[dict[str, Any]] = []
    token = ""
    while True:
        response = rest.get(f"{rest.uri}/management/v1/organisations/{organisation}/events", params={"page-size": "1000", "page-token": token})
        assert response.status_code == 200, response.text
        page = response.json()
        found += page["events"]
        token = page["next-page-token"]
        if not token:
            return found
