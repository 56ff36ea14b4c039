"""Compares scan planning by the server with Iceberg's Java library and PyIceberg, in turns on one machine.

    cargo build --profile dist && cargo build --profile dist -p tidewater-bench && cargo xtask fetch planning
    target/venv/bin/python bench/planning/run.py --files 1000,100000,1000000

Makes a table for each number of files, which exist only in manifests of 10,000 entries; starts a server; and plans each table without
a filter, with a filter by day (0.1 % of the files, in few manifests) and with a filter by the bounds of a column (0.1 %, in all
manifests). Each kind is planned cold and warm: by the server (all its tasks, read by four connections), by Java with the server, by Java
alone with its thread pool, and by PyIceberg alone: the first round of a new process, and the others. Then loads of tables are
measured alone and beside planning. With `--deletes`, plans of a table with as many delete files are measured, with a new index of these
deletes and with one that the server has kept. docs/benchmark.md explains the figures.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
COMPILER = "org.eclipse.jdt.internal.compiler.batch.Main"
START_S = 120.0
REQUEST_S = 600.0
CONNECTIONS = 4
NAMESPACE = "large"

# A day in the middle of the thousand days of a table.
DAY = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=19_500)


def by_day() -> dict:
    begin, end = (day.isoformat() for day in (DAY, DAY + timedelta(days=1)))
    sides = ({"type": kind, "term": "seen", "value": value} for kind, value in (("gt-eq", begin), ("lt", end)))
    return dict(zip(("type", "left", "right"), ("and", *sides)))


# Each filter as JSON, and as PyIceberg reads it.
FILTERS = {
    "all": (True, None),
    "day": (by_day(), f"seen >= '{DAY.isoformat()}' and seen < '{(DAY + timedelta(days=1)).isoformat()}'"),
    "bounds": ({"type": "eq", "term": "amount", "value": 500.5}, "amount == 500.5"),
}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@dataclass
class Server:
    """A catalog on local disk, that is restarted for each cold measurement."""

    options: argparse.Namespace
    folder: Path
    key: str = ""
    uri: str = ""
    process: subprocess.Popen | None = None

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEWATER_")}
        # A busy machine may need longer for a cold plan than a request usually may take. The figure shows it.
        kept["TIDEWATER_API__REQUEST_TIMEOUT_S"] = f"{REQUEST_S:.0f}"
        kept |= dict(setting.split("=", 1) for setting in self.options.env)
        return {**kept, "TIDEWATER_STORAGE__MASTER_KEY_FILE": str(self.folder / "master.key"), "TIDEWATER_LOG__LEVEL": "warn"}

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
        self.run("warehouse", "create", "lake", "--org", "bench", "--root", self.lake.as_uri())
        self.key = self.run("key", "create", "bench", "--org", "bench", "--role", "admin").split()[-1]
        port = free_port()
        self.uri = f"http://127.0.0.1:{port}"

    @property
    def lake(self) -> Path:
        return self.folder / "lake"

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

    def restart(self) -> None:
        self.stop()
        self.start()

    def memory_mib(self, line: str) -> float:
        """Returns a line of the process's status: VmRSS for its memory now, VmHWM for the most since its start."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(text.split()[1]) for text in status.splitlines() if text.startswith(line)) / 1024

    def connection(self) -> http.client.HTTPConnection:
        where = urlsplit(self.uri)
        return http.client.HTTPConnection(where.hostname or "", where.port, timeout=REQUEST_S)

    def post(self, connection: http.client.HTTPConnection, path: str, body: dict) -> bytes:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        connection.request("POST", f"/v1/lake/namespaces{path}", json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read()
        if response.status != 200:
            raise SystemExit(f"POST {path}: {response.status} {text[:1000].decode()}")
        return text


@dataclass
class Figure:
    """Seconds of each round but the first in a new process, and what the last round gave."""

    seconds: list[float] = field(default_factory=list)
    first: float | None = None
    files: int = 0
    bytes: int = 0

    def median(self) -> float:
        return statistics.median(self.seconds)


def plan(server: Server, table: str, row_filter: object, figure: Figure) -> None:
    """Plans once and fetches all tasks, with as many connections as Java uses by default on four processors."""
    begin = time.monotonic()
    connection = server.connection()
    first = server.post(connection, f"/{NAMESPACE}/tables/{table}/plan", {"filter": row_filter})
    # Only the tokens are parsed: the figure is about the server. The rest is counted after the clock was read.
    at = first.rfind(b'"plan-tasks":')
    tokens = json.JSONDecoder().raw_decode(first[at + len(b'"plan-tasks":') :].decode())[0] if at >= 0 else []
    texts = [first]
    if tokens:
        local = threading.local()

        def fetch(token: str) -> bytes:
            local.connection = getattr(local, "connection", None) or server.connection()
            return server.post(local.connection, f"/{NAMESPACE}/tables/{table}/tasks", {"plan-task": token})

        with ThreadPoolExecutor(CONNECTIONS) as pool:
            texts += pool.map(fetch, tokens)
    figure.seconds.append(time.monotonic() - begin)
    figure.bytes = sum(map(len, texts))
    figure.files = sum(text.count(b'"data-file":') for text in texts)


def java(options: argparse.Namespace, classes: Path, main: str, *args: str) -> str:
    command = [options.java, "-Xmx4g", "-cp", f"{classes}{os.pathsep}{options.jars}/*", f"tidewater.planning.{main}", *args]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"java {main}: {done.returncode}")
    return done.stdout.splitlines()[-1]


