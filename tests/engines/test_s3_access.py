"""Vended credentials give access to their own table only. The storage server itself answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from support.credentials import complaints
from support.documents import table as create_body
from support.lake import Lake, as_aws
from support.neighbours import FOLDERS, key_of, make_tables
from support.rest import Rest, answer

SECRET = b"of the other table"

# Names that a policy would take for wildcards or variables, if they came into one.
NAMES = {"a star": ("*", "t"), "a star behind": ("t*", "tx"), "a variable": ("${aws:username}", "admin"), "a dollar": ("t$", "t")}


class Neighbours:
    """Two neighbouring tables with an object in each."""

    def __init__(self, lake: Lake, namespace: str, folders: tuple[str, str]):
        self.bucket = lake.bucket
        self.own, self.other = make_tables(lake, namespace, folders)
        self.catalogs = lake.s3.client()
        for location in (self.own, self.other):
            self.catalogs.put_object(Bucket=self.bucket, Key=key_of(location, "data/x"), Body=SECRET)
        self.own_key, self.other_key = key_of(self.own, "data/x"), key_of(self.other, "data/x")


@pytest.fixture
def namespace(lake: Lake, unique: str) -> str:
    return lake.rest().create_namespace(unique)


@pytest.fixture(params=FOLDERS)
def neighbours(request: pytest.FixtureRequest, lake: Lake, namespace: str) -> Neighbours:
    return Neighbours(lake, namespace, FOLDERS[request.param])


def multipart(s3: Any, bucket: str, key: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload=parts)


READS: dict[str, Callable[[Any, Neighbours, str], Any]] = {
    "get": lambda s3, n, key: s3.get_object(Bucket=n.bucket, Key=key),
    "head": lambda s3, n, key: s3.head_object(Bucket=n.bucket, Key=key),
    "list": lambda s3, n, key: s3.list_objects_v2(Bucket=n.bucket, Prefix=key.removesuffix("x")),
}
WRITES: dict[str, Callable[[Any, Neighbours, str], Any]] = {
    "put": lambda s3, n, key: s3.put_object(Bucket=n.bucket, Key=key, Body=b"x"),
    "multipart": lambda s3, n, key: multipart(s3, n.bucket, key),
    "delete": lambda s3, n, key: s3.delete_object(Bucket=n.bucket, Key=key),
}


def refused(attempt: Callable[[], Any]) -> None:
    with pytest.raises(ClientError) as error:
        attempt()
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error.value


def test_writers_credentials_work_for_their_own_table(lake: Lake, namespace: str, neighbours: Neighbours) -> None:
    s3 = lake.s3.client(**lake.credentials(namespace, "own"))
    for operation in (*READS.values(), *WRITES.values()):
        operation(s3, neighbours, neighbours.own_key)


def test_writers_credentials_are_refused_for_other_tables(lake: Lake, namespace: str, neighbours: Neighbours) -> None:
    s3 = lake.s3.client(**lake.credentials(namespace, "own"))
    for operation in (*READS.values(), *WRITES.values()):
        refused(lambda operation=operation: operation(s3, neighbours, neighbours.other_key))
    kept = neighbours.catalogs.get_object(Bucket=neighbours.bucket, Key=neighbours.other_key)
    assert kept["Body"].read() == SECRET


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_table_name_with_wildcards_gives_no_access_to_other_tables(lake: Lake, namespace: str, names: tuple[str, str]) -> None:
    """CVE-2026-42810 elsewhere: a `*` in a table's name became a wildcard of the policy."""
    own, other = (lake.rest().create_table(namespace, create_body(name))["metadata"]["location"] for name in names)
    s3 = lake.s3.client(**lake.credentials(namespace, names[0]))
    s3.put_object(Bucket=lake.bucket, Key=key_of(own, "data/x"), Body=b"x")
    refused(lambda: s3.put_object(Bucket=lake.bucket, Key=key_of(other, "data/x"), Body=b"x"))
    refused(lambda: s3.list_objects_v2(Bucket=lake.bucket, Prefix=key_of(other, "")))


