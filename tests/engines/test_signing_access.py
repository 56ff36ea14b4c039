"""Signed requests give access to their own table only. The storage server itself answers."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from support.admin import Admin
from support.documents import table as create_body
from support.lake import Lake, make_lake
from support.neighbours import FOLDERS, key_of, make_tables
from support.rest import answer, empty
from support.s3 import ACCESS_KEY, ROLE, SECRET_KEY
from support.signing import Signer
from support.teams import Teams

SECRET = b"of the other table"


class Neighbours:
    """Two neighbouring tables with an object in each, and signers for the first."""

    def __init__(self, lake: Lake, namespace: str, folders: tuple[str, str]):
        own, other = make_tables(lake, namespace, folders)
        self.own, self.other = key_of(own, "data/x"), key_of(other, "data/x")
        self.s3 = lake.s3.client()
        self.bucket = lake.bucket
        for key, body in ((self.own, b"mine"), (self.other, SECRET)):
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        self.writer = Signer(lake, namespace, "own")
        self.reader = Signer(lake, namespace, "own", lake.reader)

    def body_of(self, key: str) -> bytes:
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def keys(self) -> list[str]:
        return [found["Key"] for found in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]


@pytest.fixture(params=FOLDERS)
def neighbours(request: pytest.FixtureRequest, signing_lake: Lake, unique: str) -> Neighbours:
    namespace = signing_lake.rest().create_namespace(unique)
    return Neighbours(signing_lake, namespace, FOLDERS[request.param])


@pytest.fixture
def pair(signing_lake: Lake, unique: str) -> Neighbours:
    return Neighbours(signing_lake, signing_lake.rest().create_namespace(unique), ("t1", "t10"))


def good(response: requests.Response) -> requests.Response:
    assert response.status_code in {200, 204, 206}, f"{response.request.url}: {response.status_code} {response.text}"
    return response


# For tests that need a token service, which only one of the servers has.
with_sessions = pytest.mark.parametrize("signing_lake", ["ceph"], indirect=True)


def removal(*keys: str) -> bytes:
    objects = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
    return f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{objects}</Delete>'.encode()


def test_writer_gets_signatures_for_its_own_files(neighbours: Neighbours) -> None:
    signer, own = neighbours.writer, neighbours.own
    assert good(signer.send("GET", signer.url(own))).content == b"mine"
    assert good(signer.send("GET", signer.url(own), {"Range": "bytes=1-2"})).content == b"in"
    good(signer.send("HEAD", signer.url(own)))
    listed = good(signer.send("GET", signer.url("", f"?list-type=2&prefix={requests.utils.quote(own[:-1], safe='')}")))
    assert re.findall("<Key>(.*?)</Key>", listed.text) == [own]
    made = f"{own[:-1]}b=1%2F2 c+d"
    good(signer.send("PUT", signer.url(made), {"Content-Type": "text/plain", "x-amz-meta-a": "b"}, b"new"))
    assert neighbours.body_of(made) == b"new"
    good(signer.send("PUT", signer.url(f"{own}2"), {"x-amz-copy-source": f"/{neighbours.bucket}/{requests.utils.quote(own)}"}))
    assert neighbours.body_of(f"{own}2") == b"mine"
    begun = good(signer.send("POST", signer.url(f"{own}3", "?uploads"))).text
    upload = re.search("<UploadId>(.*)</UploadId>", begun)[1]  # type: ignore[index]
    part = good(signer.send("PUT", signer.url(f"{own}3", f"?partNumber=1&uploadId={upload}"), data=b"part"))
    assert "<PartNumber>1<" in good(signer.send("GET", signer.url(f"{own}3", f"?uploadId={upload}"))).text
    parts = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{part.headers['ETag']}</ETag></Part></CompleteMultipartUpload>"
    good(signer.send("POST", signer.url(f"{own}3", f"?uploadId={upload}"), data=parts.encode()))
    assert neighbours.body_of(f"{own}3") == b"part"
    begun = good(signer.send("POST", signer.url(f"{own}4", "?uploads"))).text
    upload = re.search("<UploadId>(.*)</UploadId>", begun)[1]  # type: ignore[index]
    good(signer.send("DELETE", signer.url(f"{own}4", f"?uploadId={upload}")))
    good(signer.send("DELETE", signer.url(f"{own}3")))
    body = removal(f"{own}2", own)
    digest = {"Content-MD5": base64.b64encode(hashlib.md5(body).digest()).decode()}
    good(signer.send("POST", signer.url("", "?delete"), digest, data=body, body=body.decode()))
    gone = {own, f"{own}2", f"{own}3", f"{own}4"}
    assert not gone & set(neighbours.keys())


def test_signature_for_another_table_is_refused(neighbours: Neighbours) -> None:
    signer, other, own = neighbours.writer, neighbours.other, neighbours.own
    before = sorted(neighbours.keys())
    for method, query in (
        ("GET", ""), ("HEAD", ""), ("PUT", ""), ("DELETE", ""), ("POST", "?uploads"),
        ("PUT", "?partNumber=1&uploadId=x"), ("POST", "?uploadId=x"), ("DELETE", "?uploadId=x"), ("GET", "?uploadId=x"),
    ):  # fmt: skip
        signer.refused(method, signer.url(other, query))
    for prefix in (other, other[:-1], own.rsplit("/", 2)[0], own.rsplit("/", 3)[0] + "/", "lake/", ""):
        signer.refused("GET", signer.url("", f"?list-type=2&prefix={requests.utils.quote(prefix, safe='')}"))
    source = {"x-amz-copy-source": f"/{neighbours.bucket}/{requests.utils.quote(other)}"}
    signer.refused("PUT", signer.url(own), source)
    signer.refused("PUT", signer.url(own, "?partNumber=1&uploadId=x"), source)
    signer.refused("POST", signer.url("", "?delete"), body=removal(own, other).decode())
    signer.refused("POST", signer.url("", "?delete"))
    assert neighbours.body_of(other) == SECRET and sorted(neighbours.keys()) == before


def test_reader_gets_no_signatures_for_writes(pair: Neighbours) -> None:
    signer, own = pair.reader, pair.own
    assert good(signer.send("GET", signer.url(own))).content == b"mine"
    good(signer.send("HEAD", signer.url(own)))
    good(signer.send("GET", signer.url("", f"?list-type=2&prefix={own[:-1]}")))
    for method, query in (("PUT", ""), ("DELETE", ""), ("POST", "?uploads"), ("PUT", "?partNumber=1&uploadId=x")):
        assert "may only read" in signer.refused(method, signer.url(own, query))
    signer.refused("POST", signer.url("", "?delete"), body=removal(own).decode())
    signer.refused("PUT", signer.url(f"{own}2"), {"x-amz-copy-source": f"/{pair.bucket}/{own}"})


def changed_method(s: Signer, n: Neighbours, signed: dict[str, str]) -> requests.Response:
    return requests.delete(s.url(n.own), headers=signed, timeout=60)


STOLEN: dict[str, Callable[[Signer, Neighbours, dict[str, str]], requests.Response]] = {
    "another object": lambda s, n, signed: requests.get(s.url(n.other), headers=signed, timeout=60),
    "a way out of the folder": lambda s, n, signed: requests.get(s.url(n.own) + "/../../../t10/data/x", headers=signed, timeout=60),
    "another method": changed_method,
    "a parameter more": lambda s, n, signed: requests.get(s.url(n.own, "?acl"), headers=signed, timeout=60),
    "the bucket": lambda s, n, signed: requests.get(s.url(""), headers=signed, timeout=60),
}


@pytest.mark.parametrize("use", STOLEN.values(), ids=STOLEN)
def test_signature_is_valid_only_for_the_signed_request(pair: Neighbours, use: Callable) -> None:
    signed = answer(pair.writer.ask("GET", pair.writer.url(pair.own)))["headers"]
    refused = use(pair.writer, pair, {name: ", ".join(values) for name, values in signed.items()})
    assert refused.status_code == 403, (refused.status_code, refused.text)
    assert pair.body_of(pair.own) == b"mine"


def test_signed_write_cannot_become_a_copy_of_another_tables_file(pair: Neighbours) -> None:
    """Unlike Amazon, the gateway accepts `x-amz-copy-source` without a signature."""
    signer = pair.writer
    source = {"x-amz-copy-source": f"/{pair.bucket}/{pair.other}"}
    copied = signer.send("PUT", signer.url(f"{pair.own}2"), added=source)
    assert copied.status_code in {400, 403, 412, 416}, (copied.status_code, copied.text)
    assert f"{pair.own}2" not in pair.keys()
    begun = good(signer.send("POST", signer.url(f"{pair.own}3", "?uploads"))).text
    upload = re.search("<UploadId>(.*)</UploadId>", begun)[1]  # type: ignore[index]
    part = signer.url(f"{pair.own}3", f"?partNumber=1&uploadId={upload}")
    for added in (source, {**source, "x-amz-copy-source-range": "bytes=0-3"}):
        copied = signer.send("PUT", part, added=added)
        assert copied.status_code in {400, 403, 412, 416}, (copied.status_code, copied.text)
    assert "<PartNumber>1<" not in good(signer.send("GET", signer.url(f"{pair.own}3", f"?uploadId={upload}"))).text


def test_batch_removal_with_another_body_is_refused(pair: Neighbours) -> None:
    signer = pair.writer
    swapped = signer.send("POST", signer.url("", "?delete"), data=removal(pair.other), body=removal(pair.own).decode())
    assert swapped.status_code >= 400, swapped.text
    assert pair.body_of(pair.other) == SECRET


def test_signature_for_another_host_or_bucket_is_refused(pair: Neighbours) -> None:
    signer = pair.writer
    key = pair.own
    for url in (
        f"http://evil.example.com/{pair.bucket}/{key}",
        f"{signer.lake.s3.uri}@evil.example.com/{pair.bucket}/{key}",
        f"{signer.lake.s3.uri}/other/{key}",
        f"{signer.lake.s3.uri}/{pair.bucket}/../other/{key}",
        f"{signer.lake.s3.uri}//{pair.bucket}/{key}",
        f"https://{signer.lake.s3.uri.removeprefix('http://')}/{pair.bucket}/{key}",
        "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
    ):
        signer.refused("GET", url)


def test_signature_for_another_organisations_table_gets_404(pair: Neighbours) -> None:
    admin = Admin(pair.writer.lake.server)
    stranger = admin.key(admin.organisation("enterprise"), "admin")
    pair.writer.rest = admin.rest(stranger)
    for prefix in ("", "/lake"):
        pair.writer.rest.base = f"{pair.writer.lake.server.uri}/v1{prefix}"
        assert pair.writer.ask("GET", pair.writer.url(pair.own)).status_code == 404


def test_cache_headers_of_signatures_have_javas_form(pair: Neighbours) -> None:
    signer = pair.writer
    kept = {}
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        response = signer.ask(method, signer.url(pair.own))
        # The Java client expects exactly these capitals.
        kept[method] = dict(response.raw.headers.items())["Cache-Control"]
    assert kept == {"GET": "private", "HEAD": "private", "PUT": "no-cache", "DELETE": "no-cache"}


def test_signature_uses_the_warehouses_region(pair: Neighbours) -> None:
    signer = pair.writer
    signed = answer(signer.ask("GET", signer.url(pair.own), region="mars-north-1"))["headers"]
    assert "/us-east-1/s3/aws4_request" in signed["Authorization"][0]


def test_invalid_request_is_refused_with_the_reason(pair: Neighbours) -> None:
    signer = pair.writer
    for body in ({}, [], {"uri": 1}, {"uri": "x", "method": "GET", "headers": {"a": "b"}}, "x"):
        assert signer.rest.post(signer.path, json=body).status_code == 400, body
    assert "provider" in signer.refused("GET", signer.url(pair.own), provider="gcs")
    missing = Signer(signer.lake, "nowhere", "t").ask("GET", signer.url(pair.own))
    assert missing.status_code == 404, missing.text


def test_pass_for_a_staged_table_works_for_that_table_only(signing_lake: Lake, unique: str) -> None:
    namespace = signing_lake.rest().create_namespace(unique)
    rest = signing_lake.rest()
    staged = rest.create_table(namespace, {**create_body("new"), "stage-create": True})
    key = key_of(staged["metadata"]["location"], "data/x")
    endpoint = staged["config"]["s3.signer.endpoint"]
    passed = staged["remote-signing-config"]["properties"]["pass"]
    assert endpoint == f"v1/lake/namespaces/{namespace.replace('_', '%5F')}/tables/new/sign?pass={passed}"
    signer = Signer(signing_lake, namespace, "new")
    assert signer.ask("PUT", signer.url(key)).status_code == 404
    good(signer.send("PUT", signer.url(key), data=b"x", properties={"pass": passed}))
    signer.path += f"?pass={passed}"
    assert good(signer.send("GET", signer.url(key))).content == b"x"
    signer.refused("PUT", signer.url("lake/other/data/x"))
    for path in (
        signer.path.replace("/new/", "/other/"),
        signer.path[:-4] + ("AAAA" if signer.path[-4:] != "AAAA" else "BBBB"),
        signer.path.split("?")[0] + "?pass=",
        signer.path.split("?")[0] + "?pass=%FF",
    ):
        signer.path, kept = path, signer.path
        assert signer.ask("PUT", signer.url(key)).status_code in {400, 404}, path
        signer.path = kept
    reader = Signer(signing_lake, namespace, "new", signing_lake.reader)
    reader.path = signer.path
    reader.refused("PUT", signer.url(key))


def test_pass_works_after_a_drop_and_for_no_other_table(signing_lake: Lake, unique: str) -> None:
    rest = signing_lake.rest()
    namespace = rest.create_namespace(unique)
    made = rest.create_table(namespace, create_body("t"))
    key = key_of(made["metadata"]["location"], "data/x")
    signer, keyed = (Signer(signing_lake, namespace, "t") for _ in range(2))
    keyed.path += "?" + made["config"]["s3.signer.endpoint"].split("?")[1]
    good(signer.send("PUT", signer.url(key), data=b"x"))
    empty(rest.delete(f"/namespaces/{namespace}/tables/t"))
    # A client that drops a table with its files removes the files after the drop.
    assert signer.ask("GET", signer.url(key)).status_code == 404
    assert good(keyed.send("GET", signer.url(key))).content == b"x"
    other = rest.create_table(namespace, create_body("t"))
    other_key = key_of(other["metadata"]["location"], "data/x")
    signer.refused("GET", signer.url(key))
    good(keyed.send("DELETE", signer.url(key)))
    good(keyed.send("PUT", signer.url(other_key), data=b"y"))
    keyed.refused("GET", signer.url("lake/other/data/x"))


@with_sessions
def test_warehouse_with_a_role_signs_only_for_clients_that_request_signing(
    signing_lake: Lake, unique: str, tmp_path: Path
) -> None:
    bucket = unique.replace("_", "-")[:60]
    lake = make_lake(signing_lake.server, signing_lake.s3, bucket, tmp_path, "remote-signing = true")
    rest = lake.rest()
    namespace = rest.create_namespace(unique)
    made = rest.create_table(namespace, create_body("t"))
    assert "s3.session-token" in made["config"] and "s3.signer" not in made["config"]
    rest.session.headers["X-Iceberg-Access-Delegation"] = "remote-signing"
    loaded = rest.load(namespace, "t")
    assert "s3.session-token" not in loaded["config"] and "storage-credentials" not in loaded
    assert loaded["config"]["s3.remote-signing-enabled"] == "true"
    signer = Signer(lake, namespace, "t")
    key = key_of(made["metadata"]["location"], "data/x")
    good(signer.send("PUT", signer.url(key), data=b"x"))


@with_sessions
def test_signature_with_a_temporary_key_contains_its_token(
    signing_lake: Lake, unique: str, tmp_path: Path
) -> None:
    bucket = unique.replace("_", "-")[:60]
    s3 = signing_lake.s3
    s3.make_bucket(bucket)
    session = s3.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="catalog")["Credentials"]
    profile = s3.profile(tmp_path, role=None)
    text = profile.read_text().replace(f'"{ACCESS_KEY}"', f'"{session["AccessKeyId"]}"')
    text = text.replace(f'"{SECRET_KEY}"', f'"{session["SecretAccessKey"]}"')
    profile.write_text(f'{text}session-token = "{session["SessionToken"]}"\n')
    admin = Admin(signing_lake.server)
    organisation = admin.organisation("enterprise", warehouse=None)
    arguments = ("lake", "--org", organisation, "--root", f"s3://{bucket}/lake", "--storage", str(profile))
    signing_lake.server.command("warehouse", "create", *arguments)
    lake = Lake(signing_lake.server, s3, organisation, bucket, *(admin.key(organisation, role) for role in ("writer", "reader")))
    namespace = lake.rest().create_namespace(unique)
    key = key_of(lake.rest().create_table(namespace, create_body("t"))["metadata"]["location"], "data/x")
    signer = Signer(lake, namespace, "t")
    good(signer.send("PUT", signer.url(key), data=b"x"))
    assert good(signer.send("GET", signer.url(key))).content == b"x"
    assert answer(signer.ask("GET", signer.url(key)))["headers"]["x-amz-security-token"] == [session["SessionToken"]]


# ---- principals without a built-in role ----


@pytest.fixture
def team(signing_lake: Lake, unique: str) -> Teams:
    """Two principals: `maker`, which may only create tables in the test's namespace, and `reader`, which reads its table `own`."""
    make_tables(signing_lake, signing_lake.rest().create_namespace(unique), ("own", "other"))
    team = Teams(signing_lake.server, signing_lake.organisation, "lake")
    for member, privilege, on in (
        ("maker", "TABLE_CREATE", ("namespace", unique)),
        ("reader", "TABLE_READ_DATA", ("table", f"{unique}.own")),
    ):
        principal = f"{unique}-{member}"
        team.add_principal(principal)
        team.add_role(principal, principal)
        team.grant(principal, privilege, *on)
        team.keys[member] = team.keys[principal]
    return team


