"""What the server reports to systemd, with a listener in its place, and the unit."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from support.ports import free_ports
from support.server import REPOSITORY, Server, clean_environment

DEADLINE_S = 60.0


class Listener:
    """The socket of a supervisor, with all messages so far."""

    def __init__(self, address: str):
        self.messages: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def wait_for(self, text: str, count: int = 1, within_s: float = DEADLINE_S) -> str:
        """Returns the message that has this text, for the `count`th time."""
        deadline = time.monotonic() + within_s
        while True:
            found = [message for message in self.messages if text in message.split("\n")]
            if len(found) >= count:
                return found[count - 1]
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                self.messages.append(self._socket.recv(4096).decode())
            except TimeoutError:
                raise AssertionError(f"no {text} (number {count}) within {within_s} s: {self.messages}") from None

    def drain(self, seconds: float) -> list[str]:
        """Returns the messages that arrive in this time."""
        begun, deadline = len(self.messages), time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                self.messages.append(self._socket.recv(4096).decode())
            except TimeoutError:
                break
        return self.messages[begun:]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def supervised(
    request: pytest.FixtureRequest, make_server: Callable[..., Server], tmp_path: Path
) -> Iterator[tuple[Server, Listener]]:
    """A server with a watchdog of three seconds that has not started yet, and its supervisor."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@tidewater-{os.getpid()}-{tmp_path.name}"
    listener = Listener(address)
    yield make_server("supervised", env={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "3000000"}), listener
    listener.close()


def test_server_is_ready_when_it_answers_and_reports_until_it_stops(supervised: tuple[Server, Listener]) -> None:
    server, listener = supervised
    server.start()
    ready = listener.wait_for("READY=1")
    assert f"STATUS=Serving on {server.uri}" in ready.split("\n")
    assert requests.get(f"{server.uri}/ready", timeout=30).status_code == 200
    before = time.monotonic()
    listener.wait_for("WATCHDOG=1", 4)
    assert time.monotonic() - before > 2, "a third of the watchdog's time-out lies between two reports"
    assert server.stop() == 0
    listener.wait_for("STOPPING=1")


def test_reload_is_reported_with_its_time_and_its_outcome(supervised: tuple[Server, Listener]) -> None:
    server, listener = supervised
    server.start()
    listener.wait_for("READY=1")
    server.signal(signal.SIGHUP)
    reloading = listener.wait_for("RELOADING=1")
    now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
    reported_us = int(re.search(r"^MONOTONIC_USEC=(\d+)$", reloading, re.MULTILINE)[1])
    assert 0 <= now_us - reported_us < DEADLINE_S * 1e6
    listener.wait_for("READY=1", 2)
    assert server.command("reload").returncode == 0
    listener.wait_for("RELOADING=1", 2)
    listener.wait_for("READY=1", 3)


def test_process_that_does_not_run_is_not_reported_as_alive(supervised: tuple[Server, Listener]) -> None:
    server, listener = supervised
    server.start()
    listener.wait_for("WATCHDOG=1", 2)
    server.signal(signal.SIGSTOP)
    try:
        listener.drain(0.5)
        assert listener.drain(4) == [], "systemd kills it after 3 seconds"
    finally:
        server.signal(signal.SIGCONT)
    count = sum("WATCHDOG=1" in message for message in listener.messages)
    listener.wait_for("WATCHDOG=1", count + 1)


def test_long_drain_extends_the_timeout(make_server: Callable[..., Server], tmp_path: Path) -> None:
    listener = Listener(str(tmp_path / "notify"))
    server = make_server("draining", env={"NOTIFY_SOCKET": str(tmp_path / "notify"), "TIDEWATER_API__DRAIN_S": "12"})
    server.start()
    assert server.stop() == 0
    listener.wait_for("STOPPING=1")
    listener.wait_for("EXTEND_TIMEOUT_USEC=20000000", 2)
    listener.close()


def test_wait_for_the_database_extends_the_timeout_and_is_not_ready(binary: Path, tmp_path: Path) -> None:
    listener = Listener(str(tmp_path / "notify"))
    [nobody] = free_ports(1)
    settings = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "TIDEWATER_STORE__URL": f"postgres://nobody@127.0.0.1:{nobody}/none",
        "TIDEWATER_STORE__START_TIMEOUT_S": "13",
    }
    done = subprocess.run(
        [str(binary), "serve", "--listen", "127.0.0.1:0"],
        capture_output=True, check=False, text=True, timeout=60, env=clean_environment(settings),
    )
    assert done.returncode == 1, done.stderr
    listener.wait_for("EXTEND_TIMEOUT_USEC=20000000", 1)
    assert "STATUS=Opening the database" in listener.messages
    assert not any("READY=1" in message for message in listener.messages), listener.messages
    listener.close()


def test_unit_is_valid_and_hardened(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    text = (REPOSITORY / "deploy/systemd/tidewater.service").read_text()
    unit = tmp_path / "tidewater.service"
    # The tool looks for the program on this machine.
    unit.write_text(text.replace("/usr/bin/tidewater", "/bin/true"))
    verified = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, ""), verified.stderr
    rated = subprocess.run([analyze, "security", "--offline=true", "--threshold=15", str(unit)], capture_output=True, text=True, check=False)
    assert rated.returncode == 0, rated.stdout
