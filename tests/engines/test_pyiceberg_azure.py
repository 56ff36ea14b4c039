"""Azure with vended credentials only: PyIceberg through adlfs, and the storage asked directly.

support/azure.py describes the emulation and its limits.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import ContainerClient

from support import azure
from support.azure import ACCOUNT, HOST, Account, Azurite
from support.cloud_lake import CloudLake, make_cloud_lake
from support.documents import table as create_body
from support.rest import answer
from support.rows import SIGHTINGS, in_order, sightings
from support.server import Server

CONTAINER = "lake"
HOUR_MS = 3_600_000
# The settings that clients read, by https://iceberg.apache.org and their sources.
SETTINGS = {
    "py-io-impl",
    "adls.account-name",
    "adls.sas-token",
    f"adls.sas-token.{ACCOUNT}",
    f"adls.sas-token.{HOST}",
    f"adls.sas-token-expires-at-ms.{ACCOUNT}",
    f"adls.sas-token-expires-at-ms.{HOST}",
    "adls.refresh-credentials-endpoint",
    "expiration-time",
}
EMULATORS_ADDRESS = {
    "adls.connection-string",
    f"adls.connection-string.{HOST}",
    *(f"adls.{service}-storage-{part}" for service in ("blob", "dfs") for part in ("scheme", "authority")),
}


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    emulator = Azurite(tmp_path_factory.mktemp("azurite"))
    emulator.client().create_container(CONTAINER)
    yield emulator
    emulator.stop()


@pytest.fixture(scope="module")
def account(azurite: Azurite) -> Iterator[Account]:
    gateway = Account(azurite)
    yield gateway
    gateway.close()


@pytest.fixture(scope="module")
def azure_server(make_server: Callable[..., Server]) -> Server:
    server = make_server("azure")
    server.start()
    return server


def root(folder: str) -> str:
    return f"abfss://{CONTAINER}@{HOST}/{folder}"


@pytest.fixture(scope="module", params=["account key", "identity"])
def lake(
    request: pytest.FixtureRequest, azure_server: Server, account: Account, tmp_path_factory: pytest.TempPathFactory
) -> CloudLake:
    """A warehouse whose signatures are made with the account's key, and one with a user delegation key."""
    folder = tmp_path_factory.mktemp("profile")
    identity = account if request.param == "identity" else None
    profile = azure.profile(folder, account.endpoint, identity=identity)
    return make_cloud_lake(azure_server, root(request.param.replace(" ", "-")), profile)


@pytest.fixture
def namespace(lake: CloudLake, unique: str) -> str:
    return lake.rest().create_namespace(unique)


def container(account: Account, config: dict[str, str]) -> ContainerClient:
    """Returns the container, accessed with these settings."""
    return ContainerClient(account.endpoint, CONTAINER, credential=config["adls.sas-token"], retry_total=0)


def refused(attempt: Callable[[], object]) -> None:
    with pytest.raises(HttpResponseError) as error:
        attempt()
    assert error.value.status_code == 403, error.value


def test_writer_appends_and_deletes_rows_and_reader_reads_them(lake: CloudLake, namespace: str) -> None:
    table = lake.catalog().create_table((namespace, "t"), SIGHTINGS)
    table.append(sightings((1, "Oslo", 1.5), (2, "Bergen", 2.5)))
    table.append(sightings((3, "Oslo", 3.5)))
    table.delete("id == 1")
    rows = in_order(lake.catalog(lake.reader).load_table((namespace, "t")).scan().to_arrow())
    assert rows == [(2, "Bergen", 2.5), (3, "Oslo", 3.5)]


def test_file_write_with_a_readers_key_is_refused(lake: CloudLake, namespace: str) -> None:
    lake.catalog().create_table((namespace, "t"), SIGHTINGS).append(sightings((1, "Oslo", 1.5)))
    table = lake.catalog(lake.reader).load_table((namespace, "t"))
    with pytest.raises(Exception) as error:
        table.append(sightings((2, "Bergen", 2.5)))
    # adlfs has the storage's answer only in the cause.
    assert "AuthorizationPermissionMismatch" in f"{error.value} {error.value.__cause__}", error.value
    assert in_order(table.refresh().scan().to_arrow()) == [(1, "Oslo", 1.5)]


