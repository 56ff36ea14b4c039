"""Everything at once: attacks, failing storage and kill -9 beside a quiet organisation, which keeps its latency and loses
nothing. `cargo xtask compat chaos --rounds N --seed S` runs this for longer."""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support import documents, quiet
from support.admin import Admin, Key
from support.beside import Beside
from support.clouds import is_document
from support.faulty_proxy import Fault, FaultyProxy
from support.lake import make_lake
from support.latency import Attempt, Latency, outside, within
from support.rest import Rest, answer
from support.s3 import S3Server
from support.server import Server
from test_pyiceberg_tables import path_of

ROUNDS = int(os.environ.get("TIDEWATER_CHAOS_ROUNDS", "2"))
SEED = int(os.environ.get("TIDEWATER_CHAOS_SEED", "1"))

ALONE_S = 4.0
ROUND_S = 6.0

# After a start the cache is empty.
WARM_UP_S = 1.0

# The maximum ratio of p99 beside attackers to p99 alone, with room for other load on the machine.
RATIO = 5.0
FLOOR_MS = {"load": 150.0, "commit": 400.0}

MAX_BODY_BYTES = 16 << 20

# The debug build was measured to take 367 MiB.
MAX_RSS_BYTES = 480 << 20

STORAGE_TIMES = {"REQUEST_TIMEOUT_S": "2", "CONNECT_TIMEOUT_S": "2", "RETRY_TIMEOUT_S": "4", "HEDGE_AFTER_MS": "500"}


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    """Ends the processes of a failed test."""
    with ExitStack() as stack:
        yield stack


def beside(processes: ExitStack, module: str, *, gives_way: bool = False, **task: Any) -> Beside:
    process = Beside(module, task, gives_way=gives_way)
    processes.callback(process.kill)
    return process


def organisation(server: Server, namespace: str) -> tuple[str, Key, Rest]:
    """Creates an organisation with a namespace. Returns its name, a key, and the API with that key."""
    admin = Admin(server)
    name = admin.organisation("enterprise")
    key = admin.key(name, "writer")
    rest = admin.rest(key)
    rest.create_namespace(namespace)
    return name, key, rest


def make_storm(server: Server, s3: S3Server, folder: Path) -> tuple[Key, FaultyProxy]:
    """Creates a warehouse with a table behind a proxy that injects faults. Returns the key and the proxy."""
    proxy = FaultyProxy(s3.uri)
    lake = make_lake(server, s3, "chaos", folder, endpoint=proxy.uri)
    lake.rest().create_namespace("storm")
    lake.rest().create_table("storm", documents.table("t"))
    return lake.writer, proxy


FAULTS = (
    Fault("silence"),
    Fault("down"),
    Fault("answer"),
    Fault("lose-answer", is_document),
    Fault("cut-request", is_document),
    None,
)


@pytest.mark.makes_unavailable
@pytest.mark.timeout(180 + ROUNDS * 60)
def test_quiet_organisation_keeps_its_latency_and_loses_nothing(
    make_server: Callable[..., Server], s3: S3Server, tmp_path: Path, processes: ExitStack
) -> None:
    env = {f"TIDEWATER_STORAGE__{name}": value for name, value in STORAGE_TIMES.items()}
    server = make_server("chaos", env={**env, "TIDEWATER_LOG__LEVEL": "info"}, loses_storage=True)
    server.start()
    chance = random.Random(SEED)
    _, key, rest = organisation(server, quiet.NAMESPACE)
    rest.create_table(quiet.NAMESPACE, documents.table(quiet.STILL))
    _, heavy_key, _ = organisation(server, "heavy")
    storm_key, proxy = make_storm(server, s3, tmp_path)
    processes.callback(proxy.close)

    still = beside(processes, "quiet", uri=server.uri, key=key.text)
    still.wait_until_begun()
    begun = time.monotonic()
    time.sleep(ALONE_S)
    attacked = time.monotonic()
    common = {"uri": server.uri, "gives_way": True, "seed": SEED}
    attackers = {
        "heavy": beside(processes, "attackers", kind="heavy", key=heavy_key.text, namespace="heavy", threads=2, **common),
        "sockets": beside(
            processes, "attackers", kind="silent_sockets", key=heavy_key.text, threads=1, sockets=200, **common
        ),
        "storm": beside(
            processes, "attackers", kind="stormy", key=storm_key.text, namespace="storm", table="t", threads=6, **common
        ),
    }
    for attacker in attackers.values():
        attacker.wait_until_begun()
    restarts = []
    for _ in range(ROUNDS):
        killed_at = time.monotonic() + chance.uniform(0.4, 1.0) * ROUND_S
        while (left := killed_at - time.monotonic()) > 0:
            proxy.spoil(chance.choice(FAULTS))
            time.sleep(min(left, 1.0))
        killed = time.monotonic()
        server.kill()
        server.start()
        restarts.append((killed, time.monotonic() + WARM_UP_S))
    # Requests after the last start count too.
    time.sleep(ROUND_S / 2)
    ended = time.monotonic()
    seen = still.end()
    for name, attacker in attackers.items():
        told = attacker.end()
        print(f"{name}: {told}")
        assert not told["wrong"], f"{name}: {told['wrong']}"
        assert told["statuses"], f"{name} sent no request"
    proxy.spoil(None)

    assert not seen["problems"], "\n".join(seen["problems"])
    assert seen["repeats"] > 0, "no answer was lost, so nothing was repeated"
    check_nothing_lost(rest, seen["tables"])
    check_answered(outside(seen["attempts"], restarts))
    check_latency(within(seen["attempts"], begun, attacked), outside(within(seen["attempts"], attacked, ended), restarts))


