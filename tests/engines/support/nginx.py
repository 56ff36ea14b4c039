"""Debian's nginx as a reverse proxy with TLS, below a path, as docs/deployment.md sets it up."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support.authority import Authority
from support.ports import free_ports, wait_until_open

MISSING = "nginx is missing: install it (Debian: apt-get install nginx-light)"

CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream tidewater {{ server {upstream}; }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        location /lake/ {{
            rewrite ^ $request_uri;
            rewrite ^/lake(/.*)$ $1 break;
            proxy_pass http://tidewater$uri;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"""


def executable() -> str | None:
    """Returns the path of nginx, if it is there."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


@contextmanager
def below_a_path_with_tls(uri: str, folder: Path) -> Iterator[str]:
    """Serves a server below the path /lake of an address with TLS. Yields the whole address. Skips the test without nginx. In CI this
    is a failure."""
    program = executable()
    if program is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(MISSING)
    (port,) = free_ports(1)
    issued = Authority(folder).issue("proxy")
    text = CONFIGURATION.format(
        folder=folder, upstream=urlsplit(uri).netloc, port=port, certificate=issued.certificate, key=issued.key
    )
    file, log = folder / "nginx.conf", folder / "nginx.log"
    file.write_text(text)
    with log.open("ab") as output:
        process = subprocess.Popen([program, "-p", str(folder), "-c", str(file)], stdout=output, stderr=output)
    try:
        wait_until_open(port, process, log)
        yield f"https://127.0.0.1:{port}/lake"
    finally:
        process.terminate()
        process.wait(timeout=60)
