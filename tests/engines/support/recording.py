"""Records the results of each client in a run of pytest, for `docs/conformance.md`.

Only a complete run is recorded, not one with -k, or with named files or tests. If workers run the tests, each reports
its servers' logs to the controller, and the controller writes the records.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from support import conformance
from support.conformance import Record

# The name under which a worker reports each client's endpoints.
TOLD = "tidewater-endpoints"


class Recording:
    """A pytest plugin: collects outcomes by client, and writes them when the run is over."""

    def __init__(self, clients: dict[str, str], versions: dict[str, Callable[[], str]]):
        """`clients`: the client of a test module, by the prefix of the module's name."""
        self._clients = clients
        self._versions = versions
        self._records: dict[str, Record] = {}

    def saw_log(self, log: str, only_client: str | None = None) -> None:
        """Records the operations of each client, from the log of a stopped server. With `only_client`, other clients
        are left out, because their own tests record them."""
        used = conformance.used_endpoints(log, only_client)
        self._saw({client: sorted(endpoints) for client, endpoints in used.items() if only_client in (None, client)})

    def _saw(self, used: dict[str, list[str]]) -> None:
        for client, endpoints in used.items():
            record = self._record(client)
            record.endpoints = sorted({*record.endpoints, *endpoints})

    def _record(self, client: str) -> Record:
        if client not in self._records:
            self._records[client] = Record(self._versions.get(client, str)())
        return self._records[client]

    def _client(self, nodeid: str) -> str:
        module = Path(nodeid.split("::")[0]).stem
        return next((client for start, client in self._clients.items() if module.startswith(start)), "http")

    # ---- pytest's hooks ----

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        client = self._client(report.nodeid)
        if client == "http":
            return
        record, title = self._record(client), _title(report.nodeid)
        if report.failed and title not in record.fails:
            record.fails.append(title)
            record.works = [other for other in record.works if other != title]
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else getattr(report, "wasxfail", "")
            record.left_out.append(f"{title}: {reason.removeprefix('Skipped: ')}")
        elif report.passed and report.when == "call":
            record.works.append(title)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Merges the report of a worker that has ended. A crashed worker has none, and the run is then incomplete."""
        self._saw(getattr(node, "workeroutput", {}).get(TOLD, {}))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput[TOLD] = {client: record.endpoints for client, record in self._records.items()}
            return
        option = session.config.option
        named = any("::" in argument or argument.endswith(".py") for argument in session.config.args)
        partial = option.keyword or option.markexpr or option.collectonly or named or session.shouldstop
        if not partial and session.testscollected:
            conformance.write(self._records)


def _title(nodeid: str) -> str:
    """Returns a test's name as a sentence."""
    name, _, parameters = nodeid.split("::")[-1].removeprefix("test_").partition("[")
    return name.replace("_", " ") + (f" ({parameters.removesuffix(']')})" if parameters else "")


def installed(package: str) -> Callable[[], str]:
    """Returns the version of an installed Python package."""
    return lambda: version(package)
