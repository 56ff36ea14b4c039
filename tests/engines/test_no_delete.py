"""Credentials that remove no files, for a warehouse and for a key, on each cloud; and signed requests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from support.admin import Admin, Key
from support.cloud_lake import CloudLake
from support.clouds import Cloud, OnGoogle, make_lake_on
from support.documents import table as create_body
from support.lake import Lake
from support.rest import answer, empty
from support.server import Server
from support.signing import Signer
from test_dropped import until


@pytest.fixture(scope="module")
def lake(make_server: Callable[..., Server], each_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> CloudLake:
    server = make_server("no-delete")
    server.start()
    return make_lake_on(each_cloud, server, tmp_path_factory.mktemp("no-delete"))


def allowed(each_cloud: Cloud, lake: CloudLake, namespace: str, key: Key | None = None) -> set[str]:
    """Returns the actions that the vended settings of table `t` allow on an existing file."""
    location = lake.rest().load(namespace, "t")["metadata"]["location"]
    each_cloud.put(f"{location}/data/x.parquet", b"x")
    return each_cloud.can(lake.given(namespace, "t", key), f"{location}/data/x.parquet")


def without_delete(each_cloud: Cloud) -> set[str]:
    # On Google Cloud, overwriting needs the permission to remove.
    return {"read", "list"} if isinstance(each_cloud, OnGoogle) else {"read", "list", "write"}


def test_key_without_delete_writes_and_removes_nothing(each_cloud: Cloud, lake: CloudLake, unique: str) -> None:
    namespace = lake.rest().create_namespace(unique)
    lake.rest().create_table(namespace, create_body("t"))
    keeper = Admin(lake.server).key(lake.organisation, "writer", "--no-delete")
    assert allowed(each_cloud, lake, namespace) == {"read", "list", "write", "remove"}
    assert allowed(each_cloud, lake, namespace, keeper) == without_delete(each_cloud)
    assert allowed(each_cloud, lake, namespace, lake.reader) == {"read", "list"}
    shown = json.loads(lake.server.command("key", "show", keeper.id, "--org", lake.organisation, "--json").stdout)
    assert shown["no-delete"] is True


def test_warehouse_without_delete_applies_to_all_keys_and_can_be_changed(each_cloud: Cloud, lake: CloudLake, unique: str) -> None:
    namespace = lake.rest().create_namespace(unique)
    lake.rest().create_table(namespace, create_body("t"))
    set_options = ("warehouse", "set-options", "lake", "--org", lake.organisation)
    lake.server.command(*set_options, "--no-delete")
    until(lambda: allowed(each_cloud, lake, namespace) == without_delete(each_cloud))
    # The test of the storage checks the option.
    said = lake.server.command("warehouse", "check", "lake", "--org", lake.organisation)
    assert "works" in said.stdout
    # The catalog itself can still remove files.
    location = lake.rest().load(namespace, "t")["metadata"]["location"]
    empty(lake.rest().delete(f"/namespaces/{namespace}/tables/t", params={"purgeRequested": "true"}))
    manager = Admin(lake.server).rest(Admin(lake.server).key(lake.organisation, "admin"))
    management = f"{lake.server.uri}/management/v1/warehouses/lake/dropped"
    (entry,) = [
        one for one in answer(manager.get(management))["dropped"] if one["identifier"]["namespace"] == [namespace]
    ]
    empty(manager.delete(f"{management}/{entry['id']}"))
    until(lambda: each_cloud.names(location) <= {"data/x.parquet"})
    lake.server.command(*set_options, "--allow-delete")
    lake.rest().create_table(namespace, create_body("t"))
    until(lambda: allowed(each_cloud, lake, namespace) == {"read", "list", "write", "remove"})


def test_warehouse_created_without_delete_passes_its_check(
    each_cloud: Cloud, lake: CloudLake, unique: str, tmp_path: Path
) -> None:
    profile = str(each_cloud.profile(tmp_path))
    create = ("warehouse", "create", unique, "--org", lake.organisation, "--root", each_cloud.root(unique))
    done = lake.server.command(*create, "--storage", profile, "--no-delete", "--purge", "at-once", "--json")
    made = json.loads(done.stdout)
    assert (made["no-delete"], made["purge"]) == (True, "at-once")
    assert "ok      vend credentials: they reach their table and no other" in done.stderr


def test_signed_requests_remove_nothing_with_such_a_key(signing_lake: Lake, unique: str) -> None:
    namespace = signing_lake.rest().create_namespace(unique)
    made = signing_lake.rest().create_table(namespace, create_body("t"))
    folder = made["metadata"]["location"].split("/", 3)[3]
    keeper = Signer(signing_lake, namespace, "t", Admin(signing_lake.server).key(signing_lake.organisation, "writer", "--no-delete"))
    writer = Signer(signing_lake, namespace, "t")
    url = writer.url(f"{folder}/data/x")
    assert keeper.send("PUT", url, data=b"x").status_code == 200
    assert keeper.send("GET", url).content == b"x"
    assert "does not let clients remove files" in keeper.refused("DELETE", url)
    body = f"<Delete><Object><Key>{folder}/data/x</Key></Object></Delete>"
    assert "does not let clients remove files" in keeper.refused("POST", writer.url("", "?delete"), body=body)
    # An upload that is given up is no removal.
    begun = keeper.send("POST", f"{url}?uploads")
    (upload,) = re.findall("<UploadId>([^<]*)</UploadId>", begun.text)
    assert keeper.send("DELETE", f"{url}?uploadId={upload}").status_code == 204
    assert keeper.send("GET", url).content == b"x"
    assert writer.send("DELETE", url).status_code == 204


def test_option_is_refused_on_the_local_disk(make_server: Callable[..., Server], tmp_path: Path) -> None:
    server = make_server("no-delete-local")
    server.start()
    organisation = Admin(server).organisation("enterprise")
    of = ("--org", organisation)
    for command in (("create", "safe", "--root", tmp_path.as_uri(), "--no-delete"), ("set-options", "main", "--no-delete")):
        refusal = server.command("warehouse", *command, *of, check=False)
        assert refusal.returncode == 1
        assert "is not possible on the local disk" in refusal.stderr


def test_warehouse_with_purge_at_once_shows_the_option_and_purges_at_once(make_server: Callable[..., Server]) -> None:
    server = make_server("purge-at-once")
    server.start()
    admin = Admin(server)
    organisation = admin.organisation("enterprise")
    of = ("--org", organisation)
    rest = admin.rest(admin.key(organisation, "writer"))
    namespace = rest.create_namespace("ns")

    def dropped_with_a_purge(name: str) -> Path:
        location = rest.create_table(namespace, create_body(name))["metadata"]["location"]
        empty(rest.delete(f"/namespaces/{namespace}/tables/{name}", params={"purgeRequested": "true"}))
        return Path(location.removeprefix("file://"))

    def listed() -> list[dict]:
        return json.loads(server.command("table", "dropped", *of, "--json").stdout)

    kept = dropped_with_a_purge("later")
    (entry,) = listed()
    assert (entry["purge"], entry["restorable"], entry["files-go"]) == (True, True, entry["restorable-until"])
    server.command("warehouse", "set-options", "main", *of, "--purge", "at-once")
    assert json.loads(server.command("warehouse", "show", "main", *of, "--json").stdout)["purge"] == "at-once"
    # A running server sees it within seconds.
    number = iter(range(1_000))
    until(lambda: not dropped_with_a_purge(f"now{next(number)}").exists())
    assert kept.exists(), "the new option changed an earlier drop"
    location = rest.create_table(namespace, create_body("plain"))["metadata"]["location"]
    empty(rest.delete(f"/namespaces/{namespace}/tables/plain"))
    plain = next(one for one in listed() if one["name"] == "plain")
    assert (plain["restorable"], plain["files-go"]) == (True, None)
    assert Path(location.removeprefix("file://")).exists()
    assert "never" in server.command("table", "dropped", *of).stdout
