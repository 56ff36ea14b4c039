"""An attacker has a writer's key in one organisation and a reader's key in another, and both have warehouses in one
bucket. On each cloud, the storage itself refuses all attacks.

A writer may write all tables of its own warehouse; that is no attack. The other organisation's files, names and their
existence must stay hidden.
"""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import requests

from support.apart import Apart
from support.cloud_lake import CloudLake
from support.clouds import Cloud, make_lake_on
from support.documents import table as create_body
from support.documents import view as view_body
from support.rest import Rest, answer, refused
from support.rows import SIGHTINGS, sightings
from support.server import Server
from test_dropped import until


@dataclass
class Scene:
    """The attacker's warehouse, the victim's, and the victim's table `prize` in its namespace `ns`."""

    cloud: Cloud
    own: CloudLake
    victim: CloudLake
    prize: dict
    before: dict[str, bytes]

    @property
    def target(self) -> str:
        """Returns the location of the victim's files."""
        return self.prize["metadata"]["location"]

    def is_untouched(self) -> bool:
        return self.cloud.objects(self.target) == self.before

    def reaches_nothing(self, given: dict) -> None:
        """Checks that the vended credentials give no access to the victim's files."""
        for credentials in given.get("storage-credentials", []):
            assert self.cloud.can(credentials["config"], self.prize["metadata-location"]) == set(), credentials["prefix"]
            assert credentials["prefix"].startswith(f"{self.own.root}/"), credentials["prefix"]


def write_rows(cloud: Cloud, lake: CloudLake, namespace: str, name: str) -> None:
    if cloud.wants_clients_apart:
        Apart(lake, lake.writer.text, (namespace, name)).create_with((1, "Oslo", 1.5), (2, "Voss", 2.5))
    else:
        lake.catalog().create_table((namespace, name), SIGHTINGS).append(sightings((1, "Oslo", 1.5), (2, "Voss", 2.5)))


