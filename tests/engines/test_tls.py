"""TLS in the server: real clients, certificates of clients, rotation under load, silent clients."""

from __future__ import annotations

import json
import re
import resource
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import pytest
import requests
from cryptography import x509
from pyiceberg.catalog import load_catalog

from support.authority import Authority, Issued
from support.ports import free_ports
from support.readers import EXTENSIONS, extension_file
from support.rest import Rest, answer
from support.server import Server, clean_environment

DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def shared(make_server: Callable[..., Server], authority: Authority) -> Server:
    """A server over TLS that no test changes."""
    server = make_server("tls", env=settings(authority.issue("shared"), api__hsts_max_age_s=3600))
    server.start()
    return server


@pytest.fixture
def start(binary: Path, tmp_path: Path, authority: Authority) -> Iterator[Callable[..., Server]]:
    """Starts a server over TLS with its own certificate and these settings."""
    made: list[Server] = []

    def start(issued: Issued | None = None, **more: object) -> Server:
        number = len(made)
        server = Server(binary, tmp_path / f"data{number}", env=settings(issued or authority.issue(f"server{number}"), **more))
        made.append(server)
        server.start()
        return server

    yield start
    for server in made:
        assert server.complaints() == []
        server.kill()


def settings(issued: Issued, **more: object) -> dict[str, str]:
    named = {"tls__certificate_file": issued.certificate, "tls__key_file": issued.key, **more}
    return {f"TIDEWATER_{name.upper()}": str(value) for name, value in named.items()}


def port(server: Server) -> int:
    found = urlsplit(server.uri).port
    assert found is not None
    return found


def log(server: Server) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", server.stderr())


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"the condition is not met after {DEADLINE_S} s"
        time.sleep(0.02)


def s_client(server: Server, authority: Authority, *more: str) -> subprocess.CompletedProcess:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port(server)}", "-CAfile", str(authority.root), *more]
    return subprocess.run(command, input="", capture_output=True, text=True, check=False, timeout=30)


def curl(server: Server, path: str, *more: str) -> subprocess.CompletedProcess:
    return subprocess.run(["curl", "-sS", *more, server.uri + path], capture_output=True, text=True, check=False, timeout=30)


def rest(server: Server, authority: Authority) -> Rest:
    client = Rest(server.uri, server.key)
    client.session.verify = str(authority.root)
    return client


def serial(server: Server) -> int:
    """Returns the serial number of the certificate that a new connection gets."""
    text = ssl.get_server_certificate(("127.0.0.1", port(server)))
    return x509.load_pem_x509_certificate(text.encode()).serial_number


def test_quickstart_prints_an_address_with_https(shared: Server) -> None:
    assert shared.uri.startswith("https://127.0.0.1:")
    assert re.search(rf"kept|{shared.uri}", log(shared) + shared.stdout_text)


