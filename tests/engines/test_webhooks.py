"""Events over HTTP: a receiver that checks signatures as docs/events.md shows, and fails while the server is killed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

from support import documents
from support.rest import Rest, answer
from support.server import Server
from support.webhook_receiver import ARRIVES_WITHIN_S, LOCAL, Receiver

KILLS = 3
COMMITS = 12
TABLES = ("orders", "returns")


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ARRIVES_WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {ARRIVES_WITHIN_S} s"
        time.sleep(0.05)


def test_commits_arrive_signed_and_in_order_although_receiver_fails_and_server_is_killed(
    make_server: Callable[..., Server],
) -> None:
    server = make_server("webhooks", env=LOCAL)
    server.start()
    with Receiver(lambda number, _: 503 if number % 5 == 1 else 200).serving() as receiver:
        rest = Rest(server.uri, server.key)
        rest.create_namespace("ns")
        for table in TABLES:
            rest.create_table("ns", documents.table(table))
        arguments = ("--url", receiver.url, "--object", "ns.*", "--operation", "update-table")
        receiver.secret = server.command("subscription", "create", "hook", *arguments).stdout.strip()
        made = 0
        for _ in range(KILLS):
            for _ in range(COMMITS):
                made += 1
                for table in TABLES:
                    answer(rest.commit("ns", table, [documents.set_properties(count=str(made))]))
            server.kill()
            server.start()
        eventually(lambda: all(len(receiver.numbers(f"ns.{table}")) == made for table in TABLES))
        assert not receiver.wrong
        for table in TABLES:
            numbers = receiver.numbers(f"ns.{table}")
            assert numbers == sorted(numbers)
        ids = {event["id"] for event in receiver.accepted}
        assert len(ids) == made * len(TABLES), "an event that was sent again has the same id"
        assert {event["type"] for event in receiver.accepted} == {"io.tidewater.table.updated.v1"}


def test_dead_letter_is_listed_and_replayed_by_the_command_line(make_server: Callable[..., Server]) -> None:
    server = make_server("dead-letters", env={**LOCAL, "TIDEWATER_DELIVERY__REJECTIONS": "1"})
    server.start()
    accepts = threading.Event()

    def status(_: int, event: dict) -> int:
        return 422 if event["type"] != "io.tidewater.ping.v1" and not accepts.is_set() else 204

    with Receiver(status).serving() as receiver:
        created = server.command("subscription", "create", "hook", "--url", receiver.url, "--json")
        receiver.secret = json.loads(created.stdout)["secret"]
        assert "accepted" in server.command("subscription", "test", "hook").stdout
        Rest(server.uri, server.key).create_namespace("made")

        def letters() -> list[dict]:
            return json.loads(server.command("subscription", "dead-letters", "hook", "--json").stdout)

        eventually(lambda: any(letter["event"]["subject"] == "made" for letter in letters()))
        rotated = server.command("subscription", "rotate", "hook")
        receiver.secret = rotated.stdout.strip()
        accepts.set()
        assert "sent again" in server.command("subscription", "replay", "hook").stdout
        eventually(lambda: not letters())
        assert any(event["subject"] == "made" for event in receiver.accepted)
        assert not receiver.wrong
        refused = server.command("subscription", "create", "inside", "--url", "https://169.254.169.254/", check=False)
        assert refused.returncode == 1
        assert "inside a network" in refused.stderr
        server.command("subscription", "delete", "hook")
        assert json.loads(server.command("subscription", "list", "--json").stdout) == []
