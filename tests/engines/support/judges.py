"""Shared parts of the tests with engines that run on Java: `tests/compat/`."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from support.recording import Recording
from support.server import REPOSITORY, Server, clean_environment, find_binary


def jars(judge: str) -> Path:
    """Returns the folder with the jars of the judge's pom, which `cargo xtask compat` fills. TIDEWATER_JARS names it
    if there is one for each release of Iceberg."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    folder = Path(os.environ.get("TIDEWATER_JARS", target / "compat" / judge))
    if not folder.exists():
        raise SystemExit(f"there is no {folder}: `cargo xtask compat {judge.split('/')[0]}` makes it")
    return folder


def version_of(folder: Path, artifact: str) -> str:
    """Returns the version in the name of an artifact's jar."""
    (jar,) = folder.glob(f"{artifact}-[0-9]*.jar")
    return jar.stem.removeprefix(f"{artifact}-")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextmanager
def judged(recording: Recording, client: str, folder: Path) -> Iterator[Server]:
    """Starts a quickstart for one judge. At the end, records the used operations, and fails if the server logged a
    failure."""
    server = Server(find_binary(), folder / "data")
    try:
        server.start()
        yield server
    finally:
        if server.is_running():
            server.stop()
    recording.saw_log(server.stderr(), client)
    complaints = server.complaints()
    assert not complaints, "\n".join(complaints)


# ---- commands in the documentation and in the quickstart's output ----


def documented(page: str, language: str, nth: int = 0) -> str:
    """Returns the nth code block in this language on a page of `docs/`, counted from 0."""
    found = re.findall(rf"^```{language}\n(.*?)^```", (REPOSITORY / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) > nth, f"{page} has no {language} block {nth}"
    return found[nth]


@contextmanager
def welcomed(title: str) -> Iterator[str]:
    """Yields the text about one engine that a running quickstart printed for people."""
    folder = Path(tempfile.mkdtemp(prefix="tidewater-welcome-"))
    command = [str(find_binary()), "quickstart", "--data-dir", str(folder / "data"), "--listen", "127.0.0.1:0"]
    with (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=clean_environment())
    try:
        assert process.stdout is not None
        text = _until_the_end(process.stdout)
        found = re.search(rf"^--- {title}.*?\n(.*?)\n\n", text, re.MULTILINE | re.DOTALL)
        assert found, text
        yield found.group(1) + "\n"
    finally:
        process.terminate()
        process.communicate(timeout=20)
    shutil.rmtree(folder)


def _until_the_end(lines: Iterable[str]) -> str:
    """Yields the lines up to the line that says how to stop the server."""
    text = ""
    for line in lines:
        text += line
        if line.startswith("Ctrl-C"):
            break
    return text


def filled_in(snippet: str, server: Server) -> str:
    """Returns a documented snippet with this server's address and key."""
    return snippet.replace("http://127.0.0.1:8181", server.uri).replace("flx_...", server.key)
