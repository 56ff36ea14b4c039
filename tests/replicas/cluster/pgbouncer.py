"""PgBouncer in transaction mode: a server connection belongs to a client only during a transaction."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from support.ports import free_ports

from cluster.postgres import DATABASE, USER, as_owner, owner, psql
from cluster.processes import Process, find_program

START_DEADLINE_S = 60.0

SETTINGS = """
[databases]
{database} = host=127.0.0.1 port={upstream} dbname={database} user={user}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
max_client_conn = 400
default_pool_size = {pool_size}
server_login_retry = 1
server_check_delay = 5
ignore_startup_parameters = extra_float_digits
"""


class PgBouncer:
    """One pooler before the server at a port."""

    def __init__(self, upstream: int, logs: Path, *, pool_size: int = 12):
        (self.port,) = free_ports(1)
        self._folder = Path(tempfile.mkdtemp(prefix="tidewater-pgbouncer-"))
        self._settings = self._folder / "pgbouncer.ini"
        self._settings.write_text(
            SETTINGS.format(database=DATABASE, user=USER, upstream=upstream, port=self.port, pool_size=pool_size)
        )
        if owner() is not None:
            self._folder.chmod(0o755)
        self._process = Process("pgbouncer", logs / "pgbouncer.log")

    def start(self) -> None:
        self._process.run(as_owner([find_program("pgbouncer"), self._settings]))
        self._process.wait_until(lambda: psql(self.port, "SELECT 1").stdout.strip() == "1", START_DEADLINE_S)

    def stop(self) -> None:
        self._process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
