"""Events to a real Kafka, read by Kafka's own consumer. `cargo xtask compat kafka` runs this.

The broker is away, slow, restarted, lacks the topic or refuses a record, and the server is killed: nothing is lost, and the events of one
object arrive in order. Some may arrive again.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import kafka as brokers
from support.kafka import Kafka, Record, Security
from support.rest import Rest, answer
from support.server import Server, find_binary

SCHEMA = {"type": "struct", "schema-id": 0, "fields": [{"id": 1, "name": "id", "type": "long", "required": False}]}
PASSWORD = "a password"


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    broker = Kafka(tmp_path_factory.mktemp("kafka") / "broker")
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def topic(kafka: Kafka, request: pytest.FixtureRequest) -> str:
    name = request.node.name.replace("test_", "")[:100]
    kafka.create_topic(name, partitions=3)
    return name


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Creates servers that send their events to Kafka. Stops them, and fails if one panicked or had an internal error."""
    made: list[Server] = []

    def make(broker: Kafka, topic: str, **settings: str) -> Server:
        settings = {"bootstrap_servers": broker.servers, "topic": topic, "start": "oldest", **settings}
        env = {f"TIDEWATER_KAFKA__{name.upper()}": value for name, value in settings.items()}
        server = Server(find_binary(), tmp_path / f"data-{len(made)}", env={"TIDEWATER_TELEMETRY__PUBLIC": "true", **env})
        made.append(server)
        server.start()
        return server

    yield make
    for server in made:
        if server.is_running():
            server.stop()
        # The client of Kafka logs lost connections as errors.
        expected = ("ERROR krafka::", "an event was refused")
        complaints = [line for line in server.complaints() if not any(text in line for text in expected)]
        assert not complaints, "\n".join(complaints)


def rest(server: Server) -> Rest:
    return Rest(server.uri, server.key)


def create_table(server: Server, name: str) -> str:
    """Creates a table in the quickstart's namespace. Returns the namespace."""
    assert server.printed
    rest(server).create_table(server.printed.namespace, {"name": name, "schema": SCHEMA})
    return server.printed.namespace


def change(server: Server, table: str, count: int, first: int = 0) -> None:
    """Commits to a table several times."""
    assert server.printed
    for number in range(first, first + count):
        updates = [{"action": "set-properties", "updates": {"number": str(number)}}]
        answer(rest(server).commit(server.printed.namespace, table, updates))


def stored(server: Server) -> dict[int, dict]:
    """Returns the events of the organisation, by their number."""
    listed = server.command("events", "--org", "quickstart", "--limit", "10000", "--json")
    return {event["id"]: event for event in json.loads(listed.stdout)}


def numbers(records: list[Record]) -> set[int]:
    return {record.value["data"]["event-id"] for record in records}


def wait_for_all(consumer: brokers.Consumer, server: Server, since: int) -> list[Record]:
    """Waits until all events after a number have arrived, and checks their order."""
    wanted = {number for number in stored(server) if number > since}
    records = consumer.wait_for(lambda records: wanted <= numbers(records))
    check_order(records)
    return records


def check_order(records: list[Record]) -> None:
    """Checks that the events of one object are in one partition and in order there, not counting repetitions."""
    partitions: dict[str, set[int]] = {}
    newest: dict[str, str] = {}
    seen: set[str] = set()
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        event = record.value
        assert record.key == event["partitionkey"]
        partitions.setdefault(record.key, set()).add(record.partition)
        if event["id"] in seen:
            continue
        seen.add(event["id"])
        assert event["sequence"] > newest.get(record.key, ""), f"{event} after {newest[record.key]}"
        newest[record.key] = event["sequence"]
    assert all(len(found) == 1 for found in partitions.values()), partitions


def metric(server: Server, name: str) -> float:
    text = rest(server).get(f"{server.uri}/metrics").text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def newest(server: Server) -> int:
    return max(stored(server))


def test_each_change_arrives_as_a_cloud_event_in_the_order_of_its_table(
    kafka: Kafka, topic: str, make_server: Callable[..., Server]
) -> None:
    server = make_server(kafka, topic)
    before = newest(server)
    with kafka.consumer(topic) as consumer:
        for table in ("one", "two", "three"):
            create_table(server, table)
        for number in range(10):
            for table in ("one", "two", "three"):
                change(server, table, 1, number)
        records = wait_for_all(consumer, server, before)
    events = stored(server)
    records = [record for record in records if record.value["data"]["event-id"] > before]
    assert len(records) == 33
    for record in records:
        assert record.headers == {"content-type": "application/cloudevents+json"}
        event = events[record.value["data"]["event-id"]]
        assert (record.value["specversion"], record.value["subject"]) == ("1.0", event["object"])
        assert record.key == event["object-id"]
    assert {record.value["type"] for record in records} == {"io.tidewater.table.created.v1", "io.tidewater.table.updated.v1"}


