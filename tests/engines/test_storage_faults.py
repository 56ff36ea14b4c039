"""An object store that is down, slow, failing or wrong. No change is lost, and every pointer has its document. Runs
on each cloud."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import requests

from support.clouds import Cloud, document, is_document, make_lake_on
from support.documents import table as create_body
from support.faulty_proxy import Fault, FaultyProxy, Request
from support.rest import Rest, answer
from support.server import Server

pytestmark = pytest.mark.makes_unavailable


def is_metadata(method: str) -> Callable[[Request], bool]:
    """Matches only requests for metadata documents."""
    return lambda request: request.method == method and is_document(request)


FAULTS = {
    "down": ("down", {}),
    "500": ("answer", {"status": "500 Internal Server Error"}),
    "slow down": ("answer", {"status": "503 Slow Down"}),
    "no answer": ("silence", {}),
    "cut in the middle of a write": ("cut-request", {}),
}


@dataclass
class Setting:
    """A catalog with a warehouse behind a proxy that injects faults."""

    cloud: Cloud
    server: Server
    proxy: FaultyProxy
    rest: Rest

    def restart(self) -> None:
        """Restarts the server, so that the next load reads from storage."""
        self.server.stop()
        self.server.start()

    def set_property(self, table: str, name: str) -> requests.Response:
        return self.rest.commit("ns", table, [{"action": "set-properties", "updates": {name: "x"}}])

    def properties(self, table: str) -> dict:
        return self.rest.load("ns", table)["metadata"]["properties"]


@pytest.fixture(scope="module")
def setting(
    make_server: Callable[..., Server], each_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Setting]:
    proxy = FaultyProxy(each_cloud.uri)
    times = {"REQUEST_TIMEOUT_S": "2", "CONNECT_TIMEOUT_S": "2", "RETRY_TIMEOUT_S": "4", "HEDGE_AFTER_MS": "500"}
    server = make_server(
        "faults", env={f"TIDEWATER_STORAGE__{name}": value for name, value in times.items()}, loses_storage=True
    )
    server.start()
    lake = make_lake_on(each_cloud, server, tmp_path_factory.mktemp("faults"), through=proxy.uri)
    rest = lake.rest()
    rest.create_namespace("ns")
    yield Setting(each_cloud, server, proxy, rest)
    proxy.close()


@pytest.fixture(autouse=True)
def _healed(setting: Setting) -> Iterator[None]:
    yield
    setting.proxy.spoil(None)


def unavailable(response: requests.Response) -> None:
    """Checks the answer for failing storage: 503, and the statement that nothing was changed."""
    error = answer(response, 503)["error"]
    assert (error["type"], error["code"]) == ("ServiceUnavailableException", 503)
    assert "nothing was changed" in error["message"] and "Retry-After" in response.headers


@pytest.mark.parametrize("fault", FAULTS)
def test_commit_without_a_written_document_changes_nothing(setting: Setting, unique: str, fault: str) -> None:
    setting.rest.create_table("ns", create_body(unique))
    before = setting.rest.load("ns", unique)
    kind, more = FAULTS[fault]
    setting.proxy.spoil(Fault(kind, is_metadata("PUT"), **more))
    unavailable(setting.set_property(unique, "lost"))
    assert setting.proxy.spoilt >= 1, "no request met the fault"
    setting.proxy.spoil(None)
    setting.restart()
    after = setting.rest.load("ns", unique)
    assert (after["metadata-location"], after["metadata"]) == (before["metadata-location"], before["metadata"])
    answer(setting.set_property(unique, "kept"))
    assert set(setting.properties(unique)) & {"lost", "kept"} == {"kept"}


@pytest.mark.parametrize("fault", [*FAULTS, "cut in the middle of a read"])
def test_load_of_an_unreadable_document_fails_and_succeeds_later(setting: Setting, unique: str, fault: str) -> None:
    expected = setting.rest.create_table("ns", create_body(unique))
    setting.restart()
    kind, more = FAULTS.get(fault, ("cut-answer", {}))
    setting.proxy.spoil(Fault(kind, is_metadata("GET"), **more))
    unavailable(setting.rest.get(f"/namespaces/ns/tables/{unique}"))
    setting.proxy.spoil(None)
    assert setting.rest.load("ns", unique)["metadata"] == expected["metadata"]


@pytest.mark.parametrize("fault", [*FAULTS, "cut in the middle of a read"])
def test_load_succeeds_after_a_short_storage_fault(setting: Setting, unique: str, fault: str) -> None:
    expected = setting.rest.create_table("ns", create_body(unique))
    setting.restart()
    kind, more = FAULTS.get(fault, ("cut-answer", {}))
    setting.proxy.spoil(Fault(kind, is_metadata("GET"), times=1, **more))
    assert setting.rest.load("ns", unique)["metadata"] == expected["metadata"]
    assert setting.proxy.spoilt == 1


def test_write_with_a_lost_answer_is_recognised_as_the_catalogs_own(setting: Setting, unique: str) -> None:
    """The store has the document, but its answer was lost. The repeated write is refused, and the catalog finds the
    same document."""
    setting.rest.create_table("ns", create_body(unique))
    setting.proxy.spoil(Fault("lose-answer", is_metadata("PUT"), times=1))
    first = setting.set_property(unique, "a")
    assert first.status_code in (200, 503), first.text
    setting.proxy.spoil(None)
    setting.restart()
    assert ("a" in setting.properties(unique)) == (first.status_code == 200)
    answer(setting.set_property(unique, "b"))
    assert "b" in setting.properties(unique)


@pytest.mark.parametrize("fault", FAULTS)
def test_table_without_a_written_document_does_not_exist(setting: Setting, unique: str, fault: str) -> None:
    kind, more = FAULTS[fault]
    setting.proxy.spoil(Fault(kind, is_metadata("PUT"), **more))
    unavailable(setting.rest.post("/namespaces/ns/tables", json=create_body(unique)))
    setting.proxy.spoil(None)
    assert setting.rest.get(f"/namespaces/ns/tables/{unique}").status_code == 404
    setting.rest.create_table("ns", create_body(unique))


def test_table_is_created_when_the_answer_to_its_document_is_lost(setting: Setting, unique: str) -> None:
    """The store has the document, but its answer was lost. The second request finds and reads it, and recognises it."""
    setting.proxy.spoil(Fault("lose-answer", is_metadata("PUT"), times=1))
    made = setting.rest.create_table("ns", create_body(unique))
    assert setting.proxy.spoilt == 1, "no request met the fault"
    location = made["metadata"]["location"]
    (name,) = setting.cloud.objects(location)
    assert f"{location}/{name}" == made["metadata-location"], "the only document is not the table's"
    setting.restart()
    assert setting.rest.load("ns", unique)["metadata"] == made["metadata"]


def test_staged_table_needs_storage_only_for_its_commit(setting: Setting, unique: str) -> None:
    # A first load creates the cached session.
    setting.rest.create_table("ns", create_body(f"{unique}_before"))
    setting.proxy.spoil(Fault("down", is_document))
    staged = setting.rest.create_table("ns", create_body(unique, **{"stage-create": True}))
    assert staged.get("metadata-location") is None and staged["storage-credentials"]
    metadata = staged["metadata"]
    updates = [
        {"action": "assign-uuid", "uuid": metadata["table-uuid"]},
        {"action": "upgrade-format-version", "format-version": metadata["format-version"]},
        {"action": "add-schema", "schema": metadata["schemas"][0]},
        {"action": "set-current-schema", "schema-id": -1},
        {"action": "add-spec", "spec": metadata["partition-specs"][0]},
        {"action": "set-default-spec", "spec-id": -1},
        {"action": "add-sort-order", "sort-order": metadata["sort-orders"][0]},
        {"action": "set-default-sort-order", "sort-order-id": -1},
        {"action": "set-location", "location": metadata["location"]},
    ]
    is_new = [{"type": "assert-create"}]
    unavailable(setting.rest.commit("ns", unique, updates, is_new))
    setting.proxy.spoil(None)
    assert setting.rest.get(f"/namespaces/ns/tables/{unique}").status_code == 404
    answer(setting.rest.commit("ns", unique, updates, is_new))
    assert setting.rest.load("ns", unique)["metadata"]["table-uuid"] == metadata["table-uuid"]


def test_every_pointer_has_its_document_after_many_faults(setting: Setting, unique: str) -> None:
    """Runs many commits while every third request for a document meets a different fault."""
    made = setting.rest.create_table("ns", create_body(unique))
    numbers = iter(range(10_000))
    done = set()
    for kind in ("lose-answer", "cut-request", "answer", "down"):
        setting.proxy.spoil(Fault(kind, lambda request: is_document(request) and next(numbers) % 3 == 0))
        for number in range(6):
            name = f"{kind}-{number}"
            response = setting.set_property(unique, name)
            assert response.status_code in (200, 503), response.text
            if response.status_code == 200:
                done.add(name)
    setting.proxy.spoil(None)
    setting.restart()
    loaded = setting.rest.load("ns", unique)
    assert set(loaded["metadata"]["properties"]) >= done, "an acknowledged change was lost"
    objects = setting.cloud.objects(made["metadata"]["location"])
    names = [entry["metadata-file"] for entry in loaded["metadata"]["metadata-log"]] + [loaded["metadata-location"]]
    for name in names:
        assert document(objects[name.removeprefix(made["metadata"]["location"] + "/")])["table-uuid"]


# ---- credentials ----


def given_again(setting: Setting, table: str) -> dict:
    """Returns the vended settings after a token service's failure, which delays new requests for a second."""
    deadline = time.monotonic() + 30
    while True:
        response = setting.rest.get(f"/namespaces/ns/tables/{table}")
        if response.status_code == 200:
            return response.json()
        unavailable(response)
        assert time.monotonic() < deadline, "the server does not try the storage again"


