"""PostgreSQL servers on loopback, from Debian's package, with an optional synchronous standby."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cluster.processes import Process, missing, wait_for

START_DEADLINE_S = 120.0
DATABASE = "tidewater"
USER = "tidewater"

SHARED_MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 << 30

# PostgreSQL does not run as root.
UNPRIVILEGED = ("postgres", "nobody")

SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = 64MB
fsync = on
full_page_writes = on
wal_level = replica
hot_standby = on
max_wal_senders = 8
wal_keep_size = 256MB
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 200ms
log_line_prefix = '%m [%p] '
log_checkpoints = off
"""


def programs() -> Path:
    """Returns the folder of PostgreSQL's programs: `TIDEWATER_POSTGRES_BIN`, or Debian's newest."""
    named = os.environ.get("TIDEWATER_POSTGRES_BIN")
    if named:
        return Path(named)
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else missing("PostgreSQL")


def quick_folder() -> Path | None:
    """Returns a folder in memory for databases, if there is one with room. Processes crash in these tests, but not the machine,
    so memory is as durable as a disk."""
    return SHARED_MEMORY if SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > ROOM_BYTES else None


def owner() -> str | None:
    """Returns the user that PostgreSQL runs as, or None for the present one."""
    if os.getuid() != 0:
        return None
    for name in UNPRIVILEGED:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise AssertionError(f"none of the users {UNPRIVILEGED} exists")


def as_owner(command: Sequence[str | Path]) -> list[str]:
    words = [str(word) for word in command]
    user = owner()
    if user is None:
        return words
    account = pwd.getpwnam(user)
    return ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", *words]


class Postgres:
    """One server. Its folder is outside of pytest's, which other users cannot enter."""

    def __init__(self, name: str, port: int, logs: Path):
        self.name = name
        self.port = port
        self.folder = Path(tempfile.mkdtemp(prefix=f"tidewater-{name}-", dir=quick_folder()))
        self._data = self.folder / "data"
        self._process = Process(name, logs / f"{name}.log")
        user = owner()
        if user is not None:
            account = pwd.getpwnam(user)
            os.chown(self.folder, account.pw_uid, account.pw_gid)

    # ---- life ----

    def create(self) -> None:
        """Makes and starts a new cluster with an empty database."""
        self._run("initdb", "--pgdata", self._data, "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")
        self._configure()
        self.start()
        self.query(f"CREATE ROLE {USER} LOGIN", database="postgres")
        self.query(f"CREATE DATABASE {DATABASE} OWNER {USER}", database="postgres")

    def create_standby_of(self, primary: Postgres) -> None:
        """Makes and starts a standby, which follows a primary by streaming replication."""
        source = f"host=127.0.0.1 port={primary.port} user=postgres application_name={self.name}"
        self._run("pg_basebackup", "--pgdata", self._data, "--dbname", source, "--write-recovery-conf", "--wal-method", "stream", "--checkpoint", "fast", "--no-sync")
        self._configure()
        self.start()

    def _configure(self) -> None:
        # The last value of a setting counts, so a standby's own port replaces the primary's.
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(f"{SETTINGS}port = {self.port}\n")

    def start(self) -> None:
        self._process.run(as_owner([programs() / "postgres", "-D", self._data]), cwd=self.folder)
        self._process.wait_until(self.answers, START_DEADLINE_S)

    def stop(self, mode: str = "fast") -> None:
        """Stops it: `smart`, `fast`, or `immediate`, which is like a crash."""
        signals = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        self._process.stop(signals[mode])

    def restart(self, mode: str) -> None:
        self.stop(mode)
        self.start()

    def remove(self) -> None:
        """Stops it, if it runs, and removes its files."""
        if self._process.is_running():
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def is_running(self) -> bool:
        return self._process.is_running()

    def pause(self) -> None:
        """Stops all its processes where they are, until `resume`."""
        for process in self._processes():
            os.kill(process, signal.SIGSTOP)

    def resume(self) -> None:
        for process in self._processes():
            os.kill(process, signal.SIGCONT)

    def _processes(self) -> list[int]:
        """Returns the ids of its main process and of the children of that."""
        main = self._process.pid
        return [main, *map(int, Path(f"/proc/{main}/task/{main}/children").read_text().split())]

    def promote(self) -> None:
        """Makes a standby the primary."""
        self._run("pg_ctl", "promote", "--pgdata", self._data, "--wait", "--timeout", "60")

    # ---- replication ----

    def wait_until_synchronous(self, standby: Postgres) -> None:
        """Makes commits wait for this standby from now on, and waits until it has caught up."""
        self.query("ALTER SYSTEM SET synchronous_standby_names = '*'", database="postgres")
        self.query("SELECT pg_reload_conf()", database="postgres")
        query = f"SELECT count(*) FROM pg_stat_replication WHERE application_name = '{standby.name}' AND state = 'streaming' AND sync_state = 'sync'"
        wait_for(f"{standby.name} is a synchronous standby", lambda: self.query(query, database="postgres") == "1")

    def forget_standbys(self) -> None:
        """Makes commits wait for no standby."""
        self.query("ALTER SYSTEM SET synchronous_standby_names = ''", database="postgres")
        self.query("SELECT pg_reload_conf()", database="postgres")

    # ---- use ----

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self) -> str:
        return f"postgres://{USER}@{self.address}/{DATABASE}"

    def answers(self) -> bool:
        return psql(self.port, "SELECT 1", database="postgres", user="postgres").stdout.strip() == "1"

    def query(self, sql: str, *, database: str = DATABASE) -> str:
        """Runs a statement as superuser, and returns its rows."""
        done = psql(self.port, sql, database=database, user="postgres")
        assert done.returncode == 0, f"{sql}: {done.stderr}"
        return done.stdout.strip()

    def tail(self) -> str:
        return self._process.tail()

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            as_owner([programs() / program, *arguments]), capture_output=True, text=True, check=False, timeout=120, cwd=self.folder
        )
        assert done.returncode == 0, f"{program}: {done.stdout}\n{done.stderr}\n{self.tail()}"


def psql_command(port: int, database: str = DATABASE, user: str = USER) -> list[str]:
    """Returns the command that runs statements from standard input."""
    options = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"]
    where = ["--host", "127.0.0.1", "--port", str(port), "--username", user, "--dbname", database]
    return [str(programs() / "psql"), *options, *where]


def psql(port: int, *commands: str, database: str = DATABASE, user: str = USER) -> subprocess.CompletedProcess:
    """Runs statements in one session, each in a message of its own."""
    words = [word for command in commands for word in ("--command", command)]
    return subprocess.run(
        [*psql_command(port, database, user), *words],
        capture_output=True, text=True, check=False, timeout=60, env={**os.environ, "PGCONNECT_TIMEOUT": "5"},
    )  # fmt: skip
