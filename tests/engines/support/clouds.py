"""The interface of a cloud for tests: a warehouse's location, the access to it, and its objects."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

import pytest
import requests
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import ContainerClient
from botocore.exceptions import ClientError

from support import azure, google
from support.azure import ACCOUNT, HOST, Account, Azurite
from support.cloud_lake import CloudLake, make_cloud_lake
from support.faulty_proxy import Request
from support.google import Emulator, Google
from support.lake import as_aws
from support.s3 import S3Server
from support.server import Server

PLACE = "clouds"


class Cloud(Protocol):
    """One cloud. All warehouses are in one bucket or container."""

    # The address of its server, for a proxy in front of it.
    uri: str
    # Whether its server runs in this process and clients must be in another one.
    wants_clients_apart: bool

    def root(self, folder: str) -> str:
        """Returns the location of a folder."""

    def profile(self, folder: Path, *lines: str, through: str | None = None) -> Path:
        """Writes a storage profile to `folder`, with the address of a proxy if given. Returns its path."""

    def names(self, location: str) -> set[str]:
        """Returns the names of all objects below a location, relative to it."""

    def objects(self, location: str) -> dict[str, bytes]:
        """Returns all objects below a location: their relative names and contents."""

    def put(self, location: str, content: bytes) -> None:
        """Writes an object with the owner's credentials."""

    def can(self, config: dict[str, str], location: str) -> set[str]:
        """Returns which of read, list, write and remove these vended settings allow on the object."""

    def is_session(self, request: Request) -> bool:
        """Whether the request is for a session or a token."""


def allowed(attempts: dict[str, Callable[[], object]], refused: type[Exception]) -> set[str]:
    """Returns the actions that are not refused."""
    done = set()
    for name, attempt in attempts.items():
        try:
            attempt()
            done.add(name)
        except refused as error:
            status = getattr(error, "status_code", None) or error.response["ResponseMetadata"]["HTTPStatusCode"]  # type: ignore[attr-defined]
            assert status in (401, 403), error
    return done


def key_of(location: str) -> str:
    return location.split("/", 3)[3]


def folder_of(location: str) -> str:
    return key_of(location).rsplit("/", 1)[0] + "/"


class OnS3:
    """S3, with Ceph's gateway."""

    wants_clients_apart = False

    def __init__(self, server: S3Server):
        self._server = server
        self.uri = server.uri
        server.make_bucket(PLACE)

    def root(self, folder: str) -> str:
        return f"s3://{PLACE}/{folder}"

    def profile(self, folder: Path, *lines: str, through: str | None = None) -> Path:
        return self._server.profile(folder, *lines, endpoint=through)

    def names(self, location: str) -> set[str]:
        prefix = location.split("/", 3)[3] + "/"
        found = self._server.client().list_objects_v2(Bucket=PLACE, Prefix=prefix).get("Contents", [])
        return {one["Key"].removeprefix(prefix) for one in found}

    def objects(self, location: str) -> dict[str, bytes]:
        prefix = location.split("/", 3)[3] + "/"
        client = self._server.client()
        found = client.list_objects_v2(Bucket=PLACE, Prefix=prefix).get("Contents", [])
        read = {one["Key"]: client.get_object(Bucket=PLACE, Key=one["Key"])["Body"].read() for one in found}
        return {key.removeprefix(prefix): content for key, content in read.items()}

    def put(self, location: str, content: bytes) -> None:
        self._server.client().put_object(Bucket=PLACE, Key=key_of(location), Body=content)

    def can(self, config: dict[str, str], location: str) -> set[str]:
        s3, one = self._server.client(**as_aws(config)), {"Bucket": PLACE, "Key": key_of(location)}
        attempts = {
            "read": lambda: s3.get_object(**one)["Body"].read(),
            "list": lambda: s3.list_objects_v2(Bucket=PLACE, Prefix=folder_of(location)),
            "write": lambda: s3.put_object(**one, Body=b"overwritten"),
            "remove": lambda: s3.delete_object(**one),
        }
        return allowed(attempts, ClientError)

    def is_session(self, request: Request) -> bool:
        return request.method == "POST" and request.path == "/"


class OnAzure:
    """Azurite, and the gateway in front of it. The catalog signs in as an application."""

    wants_clients_apart = False

    def __init__(self, account: Account):
        self._account = account
        self.uri = account.uri
        account.azurite.client().create_container(PLACE)

    def root(self, folder: str) -> str:
        return f"abfss://{PLACE}@{HOST}/{folder}"

    def profile(self, folder: Path, *lines: str, through: str | None = None) -> Path:
        return azure.profile(folder, f"{through or self.uri}/{ACCOUNT}", *lines, identity=self._account)

    def names(self, location: str) -> set[str]:
        prefix = location.split("/", 3)[3] + "/"
        container = self._account.azurite.client().get_container_client(PLACE)
        return {blob.name.removeprefix(prefix) for blob in container.list_blobs(prefix)}

    def objects(self, location: str) -> dict[str, bytes]:
        prefix = location.split("/", 3)[3] + "/"
        container = self._account.azurite.client().get_container_client(PLACE)
        names = [blob.name for blob in container.list_blobs(prefix)]
        return {name.removeprefix(prefix): container.download_blob(name).readall() for name in names}

    def put(self, location: str, content: bytes) -> None:
        self._account.azurite.client().get_container_client(PLACE).upload_blob(key_of(location), content, overwrite=True)

    def can(self, config: dict[str, str], location: str) -> set[str]:
        container = ContainerClient(self._account.endpoint, PLACE, credential=config["adls.sas-token"], retry_total=0)
        key = key_of(location)
        attempts: dict[str, Callable[[], object]] = {
            "read": lambda: container.download_blob(key).readall(),
            "list": lambda: list(container.list_blobs(folder_of(location))),
            "write": lambda: container.upload_blob(key, b"overwritten", overwrite=True),
            "remove": lambda: container.delete_blob(key),
        }
        return allowed(attempts, HttpResponseError)

    def is_session(self, request: Request) -> bool:
        return "comp=userdelegationkey" in request.path


