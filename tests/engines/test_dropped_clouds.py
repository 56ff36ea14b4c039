"""Dropped tables on each cloud: restored completely, or purged with all of their objects and no others, also after a
crash."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from pyiceberg.catalog.rest import RestCatalog

from support.admin import Admin, Key
from support.apart import Apart
from support.cloud_lake import CloudLake
from support.clouds import Cloud, make_lake_on
from support.documents import table as create_body
from support.faulty_proxy import Fault, FaultyProxy, Request
from support.rest import Rest, answer, empty, refused
from support.rows import SIGHTINGS, Row, in_order, sightings
from support.server import Server
from test_dropped import until


@dataclass
class Place:
    """A warehouse on a cloud. The catalog uses a proxy that injects faults; clients do not."""

    cloud: Cloud
    server: Server
    proxy: FaultyProxy
    lake: CloudLake
    manager: Key

    def table(self, namespace: str, name: str) -> Table:
        return Table(self, namespace, name)

    def dropped(self) -> Rest:
        return Admin(self.server).rest(self.manager)

    @property
    def management(self) -> str:
        return f"{self.server.uri}/management/v1/warehouses/lake/dropped"

    def listed(self, namespace: str) -> dict[str, dict]:
        """Returns the dropped tables of a namespace by name."""
        entries = answer(self.dropped().get(self.management))["dropped"]
        return {one["identifier"]["name"]: one for one in entries if one["identifier"]["namespace"] == [namespace]}


class Table:
    """One table that a client reads and writes with vended credentials."""

    def __init__(self, place: Place, namespace: str, name: str):
        self._place, self._namespace, self._name = place, namespace, name

    def _catalog(self) -> RestCatalog:
        return self._place.lake.catalog()

    def _apart(self) -> Apart:
        return Apart(self._place.lake, self._place.lake.writer.text, (self._namespace, self._name))

    def fill(self, batches: int) -> None:
        """Appends rows, and deletes some of them."""
        rows: list[list[Row]] = [[(2 * number, "Oslo", 1.5), (2 * number + 1, "Voss", None)] for number in range(batches)]
        if self._place.cloud.wants_clients_apart:
            table = self._apart()
            table.create_with(*rows[0])
            for more in rows[1:]:
                assert table.append(*more) is None
            table.delete("id == 1")
            return
        made = self._catalog().create_table((self._namespace, self._name), SIGHTINGS)
        for some in rows:
            made.append(sightings(*some))
        made.delete("id == 1")

    def rows(self) -> list[tuple]:
        if self._place.cloud.wants_clients_apart:
            return self._apart().rows()
        return in_order(self._catalog().load_table((self._namespace, self._name)).scan().to_arrow())

    def location(self) -> str:
        return self._place.lake.rest().load(self._namespace, self._name)["metadata"]["location"]

    def purge(self) -> None:
        path = f"/namespaces/{self._namespace}/tables/{self._name}"
        empty(self._place.lake.rest().delete(path, params={"purgeRequested": "true"}))


@pytest.fixture(scope="module")
def place(make_server: Callable[..., Server], each_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    # A client reaches the storage where the catalog does, so the proxy is between both and it; it spoils removals only.
    proxy = FaultyProxy(each_cloud.uri)
    times = {"REQUEST_TIMEOUT_S": "20", "CONNECT_TIMEOUT_S": "5", "RETRY_TIMEOUT_S": "5"}
    server = make_server("dropped-clouds", env={f"TIDEWATER_STORAGE__{name}": value for name, value in times.items()})
    server.start()
    lake = make_lake_on(each_cloud, server, tmp_path_factory.mktemp("dropped"), through=proxy.uri)
    yield Place(each_cloud, server, proxy, lake, Admin(server).key(lake.organisation, "admin"))
    proxy.close()


@pytest.fixture
def namespace(place: Place, unique: str) -> Iterator[str]:
    yield place.lake.rest().create_namespace(unique)
    place.proxy.spoil(None)


def is_removal(request: Request) -> bool:
    return request.method == "DELETE" or "comp=batch" in request.path


def test_dropped_table_is_restored_and_purge_removes_its_objects(place: Place, namespace: str) -> None:
    names = ("kept", "gone", "beside")
    tables = {name: place.table(namespace, name) for name in names}
    for table in tables.values():
        table.fill(2)
    locations = {name: table.location() for name, table in tables.items()}
    before = {name: place.cloud.objects(location) for name, location in locations.items()}
    assert all(len(found) > 10 for found in before.values())

    for name in ("kept", "gone"):
        tables[name].purge()
        refused(place.lake.rest().get(f"/namespaces/{namespace}/tables/{name}"), 404, "NoSuchTableException")
    entries = place.listed(namespace)
    assert {name: (one["purge-requested"], one["restorable"], one["state"]) for name, one in entries.items()} == {
        "kept": (True, True, "kept"),
        "gone": (True, True, "kept"),
    }
    empty(place.dropped().post(f"{place.management}/{entries['kept']['id']}/restore", json={}))
    empty(place.dropped().delete(f"{place.management}/{entries['gone']['id']}"))
    until(lambda: not place.listed(namespace))
    assert place.cloud.objects(locations["gone"]) == {}, "objects of the purged table remain"
    assert place.cloud.objects(locations["kept"]) == before["kept"], "objects of the restored table changed"
    assert place.cloud.objects(locations["beside"]) == before["beside"], "objects of the neighbouring table changed"
    assert tables["kept"].rows() == [(0, "Oslo", 1.5), (2, "Oslo", 1.5), (3, "Voss", None)]


def test_purge_interrupted_by_a_kill_ends_after_the_next_start(place: Place, namespace: str) -> None:
    table, neighbour = place.table(namespace, "large"), place.table(namespace, "beside")
    table.fill(6)
    neighbour.fill(2)
    location, beside = table.location(), neighbour.location()
    before, others = place.cloud.objects(location), place.cloud.objects(beside)
    assert len(before) > 25
    table.purge()
    (entry,) = place.listed(namespace).values()
    # The first ones go through, the others hang: so it is in the middle, however fast the machine is.
    few = iter(range(10))
    place.proxy.spoil(Fault("silence", lambda request: is_removal(request) and next(few, None) is None))
    empty(place.dropped().delete(f"{place.management}/{entry['id']}"))
    until(lambda: place.proxy.spoilt > 0)
    place.server.kill()
    place.proxy.wait_until_quiet()
    left = place.cloud.objects(location)
    assert 0 < len(left) < len(before), "the kill did not interrupt the purge"
    assert left.items() <= before.items()
    place.proxy.spoil(None)

    place.server.start()
    ended = place.listed(namespace)
    assert all((one["state"], one["restorable"]) == ("removing", False) for one in ended.values())
    until(lambda: not place.listed(namespace))
    assert place.cloud.objects(location) == {}
    assert place.cloud.objects(beside) == others
    assert len(neighbour.rows()) == 3


def test_purge_retries_removals_after_a_storage_fault(place: Place, namespace: str) -> None:
    table = place.table(namespace, "t")
    table.fill(2)
    location = table.location()
    table.purge()
    (entry,) = place.listed(namespace).values()
    place.proxy.spoil(Fault("answer", is_removal, times=5))
    empty(place.dropped().delete(f"{place.management}/{entry['id']}"))
    until(lambda: not place.listed(namespace))
    assert place.proxy.spoilt == 5
    assert place.cloud.objects(location) == {}


def test_compressed_metadata_is_written_and_read(place: Place, namespace: str) -> None:
    rest = place.lake.rest()
    body = create_body("t", properties={"write.metadata.compression-codec": "gzip"})
    made = rest.create_table(namespace, body)
    answer(rest.commit(namespace, "t", [{"action": "set-properties", "updates": {"a": "b"}}]))
    objects = place.cloud.objects(made["metadata"]["location"])
    assert len(objects) == 2 and all(name.endswith(".gz.metadata.json") for name in objects)
    # The server is started anew, so that it must read.
    place.server.stop()
    place.server.start()
    loaded = rest.load(namespace, "t")
    content = objects[loaded["metadata-location"].removeprefix(made["metadata"]["location"] + "/")]
    assert json.loads(gzip.decompress(content)) == loaded["metadata"]
    assert loaded["metadata"]["properties"]["a"] == "b"


def test_staged_create_writes_before_the_table_exists(place: Place, namespace: str) -> None:
    """As in CREATE TABLE AS, files are written first, with credentials that are vended for the staged table."""
    if place.cloud.wants_clients_apart:
        Apart(place.lake, place.lake.writer.text, (namespace, "t")).create_staged_with((1, "Oslo", 1.5))
    else:
        with place.lake.catalog().create_table_transaction((namespace, "t"), SIGHTINGS) as transaction:
            transaction.append(sightings((1, "Oslo", 1.5)))
    assert place.table(namespace, "t").rows() == [(1, "Oslo", 1.5)]
