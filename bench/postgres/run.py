"""Compares the catalog on PostgreSQL with the database's own limit and with SQLite, in turns on one machine.

    cargo build --profile dist && cargo build --profile dist -p tidewater-bench
    python3 bench/postgres/run.py --connections 8,32 --rounds 5 --seconds 5

Starts PostgreSQL (Debian's package `postgresql`) with durable settings and two databases, of which one has many more tables; servers of
the catalog on them and on SQLite; and then, in each round, one measurement of each: `pgbench` with one indexed SELECT and with an UPDATE
of one row (prepared statements, as many connections), and `tidewater-bench` with loads and commits. Ratios compare measurements of
the same round. docs/benchmark.md explains the figures.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_S = 120.0
TABLES_PER_NAMESPACE = 1_000
PGBENCH_ROWS = 100_000

# As by default, but with room for the data: commits are durable.
POSTGRES_CONF = """
listen_addresses = '127.0.0.1'
max_connections = 300
shared_buffers = 512MB
max_wal_size = 4GB
"""

# One indexed SELECT, and an UPDATE of one row, of the size of a pointer.
PGBENCH_TABLE = f"""
CREATE TABLE bench_row (id bigint PRIMARY KEY, metadata_location text NOT NULL);
INSERT INTO bench_row SELECT n, 's3://bucket/lake/' || gen_random_uuid() || '/metadata/00001-' || gen_random_uuid() || '.json'
    FROM generate_series(1, {PGBENCH_ROWS}) AS n;
"""
PGBENCH = {
    "select": f"\\set id random(1, {PGBENCH_ROWS})\nSELECT metadata_location FROM bench_row WHERE id = :id;\n",
    "update": f"\\set id random(1, {PGBENCH_ROWS})\n"
    "UPDATE bench_row SET metadata_location = 's3://bucket/lake/00000000-0000-0000-0000-000000000000/metadata/00002-'"
    " || :id || '.metadata.json' WHERE id = :id;\n",
}

FILL = """
INSERT INTO namespace (organisation, warehouse, key, parent, properties)
    SELECT w.organisation, w.id, 'fill' || to_char(n, 'FM00000'), NULL, '{{}}'
    FROM warehouse AS w, generate_series(1, {namespaces}) AS n;
CREATE TEMPORARY TABLE filling AS
    SELECT w.organisation, w.id AS warehouse, 'fill' || to_char(n, 'FM00000') AS namespace, 'table' || to_char(t, 'FM0000') AS name,
           gen_random_uuid() AS id, w.root AS root
    FROM warehouse AS w, generate_series(1, {namespaces}) AS n, generate_series(1, {per_namespace}) AS t;
INSERT INTO tabular (organisation, warehouse, namespace, name, id, kind, metadata_location, location, created_ms, updated_ms)
    SELECT organisation, warehouse, namespace, name, id, 'table',
           root || '/' || namespace || '/' || id || '/metadata/00000-' || gen_random_uuid() || '.metadata.json',
           root || '/' || namespace || '/' || id, 1, 1 FROM filling;
INSERT INTO location (organisation, warehouse, location, tabular)
    SELECT organisation, warehouse, convert_to(root || '/' || namespace || '/' || id, 'UTF8'), id FROM filling;
