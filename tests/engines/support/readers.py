"""What other engines read of a table, to compare with what one has written."""

from __future__ import annotations

from pathlib import Path

import duckdb
from pyiceberg.catalog.rest import RestCatalog

from support.server import Server

EXTENSIONS = ("httpfs", "avro", "iceberg")


def extension_file(name: str) -> Path:
    """The extension inside its wheel: nothing is downloaded."""
    package = __import__(f"duckdb_extension_{name}")
    (file,) = Path(package.__file__).parent.rglob(f"{name}.duckdb_extension")
    return file


def pyiceberg(server: Server) -> RestCatalog:
    """PyIceberg on the server's warehouse, signed in with its key."""
    return RestCatalog("tidewater", uri=server.uri, token=server.key)


def pyiceberg_rows(server: Server, table: str, snapshot_id: int | None = None) -> list[tuple]:
    """All rows of `namespace.table`, in order, as PyIceberg reads them."""
    read = pyiceberg(server).load_table(table).scan(snapshot_id=snapshot_id).to_arrow()
    return sorted(tuple(row.values()) for row in read.to_pylist())


def duckdb_rows(server: Server, table: str) -> list[tuple]:
    """All rows of `namespace.table`, in order, as DuckDB reads them."""
    assert server.printed is not None
    with duckdb.connect(config={"autoinstall_known_extensions": "false", "threads": "2"}) as connection:
        for name in EXTENSIONS:
            connection.execute(f"LOAD '{extension_file(name)}'")
        connection.execute(
            f"ATTACH '{server.printed.warehouse}' AS ic (TYPE ICEBERG, ENDPOINT '{server.uri}', TOKEN '{server.key}', "
            "ACCESS_DELEGATION_MODE 'none')"
        )
        return sorted(connection.execute(f"SELECT * FROM ic.{table}").fetchall())
