"""The commands in the documentation and in the quickstart's output."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CLIENT, ICEBERG, RUNTIME
from support import judges
from support.server import Server


def run(snippet: str, runtime: Path, folder: Path) -> str:
    """Runs it in a shell as it is, but with the jar that was fetched already in the place of the one to be fetched."""
    found = re.search(rf"--packages org\.apache\.iceberg:{re.escape(RUNTIME)}:(\S+)", snippet)
    assert found, snippet
    # It names the newest release that the tests run with.
    assert CLIENT != "spark" or found.group(1) == ICEBERG, snippet
    here = judges.clean_environment({"SPARK_LOCAL_IP": "127.0.0.1"})
    here["PATH"] = f"{Path(sys.executable).parent}:{here['PATH']}"
    here.pop("SPARK_HOME", None)
    done = subprocess.run(
        ["sh", "-c", snippet.replace(found.group(), f"--jars {runtime} --driver-memory 1g")],
        capture_output=True, check=False, text=True, env=here, cwd=folder, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(600)
def test_command_in_the_documentation_shows_the_sample_table(server: Server, runtime: Path, tmp_path: Path) -> None:
    snippet = judges.filled_in(judges.documented("engines/spark.md", "sh"), server)
    assert len(run(snippet, runtime, tmp_path).strip().splitlines()) == 10


@pytest.mark.timeout(600)
def test_command_that_the_quickstart_prints_shows_the_sample_table(runtime: Path, tmp_path: Path) -> None:
    with judges.welcomed("Spark") as snippet:
        assert len(run(snippet, runtime, tmp_path).strip().splitlines()) == 10