def test_changes_while_the_broker_is_away_or_restarts_arrive_later(
    tmp_path: Path, make_server: Callable[..., Server]
) -> None:
    broker = Kafka(tmp_path / "broker")
    try:
        broker.start()
        broker.create_topic("events", partitions=3)
        server = make_server(broker, "events")
        before = newest(server)
        create_table(server, "t")
        change(server, "t", 5)
        broker.kill()
        started = time.monotonic()
        change(server, "t", 20, first=5)
        assert time.monotonic() - started < 30, "requests wait for the broker"
        wait_until(lambda: metric(server, "tidewater_kafka_failing") == 1, "the failure is not in the metrics")
        broker.start()
        with broker.consumer("events") as consumer:
            wait_for_all(consumer, server, before)
            wait_until(lambda: metric(server, "tidewater_kafka_failing") == 0, "the success is not in the metrics")
            # A broker that keeps its connections and does not answer.
            broker.pause()
            change(server, "t", 20, first=25)
            wait_until(lambda: metric(server, "tidewater_kafka_failing") == 1, "the broker is not missed")
            broker.resume()
            wait_for_all(consumer, server, before)
    finally:
        broker.stop()


def test_changes_wait_for_a_topic_that_is_missing(kafka: Kafka, make_server: Callable[..., Server]) -> None:
    server = make_server(kafka, "created.later")
    before = newest(server)
    create_table(server, "t")
    change(server, "t", 5)
    wait_until(lambda: "the topic 'created.later' does not exist" in server.stderr(), "the log does not name the topic")
    kafka.create_topic("created.later", partitions=2)
    with kafka.consumer("created.later") as consumer:
        wait_for_all(consumer, server, before)


def test_event_that_is_too_large_is_skipped_and_counted_and_the_next_arrives(
    kafka: Kafka, make_server: Callable[..., Server]
) -> None:
    kafka.create_topic("small", max_message_bytes=2500)
    server = make_server(kafka, "small")
    before = newest(server)
    create_table(server, "t")
    properties = {f"{number:02}" + "k" * 250: "v" for number in range(40)}
    rest(server).create_namespace("large", properties=properties)
    answer(rest(server).post("/namespaces/large/properties", json={"updates": properties}))
    change(server, "t", 3)
    events = {number: event for number, event in stored(server).items() if number > before}
    large = {number for number, event in events.items() if len(json.dumps(event["details"])) > 2000}
    assert len(large) == 1
    with kafka.consumer("small") as consumer:
        records = consumer.wait_for(lambda records: set(events) - large <= numbers(records))
    check_order(records)
    assert not large & numbers(records)
    assert metric(server, "tidewater_kafka_refused_events_total") == 1
    assert f"event={next(iter(large))}" in plain(server.stderr())


def plain(text: str) -> str:
    """Removes colours from a log."""
    return "".join(part.split("m", 1)[-1] if index else part for index, part in enumerate(text.split("\x1b[")))


def test_server_that_is_killed_again_and_again_loses_nothing(
    kafka: Kafka, topic: str, make_server: Callable[..., Server]
) -> None:
    server = make_server(kafka, topic)
    before = newest(server)
    create_table(server, "t")
    with kafka.consumer(topic) as consumer:
        for round_number in range(5):
            change(server, "t", 40, first=40 * round_number)
            server.kill()
            server.start()
        records = wait_for_all(consumer, server, before)
    assert len([number for number in numbers(records) if number > before]) == 201


def test_topic_of_each_organisation_gets_its_events_though_another_is_missing(
    kafka: Kafka, make_server: Callable[..., Server]
) -> None:
    kafka.create_topic("of.quickstart.events")
    server = make_server(kafka, "of.{organisation}.events")
    server.command("org", "create", "acme")
    before = newest(server)
    create_table(server, "t")
    with kafka.consumer("of.quickstart.events") as consumer:
        wait_for_all(consumer, server, before)
        wait_until(lambda: "the topic 'of.acme.events' does not exist" in server.stderr(), "the log does not name the topic")
        change(server, "t", 5)
        wait_for_all(consumer, server, before)
    kafka.create_topic("of.acme.events")
    with kafka.consumer("of.acme.events") as consumer:
        records = consumer.wait_for(lambda records: len(records) >= 1)
    assert "io.tidewater.organisation.created.v1" in {record.value["type"] for record in records}


