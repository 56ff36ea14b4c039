"""Settings that a running server reloads, on SIGHUP and on `tidewater reload`."""

from __future__ import annotations

import json
import re
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from support.admin import Admin
from support.rest import Rest, answer, refused
from support.server import Server, clean_environment

AT_MOST_S = 20.0


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "tidewater.toml"
    file.write_text("[tiers.ours]\nrequests_per_day = 1000\n")
    return file


@pytest.fixture
def own(make_server: Callable[..., Server], config: Path) -> Iterator[Server]:
    server = make_server("reload", args=("--config", str(config)))
    server.start()
    yield server


def reload(server: Server, *more: str, check: bool = True) -> subprocess.CompletedProcess:
    return server.command("reload", *more, check=check)


def log(server: Server) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", server.stderr())


def wait_for_log(server: Server, text: str, count: int = 1) -> None:
    deadline = time.monotonic() + AT_MOST_S
    while log(server).count(text) < count:
        assert time.monotonic() < deadline and server.is_running(), log(server)
        time.sleep(0.02)


def limit(rest: Rest) -> str:
    policy = answer_headers(rest)["RateLimit-Policy"]
    return re.fullmatch(r'"day";q=(\d+);w=86400', policy)[1]


def answer_headers(rest: Rest) -> requests.structures.CaseInsensitiveDict:
    response = rest.get("/namespaces")
    answer(response)
    return response.headers


def test_reload_applies_changed_settings_and_names_those_that_need_a_restart(own: Server, config: Path) -> None:
    admin = Admin(own)
    rest = admin.rest(admin.key(admin.organisation("ours"), "writer"))
    assert limit(rest) == "1000"
    config.write_text("[tiers.ours]\nrequests_per_day = 2000\n[heavy]\nworkers = 3\n")
    said = reload(own).stdout
    assert "tiers.ours.requests_per_day: 1000 -> 2000" in said, said
    assert re.search(r"restart of the server to take effect:\n +heavy.workers: 0 -> 3", said), said
    assert limit(rest) == "2000"
    again = json.loads(reload(own, "--json").stdout)
    assert again["changed"] == [] and [one["setting"] for one in again["needs-restart"]] == ["heavy.workers"]
    assert "settings were read again" in log(own)


def test_reload_with_an_invalid_file_changes_nothing_and_reports_the_reason(own: Server, config: Path) -> None:
    admin = Admin(own)
    rest = admin.rest(admin.key(admin.organisation("ours"), "writer"))
    for text, why in (
        ("[tiers.ours]\nrequests_per_day = 5\n[api]\nmax_body = 1\n", "`api.max_body`"),
        ("[tiers.ours]\nrequests_per_day = 'many'\n", "`tiers.ours.requests_per_day`"),
        ("[tiers.ours]\nrequests_per_day = 5\n[api]\nrequest_timeout_s = 0\n", "`api.request_timeout_s` must be"),
        ("[tiers", "line 1"),
    ):
        config.write_text(text)
        done = reload(own, check=False)
        assert done.returncode == 1 and why in done.stderr and "keeps its settings" in done.stderr, done.stderr
        assert limit(rest) == "1000"
    config.unlink()
    assert "cannot be read" in reload(own, check=False).stderr
    assert limit(rest) == "1000"
    assert log(own).count("nothing was changed") == 5
    config.write_text("")
    assert "tiers.ours" in reload(own).stdout
    # The organisation's tier is gone from the configuration: it is served all the same.
    assert limit(rest) == "10000"


def test_sighup_reloads_the_settings_and_does_not_end_the_server(own: Server, config: Path) -> None:
    admin = Admin(own)
    rest = admin.rest(admin.key(admin.organisation("ours"), "writer"))
    config.write_text("[tiers.ours]\nrequests_per_day = 3000\n[log]\nlevel = 'debug'\n")
    own.signal(signal.SIGHUP)
    wait_for_log(own, 'settings were read again asked_by="SIGHUP"')
    assert limit(rest) == "3000"
    for _ in range(50):
        own.signal(signal.SIGHUP)
    own.signal(signal.SIGHUP)
    assert limit(rest) == "3000"
    assert own.stop() == 0


def test_sighup_during_start_and_stop_does_not_end_the_server(own: Server) -> None:
    assert own.stop() == 0
    environment = clean_environment({"TIDEWATER_DATA_DIR": str(own.data_dir)})
    command = [str(own.binary), "serve", "--listen", "127.0.0.1:0"]
    for _ in range(5):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stderr is not None
            # The handler is there when the system says that the signal is caught.
            wait_until_caught(process.pid)
            process.send_signal(signal.SIGHUP)
            for line in process.stderr:
                if " serving " in line:
                    break
            process.send_signal(signal.SIGTERM)
            for _ in range(20):
                if process.poll() is None:
                    process.send_signal(signal.SIGHUP)
            process.stderr.read()
            assert process.wait(AT_MOST_S) == 0


