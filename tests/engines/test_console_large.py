"""The web console over a warehouse with 100,000 tables: pages have a bounded size, and read a bounded part of the database."""

from __future__ import annotations

import re
import sqlite3
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from support.postgres import is_postgres
from support.server import Server

# The test adds rows to a data folder. PostgreSQL has the same statements, with the same indexes.
pytestmark = pytest.mark.skipif(is_postgres(), reason="needs a data folder")

TABLES = 100_000
NAMESPACE = "many"
MOST_BYTES_OF_AN_ANSWER = 64 << 10
MOST_BYTES_READ = 512 << 10
MOST_BYTES_OF_A_SEARCH = 24 << 20


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server]) -> Server:
    """A server whose default warehouse has many tables, which were never files."""
    server = make_server("console-large")
    server.start()
    server.stop()
    with sqlite3.connect(server.data_dir / "tidewater.db") as database:
        fill(database)
    database.close()
    server.start()
    return server


def fill(database: sqlite3.Connection) -> None:
    organisation, warehouse, root = database.execute("SELECT organisation, id, root FROM warehouse").fetchone()
    database.execute(
        "INSERT INTO namespace (organisation, warehouse, key, properties) VALUES (?, ?, ?, '{}')",
        (organisation, warehouse, NAMESPACE),
    )
    keys = [uuid.uuid4().bytes for _ in range(TABLES)]
    locations = [f"{root}/{NAMESPACE}/{number:06}" for number in range(TABLES)]
    both = list(zip(keys, locations, strict=True))
    database.executemany(
        "INSERT INTO tabular (organisation, warehouse, namespace, name, id, kind, metadata_location, location,"
        " created_ms, updated_ms) VALUES (?, ?, ?, ?, ?, 'table', ?, ?, 1, 1)",
        (
            (organisation, warehouse, NAMESPACE, f"t{number:06}", key, f"{location}/m.json", location)
            for number, (key, location) in enumerate(both)
        ),
    )
    database.executemany(
        "INSERT INTO location (organisation, warehouse, location, tabular) VALUES (?, ?, ?, ?)",
        ((organisation, warehouse, location.encode(), key) for key, location in both),
    )


def bytes_read(server: Server) -> int:
    """Returns how many bytes the server has read from files and connections."""
    text = Path(f"/proc/{server.pid}/io").read_text()
    return int(re.search(r"rchar: (\d+)", text).group(1))


def test_pages_of_100_000_tables_are_small_and_read_a_small_part(server: Server) -> None:
    console = f"{server.uri}/console"
    browser = requests.Session()
    browser.headers["Origin"] = server.uri
    signed_in = browser.post(f"{console}/sign-in", data={"key": server.key}, timeout=60)
    assert signed_in.url.endswith("/home"), signed_in.text
    place = f"{console}/browse?w={server.printed.warehouse}&ns={NAMESPACE}"

    def show(address: str) -> list[str]:
        before = bytes_read(server)
        answer = browser.get(address, timeout=60)
        assert answer.status_code == 200, answer.text
        assert len(answer.content) < MOST_BYTES_OF_AN_ANSWER, address
        assert bytes_read(server) - before < MOST_BYTES_READ, address
        names = re.findall(r'class="table" href="[^"]*">(t\d+)</a>', answer.text)
        assert len(names) <= 100, address
        # The requests of the page that its foot shows: each is one page of a list, or one object.
        assert answer.text.count("<b>GET</b>") <= 4, address
        return [*names, *re.findall(r'href="([^"]*tt=[^"]*)"', answer.text)]

    *names, more = show(place)
    assert (names[0], names[-1], len(names)) == ("t000000", "t000099", 100)
    # The next page costs the same.
    *names, _ = show(f"{console}/{more.replace('&#38;', '&')}")
    assert (names[0], names[-1]) == ("t000100", "t000199")
    show(f"{console}/home")

    # A search compares all names at most, from an index, and shows a bounded number.
    for typed, expected in [("T09999", 10), ("99999", 1), ("many.t099999", 1), ("t0", 100), ("nothing", 0)]:
        before, begin = bytes_read(server), time.monotonic()
        answer = browser.get(f"{console}/browse?w={server.printed.warehouse}&q={typed}&part=lists", timeout=60)
        took_ms = (time.monotonic() - begin) * 1_000
        read = bytes_read(server) - before
        found = re.findall(r'class="table" href="[^"]*">many\.(t\d+)</a>', answer.text)
        print(f"search for {typed!r}: {len(found)} found, {read:,} bytes read, {took_ms:.0f} ms")
        assert len(found) == expected and len(answer.content) < MOST_BYTES_OF_AN_ANSWER, typed
        assert read < MOST_BYTES_OF_A_SEARCH, typed

    # The whole list is much more, so the bounds above mean something.
    before, token, listed = bytes_read(server), "", 0
    while token is not None:
        address = f"{server.uri}/v1/{server.printed.warehouse}/namespaces/{NAMESPACE}/tables"
        page = requests.get(
            address, params={"pageSize": 1000, "pageToken": token}, headers={"Authorization": f"Bearer {server.key}"}, timeout=60
        ).json()
        listed, token = listed + len(page["identifiers"]), page.get("next-page-token")
    assert listed == TABLES
    assert bytes_read(server) - before > 4 * MOST_BYTES_READ