@pytest.fixture(scope="module")
def scene(make_server: Callable[..., Server], each_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    server = make_server("attacked", env={"TIDEWATER_DROP__RETENTION_S": "0"})
    server.start()
    own = make_lake_on(each_cloud, server, tmp_path_factory.mktemp("mallory"))
    # The attacker's root is a prefix of its name.
    victim = make_lake_on(each_cloud, server, tmp_path_factory.mktemp(f"{own.root.rsplit('/', 1)[1]}-victim"))
    victim.rest().create_namespace("ns")
    write_rows(each_cloud, victim, "ns", "prize")
    prize = victim.rest().load("ns", "prize")
    return Scene(each_cloud, own, victim, prize, each_cloud.objects(prize["metadata"]["location"]))


@pytest.fixture
def namespace(scene: Scene, unique: str) -> str:
    return scene.own.rest().create_namespace(unique)


# Texts for the victim's folder, or that a server on the way could take for it.
SPELLINGS: dict[str, Callable[[Scene, str, str], str]] = {
    "plain": lambda s, victim, own: victim,
    "dots": lambda s, victim, own: f"{own}/../{victim.rsplit('/', 2)[1]}/{victim.rsplit('/', 1)[1]}",
    "dots at the end": lambda s, victim, own: f"{own}/x/..",
    "encoded dots": lambda s, victim, own: f"{own}/%2e%2e/{victim.split('/', 4)[4]}",
    "half encoded dots": lambda s, victim, own: f"{own}/.%2E/{victim.split('/', 4)[4]}",
    "encoded slashes": lambda s, victim, own: f"{own}/..%2F{victim.split('/', 4)[4]}",
    "twice encoded": lambda s, victim, own: f"{own}/%252e%252e/{victim.split('/', 4)[4]}",
    "backslashes": lambda s, victim, own: f"{own}\\..\\{victim.split('/', 4)[4]}",
    "two slashes": lambda s, victim, own: victim.replace("/", "//").replace(":////", "://"),
    "a dot": lambda s, victim, own: f"{own}/./../{victim.split('/', 4)[4]}",
    "another scheme": lambda s, victim, own: "s3a" + victim[victim.index(":") :],
    "the old azure scheme": lambda s, victim, own: "wasb" + victim[victim.index(":") :],
    "upper case": lambda s, victim, own: victim.upper(),
    "a user": lambda s, victim, own: victim.replace("://", "://user@"),
    "a port": lambda s, victim, own: victim.replace("://clouds", "://clouds:443"),
    "a query": lambda s, victim, own: f"{own}/t?x=/../{victim.split('/', 4)[4]}",
    "a fragment": lambda s, victim, own: f"{own}/t#/../{victim.split('/', 4)[4]}",
    "a star": lambda s, victim, own: f"{own}/*",
    "a star behind the root": lambda s, victim, own: f"{own}*",
    "a variable": lambda s, victim, own: f"{own}/${{aws:username}}",
    "a quote": lambda s, victim, own: f"{own}/t') || resource.name.startsWith('projects/_/buckets/clouds/objects/",
    "a new line": lambda s, victim, own: f"{own}/t\n{victim.split('/', 4)[4]}",
    "a zero": lambda s, victim, own: f"{own}/t\x00/../{victim.split('/', 4)[4]}",
    "a sibling whose name begins alike": lambda s, victim, own: f"{own}-victim0/ns/t",
    "the attacker's root": lambda s, victim, own: own,
    "the attacker's root with a slash": lambda s, victim, own: f"{own}/",
    "the bucket": lambda s, victim, own: own.rsplit("/", 1)[0],
    "relative": lambda s, victim, own: f"../{victim.split('/', 4)[4]}",
    "absolute": lambda s, victim, own: f"/{victim.split('/', 3)[3]}",
    "the disk": lambda s, victim, own: "file:///etc",
    "an address": lambda s, victim, own: "http://169.254.169.254/latest/meta-data",
}

PROPERTIES = ("write.data.path", "write.metadata.path", "write.object-storage.path", "write.folder-storage.path")


def looks_right(scene: Scene, response: requests.Response) -> None:
    """Checks that the request is refused as a bad one, or that its credentials give no access to the victim's files."""
    if response.status_code == 200:
        scene.reaches_nothing(response.json())
    else:
        refused(response, {400}, "BadRequestException")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_form_of_a_location_gives_access_to_another_organisations_files(
    scene: Scene, namespace: str, spelling: str
) -> None:
    location = SPELLINGS[spelling](scene, scene.target, scene.own.root)
    rest, path = scene.own.rest(), f"/namespaces/{namespace}/tables"
    for staged in (True, False):
        more = {"stage-create": staged}
        looks_right(scene, rest.post(path, json=create_body(f"a{staged}", location=location, **more)))
        for number, name in enumerate(PROPERTIES):
            body = create_body(f"b{staged}{number}", properties={name: location}, **more)
            looks_right(scene, rest.post(path, json=body))
    rest.create_table(namespace, create_body("own"))
    for update in (
        {"action": "set-location", "location": location},
        *({"action": "set-properties", "updates": {name: location}} for name in PROPERTIES),
    ):
        response = rest.commit(namespace, "own", [update])
        looks_right(scene, response)
        if response.status_code == 200:
            scene.reaches_nothing(rest.load(namespace, "own"))
    body = {"name": "r", "metadata-location": f"{location}/metadata/{scene.prize['metadata-location'].rsplit('/', 1)[1]}"}
    response = rest.post(f"/namespaces/{namespace}/register", json=body)
    assert response.status_code in (400, 404), response.text
    for more in ({"location": location}, {"properties": {"write.metadata.path": location}}):
        response = rest.post(f"/namespaces/{namespace}/views", json={**view_body(f"v{len(str(more))}"), **more})
        if response.status_code == 200:
            made = response.json()
            assert made["metadata-location"].startswith(f"{scene.own.root}/"), made
        else:
            refused(response, {400}, "BadRequestException")
    assert scene.is_untouched()


def forged(scene: Scene, location: str, **changed: object) -> dict:
    """Returns the victim's metadata with the attacker's location."""
    return {**copy.deepcopy(scene.prize["metadata"]), "location": location, "table-uuid": str(uuid.uuid4()), **changed}


def test_registered_file_gives_no_access_to_other_organisations_files(scene: Scene, namespace: str) -> None:
    """Snapshots, statistics and older documents may lie anywhere. Nothing is vended for them, and a purge ignores
    them."""
    rest = scene.own.rest()
    folder = f"{scene.own.root}/{namespace}/forged"
    statistics = {
        "snapshot-id": scene.prize["metadata"]["current-snapshot-id"],
        "statistics-path": scene.prize["metadata-location"],
        "file-size-in-bytes": 1,
        "file-footer-size-in-bytes": 1,
        "blob-metadata": [],
    }
    log = [{"timestamp-ms": 1, "metadata-file": scene.prize["metadata-location"]}]
    metadata = forged(
        scene,
        folder,
        **{
            "metadata-log": log + scene.prize["metadata"].get("metadata-log", []),
            "statistics": [statistics],
            "partition-statistics": [{key: statistics[key] for key in ("snapshot-id", "statistics-path", "file-size-in-bytes")}],
        },
    )
    scene.cloud.put(f"{folder}/metadata/1.metadata.json", json.dumps(metadata).encode())
    body = {"name": "forged", "metadata-location": f"{folder}/metadata/1.metadata.json"}
    registered = answer(rest.post(f"/namespaces/{namespace}/register", json=body))
    scene.reaches_nothing(registered)
    scene.reaches_nothing(rest.load(namespace, "forged"))
    answer(rest.commit(namespace, "forged", [{"action": "set-properties", "updates": {"a": "b"}}]))
    rest.delete(f"/namespaces/{namespace}/tables/forged", params={"purgeRequested": "true"})
    until(lambda: not scene.cloud.objects(folder))
    assert scene.is_untouched()


def test_purge_with_forged_manifests_removes_no_files_of_others(scene: Scene, namespace: str) -> None:
    """Copies the victim's manifest list and manifests. The files that they name belong to the victim, and stay."""
    rest = scene.own.rest()
    folder = f"{scene.own.root}/{namespace}/copied"
    metadata = forged(scene, folder)
    for snapshot in metadata["snapshots"]:
        name = snapshot["manifest-list"].rsplit("/", 1)[1]
        scene.cloud.put(f"{folder}/metadata/{name}", scene.before[f"metadata/{name}"])
        snapshot["manifest-list"] = f"{folder}/metadata/{name}"
    metadata["metadata-log"] = []
    scene.cloud.put(f"{folder}/metadata/1.metadata.json", json.dumps(metadata).encode())
    body = {"name": "copied", "metadata-location": f"{folder}/metadata/1.metadata.json"}
    answer(rest.post(f"/namespaces/{namespace}/register", json=body))
    rest.delete(f"/namespaces/{namespace}/tables/copied", params={"purgeRequested": "true"})
    until(lambda: not scene.cloud.objects(folder))
    assert scene.is_untouched()


def test_registered_file_at_another_tables_location_is_refused(scene: Scene, namespace: str) -> None:
    for number, (location, properties) in enumerate(
        [
            (scene.target, {}),
            (f"{scene.target}/data", {}),
            (scene.victim.root, {}),
            (f"{scene.own.root}/../x", {}),
            *((f"{scene.own.root}/{namespace}/f", {name: f"{scene.target}/data"}) for name in PROPERTIES),
        ]
    ):
        at = f"{scene.own.root}/{namespace}/f{number}/1.metadata.json"
        scene.cloud.put(at, json.dumps(forged(scene, location, properties=properties)).encode())
        body = {"name": f"f{number}", "metadata-location": at}
        refused(scene.own.rest().post(f"/namespaces/{namespace}/register", json=body), 400, "BadRequestException")
    assert scene.is_untouched()


def test_change_with_a_readers_key_is_refused(scene: Scene) -> None:
    rest = scene.victim.rest(scene.victim.reader)
    given = rest.load("ns", "prize")
    for credentials in given["storage-credentials"]:
        assert scene.cloud.can(credentials["config"], scene.prize["metadata-location"]) == {"read", "list"}
    again = answer(rest.get("/namespaces/ns/tables/prize/credentials"))
    for credentials in again["storage-credentials"]:
        assert scene.cloud.can(credentials["config"], scene.prize["metadata-location"]) == {"read", "list"}
    staged = create_body("t", location=scene.target, **{"stage-create": True})
    for response in (
        rest.post("/namespaces/ns/tables", json=staged),
        rest.commit("ns", "prize", [{"action": "set-properties", "updates": {"a": "b"}}]),
        rest.delete("/namespaces/ns/tables/prize", params={"purgeRequested": "true"}),
        rest.post("/namespaces/ns/register", json={"name": "r", "metadata-location": scene.prize["metadata-location"]}),
        rest.post("/namespaces/ns/tables/prize/unregister", json={}),
    ):
        refused(response, 403, "ForbiddenException")
    assert scene.is_untouched()


def test_name_of_another_organisation_gets_404(scene: Scene) -> None:
    """No header changes this."""
    writer = scene.own.writer.text
    pretences: list[dict[str, str]] = [
        {},
        {"Polaris-Realm": scene.victim.organisation},
        {"X-Tidewater-Organisation": scene.victim.organisation},
        {"X-Iceberg-Access-Delegation": "vended-credentials,remote-signing"},
    ]
    for headers in pretences:
        for prefix in ("lake", scene.victim.organisation, f"{scene.victim.organisation}/lake", f"../{scene.victim.organisation}"):
            rest = Rest(scene.own.server.uri, writer, prefix)
            for path in ("/namespaces/ns/tables/prize", "/namespaces/ns/tables/prize/credentials", "/namespaces/ns"):
                response = rest.get(path, headers=headers)
                assert response.status_code == 404, (prefix, path, response.text)
                other = rest.get(path.replace("ns", "none").replace("prize", "none"), headers=headers)
                assert other.status_code == 404
                said = response.json()["error"], other.json()["error"]
                assert said[0]["type"] == said[1]["type"], said
