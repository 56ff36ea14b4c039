"""Organisations, keys and warehouses, made with the command line beside a running server."""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import dataclass

from support.rest import Rest
from support.server import Server

KEY = re.compile(r"\bflx_[A-Za-z0-9_-]{16,}")
SEEN_WITHIN_S = 15.0


@dataclass(frozen=True)
class Key:
    """A key, and the id that it is administered by."""

    text: str
    id: str


class Admin:
    """The command line on the folder of one server."""

    def __init__(self, server: Server):
        self.server = server

    def organisation(self, tier: str, warehouse: str | None = "main") -> str:
        """Makes one, with a warehouse to work in; gives its name."""
        name = f"org-{uuid.uuid4().hex[:10]}"
        self.server.command("org", "create", name, "--tier", tier)
        if warehouse is not None:
            self.warehouse(name, warehouse)
        return name

    def warehouse(self, organisation: str, name: str) -> None:
        self.server.command("warehouse", "create", name, "--org", organisation)

    def key(self, organisation: str, role: str, *more: str) -> Key:
        """Makes a key; it is shown this once."""
        shown = self.server.command(
            "key", "create", "--org", organisation, "--name", f"a {role}", "--role", role, *more
        )
        return self._read(shown.stdout)

    @staticmethod
    def _read(text: str) -> Key:
        keys = set(KEY.findall(text))
        assert len(keys) == 1, text
        raise NotImplementedError

    def rest(self, key: Key, prefix: str | None = None) -> Rest:
        return Rest(self.server.uri, key.text, prefix)


def eventually(rest: Rest, path: str, status: int):
    """Asks until the answer has this status: what another process changed is seen within seconds."""
    deadline = time.monotonic() + SEEN_WITHIN_S
    while True:
        response = rest.get(path)
        if response.status_code == status or time.monotonic() > deadline:
            return response
