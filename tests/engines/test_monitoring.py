"""The server's metrics, the dashboard and the alert rules, with a real Prometheus."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from pyiceberg.catalog.rest import RestCatalog

from support.ports import free_ports
from support.prometheus import AT_MOST_S, MONITORING, Prometheus, program
from support.rest import Rest
from support.rows import SIGHTINGS, sightings
from support.server import REPOSITORY, Server

METRIC = re.compile(r"\b(?:tidewater|http_server|process)_[a-z0-9_]+")


@pytest.fixture(scope="module")
def monitored(make_server: Callable[..., Server]) -> Iterator[tuple[Server, str]]:
    """A server with an address for monitoring that has answered a few requests, and that address."""
    [port] = free_ports(1)
    address = f"127.0.0.1:{port}"
    server = make_server("monitored", env={"TIDEWATER_TELEMETRY__LISTEN": address, "TIDEWATER_TELEMETRY__ORGANISATIONS": "5", "TIDEWATER_MAINTENANCE__LOOK_INTERVAL_S": "1"})
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


def worn_table(server: Server, name: str, **properties: str) -> str:
    """Creates a table with six small files, of one snapshot each. Returns its name with its namespace."""
    catalog = RestCatalog("tidewater", uri=server.uri, token=server.key)
    catalog.create_namespace_if_not_exists("worn")
    table = catalog.create_table(("worn", name), SIGHTINGS, properties=properties)
    for number in range(6):
        table.append(sightings((number, "Oslo", None)))
    return f"worn.{name}"


def maintain(server: Server, operation: str, table: str, verb: str = "run") -> str:
    """Runs an operation, and returns its outcome."""
    done = server.command("maintenance", verb, table, operation, "--json", check=False)
    return json.loads(done.stdout)["outcome"]


def test_maintenance_is_counted_by_outcome_and_the_health_of_tables_by_organisation(monitored: tuple[Server, str]) -> None:
    server, address = monitored
    table, kept = worn_table(server, "crumbs"), worn_table(server, "kept", **{"gc.enabled": "false"})
    assert maintain(server, "compact-files", table, verb="preview") == "succeeded"
    runs = 'tidewater_maintenance_runs_total{operation="compact-files",outcome="%s"} %d\n'
    assert runs % ("succeeded", 0) in metrics(address), "a dry run does not count"
    for _ in range(2):
        assert maintain(server, "compact-files", table) == "succeeded"
    assert maintain(server, "expire-snapshots", kept) == "failed"
    health = 'tidewater_organisation_%s{organisation="quickstart"} %d\n'
    deadline = time.monotonic() + AT_MOST_S
    while health % ("measured_tables", 1) not in (text := metrics(address)):
        assert time.monotonic() < deadline, text
        time.sleep(0.2)
    for line in (
        runs % ("succeeded", 1),
        runs % ("nothing-to-do", 1),
        runs % ("failed", 0),
        'tidewater_maintenance_runs_total{operation="expire-snapshots",outcome="failed"} 1\n',
        'tidewater_maintenance_run_duration_seconds_count{operation="compact-files"} 2\n',
        'tidewater_maintenance_replaced_files_total{operation="compact-files"} 6\n',
        'tidewater_maintenance_written_files_total{operation="compact-files"} 1\n',
        'tidewater_maintenance_removed_files_total{operation="compact-files"} 0\n',
        'tidewater_maintenance_due_tables{kind="rewrite"} 0',
        health % ("data_files", 1),
        health % ("delete_files", 0),
        health % ("snapshots", 7),
        health % ("worst_table_snapshots", 7),
    ):
        assert line in text, f"{line}{text}"
    assert "crumbs" not in text, "no series has the name of a table"


def test_panels_of_maintenance_have_series_after_runs(monitored: tuple[Server, str], prometheus: Prometheus) -> None:
    server, _ = monitored
    panels = json.loads((MONITORING / "grafana-dashboard.json").read_text())["panels"]
    [row] = [place for place, panel in enumerate(panels) if panel["title"] == "Maintenance of tables"]
    queries = [target["expr"] for panel in panels[row:] for target in panel.get("targets", [])]
    prometheus.wait_for('tidewater_maintenance_runs_total{job="tidewater"}')
    table = worn_table(server, "drawn", **{"history.expire.max-snapshot-age-ms": "1"})
    for operation in ("compact-files", "expire-snapshots"):
        assert maintain(server, operation, table) == "succeeded"
    for query in queries:
        found = prometheus.wait_for(query.replace("$instance", ".*").replace("$__rate_interval", "1m"))
        assert all(series["value"][1] != "NaN" for series in found) or "histogram_quantile" in query, query


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
