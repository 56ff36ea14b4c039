"""Maintenance of tables on S3, by a server whose requests to S3 pass a proxy."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from dataclasses import dataclass

import requests
from pyiceberg.table import Table

from support.admin import Admin
from support.cloud_lake import CloudLake
from support.clouds import Cloud
from support.faulty_proxy import FaultyProxy
from support.rows import in_order
from support.server import Server

NAMESPACE = "ns"
RUN_DEADLINE_S = 90


@dataclass
class Place:
    """A warehouse on S3. The catalog uses a proxy that injects faults; clients do not."""

    cloud: Cloud
    server: Server
    proxy: FaultyProxy
    lake: CloudLake

    def __post_init__(self) -> None:
        self._key = Admin(self.server).key(self.lake.organisation, "admin")
        self._http = requests.Session()
        self._http.headers["authorization"] = f"Bearer {self._key.text}"

    @property
    def _runs(self) -> str:
        return f"{self.server.uri}/management/v1/organisations/{self.lake.organisation}/warehouses/lake/maintenance/runs"

    def begin(self, operation: str, table: str) -> str:
        """Begins a run, and returns its id."""
        body = {
            "identifier": {"namespace": [NAMESPACE], "name": table},
            "operation": operation,
            "dry-run": False,
        }
        answer = self._http.post(self._runs, json=body, timeout=60)
        assert answer.status_code in (200, 201, 202), answer.text
        return answer.json()["run-id"]

    def record(self, run: str) -> dict:
        answer = self._http.get(self._runs, params={"run-id": run}, timeout=60)
        (found,) = answer.json()["runs"]
        return found

    def run(self, operation: str, table: str) -> dict:
        """Runs an operation to its end."""
        run = self.begin(operation, table)
        deadline = time.monotonic() + RUN_DEADLINE_S
        while (record := self.record(run))["outcome"] in ("queued", "running"):
            assert time.monotonic() < deadline, record
            time.sleep(0.02)
        return record

    def load(self, table: str) -> Table:
        return self.lake.catalog().load_table((NAMESPACE, table))


def end_leases(server: Server) -> None:
    """Ends the leases of a killed server, as the time would."""
    sql = "UPDATE maintenance_state SET until_ms = 0"
    if url := server.store_url():
        command = ["psql", "--no-psqlrc", "--quiet", "--dbname", url, "--command", sql]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        return
    with sqlite3.connect(server.data_dir / "tidewater.db") as database:
        database.execute(sql)
    database.close()


def numbers(table: Table) -> list[int]:
    return [row[0] for row in in_order(table.scan().to_arrow())]


def needed_by(table: Table, *, with_removed: bool = False) -> set[str]:
    """The files to which the table's current document leads, as PyIceberg reads it, relative to the table's location. With those
    whose removal its manifests record, if asked for."""
    needed = {table.metadata_location, *(entry.metadata_file for entry in table.metadata.metadata_log)}
    needed |= {statistics.statistics_path for statistics in table.metadata.statistics}
    for snapshot in table.snapshots():
        needed.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            needed.add(manifest.manifest_path)
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=not with_removed)
            needed |= {entry.data_file.file_path for entry in entries}
    return {location.removeprefix(table.location() + "/") for location in needed}
