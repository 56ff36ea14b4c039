"""JavaScript clients, with a separate process for each call.

`cargo xtask test` installs the packages of `node/package.json`, and names their folder in `TIDEWATER_NODE_MODULES`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.server import REPOSITORY, Server, clean_environment

DEADLINE_S = 200

FOLDER = REPOSITORY / "tests/engines/node"

MISSING = (
    "Node or the client that it runs is missing: install Node 22 (20 does too) with npm (Debian: apt-get install nodejs npm), then run "
    "`cargo xtask test`"
)


def modules() -> Path | None:
    """Where packages are installed, if they are and Node is there."""
    folder = Path(os.environ.get("TIDEWATER_NODE_MODULES", REPOSITORY / "target/node/node_modules"))
    return folder if shutil.which("node") and (folder / "iceberg-js/package.json").exists() else None


def needed() -> None:
    """Skips the test if Node is missing. In CI this is a failure."""
    if modules() is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(MISSING)


def version(package: str) -> str:
    """Returns the installed version."""
    found = modules()
    return json.loads((found / package / "package.json").read_text())["version"] if found else "not installed"


class IcebergJsError(Exception):
    """An error of iceberg-js: its message, and its other fields in `error`."""

    def __init__(self, error: dict[str, Any]):
        super().__init__(error["message"])
        self.error = error


class IcebergJs:
    """`IcebergRestCatalog` of iceberg-js, with these options."""

    def __init__(self, server: Server, **options: Any):
        assert server.printed is not None
        signed_in = {"type": "bearer", "token": server.key}
        self.options = {"baseUrl": server.uri, "warehouse": server.printed.warehouse, "auth": signed_in, **options}

    def outcomes(self, *calls: tuple) -> list[dict[str, Any]]:
        """Makes these calls with one instance. A call is a method's name and its parameters. Returns `value` or
        `error` of each."""
        found = modules()
        assert found is not None, MISSING
        done = subprocess.run(
            ["node", str(FOLDER / "iceberg_js.mjs"), str(found / "iceberg-js/dist/index.mjs")],
            input=json.dumps({"options": self.options, "calls": calls}),
            capture_output=True,
            check=False,
            text=True,
            timeout=DEADLINE_S,
            env=clean_environment(),
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout)

    def call(self, method: str, *parameters: Any) -> Any:
        """Makes one call. Raises IcebergJsError."""
        [outcome] = self.outcomes((method, *parameters))
        if "error" in outcome:
            raise IcebergJsError(outcome["error"])
        return outcome["value"]
