"""Traces: a real OpenTelemetry collector receives them, and a collector that is away, slow or refuses harms no request."""

from __future__ import annotations

import http.client
import json
import queue
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from support.admin import Admin
from support.azure import certificate
from support.collector import Collector, Span
from support.gateway import Gateway, Request, Response
from support.ports import free_ports
from support.rest import Rest
from support.s3 import S3Server
from support.server import Server

SERVER, CLIENT = 2, 3
LOAD = "GET /v1/namespaces/{namespace}/tables/{table}"
CLIENTS = 64

# Each client's loads. All together have twice the spans that wait at the same time: 64 in the queue, 512 that are being sent.
LOADS = 20


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    collector = Collector(tmp_path_factory.mktemp("collector"))
    yield collector
    collector.stop()


@pytest.fixture(scope="module", params=["grpc", "http/protobuf"])
def traced(
    request: pytest.FixtureRequest, make_server: Callable[..., Server], collector: Collector
) -> Iterator[tuple[Server, Collector]]:
    """A server that traces each request, by gRPC and by HTTP. Its log is JSON."""
    env = {
        "TIDEWATER_TRACES__ENDPOINT": collector.grpc if request.param == "grpc" else collector.http,
        "TIDEWATER_TRACES__PROTOCOL": request.param,
        "TIDEWATER_TRACES__RATIO": "1",
        "TIDEWATER_TRACES__SERVICE_NAME": f"catalog-{request.param}",
        "TIDEWATER_TRACES__RESOURCE": "deployment.environment.name=test",
        "TIDEWATER_LOG__FORMAT": "json",
        # A document in memory is not read.
        "TIDEWATER_CACHE__METADATA_BYTES": "0",
        "TIDEWATER_CACHE__POINTER_BYTES": "0",
    }
    server = make_server("traced", env=env)
    server.start()
    yield server, collector
    server.stop()


