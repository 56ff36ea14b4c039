"""Measures how fast events leave the catalog, beside the commits that make them, in turns on one machine.

    cargo build --profile dist && cargo build --profile dist -p tidewater-bench
    target/venv/bin/python bench/events/run.py --rounds 3 --seconds 5

In each round, clients commit to many tables while a subscription is disabled. Then it is enabled, and the time is taken until a receiver
that accepts everything at once has all events. The same events are read page by page by `POST /v1/{prefix}/events`. At the end, others are
written to a file as audit records, by a server that is started with such an export after the commits. Everything is compared with the commits of the round: events that leave
faster than they are made never pile up. docs/benchmark.md explains the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/engines"))

from support.rest import Rest, answer  # noqa: E402
from support.server import Server  # noqa: E402

ARRIVES_S = 600.0
PAGE = 1_000
SETTINGS = {
    "TIDEWATER_LOG__LEVEL": "warn",
    "TIDEWATER_TELEMETRY__PUBLIC": "true",
    "TIDEWATER_EVENTS__PULL": "true",
    "TIDEWATER_DELIVERY__ALLOW_HTTP": "true",
    "TIDEWATER_DELIVERY__ALLOW_NETWORKS": "127.0.0.0/8",
}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def metric(server: Server, name: str) -> float:
    """Returns the sum of a metric's values."""
    with urllib.request.urlopen(f"{server.uri}/metrics", timeout=30) as response:
        lines = response.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)


def wait(holds: Callable[[], bool]) -> float:
    """Returns the seconds until something holds."""
    since = time.monotonic()
    while not holds():
        if time.monotonic() - since > ARRIVES_S:
            raise SystemExit(f"events did not arrive within {ARRIVES_S:.0f} s")
        time.sleep(0.02)
    return time.monotonic() - since


def commit(options: argparse.Namespace, server: Server) -> float:
    """Commits to many tables for a while. Returns the commits a second."""
    command = [str(options.bench), "run", "--uri", server.uri, "--workload", "commit-many", "--connections", "8", "--rounds", "1"]
    command += ["--seconds", str(options.seconds), "--format", "json", "--quiet"]
    done = subprocess.run(command, env={**os.environ, "TIDEWATER_BENCH_TOKEN": server.key}, capture_output=True, text=True, check=True)
    (row,) = json.loads(done.stdout)["rows"]
    return row["results"][0]["requests_per_s"]


def pull(rest: Rest, token: str) -> tuple[int, str]:
    """Reads all events after a token, page by page. Returns their number and the last token."""
    read = 0
    while True:
        page = answer(rest.post("/events", json={"page-size": PAGE, **({"continuation-token": token} if token else {})}))
        if page["continuation-token"] == token:
            return read, token
        read, token = read + len(page["events"]), page["continuation-token"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of commits in each round")
    parser.add_argument("--tidewater", type=Path, default=ROOT / "target/dist/tidewater")
    parser.add_argument("--bench", type=Path, default=ROOT / "target/dist/tidewater-bench")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidewater-events-") as folder:
        measure(options, Path(folder))


def measure(options: argparse.Namespace, folder: Path) -> None:
    receiver = subprocess.Popen(
        [str(options.bench), "bare-server", "--bytes", "0", "--end-with-input"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert receiver.stdout
    address = receiver.stdout.readline().split()[-1].removeprefix("http://")
    server = Server(options.tidewater, folder / "data", env=SETTINGS)
    try:
        server.start()
        server.command("subscription", "create", "all", "--url", f"http://{address}/", "--operation", "update-table")
        rest = Rest(server.uri, server.key)
        found: dict[str, list[float]] = {"commits": [], "webhook": [], "pages": []}
        _, token = pull(rest, "")
        for number in range(options.rounds):
            server.command("subscription", "disable", "all")
            sent = metric(server, "tidewater_delivery_sent_total")
            made = metric(server, "tidewater_commit_duration_seconds_count")
            found["commits"].append(commit(options, server))
            made = metric(server, "tidewater_commit_duration_seconds_count") - made
            server.command("subscription", "enable", "all")
            took = wait(lambda: metric(server, "tidewater_delivery_sent_total") - sent >= made)
            found["webhook"].append(made / took)
            since = time.monotonic()
            read, token = pull(rest, token)
            found["pages"].append(read / (time.monotonic() - since))
            say(f"round {number + 1} of {options.rounds}: {made:.0f} commits")
        server.stop()
        found["audit file"] = [export(options, folder, server) for _ in range(options.rounds)]
    finally:
        server.kill()
        receiver.communicate()
    show(found)


def export(options: argparse.Namespace, folder: Path, server: Server) -> float:
    """Returns how many records a second a server writes to the audit file, for commits that were made without the export."""
    path = folder / "audit.jsonl"
    exporting = Server(options.tidewater, folder / "data", env={**SETTINGS, "TIDEWATER_AUDIT__FILE__PATH": str(path)})
    # An export begins with the records after its first start, and continues where it was.
    exporting.start()
    wait(path.exists)
    exporting.stop()
    before = path.stat().st_size
    server.start()
    commit(options, server)
    made = metric(server, "tidewater_commit_duration_seconds_count")
    server.stop()
    exporting.start()
    try:
        took = wait(lambda: metric(exporting, "tidewater_audit_exported_records_total") >= made)
    finally:
        exporting.stop()
    assert path.stat().st_size > before
    return made / took


def show(found: dict[str, list[float]]) -> None:
    print(f"{'':12}{'a second, median':>18}{'lowest':>10}{'highest':>10}{'of the commits':>16}")
    for name, values in found.items():
        ratio = statistics.median(value / commits for value, commits in zip(values, found["commits"], strict=True))
        print(f"{name:12}{statistics.median(values):18,.0f}{min(values):10,.0f}{max(values):10,.0f}{ratio:15.2f}x")


if __name__ == "__main__":
    main()
