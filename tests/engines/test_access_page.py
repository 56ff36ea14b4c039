"""Runs the commands of `docs/access.md` in a shell, in order, beside a fresh quickstart."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import ForbiddenError

from support import judges
from support.rest import Rest, refused
from support.server import REPOSITORY, Server, clean_environment


# Makes an answer that is an error a failure of the command.
CURL = 'curl() { command curl --silent --show-error --fail-with-body "$@"; }\n'


def blocks() -> list[str]:
    """Returns the page's shell commands."""
    page = (REPOSITORY / "docs/access.md").read_text()
    return [judges.documented("access.md", "sh", nth) for nth in range(page.count("```sh\n"))]


def run(server: Server, commands: str, folder: Path) -> str:
    """Runs commands in one shell that stops at the first failure. Returns what they print."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "tidewater").unlink(missing_ok=True)
    (programs / "tidewater").symlink_to(server.binary)
    here = clean_environment({"TIDEWATER_DATA_DIR": str(server.data_dir), "NO_PROXY": "127.0.0.1"})
    here["PATH"] = f"{programs}:{here['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", CURL + judges.filled_in(commands, server)],
        capture_output=True, check=False, text=True, env=here, cwd=folder, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server]) -> Server:
    server = make_server("access_page")
    server.start()
    return server


def test_commands_of_the_page_work_beside_a_fresh_quickstart(server: Server, tmp_path: Path) -> None:
    by_command, *others = blocks()
    printed = run(server, by_command, tmp_path)
    (key,) = (word for word in printed.split() if word.startswith("flx_"))
    assert printed.splitlines()[-1].startswith("dashboard  allowed  TABLE_READ_DATA on namespace demo"), printed
    dashboard = RestCatalog("quickstart", uri=server.uri, token=key)
    assert dashboard.list_namespaces() == [("demo",)]
    tides = dashboard.load_table("demo.tides")
    assert len(tides.scan(limit=1).to_arrow()) == 1
    with pytest.raises(ForbiddenError, match="TABLE_WRITE_PROPERTIES"), tides.transaction() as transaction:
        transaction.set_properties(a="b")
    # One shell, as its variables are set once.
    explained = run(server, "\n".join(others), tmp_path)
    assert "denied  it lacks TABLE_READ_DATA. The answer to its request: Table does not exist: demo.tides" in explained, explained
    assert "its built-in role is 'admin'" in explained, explained
    refused(Rest(server.uri, key).get("/namespaces"), 404, "NoSuchWarehouseException")
