"""The container image: its configuration, and a container that runs it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.quickstart import quickstart

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]


@pytest.fixture
def archive(packages: Path, version: str) -> Path:
    return packages / f"tidewater-{version}-image.tar"


class Layout:
    """The content of an archive in OCI's format."""

    def __init__(self, archive: Path):
        self._file = tarfile.open(archive)

    def blob(self, digest: str) -> bytes:
        found = self._file.extractfile("blobs/" + digest.replace(":", "/"))
        assert found is not None
        return found.read()

    def images(self) -> dict[str, dict[str, Any]]:
        """Returns the manifest of each architecture."""
        index = json.loads(self._file.extractfile("index.json").read())  # type: ignore[union-attr]
        (top,) = index["manifests"]
        images = json.loads(self.blob(top["digest"]))["manifests"]
        return {one["platform"]["architecture"]: json.loads(self.blob(one["digest"])) for one in images}

    def config(self, manifest: dict[str, Any]) -> dict[str, Any]:
        return json.loads(self.blob(manifest["config"]["digest"]))


def test_image_of_each_architecture_runs_as_an_own_user(archive: Path, version: str) -> None:
    layout = Layout(archive)
    images = layout.images()
    assert ARCHITECTURE in images
    for architecture, manifest in images.items():
        config = layout.config(manifest)
        assert (config["os"], config["architecture"]) == ("linux", architecture)
        of_container = config["config"]
        assert of_container["User"] == "65532:65532"
        assert set(of_container["Volumes"]) == {"/data"} and set(of_container["ExposedPorts"]) == {"8181/tcp"}
        assert of_container["Entrypoint"] == ["/usr/local/bin/tidewater"] and of_container["Cmd"] == ["serve"]
        assert of_container["Labels"]["org.opencontainers.image.version"] == version
        size = sum(layer["size"] for layer in manifest["layers"])
        print(f"\nimage for {architecture}: {size / 1e6:.1f} MB compressed")


def test_image_contains_the_program_certificates_and_licences_only(archive: Path, tmp_path: Path) -> None:
    layout = Layout(archive)
    for manifest in layout.images().values():
        entries: dict[str, tarfile.TarInfo] = {}
        for number, layer in enumerate(manifest["layers"]):
            file = tmp_path / f"layer-{number}"
            file.write_bytes(layout.blob(layer["digest"]))
            with tarfile.open(file) as content:
                entries |= {one.name.strip("./"): one for one in content.getmembers()}
        files = {name for name, entry in entries.items() if entry.isfile()}
        licences = {f"usr/local/share/licenses/tidewater/{name}" for name in ("LICENSE", "THIRD-PARTY-LICENSES.txt")}
        others = {"usr/local/bin/tidewater", "etc/passwd", "etc/group", "etc/ssl/certs/ca-certificates.crt"}
        assert files == licences | others
        assert (entries["data"].uid, entries["data"].gid) == (65532, 65532)
        assert entries["tmp"].mode & 0o7777 == 0o1777
        assert not any(entry.mode & 0o6000 for entry in entries.values() if entry.isfile())


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder of the container's user, with a short path that the container has too."""
    folder = Path(tempfile.mkdtemp(prefix="tidewater-image-"))
    folder.chmod(0o755)
    os.chown(folder, 65532, 65532)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("buildah"), reason="needs root and buildah (apt-get install buildah)")
def test_quickstart_in_a_container_answers_duckdb(archive: Path, shared: Path, tmp_path: Path) -> None:
    buildah = ["buildah", "--storage-driver=vfs", f"--root={tmp_path}/images", f"--runroot={tmp_path}/run"]
    made = subprocess.run([*buildah, "from", f"oci-archive:{archive}"], capture_output=True, text=True, check=True)
    container = made.stdout.split()[-1]
    run = [*buildah, "run", "--isolation=chroot", f"--volume={shared}:{shared}", container, "--", "/usr/local/bin/tidewater"]
    with quickstart(run, f"{shared}/data") as catalog:
        assert catalog.rows() > 0
    assert {one.stat().st_uid for one in (shared / "data").iterdir()} == {65532}
