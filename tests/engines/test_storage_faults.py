"""An object store that is down, slow, failing or lying: nothing is lost, and no pointer leads to what is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import requests

from support.documents import table as create_body
from support.faulty_proxy import Fault, FaultyProxy, Request
from support.lake import make_lake
from support.rest import Rest, answer
from support.s3 import S3Server
from support.server import Server

pytestmark = pytest.mark.makes_unavailable


def is_metadata(method: str) -> Callable[[Request], bool]:
    """Requests for metadata documents, and no others."""
    return lambda request: request.method == method and request.path.endswith(".metadata.json")


def is_session(request: Request) -> bool:
    """Requests for a session of the role."""
    return request.method == "POST" and request.path == "/"


FAULTS = {
    "down": ("down", {}),
    "500": ("answer", {"status": "500 Internal Server Error"}),
    "slow down": ("answer", {"status": "503 Slow Down"}),
    "no answer": ("silence", {}),
    "cut in the middle of a write": ("cut-request", {}),
}


@dataclass
class Setting:
    """A catalog whose warehouse is behind a proxy that spoils on demand."""

    server: Server
    proxy: FaultyProxy
    rest: Rest

    def restart(self) -> None:
        """Forgets what is in memory, so that the next load has to read."""
        self.server.stop()
        self.server.start()

    def set_property(self, table: str, name: str) -> requests.Response:
        return self.rest.commit("ns", table, [{"action": "set-properties", "updates": {name: "x"}}])

    def properties(self, table: str) -> dict:
        return self.rest.load("ns", table)["metadata"]["properties"]


@pytest.fixture(scope="module")
def setting(make_server: Callable[..., Server], s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    proxy = FaultyProxy(s3.uri)
    times = {"REQUEST_TIMEOUT_S": "2", "CONNECT_TIMEOUT_S": "2", "RETRY_TIMEOUT_S": "4", "HEDGE_AFTER_MS": "500"}
    server = make_server(
        "faults", env={f"TIDEWATER_STORAGE__{name}": value for name, value in times.items()}, loses_storage=True
    )
    server.start()
    lake = make_lake(server, s3, "faults", tmp_path_factory.mktemp("faults"), endpoint=proxy.uri)
    rest = lake.rest()
    rest.create_namespace("ns")
    yield Setting(server, proxy, rest)
    proxy.close()


@pytest.fixture(autouse=True)
def _healed(setting: Setting) -> Iterator[None]:
    yield
    setting.proxy.spoil(None)


def unavailable(response: requests.Response) -> None:
    """The right words for a storage that does not do its work: 503, and that nothing was changed."""
    error = answer(response, 503)["error"]
    assert (error["type"], error["code"]) == ("ServiceUnavailableException", 503)
    assert "nothing was changed" in error["message"] and "Retry-After" in response.headers


@pytest.mark.parametrize("fault", FAULTS)
def test_a_commit_whose_document_cannot_be_written_changes_nothing(setting: Setting, unique: str, fault: str) -> None:
    setting.rest.create_table("ns", create_body(unique))
    before = setting.rest.load("ns", unique)
    kind, more = FAULTS[fault]
    setting.proxy.spoil(Fault(kind, is_metadata("PUT"), **more))
    unavailable(setting.set_property(unique, "lost"))
    assert setting.proxy.spoilt >= 1, "the fault was met"
    setting.proxy.spoil(None)
    setting.restart()
    after = setting.rest.load("ns", unique)
    assert (after["metadata-location"], after["metadata"]) == (before["metadata-location"], before["metadata"])
    answer(setting.set_property(unique, "kept"))
    assert set(setting.properties(unique)) & {"lost", "kept"} == {"kept"}


@pytest.mark.parametrize("fault", [*FAULTS, "cut in the middle of a read"])
def test_a_load_whose_document_cannot_be_read_says_so_and_works_later(setting: Setting, unique: str, fault: str) -> None:
    expected = setting.rest.create_table("ns", create_body(unique))
    setting.restart()
    kind, more = FAULTS.get(fault, ("cut-answer", {}))
    setting.proxy.spoil(Fault(kind, is_metadata("GET"), **more))
    unavailable(setting.rest.get(f"/namespaces/ns/tables/{unique}"))
    setting.proxy.spoil(None)
    assert setting.rest.load("ns", unique)["metadata"] == expected["metadata"]


@pytest.mark.parametrize("fault", [*FAULTS, "cut in the middle of a read"])
def test_a_fault_that_passes_is_not_noticed_by_a_load(setting: Setting, unique: str, fault: str) -> None:
    expected = setting.rest.create_table("ns", create_body(unique))
    setting.restart()
    kind, more = FAULTS.get(fault, ("cut-answer", {}))
    setting.proxy.spoil(Fault(kind, is_metadata("GET"), times=1, **more))
    assert setting.rest.load("ns", unique)["metadata"] == expected["metadata"]
    assert setting.proxy.spoilt == 1


def test_a_write_whose_answer_was_lost_is_known_for_the_catalogs_own(setting: Setting, unique: str) -> None:
    """The store has the document, the catalog was not told: sent again, it is refused, and found to be the same."""
    setting.rest.create_table("ns", create_body(unique))
    setting.proxy.spoil(Fault("lose-answer", is_metadata("PUT"), times=1))
    first = setting.set_property(unique, "a")
    assert first.status_code in (200, 503), first.text
    setting.proxy.spoil(None)
    setting.restart()
    assert ("a" in setting.properties(unique)) == (first.status_code == 200)
    answer(setting.set_property(unique, "b"))
    assert "b" in setting.properties(unique)


def test_a_token_service_that_fails_is_no_table_without_credentials(setting: Setting, unique: str) -> None:
    """An engine that got a table without credentials would look for some elsewhere: better none than half an answer."""
    setting.rest.create_table("ns", create_body(unique))
    setting.restart()
    setting.proxy.spoil(Fault("answer", is_session))
    unavailable(setting.rest.get(f"/namespaces/ns/tables/{unique}"))
    setting.proxy.spoil(None)
    assert setting.rest.load("ns", unique)["storage-credentials"]


def test_many_who_ask_at_once_are_given_one_session(setting: Setting, unique: str) -> None:
    setting.rest.create_table("ns", create_body(unique))
    setting.restart()
    setting.proxy.spoil(Fault("none", is_session))
    with ThreadPoolExecutor(16) as pool:
        loads = list(pool.map(lambda _: setting.rest.load("ns", unique), range(64)))
    assert setting.proxy.spoilt == 1, "one was asked for"
    assert len({load["config"]["s3.access-key-id"] for load in loads}) == 1


def test_other_warehouses_do_not_suffer(setting: Setting, unique: str) -> None:
    setting.proxy.spoil(Fault("down"))
    quickstart = Rest(setting.server.uri, setting.server.key)
    namespace = quickstart.create_namespace(unique)
    assert quickstart.create_table(namespace, create_body("t"))["metadata-location"].startswith("file:")