def check_answered(attempts: list[Attempt]) -> None:
    """While the server runs, no request of the quiet organisation is refused or lost."""
    wrong = [one for one in attempts if one[3] != 200]
    assert not wrong, wrong[:20]


def check_latency(alone: list[Attempt], attacked: list[Attempt]) -> None:
    shown, too_slow = [], []
    for kind, floor_ms in FLOOR_MS.items():
        before, beside_attack = (Latency.of([one for one in some if one[0] == kind]) for some in (alone, attacked))
        shown.append(f"{kind} alone: {before}; attacked: {beside_attack}; p99 x{beside_attack.p99_ms / before.p99_ms:.1f}")
        if beside_attack.p99_ms > RATIO * before.p99_ms + floor_ms:
            too_slow.append(kind)
    shown.append(f"load of the machine: {os.getloadavg()[0]:.1f}")
    print("\n".join(shown))
    assert not too_slow, "\n".join(shown)


def check_nothing_lost(rest: Rest, tables: dict[str, list[int]]) -> None:
    """Checks that each acknowledged snapshot exists once, in order, and that every named document can be read."""
    assert sum(map(len, tables.values())) > 10, "at most 10 snapshots were committed"
    for name, acknowledged in tables.items():
        loaded = rest.load(quiet.NAMESPACE, name)
        metadata = loaded["metadata"]
        snapshots = metadata.get("snapshots", [])
        assert [one["snapshot-id"] for one in snapshots] == acknowledged, name
        assert [one["sequence-number"] for one in snapshots] == list(range(1, len(snapshots) + 1)), name
        assert metadata["properties"].get("count", "0") == str(len(snapshots)), name
        # Exactly one document for each change: nothing was applied twice.
        assert len(metadata.get("metadata-log", [])) == len(snapshots), name
        for location in [loaded["metadata-location"], *(one["metadata-file"] for one in metadata.get("metadata-log", []))]:
            assert json.loads(path_of(location).read_bytes())["table-uuid"] == metadata["table-uuid"], name


def fingerprint(server: Server, organisation: str, rest: Rest, namespace: str) -> dict[str, str]:
    """Returns an organisation's whole state: answers and files."""
    names = [one["name"] for one in answer(rest.get(f"/namespaces/{namespace}/tables"))["identifiers"]]
    found = {name: json.dumps(rest.load(namespace, name), sort_keys=True) for name in sorted(names)}
    found["namespaces"] = rest.get("/namespaces").text + rest.get(f"/namespaces/{namespace}").text
    root = server.data_dir.parent / "warehouses" / organisation
    files = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*") if path.is_file()}
    return found | files


def peak_rss_bytes(server: Server) -> int:
    """Returns the server's peak memory."""
    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    (peak,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(peak.split()[1]) << 10


@pytest.mark.makes_unavailable
@pytest.mark.timeout(240)
def test_64_attacking_connections_change_nothing_of_other_organisations(
    make_server: Callable[..., Server], processes: ExitStack
) -> None:
    # Smaller than the default, so that the debug build has read all of them within the test's time.
    settings = {"TIDEWATER_API__MAX_BODY_BYTES": str(MAX_BODY_BYTES), "TIDEWATER_API__REQUEST_TIMEOUT_S": "20", "TIDEWATER_LOG__LEVEL": "info"}
    server = make_server("all_at_once", env=settings)
    server.start()
    victim, _, rest = organisation(server, "victim")
    made = rest.create_table("victim", documents.table("t"))
    answer(rest.commit("victim", "t", documents.append(documents.snapshot(made["metadata"]["location"], 1))))
    _, key, attacker = organisation(server, "attack")
    attacker.create_table("attack", documents.table("t"))
    before = fingerprint(server, victim, rest, "victim")

    aim = {"organisation": victim, "warehouse": "main", "namespace": "victim", "table": "t"}
    aim |= {"location": made["metadata"]["location"], "metadata_location": rest.load("victim", "t")["metadata-location"]}
    common = {"uri": server.uri, "key": key.text, "namespace": "attack", "victim": aim, "requests": 8, "max_body_bytes": MAX_BODY_BYTES}
    # Two processes, so that they wait for each other less.
    attackers = [
        beside(processes, "attackers", kind="mixed", threads=32, seed=SEED * 2 + half, gives_way=True, **common)
        for half in range(2)
    ]
    while any(process.is_running() for process in attackers):
        time.sleep(0.5)
        assert answer(rest.get("/namespaces/victim/tables/t"))["metadata"]["table-uuid"]
    for process in attackers:
        told = process.end()
        print(told)
        assert not told["wrong"], "\n".join(told["wrong"])
        assert sum(told["statuses"].values()) > 100
    peak = peak_rss_bytes(server)
    print(f"most memory: {peak >> 20} MiB")
    assert fingerprint(server, victim, rest, "victim") == before
    assert peak < MAX_RSS_BYTES, f"{peak >> 20} MiB"
