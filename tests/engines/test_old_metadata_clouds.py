"""Metadata files that left a table's log, on each cloud: exactly these are removed after the commit, also after a
crash."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support.admin import Admin
from support.cloud_lake import CloudLake
from support.clouds import Cloud, make_lake_on
from support.documents import table as create_body
from support.faulty_proxy import Fault, FaultyProxy
from support.rest import answer, empty
from support.server import Server
from test_dropped import until
from test_dropped_clouds import Place, is_removal

KEEPING_TWO = {"write.metadata.delete-after-commit.enabled": "true", "write.metadata.previous-versions-max": "2"}


@pytest.fixture(scope="module")
def place(make_server: Callable[..., Server], each_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    proxy = FaultyProxy(each_cloud.uri)
    times = {"REQUEST_TIMEOUT_S": "20", "CONNECT_TIMEOUT_S": "5", "RETRY_TIMEOUT_S": "5"}
    env = {f"TIDEWATER_STORAGE__{name}": value for name, value in times.items()}
    server = make_server("old-metadata", env={**env, "TIDEWATER_METADATA__REMOVAL_DELAY_S": "0"})
    server.start()
    lake = make_lake_on(each_cloud, server, tmp_path_factory.mktemp("old-metadata"), through=proxy.uri)
    yield Place(each_cloud, server, proxy, lake, Admin(server).key(lake.organisation, "admin"))
    proxy.close()


@pytest.fixture
def namespace(place: Place, unique: str) -> Iterator[str]:
    yield place.lake.rest().create_namespace(unique)
    place.proxy.spoil(None)


def commit(lake: CloudLake, namespace: str, name: str, value: str) -> str:
    """Commits something, and gives where the document is."""
    changes = [{"action": "set-properties", "updates": {"n": value}}]
    return answer(lake.rest().commit(namespace, name, changes))["metadata-location"]


def documents(place: Place, location: str) -> set[str]:
    return {f"{location}/{name}" for name in place.cloud.names(location)}


def make(place: Place, namespace: str, name: str, commits: int, **properties: str) -> tuple[str, list[str]]:
    """Creates a table with some commits. Returns its location, and its documents, oldest first."""
    made = place.lake.rest().create_table(namespace, create_body(name, properties=properties))
    written = [commit(place.lake, namespace, name, str(number)) for number in range(commits)]
    return made["metadata"]["location"], [made["metadata-location"], *written]


def test_documents_that_left_the_log_are_removed_and_the_others_stay(place: Place, namespace: str) -> None:
    location, written = make(place, namespace, "t", 5, **KEEPING_TWO)
    beside, others = make(place, namespace, "beside", 5, **{"write.metadata.previous-versions-max": "2"})
    place.cloud.put(f"{location}/metadata/somebody.metadata.json", b"{}")
    kept = {*written[-3:], f"{location}/metadata/somebody.metadata.json"}
    until(lambda: documents(place, location) == kept)
    assert documents(place, beside) == set(others), "files of a table without the property were removed"
    assert place.lake.rest().load(namespace, "t")["metadata-location"] == written[-1]


def test_documents_are_removed_after_a_kill_in_the_middle(place: Place, namespace: str) -> None:
    few = iter(range(2))
    place.proxy.spoil(Fault("silence", lambda request: is_removal(request) and next(few, None) is None))
    location, written = make(place, namespace, "t", 12, **KEEPING_TWO)
    until(lambda: place.proxy.spoilt > 0)
    place.server.kill()
    left = documents(place, location)
    assert set(written[-3:]) < left <= set(written)
    place.proxy.spoil(None)
    place.server.start()
    assert place.lake.rest().load(namespace, "t")["metadata-location"] == written[-1]
    # What had no lease goes at once. What had one goes when it ends, which takes longer than a test may.
    last = commit(place.lake, namespace, "t", "more")
    until(lambda: written[-3] not in documents(place, location))
    assert {*written[-2:], last} <= documents(place, location)


def test_purge_removes_documents_that_the_log_does_not_name(place: Place, namespace: str) -> None:
    location, written = make(place, namespace, "t", 6, **{"write.metadata.previous-versions-max": "2"})
    assert documents(place, location) == set(written)
    # Copies that are another table's, or are named otherwise, stay.
    first = place.cloud.objects(location)[written[0].removeprefix(location + "/")]
    uuid = place.lake.rest().load(namespace, "t")["metadata"]["table-uuid"]
    other = "00001-0198c9c2-6f5e-7d3e-9a5e-5a0f6f1b2c3d.metadata.json"
    place.cloud.put(f"{location}/metadata/{other}", first.replace(uuid.encode(), b"0198c9c2-6f5e-7d3e-9a5e-5a0f6f1b2c3e"))
    place.cloud.put(f"{location}/metadata/copy.metadata.json", first)
    place.cloud.put(f"{location}/metadata/00002-{uuid}.metadata.json", b"not JSON")
    empty(place.lake.rest().delete(f"/namespaces/{namespace}/tables/t", params={"purgeRequested": "true"}))
    (entry,) = place.listed(namespace).values()
    empty(place.dropped().delete(f"{place.management}/{entry['id']}"))
    until(lambda: not place.listed(namespace))
    stays = (other, "copy.metadata.json", f"00002-{uuid}.metadata.json")
    assert documents(place, location) == {f"{location}/metadata/{name}" for name in stays}
