"""`tidewater login` with a real OpenID provider: the code and the browser, the saved session, and clients' settings."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
import requests

from support.browser import Person
from support.login import Laptop
from support.oidc_provider import OidcProvider, issuer_settings
from support.readers import EXTENSIONS, extension_file
from support.rest import refused
from support.server import Server

ANN = Person("ann")


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    provider = OidcProvider(tmp_path_factory.mktemp("provider"), groups={"ann": ["analysts"]})
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server], provider: OidcProvider) -> Server:
    """A server whose users of the group `analysts` may read the sample table's namespace."""
    settings = issuer_settings(provider, group_mappings=[{"group": "analysts", "principal_role": "analysts"}])
    server = make_server("login", env={"TIDEWATER_AUTH__ISSUERS": json.dumps([settings])})
    server.start()
    server.command("role", "create", "analysts")
    server.command("role", "create", "readers", "--catalog")
    server.command("role", "assign", "readers", "analysts", "--catalog")
    server.command("grant", "add", "readers", "SELECT", "--namespace", "demo")
    return server


@pytest.fixture
def laptop(binary: Path, server: Server, tmp_path: Path) -> Laptop:
    return Laptop(binary, tmp_path, server.uri)


def test_sign_in_with_a_code_is_saved_in_a_private_file(laptop: Laptop) -> None:
    done = laptop.login(ANN)
    assert "Signed in at" in done.stdout and str(laptop.file) in done.stdout
    assert stat.S_IMODE(laptop.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(laptop.file.parent.stat().st_mode) == 0o700
    token = laptop.saved()["token"]
    assert token not in done.stdout + done.stderr
    caller = laptop.who_am_i()
    assert caller["organisation"]["name"] == "quickstart"
    assert [role["principal-role"] for role in caller["roles"]] == ["analysts"]


def test_sign_in_with_a_browser_has_the_same_user(laptop: Laptop, server: Server) -> None:
    laptop.login(ANN)
    by_code = laptop.who_am_i()
    laptop.login(ANN, "--browser")
    assert laptop.who_am_i() == by_code


def test_token_is_the_only_output_of_print_token(laptop: Laptop, server: Server) -> None:
    token = laptop.login(ANN, "--browser", "--print-token").stdout.strip()
    assert token == laptop.saved()["token"]
    signed_in = {"Authorization": f"Bearer {token}"}
    assert requests.get(f"{server.uri}/v1/namespaces", headers=signed_in, timeout=60).json()["namespaces"] == [["demo"]]
    # The saved sign-in is used: nobody has to sign in again.
    assert laptop.run("login", "--print-token").stdout.strip() == token


def test_ended_token_is_renewed_by_the_next_command(laptop: Laptop) -> None:
    laptop.login(ANN, "--browser")
    first = laptop.saved()
    laptop.change_saved(expires_ms=0)
    caller = laptop.who_am_i()
    renewed = laptop.saved()
    # A token that is issued in the same second is the same, so the refresh token shows the renewal.
    assert renewed["refresh_token"] != first["refresh_token"] and renewed["expires_ms"] > 0
    assert caller["organisation"]["name"] == "quickstart"
    # The provider takes each refresh token of a public client once, so the new one must have been saved.
    laptop.change_saved(expires_ms=0)
    assert laptop.who_am_i() == caller


def test_two_commands_renew_a_token_only_once(laptop: Laptop) -> None:
    laptop.login(ANN, "--browser")
    laptop.change_saved(expires_ms=0)
    command = [str(laptop.binary), "who-am-i", "--uri", laptop.uri]
    both = [subprocess.Popen(command, env=laptop.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(2)]
    for process in both:
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr.decode()


def test_session_that_the_provider_has_ended_asks_for_a_new_sign_in(laptop: Laptop) -> None:
    laptop.login(ANN, "--browser")
    laptop.change_saved(expires_ms=0, refresh_token="revoked")
    ended = laptop.run("who-am-i", code=1)
    assert f"has ended: run `tidewater login --uri {laptop.uri}`" in ended.stderr


def test_refused_sign_in_saves_nothing(laptop: Laptop) -> None:
    done = laptop.login(Person("ann", refuses=True), code=1)
    assert "the sign-in was refused at the identity provider" in done.stderr
    assert not laptop.file.exists()


def test_logout_removes_the_session_and_ends_it_at_the_provider(laptop: Laptop, provider: OidcProvider) -> None:
    laptop.login(ANN, "--browser")
    refresh_token = laptop.saved()["refresh_token"]
    assert "Signed out of" in laptop.run("logout").stdout
    assert not laptop.file.exists()
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": "laptop"}
    assert requests.post(provider.token_endpoint, data=form, timeout=60).json()["error"] == "invalid_grant"
    assert "run `tidewater login" in laptop.run("who-am-i", code=1).stderr
    assert "you are not signed in" in laptop.run("logout", code=1).stderr


def test_api_key_has_precedence_over_the_session(laptop: Laptop, server: Server) -> None:
    laptop.login(ANN, "--browser")
    caller = laptop.run("who-am-i", "--json", TIDEWATER_API_KEY=server.key)
    assert json.loads(caller.stdout)["role"] == "admin"


def test_command_without_an_address_uses_the_only_session(laptop: Laptop) -> None:
    laptop.login(ANN, "--browser")
    done = subprocess.run(
        [str(laptop.binary), "who-am-i"], capture_output=True, check=False, text=True, timeout=60, env=laptop.environment
    )
    assert done.returncode == 0 and f"server: {laptop.uri}" in done.stderr, done.stderr


def test_user_without_the_privilege_is_refused_by_commands(laptop: Laptop) -> None:
    laptop.login(Person("bob"), "--browser")
    assert laptop.who_am_i()["roles"] == []
    assert laptop.run("org", "list", code=1).stderr


# ---- clients' settings ----


def test_settings_for_pyiceberg_open_the_catalog(laptop: Laptop, tmp_path: Path) -> None:
    laptop.login(ANN, "--browser", "--write", "pyiceberg", "--to", str(tmp_path / ".pyiceberg.yaml"))
    assert stat.S_IMODE((tmp_path / ".pyiceberg.yaml").stat().st_mode) == 0o600
    read = "from pyiceberg.catalog import load_catalog; print(load_catalog('tidewater').load_table('demo.tides').scan().to_arrow().num_rows)"
    done = subprocess.run(
        [sys.executable, "-c", read], capture_output=True, check=False, text=True, timeout=120, cwd=tmp_path,
        env={**laptop.environment, "PYICEBERG_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0 and int(done.stdout) > 0, done.stderr
    again = laptop.run("login", "--write", "pyiceberg", "--to", str(tmp_path / ".pyiceberg.yaml"), code=1)
    assert "exists already" in again.stderr


def test_settings_for_a_shell_open_the_catalog_in_pyiceberg(laptop: Laptop, tmp_path: Path) -> None:
    settings = laptop.login(ANN, "--browser", "--write", "env").stdout
    listed = "from pyiceberg.catalog import load_catalog; print(load_catalog('tidewater').list_namespaces())"
    done = subprocess.run(
        ["sh", "-c", f'{settings}\n"$0" -c "$1"', sys.executable, listed], capture_output=True, check=False, text=True,
        timeout=120, cwd=tmp_path, env=laptop.environment,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.strip() == "[('demo',)]", done.stderr


def test_settings_for_duckdb_open_the_catalog(laptop: Laptop) -> None:
    statements = laptop.login(ANN, "--browser", "--write", "duckdb").stdout
    attach = statements.removeprefix("INSTALL iceberg; LOAD iceberg;")
    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
        for name in EXTENSIONS:
            connection.execute(f"LOAD '{extension_file(name)}'")
        connection.execute(attach)
        assert connection.sql("SELECT count(*) FROM tidewater.demo.tides").fetchone()[0] > 0


# ---- several providers, and none ----


def test_provider_is_chosen_by_name(binary: Path, make_server: Callable[..., Server], provider: OidcProvider, tmp_path: Path) -> None:
    settings = issuer_settings(provider)
    others = [
        {**settings, "name": "second", "audiences": ["other"], "login_client_id": "no-device"},
        {**settings, "name": "engines", "audiences": ["third"], "login_client_id": None},
    ]
    server = make_server("several", env={"TIDEWATER_AUTH__ISSUERS": json.dumps([settings, *others])})
    server.start()
    listed = requests.get(f"{server.uri}/management/v1/sign-in", timeout=60).json()["issuers"]
    assert listed[0] == {
        "name": "company",
        "issuer": provider.issuer,
        "client-id": "laptop",
        "scopes": settings["login_scopes"],
    }
    assert [one["name"] for one in listed] == ["company", "second"]
    laptop = Laptop(binary, tmp_path, server.uri)
    assert "choose one with --issuer: company, second" in laptop.run("login", code=1).stderr
    assert "choose one of company, second" in laptop.run("login", "--issuer", "engines", code=1).stderr
    # The client of the second provider has no device flow.
    assert "refused the sign-in with a code" in laptop.run("login", "--issuer", "second", code=1).stderr
    laptop.login(ANN, "--browser", "--issuer", "company")


def test_server_without_a_provider_for_people_says_so(binary: Path, make_server: Callable[..., Server], tmp_path: Path) -> None:
    server = make_server("without")
    server.start()
    assert requests.get(f"{server.uri}/management/v1/sign-in", timeout=60).json() == {"issuers": []}
    refused(requests.get(f"{server.uri}/management/v1/sign-in?name=x", timeout=60), 400, says="name")
    failed = Laptop(binary, tmp_path, server.uri).run("login", code=1)
    assert "has no identity provider for people" in failed.stderr