UPDATE organisation_state AS s SET tables = (SELECT count(*) FROM tabular AS t WHERE t.organisation = s.organisation);
"""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Postgres:
    """A PostgreSQL server of its own, on disk."""

    def __init__(self, folder: Path):
        versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        self.bin = Path(os.environ.get("TIDEWATER_POSTGRES_BIN", versions[-1] if versions else "/missing"))
        self.folder, self.port = folder / "postgres", free_port()
        self.folder.mkdir()
        self.as_owner: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
            self.as_owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]

    def run(self, program: str, *args: str) -> str:
        command = [*self.as_owner, str(self.bin / program), *args]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
        if done.returncode != 0:
            raise SystemExit(f"{program}: {done.stderr or done.stdout}")
        return done.stdout

    def start(self) -> None:
        data = str(self.folder / "data")
        self.run("initdb", "--pgdata", data, "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C")
        with (self.folder / "data/postgresql.conf").open("a") as conf:
            conf.write(f"{POSTGRES_CONF}\nport = {self.port}\nunix_socket_directories = ''\n")
        log = str(self.folder / "log")
        command = [*self.as_owner, str(self.bin / "pg_ctl"), "start", "--pgdata", data, "--wait", "--silent", "--log", log]
        subprocess.run(command, check=True, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def stop(self) -> None:
        self.run("pg_ctl", "stop", "--pgdata", str(self.folder / "data"), "--mode", "fast", "--silent")

    def url(self, database: str) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/{database}"

    def sql(self, database: str, text: str) -> str:
        args = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1", "--dbname", self.url(database)]
        return self.run("psql", *args, "--command", text)


@dataclass
class Catalog:
    """Servers of one catalog, and a key for them."""

    name: str
    options: argparse.Namespace
    folder: Path
    store: list[str]
    key: str = ""
    uris: list[str] = field(default_factory=list)
    processes: list[subprocess.Popen] = field(default_factory=list)

    def command(self, *args: str) -> list[str]:
        return [str(self.options.tidewater), *args, *self.store]

    def run(self, *args: str) -> str:
        done = subprocess.run(self.command(*args), capture_output=True, text=True, check=False, env=self.environment())
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(args)}: {done.stderr}")
        return done.stdout

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEWATER_")}
        kept["TIDEWATER_STORAGE__MASTER_KEY_FILE"] = str(self.folder / "master.key")
        kept["TIDEWATER_LOG__LEVEL"] = "warn"
        if self.options.pool:
            kept["TIDEWATER_STORE__CONNECTIONS"] = str(self.options.pool)
        return kept

    def create(self) -> None:
        key = self.folder / "master.key"
        key.write_text("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
        self.run("org", "create", "bench", "--tier", "enterprise")
        lake = self.folder / "lake"
        self.run("warehouse", "create", "lake", "--org", "bench", "--root", lake.as_uri())
        self.key = self.run("key", "create", "bench", "--org", "bench", "--role", "admin").split()[-1]

    def start(self, servers: int) -> None:
        for _ in range(servers):
            port = free_port()
            log = (self.folder / f"server-{port}.log").open("wb")
            command = self.command("serve", "--listen", f"127.0.0.1:{port}")
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=self.environment()))
            self.uris.append(f"http://127.0.0.1:{port}")
            self.wait(self.uris[-1])

    def wait(self, uri: str) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{uri}/ready", timeout=5):
                return
            if self.processes[-1].poll() is not None:
                raise SystemExit(f"the server of {self.name} ended: see {self.folder}")
            time.sleep(0.05)
        raise SystemExit(f"the server of {self.name} was not ready within {START_S} s")

    def stop(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(60)


@dataclass
class Figure:
    """What one measurement found: a second's requests, and latencies in milliseconds."""

    per_second: float
    p50: float
    p99: float


def measure_catalog(catalog: Catalog, workload: str, connections: int, options: argparse.Namespace) -> Figure:
    """Loads every server of the catalog at once. The connections are divided between them."""
    of_each = max(1, connections // len(catalog.uris))
    runs = []
    for number, uri in enumerate(catalog.uris):
        command = [str(options.bench), "run", "--uri", uri, "--workload", workload, "--connections", str(of_each)]
        command += ["--seconds", f"{options.seconds}", "--warm-up", f"{options.warm_up}", "--rounds", "1", "--snapshots", "1"]
        command += ["--tables", str(max(options.tables, of_each)), "--quiet", "--format", "json", "--namespace", f"bench_{number}"]
        environment = {**os.environ, "TIDEWATER_BENCH_TOKEN": catalog.key}
        runs.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment))
    figures = []
    for run in runs:
        out, err = run.communicate()
        if run.returncode != 0:
            raise SystemExit(f"tidewater-bench on {catalog.name}: {err.decode()}{out.decode()[-2000:]}")
        figures.append(json.loads(out)["rows"][0]["results"][0])
    return Figure(
        per_second=sum(one["requests_per_s"] for one in figures),
        p50=statistics.median(one["latency_ms"]["p50"] for one in figures),
        p99=max(one["latency_ms"]["p99"] for one in figures),
    )


def measure_pgbench(postgres: Postgres, script: str, connections: int, folder: Path, options: argparse.Namespace) -> Figure:
    file = folder / f"{script}.sql"
    file.write_text(PGBENCH[script])
    for old in folder.glob("pgbench-log*"):
        old.unlink()
    command = [str(postgres.bin / "pgbench"), "--no-vacuum", "--protocol", "prepared", "--client", str(connections), "--jobs", "1"]
    command += ["--time", str(max(1, round(options.seconds))), "--file", str(file), "--log", "--log-prefix", str(folder / "pgbench-log")]
    done = subprocess.run([*command, postgres.url("pgbench")], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"pgbench: {done.stderr}")
    tps = next(float(line.split()[2]) for line in done.stdout.splitlines() if line.startswith("tps = "))
    latencies = sorted(
        int(line.split()[2]) for log in folder.glob("pgbench-log*") for line in log.read_text().splitlines()
    )
    at = lambda share: latencies[min(len(latencies) - 1, int(len(latencies) * share))] / 1_000
    return Figure(per_second=tps, p50=at(0.5), p99=at(0.99))


