"""A small HTTP server in front of a storage emulator that checks permissions, which the emulator does not."""

from __future__ import annotations

import http.client
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "content-length", "host"}


@dataclass(frozen=True)
class Request:
    """A request, as it was sent."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """Returns the decoded path."""
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        """Returns the decoded parameters. Of a repeated one, the first counts."""
        found = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        return {name: values[0] for name, values in found.items()}

    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode(), keep_blank_values=True).items()}


@dataclass(frozen=True)
class Response:
    """An answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Gateway:
    """Listens on a free port until it is closed. Subclasses define `answer`."""

    def __init__(self, upstream: str, certificate: tuple[Path, Path] | None = None):
        self.upstream = urlsplit(upstream)
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                request = Request(self.command, self.path, dict(self.headers.items()), self.read_body())
                response = gateway.answer(request)
                self.send_response(response.status)
                for name, value in response.headers.items():
                    self.send_header(name, value)
                if "content-length" not in {name.lower() for name in response.headers}:
                    self.send_header("Content-Length", str(len(response.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(response.body)

            def read_body(self) -> bytes:
                if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = handle_any

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if certificate else "http"
        self.uri = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def answer(self, request: Request) -> Response:
        raise NotImplementedError

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def forward(
        self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Response:
        """Forwards a request to the emulator, without a check of its certificate."""
        assert self.upstream.hostname is not None
        if self.upstream.scheme == "https":
            context = ssl._create_unverified_context()  # noqa: S323: on loopback
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                self.upstream.hostname, self.upstream.port, timeout=60, context=context
            )
        else:
            connection = http.client.HTTPConnection(self.upstream.hostname, self.upstream.port, timeout=60)
        try:
            kept = {name: value for name, value in (headers or {}).items() if name.lower() not in HOP_BY_HOP}
            connection.request(method, target, body=body, headers={**kept, "Content-Length": str(len(body))})
            got = connection.getresponse()
            content = got.read()
            dropped = HOP_BY_HOP - {"content-length"} if method == "HEAD" else HOP_BY_HOP
            return Response(
                got.status, {name: value for name, value in got.getheaders() if name.lower() not in dropped}, content
            )
        finally:
            connection.close()
