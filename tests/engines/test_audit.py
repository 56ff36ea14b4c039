"""Audit records of a real server: the export to a file survives `kill -9`, rsyslog reads the messages, and `audit.fail_closed` refuses changes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.authority import Authority
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


class Rsyslog:
    """A rsyslog with inputs, which writes the messages of all to one file."""

    def __init__(self, folder: Path, inputs: str) -> None:
        program = shutil.which("rsyslogd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        assert program, "rsyslogd is missing (Debian: apt-get install rsyslog rsyslog-openssl)"
        self.messages = folder / "messages"
        settings = folder / "rsyslog.conf"
        template = "%inputname% %app-name% %msgid% %syslogfacility-text% %syslogseverity-text% %msg%\\n"
        settings.write_text(
            f"""
            {inputs}
            template(name="all" type="string" string="{template}")
            action(type="omfile" file="{self.messages}" template="all")
            """
        )
        command = [program, "-n", "-f", str(settings), "-i", str(folder / "pid")]
        self._process = subprocess.Popen(command, stderr=(folder / "rsyslog.err").open("wb"))

    def read(self, source: str) -> dict[str, tuple[list[str], dict[str, Any]]]:
        """Returns the header and the record of each message of an input, by the id of the request or of the record."""
        found = {}
        for line in self.messages.read_text().splitlines() if self.messages.exists() else []:
            *header, text = line.split(" ", 5)
            if header[0] == source:
                record = json.loads(text)
                found[record.get("request-id", record["id"])] = (header[1:], record)
        return found

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)


@pytest.fixture
def rsyslog(tmp_path: Path) -> Iterator[tuple[dict[str, str], Rsyslog]]:
    """A rsyslog that reads a Unix socket, UDP and TCP, with the addresses."""
    [udp, tcp] = free_ports(2)
    unix = tmp_path / "log"
    running = Rsyslog(
        tmp_path,
        f"""
        global(workDirectory="{tmp_path}" maxMessageSize="8k")
        module(load="imuxsock" SysSock.Use="off")
        module(load="imudp")
        module(load="imtcp")
        input(type="imuxsock" Socket="{unix}" UseSpecialParser="off" ParseHostname="on")
        input(type="imudp" address="127.0.0.1" port="{udp}")
        input(type="imtcp" address="127.0.0.1" port="{tcp}")
        """,
    )
    until(unix.exists, "the socket of rsyslog")
    yield {"imuxsock": f"unix:{unix}", "imudp": f"udp:127.0.0.1:{udp}", "imtcp": f"tcp:127.0.0.1:{tcp}"}, running
    running.stop()


def leave_records(server: Server, name: str) -> set[str]:
    """Makes a change and a refused request. Returns their ids."""
    rest = client(server)
    rest.post("/v1/namespaces", json={"namespace": [name]}, headers={"x-request-id": f"change-{name}"})
    rest.get("/v1/config", headers={"Authorization": "Bearer wrong", "x-request-id": f"refusal-{name}"})
    return {f"change-{name}", f"refusal-{name}"}


def test_rsyslog_reads_changes_and_refusals_over_each_transport(
    make_server: Callable[..., Server], rsyslog: tuple[dict[str, str], Rsyslog]
) -> None:
    addresses, running = rsyslog
    for source, address in addresses.items():
        server = make_server(f"syslog-{source}", env={"TIDEWATER_AUDIT__SYSLOG__ADDRESS": address})
        server.start()
        wanted = leave_records(server, source)
        until(lambda wanted=wanted, source=source: wanted <= set(running.read(source)), f"both records over {source}")
        found = running.read(source)
        assert found[f"change-{source}"][0] == ["tidewater", "change", "authpriv", "info"]
        assert found[f"refusal-{source}"][0] == ["tidewater", "refusal", "authpriv", "warning"]
        assert found[f"refusal-{source}"][1]["address"] == "127.0.0.1"
        server.stop()


def start_tls_rsyslog(folder: Path, authority: Authority, port: int) -> Rsyslog:
    """Starts a rsyslog that reads TLS from clients with a certificate of the authority."""
    own = authority.issue("rsyslog")
    running = Rsyslog(
        folder,
        f"""
        global(workDirectory="{folder}" maxMessageSize="8k" defaultNetstreamDriver="ossl"
               defaultNetstreamDriverCAFile="{authority.root}" defaultNetstreamDriverCertFile="{own.certificate}"
               defaultNetstreamDriverKeyFile="{own.key}")
        module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
        input(type="imtcp" address="127.0.0.1" port="{port}")
        """,
    )

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until(listens, "the port of rsyslog")
    return running


def test_rsyslog_over_tls_gets_every_record_once_both_sides_trust_each_other(make_server: Callable[..., Server], tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    [port] = free_ports(1)
    running = start_tls_rsyslog(tmp_path, authority, port)
    trusted, own = tmp_path / "trusted.pem", other.issue("catalog")
    trusted.write_bytes(other.root.read_bytes())
    env = {
        "TIDEWATER_AUDIT__SYSLOG__ADDRESS": f"tls:localhost:{port}",
        "TIDEWATER_AUDIT__SYSLOG__CA_FILE": str(trusted),
        "TIDEWATER_AUDIT__SYSLOG__CLIENT_CERTIFICATE_FILE": str(own.certificate),
        "TIDEWATER_AUDIT__SYSLOG__CLIENT_KEY_FILE": str(own.key),
    }
    server = make_server("syslog-tls", env=env)
    server.start()
    wanted = leave_records(server, "refused")
    until(lambda: "UnknownIssuer" in server.stderr(), "a receiver that the server does not trust")
    trusted.write_bytes(authority.root.read_bytes())
    until(lambda: "received fatal alert" in server.stderr(), "a receiver that does not trust the server")
    assert not running.read("imtcp"), "messages from an unknown client"

    # Files are read for each new connection. What the receiver did not get comes now.
    authority.issue("renewed").copy_to(own)
    wanted |= leave_records(server, "tls")
    until(lambda: wanted <= set(running.read("imtcp")), "all records over TLS")
    assert running.read("imtcp")["change-tls"][0] == ["tidewater", "change", "authpriv", "info"]

    # The next records of a receiver that was started again come over a new connection.
    running.stop()
    running = start_tls_rsyslog(tmp_path, authority, port)
    wanted = leave_records(server, "again")
    until(lambda: wanted <= set(running.read("imtcp")), "records over a new connection")
    server.stop()
    running.stop()


@pytest.mark.makes_unavailable
def test_file_that_cannot_be_written_refuses_changes_and_not_reads_until_it_can(make_server: Callable[..., Server], tmp_path: Path) -> None:
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