@dataclass
class Case:
    """A row of the report: the measurements of all rounds, and what its ratios compare it with."""

    name: str
    connections: int
    compared_with: list[str]
    rounds: list[Figure] = field(default_factory=list)

    def line(self, others: dict[str, Case]) -> str:
        median = lambda values: statistics.median(values)
        text = (
            f"{self.name:24} {self.connections:5} {median([one.per_second for one in self.rounds]):12,.0f}"
            f" {median([one.p50 for one in self.rounds]):9.3f} {median([one.p99 for one in self.rounds]):9.3f}  "
        )
        ratios = []
        for name in self.compared_with:
            shares = [100 * mine.per_second / other.per_second for mine, other in zip(self.rounds, others[name].rounds)]
            ratios.append(f"{median(shares):.0f} % of {name} ({min(shares):.0f} to {max(shares):.0f})")
        return text + ", ".join(ratios)


def measure(options: argparse.Namespace, folder: Path, postgres: Postgres, catalogs: dict[str, Catalog]) -> None:
    print(f"{'what':24} {'conns':>5} {'per second':>12} {'p50 ms':>9} {'p99 ms':>9}  ratios of the same round, median (range)")
    for connections in options.connections:
        cases = {name: Case(name, connections, []) for name in ("select", "update")}
        for workload, limit, short in (("load", "select", "load"), ("commit-many", "update", "commit")):
            for catalog in catalogs.values():
                compared = [limit]
                if catalog.name != "sqlite":
                    compared.append(f"{short} sqlite")
                if catalog.name != "postgres" and catalog.name != "sqlite":
                    compared.append(f"{short} postgres")
                cases[f"{short} {catalog.name}"] = Case(f"{short} {catalog.name}", connections, compared)
        for number in range(options.rounds):
            say(f"{connections} connections, round {number + 1} of {options.rounds}")
            for workload, limit, short in (("load", "select", "load"), ("commit-many", "update", "commit")):
                cases[limit].rounds.append(measure_pgbench(postgres, limit, connections, folder, options))
                for catalog in catalogs.values():
                    figure = measure_catalog(catalog, workload, connections, options)
                    cases[f"{short} {catalog.name}"].rounds.append(figure)
        for case in cases.values():
            print(case.line(cases), flush=True)


@contextlib.contextmanager
def prepared(options: argparse.Namespace, folder: Path) -> Iterator[tuple[Postgres, dict[str, Catalog]]]:
    postgres = Postgres(folder)
    postgres.start()
    catalogs: dict[str, Catalog] = {}
    try:
        postgres.sql("postgres", "CREATE DATABASE pgbench")
        postgres.sql("pgbench", PGBENCH_TABLE)
        postgres.sql("pgbench", "VACUUM ANALYZE bench_row")
        for name, servers, tables in (("sqlite", 1, 0), ("postgres", 1, 1_000), ("large", 1, options.large), ("3 servers", 3, 1_000)):
            own = folder / f"catalog-{name.replace(' ', '-')}"
            own.mkdir()
            store = ["--data-dir", str(own / "data")]
            if name != "sqlite":
                database = own.name.replace("-", "_")
                postgres.sql("postgres", f"CREATE DATABASE {database}")
                store = ["--store", postgres.url(database)]
            catalog = catalogs[name] = Catalog(name, options, own, store)
            catalog.create()
            if tables:
                say(f"filling {name} with {tables} tables")
                namespaces = max(1, tables // TABLES_PER_NAMESPACE)
                postgres.sql(database, FILL.format(namespaces=namespaces, per_namespace=min(tables, TABLES_PER_NAMESPACE)))
                postgres.sql(database, "VACUUM ANALYZE")
            catalog.start(servers)
        postgres.sql("postgres", "CHECKPOINT")
        yield postgres, catalogs
    finally:
        for catalog in catalogs.values():
            catalog.stop()
        postgres.stop()


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    build = ROOT / "target/dist"
    parser.add_argument("--tidewater", type=Path, default=build / "tidewater", help="the server [default: that of target/dist]")
    parser.add_argument("--bench", type=Path, default=build / "tidewater-bench", help="the client [default: that of target/dist]")
    parser.add_argument("--connections", type=lambda text: [int(one) for one in text.split(",")], default=[8, 32])
    parser.add_argument("--pool", type=int, default=0, help="connections of each server to PostgreSQL [default: the server's]")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement")
    parser.add_argument("--warm-up", type=float, default=1)
    parser.add_argument("--tables", type=int, default=200, help="tables that commits take turns over")
    parser.add_argument("--large", type=int, default=1_000_000, help="tables in the large database")
    parser.add_argument("--folder", type=Path, help="where the databases are [default: a temporary folder]")
    return parser.parse_args()


def main() -> None:
    options = parsed()
    for program in (options.tidewater, options.bench):
        if not program.exists():
            raise SystemExit(f"{program} does not exist: build it, or name another one")
    with tempfile.TemporaryDirectory(prefix="tidewater-bench-", dir=options.folder) as name:
        folder = Path(name)
        folder.chmod(0o755)
        with prepared(options, folder) as (postgres, catalogs):
            measure(options, folder, postgres, catalogs)


if __name__ == "__main__":
    main()
