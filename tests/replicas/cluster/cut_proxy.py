"""The proxy before PostgreSQL that cuts connections on command (`tests/replicas/tools/cut-proxy`)."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

from cluster.processes import Process, tool


class CutProxy:
    """A proxy on a free port."""

    def __init__(self, upstream: str, log: Path):
        self._process = Process("cut-proxy", log)
        self._running = self._process.run(
            [tool("cut-proxy"), "-upstream", upstream], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._lock = threading.Lock()
        self.address = self._answer()["listen"]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def _answer(self) -> dict[str, Any]:
        assert self._running.stdout is not None
        line = self._running.stdout.readline()
        assert line, f"the proxy ended:\n{self._process.tail()}"
        return json.loads(line)

    def _order(self, line: str) -> dict[str, int]:
        assert self._running.stdin is not None
        with self._lock:
            self._running.stdin.write(line + "\n")
            self._running.stdin.flush()
            return self._answer()

    def arm(self, moment: str, times: int) -> None:
        """Cuts the next commits: `before` the server gets them, `during`, or `after` it has answered."""
        self._order(f"arm {moment} {times}")

    def disarm(self) -> None:
        self._order("disarm")

    def cut(self) -> None:
        """Closes all connections."""
        self._order("cut")

    def refuse(self) -> None:
        self._order("refuse")

    def accept(self) -> None:
        self._order("accept")

    def stand(self) -> None:
        """Forwards nothing until `move`, like a network that loses all packets. Connections stay. What was sent arrives late, even
        from a client that has given up."""
        self._order("stand")

    def move(self) -> None:
        self._order("move")

    def switch(self, upstream: str) -> None:
        """Sends new connections to another server, and closes the present ones."""
        self._order(f"switch {upstream}")

    def counts(self) -> dict[str, int]:
        return self._order("counts")

    def stop(self) -> None:
        self._process.kill()
        for pipe in (self._running.stdin, self._running.stdout):
            if pipe is not None:
                pipe.close()