def client_trace(flags: str = "01") -> tuple[str, str, dict[str, str]]:
    """Returns the ids of a new trace of a client and its span, and the headers."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return trace, span, {"traceparent": f"00-{trace}-{span}-{flags}", "tracestate": "vendor=value"}


def quickstart(server: Server) -> tuple[Rest, str]:
    """Returns the API of the quickstart, and the path of its table."""
    assert server.printed
    table = f"/namespaces/{server.printed.namespace}/tables/{server.printed.table}"
    return Rest(server.uri, server.key), table


def test_load_is_a_tree_of_spans_below_the_clients(traced: tuple[Server, Collector]) -> None:
    server, collector = traced
    rest, table = quickstart(server)
    trace, parent, headers = client_trace()
    answer = rest.get(table, headers=headers)
    assert answer.status_code == 200
    request = collector.wait_for(lambda span: span.trace_id == trace and span.kind == SERVER)
    assert (request.name, request.parent, request.state) == (LOAD, parent, "vendor=value")
    assert answer.headers["traceresponse"] == f"00-{trace}-{request.span_id}-01"
    expected = {
        "http.request.method": "GET",
        "http.route": "/v1/namespaces/{namespace}/tables/{table}",
        "http.response.status_code": 200,
        "url.path": f"/v1{table}",
        "client.address": "127.0.0.1",
        "tidewater.request.id": answer.headers["x-request-id"],
        "tidewater.organisation": "quickstart",
        "tidewater.namespace": server.printed.namespace,
        "tidewater.table": server.printed.table,
    }
    assert expected.items() <= request.attributes.items()
    assert str(request.resource["service.name"]).startswith("catalog-")
    assert request.resource["deployment.environment.name"] == "test"
    storage = request.child("document read").child("storage read")
    assert storage.attributes["tidewater.storage.type"] == "file"
    stores = [span for span in request.descendants() if span.name.startswith("store ")]
    assert stores, request.tree()
    for span in stores:
        assert span.attributes["db.system.name"] in ("sqlite", "postgresql")
        assert span.kind == CLIENT
    for span in request.descendants():
        assert request.began_ns <= span.began_ns <= span.ended_ns
        assert {"tidewater.organisation", "tidewater.table"} <= span.attributes.keys(), span


def test_commit_has_its_attempts_and_writes(traced: tuple[Server, Collector]) -> None:
    server, collector = traced
    rest, table = quickstart(server)
    trace, _, headers = client_trace()
    changed = {"requirements": [], "updates": [{"action": "set-properties", "updates": {"a": secrets.token_hex(4)}}]}
    assert rest.post(table, json=changed, headers=headers).status_code == 200
    request = collector.wait_for(lambda span: span.trace_id == trace and span.kind == SERVER)
    attempt = request.child("commit table").child("commit attempt")
    names = [span.name for span in attempt.children]
    assert "document read" in names and "store change" in names, request.tree()
    assert attempt.child("document write").child("storage create").attributes["tidewater.storage.type"] == "file"
    assert not any(span.failed for span in (request, *request.descendants())), request.tree()
    refused = {"requirements": [{"type": "assert-table-uuid", "uuid": "00000000-0000-0000-0000-000000000000"}], "updates": []}
    trace, _, headers = client_trace()
    assert rest.post(table, json=refused, headers=headers).status_code == 409
    request = collector.wait_for(lambda span: span.trace_id == trace and span.kind == SERVER)
    commit = request.child("commit table")
    assert (commit.failed, commit.attributes["error.type"]) == (True, "conflict")
    assert request.attributes["http.response.status_code"] == 409 and not request.failed


def test_log_lines_of_a_traced_request_have_its_ids(traced: tuple[Server, Collector]) -> None:
    server, _ = traced
    rest, table = quickstart(server)
    trace, _, headers = client_trace()
    span = rest.get(table, headers=headers).headers["traceresponse"].split("-")[2]
    lines = [json.loads(line) for line in server.stderr().splitlines() if line.startswith("{")]
    [line] = [line for line in lines if line.get("trace_id") == trace and line["message"] == "answered"]
    assert (line["span_id"], line["status"]) == (span, 200)


def test_background_tasks_have_traces_of_their_own(traced: tuple[Server, Collector]) -> None:
    server, collector = traced
    task = collector.wait_for(lambda span: span.name.startswith("task "))
    assert task.parent == "" and "tidewater.task.handled" in task.attributes


def test_probes_are_not_traced(traced: tuple[Server, Collector]) -> None:
    server, _ = traced
    for path in ("/health", "/ready", "/metrics"):
        answer = requests.get(f"{server.uri}{path}", headers=client_trace()[2], timeout=30)
        assert "traceresponse" not in answer.headers, path
    assert "traceresponse" in requests.get(f"{server.uri}/v1/config", timeout=30).headers


def test_unsampled_trace_of_a_client_is_not_recorded(traced: tuple[Server, Collector]) -> None:
    server, collector = traced
    rest, table = quickstart(server)
    unsampled, _, headers = client_trace("00")
    answer = rest.get(table, headers=headers)
    assert answer.status_code == 200 and "traceresponse" not in answer.headers
    later, _, headers = client_trace()
    rest.get(table, headers=headers)
    collector.wait_for(lambda span: span.trace_id == later)
    assert not [span for span in collector.spans() if span.trace_id == unsampled]


class Recorder(Gateway):
    """Forwards requests to a store unchanged, and notes their headers."""

    def __init__(self, upstream: str):
        super().__init__(upstream)
        self.seen: list[Request] = []

    def answer(self, request: Request) -> Response:
        self.seen.append(request)
        connection = http.client.HTTPConnection(self.upstream.hostname or "", self.upstream.port, timeout=60)
        try:
            # With its own `Host`, because the signature covers it.
            kept = {name: value for name, value in request.headers.items() if name.lower() != "transfer-encoding"}
            connection.request(request.method, request.target, body=request.body, headers=kept)
            got = connection.getresponse()
            dropped = ("transfer-encoding", "connection")
            headers = {name: value for name, value in got.getheaders() if name.lower() not in dropped}
            return Response(got.status, headers, got.read())
        finally:
            connection.close()


def test_trace_continues_to_the_object_store_and_the_token_service(
    make_server: Callable[..., Server], collector: Collector, s3: S3Server, tmp_path: Path
) -> None:
    env = {"TIDEWATER_TRACES__ENDPOINT": collector.grpc, "TIDEWATER_CACHE__METADATA_BYTES": "0"}
    server = make_server("traced_s3", env=env)
    server.start()
    recorder = Recorder(s3.uri)
    try:
        bucket, admin = f"traced-{secrets.token_hex(4)}", Admin(server)
        s3.make_bucket(bucket)
        organisation = admin.organisation("enterprise", warehouse=None)
        profile = s3.profile(tmp_path, endpoint=recorder.uri)
        root = f"s3://{bucket}/lake"
        server.command("warehouse", "create", "lake", "--org", organisation, "--root", root, "--storage", str(profile))
        rest = admin.rest(admin.key(organisation, "writer"))
        schema = {"type": "struct", "fields": [{"id": 1, "name": "a", "type": "long", "required": False}]}
        assert rest.post("/namespaces", json={"namespace": ["n"]}).status_code == 200
        assert rest.post("/namespaces/n/tables", json={"name": "t", "schema": schema}).status_code == 200
        # Requests of the warehouse's test and of the creations have no trace: the ratio is 0.
        assert not [request for request in recorder.seen if "traceparent" in lower(request.headers)]
        trace, _, headers = client_trace()
        headers["X-Iceberg-Access-Delegation"] = "vended-credentials"
        # The reader's credentials are not those that the writer got with the new table, which are in memory.
        loaded = admin.rest(admin.key(organisation, "reader")).get("/namespaces/n/tables/t", headers=headers)
        assert loaded.status_code == 200 and loaded.json()["storage-credentials"], loaded.text
        request = collector.wait_for(lambda span: span.trace_id == trace and span.kind == SERVER)
        read = request.child("document read").child("storage read").child("GET")
        issued = request.child("credentials issue").child("POST")
        continued = {lower(seen.headers).get("traceparent"): seen for seen in recorder.seen}
        for span in (read, issued):
            seen = continued[f"00-{trace}-{span.span_id}-01"]
            assert (seen.method, lower(seen.headers)["tracestate"]) == (span.name, "vendor=value")
            assert (span.kind, span.attributes["http.response.status_code"]) == (CLIENT, 200)
            assert span.attributes["server.port"] == int(recorder.uri.rsplit(":", 1)[1])
            assert "?" not in str(span.attributes["url.full"])
    finally:
        recorder.close()
        server.stop()


def lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_collector_behind_tls_is_reached_with_its_authority(
    protocol: str, make_server: Callable[..., Server], tmp_path: Path
) -> None:
    issued = certificate(tmp_path)
    collector = Collector(tmp_path, (issued.certificate, issued.key))
    env = {
        "TIDEWATER_TRACES__ENDPOINT": collector.grpc if protocol == "grpc" else collector.http,
        "TIDEWATER_TRACES__PROTOCOL": protocol,
        "TIDEWATER_TRACES__CA_FILE": str(issued.issuer),
    }
    server = make_server("traced_tls", env=env)
    server.start()
    try:
        rest, table = quickstart(server)
        trace, _, headers = client_trace()
        assert rest.get(table, headers=headers).status_code == 200
        collector.wait_for(lambda span: span.trace_id == trace and span.kind == SERVER)
    finally:
        server.stop()
        collector.stop()


class Taking(Gateway):
    """Takes everything, and notes the requests."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.taken: queue.Queue[Request] = queue.Queue()

    def answer(self, request: Request) -> Response:
        self.taken.put(request)
        return Response(200, {"Content-Type": "application/x-protobuf"})


