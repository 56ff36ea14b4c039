"""The archives with static programs, on this processor and emulated."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from support.quickstart import quickstart

ARCHITECTURES = ("x86_64", "aarch64")


def program(packages: Path, version: str, architecture: str, folder: Path) -> list[str]:
    """Unpacks an archive. Returns the command of its program, through an emulator if it is for another processor."""
    name = f"tidewater-{version}-{architecture}-linux"
    archive = packages / f"{name}.tar.gz"
    if not archive.exists():
        pytest.skip(f"{archive.name} was not made")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    command = [str(folder / name / "tidewater")]
    if architecture == platform.machine():
        return command
    emulator = shutil.which(f"qemu-{architecture}-static")
    if not emulator:
        pytest.skip(f"qemu-{architecture}-static is not installed (apt-get install qemu-user-static)")
    return [emulator, *command]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_archive_has_a_program_with_its_pages(packages: Path, version: str, architecture: str, tmp_path: Path) -> None:
    command = program(packages, version, architecture, tmp_path)
    answer = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert answer.stdout.split()[:2] == ["tidewater", version]
    folder = Path(command[-1]).parent
    for name in ("LICENSE", "THIRD-PARTY-LICENSES.txt", "man/tidewater.1", "completions/tidewater.bash", "completions/_tidewater", "completions/tidewater.fish"):
        assert (folder / name).stat().st_size > 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_program_needs_no_library(packages: Path, version: str, architecture: str, tmp_path: Path) -> None:
    command = program(packages, version, architecture, tmp_path)
    if architecture == platform.machine():
        linked = subprocess.run(["ldd", command[-1]], capture_output=True, text=True, check=False)
        assert "statically linked" in linked.stdout or "not a dynamic executable" in linked.stderr
    if shutil.which("file"):
        kind = subprocess.run(["file", "--brief", command[-1]], capture_output=True, text=True, check=True).stdout
        assert "static" in kind


def test_checksums_are_of_the_packages(packages: Path) -> None:
    lines = [line.split("  ") for line in (packages / "SHA256SUMS").read_text().splitlines()]
    assert {name for _, name in lines} == {one.name for one in packages.iterdir() if one.is_file()} - {"SHA256SUMS"}
    for digest, name in lines:
        assert hashlib.sha256((packages / name).read_bytes()).hexdigest() == digest


@pytest.mark.long
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_quickstart_of_the_program_answers_duckdb(packages: Path, version: str, architecture: str, tmp_path: Path) -> None:
    command = program(packages, version, architecture, tmp_path)
    with quickstart(command, str(tmp_path / "data")) as catalog:
        assert catalog.rows() > 0