def test_vended_settings_have_the_names_that_each_client_reads(lake: CloudLake, namespace: str) -> None:
    loaded = lake.rest().create_table(namespace, create_body("t"))
    (given,) = loaded["storage-credentials"]
    assert given["prefix"] == loaded["metadata"]["location"] + "/"
    assert given["config"] == loaded["config"]
    assert given["config"].keys() == SETTINGS | EMULATORS_ADDRESS
    expires_ms = int(given["config"]["expiration-time"])
    assert 0 < expires_ms - time.time() * 1000 <= HOUR_MS
    again = lake.rest().get(f"{lake.server.uri}/{given['config']['adls.refresh-credentials-endpoint']}")
    assert answer(again)["storage-credentials"] == [given]


def test_signature_gives_access_to_its_own_table_only(lake: CloudLake, account: Account, namespace: str) -> None:
    base = f"{lake.root}/{namespace}"
    for name, folder in (("own", "t 1"), ("longer", "t 12"), ("shorter", "t"), ("below", "inner/t 1")):
        lake.rest().create_table(namespace, create_body(name, location=f"{base}/{folder}"))
    storage = container(account, lake.given(namespace, "own"))
    path = base.split("/", 3)[3]
    storage.upload_blob(f"{path}/t 1/data/x", b"mine")
    assert storage.download_blob(f"{path}/t 1/data/x").readall() == b"mine"
    assert "data/x" in " ".join(blob.name for blob in storage.list_blobs(f"{path}/t 1/"))
    storage.delete_blob(f"{path}/t 1/data/x")
    for folder in ("t 12", "t", "inner/t 1", "", "t 1/../t 12"):
        name = f"{path}/{folder}/data/x"
        refused(lambda name=name: storage.upload_blob(name, b"x", overwrite=True))
        refused(lambda name=name: storage.download_blob(name).readall())
        refused(lambda name=name: storage.delete_blob(name))
    refused(lambda: list(storage.list_blobs(f"{path}/")))
    refused(lambda: list(storage.list_blobs(f"{path}/t 12/")))
    refused(lambda: list(storage.list_blobs()))


def test_readers_signature_cannot_be_widened(lake: CloudLake, account: Account, namespace: str) -> None:
    lake.rest().create_table(namespace, create_body("t"))
    location = lake.rest().load(namespace, "t")["metadata"]["location"].split("/", 3)[3]
    config = lake.given(namespace, "t", lake.reader)
    storage = container(account, config)
    storage.list_blobs(f"{location}/")
    refused(lambda: storage.upload_blob(f"{location}/data/x", b"x"))
    for what, widened in (("sp=rl", "sp=racwdl"), (r"sdd=\d+", "sdd=1"), ("&se=2", "&se=3"), ("sr=d", "sr=c")):
        text, times = re.subn(what, widened, config["adls.sas-token"])
        assert times == 1, what
        forged = {"adls.sas-token": text}
        refused(lambda forged=forged: list(container(account, forged).list_blobs(f"{location}/")))


def test_expired_signature_is_refused(lake: CloudLake, account: Account, namespace: str) -> None:
    lake.rest().create_table(namespace, create_body("t"))
    location = lake.rest().load(namespace, "t")["metadata"]["location"].split("/", 3)[3]
    storage = container(account, lake.given(namespace, "t"))
    list(storage.list_blobs(f"{location}/"))
    account.ahead_s = 3601
    try:
        refused(lambda: list(storage.list_blobs(f"{location}/")))
    finally:
        account.ahead_s = 0


def test_table_with_two_locations_gets_a_signature_for_each(lake: CloudLake, account: Account, namespace: str) -> None:
    data = f"{lake.root}/{namespace}/data of t"
    loaded = lake.rest().create_table(namespace, create_body("t", properties={"write.data.path": data}))
    own, elsewhere = loaded["storage-credentials"]
    assert (own["prefix"], elsewhere["prefix"]) == (loaded["metadata"]["location"] + "/", data + "/")
    assert loaded["config"] == own["config"]
    path = data.split("/", 3)[3]
    container(account, elsewhere["config"]).upload_blob(f"{path}/x", b"x")
    refused(lambda: container(account, own["config"]).download_blob(f"{path}/x").readall())