def java_rounds(options: argparse.Namespace, classes: Path, settings: dict) -> Figure:
    printed = json.loads(java(options, classes, "PlanRounds", json.dumps({**settings, "rounds": options.rounds, "seconds": options.seconds})))
    return Figure(printed["seconds"], printed["first"], printed["files"])


def pyiceberg_rounds(options: argparse.Namespace, metadata: str, row_filter: str | None) -> Figure:
    from pyiceberg.table import StaticTable

    table = StaticTable.from_metadata(metadata)
    figure, began = Figure(), time.monotonic()
    while len(figure.seconds) <= options.rounds and (not figure.seconds or time.monotonic() - began < options.seconds):
        begin = time.monotonic()
        figure.files = sum(1 for _ in table.scan(**({"row_filter": row_filter} if row_filter else {})).plan_files())
        figure.seconds.append(time.monotonic() - begin)
    # A single round of a large table, which takes minutes, is the first and the only one.
    figure.first, figure.seconds = figure.seconds[0], figure.seconds[1:] or figure.seconds
    return figure


def server_rounds(options: argparse.Namespace, server: Server, table: str, row_filter: object) -> tuple[Figure, Figure]:
    """Returns the cold and the warm figure."""
    cold, warm, began = Figure(), Figure(), time.monotonic()
    server.restart()
    plan(server, table, row_filter, cold)
    while len(warm.seconds) < options.rounds and (not warm.seconds or time.monotonic() - began < options.seconds):
        plan(server, table, row_filter, warm)
    return cold, warm


HEAD = f"{'files':>9} {'filter':7} {'planned by':27} {'median s':>10} {'fastest':>10} {'found':>9} {'MiB':>8}  compared with the warm server"


def show(files: int, name: str, by: str, figure: Figure, reference: Figure | None, note: str = "") -> None:
    ratio = f"{figure.median() / reference.median():.1f} x" if reference else ""
    size = f"{figure.bytes / 2**20:8.1f}" if figure.bytes else " " * 8
    print(
        f"{files:9,} {name:7} {by:27} {figure.median():10.4f} {min(figure.seconds):10.4f} {figure.files:9,} {size}  {ratio}{note}",
        flush=True,
    )


def show_both(files: int, name: str, by: str, figure: Figure, reference: Figure) -> None:
    """Shows the first round of a new process, and the others."""
    if figure.first is not None:
        show(files, name, f"{by}, first", Figure([figure.first], files=figure.files), reference)
    show(files, name, by, figure, reference)


