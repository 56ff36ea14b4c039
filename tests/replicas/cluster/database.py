"""The database of all replicas: a primary, an optional synchronous standby, and the proxies before them."""

from __future__ import annotations

import time
from pathlib import Path

from support.ports import free_ports

from cluster.cut_proxy import CutProxy
from cluster.pgbouncer import PgBouncer
from cluster.postgres import DATABASE, USER, Postgres
from cluster.processes import wait_for


class Database:
    """Servers connect through PgBouncer if wanted, then the cutting proxy, to the primary."""

    def __init__(self, logs: Path, *, standby: bool = False, pooled: bool = False):
        self._logs = logs
        self._made = 0
        # A standby takes the port of the primary that it replaces in the end, so that `settings_of_both` stays right.
        self._ports = free_ports(2)
        self.primary = self._new()
        self.standby: Postgres | None = None
        self.proxy = CutProxy(self.primary.address, logs / "cut-proxy.log")
        self.pool = PgBouncer(self.proxy.port, logs) if pooled else None
        self.failovers = 0
        try:
            self._start(standby=standby)
        except BaseException:
            self.remove()
            raise

    def _start(self, *, standby: bool) -> None:
        self.primary.create()
        if self.pool is not None:
            self.pool.start()
        if standby:
            self.add_standby()

    def _new(self) -> Postgres:
        self._made += 1
        return Postgres(f"postgres-{self._made}", self._ports[(self._made - 1) % 2], self._logs)

    @property
    def settings(self) -> dict[str, str]:
        """The settings of servers with this database."""
        port = self.pool.port if self.pool else self.proxy.port
        # PgBouncer before 1.21 gives a prepared statement's transaction any connection.
        unprepared = {"TIDEWATER_STORE__PREPARED_STATEMENTS": "false"} if self.pool else {}
        return {"TIDEWATER_STORE__URL": f"postgres://{USER}@127.0.0.1:{port}/{DATABASE}", **unprepared}

    @property
    def settings_of_both(self) -> dict[str, str]:
        """The settings of servers that connect without proxies: the URL names both, and they choose the primary."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        return {"TIDEWATER_STORE__URL": f"postgres://{USER}@{hosts}/{DATABASE}?target_session_attrs=read-write"}

    def add_standby(self) -> None:
        self.standby = self._new()
        self.standby.create_standby_of(self.primary)
        self.primary.wait_until_synchronous(self.standby)

    def restart(self, mode: str) -> None:
        """Restarts the primary. A standby has caught up afterwards, so that a failover loses nothing."""
        self.primary.restart(mode)
        if self.standby is not None:
            self.primary.wait_until_synchronous(self.standby)

    def cut_while_standby_stands_still(self, seconds: float) -> None:
        """Makes commits wait for the standby, cuts all connections meanwhile, and lets the waiting commits happen in the end. A
        commit that is not visible yet is not refused."""
        assert self.standby is not None, "there is no standby"
        self.standby.pause()
        try:
            wait_for("a commit waits for the standby", self._is_commit_waiting)
            self.proxy.cut()
            time.sleep(seconds)
        finally:
            self.standby.resume()

    def stand_still(self, seconds: float) -> None:
        """Delays everything between the servers and the database for this time."""
        self.proxy.stand()
        try:
            time.sleep(seconds)
        finally:
            self.proxy.move()

    def _is_commit_waiting(self) -> bool:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        return self.primary.query(waiting) != "0"

    def let_standby_fall_behind(self) -> None:
        """Makes commits wait for no standby, and stops the standby until the next failover, which loses commits then."""
        assert self.standby is not None, "there is no standby"
        self.primary.forget_standbys()
        self.standby.stop("immediate")

    def fail_over(self) -> None:
        """Crashes the primary, promotes the standby, and sends clients there."""
        assert self.standby is not None, "there is no standby"
        self.proxy.refuse()
        self.primary.stop("immediate")
        if not self.standby.is_running():
            self.standby.start()
        self.standby.promote()
        # Until it has a standby of its own, its commits must not wait for one.
        self.standby.forget_standbys()
        self.proxy.switch(self.standby.address)
        self.proxy.accept()
        gone, self.primary, self.standby = self.primary, self.standby, None
        gone.remove()
        self.failovers += 1

    def remove(self) -> None:
        if self.pool is not None:
            self.pool.stop()
        self.proxy.stop()
        for one in (self.standby, self.primary):
            if one is not None:
                one.remove()