def test_new_table_has_the_scheme_of_its_warehouse_and_mixed_schemes_are_refused(
    lake: CloudLake, namespace: str
) -> None:
    alias = lake.root.replace("abfss://", "wasbs://")
    body = create_body("t", location=f"{alias}/{namespace}/t")
    error = answer(lake.rest().post(f"/namespaces/{namespace}/tables", json=body), 400)["error"]
    assert f"use '{lake.root}/{namespace}/t'" in error["message"], error
    body["location"] = body["location"].replace(".dfs.", ".blob.")
    assert lake.rest().create_table(namespace, body)["metadata"]["location"] == f"{lake.root}/{namespace}/t"


def test_java_finds_credentials_under_the_host_of_a_location(lake: CloudLake, namespace: str) -> None:
    blob = HOST.replace(".dfs.", ".blob.")
    spelled = lake.root.replace("abfss://", "wasbs://").replace(HOST, blob) + f"/{namespace}/t"
    rest = lake.rest()
    folder = rest.create_table(namespace, create_body("t", location=spelled))["metadata"]["location"]
    answer(rest.commit(namespace, "t", [{"action": "set-location", "location": spelled}]))
    loaded = rest.load(namespace, "t")
    given = {one["prefix"]: one["config"] for one in loaded["storage-credentials"]}
    assert set(given) == {f"{folder}/", f"{spelled}/"}
    for config in (loaded["config"], given[f"{spelled}/"]):
        assert config[f"adls.sas-token.{blob}"] == config[f"adls.sas-token.{HOST}"]
        assert f"adls.sas-token-expires-at-ms.{blob}" in config and f"adls.connection-string.{blob}" in config
    assert f"adls.sas-token.{blob}" not in given[f"{folder}/"]


def test_one_delegation_key_serves_all_tables(azure_server: Server, account: Account, tmp_path: Path, unique: str) -> None:
    lake = make_cloud_lake(azure_server, root(unique), azure.profile(tmp_path, account.endpoint, identity=account))
    before = account.keys_given
    lake.rest().create_namespace(unique)
    for number in range(3):
        lake.rest().create_table(unique, create_body(f"t{number}"))
    assert account.keys_given == before + 1


# ---- setting it up ----


