"""`tidewater serve --check`: beside a running server, before the first start, and with faults."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.admin import Admin
from support.rest import Rest
from support.server import Server, clean_environment

pytestmark = pytest.mark.embedded_database


def check(binary: Path, *args: str, env: dict[str, str] | None = None) -> tuple[int, list[dict]]:
    """Returns the exit code and the rows."""
    done = subprocess.run(
        [str(binary), "serve", "--check", "--json", *args],
        capture_output=True,
        check=False,
        text=True,
        timeout=90,
        env=clean_environment(env),
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def rows_with(rows: list[dict], outcome: str) -> dict[str, str]:
    return {row["check"]: row["detail"] for row in rows if row["outcome"] == outcome}


def test_check_beside_a_running_server_is_well_and_disturbs_nothing(make_server: Callable[..., Server]) -> None:
    server = make_server("checked")
    server.start()
    address = server.uri.removeprefix("http://")
    files = sorted(path.name for path in server.data_dir.iterdir())
    code, rows = check(server.binary, "--data-dir", str(server.data_dir), "--listen", address)
    assert (code, rows_with(rows, "failed")) == (0, {}), rows
    ok = rows_with(rows, "ok")
    assert f"(process {server.pid})" in ok["data folder"] and f"(process {server.pid})" in ok["listen"], ok
    assert "up to date" in ok["database"] and "its storage works: write an object" in ok["warehouse"], ok
    assert sorted(path.name for path in server.data_dir.iterdir()) == files
    Rest(server.uri, server.key).config()
    table = server.command("serve", "--check", "--listen", address).stdout
    assert table.splitlines()[0].split() == ["CHECK", "OUTCOME", "DETAIL"], table
    assert server.stop() == 0
    # Nothing of the check is left to the next server.
    server.start()
    assert server.stop() == 0


def test_check_before_the_first_start_creates_nothing(binary: Path, tmp_path: Path) -> None:
    code, rows = check(binary, "--data-dir", str(tmp_path / "new"), "--listen", "127.0.0.1:0")
    assert code == 0 and "does not exist: the first start creates it" in rows_with(rows, "warning")["data folder"]
    assert list(tmp_path.iterdir()) == []


def test_taken_address_and_dead_provider_and_storage_fail_in_bounded_time(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = make_server("checked_faults")
    server.start()
    profile = tmp_path / "s3.toml"
    profile.write_text(
        'type = "s3"\nregion = "a"\nendpoint = "http://127.0.0.1:1"\npath-style = true\n'
        '[credentials]\nkind = "aws-key"\naccess-key-id = "key"\nsecret-access-key = "hush"\n'
    )
    server.command("warehouse", "create", "far", "--root", "s3://b/far", "--storage", str(profile), "--unchecked")
    config = tmp_path / "tidewater.toml"
    config.write_text(
        '[[auth.issuers]]\nname = "sso"\nissuer = "https://127.0.0.1:1/realm"\naudiences = ["tidewater"]\norganisation = "quickstart"\n'
        "[storage]\nretry_timeout_s = 0\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        code, rows = check(server.binary, "--data-dir", str(server.data_dir), "--listen", listen, "--config", str(config))
    failed = rows_with(rows, "failed")
    assert code == 1 and set(failed) == {"listen", "identity provider", "warehouse"}, rows
    assert "is taken by" in failed["listen"] and "stop it, or choose another address" in failed["listen"]
    assert "hush" not in json.dumps(rows)
    assert server.stop() == 0


def test_invalid_settings_have_a_row_each_and_exit_code_2(binary: Path, tmp_path: Path) -> None:
    config = tmp_path / "tidewater.toml"
    config.write_text("[api]\nrequest_timeout_s = 0\n[backups]\nto = '/backup'\nkeep = 0\n")
    code, rows = check(binary, "--config", str(config), "--data-dir", str(tmp_path / "data"))
    assert code == 2 and [row["check"] for row in rows] == ["settings", "settings"], rows
    config.write_text("lisen = '127.0.0.1:1'\n")
    code, rows = check(binary, "--config", str(config))
    assert code == 2 and "`lisen`" in rows[0]["detail"], rows


def test_wrong_master_key_fails(make_server: Callable[..., Server], tmp_path: Path) -> None:
    server = make_server("checked_key")
    server.start()
    Admin(server)
    profile = tmp_path / "s3.toml"
    profile.write_text(
        'type = "s3"\nregion = "a"\n[credentials]\nkind = "aws-key"\naccess-key-id = "key"\nsecret-access-key = "hush"\n'
    )
    server.command("warehouse", "create", "far", "--root", "s3://b/far", "--storage", str(profile), "--unchecked")
    server.stop()
    env = {"TIDEWATER_STORAGE__MASTER_KEY": "A" * 43 + "=", "TIDEWATER_STORAGE__RETRY_TIMEOUT_S": "0"}
    code, rows = check(server.binary, "--data-dir", str(server.data_dir), "--listen", "127.0.0.1:0", env=env)
    failed = rows_with(rows, "failed")
    assert code == 1 and "is the key of another catalog" in failed["master key"], rows
    assert "cannot be read" in failed["warehouse"], rows
