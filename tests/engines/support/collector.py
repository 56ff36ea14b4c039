"""A real OpenTelemetry Collector that writes the spans that it receives to a file. `tests/servers/collector` has its source."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.ports import free_ports, wait_until_open
from support.server import REPOSITORY

LEFT_OUT = "SKIPPING the tests with an OpenTelemetry collector. `cargo xtask test` builds it if Go 1.26 or newer is installed"
AT_MOST_S = 60.0

CONFIG = """
receivers:
  otlp:
    protocols:
      grpc: {{ endpoint: "127.0.0.1:{grpc}"{tls} }}
      http: {{ endpoint: "127.0.0.1:{http}"{tls} }}
exporters:
  lines: {{}}
service:
  telemetry: {{ metrics: {{ level: none }} }}
  pipelines:
    traces: {{ receivers: [otlp], exporters: [lines] }}
"""


@dataclass(frozen=True)
class Span:
    """A span as the collector received it."""

    trace_id: str
    span_id: str
    parent: str
    name: str
    kind: int
    attributes: dict[str, object]
    resource: dict[str, object]
    failed: bool
    state: str
    began_ns: int
    ended_ns: int
    children: list[Span] = field(default_factory=list, compare=False)

    def descendants(self) -> list[Span]:
        """Returns all spans below this one."""
        return [below for child in self.children for below in (child, *child.descendants())]

    def child(self, name: str) -> Span:
        """Returns the child with this name."""
        found = [child for child in self.children if child.name == name]
        assert found, f"{self.name} has no child {name}:\n{self.tree()}"
        return found[0]

    def tree(self, depth: int = 0) -> str:
        """Returns the span and those below it as text, for messages."""
        return "  " * depth + f"{self.name} {self.attributes}\n" + "".join(child.tree(depth + 1) for child in self.children)


def values(pairs: list[dict]) -> dict[str, object]:
    """Returns attributes by their names."""
    found = {}
    for pair in pairs:
        ((kind, value),) = pair["value"].items()
        found[pair["key"]] = int(value) if kind == "intValue" else value
    return found


class Collector:
    """One collector, with receivers for gRPC and HTTP."""

    def __init__(self, folder: Path, certificate: tuple[Path, Path] | None = None):
        program = Path(os.environ.get("TIDEWATER_COLLECTOR", REPOSITORY / "target/go/bin/collector"))
        if not program.exists():
            # A run without it must not look like a complete run.
            (pytest.fail if os.environ.get("CI") else pytest.skip)(LEFT_OUT)
        grpc, http = free_ports(2)
        scheme = "https" if certificate else "http"
        self.grpc, self.http = f"{scheme}://127.0.0.1:{grpc}", f"{scheme}://127.0.0.1:{http}"
        tls = f', tls: {{ cert_file: "{certificate[0]}", key_file: "{certificate[1]}" }}' if certificate else ""
        config, log = folder / "collector.yml", folder / "collector.log"
        config.write_text(CONFIG.format(grpc=grpc, http=http, tls=tls))
        self._lines = folder / "spans.jsonl"
        with log.open("wb") as errors, self._lines.open("wb") as lines:
            command = [program, "--config", config]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=lines, stderr=errors)
        for port in (grpc, http):
            wait_until_open(port, self._process, log)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)

    def spans(self) -> list[Span]:
        """Returns the spans so far, each with its children."""
        found = []
        # The last line may be incomplete.
        for line in self._lines.read_text().split("\n")[:-1]:
            for of_resource in json.loads(line)["resourceSpans"]:
                resource = values(of_resource["resource"].get("attributes", []))
                for of_scope in of_resource["scopeSpans"]:
                    found += [span_of(span, resource) for span in of_scope["spans"]]
        by_id = {(span.trace_id, span.span_id): span for span in found}
        for span in found:
            if parent := by_id.get((span.trace_id, span.parent)):
                parent.children.append(span)
        return found

    def wait_for(self, wanted: Callable[[Span], bool]) -> Span:
        """Waits until a span has arrived, and returns it with its children."""
        deadline = time.monotonic() + AT_MOST_S
        while True:
            spans = self.spans()
            if found := next((span for span in spans if wanted(span)), None):
                return found
            assert time.monotonic() < deadline, [(span.name, span.attributes) for span in spans]
            time.sleep(0.05)


def span_of(span: dict, resource: dict[str, object]) -> Span:
    return Span(
        trace_id=span["traceId"],
        span_id=span["spanId"],
        parent=span.get("parentSpanId", ""),
        name=span["name"],
        kind=span["kind"],
        attributes=values(span.get("attributes", [])),
        resource=resource,
        failed=span.get("status", {}).get("code") == 2,
        state=span.get("traceState", ""),
        began_ns=int(span["startTimeUnixNano"]),
        ended_ns=int(span["endTimeUnixNano"]),
    )