def check(server: Server, where: str, profile: Path, name: str = "dry") -> tuple[int, str]:
    """Returns the result of testing a warehouse."""
    arguments = ("warehouse", "create", name, "--org", "judges", "--root", where, "--storage", str(profile), "--dry-run")
    done = server.command(*arguments, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module", autouse=True)
def judges(azure_server: Server) -> None:
    azure_server.command("org", "create", "judges", "--tier", "enterprise")


@pytest.mark.parametrize("by", ["account key", "identity"])
def test_check_shows_that_signatures_are_limited_to_their_table(
    azure_server: Server, account: Account, tmp_path: Path, unique: str, by: str
) -> None:
    profile = azure.profile(tmp_path, account.endpoint, identity=account if by == "identity" else None)
    code, said = check(azure_server, root(unique), profile)
    assert (code, "they reach their table and no other" in said) == (0, True), said
    assert "refuse to overwrite it" in said and "FAILED" not in said, said


def test_check_reports_an_account_without_a_hierarchical_namespace(
    azure_server: Server, azurite: Azurite, account: Account, tmp_path: Path, unique: str
) -> None:
    """Azurite itself is such an account: it refuses a signature for a folder."""

    class Flat(Account):
        def _signed(self, request: azure.Request) -> azure.Response:
            return self.forward(request.method, request.target, request.headers, request.body)

    flat = Flat(azurite)
    try:
        code, said = check(azure_server, root(unique), azure.profile(tmp_path, flat.endpoint))
        assert code != 0 and "set `hierarchical-namespace = false`" in said, said
        none = azure.profile(tmp_path, flat.endpoint, "hierarchical-namespace = false")
        code, said = check(azure_server, root(unique), none)
        assert code == 0 and "a signature cannot be limited to one table" in said, said
    finally:
        flat.close()


def test_check_reports_the_wrong_setting(azure_server: Server, account: Account, tmp_path: Path, unique: str) -> None:
    by_key = azure.profile(tmp_path, account.endpoint)
    by_identity = azure.profile(tmp_path, account.endpoint, identity=account)

    def changed(profile: Path, old: str, new: str) -> Path:
        path = tmp_path / f"changed-{len(list(tmp_path.iterdir()))}.toml"
        path.write_text(profile.read_text().replace(old, new))
        return path

    for where, profile, says in (
        (f"abfss://none-such@{HOST}/x", by_key, "check the container's name"),
        (root(unique), changed(by_key, azure.KEY, azure.wrong_key()), "check the account's name in the root"),
        (root(unique), changed(by_key, azure.KEY, "not base64!"), "the storage cannot be used with its settings"),
        (f"abfss://{CONTAINER}@other.dfs.core.windows.net/x", by_key, "check the account's name in the root"),
        (root(unique), changed(by_identity, azure.SECRET, "another"), "in the section [credentials]"),
        (f"abfss://{CONTAINER}@{ACCOUNT}.blob.core.windows.net/x", by_key, "abfss://container@account.dfs.core"),
        (f"abfss://{HOST}/{CONTAINER}/x", by_key, "names no container of a storage account"),
        ("s3://bucket/x", by_key, "abfss://container@account.dfs.core"),
        (root(unique), changed(by_key, "adls", "gcs"), "gs://bucket/lake"),
    ):
        code, said = check(azure_server, where, profile)
        assert code != 0 and says in said, f"{where}: {said}"
        assert azure.KEY not in said and azure.SECRET not in said, said


@pytest.mark.makes_unavailable
def test_account_without_the_delegator_role_vends_nothing_and_check_reports_it(
    azure_server: Server, account: Account, tmp_path: Path, unique: str
) -> None:
    account.may_delegate = False
    try:
        code, said = check(azure_server, root(unique), azure.profile(tmp_path, account.endpoint, identity=account))
    finally:
        account.may_delegate = True
    assert code != 0 and "'Storage Blob Delegator'" in said, said
    off = azure.profile(tmp_path, account.endpoint, "vended-credentials = false", identity=account)
    code, said = check(azure_server, root(unique), off)
    assert code == 0 and "`vended-credentials` is off" in said, said


@pytest.mark.parametrize("by", ["account key", "identity"])
def test_untrusted_tls_certificate_is_refused(
    make_server: Callable[..., Server], azurite: Azurite, tmp_path: Path, unique: str, by: str
) -> None:
    """Signatures are then for https only, and so is the directory."""
    account = Account(azurite, secure=azurite.certificate)
    profile = azure.profile(tmp_path, account.endpoint, identity=account if by == "identity" else None)
    try:
        for trusted in (True, False):
            server = make_server("tls", env={"SSL_CERT_FILE": str(azurite.certificate.issuer)} if trusted else {})
            server.command("org", "create", "judges", "--tier", "enterprise")
            code, said = check(server, root(f"{unique}-{trusted}"), profile)
            assert (code == 0, "they reach their table and no other" in said) == (trusted, trusted), said
    finally:
        account.close()


# ---- clients with credentials of their own ----


def test_account_without_a_hierarchical_namespace_vends_nothing(
    azure_server: Server, account: Account, tmp_path: Path, unique: str
) -> None:
    """Azurite as it is: nothing is vended, and PyIceberg signs in with the account's key."""
    profile = azure.profile(tmp_path, account.endpoint, "hierarchical-namespace = false")
    lake = make_cloud_lake(azure_server, root(unique), profile)
    lake.rest().create_namespace(unique)
    text = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={azure.KEY};BlobEndpoint={account.endpoint}"
    table = lake.catalog(**{"adls.connection-string": text}).create_table((unique, "t"), SIGHTINGS)
    table.append(sightings((1, "Oslo", 1.5)))
    assert in_order(table.refresh().scan().to_arrow()) == [(1, "Oslo", 1.5)]
    loaded = lake.rest().load(unique, "t")
    assert not loaded.get("storage-credentials") and not any("sas" in name for name in loaded["config"])
