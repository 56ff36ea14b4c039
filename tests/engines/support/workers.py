"""The division of the suite between worker processes (pytest-xdist), and their shared servers.

Without workers, all of it runs in one process, and this changes nothing.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from support.locking import locked
from support.s3 import S3Server

# The name of the plugin.
WORKERS = "tidewater-workers"

# Servers that tests are run on one after the other, as the parameters of a test name them: to start one again on each worker
# would cost more than it brings.
SERVERS = {"s3", "azure", "google", "ceph", "versity", "identity", "account key"}


# Modules that take long, the longest first: they begin first, so that no worker is left with one when the others have ended.
LONG = (
    "test_dropped_clouds.py",
    "test_openapi.py",
    "test_dropped.py",
    "test_crash.py",
    "test_storage_faults.py",
    "test_maintenance_kills.py",
    "test_fuzz.py",
    "test_vending_attacks.py",
    "test_s3_access.py",
    "test_pyiceberg_google.py",
    "test_clickhouse.py",
    "test_credentials.py",
    "test_iceberg_js.py",
    "test_signing_access.py",
)
# Those whose tests share little, so that each may run on another worker.
DIVISIBLE = {"test_dropped.py", "test_crash.py", "test_fuzz.py", "test_maintenance_kills.py", "test_openapi.py"}


def module_of(nodeid: str) -> str:
    """Returns the file's name of a test's module."""
    return nodeid.partition("::")[0].rpartition("/")[2]


def unit_of(nodeid: str) -> str:
    """Returns the name of the tests that run on one worker, one after the other: a module, the part of it that runs on one
    server, or a single test."""
    module, _, test = nodeid.partition("::")
    if module_of(nodeid) in DIVISIBLE:
        return nodeid
    parameters = test.partition("[")[2].removesuffix("]").split("-")
    servers = SERVERS.intersection(parameters)
    return f"{module}{sorted(servers)}" if servers else module


def start_of(nodeid: str) -> int:
    """Returns when a test's unit begins: those of long modules in their order, then the others."""
    module = module_of(nodeid)
    return LONG.index(module) if module in LONG else len(LONG)


class Units(LoadScopeScheduling):
    """Gives each worker that has nothing to do the next unit, in the order of the collected tests."""

    def __init__(self, config: pytest.Config, log: Any):
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


class Workers:
    """A pytest plugin. On the controller, creates the scheduler, and stops the servers that the workers shared."""

    def __init__(self, config: pytest.Config):
        self._is_worker = hasattr(config, "workerinput")
        # The folder that the workers of a run share. Without workers there is none.
        self.shared = Path(config.workerinput["shared"]) if self._is_worker else None  # type: ignore[attr-defined]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Orders the tests of a worker, all workers' alike."""
        if self._is_worker:
            items.sort(key=lambda item: start_of(item.nodeid))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> LoadScopeScheduling:
        return Units(config, log)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tells a worker that is about to start where the shared folder is."""
        if self.shared is None:
            self.shared = Path(tempfile.mkdtemp(prefix="tidewater-tests-"))
        node.workerinput["shared"] = str(self.shared)

    def pytest_unconfigure(self) -> None:
        """Ends the shared servers; by now the workers have ended."""
        if self.shared is None or self._is_worker:
            return
        end_shared_s3(self.shared)
        shutil.rmtree(self.shared)


def join_shared_s3(shared: Path) -> S3Server:
    """Returns the S3 server of all workers. The first worker that asks starts it; the others wait until it answers."""
    with locked(shared / "s3.lock"):
        told = shared / "s3.json"
        if told.exists():
            return S3Server(shared / "s3", ports=tuple(json.loads(told.read_text())))
        server = S3Server(shared / "s3")
        server.start()
        told.write_text(json.dumps(server.ports))
        return server


def end_shared_s3(shared: Path) -> None:
    """Stops the S3 server of all workers, if one was started."""
    if (shared / "s3").exists():
        S3Server(shared / "s3").stop()
