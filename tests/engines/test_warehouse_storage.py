"""Creating a warehouse: its storage is tested first, and faults are reported with advice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.admin import Admin, eventually
from support.documents import table as create_body
from support.lake import make_lake
from support.rest import answer
from support.s3 import ACCESS_KEY, ROLE, SECRET_KEY, S3Server
from support.server import Server
from support.versity import VersityServer


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server]) -> Server:
    server = make_server("storage", loses_storage=True)
    server.start()
    return server


@pytest.fixture(scope="module")
def organisation(server: Server, s3: S3Server) -> str:
    s3.make_bucket("storage")
    return Admin(server).organisation("enterprise", warehouse=None)


def create(server: Server, organisation: str, name: str, profile: Path, *more: str) -> tuple[int, str]:
    """Tries to create a warehouse. Returns the exit code and the output."""
    root = f"s3://storage/{name}"
    arguments = ("warehouse", "create", name, "--org", organisation, "--root", root, "--storage", str(profile), *more)
    done = server.command(*arguments, check=False)
    return done.returncode, done.stdout + done.stderr


def objects(s3: S3Server, prefix: str) -> list[str]:
    return [found["Key"] for found in s3.client().list_objects_v2(Bucket="storage", Prefix=prefix).get("Contents", [])]


def test_check_without_a_role_tests_signing(
    server: Server, organisation: str, s3: S3Server, tmp_path: Path, unique: str
) -> None:
    code, said = create(server, organisation, unique, s3.profile(tmp_path, role=None), "--dry-run")
    assert (code, said.count("  ok  ")) == (0, 7), said
    assert "there are none to vend" in said and "no write can be made a copy" in said
    assert objects(s3, unique) == [], "objects of the storage test remain"


def test_dry_run_reports_results_and_creates_nothing(
    server: Server, organisation: str, s3: S3Server, tmp_path: Path, unique: str
) -> None:
    code, said = create(server, organisation, unique, s3.profile(tmp_path), "--dry-run")
    assert (code, said.count("  ok  ")) == (0, 6), said
    assert "they reach their table and no other" in said
    assert unique not in server.command("warehouse", "list", "--org", organisation).stdout
    assert objects(s3, unique) == [], "objects of the storage test remain"


WRONG = {
    "the secret": ({SECRET_KEY: "wrong"}, "and `secret-access-key` in the section [credentials]"),
    "the key": ({f'"{ACCESS_KEY}"': '"nobody"'}, "check `access-key-id` and"),
    "the host": ({"127.0.0.1:": "127.0.0.2:"}, "check `endpoint`"),
    "the address": ({"127.0.0.1:": "127.0.0.1:99"}, "not an address that can be used"),
    "the name of the host": ({"127.0.0.1:": "store.invalid:"}, "check `endpoint`"),
    "where the bucket stands": ({"path-style = true": "path-style = false"}, "set `path-style = true`"),
    "where the bucket stands, by name": (
        {"path-style = true": "path-style = false", "127.0.0.1:": "store.invalid:"},
        "set `path-style = true`",
    ),
    "the role": ({ROLE: "arn:aws:iam:::role/nobody"}, "check `role-arn`"),
    "the sessions' time": ({f'"{ROLE}"': f'"{ROLE}"\nsession-duration-s = 43200'}, "check `session-duration-s`"),
    "a setting": ({"path-style": "path-stile"}, "path-stile"),
    "the role's name": ({ROLE: "tidewater"}, "`role-arn` must be a name such as"),
    "the kind of credentials": ({"aws-key": "aws-keys"}, "aws-keys"),
}


@pytest.mark.parametrize("what", WRONG)
def test_failed_check_is_reported_and_creates_no_warehouse(
    server: Server, organisation: str, s3: S3Server, tmp_path: Path, unique: str, what: str
) -> None:
    profile = s3.profile(tmp_path)
    changes, says = WRONG[what]
    text = profile.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    profile.write_text(text)
    code, said = create(server, organisation, unique, profile)
    assert code == 1 and says in said, said
    assert SECRET_KEY not in said
    assert unique not in server.command("warehouse", "list", "--org", organisation).stdout


def test_error_of_another_store_names_the_wrong_setting(
    server: Server, organisation: str, tmp_path: Path, unique: str
) -> None:
    gateway = VersityServer(tmp_path)
    gateway.start()
    try:
        gateway.make_bucket("storage")
        for number, (old, new, says) in enumerate((
            (SECRET_KEY, "wrong", "the store says SignatureDoesNotMatch: check `secret-access-key`"),
            (f'"{ACCESS_KEY}"', '"nobody"', "the store says XAdminUserNotFound: check `access-key-id`"),
        )):
            profile = gateway.profile(tmp_path, role=None)
            text = profile.read_text()
            assert old in text
            profile.write_text(text.replace(old, new))
            code, said = create(server, organisation, f"{unique}-{number}", profile)
            assert code == 1 and says in said, said
    finally:
        gateway.stop()


def test_missing_bucket_is_reported(server: Server, organisation: str, s3: S3Server, tmp_path: Path) -> None:
    arguments = ("--org", organisation, "--root", "s3://none/lake", "--storage", str(s3.profile(tmp_path)))
    done = server.command("warehouse", "create", "none", *arguments, check=False)
    assert done.returncode == 1 and "check the bucket's name" in done.stderr, done.stderr


def test_root_of_another_organisation_is_refused(
    server: Server, organisation: str, s3: S3Server, tmp_path: Path, unique: str
) -> None:
    assert create(server, organisation, unique, s3.profile(tmp_path))[0] == 0
    other = Admin(server).organisation("enterprise", warehouse=None)
    for root in (f"s3://storage/{unique}", f"s3://storage/{unique}/inner"):
        arguments = ("--org", other, "--root", root, "--storage", str(s3.profile(tmp_path)))
        done = server.command("warehouse", "create", "mine", *arguments, check=False)
        assert done.returncode == 1 and "that of another warehouse" in done.stderr, done.stderr


@pytest.mark.makes_unavailable
def test_storage_is_changed_while_a_server_runs(
    server: Server, s3: S3Server, tmp_path: Path, unique: str
) -> None:
    lake = make_lake(server, s3, "changed", tmp_path)
    rest = lake.rest()
    rest.create_namespace(unique)
    rest.create_table(unique, create_body("t"))
    change = ("warehouse", "set-storage", "lake", "--org", lake.organisation, "--storage")
    wrong = s3.profile(tmp_path)
    wrong.write_text(wrong.read_text().replace(SECRET_KEY, "wrong"))
    refused = server.command(*change, str(wrong), check=False)
    assert refused.returncode == 1 and "write an object: the store says" in refused.stderr
    answer(rest.get(f"/namespaces/{unique}/tables/t"))

    server.command(*change, str(wrong), "--unchecked")
    path = f"/namespaces/{unique}/tables/t"
    error = eventually(rest, path, 503).json()["error"]
    assert "tidewater warehouse check" in error["message"]
    assert "a warehouse's storage" in server.stderr()
    server.command(*change, str(s3.profile(tmp_path)))
    assert eventually(rest, path, 200).json()["storage-credentials"]


def test_warehouse_without_a_role_vends_no_secret(server: Server, s3: S3Server, tmp_path: Path, unique: str) -> None:
    lake = make_lake(server, s3, "norole", tmp_path, "remote-signing = false", role=None)
    rest = lake.rest()
    rest.create_namespace(unique)
    created = rest.create_table(unique, create_body("t"))
    assert "storage-credentials" not in created
    assert not [name for name in created["config"] if "secret" in name or "token" in name or "access-key" in name]


def test_master_key_is_changed_while_a_server_runs(
    make_server: Callable[..., Server], s3: S3Server, tmp_path: Path, unique: str
) -> None:
    server = make_server("master_key")
    server.start()
    lake = make_lake(server, s3, "sealed", tmp_path)
    rest = lake.rest()
    rest.create_namespace(unique)
    file = server.data_dir / "master.key"
    old = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    new = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"
    file.write_text(new + old)
    assert "Sealed 1 anew; 0 were" in server.command("warehouse", "reseal").stdout
    assert "Sealed 0 anew; 1 were" in server.command("warehouse", "reseal").stdout
    file.write_text(new)
    server.stop()
    server.start()
    rest.create_table(unique, create_body("t"))
    file.write_text(old)
    refused = server.command("warehouse", "check", "lake", "--org", lake.organisation, check=False)
    assert refused.returncode == 1 and "which this process does not have" in refused.stderr


def test_missing_ambient_credentials_are_reported_with_the_searched_sources(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    nowhere = {"AWS_METADATA_ENDPOINT": "http://127.0.0.1:9", "TIDEWATER_STORAGE__RETRY_TIMEOUT_S": "1"}
    server = make_server("ambient", env=nowhere)
    organisation = Admin(server).organisation("enterprise", warehouse=None)
    profile = tmp_path / "ambient.toml"
    profile.write_text('type = "s3"\nregion = "eu-west-1"\n[credentials]\nkind = "ambient"\n')
    code, said = create(server, organisation, "lake", profile)
    assert code == 1 and "no credentials were found on this machine" in said, said
    assert "AWS_ACCESS_KEY_ID" in said and "~/.aws is not read" in said and "set-storage" in said
    assert said.count("127.0.0.1:9") == 1, said