def test_location_with_wildcards_is_refused(lake: Lake, namespace: str) -> None:
    for folder in ("t*", "*", "${aws:username}", "t$"):
        body = create_body("t", location=f"s3://{lake.bucket}/lake/{namespace}/{folder}")
        error = answer(lake.rest().post(f"/namespaces/{namespace}/tables", json=body), 400)["error"]
        assert "'*', '?' or '$'" in error["message"]


def test_writer_cannot_copy_from_or_to_another_table(
    lake: Lake, namespace: str, neighbours: Neighbours
) -> None:
    s3, bucket = lake.s3.client(**lake.credentials(namespace, "own")), neighbours.bucket
    source = {"Bucket": bucket, "Key": neighbours.other_key}
    own = {"Bucket": bucket, "Key": neighbours.own_key}
    refused(lambda: s3.copy_object(Bucket=bucket, Key=key_of(neighbours.own, "stolen"), CopySource=source))
    refused(lambda: s3.copy_object(Bucket=bucket, Key=neighbours.other_key, CopySource=own))


def test_batch_delete_removes_nothing_of_another_table(lake: Lake, namespace: str, neighbours: Neighbours) -> None:
    s3 = lake.s3.client(**lake.credentials(namespace, "own"))
    objects = {"Objects": [{"Key": neighbours.own_key}, {"Key": neighbours.other_key}]}
    try:
        s3.delete_objects(Bucket=neighbours.bucket, Delete=objects)
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error
    neighbours.catalogs.head_object(Bucket=neighbours.bucket, Key=neighbours.other_key)


def test_readers_credentials_read_and_are_refused_changes(lake: Lake, namespace: str, neighbours: Neighbours) -> None:
    s3 = lake.s3.client(**lake.credentials(namespace, "own", lake.reader))
    for operation in READS.values():
        operation(s3, neighbours, neighbours.own_key)
        refused(lambda operation=operation: operation(s3, neighbours, neighbours.other_key))
    for operation in WRITES.values():
        refused(lambda operation=operation: operation(s3, neighbours, neighbours.own_key))


def test_bucket_and_parent_folder_cannot_be_listed(lake: Lake, namespace: str) -> None:
    neighbours = Neighbours(lake, namespace, ("a", "b"))
    s3 = lake.s3.client(**lake.credentials(namespace, "own"))
    for prefix in ("", "lake", "lake/", f"lake/{namespace}/", f"lake/{namespace}/a"):
        refused(lambda prefix=prefix: s3.list_objects_v2(Bucket=neighbours.bucket, Prefix=prefix))
    for attempt in (s3.list_buckets, lambda: s3.get_bucket_policy(Bucket=neighbours.bucket)):
        try:
            assert not attempt().get("Buckets")
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error


def test_staged_tables_credentials_work_only_for_its_location(lake: Lake, namespace: str) -> None:
    """CVE-2026-42809 elsewhere: credentials for any location that the caller named."""
    rest = lake.rest()
    path = f"/namespaces/{namespace}/tables"
    bucket = f"s3://{lake.bucket}"
    for outside in (f"{bucket}/other", "s3://other/lake/t", f"{bucket}/lake", f"{bucket}/lake/../x", "file:///etc/t"):
        for body in (
            create_body("t", location=outside, **{"stage-create": True}),
            create_body("t", properties={"write.data.path": outside}, **{"stage-create": True}),
            create_body("t", properties={"write.metadata.path": outside}, **{"stage-create": True}),
        ):
            assert answer(rest.post(path, json=body), 400)["error"]["type"] == "BadRequestException", body
    staged = answer(rest.post(path, json=create_body("t", **{"stage-create": True})))
    s3 = lake.s3.client(**as_aws(staged["storage-credentials"][0]["config"]))
    location = staged["metadata"]["location"]
    s3.put_object(Bucket=lake.bucket, Key=key_of(location, "metadata/m.avro"), Body=b"x")
    refused(lambda: s3.put_object(Bucket=lake.bucket, Key="lake/elsewhere", Body=b"x"))