def test_principal_that_may_only_create_tables_fills_a_staged_table(signing_lake: Lake, team: Teams, unique: str) -> None:
    staged = team.rest("maker").create_table(unique, create_body("new", **{"stage-create": True}))
    path = f"{signing_lake.server.uri}/{staged['config']['signer.endpoint']}"
    signer = Signer(signing_lake, unique, "new", team.keys["maker"])
    signer.path = path
    key = key_of(staged["metadata"]["location"], "data/x")
    good(signer.send("PUT", signer.url(key), data=b"new"))
    assert good(signer.send("GET", signer.url(key))).content == b"new"
    # Another principal that may create tables there does not get at the files with the same pass.
    other = f"{unique}-second"
    team.add_principal(other)
    team.tidewater("role", "assign", f"{unique}-maker", other, "--catalog")
    second = Signer(signing_lake, unique, "new", team.keys[other])
    second.path = path
    assert second.ask("GET", second.url(key)).status_code in {403, 404}


def test_reader_of_one_table_is_told_that_its_write_is_not_signed(signing_lake: Lake, team: Teams, unique: str) -> None:
    loaded = team.rest("reader").load(unique, "own")
    signer = Signer(signing_lake, unique, "own", team.keys["reader"])
    signer.path = f"{signing_lake.server.uri}/{loaded['config']['signer.endpoint']}"
    url = signer.url(key_of(loaded["metadata"]["location"], "data/x"))
    answer(signer.ask("GET", url))
    refused = signer.ask("PUT", url)
    assert refused.status_code == 403, refused.text
    assert "namespace" not in refused.json()["error"]["message"], refused.text


def test_revoked_grant_ends_signatures_of_an_open_session(signing_lake: Lake, team: Teams, unique: str) -> None:
    loaded = team.rest("reader").load(unique, "own")
    signer = Signer(signing_lake, unique, "own", team.keys["reader"])
    signer.path = f"{signing_lake.server.uri}/{loaded['config']['signer.endpoint']}"
    url = signer.url(key_of(loaded["metadata"]["location"], "data/x"))
    answer(signer.ask("GET", url))
    team.revoke(f"{unique}-reader", "TABLE_READ_DATA", "table", f"{unique}.own")
    assert signer.ask("GET", url).status_code == 404
