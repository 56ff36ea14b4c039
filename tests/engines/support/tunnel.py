"""A proxy that connects all hosts to one emulator, for clients that support only the cloud's own addresses.

A client with this proxy (`https_proxy` and similar) requests a tunnel to `ACCOUNT.blob.core.windows.net` or
`storage.googleapis.com`. It reaches the emulator's gateway, which has a certificate for these names.
"""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit


class Tunnel:
    """Listens on a free port from its creation until it is closed."""

    def __init__(self, uri: str):
        self._server = (urlsplit(uri).hostname, urlsplit(uri).port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        # The hosts that were asked for.
        self.hosts: set[str] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                chunk = client.recv(4096)
                if not chunk:
                    return
                head += chunk
            method, target, _ = head.split(b" ", 2)
            if method != b"CONNECT":
                client.sendall(b"HTTP/1.1 405 Only tunnels\r\nContent-Length: 0\r\n\r\n")
                return
            self.hosts.add(target.decode().partition(":")[0])
            with socket.create_connection(self._server) as server:
                client.sendall(b"HTTP/1.1 200 There\r\n\r\n")
                back = threading.Thread(target=pass_on, args=(server, client), daemon=True)
                back.start()
                pass_on(client, server)
                back.join()


def pass_on(source: socket.socket, sink: socket.socket) -> None:
    try:
        while chunk := source.recv(65536):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
