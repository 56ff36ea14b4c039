"""Audit records of a real server: the export to a file survives `kill -9`, rsyslog reads the messages, and `audit.fail_closed` refuses changes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.ports import free_ports
from support.rest import Rest
from support.server import Server

WITHIN_S = 60.0


def until(read: Callable[[], Any], what: str) -> Any:
    """Returns the first true value of `read`."""
    deadline = time.monotonic() + WITHIN_S
    while not (value := read()):
        assert time.monotonic() < deadline, f"not within {WITHIN_S} s: {what}"
        time.sleep(0.05)
    return value


def lines(*files: Path) -> list[dict[str, Any]]:
    """Returns the records in files. Each line must be whole."""
    return [json.loads(line) for file in files if file.exists() for line in file.read_text().splitlines()]


def client(server: Server) -> Rest:
    assert server.printed
    return Rest(server.printed.uri, server.printed.api_key)


def test_export_to_a_file_has_every_acknowledged_change_after_kills(make_server: Callable[..., Server], tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    env = {"TIDEWATER_AUDIT__FILE__PATH": str(file), "TIDEWATER_AUDIT__FILE__MAX_BYTES": "20000"}
    server = make_server("killed", env=env)
    acknowledged: list[str] = []

    def change(rest: Rest, start: int) -> None:
        for number in range(start, start + 10_000):
            request = f"change-{number}"
            try:
                answer = rest.post("/v1/namespaces", json={"namespace": [f"n{number}"]}, headers={"x-request-id": request})
            except OSError:
                return
            if answer.status_code == 200:
                acknowledged.append(request)

    for round_number in range(3):
        server.start()
        before = len(acknowledged)
        worker = threading.Thread(target=change, args=(client(server), round_number * 10_000))
        worker.start()
        until(lambda before=before: len(acknowledged) > before + 60, "changes")
        server.kill()
        worker.join()
    server.start()

    def exported() -> list[dict[str, Any]]:
        return lines(*sorted(tmp_path.glob("audit.jsonl*")))

    def missing() -> set[str]:
        return set(acknowledged) - {record.get("request-id", "") for record in exported()}

    until(lambda: not missing(), "every acknowledged change in the file")
    records = exported()
    assert len(acknowledged) > 180
    assert len({record["id"] for record in records}) >= len(acknowledged)
    assert {record["schema-version"] for record in records} == {1}
    assert list(tmp_path.glob("audit.jsonl.*")), "the file was rotated"
    server.stop()


@pytest.fixture
def rsyslog(tmp_path: Path) -> Iterator[tuple[dict[str, str], Path]]:
    """A rsyslog that reads a Unix socket, UDP and TCP. Returns the addresses, and the file of its messages."""
    program = shutil.which("rsyslogd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert program, "rsyslogd is missing (Debian: apt-get install rsyslog)"
    [udp, tcp] = free_ports(2)
    messages, unix = tmp_path / "messages", tmp_path / "log"
    settings = tmp_path / "rsyslog.conf"
    template = "%inputname% %app-name% %msgid% %syslogfacility-text% %syslogseverity-text% %msg%\\n"
    settings.write_text(
        f"""
        global(workDirectory="{tmp_path}" maxMessageSize="8k")
        module(load="imuxsock" SysSock.Use="off")
        module(load="imudp")
        module(load="imtcp")
        input(type="imuxsock" Socket="{unix}" UseSpecialParser="off" ParseHostname="on")
        input(type="imudp" address="127.0.0.1" port="{udp}")
        input(type="imtcp" address="127.0.0.1" port="{tcp}")
        template(name="all" type="string" string="{template}")
        action(type="omfile" file="{messages}" template="all")
        """
    )
    process = subprocess.Popen([program, "-n", "-f", str(settings), "-i", str(tmp_path / "pid")], stderr=subprocess.PIPE)
    addresses = {"imuxsock": f"unix:{unix}", "imudp": f"udp:127.0.0.1:{udp}", "imtcp": f"tcp:127.0.0.1:{tcp}"}
    until(unix.exists, "the socket of rsyslog")
    yield addresses, messages
    process.terminate()
    process.wait(30)


def test_rsyslog_reads_changes_and_refusals_over_each_transport(
    make_server: Callable[..., Server], rsyslog: tuple[dict[str, str], Path]
) -> None:
    addresses, messages = rsyslog
    for source, address in addresses.items():
        server = make_server(f"syslog-{source}", env={"TIDEWATER_AUDIT__SYSLOG__ADDRESS": address})
        server.start()
        rest = client(server)
        rest.post("/v1/namespaces", json={"namespace": ["new"]}, headers={"x-request-id": f"change-{source}"})
        rest.get("/v1/config", headers={"Authorization": "Bearer wrong", "x-request-id": f"refusal-{source}"})

        def read(source: str = source) -> dict[str, tuple[list[str], dict[str, Any]]]:
            found = {}
            for line in messages.read_text().splitlines() if messages.exists() else []:
                *header, text = line.split(" ", 5)
                if header[0] == source:
                    record = json.loads(text)
                    found[record.get("request-id", record["id"])] = (header[1:], record)
            return found

        wanted = {f"change-{source}", f"refusal-{source}"}
        until(lambda wanted=wanted: wanted <= set(read()), f"both records over {source}")
        found = read()
        assert found[f"change-{source}"][0] == ["tidewater", "change", "authpriv", "info"]
        assert found[f"refusal-{source}"][0] == ["tidewater", "refusal", "authpriv", "warning"]
        assert found[f"refusal-{source}"][1]["address"] == "127.0.0.1"
        server.stop()


@pytest.mark.makes_unavailable
def test_full_disk_refuses_changes_and_not_reads_until_there_is_space(make_server: Callable[..., Server], tmp_path: Path) -> None:
    file, room = tmp_path / "audit.jsonl", tmp_path / "room.jsonl"
    file.symlink_to("/dev/full")
    env = {"TIDEWATER_AUDIT__FILE__PATH": str(file), "TIDEWATER_AUDIT__FAIL_CLOSED": "true", "TIDEWATER_AUDIT__FILE__SYNC": "false"}
    server = make_server("full", env=env)
    server.start()
    rest = client(server)
    number = iter(range(10_000))

    def create() -> int:
        return rest.post("/v1/namespaces", json={"namespace": [f"n{next(number)}"]}).status_code

    assert server.printed
    until(lambda: create() == 503, "a refused change")
    refused = rest.post("/v1/namespaces", json={"namespace": ["refused"]})
    assert "Audit records cannot be written" in refused.json()["error"]["message"]
    assert rest.get(f"/v1/namespaces/{server.printed.namespace}/tables/{server.printed.table}").status_code == 200
    file.unlink()
    file.symlink_to(room)
    until(lambda: create() == 200, "an accepted change")
    until(lambda: any(record["type"] == "change" for record in lines(room)), "records in the file")
    server.stop()
