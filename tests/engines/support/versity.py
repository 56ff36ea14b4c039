"""A second real S3 server: the Versity gateway over a folder, on loopback. It has no token service, so requests are signed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.ports import free_ports, wait_until_open
from support.s3 import ACCESS_KEY, SECRET_KEY, S3Server
from support.server import REPOSITORY

LEFT_OUT = "SKIPPING the tests with the Versity gateway. `cargo xtask test` builds it if Go 1.25 or newer is installed"


class VersityServer(S3Server):
    """One gateway. Its key has all permissions; there are no roles."""

    def __init__(self, folder: Path):
        program = Path(os.environ.get("TIDEWATER_VERSITYGW", REPOSITORY / "target/go/bin/versitygw"))
        if not program.exists():
            # A run without this server must not look like a complete run.
            (pytest.fail if os.environ.get("CI") else pytest.skip)(LEFT_OUT)
        self._program = program
        self.folder = folder
        (self.port,) = free_ports(1)
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        data = self.folder / "data"
        data.mkdir()
        command = [self._program, "--port", f"127.0.0.1:{self.port}", "--quiet", "posix", data]
        keys = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **keys}
            )
        wait_until_open(self.port, self._process, self.folder / "log")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)

    def make_bucket(self, name: str) -> None:
        self.client().create_bucket(Bucket=name)