def test_only_selected_operations_arrive(kafka: Kafka, topic: str, make_server: Callable[..., Server]) -> None:
    server = make_server(kafka, topic, operations="create-table,drop-table", organisations="quickstart", compression="gzip")
    create_table(server, "t")
    change(server, "t", 3)
    namespace = create_table(server, "u")
    assert rest(server).delete(f"/namespaces/{namespace}/tables/u").status_code == 204
    with kafka.consumer(topic) as consumer:
        records = consumer.wait_for(lambda records: len(records) >= 4)
    kinds = [record.value["data"]["operation"] for record in sorted(records, key=lambda record: record.value["sequence"])]
    # The quickstart created its own table.
    assert kinds == ["create-table", "create-table", "create-table", "drop-table"]


def certificate(folder: Path, name: str, authority: tuple[Path, Path] | None = None) -> tuple[Path, Path]:
    """Makes a certificate for 127.0.0.1 with openssl. Returns its file and its key's."""
    made, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
               "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(made)]  # fmt: skip
    if authority:
        command += ["-CA", str(authority[0]), "-CAkey", str(authority[1]), "-addext", "subjectAltName=IP:127.0.0.1",
                    "-addext", "basicConstraints=critical,CA:false"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return made, key


def test_events_arrive_over_tls_with_certificate_and_password(tmp_path: Path, make_server: Callable[..., Server]) -> None:
    authority = certificate(tmp_path, "authority")
    node, node_key = certificate(tmp_path, "node", authority)
    client, client_key = certificate(tmp_path, "client", authority)
    both = tmp_path / "both.pem"
    both.write_text(node_key.read_text() + node.read_text())
    broker = Kafka(tmp_path / "broker", Security(both, authority[0], {"tidewater": PASSWORD}))
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    secure = {"bootstrap_servers": broker.secure_servers, "tls": "true", "ca_file": str(authority[0]), "sasl_user": "tidewater"}
    own = {"client_certificate_file": str(client), "client_key_file": str(client_key)}
    try:
        broker.start()
        for mechanism in ("scram-sha-512", "scram-sha-256", "plain"):
            broker.create_topic(mechanism)
            server = make_server(
                broker, mechanism, sasl_mechanism=mechanism, sasl_password_file=str(password), **secure, **own
            )
            before = newest(server)
            create_table(server, "t")
            with broker.consumer(mechanism) as consumer:
                wait_for_all(consumer, server, before)
            server.stop()
        for name, faulty in {
            "password": {"sasl_password": "another", **own},
            "certificate": {"sasl_password": PASSWORD},
        }.items():
            server = make_server(broker, "plain", **secure, **faulty)
            create_table(server, "t")
            wait_until(lambda: metric(server, "tidewater_kafka_failing") == 1, f"the wrong {name} is not noticed")  # noqa: B023
            assert PASSWORD not in server.stderr() and "another" not in server.stderr()
            server.stop()
    finally:
        broker.stop()


def test_backlog_arrives_quickly(kafka: Kafka, topic: str, make_server: Callable[..., Server]) -> None:
    """Prints how many events are sent in a second."""
    server = make_server(kafka, topic, bootstrap_servers="")
    create_table(server, "t")
    change(server, "t", 2000)
    server.stop()
    with kafka.consumer(topic) as consumer:
        late = Server(server.binary, server.data_dir, env={
            "TIDEWATER_TELEMETRY__PUBLIC": "true", "TIDEWATER_KAFKA__BOOTSTRAP_SERVERS": kafka.servers,
            "TIDEWATER_KAFKA__TOPIC": topic, "TIDEWATER_KAFKA__START": "oldest",
        })  # fmt: skip
        started = time.monotonic()
        late.start()
        wait_until(lambda: metric(late, "tidewater_kafka_events_total") > 2000, "the backlog is not sent")
        seconds = time.monotonic() - started
        wait_for_all(consumer, late, 0)
        late.stop()
    print(f"\n2000 events in {seconds:.1f} s with the start of the server")