class OnGoogle:
    """The emulator, and the gateway in front of it. The catalog signs in with a service account's key."""

    # Arrow's client holds Python's lock while it reads, and the gateway is in this process.
    wants_clients_apart = True

    def __init__(self, cloud: Google, emulator: Emulator):
        self._cloud, self._emulator = cloud, emulator
        self.uri = cloud.uri
        emulator.make_bucket(PLACE)

    def root(self, folder: str) -> str:
        return f"gs://{PLACE}/{folder}"

    def profile(self, folder: Path, *lines: str, through: str | None = None) -> Path:
        return google.profile(folder, self._cloud, *lines, endpoint=through)

    def names(self, location: str) -> set[str]:
        prefix = location.split("/", 3)[3] + "/"
        objects = f"{self._emulator.uri}/storage/v1/b/{PLACE}/o"
        found = requests.get(objects, params={"prefix": prefix}, timeout=30).json().get("items", [])
        return {one["name"].removeprefix(prefix) for one in found}

    def objects(self, location: str) -> dict[str, bytes]:
        prefix = location.split("/", 3)[3] + "/"
        objects = f"{self._emulator.uri}/storage/v1/b/{PLACE}/o"
        found = requests.get(objects, params={"prefix": prefix}, timeout=30).json().get("items", [])
        return {one["name"].removeprefix(prefix): self._content(one["name"]) for one in found}

    def _content(self, name: str) -> bytes:
        objects = f"{self._emulator.uri}/download/storage/v1/b/{PLACE}/o"
        answer = requests.get(f"{objects}/{quote(name, safe='')}?alt=media", timeout=30)
        answer.raise_for_status()
        return answer.content

    def put(self, location: str, content: bytes) -> None:
        upload = f"{self._emulator.uri}/upload/storage/v1/b/{PLACE}/o"
        parameters = {"uploadType": "media", "name": key_of(location)}
        requests.post(upload, params=parameters, data=content, timeout=30).raise_for_status()

    def can(self, config: dict[str, str], location: str) -> set[str]:
        objects, key = f"{self.uri}/storage/v1/b/{PLACE}/o", key_of(location)
        one, upload = f"{objects}/{quote(key, safe='')}", f"{self.uri}/upload/storage/v1/b/{PLACE}/o"
        headers = {"Authorization": f"Bearer {config['gcs.oauth2.token']}"}
        asked = {
            "read": ("GET", f"{one}?alt=media", b""),
            "list": ("GET", f"{objects}?prefix={quote(folder_of(location), safe='')}", b""),
            "write": ("POST", f"{upload}?uploadType=media&name={quote(key, safe='')}", b"overwritten"),
            "remove": ("DELETE", one, b""),
        }
        done = set()
        for name, (method, address, body) in asked.items():
            status = requests.request(method, address, headers=headers, data=body, timeout=30).status_code
            assert status < 300 or status in (401, 403), status
            done |= {name} if status < 300 else set()
        return done

    def is_session(self, request: Request) -> bool:
        return request.path == "/v1/token"


def on_s3(request: pytest.FixtureRequest, _: Path) -> Iterator[Cloud]:
    yield OnS3(request.getfixturevalue("s3"))


def on_azure(_: pytest.FixtureRequest, folder: Path) -> Iterator[Cloud]:
    emulator = Azurite(folder)
    account = Account(emulator)
    yield OnAzure(account)
    account.close()
    emulator.stop()


def on_google(_: pytest.FixtureRequest, folder: Path) -> Iterator[Cloud]:
    emulator = Emulator(folder)
    gateway = Google(emulator)
    yield OnGoogle(gateway, emulator)
    gateway.close()
    emulator.stop()


CLOUDS: dict[str, Callable[[pytest.FixtureRequest, Path], Iterator[Cloud]]] = {
    "s3": on_s3,
    "azure": on_azure,
    "google": on_google,
}


def make_lake_on(cloud: Cloud, server: Server, folder: Path, *lines: str, through: str | None = None) -> CloudLake:
    """Creates a warehouse on this cloud, in a separate folder."""
    profile = cloud.profile(folder, *lines, through=through)
    return make_cloud_lake(server, cloud.root(folder.name), profile)


def is_document(request: Request) -> bool:
    """Whether a request is for a metadata document."""
    return unquote(urlsplit(request.path).path).endswith(".metadata.json")


def document(content: bytes) -> dict:
    return json.loads(content)
