"""A person who runs `tidewater login`, and other commands after it, with a private home folder."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from support.browser import Person
from support.server import clean_environment

TIMEOUT_S = 60


class Laptop:
    """A person's machine: the binary, a folder for settings, and the address of a catalog."""

    def __init__(self, binary: Path, folder: Path, uri: str):
        self.binary = binary
        self.file = folder / "tidewater/login.json"
        self.uri = uri
        # `true` in the place of a browser: the tests open the address themselves.
        home = {"XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder / "data"), "HOME": str(folder), "BROWSER": "true"}
        self.environment = clean_environment(home)

    def run(self, *arguments: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess:
        """Runs a command on the catalog. Checks its exit code."""
        done = subprocess.run(
            [str(self.binary), *arguments, "--uri", self.uri],
            capture_output=True, check=False, text=True, timeout=TIMEOUT_S, env={**self.environment, **environment},
        )  # fmt: skip
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def login(self, person: Person, *arguments: str, code: int = 0) -> subprocess.CompletedProcess:
        """Runs `tidewater login`, and signs in at the address that it prints, with the code that it prints."""
        process = subprocess.Popen(
            [str(self.binary), "login", "--uri", self.uri, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment,
        )  # fmt: skip
        try:
            assert process.stderr is not None
            told = ""
            for line in process.stderr:
                told += line
                found = re.search(r"open (http\S+?)(?: and enter the code (\S+))?$", line)
                if found:
                    person.visits(found.group(1), found.group(2))
                    break
            stdout, stderr = process.communicate(timeout=TIMEOUT_S)
        finally:
            process.kill()
            process.wait()
        done = subprocess.CompletedProcess(process.args, process.returncode, stdout, told + stderr)
        assert done.returncode == code, f"login: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def who_am_i(self) -> dict[str, Any]:
        return json.loads(self.run("who-am-i", "--json").stdout)

    def saved(self) -> dict[str, Any]:
        """Returns the saved session at the catalog."""
        return json.loads(self.file.read_text())["sessions"][self.uri]

    def change_saved(self, **changes: Any) -> None:
        """Changes fields of the saved session."""
        content = json.loads(self.file.read_text())
        content["sessions"][self.uri].update(changes)
        self.file.write_text(json.dumps(content))
