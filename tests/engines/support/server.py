"""Starts, stops and kills `tidewater`, and runs its command line beside it."""

from __future__ import annotations

import json
import os
import re
import resource
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

START_DEADLINE_S = 120.0
STOP_DEADLINE_S = 60.0

COMPLAINT = re.compile(r"panicked at|stack overflow|fatal runtime error|^\S+ +ERROR ")

UNAVAILABLE = re.compile("a part that the catalog needs is not available|a warehouse's storage (is not available|refuses)")

REPOSITORY = Path(__file__).resolve().parents[3]


def find_binary() -> Path:
    """`TIDEWATER_BIN`, or the newest of the builds."""
    named = os.environ.get("TIDEWATER_BIN")
    if named:
        return Path(named).resolve()
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    profiles = ("debug", "release", "dist")
    builds = [path for path in (target / profile / "tidewater" for profile in profiles) if path.exists()]
    if not builds:
        raise FileNotFoundError(f"no tidewater in {target}: run `cargo build`, or name one in TIDEWATER_BIN")
    return max(builds, key=lambda path: path.stat().st_mtime)


def clean_environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """Returns this process's environment without variables that configure the server or redirect clients."""
    dropped = ("TIDEWATER_", "RUST_LOG", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    kept.pop("TIDEWATER_BIN", None)
    return {**kept, **(extra or {})}


@dataclass(frozen=True)
class Printed:
    """The line that `quickstart --json` prints."""

    uri: str
    warehouse: str
    api_key: str
    namespace: str
    table: str


class Server:
    """One `tidewater quickstart` on a data folder. It may be started, stopped and killed many times."""

    def __init__(
        self,
        binary: Path,
        data_dir: Path,
        *,
        env: dict[str, str] | None = None,
        store: dict[str, str] | None = None,
        args: tuple[str, ...] = (),
        listen: str | None = "127.0.0.1",
        largest_file_bytes: int | None = None,
        descriptors: tuple[int, int] | None = None,
        loses_storage: bool = False,
    ):
        """`store` are the settings of its database; without, it has SQLite. Without `listen`, `args` set the address. `largest_file_bytes` limits the size of files that the server may
        write, like a full disk. `descriptors` are the soft and the hard limit of file descriptors at its start. With
        these options, and with a lost storage, its log may say that a part is unavailable."""
        self.binary = binary
        self.data_dir = data_dir
        self.stderr_path = data_dir.parent / f"{data_dir.name}.stderr"
        self.stdout_text = ""
        self.printed: Printed | None = None
        # Every answer is a line in the log. The conformance page takes each client's operations from these lines.
        self._env = {"TIDEWATER_LOG__LEVEL": "info,tidewater::api=debug", **(store or {}), **(env or {})}
        self._args = args
        self._listen = listen
        self._largest_file_bytes = largest_file_bytes
        self._descriptors = descriptors
        self._may_miss_parts = loses_storage or largest_file_bytes is not None
        self._process: subprocess.Popen | None = None

    # ---- life ----

    def start(self) -> Printed:
        """Starts the server and waits until it is ready. A later start uses the same address."""
        assert self._process is None, "the server is already running"
        port = urlsplit(self.printed.uri).port if self.printed else 0
        command = [str(self.binary), "quickstart", "--data-dir", str(self.data_dir), "--json", *self._args]
        command += ["--listen", f"{self._listen}:{port}"] if self._listen else []
        with self.stderr_path.open("ab") as stderr:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=clean_environment(self._env),
                preexec_fn=self._limit if self._largest_file_bytes or self._descriptors else None,
            )
        line = self._first_line()
        self.printed = Printed(**json.loads(line))
        return self.printed

    def _limit(self) -> None:
        if self._descriptors:
            resource.setrlimit(resource.RLIMIT_NOFILE, self._descriptors)
        if self._largest_file_bytes:
            # Without this the system would end the process at the first write beyond the limit, instead of refusing it.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (self._largest_file_bytes, self._largest_file_bytes))

    def _first_line(self) -> str:
        assert self._process is not None and self._process.stdout is not None
        deadline = time.monotonic() + START_DEADLINE_S
        text = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in text:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    self.kill()
                    raise AssertionError(f"nothing printed within {START_DEADLINE_S} s; stderr:\n{self.stderr()}")
                chunk = os.read(self._process.stdout.fileno(), 65536)
                if not chunk:
                    code = self._process.wait()
                    self._process = None
                    raise AssertionError(f"ended with {code} before it answered; stderr:\n{self.stderr()}")
                text += chunk
        self.stdout_text = text.decode()
        return self.stdout_text.splitlines()[0]

    def stop(self) -> int:
        """Stops the server with a signal, waits, and returns its exit code."""
        process, self._process = self._process, None
        assert process is not None and process.stdout is not None, "the server is not running"
        process.send_signal(signal.SIGTERM)
        try:
            rest, _ = process.communicate(timeout=STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise AssertionError(f"still running {STOP_DEADLINE_S} s after SIGTERM; stderr:\n{self.stderr()}") from None
        self.stdout_text += rest.decode()
        return process.returncode

    def kill(self) -> None:
        """Kills the server with SIGKILL."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def signal(self, number: int) -> None:
        """Sends it a signal."""
        assert self._process is not None, "the server is not running"
        self._process.send_signal(number)

    def wait(self, timeout_s: float = STOP_DEADLINE_S) -> int:
        """Waits until the server ends without a signal, and returns its exit code."""
        assert self._process is not None, "the server is not running"
        code = self._process.wait(timeout_s)
        self._process.communicate()
        self._process = None
        return code

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stderr(self) -> str:
        return self.stderr_path.read_text(errors="replace") if self.stderr_path.exists() else ""

    def complaints(self) -> list[str]:
        """Returns the log lines about panics and internal errors."""
        plain = re.sub(r"\x1b\[[0-9;]*m", "", self.stderr())
        found = [line for line in plain.splitlines() if COMPLAINT.search(line)]
        return [line for line in found if not (self._may_miss_parts and UNAVAILABLE.search(line))]

    def store_url(self) -> str | None:
        """Returns the address of its database. `None` for SQLite."""
        return self._env.get("TIDEWATER_STORE__URL")

    # ---- addresses ----

    @property
    def uri(self) -> str:
        assert self.printed is not None
        return self.printed.uri.rstrip("/")

    @property
    def key(self) -> str:
        assert self.printed is not None
        return self.printed.api_key

    # ---- command line ----

    def command(self, *args: str, check: bool = True) -> subprocess.CompletedProcess:
        """Runs `tidewater ARGS --data-dir DIR` beside the server."""
        done = subprocess.run(
            [str(self.binary), *args, "--data-dir", str(self.data_dir)],
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
            env=clean_environment(self._env),
        )
        if check:
            assert done.returncode == 0, f"tidewater {' '.join(args)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "panicked at" not in done.stderr, done.stderr
        return done
