"""Apache Kafka for tests: one node in KRaft mode, with its own command-line tools. `cargo xtask compat kafka` fetches it.

A node has a plain listener, and on request one with TLS and SASL. It creates no topic by itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.java import java
from support.ports import free_ports, wait_until_open
from support.server import REPOSITORY, clean_environment

STOP_DEADLINE_S = 60.0
READ_DEADLINE_S = 120.0

STORAGE = "kafka.tools.StorageTool"
BROKER = "kafka.Kafka"
TOPICS = "org.apache.kafka.tools.TopicCommand"
CONFIGS = "org.apache.kafka.tools.ConfigCommand"
CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer"


def jars() -> Path:
    """Returns the folder with the jars."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    folder = target / "compat/kafka"
    if not list(folder.glob("kafka_*.jar")):
        raise SystemExit("Kafka's jars are missing: run `cargo xtask fetch kafka`")
    return folder


@dataclass(frozen=True)
class Security:
    """The second listener: a certificate with its key, and the authority of clients' certificates, all PEM; users with
    passwords for PLAIN and both kinds of SCRAM."""

    certificate: Path
    authority: Path
    users: dict[str, str]


@dataclass(frozen=True)
class Record:
    """A record as a consumer reads it."""

    partition: int
    offset: int
    headers: dict[str, str]
    key: str
    value: dict[str, Any]


class Kafka:
    """A node. `folder` gets its data and logs."""

    def __init__(self, folder: Path, security: Security | None = None):
        self._folder = folder
        self._security = security
        self._port, self._controller_port, self._secure_port = free_ports(3)
        self._process: subprocess.Popen | None = None
        self.servers = f"127.0.0.1:{self._port}"
        self.secure_servers = f"127.0.0.1:{self._secure_port}"
        folder.mkdir(parents=True, exist_ok=True)
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in self._settings().items()))
        users = [f"{mechanism}=[name={name},password={password}]" for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
                 for name, password in (security.users if security else {}).items()]  # fmt: skip
        scram = [argument for user in users for argument in ("--add-scram", user)]
        identifier = uuid.uuid4().hex[:22]
        self._run(STORAGE, "format", "--config", str(self._properties), "--cluster-id", identifier, *scram)

    @property
    def _properties(self) -> Path:
        return self._folder / "server.properties"

    @property
    def log(self) -> Path:
        return self._folder / "kafka.log"

    def _settings(self) -> dict[str, Any]:
        addresses = {"PLAINTEXT": self._port, "CONTROLLER": self._controller_port}
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"}
        secure: dict[str, Any] = {}
        if self._security:
            addresses["SECURE"] = self._secure_port
            protocols["SECURE"] = "SASL_SSL"
            users = " ".join(f'user_{name}="{password}"' for name, password in self._security.users.items())
            module = "org.apache.kafka.common.security"
            secure = {
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": self._security.certificate,
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": self._security.authority,
                "listener.name.secure.ssl.client.auth": "required",
                "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
                "listener.name.secure.plain.sasl.jaas.config": f"{module}.plain.PlainLoginModule required {users};",
                "listener.name.secure.scram-sha-256.sasl.jaas.config": f"{module}.scram.ScramLoginModule required;",
                "listener.name.secure.scram-sha-512.sasl.jaas.config": f"{module}.scram.ScramLoginModule required;",
            }
        listeners = {name: f"{name}://127.0.0.1:{port}" for name, port in addresses.items()}
        advertised = [listener for name, listener in listeners.items() if name != "CONTROLLER"]
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": ",".join(listeners.values()),
            "advertised.listeners": ",".join(advertised),
            "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
            "log.dirs": self._folder / "data",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "group.initial.rebalance.delay.ms": 0,
            **secure,
        }

    def _command(self, program: str, *arguments: str, heap: str = "256m") -> list[str]:
        options = [f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        return [java(oldest=17), *options, "-cp", f"{jars()}/*", program, *arguments]

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            self._command(program, *arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            env=clean_environment({}), timeout=READ_DEADLINE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{program} {arguments}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self) -> None:
        """Starts the node, and waits until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(BROKER, str(self._properties), heap="512m"),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment({}),
            )  # fmt: skip
        wait_until_open(self._port, self._process, self.log)

    def stop(self) -> None:
        """Stops the node in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the node at once, as a crash does."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Lets the node answer nothing, and keeps its connections."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(how)
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def create_topic(self, name: str, partitions: int = 1, **settings: Any) -> None:
        configs = [part for key, value in settings.items() for part in ("--config", f"{key.replace('_', '.')}={value}")]
        arguments = ["--create", "--topic", name, "--partitions", str(partitions), "--replication-factor", "1", *configs]
        self._run(TOPICS, "--bootstrap-server", self.servers, *arguments)

    def change_topic(self, name: str, **settings: Any) -> None:
        configs = ",".join(f"{key.replace('_', '.')}={value}" for key, value in settings.items())
        self._run(CONFIGS, "--bootstrap-server", self.servers, "--alter", "--entity-type", "topics", "--entity-name", name,
                  "--add-config", configs)  # fmt: skip

    @contextmanager
    def consumer(self, topic: str) -> Iterator[Consumer]:
        """Yields Kafka's console consumer of a topic, from its beginning."""
        shown = ("print.partition", "print.offset", "print.headers", "print.key")
        properties = [part for name in shown for part in ("--formatter-property", f"{name}=true")]
        command = self._command(CONSUMER, "--bootstrap-server", self.servers, "--topic", topic, "--from-beginning", *properties)
        output = self._folder / f"consumer-{uuid.uuid4().hex}.txt"
        with output.open("wb") as lines, self.log.open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=lines, stderr=log, env=clean_environment({}))
        try:
            yield Consumer(output, process)
        finally:
            process.terminate()
            process.wait(STOP_DEADLINE_S)


class Consumer:
    """Records that the console consumer has read so far."""

    def __init__(self, output: Path, process: subprocess.Popen):
        self._output = output
        self._process = process

    def records(self) -> list[Record]:
        text = self._output.read_text()
        # The last line may be incomplete.
        return [parse(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def wait_for(self, enough: Callable[[list[Record]], bool]) -> list[Record]:
        """Waits until the records read are enough, and returns them."""
        deadline = time.monotonic() + READ_DEADLINE_S
        while not enough(records := self.records()):
            assert self._process.poll() is None, "the consumer has ended"
            assert time.monotonic() < deadline, f"not enough after {READ_DEADLINE_S} s: {records}"
            time.sleep(0.05)
        return records


def parse(line: str) -> Record:
    """Parses a line: Partition:0, Offset:7, headers, key, value, separated by tabs."""
    partition, offset, headers, key, value = line.split("\t", 4)
    pairs = [header.split(":", 1) for header in headers.split(",")] if headers != "NO_HEADERS" else []
    return Record(
        int(partition.removeprefix("Partition:")), int(offset.removeprefix("Offset:")), dict(pairs), key, json.loads(value)
    )
