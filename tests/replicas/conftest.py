"""Many replicas over one PostgreSQL. `cargo xtask compat replicas` runs this for longer than the test command.

By hand: build the binary and the programs in `tools` (`go build -o DIR ./...`), set `TIDEWATER_REPLICAS_TOOLS=DIR`, and run
`pytest` here in the environment of `tests/engines`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends what a test started, the last first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def logs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """The folder for logs. After a failure it stays, and the report names it."""
    folder = tmp_path / "logs"
    folder.mkdir()
    failed = request.session.testsfailed
    yield folder
    if request.session.testsfailed > failed:
        kept = Path(tempfile.mkdtemp(prefix="tidewater-replicas-"))
        shutil.copytree(folder, kept, dirs_exist_ok=True)
        print(f"the logs are in {kept}")