def test_commit_with_a_location_outside_is_refused(lake: Lake, namespace: str) -> None:
    """CVE-2026-42812 elsewhere: only some of the properties were checked, and only when they changed."""
    rest = lake.rest()
    rest.create_table(namespace, create_body("t"))
    for name in ("write.data.path", "write.metadata.path", "write.object-storage.path", "write.folder-storage.path"):
        update = {"action": "set-properties", "updates": {name: f"s3://{lake.bucket}/other"}}
        assert answer(rest.commit(namespace, "t", [update]), 400)["error"]["type"] == "BadRequestException"
    moved = rest.commit(namespace, "t", [{"action": "set-location", "location": f"s3://{lake.bucket}/other"}])
    assert answer(moved, 400)["error"]["type"] == "BadRequestException"


def test_register_of_a_file_with_a_forged_location_is_refused(lake: Lake, namespace: str) -> None:
    """A fault of Unity Catalog: it trusted the location inside a registered file. Here it is checked before vending."""
    rest, s3 = lake.rest(), lake.s3.client()
    other = rest.create_table(namespace, create_body("other"))["metadata"]
    forged = {
        "at another table": {**other, "location": other["location"]},
        "inside another table": {**other, "location": other["location"] + "/data"},
        "around all tables": {**other, "location": f"s3://{lake.bucket}/lake"},
        "in another bucket": {**other, "location": "s3://elsewhere/lake/t"},
        "on the server's disk": {**other, "location": "file:///etc"},
        "by a property": {
            **other,
            "location": f"s3://{lake.bucket}/lake/{namespace}/forged",
            "properties": {"write.data.path": other["location"] + "/../.."},
        },
    }
    for number, (how, metadata) in enumerate(forged.items()):
        key = f"lake/{namespace}/forged/{number}.metadata.json"
        s3.put_object(Bucket=lake.bucket, Key=key, Body=json.dumps(metadata).encode())
        body = {"name": f"forged_{number}", "metadata-location": f"s3://{lake.bucket}/{key}"}
        refused_body = answer(rest.post(f"/namespaces/{namespace}/register", json=body), 400)
        assert refused_body["error"]["type"] == "BadRequestException", how


def test_files_outside_of_the_warehouse_are_not_read(lake: Lake, namespace: str) -> None:
    """In other catalogs, the answer to register revealed whether a file exists. Here the location is checked before
    any read."""
    key = "outside/1.metadata.json"
    lake.s3.client().put_object(Bucket=lake.bucket, Key=key, Body=b"{}")
    answers = set()
    for name in (key, "outside/none.metadata.json"):
        body = {"name": "t", "metadata-location": f"s3://{lake.bucket}/{name}"}
        error = answer(lake.rest().post(f"/namespaces/{namespace}/register", json=body), 400)["error"]
        answers.add(error["message"].replace(name, "NAME"))
    assert len(answers) == 1, answers


def test_credentials_cover_a_second_data_location(lake: Lake, namespace: str) -> None:
    data = f"s3://{lake.bucket}/lake/{namespace}-data"
    created = lake.rest().create_table(namespace, create_body("t", properties={"write.data.path": data}))
    prefixes = {given["prefix"] for given in created["storage-credentials"]}
    assert prefixes == {created["metadata"]["location"] + "/", data + "/"}
    s3 = lake.s3.client(**as_aws(created["storage-credentials"][0]["config"]))
    s3.put_object(Bucket=lake.bucket, Key=key_of(data, "x.parquet"), Body=b"x")
    refused(lambda: s3.put_object(Bucket=lake.bucket, Key=key_of(data + "2", "x.parquet"), Body=b"x"))