def measure(options: argparse.Namespace, classes: Path, server: Server, files: int, metadata: str) -> None:
    table = f"files{files}"
    for name in options.filters:
        row_filter, text = FILTERS[name]
        say(f"{files} files, filter {name}")
        cold, warm = server_rounds(options, server, table, row_filter)
        memory = f"  memory {server.memory_mib('VmRSS'):.0f} MiB, at most {server.memory_mib('VmHWM'):.0f} MiB"
        show(files, name, "server, cold", cold, warm)
        show(files, name, "server, warm", warm, None, memory)
        settings = {"filter": row_filter, "uri": server.uri, "token": server.key, "warehouse": "lake", "namespace": NAMESPACE, "table": table}
        show_both(files, name, "Java with the server", java_rounds(options, classes, settings), warm)
        show_both(files, name, "Java alone", java_rounds(options, classes, {"filter": row_filter, "metadata": metadata}), warm)
        if files <= options.pyiceberg_most:
            show_both(files, name, "PyIceberg alone", pyiceberg_rounds(options, metadata, text), warm)


def load(options: argparse.Namespace, server: Server) -> dict:
    command = [str(options.bench), "run", "--uri", server.uri, "--workload", "load", "--connections", "8", "--seconds", f"{options.load_seconds}"]
    command += ["--warm-up", "1", "--rounds", "1", "--snapshots", "1", "--tables", "50", "--quiet", "--format", "json", "--namespace", "loads"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "TIDEWATER_BENCH_TOKEN": server.key})
    if done.returncode != 0:
        raise SystemExit(f"tidewater-bench: {done.stderr}{done.stdout[-2000:]}")
    return json.loads(done.stdout)["rows"][0]["results"][0]


@contextlib.contextmanager
def beside(action: Callable[[], None]) -> Iterator[list[int]]:
    """Repeats an action in a thread. Yields a list that holds how often it ended."""
    ended, times = threading.Event(), [0]

    def repeat() -> None:
        while not ended.is_set():
            action()
            times[0] += 1

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield times
    finally:
        ended.set()
        thread.join()


def measure_loads(options: argparse.Namespace, server: Server, files: int) -> None:
    """Loads of tables alone, beside plans of all files, and beside filtered plans."""
    print(f"\n{'loads of tables':34} {'per second':>12} {'p50 ms':>9} {'p99 ms':>9}  plans made")
    server.restart()
    cases: list[tuple[str, object | None]] = [("alone", None), *((f"beside plans of {files:,}, {name}", FILTERS[name][0]) for name in ("all", "bounds"))]
    for title, row_filter in cases:
        say(f"loads {title}")
        with beside(lambda: plan(server, f"files{files}", row_filter, Figure())) if row_filter is not None else contextlib.nullcontext([0]) as times:
            figure = load(options, server)
        latency = figure["latency_ms"]
        print(f"{title:34} {figure['requests_per_s']:12,.0f} {latency['p50']:9.3f} {latency['p99']:9.3f}  {times[0]}", flush=True)


def task(server: Server, connection: http.client.HTTPConnection, table: str, row_filter: object, index: int) -> tuple[float, float]:
    """Returns the seconds of a plan, and of one of its tasks."""
    path, began = f"/{NAMESPACE}/tables/{table}", time.monotonic()
    planned = server.post(connection, f"{path}/plan", {"filter": row_filter})
    planned_s, token = time.monotonic() - began, json.loads(planned)["plan-tasks"][index]
    began = time.monotonic()
    text = server.post(connection, f"{path}/tasks", {"plan-task": token})
    elapsed = time.monotonic() - began
    if b'"delete-file-references":[' not in text:
        raise SystemExit("the files of the task have no deletes")
    return planned_s, elapsed


