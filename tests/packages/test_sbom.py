"""The list of what is built in."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from conftest import ROOT


def test_list_names_the_crates_that_are_built_in_with_versions_and_licences(packages: Path, version: str) -> None:
    content = json.loads((packages / f"tidewater-{version}.cdx.json").read_text())
    assert content["bomFormat"] == "CycloneDX"
    assert (content["metadata"]["component"]["name"], content["metadata"]["component"]["version"]) == ("tidewater", version)
    locked = {(one["name"], one["version"]) for one in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]}
    listed = {(one["name"], one["version"]) for one in content["components"]}
    assert listed <= locked
    names = {name for name, _ in listed}
    # With C sources inside, and of every layer.
    assert {"libsqlite3-sys", "aws-lc-sys", "libmimalloc-sys", "tokio", "tokio-postgres"} <= names
    # Only for tests.
    assert not {"proptest", "iceberg"} & names
    assert all(one.get("licenses") for one in content["components"])


def test_list_has_no_path_of_this_machine(packages: Path, version: str) -> None:
    assert str(ROOT) not in (packages / f"tidewater-{version}.cdx.json").read_text()