def wait_until_caught(pid: int) -> None:
    deadline = time.monotonic() + AT_MOST_S
    bit = 1 << (signal.SIGHUP - 1)
    while True:
        status = Path(f"/proc/{pid}/status").read_text()
        caught = re.search(r"^SigCgt:\s+([0-9a-f]+)$", status, re.MULTILINE)
        if caught and int(caught[1], 16) & bit:
            return
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_log_level_changes_after_a_reload(own: Server, config: Path) -> None:
    # The variable of the tests' servers wins over the file.
    assert own.stop() == 0
    own._env.pop("TIDEWATER_LOG__LEVEL")
    own.start()
    rest = Rest(own.uri, own.key)
    answer(rest.get("/namespaces"))
    assert "GET /v1/{prefix}/namespaces" not in log(own) and "/namespaces" not in log(own)
    config.write_text("[log]\nlevel = 'info,tidewater::api=debug'\n")
    assert "log.level" in reload(own).stdout
    answer(rest.get("/namespaces"))
    wait_for_log(own, "/namespaces")


def test_running_requests_succeed_during_repeated_reloads(own: Server, config: Path) -> None:
    admin = Admin(own)
    key = admin.key(admin.organisation("enterprise"), "writer")

    def work(number: int) -> int:
        rest = admin.rest(key)
        for count in range(40):
            answer(rest.post("/namespaces", json={"namespace": [f"n{number}_{count}"]}))
            answer(rest.get(f"/namespaces/n{number}_{count}"))
        return 40

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(work, number) for number in range(4)]
        reloads = 0
        while not all(one.done() for one in running):
            config.write_text(f"[tiers.ours]\nrequests_per_day = {1001 + reloads}\n")
            assert "tiers.ours.requests_per_day" in reload(own).stdout
            reloads += 1
        assert sum(one.result() for one in running) == 160 and reloads > 0


def test_control_socket_is_owner_only_and_ends_with_the_server(own: Server) -> None:
    socket = own.data_dir / "control.sock"
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600
    assert own.stop() == 0
    assert not socket.exists()
    done = reload(own, check=False)
    assert done.returncode == 1 and f"no server runs on the data folder {own.data_dir}" in done.stderr, done.stderr
    own.start()
    own.kill()
    assert socket.exists()
    assert "no server runs on" in reload(own, check=False).stderr
    assert json.loads(own.command("org", "show", "quickstart", "--json").stdout)["tier"] == "enterprise"
    own.start()
    assert "No setting has changed" in reload(own).stdout


def test_commands_accept_the_servers_tiers_after_a_reload(own: Server, config: Path) -> None:
    refused_command = own.command("org", "create", "new", "--tier", "gold", check=False)
    assert refused_command.returncode == 1 and "tidewater reload" in refused_command.stderr, refused_command.stderr
    config.write_text("[tiers.gold]\nrequests_per_day = 9\n")
    reload(own)
    # The command does not read the file: the server's tiers count.
    own.command("org", "create", "new", "--tier", "gold")
    shown = own.command("org", "show", "new").stdout
    assert re.search(r"^tier +gold$", shown, re.MULTILINE), shown
    assert "of 9" in own.command("org", "usage", "new").stdout


def test_organisation_with_a_removed_tier_is_served_and_shown(own: Server, config: Path) -> None:
    admin = Admin(own)
    organisation = admin.organisation("ours")
    rest = admin.rest(admin.key(organisation, "writer"))
    assert own.stop() == 0
    config.write_text("")
    own.start()
    assert limit(rest) == "10000"
    answer(rest.get("/namespaces"))
    shown = own.command("org", "show", organisation).stdout
    assert "ours (not configured: served by 'professional')" in shown, shown
    told = [line for line in log(own).splitlines() if "tier is not configured" in line]
    assert len(told) == 1 and f'organisation="{organisation}"' in told[0] and 'served_by="professional"' in told[0]


def test_tier_change_applies_within_seconds_and_returns_the_lease(own: Server, config: Path) -> None:
    config.write_text("[tiers.ours]\nrequests_per_day = 3\n[tiers.large]\nrequests_per_day = 50000\n")
    reload(own)
    admin = Admin(own)
    organisation = admin.organisation("ours")
    rest = admin.rest(admin.key(organisation, "writer"))
    for _ in range(3):
        answer(rest.get("/namespaces"))
    refused(rest.get("/namespaces"), 429, "TooManyRequestsException")

    def used() -> int:
        return json.loads(own.command("org", "usage", organisation, "--json").stdout)["requests-today"]

    own.command("org", "set-tier", organisation, "large")
    deadline = time.monotonic() + AT_MOST_S
    while rest.get("/namespaces").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    # A lease is at most a four-hundredth of the budget.
    assert used() == 3 + 125
    own.command("org", "set-tier", organisation, "enterprise")
    while used() >= 125:
        rest.get("/namespaces")
        assert time.monotonic() < deadline
        time.sleep(0.1)
