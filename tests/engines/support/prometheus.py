"""A real Prometheus, of Debian's package, that scrapes a server."""

from __future__ import annotations

import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import requests
import yaml

from .ports import free_ports, wait_until_open
from .server import REPOSITORY

MONITORING = REPOSITORY / "deploy" / "monitoring"
AT_MOST_S = 60.0


def program(name: str) -> str:
    """Returns the path of `prometheus` or `promtool`."""
    path = shutil.which(name)
    assert path, f"{name} is missing (Debian: apt-get install prometheus)"
    return path


class Prometheus:
    """Scrapes an address of a server once a second, with the repository's alert rules."""

    def __init__(self, folder: Path, target: str):
        """The rules fire as soon as their condition holds, so that a test need not wait for their `for`."""
        rules = yaml.safe_load((MONITORING / "alerts.yml").read_text())
        for group in rules["groups"]:
            group["interval"] = "1s"
            for rule in group["rules"]:
                rule.pop("for", None)
        (folder / "alerts.yml").write_text(yaml.safe_dump(rules))
        settings = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
        settings["global"]["scrape_interval"] = "1s"
        settings["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
        [port] = free_ports(1)
        self.uri = f"http://127.0.0.1:{port}"
        log = folder / "prometheus.log"
        command = [program("prometheus"), f"--config.file={folder / 'prometheus.yml'}"]
        command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
        with log.open("ab") as output:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_until_open(port, self._process, log)
        deadline = time.monotonic() + AT_MOST_S
        while not self._is_ready():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        # Not with `requests`: the tests count each 503 that it gets as a failure of the server.
        try:
            with urllib.request.urlopen(f"{self.uri}/-/ready", timeout=30) as answer:
                return answer.status == 200
        except urllib.error.HTTPError:
            return False

    def query(self, expression: str) -> list[dict]:
        """Returns the series of an expression now. Fails if Prometheus refuses it."""
        answer = requests.get(f"{self.uri}/api/v1/query", {"query": expression}, timeout=30).json()
        assert answer["status"] == "success", (expression, answer)
        return answer["data"]["result"]

    def wait_for(self, expression: str) -> list[dict]:
        """Waits until an expression has series."""
        deadline = time.monotonic() + AT_MOST_S
        while not (found := self.query(expression)):
            assert time.monotonic() < deadline, f"no series after {AT_MOST_S} s: {expression}"
            time.sleep(0.2)
        return found

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=60)
