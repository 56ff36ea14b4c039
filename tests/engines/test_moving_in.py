"""The script of docs/moving-in.md, from one Tidewater into another."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog.rest import RestCatalog

from support import judges
from support.admin import Admin
from support.server import Server, clean_environment


def run(script: str) -> list[str]:
    """Runs the script and returns the printed lines."""
    command = [sys.executable, "-"]
    done = subprocess.run(
        command, input=script, capture_output=True, check=False, text=True, timeout=120, env=clean_environment()
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_documented_script_moves_every_table_and_can_be_repeated(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    servers = [make_server(name) for name in ("move_from", "move_to")]
    keys = []
    for server in servers:
        server.start()
        organisation = Admin(server).organisation("enterprise", warehouse=None)
        root = ("--root", lake.as_uri())
        server.command("warehouse", "create", "lake", "--org", organisation, *root)
        keys.append(Admin(server).key(organisation, "writer").text)
    source, target = (
        RestCatalog("c", uri=server.uri, warehouse="lake", token=key) for server, key in zip(servers, keys, strict=True)
    )
    rows = pa.table({"id": pa.array([1, 2, 3], pa.int64())})
    for namespace in (("sales",), ("sales", "eu"), ("empty",)):
        source.create_namespace(namespace, {"owner": "me"})
    for name in ("sales.orders", "sales.eu.orders", "sales.eu.returns"):
        source.create_table(name, schema=rows.schema).append(rows)

    script = judges.documented("moving-in.md", "python", nth=1)
    script = script.replace("http://127.0.0.1:8282", servers[0].uri).replace("http://127.0.0.1:8181", servers[1].uri)
    script = script.replace("flx_of_the_source", keys[0]).replace("flx_of_the_target", keys[1])
    all_there = ["sales.eu.orders is there", "sales.eu.returns is there", "sales.orders is there"]
    assert sorted(run(script)) == all_there
    assert sorted(run(script)) == all_there
    assert target.load_namespace_properties("empty")["owner"] == "me"
    moved = target.load_table("sales.eu.orders")
    moved.append(rows)
    assert moved.scan().to_arrow().num_rows == 6
    assert source.load_table("sales.eu.orders").scan().to_arrow().num_rows == 3

    source.load_table("sales.orders").append(rows)
    told = [line for line in run(script) if line.startswith("sales.orders DIFFERS")]
    assert len(told) == 1, "the script does not report the changed table"
