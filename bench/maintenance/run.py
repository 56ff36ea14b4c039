"""Measures the maintenance of tables on local disk: compaction, expiry of snapshots and removal of orphan files.

    cargo build --profile dist && cargo build --profile dist -p tidewater-bench
    target/venv/bin/python bench/maintenance/run.py --files 100,1000,10000

Makes a table for each number of small files with PyIceberg, and maintains it, by an operation at a time on a server that has just been
started. Then another client's commits are measured alone, beside compactions and beside removals of orphan files, one after the other
without a pause. docs/benchmark.md explains the figures.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.table import Table

ROOT = Path(__file__).resolve().parents[2]
START_S = 120.0
REQUEST_S = 60.0
BETWEEN_LOOKS_S = 0.02
NAMESPACE = "worn"
# Files of this age can be orphans. Those of the measurement are a day old.
ORPHAN_AGE_MS = 3_600_000
DAY_S = 86_400

SCHEMA = pa.schema([pa.field("id", pa.int64()), pa.field("city", pa.string()), pa.field("size", pa.float64())])


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@dataclass
class Server:
    """A catalog on local disk. Each operation is measured in a new process."""

    options: argparse.Namespace
    folder: Path
    key: str = ""
    uri: str = ""
    process: subprocess.Popen | None = None

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEWATER_")}
        kept |= {"TIDEWATER_STORAGE__MASTER_KEY_FILE": str(self.folder / "master.key"), "TIDEWATER_LOG__LEVEL": "warn"}
        kept["TIDEWATER_MAINTENANCE__MIN_ORPHAN_AGE_S"] = str(ORPHAN_AGE_MS // 1_000)
        return kept | dict(setting.split("=", 1) for setting in self.options.env)

    def command(self, *args: str) -> list[str]:
        return [str(self.options.tidewater), *args, "--data-dir", str(self.folder / "data")]

    def run(self, *args: str) -> str:
        done = subprocess.run(self.command(*args), capture_output=True, text=True, env=self.environment(), check=False)
        if done.returncode != 0:
            raise SystemExit(f"tidewater {' '.join(args)}: {done.stderr}")
        return done.stdout

    def create(self) -> None:
        (self.folder / "master.key").write_text("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
        self.run("org", "create", "bench", "--tier", "enterprise")
        self.run("warehouse", "create", "lake", "--org", "bench", "--root", (self.folder / "lake").as_uri())
        self.key = self.run("key", "create", "bench", "--org", "bench", "--role", "admin").split()[-1]
        self.uri = f"http://127.0.0.1:{free_port()}"

    def start(self) -> None:
        log = (self.folder / "server.log").open("ab")
        command = self.command("serve", "--listen", self.uri.removeprefix("http://"))
        self.process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment())
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.uri}/ready", timeout=5):
                return
            if self.process.poll() is not None:
                raise SystemExit(f"the server ended: see {self.folder / 'server.log'}")
            time.sleep(0.05)
        raise SystemExit(f"the server was not ready within {START_S} s")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
            self.process = None

    def memory_mib(self, line: str) -> float:
        """Returns a line of the process's status: VmRSS for its memory now, VmHWM for the most since its start."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(text.split()[1]) for text in status.splitlines() if text.startswith(line)) / 1024

    def maintenance(self, method: str, path: str, body: dict | None = None) -> dict:
        url = f"{self.uri}/management/v1/organisations/bench/warehouses/lake/maintenance{path}"
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_S) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read()[:1000].decode()}") from None

    def maintain(self, table: str, operation: str) -> dict:
        """Runs an operation to its end, and returns its record."""
        body = {"identifier": {"namespace": [NAMESPACE], "name": table}, "operation": operation, "dry-run": False}
        run = self.maintenance("POST", "/runs", body)["run-id"]
        while True:
            [record] = self.maintenance("GET", f"/runs?run-id={run}")["runs"]
            if record["outcome"] not in ("queued", "running"):
                break
            time.sleep(BETWEEN_LOOKS_S)
        if record["outcome"] != "succeeded":
            raise SystemExit(f"{operation} of {table}: {record}")
        return record


def rows(count: int) -> pa.Table:
    """Rows that hardly compress, so that files have the size that is asked for."""
    ids = pa.array(range(count), pa.int64())
    cities = pa.array((f"city {number * 2_654_435_761 % 2**32:08x}" for number in range(count)), pa.string())
    sizes = pa.array((number * 0.618_033_988_749 % 1 for number in range(count)), pa.float64())
    return pa.table([ids, cities, sizes], schema=SCHEMA)


def worn_table(catalog: RestCatalog, name: str, files: int, file_rows: int) -> Table:
    """Creates a table of small files, all of one snapshot."""
    some = rows(file_rows)
    # PyIceberg divides what it appends into files of the target's size.
    properties = {"write.target-file-size-bytes": str(some.nbytes)}
    table = catalog.create_table((NAMESPACE, name), SCHEMA, properties=properties)
    at_once = 1_000
    for first in range(0, files, at_once):
        table.append(rows(file_rows * min(at_once, files - first)))
    with table.transaction() as transaction:
        transaction.set_properties({"write.target-file-size-bytes": str(512 << 20)})
    return table


def make_orphans(table: Table, count: int) -> None:
    """Writes files of a day's age that no metadata names."""
    folder = Path(table.location().removeprefix("file://")) / "data"
    moment = time.time() - DAY_S
    for number in range(count):
        path = folder / f"orphan-{number}.parquet"
        path.write_bytes(b"nobody knows of this")
        os.utime(path, (moment, moment))


