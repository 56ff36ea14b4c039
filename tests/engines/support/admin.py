"""Creates organisations, keys and warehouses with the command line while a server runs."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass

import requests

from support.rest import Rest
from support.server import Server

SEEN_WITHIN_S = 30.0


@dataclass(frozen=True)
class Key:
    """A key and its id."""

    text: str
    id: str


class Admin:
    """The command line, on one server's data folder."""

    def __init__(self, server: Server):
        self.server = server

    def organisation(self, tier: str, warehouse: str | None = "main") -> str:
        """Creates an organisation with a warehouse. Returns its name."""
        name = f"org-{uuid.uuid4().hex[:10]}"
        self.server.command("org", "create", name, "--tier", tier)
        if warehouse is not None:
            self.warehouse(name, warehouse)
        return name

    def warehouse(self, organisation: str, name: str) -> None:
        """Creates a warehouse on local disk, in a separate folder beside the server's."""
        folder = self.server.data_dir.parent / "warehouses" / organisation / name
        folder.mkdir(parents=True)
        self.server.command("warehouse", "create", name, "--org", organisation, "--root", folder.as_uri())

    def key(self, organisation: str, role: str, *more: str) -> Key:
        """Creates a key. Its text is shown only once."""
        name = f"a {role} {uuid.uuid4().hex[:6]}"
        arguments = ("key", "create", name, "--org", organisation, "--role", role, "--json", *more)
        shown = json.loads(self.server.command(*arguments).stdout)
        return Key(text=shown["api_key"], id=shown["id"])

    def list_keys(self, organisation: str) -> str:
        """Returns the organisation's keys as `key list` shows them."""
        return self.server.command("key", "list", "--org", organisation).stdout

    def revoke(self, organisation: str, key: Key) -> None:
        self.server.command("key", "revoke", key.id, "--org", organisation)

    def rest(self, key: Key, prefix: str | None = None) -> Rest:
        """The API, signed in with that key."""
        return Rest(self.server.uri, key.text, prefix)


def eventually(rest: Rest, path: str, status: int) -> requests.Response:
    """Repeats a request until the answer has this status. Changes of another process are visible within seconds."""
    deadline = time.monotonic() + SEEN_WITHIN_S
    while True:
        response = rest.get(path)
        if response.status_code == status or time.monotonic() > deadline:
            return response
        time.sleep(0.02)
