"""Tests of the suite's division between worker processes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from support import conformance
from support.ports import free_ports
from support.recording import TOLD, Recording
from support.workers import DIVISIBLE, LONG, start_of, unit_of


@pytest.mark.parametrize("server", ["s3", "azure", "account key"])
def test_tests_of_a_module_on_one_server_are_one_unit(server: str) -> None:
    first = unit_of(f"tests/engines/test_a.py::test_one[{server}]")
    assert first == unit_of(f"tests/engines/test_a.py::test_two[{server}-no answer]")
    assert first == unit_of(f"tests/engines/test_a.py::test_two[down-{server}]")
    assert first != unit_of("tests/engines/test_a.py::test_one[google]")
    assert first != unit_of("tests/engines/test_a.py::test_three")
    assert first != unit_of(f"tests/engines/test_b.py::test_one[{server}]")


def test_divisible_module_has_a_unit_for_each_test_and_others_have_one() -> None:
    assert unit_of("tests/engines/test_crash.py::test_a") != unit_of("tests/engines/test_crash.py::test_b")
    assert unit_of("tests/engines/test_a.py::test_a[x]") == unit_of("tests/engines/test_a.py::test_b")


def test_long_modules_start_first_and_all_exist() -> None:
    starts = [start_of(f"tests/engines/{module}::test_a") for module in (*LONG, "test_workers.py")]
    assert starts == sorted(set(starts))
    here = Path(__file__).parent
    assert [module for module in {*LONG, *DIVISIBLE} if not (here / module).exists()] == []


def test_free_ports_are_different_and_outside_of_the_systems_own() -> None:
    ports = free_ports(20)
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert len(set(ports)) == 20 and max(ports) < lowest


def test_records_of_all_workers_are_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[dict[str, conformance.Record]] = []
    monkeypatch.setattr(conformance, "write", written.append)
    recording = Recording({}, {})
    for endpoints in (["GET /v1/config", "HEAD /a"], ["GET /v1/config", "GET /b"]):
        recording.pytest_testnodedown(SimpleNamespace(workeroutput={TOLD: {"duckdb": endpoints}}))
    # A worker that has crashed.
    recording.pytest_testnodedown(SimpleNamespace())
    option = SimpleNamespace(keyword="", markexpr="", collectonly=False)
    config = SimpleNamespace(option=option, args=["tests/engines"])
    recording.pytest_sessionfinish(SimpleNamespace(config=config, shouldstop=False, testscollected=1))  # type: ignore[arg-type]
    (records,) = written
    assert records["duckdb"].endpoints == ["GET /b", "GET /v1/config", "HEAD /a"]


def test_worker_reports_its_servers_logs_and_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "write", lambda _: pytest.fail("a worker writes the page"))
    recording = Recording({}, {})
    recording.saw_log(' answered method="GET" path="/v1/config" status=200 agent="pyiceberg/0.12.0"')
    config = SimpleNamespace(workeroutput={})
    recording.pytest_sessionfinish(SimpleNamespace(config=config))  # type: ignore[arg-type]
    assert config.workeroutput[TOLD] == {"pyiceberg": ["GET /v1/config"]}
