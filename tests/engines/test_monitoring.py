"""The server's metrics, the dashboard and the alert rules, with a real Prometheus."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from support.ports import free_ports
from support.prometheus import MONITORING, Prometheus, program
from support.rest import Rest
from support.server import REPOSITORY, Server

METRIC = re.compile(r"\b(?:tidewater|http_server|process)_[a-z0-9_]+")


@pytest.fixture(scope="module")
def monitored(make_server: Callable[..., Server]) -> Iterator[tuple[Server, str]]:
    """A server with an address for monitoring that has answered a few requests, and that address."""
    [port] = free_ports(1)
    address = f"127.0.0.1:{port}"
    server = make_server("monitored", env={"TIDEWATER_TELEMETRY__LISTEN": address, "TIDEWATER_TELEMETRY__ORGANISATIONS": "5"})
    server.start()
    use(server)
    yield server, address


def use(server: Server) -> None:
    """Sends requests that succeed, that find nothing, and that conflict."""
    assert server.printed
    rest = Rest(server.printed.uri, server.printed.api_key)
    table = f"/v1/namespaces/{server.printed.namespace}/tables/{server.printed.table}"
    tag = rest.get(table).headers["ETag"]
    assert rest.get(table, headers={"If-None-Match": tag}).status_code == 304
    assert rest.get("/v1/namespaces/nowhere/tables/none").status_code == 404
    conflict = {"requirements": [{"type": "assert-table-uuid", "uuid": "00000000-0000-0000-0000-000000000000"}], "updates": []}
    assert rest.post(table, json=conflict).status_code == 409


@pytest.fixture(scope="module")
def prometheus(monitored: tuple[Server, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    scraper = Prometheus(tmp_path_factory.mktemp("prometheus"), monitored[1])
    yield scraper
    scraper.stop()


def metrics(address: str) -> str:
    answer = requests.get(f"http://{address}/metrics", timeout=30)
    assert answer.status_code == 200
    return answer.text


def test_metrics_have_the_form_that_promtool_demands(monitored: tuple[Server, str]) -> None:
    text = metrics(monitored[1])
    subprocess.run([program("promtool"), "check", "metrics"], input=text.encode(), check=True, capture_output=True)
    for line in (
        'http_server_request_duration_seconds_count{method="GET",route="/v1/namespaces/{namespace}/tables/{table}",status="304"} 1',
        'tidewater_commit_duration_seconds_count{target="table",operation="commit",outcome="conflict"} 1',
        'tidewater_organisation_requests_total{organisation="quickstart"}',
    ):
        assert line in text, text


def test_address_for_monitoring_has_no_other_route(monitored: tuple[Server, str]) -> None:
    server, address = monitored
    assert server.printed
    key = {"Authorization": f"Bearer {server.printed.api_key}"}
    assert requests.get(f"http://{address}/health", timeout=30).status_code == 200
    for path in ("/v1/config", "/v1/namespaces", "/management/v1/settings", "/openapi.json"):
        assert requests.get(f"http://{address}{path}", headers=key, timeout=30).status_code == 404, path
    assert requests.get(f"{server.printed.uri}/metrics", timeout=30).status_code == 401
    assert requests.get(f"{server.printed.uri}/metrics", headers=key, timeout=30).status_code == 403


def test_each_query_of_the_dashboard_finds_its_metrics(monitored: tuple[Server, str], prometheus: Prometheus) -> None:
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    assert len(queries) > 20
    prometheus.wait_for('up{job="tidewater"} == 1')
    for query in queries:
        prometheus.query(query.replace("$instance", ".*").replace("$__rate_interval", "1m"))
        assert undocumented(query) == [], query
    # A rate needs two scrapes with a change between them.
    use(monitored[0])
    prometheus.wait_for('sum by (status) (rate(http_server_request_duration_seconds_count{job="tidewater"}[1m])) > 0')


def undocumented(text: str) -> list[str]:
    """Returns the metrics in a text that the page about monitoring does not have."""
    page = (REPOSITORY / "docs" / "monitoring.md").read_text()
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in METRIC.findall(text)}
    return sorted(name for name in names if name not in page and not name.startswith("process_"))


def test_each_metric_of_a_server_is_undocumented(monitored: tuple[Server, str]) -> None:
    described = "\n".join(re.findall(r"^# TYPE (\S+) ", metrics(monitored[1]), re.MULTILINE))
    assert undocumented(described) == []


def test_alert_fires_when_the_server_is_down(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    [port] = free_ports(1)
    server = make_server("down", env={"TIDEWATER_TELEMETRY__LISTEN": f"127.0.0.1:{port}"})
    server.start()
    scraper = Prometheus(tmp_path, f"127.0.0.1:{port}")
    try:
        scraper.wait_for('up{job="tidewater"} == 1')
        assert scraper.query('ALERTS{alertname="TidewaterDown"}') == []
        server.stop()
        [alert] = scraper.wait_for('ALERTS{alertname="TidewaterDown", alertstate="firing"}')
        assert alert["metric"]["severity"] == "page"
    finally:
        scraper.stop()


def test_rules_have_tests_and_each_alert_says_what_to_do() -> None:
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        subprocess.run([program("promtool"), *command], cwd=MONITORING, check=True, capture_output=True)
    rules = (MONITORING / "alerts.yml").read_text()
    page = (REPOSITORY / "docs" / "monitoring.md").read_text()
    tested = (MONITORING / "alerts_test.yml").read_text()
    alerts = re.findall(r"- alert: (\w+)", rules)
    assert alerts
    for alert in alerts:
        assert f"\n### {alert}\n" in page, alert
        assert f"docs/monitoring.md#{alert.lower()}" in rules, alert
        assert f"alertname: {alert}" in tested, alert
    assert undocumented(rules) == []
