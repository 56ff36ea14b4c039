"""The check of a load's access settings finds every fault, and no fault in correct settings."""

from __future__ import annotations

from typing import Any

import pytest

from support.credentials import complaints

NOW_MS = 1_800_000_000_000
SOON = str(NOW_MS + 3_600_000)

S3 = {
    "s3.access-key-id": "a",
    "s3.secret-access-key": "b",
    "s3.session-token": "c",
    "s3.session-token-expires-at-ms": SOON,
    "expiration-time": SOON,
}
ADLS = {
    "adls.sas-token.acc": "a",
    "adls.sas-token-expires-at-ms.acc": SOON,
    "adls.sas-token-expires-at-ms": SOON,
    "expiration-time": SOON,
}
GCS = {"gcs.oauth2.token": "a", "gcs.oauth2.token-expires-at": SOON, "expiration-time": SOON}


def load(location: str, config: dict[str, Any] | None = None, **properties: str) -> dict[str, Any]:
    """Returns a load with a credential for the table's location, also in `config`."""
    entries = [{"prefix": location, "config": config}] if config else []
    metadata = {"location": location, "properties": properties}
    return {"metadata": metadata, "config": config or {}, "storage-credentials": entries}


GOOD = {
    "local": load("file:///w/t"),
    "s3": load("s3://b/w/t", S3),
    "adls": load("abfss://c@acc.dfs.core.windows.net/w/t", ADLS),
    "gcs": load("gs://b/w/t", GCS),
    "a data path inside": load("s3://b/w/t", S3, **{"write.data.path": "s3://b/w/t/d"}),
}


@pytest.mark.parametrize("good", GOOD.values(), ids=GOOD)
def test_complete_load_has_no_faults(good: dict[str, Any]) -> None:
    assert complaints(good, NOW_MS) == []


@pytest.mark.parametrize("storage", ["s3", "adls", "gcs"])
def test_every_missing_key_is_reported(storage: str) -> None:
    location, config = GOOD[storage]["metadata"]["location"], GOOD[storage]["config"]
    for key in config:
        without = {other: value for other, value in config.items() if other != key}
        found = complaints(load(location, without), NOW_MS)
        assert any(key.removesuffix(".acc") in complaint for complaint in found), (key, found)


BAD = {
    "no credential": (load("s3://b/w/t"), "there is no credential"),
    "another prefix": (
        {**load("s3://b/w/t", S3), "storage-credentials": [{"prefix": "s3://b/x", "config": S3}]},
        "there is no credential for s3://b/w/t",
    ),
    "only in storage-credentials": ({**load("s3://b/w/t", S3), "config": {}}, "clients that read only config"),
    "a time of seconds": (load("gs://b/t", {**GCS, "expiration-time": "1800003600"}), "not a time in milliseconds"),
    "a time that is over": (load("gs://b/t", {**GCS, "expiration-time": str(NOW_MS - 1)}), "not a time in milliseconds"),
    "a time that is a number": (load("gs://b/t", {**GCS, "gcs.oauth2.token-expires-at": SOON, "x": 1}), "no text"),
    "times that differ": (load("gs://b/t", {**GCS, "expiration-time": str(NOW_MS + 9)}), "its times differ"),
    "two buckets": (load("s3://b/w/t", S3, **{"write.data.path": "s3://c/d"}), "several buckets"),
    "secrets for local files": (load("file:///w/t", S3), "local files need no"),
}


@pytest.mark.parametrize("bad, said", BAD.values(), ids=BAD)
def test_wrong_value_is_reported(bad: dict[str, Any], said: str) -> None:
    assert any(said in complaint for complaint in complaints(bad, NOW_MS)), complaints(bad, NOW_MS)