@pytest.mark.parametrize(("option", "version"), [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
def test_openssl_connects_with_each_version(shared: Server, authority: Authority, option: str, version: str) -> None:
    done = s_client(shared, authority, option, "-brief", "-verify_return_error", "-alpn", "h2,http/1.1")
    assert done.returncode == 0 and f"Protocol version: {version}" in done.stderr, done.stderr
    assert "Verification: OK" in done.stderr, done.stderr
    assert "ALPN protocol: h2" in s_client(shared, authority, option, "-alpn", "h2,http/1.1").stdout
    assert "ALPN protocol: http/1.1" in s_client(shared, authority, option, "-alpn", "http/1.1").stdout


def test_old_versions_are_refused(shared: Server, start: Callable[..., Server], authority: Authority) -> None:
    assert s_client(shared, authority, "-tls1_1", "-cipher", "ALL@SECLEVEL=0").returncode != 0
    newest = start(tls__min_version="1.3")
    assert s_client(newest, authority, "-tls1_3").returncode == 0
    refused = s_client(newest, authority, "-tls1_2")
    assert refused.returncode != 0 and "protocol version" in refused.stderr, refused.stderr


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_gets_an_answer(shared: Server, authority: Authority, version: str) -> None:
    done = curl(shared, "/health", version, "--cacert", str(authority.root), "-i")
    head = "HTTP/2 200" if version == "--http2" else "HTTP/1.1 200"
    assert done.returncode == 0 and done.stdout.startswith(head) and '{"status":"ok"}' in done.stdout, done.stderr
    assert "strict-transport-security: max-age=3600" in done.stdout and "x-content-type-options: nosniff" in done.stdout
    assert curl(shared, "/health").returncode == 60, "the authority is not known"


def test_browsers_are_told_of_https_only_after_an_answer_over_https(make_server: Callable[..., Server]) -> None:
    settings = {"TIDEWATER_API__HSTS_MAX_AGE_S": "60", "TIDEWATER_CONNECTIONS__TRUSTED_PROXIES": "127.0.0.1"}
    server = make_server("behind_a_proxy", env=settings)
    server.start()
    name = "Strict-Transport-Security"
    assert name not in requests.get(f"{server.uri}/health", timeout=30).headers
    https = requests.get(f"{server.uri}/health", headers={"X-Forwarded-Proto": "https"}, timeout=30)
    assert https.headers[name] == "max-age=60"
    assert name not in requests.get(f"{server.uri}/health", headers={"X-Forwarded-Proto": "http"}, timeout=30).headers


def test_plain_http_is_answered_with_400(shared: Server, authority: Authority) -> None:
    plain = shared.uri.replace("https://", "http://")
    refused = requests.get(f"{plain}/v1/config", timeout=30)
    assert refused.status_code == 400 and "This port speaks HTTPS" in refused.json()["error"]["message"]
    large = requests.post(f"{plain}/v1/namespaces", data=b"x" * 40_000, timeout=30)
    assert large.status_code == 400
    with socket.create_connection(("127.0.0.1", port(shared)), timeout=30) as other:
        other.sendall(b"\x00\x01\x02")
        try:
            assert other.recv(100) == b""
        except ConnectionResetError:
            pass
    answer(rest(shared, authority).get("/namespaces"))


def test_pyiceberg_reads_the_sample_table_with_a_bundle(
    shared: Server, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shared.printed
    # Variables of the machine would win over the property.
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    options = {"type": "rest", "uri": shared.uri, "token": shared.key, "ssl": {"cabundle": str(authority.root)}}
    catalog = load_catalog("tls", **options)
    table = catalog.load_table((shared.printed.namespace, shared.printed.table))
    assert table.scan().to_arrow().num_rows > 0
    catalog.create_namespace("over_tls")
    assert ("over_tls",) in catalog.list_namespaces()


def test_duckdb_reads_the_sample_table_with_a_bundle(shared: Server, authority: Authority) -> None:
    assert shared.printed
    with duckdb.connect(config={"autoinstall_known_extensions": "false", "threads": "2"}) as connection:
        for name in EXTENSIONS:
            connection.execute(f"LOAD '{extension_file(name)}'")
        connection.execute(f"SET ca_cert_file = '{authority.root}'")
        connection.execute("SET enable_server_cert_verification = true")
        where = f"TYPE ICEBERG, ENDPOINT '{shared.uri}', TOKEN '{shared.key}', ACCESS_DELEGATION_MODE 'none'"
        connection.execute(f"ATTACH '{shared.printed.warehouse}' AS ic ({where})")
        name = f"ic.{shared.printed.namespace}.{shared.printed.table}"
        assert connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] > 0


def test_commands_reach_the_server_with_the_authoritys_file(shared: Server, authority: Authority) -> None:
    key = json.loads(shared.command("operator", "create", "ops", "--json").stdout)["api_key"]

    def run(*command: str) -> subprocess.CompletedProcess:
        environment = clean_environment({"TIDEWATER_URI": shared.uri, "TIDEWATER_API_KEY": key})
        return subprocess.run(
            [str(shared.binary), *command], capture_output=True, check=False, text=True, timeout=60, env=environment
        )

    done = run("org", "list", "--ca-file", str(authority.root))
    assert done.returncode == 0 and "quickstart" in done.stdout, done.stderr
    refused = run("org", "list")
    assert refused.returncode == 1 and "--ca-file" in refused.stderr, refused.stderr


def test_client_certificate_is_required_and_its_subject_is_logged(
    start: Callable[..., Server], authority: Authority, tmp_path: Path
) -> None:
    clients = Authority(tmp_path, "clients")
    engine = clients.issue("engine-7")
    strange = Authority(tmp_path, "strangers").issue("stranger")
    expired = clients.issue("expired", days=(-2, -1))
    server = start(tls__client_auth="required", tls__client_ca_file=clients.root)

    def call(*more: str) -> subprocess.CompletedProcess:
        path = f"/v1/config?warehouse={server.printed.warehouse}"
        bearer = f"Authorization: Bearer {server.key}"
        return curl(server, path, "--cacert", str(authority.root), "-H", bearer, *more)

    def presenting(issued: Issued) -> tuple[str, ...]:
        return ("--cert", str(issued.certificate), "--key", str(issued.key))

    done = call(*presenting(engine))
    assert done.returncode == 0 and "defaults" in done.stdout, done.stderr
    assert 'client_certificate="CN=engine-7"' in log(server)
    for refused in (call(), call(*presenting(strange)), call(*presenting(expired))):
        assert refused.returncode != 0 and refused.stdout == "", refused
    until(lambda: "TLS connections did not begin" in log(server))


def test_optional_client_certificate_may_be_missing_but_not_wrong(
    start: Callable[..., Server], authority: Authority, tmp_path: Path
) -> None:
    clients = Authority(tmp_path, "clients")
    engine, strange = clients.issue("engine-8"), Authority(tmp_path, "strangers").issue("stranger")
    server = start(tls__client_auth="optional", tls__client_ca_file=clients.root)
    trust = ("--cacert", str(authority.root))
    assert curl(server, "/health", *trust).returncode == 0
    assert curl(server, "/health", *trust, "--cert", str(engine.certificate), "--key", str(engine.key)).returncode == 0
    assert curl(server, "/health", *trust, "--cert", str(strange.certificate), "--key", str(strange.key)).returncode != 0


def test_files_that_cannot_be_used_stop_the_start_with_advice(
    binary: Path, authority: Authority, tmp_path: Path
) -> None:
    good, other = authority.issue("good"), authority.issue("other")
    expired = authority.issue("old", days=(-3, -1))
    for issued, words in (
        (Issued(good.certificate, other.key, 0), "does not belong to the first certificate"),
        (Issued(tmp_path / "none.pem", good.key, 0), "cannot be read"),
        (Issued(good.key, good.key, 0), "has no certificate in PEM"),
        (expired, "renew it"),
    ):
        server = Server(binary, tmp_path / "data", env=settings(issued))
        with pytest.raises(AssertionError, match=words):
            server.start()
    server = Server(binary, tmp_path / "data", env={"TIDEWATER_TLS__CERTIFICATE_FILE": str(good.certificate)})
    with pytest.raises(AssertionError, match="needs `tls.key_file`"):
        server.start()


def test_certificate_is_rotated_under_load_without_a_failed_request(
    start: Callable[..., Server], authority: Authority
) -> None:
    used = authority.issue("used")
    server = start(used, tls__check_interval_s=1)
    assert server.printed
    path = f"/namespaces/{server.printed.namespace}/tables/{server.printed.table}"
    rotations = [authority.issue(f"new{number}") for number in range(3)]
    over = False

    def load(number: int) -> int:
        done = 0
        while not over:
            # Half of the clients keep their connection, the others make a new one for every fifth request.
            client = rest(server, authority)
            while not over:
                answer(client.get(path))
                done += 1
                if number % 2 and done % 5 == 0:
                    break
        return done

    with ThreadPoolExecutor(64) as pool:
        clients = [pool.submit(load, number) for number in range(64)]
        try:
            for number, new in enumerate(rotations):
                new.copy_to(used)
                if number == 1:
                    server.signal(signal.SIGHUP)
                until(lambda serial_wanted=new.serial: serial(server) == serial_wanted)
        finally:
            over = True
        counts = [client.result() for client in clients]
    assert min(counts) > 0
    assert log(server).count("the TLS certificate was replaced") == 3


def test_broken_new_files_keep_the_certificate_and_are_reported(start: Callable[..., Server], authority: Authority) -> None:
    used, other = authority.issue("keeps"), authority.issue("broken")
    [monitoring] = free_ports(1)
    server = start(used, tls__check_interval_s=1, telemetry__listen=f"127.0.0.1:{monitoring}")
    used.key.write_bytes(other.key.read_bytes())
    failed = server.command("reload", check=False)
    assert failed.returncode == 1 and "does not belong to the first certificate" in failed.stderr, failed.stderr
    until(lambda: metric(monitoring, 'tidewater_background_failures{task="tls"}') >= 1)
    assert serial(server) == used.serial
    answer(rest(server, authority).get("/namespaces"))
    other.copy_to(used)
    assert server.command("reload").returncode == 0
    assert serial(server) == other.serial


def metric(monitoring: int, name: str, **options: object) -> float:
    scheme = "https" if options else "http"
    text = requests.get(f"{scheme}://127.0.0.1:{monitoring}/metrics", timeout=30, **options).text
    [value] = re.findall(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(value)


def test_metrics_tell_the_expiry_and_how_connections_began(start: Callable[..., Server], authority: Authority) -> None:
    [monitoring] = free_ports(1)
    issued = authority.issue("measured", days=(-1, 10))
    server = start(issued, telemetry__listen=f"127.0.0.1:{monitoring}", tls__monitoring="true")
    trusting = {"verify": str(authority.root)}
    expiry = x509.load_pem_x509_certificate(issued.certificate.read_bytes()).not_valid_after_utc
    assert metric(monitoring, "tidewater_tls_certificate_expiry_seconds", **trusting) == expiry.timestamp()
    answer(rest(server, authority).get("/namespaces"))
    requests.get(server.uri.replace("https", "http"), timeout=30)
    assert metric(monitoring, 'tidewater_tls_handshakes_total{outcome="plain-http"}', **trusting) == 1
    assert metric(monitoring, 'tidewater_tls_handshakes_total{outcome="ok"}', **trusting) >= 3


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "half a handshake"])
def test_two_thousand_silent_sockets_are_closed_while_requests_go_on(
    start: Callable[..., Server], authority: Authority, sent: bytes
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = start(connections__head_timeout_s=5)
    client = rest(server, authority)
    with ExitStack() as sockets:
        opened = []
        for number in range(2_000):
            silent = sockets.enter_context(socket.socket())
            # At most as many from one address as it may have.
            silent.bind((f"127.0.0.{2 + number // 800}", 0))
            silent.settimeout(30)
            silent.connect(("127.0.0.1", port(server)))
            silent.sendall(sent)
            opened.append(silent)
            if number % 100 == 0:
                answer(client.get("/namespaces"))
                answer(rest(server, authority).get("/namespaces"))
        for silent in opened:
            try:
                assert silent.recv(100) == b""
            except ConnectionResetError:
                pass
    answer(rest(server, authority).get("/namespaces"))
    assert "no request came within `connections.head_timeout_s`" in log(server)
    assert server.stop() == 0


def test_stop_ends_unfinished_handshakes_at_once_and_answers_requests(
    start: Callable[..., Server], authority: Authority
) -> None:
    server = start(api__shutdown_grace_s=600)
    answer(rest(server, authority).get("/namespaces"))
    with socket.create_connection(("127.0.0.1", port(server)), timeout=30) as silent:
        silent.sendall(b"\x16\x03\x01")
        assert server.stop() == 0
    server.start()
    answer(rest(server, authority).get("/namespaces"))
    server.kill()
    server.start()
    answer(rest(server, authority).get("/namespaces"))