def test_failing_token_service_makes_loads_fail(setting: Setting, unique: str) -> None:
    """A load without credentials would make the engine look for others, so the load fails."""
    setting.rest.create_table("ns", create_body(unique))
    setting.restart()
    setting.proxy.spoil(Fault("answer", setting.cloud.is_session))
    unavailable(setting.rest.get(f"/namespaces/ns/tables/{unique}"))
    setting.proxy.spoil(None)
    assert given_again(setting, unique)["storage-credentials"]


def test_concurrent_loads_share_one_session(setting: Setting, unique: str) -> None:
    setting.rest.create_table("ns", create_body(unique))
    setting.restart()
    setting.proxy.spoil(Fault("none", setting.cloud.is_session))
    with ThreadPoolExecutor(16) as pool:
        loads = list(pool.map(lambda _: setting.rest.load("ns", unique), range(64)))
    assert setting.proxy.spoilt == 1, "the loads did not share one request"
    assert len({repr(load["storage-credentials"]) for load in loads}) == 1


# How often one question is sent in all.
TRIES = 3


@pytest.mark.parametrize("kind", ["silence", "answer"])
def test_concurrent_loads_share_one_failed_session_request(setting: Setting, unique: str, kind: str) -> None:
    """No load repeats the request that failed for another load, so all fail together."""
    setting.rest.create_table("ns", create_body(unique))
    setting.restart()
    setting.proxy.spoil(Fault(kind, setting.cloud.is_session))
    with ThreadPoolExecutor(32) as pool:
        responses = list(pool.map(lambda _: setting.rest.get(f"/namespaces/ns/tables/{unique}"), range(32)))
    for response in responses:
        unavailable(response)
    assert 1 <= setting.proxy.spoilt <= TRIES, "the loads did not share one request"
    setting.proxy.spoil(None)
    assert given_again(setting, unique)["storage-credentials"]


def test_dead_token_service_does_not_affect_loads_without_credentials(setting: Setting, unique: str) -> None:
    setting.rest.create_table("ns", create_body(unique))
    setting.restart()
    setting.proxy.spoil(Fault("answer", setting.cloud.is_session))
    path = f"/namespaces/ns/tables/{unique}"
    unavailable(setting.rest.get(path))
    without = {"X-Iceberg-Access-Delegation": "none"}
    loaded = answer(setting.rest.get(path, headers=without))
    assert not loaded.get("storage-credentials")
    assert setting.rest.head(path).status_code == 204
    assert {"namespace": ["ns"], "name": unique} in answer(setting.rest.get("/namespaces/ns/tables"))["identifiers"]
    answer(setting.set_property(unique, "kept"))
    assert "kept" in answer(setting.rest.get(path, headers=without))["metadata"]["properties"]


def test_storage_fault_does_not_affect_other_warehouses(setting: Setting, unique: str) -> None:
    setting.proxy.spoil(Fault("down"))
    quickstart = Rest(setting.server.uri, setting.server.key)
    namespace = quickstart.create_namespace(unique)
    assert quickstart.create_table(namespace, create_body("t"))["metadata-location"].startswith("file:")
