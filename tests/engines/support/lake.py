"""A warehouse on S3, with a reader's and a writer's key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyiceberg.catalog.rest import RestCatalog

from support.admin import Admin, Key
from support.rest import Rest
from support.s3 import S3Server
from support.server import Server


@dataclass(frozen=True)
class Lake:
    """One organisation's warehouse `lake`, in a bucket of its name."""

    server: Server
    s3: S3Server
    organisation: str
    bucket: str
    writer: Key
    reader: Key

    def rest(self, key: Key | None = None) -> Rest:
        """Returns the API, signed in with this key, or as a writer."""
        return Admin(self.server).rest(key or self.writer)

    def catalog(self, key: Key | None = None, **properties: str) -> RestCatalog:
        """Returns PyIceberg, signed in with this key, or as a writer."""
        own = {"uri": self.server.uri, "token": (key or self.writer).text}
        return RestCatalog("lake", **{**own, **properties})

    def credentials(self, namespace: str, table: str, key: Key | None = None) -> dict[str, str]:
        """Returns the vended settings of a table as arguments of an AWS client."""
        (given,) = self.rest(key).load(namespace, table)["storage-credentials"]
        return as_aws(given["config"])


def as_aws(config: dict[str, str]) -> dict[str, str]:
    """Converts vended settings into arguments of an AWS client."""
    return {
        "aws_access_key_id": config["s3.access-key-id"],
        "aws_secret_access_key": config["s3.secret-access-key"],
        "aws_session_token": config["s3.session-token"],
    }


def make_lake(server: Server, s3: S3Server, bucket: str, folder: Path, *lines: str, **options: Any) -> Lake:
    """Creates the bucket, an organisation with its warehouse, and the keys."""
    s3.make_bucket(bucket)
    admin = Admin(server)
    organisation = admin.organisation("enterprise", warehouse=None)
    profile = s3.profile(folder, *lines, **options)
    root = f"s3://{bucket}/lake"
    server.command("warehouse", "create", "lake", "--org", organisation, "--root", root, "--storage", str(profile))
    keys = (admin.key(organisation, role) for role in ("writer", "reader"))
    return Lake(server, s3, organisation, bucket, *keys)
