"""Runs the command line of Apache Polaris, in a separate process or in this one."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from support.server import Server, clean_environment

TIMEOUT_S = 120


@dataclass(frozen=True)
class Done:
    """The outcome of a command."""

    code: int
    out: str
    err: str

    def ok(self) -> str:
        """Returns what the command printed, if it succeeded."""
        assert self.code == 0, f"{self.code}: {self.out}\n{self.err}"
        return self.out


class Polaris:
    """The command line with a server's address and credentials."""

    def __init__(self, server: Server, home: Path, credentials: Sequence[str]):
        """`credentials` are global options. Profiles are files in `home`."""
        self.options = ["--base-url", server.uri, *credentials]
        self.home = home

    @classmethod
    def with_key(cls, server: Server, home: Path, client_id: str, client_secret: str) -> Polaris:
        """Signs in with the id and the text of a key."""
        return cls(server, home, ["--client-id", client_id, "--client-secret", client_secret])

    @classmethod
    def as_operator(cls, server: Server, home: Path, key: str, realm: str) -> Polaris:
        """Sends an operator's key, and names the organisation."""
        return cls(server, home, ["--access-token", key, "--realm", realm, "--header", "Polaris-Realm"])

    def start(self, *arguments: str, text: str = "") -> Done:
        """Runs the installed program."""
        program = [sys.executable, "-m", "apache_polaris.cli.polaris_cli", *self.options, *arguments]
        environment = clean_environment({"POLARIS_HOME": str(self.home)})
        done = subprocess.run(
            program, capture_output=True, check=False, text=True, timeout=TIMEOUT_S, input=text, env=environment
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def run(self, *arguments: str, text: str = "") -> Done:
        """Runs the same code in this process, which takes a tenth of the time. Not for commands that use `home`."""
        from apache_polaris.cli.polaris_cli import PolarisCli

        out, err = io.StringIO(), io.StringIO()
        code = 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), mock.patch("sys.stdin", io.StringIO(text)):
            try:
                PolarisCli.execute([*self.options, *arguments])
            except SystemExit as exit:
                code = exit.code if isinstance(exit.code, int) else 1
        return Done(code, out.getvalue(), err.getvalue())


def commands() -> set[str]:
    """Returns all commands of the command line, such as `catalogs create`."""
    from apache_polaris.cli.options.option_tree import Option, OptionTree

    def below(option: Option, path: list[str]) -> Iterator[str]:
        path = [*path, option.name]
        if not option.children:
            yield " ".join(path)
        for child in option.children:
            yield from below(child, path)

    return {command for option in OptionTree.get_tree() for command in below(option, [])}
