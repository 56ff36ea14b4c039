"""Tables whose files use the schemes of Hadoop's drivers (`s3a://`, `abfs://`), in warehouses whose roots do not.

The tests register such a table, load it with vended credentials, read and write it with PyIceberg, and purge it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.utils.concurrent import ExecutorFactory

from support.admin import Admin
from support.cloud_lake import CloudLake
from support.clouds import Cloud, make_lake_on
from support.lake import Lake
from support.rest import Rest, answer, empty
from support.rows import SIGHTINGS, in_order, sightings
from support.server import Server
from test_dropped import until

# Google has no other spelling.
RESPELLED = ("s3", "azure")

FSSPEC = {"py-io-impl": "pyiceberg.io.fsspec.FsspecFileIO"}
# Hadoop's schemes, by the scheme of a root.
HADOOP = {"s3": "s3a", "abfss": "abfs"}


def respelled(location: str) -> str | None:
    """Returns the location with Hadoop's scheme, or None if Hadoop has no other scheme."""
    scheme, rest = location.split("://")
    return f"{HADOOP[scheme]}://{rest}" if scheme in HADOOP else None


def unregistered_table(rest: Rest, catalog: RestCatalog, namespace: str, folder: str) -> tuple[str, dict[str, Any]]:
    """Writes a table whose document, manifests and data files all have Hadoop's scheme, and unregisters it."""
    spelled = respelled(folder)
    assert spelled is not None
    catalog.create_table((namespace, "old"), SIGHTINGS, location=folder)
    answer(rest.commit(namespace, "old", [{"action": "set-location", "location": spelled}]))
    table = catalog.load_table((namespace, "old"))
    table.append(sightings((1, "Oslo", 1.5), (2, "Voss", 2.5)))
    table.delete("id == 2")
    return spelled, answer(rest.post(f"/namespaces/{namespace}/tables/old/unregister", json={}))


def paths(catalog: RestCatalog, identifier: tuple[str, str]) -> set[str]:
    """Returns the manifest lists, manifests and data files of a table's snapshots."""
    table = catalog.load_table(identifier)
    lists = {snapshot.manifest_list for snapshot in table.snapshots()}
    manifests = set(table.inspect.all_manifests()["path"].to_pylist())
    return lists | manifests | set(table.inspect.data_files()["file_path"].to_pylist())


def being_removed(lake: CloudLake) -> list[dict[str, Any]]:
    """Returns dropped tables and views that are not deleted for good."""
    admin = Admin(lake.server)
    manager = admin.rest(admin.key(lake.organisation, "admin"))
    return answer(manager.get(f"{lake.server.uri}/management/v1/warehouses/lake/dropped"))["dropped"]


@pytest.fixture(scope="module")
def lake(make_server: Callable[..., Server], each_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> CloudLake:
    server = make_server("hadoop", env={"TIDEWATER_DROP__RETENTION_S": "0"})
    server.start()
    return make_lake_on(each_cloud, server, tmp_path_factory.mktemp("hadoop"))


@pytest.mark.parametrize("each_cloud", RESPELLED, indirect=True)
def test_table_in_hadoops_spelling_is_registered_read_changed_and_purged(
    lake: CloudLake, each_cloud: Cloud, unique: str
) -> None:
    rest, catalog = lake.rest(), lake.catalog()
    namespace = rest.create_namespace(unique)
    folder = f"{lake.root}/{unique}"
    spelled, gone = unregistered_table(rest, catalog, namespace, folder)
    scheme = spelled.split("://")[0]
    assert gone["metadata-location"].startswith(f"{spelled}/metadata/") and gone["metadata"]["location"] == spelled
    body = {"name": "t", "metadata-location": gone["metadata-location"]}
    answer(rest.post(f"/namespaces/{namespace}/register", json=body))

    loaded = rest.load(namespace, "t")
    assert loaded["metadata"] == gone["metadata"], "the registered metadata changed"
    prefixes = [one["prefix"] for one in loaded["storage-credentials"]]
    assert sorted(prefixes) == sorted([f"{folder}/", f"{spelled}/"])
    identifier = (namespace, "t")
    assert in_order(lake.catalog(lake.reader).load_table(identifier).scan().to_arrow()) == [(1, "Oslo", 1.5)]
    catalog.load_table(identifier).append(sightings((3, "Bergen", None)))
    after = catalog.load_table(identifier)
    assert in_order(after.scan().to_arrow()) == [(1, "Oslo", 1.5), (3, "Bergen", None)]
    assert after.metadata_location.startswith(f"{spelled}/metadata/")
    assert all(path.startswith(f"{scheme}://") for path in paths(catalog, identifier))

    # Nobody else may have the place, in whichever spelling; a new table has the warehouse's.
    for location in (folder, spelled, f"{spelled}/data"):
        taken = rest.post(f"/namespaces/{namespace}/tables", json=create_body("u", location))
        assert taken.status_code == 400 and "overlaps" in taken.text, taken.text
    beside = rest.create_table(namespace, create_body("beside", f"{spelled}-beside"))
    assert beside["metadata"]["location"] == f"{folder}-beside"

    assert len(each_cloud.objects(folder)) > 10
    empty(rest.delete(f"/namespaces/{namespace}/tables/t", params={"purgeRequested": "true"}))
    until(lambda: not being_removed(lake))
    assert each_cloud.objects(folder) == {}, "objects of the purged table remain"
    assert each_cloud.objects(f"{folder}-beside"), "the purge removed a neighbouring table's objects"


def test_requests_for_a_table_in_hadoops_spelling_are_signed(
    signing_lake: Lake, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As test_pyiceberg_signing.py says: threads take each other's signer off the client that they share.
    monkeypatch.setenv("PYICEBERG_MAX_WORKERS", "1")
    monkeypatch.setattr(ExecutorFactory, "_instance", None)
    rest, catalog = signing_lake.rest(), signing_lake.catalog(**FSSPEC)
    namespace = rest.create_namespace(unique)
    folder = f"s3://{signing_lake.bucket}/lake/{unique}"
    spelled, gone = unregistered_table(rest, catalog, namespace, folder)
    body = {"name": "t", "metadata-location": gone["metadata-location"]}
    answer(rest.post(f"/namespaces/{namespace}/register", json=body))
    catalog.load_table((namespace, "t")).append(sightings((3, "Bergen", None)))
    table = signing_lake.catalog(signing_lake.reader, **FSSPEC).load_table((namespace, "t"))
    assert table.location() == spelled
    assert in_order(table.scan().to_arrow()) == [(1, "Oslo", 1.5), (3, "Bergen", None)]


def create_body(name: str, location: str) -> dict[str, Any]:
    fields = [{"id": 1, "name": "x", "required": False, "type": "long"}]
    return {"name": name, "location": location, "schema": {"type": "struct", "fields": fields}}
