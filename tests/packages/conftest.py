"""Tests of the packages in `target/packages`. `cargo xtask dist --check` makes packages and runs those that take seconds,
`cargo xtask dist --try` runs all.

`TIDEWATER_PACKAGES` names the folder, `TIDEWATER_VERSION` the version, and `TIDEWATER_HELM` the program Helm.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def packages() -> Path:
    """The folder of the packages."""
    return Path(os.environ["TIDEWATER_PACKAGES"])


@pytest.fixture(scope="session")
def version() -> str:
    return os.environ["TIDEWATER_VERSION"]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends what a test started, the last first."""
    with ExitStack() as stack:
        yield stack
