"""Ports of servers that need a port before they start."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from pathlib import Path

START_DEADLINE_S = 120

# Below those that the system gives to connections and to servers that ask for any port: between the look and the server's
# start, no other process of the tests is given the port.
PORTS = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Returns different ports of the loopback address that nobody listens on."""
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def wait_until_open(port: int, process: subprocess.Popen, log: Path) -> None:
    """Waits until the process listens on the port. Ends it and fails when that takes too long; fails when it has ended."""
    deadline = time.monotonic() + START_DEADLINE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text()
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise AssertionError(f"port {port} is not open after {START_DEADLINE_S} s:\n{log.read_text()}")
        time.sleep(0.02)