HEAD = f"{'files':>7} {'operation':20} {'seconds':>9} {'handled':>9} {'files/s':>10} {'MiB/s':>9} {'peak MiB':>9} {'idle MiB':>9}"


def show(files: int, record: dict, handled: int, size: int, memory: tuple[float, float]) -> None:
    seconds = max(record["ended-ms"] - record["started-ms"], 1) / 1_000
    idle, peak = memory
    print(
        f"{files:7,} {record['operation']:20} {seconds:9.2f} {handled:9,} {handled / seconds:10,.0f} {size / 2**20 / seconds:9.1f} {peak:9.0f} {idle:9.0f}",
        flush=True,
    )


def measure(options: argparse.Namespace, server: Server, table: Table, files: int) -> None:
    """Compacts a table, expires the snapshots with its small files, and removes as many orphan files."""
    name = table.name()[-1]
    sizes = {"compact-files": ("replaced-files", "replaced-bytes"), "expire-snapshots": ("files", "bytes"), "remove-orphan-files": ("files", "bytes")}
    for operation, (handled, size) in sizes.items():
        say(f"{files} files: {operation}")
        if operation == "remove-orphan-files":
            make_orphans(table, files)
        server.stop()
        server.start()
        idle = server.memory_mib("VmRSS")
        record = server.maintain(name, operation)
        if record[handled] < files:
            raise SystemExit(f"{operation} of {name} left files alone: {record}")
        show(files, record, record[handled], record[size], (idle, server.memory_mib("VmHWM")))


def commits(options: argparse.Namespace, server: Server) -> dict:
    """Measures commits of four connections to tables of their own."""
    command = [str(options.bench), "run", "--uri", server.uri, "--workload", "commit-many", "--connections", "4", "--seconds", f"{options.commit_seconds}"]
    command += ["--warm-up", "1", "--rounds", "1", "--tables", "20", "--quiet", "--format", "json", "--namespace", "commits"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "TIDEWATER_BENCH_TOKEN": server.key})
    if done.returncode != 0:
        raise SystemExit(f"tidewater-bench: {done.stderr}{done.stdout[-2000:]}")
    return json.loads(done.stdout)["rows"][0]["results"][0]


@contextlib.contextmanager
def beside(action: Callable[[], None] | None) -> Iterator[list[int]]:
    """Repeats an action in a thread. Yields a list that holds how often it ended."""
    ended, times = threading.Event(), [0]

    def repeat() -> None:
        while action and not ended.is_set():
            action()
            times[0] += 1

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield times
    finally:
        ended.set()
        thread.join()


def measure_commits(options: argparse.Namespace, server: Server, catalog: RestCatalog, files: int) -> None:
    table = worn_table(catalog, "beside", files, options.file_rows)
    filled = table.current_snapshot()
    assert filled is not None

    def compact() -> None:
        server.maintain("beside", "compact-files")
        # The small files are the current ones again.
        table.refresh()
        table.manage_snapshots().set_current_snapshot(snapshot_id=filled.snapshot_id).commit()

    def remove_orphans() -> None:
        make_orphans(table, files)
        server.maintain("beside", "remove-orphan-files")

    print(f"\n{'commits of another client':40} {'per second':>12} {'p50 ms':>9} {'p99 ms':>9}  runs made")
    cases: dict[str, Callable[[], None] | None] = {"alone": None, f"beside compactions of {files:,} files": compact}
    cases |= {f"beside removals of {files:,} orphans": remove_orphans, "alone again": None}
    for title, action in cases.items():
        say(f"commits {title}")
        with beside(action) as times:
            figure = commits(options, server)
        latency = figure["latency_ms"]
        print(f"{title:40} {figure['requests_per_s']:12,.0f} {latency['p50']:9.3f} {latency['p99']:9.3f}  {times[0]}", flush=True)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    build = ROOT / "target/dist"
    parser.add_argument("--tidewater", type=Path, default=build / "tidewater", help="the server [default: that of target/dist]")
    parser.add_argument("--bench", type=Path, default=build / "tidewater-bench", help="the client of commits [default: that of target/dist]")
    parser.add_argument("--files", type=lambda text: [int(one) for one in text.split(",")], default=[100, 1_000])
    parser.add_argument("--file-rows", type=int, default=10_000, help="the rows of a small file, of about 30 bytes each")
    parser.add_argument("--beside-files", type=int, default=1_000, help="the files of the table that is maintained beside commits")
    parser.add_argument("--commit-seconds", type=float, default=15)
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="a setting of the server")
    parser.add_argument("--folder", type=Path, help="where the tables are [default: a temporary folder]")
    return parser.parse_args()


def main() -> None:
    options = parsed()
    for needed in (options.tidewater, options.bench):
        if not needed.exists():
            raise SystemExit(f"{needed} does not exist: build it, or name another one")
    with tempfile.TemporaryDirectory(prefix="tidewater-bench-", dir=options.folder) as name:
        server = Server(options, Path(name).resolve())
        server.create()
        server.start()
        try:
            # Nothing runs by itself because of it.
            policy = {"expire-snapshots": {"max-snapshot-age-ms": 1}, "remove-orphan-files": {"min-age-ms": ORPHAN_AGE_MS}}
            server.maintenance("PUT", "/policy", policy)
            catalog = RestCatalog("tidewater", uri=server.uri, token=server.key, warehouse="lake")
            catalog.create_namespace(NAMESPACE)
            print(HEAD)
            for files in options.files:
                say(f"making a table of {files} files")
                measure(options, server, worn_table(catalog, f"files{files}", files, options.file_rows), files)
            measure_commits(options, server, catalog, options.beside_files)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