def test_two_tables_cannot_have_the_same_location(lake: Lake, namespace: str) -> None:
    """Applies to all location properties, while a table exists or can be restored. Otherwise credentials of one table would
    give access to the other's files."""
    rest, path = lake.rest(), f"/namespaces/{namespace}/tables"
    data = f"s3://{lake.bucket}/lake/{namespace}-data"
    first = rest.create_table(namespace, create_body("first", properties={"write.data.path": data}))["metadata"]
    rest.create_table(namespace, create_body("second"))
    properties = ("write.data.path", "write.metadata.path", "write.object-storage.path", "write.folder-storage.path")

    def no_way(place: str) -> None:
        bodies = [create_body("third", location=place)]
        bodies += [create_body("third", properties={name: place}) for name in properties]
        updates = [{"action": "set-location", "location": place}]
        updates += [{"action": "set-properties", "updates": {name: place}} for name in properties]
        answers = [rest.post(path, json={**body, "stage-create": staged}) for body in bodies for staged in (True, False)]
        answers += [rest.commit(namespace, "second", [update]) for update in updates]
        for refusal in answers:
            error = answer(refusal, 400)["error"]
            assert error["type"] == "BadRequestException" and "overlaps" in error["message"], error
            assert "first" not in error["message"].replace(place, ""), error

    taken = (data, data + "/x", data.replace("-data", "%2Ddata"), first["location"] + "/metadata")
    for place in taken:
        no_way(place)
    assert rest.delete(f"{path}/first").status_code == 204
    no_way(data)
    s3 = lake.s3.client(**lake.credentials(namespace, "second"))
    refused(lambda: s3.put_object(Bucket=lake.bucket, Key=key_of(data, "x.parquet"), Body=b"x"))


def test_credentials_have_an_expiry_and_a_refresh_endpoint(lake: Lake, namespace: str) -> None:
    rest = lake.rest()
    created = rest.create_table(namespace, create_body("t"))
    config = created["config"]
    assert created["storage-credentials"][0]["config"] == config
    left_ms = int(config["s3.session-token-expires-at-ms"]) - time.time() * 1_000
    assert 1_790_000 < left_ms <= 3_610_000, "the lifetime is not between half an hour and an hour"
    assert config["expiration-time"] == config["s3.session-token-expires-at-ms"]
    refreshed = answer(rest.get(f"{rest.uri}/{config['client.refresh-credentials-endpoint']}"))
    assert refreshed["storage-credentials"] == created["storage-credentials"], "the cached credentials were not reused"


def test_vended_answers_satisfy_snowflakes_checks(lake: Lake, namespace: str) -> None:
    """Requests as from Snowflake: with both ways to sign in, for tables with one or two data locations, staged or not."""
    rest = lake.rest()
    data = f"s3://{lake.bucket}/lake/{namespace}-apart"
    headers = {"X-Iceberg-Access-Delegation": "vended-credentials"}
    for body in (
        create_body("one"),
        create_body("two", properties={"write.data.path": data}),
        create_body("staged", **{"stage-create": True}),
    ):
        made = answer(rest.post(f"/namespaces/{namespace}/tables", json=body, headers=headers))
        assert complaints(made, time.time_ns() // 1_000_000) == []
    token = {"grant_type": "client_credentials", "client_id": "snowflake", "client_secret": lake.reader.text}
    signed_in = answer(Rest(rest.uri, None).post("/oauth/tokens", data=token))["access_token"]
    for key in (lake.reader.text, signed_in):
        for table in ("one", "two"):
            loaded = answer(Rest(rest.uri, key, "lake").get(f"/namespaces/{namespace}/tables/{table}", headers=headers))
            assert complaints(loaded, time.time_ns() // 1_000_000) == []


def test_load_without_access_delegation_gets_no_secret(lake: Lake, namespace: str) -> None:
    rest = lake.rest()
    rest.create_table(namespace, create_body("t"))
    for wanted, gets in (("vended-credentials", True), ("remote-signing,vended-credentials", True), ("none", False)):
        headers = {"X-Iceberg-Access-Delegation": wanted}
        loaded = answer(rest.get(f"/namespaces/{namespace}/tables/t", headers=headers))
        assert ("s3.secret-access-key" in loaded["config"]) == gets, wanted
        assert ("storage-credentials" in loaded) == gets
        assert loaded["config"]["s3.endpoint"], "the endpoint is missing"


def test_log_warehouse_list_and_database_show_no_secret(lake: Lake, namespace: str) -> None:
    lake.rest().create_table(namespace, create_body("t"))
    vended = lake.credentials(namespace, "t")
    shown = lake.server.stderr() + lake.server.command("warehouse", "list", "--org", lake.organisation, "--json").stdout
    for secret in ("adminsecret", vended["aws_secret_access_key"], vended["aws_session_token"]):
        assert secret not in shown
    database = b"".join(path.read_bytes() for path in lake.server.data_dir.glob("tidewater.db*"))
    assert b"adminsecret" not in database
