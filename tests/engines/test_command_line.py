"""The command line: its output, its refusals and its files."""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from support.server import Server, clean_environment


def run(binary: Path, *args: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [str(binary), *args], capture_output=True, check=False, text=True, timeout=60, env=clean_environment(environment)
    )
    assert not check or done.returncode == 0, (args, done.returncode, done.stdout, done.stderr)
    return done


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of a user without configuration."""
    return {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "share")}


def test_command_without_a_named_folder_prints_the_folder_it_uses(binary: Path, home: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "share/tidewater"
    made = run(binary, "org", "create", "acme", **home)
    assert f"data folder: {folder}" in made.stderr and f"making a new catalog in {folder}" in made.stderr, made.stderr
    assert made.stdout == f"Created organisation 'acme' in tier 'professional' (data folder {folder}).\n"
    again = run(binary, "org", "list", "--json", **home)
    assert f"data folder: {folder}" in again.stderr and "making" not in again.stderr
    assert [org["name"] for org in json.loads(again.stdout)] == ["acme"]
    # Who names it knows it.
    assert run(binary, "org", "list", "--data-dir", str(folder)).stderr == ""
    assert run(binary, "org", "list", TIDEWATER_DATA_DIR=str(folder)).stderr == ""


def test_data_folder_is_accessible_to_its_owner_only(binary: Path, home: dict[str, str], tmp_path: Path) -> None:
    run(binary, "org", "create", "acme", **home)
    folder = tmp_path / "share/tidewater"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes and set(modes.values()) == {0o600}, modes


def test_if_not_exists_accepts_an_existing_object(binary: Path, home: dict[str, str], tmp_path: Path) -> None:
    root = ("--root", f"file://{tmp_path}/lake")
    for command in (("org", "create", "acme"), ("warehouse", "create", "lake", *root), ("key", "create", "ci")):
        run(binary, *command, **home)
        again = run(binary, *command, "--if-not-exists", **home)
        assert "exists already" in again.stdout + again.stderr, again
        assert "flx_" not in again.stdout
    for command in (("org", "create", "acme"), ("warehouse", "create", "lake", *root)):
        refused = run(binary, *command, check=False, **home)
        assert refused.returncode == 1 and "--if-not-exists" in refused.stderr, refused
    other = run(binary, "warehouse", "create", "lake", "--root", f"file://{tmp_path}/b", "--if-not-exists", check=False, **home)
    assert other.returncode == 1 and "with another root" in other.stderr, other
    assert len(json.loads(run(binary, "key", "list", "--json", **home).stdout)) == 1


def test_organisation_variable_applies_where_none_is_named(
    binary: Path, home: dict[str, str], tmp_path: Path
) -> None:
    for name in ("a", "b"):
        run(binary, "org", "create", name, **home)
    assert "choose one with --org" in run(binary, "key", "list", check=False, **home).stderr
    chosen = {**home, "TIDEWATER_ORG": "b"}
    run(binary, "key", "create", "ci", **chosen)
    assert [key["name"] for key in json.loads(run(binary, "key", "list", "--json", **chosen).stdout)] == ["ci"]
    assert json.loads(run(binary, "org", "show", "b", "--json", **home).stdout)["keys"] == 1
    for command, organisation in ((("show",), "b"), (("show", "a"), "a"), (("usage",), "b"), (("usage", "a"), "a")):
        shown = json.loads(run(binary, "org", *command, "--json", **chosen).stdout)
        assert organisation in (shown.get("name"), shown.get("organisation")), (command, shown)
    assert json.loads(run(binary, "org", "set-tier", "premium", "--json", **chosen).stdout)["name"] == "b"
    assert json.loads(run(binary, "org", "set-tier", "a", "premium", "--json", **chosen).stdout)["name"] == "a"
    run(binary, "org", "create", "--if-not-exists", **{**home, "TIDEWATER_ORG": "c"})
    assert [one["name"] for one in json.loads(run(binary, "org", "list", "--json", **home).stdout)] == ["a", "b", "c"]


def test_api_key_without_an_address_is_refused_with_advice(binary: Path, home: dict[str, str]) -> None:
    done = run(binary, "org", "list", check=False, **home, TIDEWATER_API_KEY="flx_x")
    assert done.returncode == 2 and "TIDEWATER_API_KEY is set, and nothing reads it" in done.stderr, done.stderr
    assert "flx_x" not in done.stderr


def test_org_warehouse_key_and_signing_key_have_a_show_command(binary: Path, home: dict[str, str], tmp_path: Path) -> None:
    run(binary, "org", "create", "acme", **home)
    run(binary, "warehouse", "create", "lake", "--root", f"file://{tmp_path}/lake", **home)
    run(binary, "key", "create", "ci", **home)
    run(binary, "signing-key", "rotate", **home)
    signing = json.loads(run(binary, "signing-key", "list", "--json", **home).stdout)[0]["id"]
    for noun, name in (("org", "acme"), ("warehouse", "lake"), ("key", "ci"), ("signing-key", signing)):
        assert name in run(binary, noun, "show", name, **home).stdout
        assert name in json.loads(run(binary, noun, "show", name, "--json", **home).stdout).values()
    missing = run(binary, "warehouse", "show", "none", check=False, **home)
    assert missing.returncode == 1 and "warehouse list" in missing.stderr


def test_tier_unknown_to_the_running_server_is_refused(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = make_server("tiers")
    server.start()
    config = tmp_path / "tidewater.toml"
    config.write_text("[tiers.ours]\nrequests_per_day = 5\n")
    command = ("org", "set-tier", "quickstart", "ours", "--config", str(config))
    refused = server.command(*command, check=False)
    assert refused.returncode == 1 and "running server does not know the tier 'ours'" in refused.stderr, refused.stderr
    assert json.loads(server.command("org", "show", "quickstart", "--json").stdout)["tier"] == "enterprise"
    refused = server.command("org", "create", "new", "--tier", "ours", "--config", str(config), check=False)
    assert refused.returncode == 1 and "does not know" in refused.stderr
    # Without a server, and with one that was started with it.
    assert server.stop() == 0
    server.command(*command)
    server.command("org", "set-tier", "quickstart", "enterprise")


def test_events_name_actor_and_object(binary: Path, home: dict[str, str], tmp_path: Path) -> None:
    me = pwd.getpwuid(os.geteuid()).pw_name
    run(binary, "org", "create", "acme", USER="somebody", **home)
    run(binary, "warehouse", "create", "lake", "--root", f"file://{tmp_path}/lake", **home)
    run(binary, "key", "create", "ci", **home)
    told = json.loads(run(binary, "events", "--json", **home).stdout)
    made = [(event["actor"], event["operation"], event["object"]) for event in told]
    assert made == [
        (me, "create-key", "ci"),
        (me, "create-warehouse", "lake"),
        (me, "create-organisation", "acme"),
    ]
    table = run(binary, "events", "--actor", me, "--operation", "create-key", **home).stdout
    assert "create-key" in table and "create-warehouse" not in table, table
    assert run(binary, "events", "--object", "no.table", **home).stdout == ""
    refused = run(binary, "events", "--operation", "no", check=False, **home)
    assert refused.returncode == 2 and "drop-table" in refused.stderr, refused


def test_command_without_the_control_socket_fails_and_does_not_open_the_database(
    make_server: Callable[..., Server],
) -> None:
    server = make_server("no_socket")
    server.start()
    (server.data_dir / "control.sock").unlink()
    refused = server.command("org", "create", "new", check=False)
    assert refused.returncode == 1 and "does not answer on the control socket" in refused.stderr, refused.stderr
    assert f"process {server.pid}" in refused.stderr and "--uri" in refused.stderr
    assert server.stop() == 0
    assert "new" not in server.command("org", "list").stdout


def test_change_by_a_command_is_seen_on_the_next_request(make_server: Callable[..., Server]) -> None:
    server = make_server("at_once")
    server.start()
    key = json.loads(server.command("key", "create", "ci", "--json").stdout)
    config = f"{server.uri}/v1/config"
    headers = {"Authorization": f"Bearer {key['api_key']}"}
    answer = requests.get(config, headers=headers, timeout=10)
    assert answer.status_code == 200 and "RateLimit-Policy" not in answer.headers
    server.command("org", "set-tier", "quickstart", "premium")
    limited = requests.get(config, headers=headers, timeout=10)
    assert limited.status_code == 200 and "RateLimit-Policy" in limited.headers, limited.headers
    server.command("key", "revoke", "ci")
    assert requests.get(config, headers=headers, timeout=10).status_code == 401


def test_operator_administers_a_remote_server(make_server: Callable[..., Server], binary: Path) -> None:
    server = make_server("remote")
    server.start()
    made = json.loads(server.command("operator", "create", "terraform", "--json").stdout)
    assert set(made) == {"id", "name", "api_key"}
    remote = {"TIDEWATER_URI": server.uri, "TIDEWATER_API_KEY": made["api_key"]}
    run(binary, "org", "create", "acme", **remote)
    assert "acme" in run(binary, "org", "list", **remote).stdout
    server.command("operator", "revoke", "terraform")
    refused = run(binary, "org", "list", check=False, **remote)
    assert refused.returncode == 1 and "revoked" in refused.stderr, refused.stderr


def test_named_data_folder_has_precedence_over_an_address_in_the_environment(
    binary: Path, home: dict[str, str], tmp_path: Path
) -> None:
    remote = {"TIDEWATER_URI": "http://127.0.0.1:9", "TIDEWATER_API_KEY": "flx_none"}
    folder = ("--data-dir", str(tmp_path / "here"))
    run(binary, "org", "create", "acme", *folder, **remote, **home)
    assert "acme" in run(binary, "org", "list", *folder, **remote, **home).stdout
    refused = run(binary, "org", "list", *folder, "--uri", "http://127.0.0.1:8", check=False, **home)
    assert refused.returncode == 1 and "name two catalogs" in refused.stderr, refused


def names(value: object, within: str = "") -> set[str]:
    """Returns the names of all fields of a JSON value. Fields named `metadata` and `storage` hold other formats."""
    if isinstance(value, list):
        return {name for one in value for name in names(one, within)}
    if not isinstance(value, dict) or within in {"metadata", "storage"}:
        return set()
    return set(value) | {name for field, one in value.items() for name in names(one, field)}


def test_fields_of_json_output_are_in_kebab_case(make_server: Callable[..., Server], tmp_path: Path) -> None:
    server = make_server("kebab")
    server.start()
    (tmp_path / "lake").mkdir()
    found: set[str] = set()
    for command in (
        ("org", "create", "acme"),
        ("org", "list"),
        ("org", "show", "acme"),
        ("org", "usage", "quickstart"),
        ("org", "usage", "quickstart", "--by", "key"),
        ("org", "suspend", "acme"),
        ("org", "delete", "acme"),
        ("org", "restore", "acme"),
        ("org", "resume", "acme"),
        ("warehouse", "create", "lake", "--org", "acme", "--root", (tmp_path / "lake").as_uri()),
        ("warehouse", "show", "lake", "--org", "acme"),
        ("key", "create", "ci", "--org", "acme"),
        ("key", "rotate", "ci", "--org", "acme"),
        ("key", "list", "--org", "acme"),
        ("operator", "create", "ops"),
        ("operator", "list"),
        ("signing-key", "list"),
        ("namespace", "show", "demo", "--org", "quickstart"),
        ("table", "show", "demo.tides", "--org", "quickstart"),
        ("table", "check", "--org", "quickstart"),
        ("events", "--all"),
        ("status",),
        ("reload",),
        ("backup", str(tmp_path / "backup.db")),
    ):
        found |= names(json.loads(server.command(*command, "--json").stdout))
    assert {"served-by-tier", "max-tables", "last-used", "data-dir", "metadata-location", "needs-restart"} <= found, found
    assert {name for name in found if not re.fullmatch("[a-z0-9-]+", name)} == {"api_key"}


def test_key_that_expires_can_be_changed_to_never_expire(binary: Path, home: dict[str, str]) -> None:
    run(binary, "org", "create", "acme", **home)
    made = json.loads(run(binary, "key", "create", "ci", "--expires-in", "1d", "--json", **home).stdout)
    assert made["expires"] is not None
    changed = json.loads(run(binary, "key", "update", "ci", "--expires-in", "never", "--json", **home).stdout)
    assert changed["expires"] is None
    shown = run(binary, "key", "show", "ci", **home).stdout
    assert re.search("expires +never", shown), shown
    refused = run(binary, "key", "update", "ci", "--expires-in", "soon", check=False, **home)
    assert refused.returncode == 2 and "or `never`" in refused.stderr, refused.stderr


def test_failure_with_json_is_reported_as_json(binary: Path, home: dict[str, str], tmp_path: Path) -> None:
    run(binary, "org", "create", "acme", **home)
    config = tmp_path / "wrong.toml"
    config.write_text("[api]\nmax_body = 1\n")
    for command, exit_code, kind, code, words in (
        (("org", "show", "none"), 1, "NotFoundException", 404, "there is no organisation 'none'"),
        (("org", "create", "acme"), 1, "CommandFailedException", 1, "--if-not-exists"),
        (("key", "show", "none"), 1, "NotFoundException", 404, "see `tidewater key list`"),
        (("warehouse", "show", "none"), 1, "NoSuchWarehouseException", 404, "has no warehouse 'none'"),
        (("org", "delete", "acme", "--grace", "20000d"), 1, "BadRequestException", 400, "`grace-s` must be at most"),
        (("org", "list", "--config", str(config)), 2, "InvalidConfigurationException", 2, "`api.max_body`"),
        (("org", "create"), 2, "InvalidCommandLineException", 2, "required arguments were not provided: <NAME>"),
        (("events", "--limit", "few"), 2, "InvalidCommandLineException", 2, "it must be a whole number above 0"),
    ):
        done = run(binary, *command, "--json", check=False, **home)
        assert (done.returncode, done.stdout) == (exit_code, ""), done
        error = json.loads(done.stderr.splitlines()[-1])["error"]
        assert (error["type"], error["code"]) == (kind, code) and words in error["message"], (command, error)
        plain = run(binary, *command, check=False, **home)
        assert plain.returncode == exit_code and "error: " in plain.stderr and "{" not in plain.stderr, plain
    assert run(binary, "org", "create", "--json", "--help", **home).stdout.startswith("Create an organisation")


def wait_until_stopped(process: int) -> None:
    """Waits until each thread of a process has stopped: on a busy machine some run on for a while, and answer."""
    threads = [path / "stat" for path in Path(f"/proc/{process}/task").iterdir()]
    deadline = time.monotonic() + 60
    while any(thread.read_text().rsplit(")", 1)[1].split()[0] != "T" for thread in threads):
        assert time.monotonic() < deadline, "the process does not stop"
        time.sleep(0.01)


def test_command_reports_that_it_waits_for_a_silent_server(server: Server) -> None:
    process = int(json.loads(server.command("status", "--json").stdout)["process"])
    os.kill(process, signal.SIGSTOP)
    try:
        wait_until_stopped(process)
        asking = subprocess.Popen(
            [str(server.binary), "status", "--data-dir", str(server.data_dir)],
            stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean_environment({}),
        )
        assert "waiting for it" in asking.stderr.readline()
    finally:
        os.kill(process, signal.SIGCONT)
    assert asking.wait(timeout=60) == 0
