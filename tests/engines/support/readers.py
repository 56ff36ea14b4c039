"""Reads a table with other engines, to compare with the written rows."""

from __future__ import annotations

from pathlib import Path

import duckdb
from pyiceberg.catalog.rest import RestCatalog

from support.server import Server

EXTENSIONS = ("httpfs", "avro", "iceberg")


def extension_file(name: str) -> Path:
    """Returns the extension from its wheel, without a download."""
    package = __import__(f"duckdb_extension_{name}")
    (file,) = Path(package.__file__).parent.rglob(f"{name}.duckdb_extension")
    return file


def pyiceberg(server: Server) -> RestCatalog:
    """PyIceberg on the server's warehouse, signed in with its key."""
    return RestCatalog("tidewater", uri=server.uri, token=server.key)


def pyiceberg_rows(server: Server, table: str, snapshot_id: int | None = None) -> list[tuple]:
    """Returns all rows of `namespace.table`, in order, read by PyIceberg."""
    read = pyiceberg(server).load_table(table).scan(snapshot_id=snapshot_id).to_arrow()
    return sorted(tuple(row.values()) for row in read.to_pylist())


def duckdb_rows(server: Server, table: str) -> list[tuple]:
    """Returns all rows of `namespace.table`, in order, read by DuckDB."""
    assert server.printed is not None
    with duckdb.connect(config={"autoinstall_known_extensions": "false", "threads": "2"}) as connection:
        for name in EXTENSIONS:
            connection.execute(f"LOAD '{extension_file(name)}'")
        connection.execute(
            f"ATTACH '{server.printed.warehouse}' AS ic (TYPE ICEBERG, ENDPOINT '{server.uri}', TOKEN '{server.key}', "
            "ACCESS_DELEGATION_MODE 'none')"
        )
        return sorted(connection.execute(f"SELECT * FROM ic.{table}").fetchall())
