"""HAProxy before the replicas. It sends requests only to servers whose `/ready` answers 200."""

from __future__ import annotations

import csv
import io
import socket
from pathlib import Path

from support.ports import free_ports, wait_until_open

from cluster.processes import Process, find_program, wait_for
from cluster.replica import Replica

CHECK_INTERVAL_MS = 200

# `retry-on` is HAProxy's default, written out: only a request that was never sent goes to another server.
SETTINGS = """
global
    maxconn 2000
    stats socket ipv4@127.0.0.1:{control} level admin

defaults
    mode http
    log stdout format raw local0
    option httplog
    option redispatch 1
    retries 3
    retry-on conn-failure
    timeout connect 2s
    timeout client 60s
    timeout server 60s

frontend catalog
    bind 127.0.0.1:{port}
    default_backend replicas

backend replicas
    balance roundrobin
    option httpchk GET /ready
    http-check expect status 200
    default-server check inter {interval}ms fall 1 rise 1
"""


class HAProxy:
    """One balancer of these replicas."""

    def __init__(self, replicas: list[Replica], folder: Path, logs: Path):
        self.port, self._control = free_ports(2)
        self.uri = f"http://127.0.0.1:{self.port}"
        self._settings = folder / "haproxy.cfg"
        servers = "".join(f"    server {one.name} 127.0.0.1:{one.port}\n" for one in replicas)
        text = SETTINGS.format(port=self.port, control=self._control, interval=CHECK_INTERVAL_MS)
        self._settings.write_text(text + servers)
        self._process = Process("haproxy", logs / "haproxy.log")

    def start(self) -> None:
        """Starts it, and waits until it has a server for each replica."""
        running = self._process.run([find_program("haproxy"), "-db", "-f", self._settings])
        wait_until_open(self.port, running, self._process.log)
        wait_for("HAProxy finds all replicas ready", lambda: all(state.startswith("UP") for state in self.states().values()))

    def states(self) -> dict[str, str]:
        """Returns the state of each replica, as HAProxy sees it."""
        with socket.create_connection(("127.0.0.1", self._control), timeout=5) as control:
            control.sendall(b"show stat\n")
            answer = b""
            while chunk := control.recv(65536):
                answer += chunk
        rows = csv.DictReader(io.StringIO(answer.decode().lstrip("# ")))
        return {row["svname"]: row["status"] for row in rows if row["pxname"] == "replicas" and row["svname"] != "BACKEND"}

    def is_up(self, replica: Replica) -> bool:
        return self.states()[replica.name].startswith("UP")

    def tail(self) -> str:
        return self._process.tail()

    def stop(self) -> None:
        self._process.kill()