def measure_deletes(options: argparse.Namespace, server: Server, table: str) -> None:
    """Plans with filters that admit other partitions each, so that each needs an index of its own, and then again."""
    server.restart()
    connection = server.connection()
    figures: dict[str, list[float]] = {"plan, new index": [], "its second task, kept index": [], "plan again, kept index": []}
    # Warms the cache of manifests.
    task(server, connection, table, True, 1)
    for day in range(1, options.rounds + 1):
        # The table begins 500 days before this day. Each filter leaves out one day more.
        row_filter = {"type": "gt-eq", "term": "seen", "value": (DAY - timedelta(days=500 - day)).isoformat()}
        for plan_name, task_name in (("plan, new index", "its second task, kept index"), ("plan again, kept index", "its second task, kept index")):
            planned_s, task_s = task(server, connection, table, row_filter, 1)
            figures[plan_name].append(planned_s)
            figures[task_name].append(task_s)
    print(f"\n{'a table with ' + format(options.deletes, ',') + ' delete files':40} {'median ms':>10} {'from':>8} {'to':>8}")
    for name, seconds in figures.items():
        print(f"{name:40} {statistics.median(seconds) * 1e3:10.1f} {min(seconds) * 1e3:8.1f} {max(seconds) * 1e3:8.1f}", flush=True)


def compiled(options: argparse.Namespace, folder: Path) -> Path:
    sources = [str(path) for part in ("tests/compat/planning", "bench/planning") for path in (ROOT / part).glob("*.java")]
    classes = folder / "classes"
    subprocess.run([options.java, "-cp", f"{options.jars}/*", COMPILER, "-17", "-warn:none", "-d", str(classes), *sources], check=True)
    return classes


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    build = ROOT / "target/dist"
    parser.add_argument("--tidewater", type=Path, default=build / "tidewater", help="the server [default: that of target/dist]")
    parser.add_argument("--bench", type=Path, default=build / "tidewater-bench", help="the client of loads [default: that of target/dist]")
    parser.add_argument("--jars", type=Path, default=ROOT / "target/compat/oracle", help="the jars of `cargo xtask fetch planning`")
    parser.add_argument("--java", default=shutil.which("java") or "java")
    parser.add_argument("--files", type=lambda text: [int(one) for one in text.split(",") if one], default=[1_000, 100_000])
    parser.add_argument("--filters", type=lambda text: text.split(","), default=list(FILTERS))
    parser.add_argument("--deletes", type=int, default=0, help="measure also a table of so many data files with a delete file each")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=30, help="after which no further round of a measurement begins")
    parser.add_argument("--pyiceberg-most", type=int, default=100_000, help="the largest table that PyIceberg plans: it needs minutes for a million files")
    parser.add_argument("--load-seconds", type=float, default=8)
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="a setting of the server")
    parser.add_argument("--folder", type=Path, help="where the tables are [default: a temporary folder]")
    return parser.parse_args()


def main() -> None:
    options = parsed()
    for needed in (options.tidewater, options.bench, options.jars):
        if not needed.exists():
            raise SystemExit(f"{needed} does not exist: build it, or name another one")
    with tempfile.TemporaryDirectory(prefix="tidewater-bench-", dir=options.folder) as name:
        folder = Path(name).resolve()
        classes, server = compiled(options, folder), Server(options, folder)
        server.create()
        server.start()
        try:
            server.post(server.connection(), "", {"namespace": [NAMESPACE]})
            tables = {}
            for files in options.files:
                say(f"making a table of {files} files")
                tables[files] = java(options, classes, "LargeTable", server.lake.as_uri(), f"files{files}", str(files))
                body = {"name": f"files{files}", "metadata-location": tables[files]}
                server.post(server.connection(), f"/{NAMESPACE}/register", body)
            if options.deletes:
                table = f"deletes{options.deletes}"
                say(f"making a table of {options.deletes} files with deletes")
                location = java(options, classes, "LargeTable", server.lake.as_uri(), table, *[str(options.deletes)] * 2)
                server.post(server.connection(), f"/{NAMESPACE}/register", {"name": table, "metadata-location": location})
                measure_deletes(options, server, table)
            if not options.files:
                return
            print(HEAD)
            for files, metadata in tables.items():
                measure(options, classes, server, files, metadata)
            measure_loads(options, server, min(options.files, key=lambda files: abs(files - 100_000)))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
