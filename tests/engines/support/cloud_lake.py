"""A warehouse on an emulated cloud, with a reader's and a writer's key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pyiceberg.catalog.rest import RestCatalog

from support.admin import Admin, Key
from support.rest import Rest
from support.server import Server


@dataclass(frozen=True)
class CloudLake:
    """One organisation's warehouse `lake`."""

    server: Server
    organisation: str
    root: str
    writer: Key
    reader: Key

    def rest(self, key: Key | None = None) -> Rest:
        """Returns the API, signed in with this key, or as a writer."""
        return Admin(self.server).rest(key or self.writer)

    def catalog(self, key: Key | None = None, **properties: str) -> RestCatalog:
        """Returns PyIceberg, signed in with this key, or as a writer."""
        return RestCatalog("lake", uri=self.server.uri, token=(key or self.writer).text, **properties)

    def given(self, namespace: str, table: str, key: Key | None = None) -> dict[str, str]:
        """Returns the vended settings for a table with one location."""
        (given,) = self.rest(key).load(namespace, table)["storage-credentials"]
        return given["config"]


def make_cloud_lake(server: Server, root: str, profile: Path) -> CloudLake:
    """Creates an organisation with its warehouse and keys."""
    admin = Admin(server)
    organisation = admin.organisation("enterprise", warehouse=None)
    server.command("warehouse", "create", "lake", "--org", organisation, "--root", root, "--storage", str(profile))
    keys = (admin.key(organisation, role) for role in ("writer", "reader"))
    return CloudLake(server, organisation, root, *keys)
