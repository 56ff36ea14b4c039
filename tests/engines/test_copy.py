"""Copies of a catalog between a data folder and PostgreSQL by the command, killed in the middle."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from support.postgres import create_database, is_postgres
from support.server import clean_environment

pytestmark = pytest.mark.skipif(not is_postgres(), reason="needs PostgreSQL")

NAMESPACES = 20
TABLES = 1_000
DEADLINE_S = 240


def run(binary: Path, *args: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(binary), *args], capture_output=True, check=False, text=True, timeout=DEADLINE_S, env=clean_environment()
    )


def succeed(binary: Path, *args: str) -> subprocess.CompletedProcess:
    done = run(binary, *args)
    assert done.returncode == 0, done.stderr
    return done


def query(url: str, sql: str) -> str:
    command = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--dbname", url, "--command", sql]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


@pytest.fixture(scope="module")
def catalog(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with many tables, which were never files."""
    folder = tmp_path_factory.mktemp("copy") / "data"
    root = (folder.parent / "lake").as_uri()
    common = ("--data-dir", str(folder))
    succeed(binary, "org", "create", "acme", "--tier", "professional", *common)
    succeed(binary, "warehouse", "create", "lake", "--org", "acme", "--root", root, *common)
    succeed(binary, "key", "create", "ci", "--org", "acme", "--role", "writer", *common)
    with sqlite3.connect(folder / "tidewater.db") as database:
        fill(database, root)
    database.close()
    return folder


def fill(database: sqlite3.Connection, root: str) -> None:
    organisation, warehouse = database.execute("SELECT organisation, id FROM warehouse").fetchone()
    for number in range(NAMESPACES):
        namespace = f"ns{number:03}"
        database.execute(
            "INSERT INTO namespace (organisation, warehouse, key, properties) VALUES (?, ?, ?, '{}')",
            (organisation, warehouse, namespace),
        )
        for table in range(TABLES):
            key = uuid.uuid4()
            location = f"{root}/{namespace}/{key}"
            database.execute(
                "INSERT INTO tabular (organisation, warehouse, namespace, name, id, kind, metadata_location, location,"
                " created_ms, updated_ms) VALUES (?, ?, ?, ?, ?, 'table', ?, ?, 1, 1)",
                (organisation, warehouse, namespace, f"t{table:04}", key.bytes, f"{location}/m.json", location),
            )
            database.execute(
                "INSERT INTO location (organisation, warehouse, location, tabular) VALUES (?, ?, ?, ?)",
                (organisation, warehouse, location.encode(), key.bytes),
            )


def copied_in_sqlite(folder: Path) -> int:
    if not (folder / "tidewater.db").exists():
        return 0
    database = sqlite3.connect((folder / "tidewater.db").as_uri() + "?mode=ro", uri=True)
    try:
        return database.execute("SELECT coalesce(sum(copied), 0) FROM copy_state").fetchone()[0]
    except sqlite3.OperationalError:
        return 0
    finally:
        database.close()


def copied_in_postgres(url: str) -> int:
    if query(url, "SELECT to_regclass('copy_state') IS NOT NULL") != "t":
        return 0
    return int(query(url, "SELECT coalesce(sum(copied), 0) FROM copy_state"))


def kill_in_the_middle(binary: Path, source: str, target: str, copied: Callable[[], int], stderr: Path) -> None:
    """Starts a copy and kills it after some thousand rows."""
    command = [str(binary), "copy", "--from", source, "--to", target]
    with stderr.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=clean_environment())
    while copied() < 5_000:
        assert process.poll() is None, stderr.read_text()
    process.kill()
    assert process.wait(60) == -9, stderr.read_text()


def test_killed_copy_continues_in_both_directions(binary: Path, catalog: Path, tmp_path: Path) -> None:
    url, back = create_database(), tmp_path / "back"
    for source, target, copied in [
        (f"sqlite:{catalog}", url, lambda: copied_in_postgres(url)),
        (url, f"sqlite:{back}", lambda: copied_in_sqlite(back)),
    ]:
        kill_in_the_middle(binary, source, target, copied, tmp_path / "copy.log")
        before = copied()
        serve = ("serve", "--listen", "127.0.0.1:0")
        refused = run(binary, *serve, "--store", target) if target == url else run(binary, *serve, "--data-dir", str(back))
        assert refused.returncode != 0, "a server started on an incomplete copy"
        assert "incomplete copy of" in refused.stderr and "tidewater copy --from" in refused.stderr, refused.stderr
        done = succeed(binary, "copy", "--from", source, "--to", target)
        assert f"Continued an earlier copy after {before} rows." in done.stderr, done.stderr
        assert re.search(r"Copied \d+ rows of \d+ tables from ", done.stdout), done.stdout
        compared = succeed(binary, "copy", "--from", source, "--to", target, "--check")
        assert "is the same as" in compared.stdout
    succeed(binary, "copy", "--from", f"sqlite:{catalog}", "--to", f"sqlite:{back}", "--check")
    listed = succeed(binary, "key", "list", "--org", "acme", "--data-dir", str(back)).stdout
    assert "ci" in listed


def test_changed_row_of_a_copy_is_named(binary: Path, catalog: Path) -> None:
    url = create_database()
    succeed(binary, "copy", "--from", f"sqlite:{catalog}", "--to", url)
    query(url, "UPDATE tabular SET metadata_location = 'x' WHERE namespace = 'ns007' AND name = 't0007'")
    refused = run(binary, "copy", "--from", f"sqlite:{catalog}", "--to", url, "--check")
    assert refused.returncode == 1
    assert "table 'tabular'" in refused.stderr and 'namespace "ns007", name "t0007"' in refused.stderr, refused.stderr
    assert "another value in metadata_location" in refused.stderr
    refused = run(binary, "copy", "--from", f"sqlite:{catalog}", "--to", url)
    assert "has a catalog already" in refused.stderr, refused.stderr
