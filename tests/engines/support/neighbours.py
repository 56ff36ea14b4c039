"""Neighbouring tables with folder names that a storage server could confuse."""

from __future__ import annotations

from support.documents import table as create_body
from support.lake import Lake

# Names of the two folders.
FOLDERS = {
    "a longer name": ("t1", "t10"),
    "a shorter name": ("t10", "t1"),
    "an escaped star": ("t%2A", "tx"),
    "a space": ("t 1", "t 12"),
    "another": ("a", "b"),
}


def key_of(location: str, name: str) -> str:
    """Returns the key of the object with this name below a location."""
    return f"{location.split('/', 3)[3]}/{name}"


def make_tables(lake: Lake, namespace: str, folders: tuple[str, str]) -> tuple[str, str]:
    """Creates the tables `own` and `other` in these folders. Returns their locations."""
    base = f"s3://{lake.bucket}/lake/{namespace}"
    own, other = (
        lake.rest().create_table(namespace, create_body(table, location=f"{base}/{folder}"))["metadata"]["location"]
        for table, folder in zip(("own", "other"), folders, strict=True)
    )
    return own, other
