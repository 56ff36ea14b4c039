"""A proxy between the catalog and a storage server that injects faults of networks and servers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Request:
    """The first line of a request, and its body's length."""

    method: str
    path: str
    length: int


@dataclass(frozen=True)
class Fault:
    """A fault, and the requests that it applies to."""

    kind: str  # down, answer, silence, cut-request, hold-answer, lose-answer, cut-answer; or `none`, which only counts
    applies: Callable[[Request], bool] = lambda request: True
    status: str = "503 Slow Down"
    times: int | None = None


SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class FaultyProxy:
    """Listens on a free port. Forwards everything until a fault is set."""

    def __init__(self, upstream: str):
        self._upstream = (urlsplit(upstream).hostname, urlsplit(upstream).port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._ended = threading.Condition(self._lock)
        # The faults, and for how many more requests each of them is; below 0 for any number.
        self._faults: dict[Fault, int] = {}
        self._hits: dict[Fault, int] = {}
        self.spoilt = 0
        self._open: set[socket.socket] = set()
        self._busy: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def spoil(self, *faults: Fault | None) -> None:
        """Sets the faults from now on, or removes them. A request has the first one that applies to it."""
        with self._lock:
            set_ = [fault for fault in faults if fault is not None]
            self._faults = {fault: -1 if fault.times is None else fault.times for fault in set_}
            self._hits, self.spoilt = {}, 0

    def hits(self, fault: Fault) -> int:
        """Returns how many requests have had a fault since it was set."""
        with self._lock:
            return self._hits.get(fault, 0)

    def wait_until_quiet(self, timeout_s: float = 60) -> None:
        """Waits until no request is under way, so that those of a killed client have reached the storage, or never will."""
        end = time.monotonic() + timeout_s
        with self._ended:
            while self._busy or not all(is_waiting(one) for one in self._open):
                assert time.monotonic() < end, "requests through the proxy do not end"
                self._ended.wait(0.05)

    def close(self) -> None:
        self._listener.close()
        with self._lock:
            waiting = list(self._open)
        for one in waiting:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with client:
                while self._next(client):
                    pass
        except OSError:
            pass
        finally:
            with self._ended:
                self._open.discard(client)
                self._ended.notify_all()

    def _next(self, client: socket.socket) -> bool:
        """Waits for a request and forwards it. Returns whether another may follow."""
        # The request is busy before it is read, so `wait_until_quiet` never misses it.
        if not client.recv(1, socket.MSG_PEEK):
            return False
        with self._lock:
            self._busy.add(client)
        try:
            return self._one(client)
        finally:
            with self._ended:
                self._busy.discard(client)
                self._ended.notify_all()

    def _fault_for(self, request: Request) -> Fault | None:
        with self._lock:
            for fault, left in self._faults.items():
                if left != 0 and fault.applies(request):
                    self._faults[fault] = left - 1
                    self._hits[fault] = self._hits.get(fault, 0) + 1
                    self.spoilt += 1
                    return fault
            return None

    def _one(self, client: socket.socket) -> bool:
        """Forwards one request. Returns whether another may follow."""
        head, rest = read_head(client)
        if not head:
            return False
        request = parse(head)
        fault = self._fault_for(request)
        kind = fault.kind if fault else ""
        if kind == "down":
            return False
        if kind == "cut-request":
            client.recv(max(1, request.length // 2))
            return False
        body = read_exactly(client, rest, request.length)
        if fault and kind == "answer":
            answer = f"HTTP/1.1 {fault.status}\r\nContent-Type: application/xml\r\nContent-Length: {len(SLOW_DOWN)}\r\n\r\n"
            client.sendall(answer.encode() + SLOW_DOWN)
            return True
        if kind == "silence":
            # Waits until the other side gives up, or the proxy is closed.
            client.recv(1)
            return False
        answer = self._ask(head, body)
        if kind == "hold-answer":
            client.recv(1)
            return False
        if kind == "lose-answer":
            return False
        if kind == "cut-answer":
            start = answer.index(b"\r\n\r\n") + 4
            client.sendall(answer[: start + (len(answer) - start) // 2])
            return False
        client.sendall(answer)
        return True

    def _ask(self, head: bytes, body: bytes) -> bytes:
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith((b"connection:", b"expect:"))]
        with socket.create_connection(self._upstream) as server:
            server.sendall(b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body)
            answer = b""
            while chunk := server.recv(65536):
                answer += chunk
        # The connection to the client stays open.
        start = answer.index(b"\r\n\r\n")
        kept = [line for line in answer[:start].split(b"\r\n") if not line.lower().startswith(b"connection:")]
        return b"\r\n".join(kept) + answer[start:]


def is_waiting(client: socket.socket) -> bool:
    """Returns whether a connection is open, and its client has sent nothing that is not read."""
    try:
        client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def read_head(client: socket.socket) -> tuple[bytes, bytes]:
    """Returns the head of a request without the empty line, and the bytes after it, or None at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = client.recv(65536)
        if not chunk:
            return b"", b""
        data += chunk
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def read_exactly(client: socket.socket, begun: bytes, length: int) -> bytes:
    while len(begun) < length:
        chunk = client.recv(65536)
        if not chunk:
            raise OSError("the client is gone")
        begun += chunk
    return begun


def parse(head: bytes) -> Request:
    first, *headers = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    lengths = [line.split(":", 1)[1] for line in headers if line.lower().startswith("content-length:")]
    return Request(method, path, int(lengths[0]) if lengths else 0)
