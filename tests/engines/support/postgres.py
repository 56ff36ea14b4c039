"""The store that servers under test have: SQLite in their data folder, or a database of their own in a PostgreSQL server.

`cargo xtask test --engines --store postgres` starts the PostgreSQL server of the run, and names it in `TIDEWATER_TEST_POSTGRES`. With
`--store pgbouncer`, the servers under test reach it through PgBouncer, which `TIDEWATER_TEST_PGBOUNCER` names.
"""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
import uuid
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

STORE, SERVER, POOLED = "TIDEWATER_TEST_STORE", "TIDEWATER_TEST_POSTGRES", "TIDEWATER_TEST_PGBOUNCER"

# The servers of a run share one PostgreSQL server, which has 500 connections.
CONNECTIONS = 6


def is_postgres() -> bool:
    """Whether the servers under test have PostgreSQL."""
    return os.environ.get(STORE) == "postgres"


def store_settings(data_dir: Path) -> dict[str, str]:
    """Returns the settings of a new server's store: none for SQLite; for PostgreSQL a new database, and a master key, which servers
    that share a database never create themselves."""
    if not is_postgres():
        return {}
    key = data_dir.parent / f"{data_dir.name}.master-key"
    key.write_text(base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
    return {
        "TIDEWATER_STORE__URL": create_database(),
        "TIDEWATER_STORE__CONNECTIONS": str(CONNECTIONS),
        # PgBouncer before 1.21 gives the transactions of a client connections with other prepared statements.
        "TIDEWATER_STORE__PREPARED_STATEMENTS": "false" if POOLED in os.environ else "true",
        "TIDEWATER_STORAGE__MASTER_KEY_FILE": str(key),
    }


def create_database() -> str:
    """Creates a database, and returns its URL, through PgBouncer if the run has it. It ends with its server."""
    server = os.environ[SERVER]
    name = f"tidewater_{uuid.uuid4().hex[:12]}"
    command = ["psql", "--no-psqlrc", "--quiet", "--dbname", server, "--command", f"CREATE DATABASE {name}"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return urlunsplit(urlsplit(os.environ.get(POOLED, server))._replace(path=f"/{name}"))
