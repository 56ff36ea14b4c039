"""The database of the other tests does what they rely on."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from cluster.database import Database
from cluster.postgres import Postgres, psql, psql_command
from cluster.processes import wait_for


def make(stack: ExitStack, logs: Path, **options: bool) -> Database:
    database = Database(logs, **options)
    stack.callback(database.remove)
    database.primary.query("CREATE TABLE kept (number int)")
    database.primary.query("GRANT ALL ON kept TO PUBLIC")
    return database


def kept(server: Postgres) -> list[int]:
    return [int(line) for line in server.query("SELECT number FROM kept ORDER BY number").split()]


def test_cut_commits_happen_or_not_by_the_moment_of_the_cut(stack: ExitStack, logs: Path) -> None:
    database = make(stack, logs)
    insert = "INSERT INTO kept VALUES ({})".format
    statements = {"one statement": lambda number: [insert(number)], "a block": lambda number: ["BEGIN", insert(number), "COMMIT"]}
    number, expected = 0, []
    for make_statements in statements.values():
        for moment, happens in ((None, True), ("before", False), ("after", True)):
            number += 1
            if moment:
                database.proxy.arm(moment, 1)
            done = psql(database.proxy.port, *make_statements(number))
            assert (done.returncode == 0) == (moment is None), done.stderr
            expected += [number] if happens else []
            assert kept(database.primary) == expected, f"{moment}, {make_statements(number)}"
    counts = database.proxy.counts()
    assert counts["commits"] == 6 and counts["cut"] == 4, counts
    database.proxy.arm("during", 1)
    assert psql(database.proxy.port, insert(100)).returncode != 0
    database.proxy.arm("after", 1)
    database.proxy.disarm()
    assert psql(database.proxy.port, insert(101)).returncode == 0


def test_commit_of_a_client_that_gave_up_arrives_after_a_standstill(stack: ExitStack, logs: Path) -> None:
    database = make(stack, logs)
    client = subprocess.Popen(
        psql_command(database.proxy.port), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    stack.callback(client.kill)
    assert client.stdin is not None and client.stdout is not None
    client.stdin.write("SELECT 1;\n")
    assert client.stdout.readline() == "1\n"
    database.proxy.stand()
    client.stdin.write("INSERT INTO kept VALUES (1);\n")
    wait_for("the commit is at the proxy", lambda: database.proxy.counts()["commits"] == 1)
    client.kill()
    client.communicate()
    assert kept(database.primary) == []
    database.proxy.move()
    wait_for("the commit happened", lambda: kept(database.primary) == [1])


def test_refused_connections_end_until_they_are_accepted_again(stack: ExitStack, logs: Path) -> None:
    database = make(stack, logs)
    database.proxy.refuse()
    assert psql(database.proxy.port, "SELECT 1").returncode != 0
    database.proxy.accept()
    assert psql(database.proxy.port, "SELECT 1").returncode == 0


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_restart_keeps_committed_rows(stack: ExitStack, logs: Path, mode: str) -> None:
    database = make(stack, logs)
    database.primary.query("INSERT INTO kept VALUES (1)")
    database.restart(mode)
    assert kept(database.primary) == [1]


def test_promoted_standby_has_every_acknowledged_row(stack: ExitStack, logs: Path) -> None:
    database = make(stack, logs, standby=True)
    for number in range(20):
        assert psql(database.proxy.port, f"INSERT INTO kept VALUES ({number})").returncode == 0
    first = database.primary
    database.fail_over()
    assert database.primary is not first
    assert psql(database.proxy.port, "INSERT INTO kept VALUES (20)").returncode == 0
    assert kept(database.primary) == list(range(21))
    database.add_standby()
    database.fail_over()
    assert kept(database.primary) == list(range(21))


def test_commit_that_waits_for_the_standby_happens_after_its_connection_was_cut(stack: ExitStack, logs: Path) -> None:
    database = make(stack, logs, standby=True)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(psql, database.proxy.port, "INSERT INTO kept VALUES (1)")
        database.cut_while_standby_stands_still(0.5)
        assert sent.result().returncode != 0
    wait_for("the commit happened", lambda: kept(database.primary) == [1])


def test_pgbouncer_shares_connections_between_transactions(stack: ExitStack, logs: Path) -> None:
    database = make(stack, logs, pooled=True)
    assert database.pool is not None
    for number in range(3):
        assert psql(database.pool.port, "BEGIN", f"INSERT INTO kept VALUES ({number})", "COMMIT").returncode == 0
    assert kept(database.primary) == [0, 1, 2]
    clients = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'tidewater'"
    assert int(database.primary.query(clients)) == 1, "each transaction has its own connection"