def test_standard_variables_and_a_file_of_headers_are_used(make_server: Callable[..., Server], tmp_path: Path) -> None:
    taking, headers = Taking(), tmp_path / "headers"
    headers.write_text("authorization=Bearer secret-of-the-file\n")
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{taking.uri}/otlp/",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=a%20b",
        "OTEL_SERVICE_NAME": "named-by-the-platform",
        "TIDEWATER_TRACES__HEADERS_FILE": str(headers),
    }
    server = make_server("standard_variables", env=env)
    server.start()
    rest, table = quickstart(server)
    assert rest.get(table, headers=client_trace()[2]).status_code == 200
    request = taking.taken.get(timeout=30)
    sent = lower(request.headers)
    assert (request.method, request.target, sent["content-type"]) == ("POST", "/otlp/v1/traces", "application/x-protobuf")
    assert (sent["authorization"], sent["x-tenant"]) == ("Bearer secret-of-the-file", "a b")
    assert b"named-by-the-platform" in request.body
    assert server.stop() == 0
    assert "secret-of-the-file" not in server.stderr()
    taking.close()


class Silent:
    """Accepts connections and never answers."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self._open.append(self._listener.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        self._listener.close()
        for connection in self._open:
            connection.close()


class Refusing(Gateway):
    """Refuses everything with a status."""

    def __init__(self, status: int):
        super().__init__("http://127.0.0.1:1")
        self.status = status

    def answer(self, request: Request) -> Response:
        return Response(self.status)


def bad_collectors() -> dict[str, Callable[[], Silent | Refusing | None]]:
    return {"away": lambda: None, "silent": Silent, "busy": lambda: Refusing(503), "refusing": lambda: Refusing(400)}


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("kind", bad_collectors())
def test_collector_that_fails_harms_no_request_and_no_stop(
    kind: str, protocol: str, make_server: Callable[..., Server]
) -> None:
    failing = bad_collectors()[kind]()
    [closed] = free_ports(1)
    env = {
        "TIDEWATER_TRACES__ENDPOINT": failing.uri if failing else f"http://127.0.0.1:{closed}",
        "TIDEWATER_TRACES__PROTOCOL": protocol,
        "TIDEWATER_TRACES__RATIO": "1",
        "TIDEWATER_TRACES__QUEUE": "64",
        "TIDEWATER_TRACES__TIMEOUT_S": "1",
        "TIDEWATER_TELEMETRY__PUBLIC": "true",
        "TIDEWATER_LOG__LEVEL": "info",
    }
    server = make_server(f"failing_{kind}", env=env)
    server.start()
    rest, table = quickstart(server)

    def load(_: int) -> list[int]:
        client = Rest(server.uri, server.key)
        return [client.get(table).status_code for _ in range(LOADS)]

    with ThreadPoolExecutor(CLIENTS) as pool:
        statuses = [status for statuses in pool.map(load, range(CLIENTS)) for status in statuses]
    assert statuses == [200] * (CLIENTS * LOADS)
    metrics = requests.get(f"{server.uri}/metrics", timeout=30).text
    lost = sum(int(count) for count in re.findall(r"^tidewater_traces_(?:dropped|failed)_total (\d+)$", metrics, re.M))
    assert lost > 500, metrics
    assert "\ntidewater_traces_exported_total 0\n" in metrics
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 15
    lines = [line for line in server.stderr().splitlines() if "does not take traces" in line]
    assert len(lines) == 1, lines
    if failing:
        failing.close()


def test_spans_that_wait_are_sent_at_the_stop(make_server: Callable[..., Server], collector: Collector) -> None:
    env = {"TIDEWATER_TRACES__ENDPOINT": collector.grpc, "TIDEWATER_TRACES__RATIO": "0"}
    server = make_server("stopped", env=env)
    server.start()
    rest, table = quickstart(server)
    traces = []
    for _ in range(20):
        trace, _, headers = client_trace()
        traces.append(trace)
        assert rest.get(table, headers=headers).status_code == 200
    assert server.stop() == 0
    # The server has ended, so the collector has what it got.
    for trace in traces:
        collector.wait_for(lambda span: span.trace_id == trace and span.kind == SERVER)


@pytest.mark.makes_unavailable
def test_failure_is_recorded_although_it_was_not_sampled(
    make_server: Callable[..., Server], collector: Collector
) -> None:
    env = {
        "TIDEWATER_TRACES__ENDPOINT": collector.grpc,
        "TIDEWATER_TRACES__FAILURES": "true",
        "TIDEWATER_CACHE__METADATA_BYTES": "0",
    }
    server = make_server("failing_storage", env=env, loses_storage=True)
    server.start()
    rest, table = quickstart(server)
    good = rest.get(table)
    assert good.status_code == 200 and "traceresponse" not in good.headers
    [document] = (path for path in server.data_dir.glob("**/*.metadata.json") if path.name in good.json()["metadata-location"])
    # A link to itself in place of the file is a fault of the storage.
    document.unlink()
    document.symlink_to(document)
    bad = rest.get(table)
    assert bad.status_code == 503, bad.text
    trace = bad.headers["traceresponse"].split("-")[1]
    span: Span = collector.wait_for(lambda span: span.trace_id == trace)
    assert span.failed and span.name == LOAD and span.attributes["tidewater.table"] == server.printed.table
    server.stop()
