"""Google Cloud with vended credentials only: PyIceberg through Arrow, and direct requests to the storage.

support/google.py describes the emulation and its limits. gcsfs cannot be tested, because it asks Google itself about a
given token.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from support import google
from support.apart import Apart
from support.cloud_lake import CloudLake, make_cloud_lake
from support.documents import table as create_body
from support.google import Asked, Emulator, Google
from support.rest import answer
from support.server import Server

BUCKET = "lake"
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    emulator = Emulator(tmp_path_factory.mktemp("google"))
    emulator.make_bucket(BUCKET)
    gateway = Google(emulator)
    yield gateway
    gateway.close()
    emulator.stop()


@pytest.fixture(scope="module")
def google_server(make_server: Callable[..., Server]) -> Server:
    server = make_server("google")
    server.start()
    server.command("org", "create", "judges", "--tier", "enterprise")
    return server


@pytest.fixture(scope="module")
def lake(google_server: Server, cloud: Google, tmp_path_factory: pytest.TempPathFactory) -> CloudLake:
    profile = google.profile(tmp_path_factory.mktemp("profile"), cloud)
    return make_cloud_lake(google_server, f"gs://{BUCKET}/lake", profile)


@pytest.fixture
def namespace(lake: CloudLake, unique: str) -> str:
    return lake.rest().create_namespace(unique)


class Storage:
    """The store, accessed with one token. Each method returns the status of the answer."""

    def __init__(self, cloud: Google, token: str):
        self._objects = f"{cloud.uri}/storage/v1/b/{BUCKET}/o"
        self._upload = f"{cloud.uri}/upload/storage/v1/b/{BUCKET}/o"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {token}"

    def read(self, name: str) -> int:
        return self._session.get(f"{self._objects}/{quote(name, safe='')}?alt=media", timeout=30).status_code

    def write(self, name: str) -> int:
        parameters = {"uploadType": "media", "name": name}
        return self._session.post(self._upload, params=parameters, data=b"x", timeout=30).status_code

    def remove(self, name: str) -> int:
        return self._session.delete(f"{self._objects}/{quote(name, safe='')}", timeout=30).status_code

    def list(self, prefix: str | None) -> int:
        parameters = {} if prefix is None else {"prefix": prefix}
        return self._session.get(self._objects, params=parameters, timeout=30).status_code


def name_of(location: str) -> str:
    return location.split("/", 3)[3]


def test_writer_appends_and_deletes_rows_and_reader_reads_them(lake: CloudLake, namespace: str) -> None:
    table = Apart(lake, lake.writer.text, (namespace, "t"))
    table.create_with((1, "Oslo", 1.5), (2, "Bergen", 2.5))
    assert table.append((3, "Oslo", 3.5)) is None
    table.delete("id == 1")
    rows = Apart(lake, lake.reader.text, (namespace, "t")).rows()
    assert rows == [(2, "Bergen", 2.5), (3, "Oslo", 3.5)]


def test_file_write_with_a_readers_key_is_refused(lake: CloudLake, namespace: str) -> None:
    Apart(lake, lake.writer.text, (namespace, "t")).create_with((1, "Oslo", 1.5))
    table = Apart(lake, lake.reader.text, (namespace, "t"))
    wrong = table.append((2, "Bergen", 2.5))
    assert wrong is not None and re.search("the token may not|(?i:forbidden|permission)", wrong), wrong
    assert table.rows() == [(1, "Oslo", 1.5)]


def test_vended_settings_have_the_names_that_each_client_reads(lake: CloudLake, cloud: Google, namespace: str) -> None:
    loaded = lake.rest().create_table(namespace, create_body("t"))
    (given,) = loaded["storage-credentials"]
    assert given["prefix"] == loaded["metadata"]["location"] + "/"
    assert given["config"] == loaded["config"]
    config = dict(given["config"])
    assert config.pop("gcs.oauth2.token") in cloud.tokens
    assert config.pop("gcs.service.host") == cloud.uri
    expires_ms = int(config.pop("gcs.oauth2.token-expires-at"))
    assert config.pop("expiration-time") == str(expires_ms)
    assert HOUR_MS / 4 < expires_ms - time.time() * 1000 <= HOUR_MS
    again = lake.rest().get(f"{lake.server.uri}/{config.pop('gcs.oauth2.refresh-credentials-endpoint')}")
    assert answer(again)["storage-credentials"] == [given]
    assert config == {}


def test_sent_access_boundary_is_the_documented_one(lake: CloudLake, cloud: Google, namespace: str) -> None:
    lake.rest().create_table(namespace, create_body("t"))
    name = name_of(lake.rest().load(namespace, "t")["metadata"]["location"])
    read = (
        '{"availablePermissions":["inRole:roles/storage.objectViewer"],'
        '"availableResource":"//storage.googleapis.com/projects/_/buckets/lake","availabilityCondition":{"expression":'
        f"\"resource.name.startsWith('projects/_/buckets/lake/objects/{name}/') || "
        f"api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('{name}/')\"}}}}"
    )
    write = (
        '{"availablePermissions":["inRole:roles/storage.objectUser"],'
        '"availableResource":"//storage.googleapis.com/projects/_/buckets/lake","availabilityCondition":{"expression":'
        f"\"resource.name.startsWith('projects/_/buckets/lake/objects/{name}/')\"}}}}"
    )
    assert cloud.boundaries[-1] == f'{{"accessBoundary":{{"accessBoundaryRules":[{read},{write}]}}}}'
    lake.rest(lake.reader).load(namespace, "t")
    assert cloud.boundaries[-1] == f'{{"accessBoundary":{{"accessBoundaryRules":[{read}]}}}}'


def test_token_gives_access_to_its_own_table_only(lake: CloudLake, cloud: Google, namespace: str) -> None:
    base = f"{lake.root}/{namespace}"
    for name, folder in (("own", "t 1"), ("longer", "t 12"), ("shorter", "t"), ("below", "inner/t 1")):
        lake.rest().create_table(namespace, create_body(name, location=f"{base}/{folder}"))
    storage = Storage(cloud, lake.given(namespace, "own")["gcs.oauth2.token"])
    path = name_of(base)
    own = f"{path}/t 1/data/x"
    assert (storage.write(own), storage.read(own), storage.list(f"{path}/t 1/"), storage.remove(own)) == (200,) * 4
    for folder in ("t 12", "t", "inner/t 1", ""):
        name = f"{path}/{folder}/data/x"
        assert (storage.write(name), storage.read(name), storage.remove(name)) == (403,) * 3, name
    for prefix in (None, "", f"{path}/", f"{path}/t 1", f"{path}/t 12/"):
        assert storage.list(prefix) == 403, prefix
    reader = Storage(cloud, lake.given(namespace, "own", lake.reader)["gcs.oauth2.token"])
    assert (reader.list(f"{path}/t 1/"), reader.write(own), reader.remove(own)) == (200, 403, 403)


HOSTILE = ("') || true || ('", "'", 'a" b', "x') || ('' == '", "a`b", "\u00fc\u2028")


@pytest.mark.parametrize("folder", HOSTILE)
def test_table_name_cannot_widen_an_access_boundary(lake: CloudLake, cloud: Google, namespace: str, folder: str) -> None:
    """CVE-2026-42811 elsewhere: a quote in a location ended the text of a condition. Here an independent implementation of
    the language reads the sent boundary."""
    location = f"{lake.root}/{namespace}/{folder}/t"
    lake.rest().create_table(namespace, create_body("t", location=location))
    boundary = json.loads(cloud.boundaries[-1])
    own = name_of(location)
    for permission in ("get", "create", "delete"):
        assert google.allows(boundary, Asked(permission, BUCKET, f"{own}/x"))
        for other in (f"{namespace}/other/x", f"{own}2/x", f"lake/{namespace}/{folder}/x", "x"):
            assert not google.allows(boundary, Asked(permission, BUCKET, other)), other
    assert google.allows(boundary, Asked("list", BUCKET, list_prefix=f"{own}/"))
    assert not google.allows(boundary, Asked("list", BUCKET, list_prefix=""))
    assert not google.allows(boundary, Asked("get", "other", f"{own}/x"))


def test_expired_token_is_refused(lake: CloudLake, cloud: Google, namespace: str) -> None:
    lake.rest().create_table(namespace, create_body("t"))
    config = lake.given(namespace, "t")
    storage = Storage(cloud, config["gcs.oauth2.token"])
    folder = name_of(lake.rest().load(namespace, "t")["metadata"]["location"])
    assert storage.list(f"{folder}/") == 200
    cloud.ahead_s = int(int(config["expiration-time"]) / 1000 - time.time()) + 1
    try:
        assert storage.list(f"{folder}/") == 401
    finally:
        cloud.ahead_s = 0


def test_one_service_account_token_serves_several_tables(lake: CloudLake, cloud: Google, namespace: str) -> None:
    lake.rest().create_table(namespace, create_body("first"))
    before, narrowed = cloud.own_tokens_given, len(cloud.boundaries)
    for number in range(3):
        lake.rest().create_table(namespace, create_body(f"t{number}"))
    assert (cloud.own_tokens_given, len(cloud.boundaries)) == (before, narrowed + 3)


def test_table_with_two_locations_gets_one_token(lake: CloudLake, cloud: Google, namespace: str) -> None:
    data = f"{lake.root}/{namespace}/data of t"
    loaded = lake.rest().create_table(namespace, create_body("t", properties={"write.data.path": data}))
    own, elsewhere = loaded["storage-credentials"]
    assert (own["prefix"], elsewhere["prefix"]) == (loaded["metadata"]["location"] + "/", data + "/")
    storage = Storage(cloud, own["config"]["gcs.oauth2.token"])
    assert storage.write(f"{name_of(data)}/x") == 200
    assert own["config"] == elsewhere["config"] == loaded["config"]


# ---- setting it up ----


def check(server: Server, where: str, profile: Path) -> tuple[int, str]:
    """Returns the result of testing a warehouse."""
    arguments = ("warehouse", "create", "dry", "--org", "judges", "--root", where, "--storage", str(profile), "--dry-run")
    done = server.command(*arguments, check=False)
    return done.returncode, done.stdout + done.stderr


def test_check_shows_that_tokens_are_limited_to_their_table(
    google_server: Server, cloud: Google, tmp_path: Path, unique: str
) -> None:
    code, said = check(google_server, f"gs://{BUCKET}/{unique}", google.profile(tmp_path, cloud))
    assert code == 0 and "they reach their table and no other" in said and "FAILED" not in said, said
    cloud.enforces = False
    try:
        code, said = check(google_server, f"gs://{BUCKET}/{unique}", google.profile(tmp_path, cloud))
    finally:
        cloud.enforces = True
    assert code != 0 and "the store does not enforce access boundaries" in said, said


def test_check_reports_the_wrong_setting(google_server: Server, cloud: Google, tmp_path: Path, unique: str) -> None:
    root = f"gs://{BUCKET}/{unique}"
    for where, profile, says in (
        (f"gs://none-such/{unique}", google.profile(tmp_path, cloud), "check the bucket's name"),
        (root, google.profile(tmp_path, cloud, key="no JSON"), "the storage cannot be used with its settings"),
        (root, google.profile(tmp_path, cloud, key=cloud.key(private_key="none")), "cannot be used with its settings"),
        (root, google.profile(tmp_path, cloud, key=cloud.key(token_uri=f"{cloud.uri}/v2")), "Google's token service"),
        (root, google.profile(tmp_path, cloud, 'unknown = "x"'), "unknown"),
        ("s3://bucket/x", google.profile(tmp_path, cloud), "gs://bucket/lake"),
        (root, google.profile(tmp_path, cloud, "vended-credentials = false"), "`vended-credentials` is off"),
    ):
        code, said = check(google_server, where, profile)
        assert (code == 0) == ("is off" in says) and says in said, f"{where}: {said}"
        assert "PRIVATE KEY" not in said, said
