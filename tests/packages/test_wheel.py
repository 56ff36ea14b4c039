"""The wheel: pip installs it, and it carries the program."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
import venv
import zipfile
from pathlib import Path

import pytest

from conftest import ROOT
from support.quickstart import quickstart


@pytest.fixture
def wheel(packages: Path, version: str) -> Path:
    """The wheel for this machine."""
    (found,) = packages.glob(f"tidewater_catalog-{version}-*_{platform.machine()}.whl")
    return found


def install(wheel: Path, folder: Path) -> Path:
    """Installs the wheel into a new environment, without an index. Returns its folder of programs."""
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    return folder / "bin"


def test_wheel_installs_the_program(wheel: Path, version: str, tmp_path: Path) -> None:
    programs = install(wheel, tmp_path / "venv")
    answer = subprocess.run([programs / "tidewater", "--version"], capture_output=True, text=True, check=True)
    assert answer.stdout.split()[:2] == ["tidewater", version]
    # The script is the program itself: Python adds nothing to its start.
    assert (programs / "tidewater").read_bytes()[:4] == b"\x7fELF"
    show = [programs / "python", "-m", "pip", "show", "--files", "tidewater-catalog"]
    shown = subprocess.run(show, capture_output=True, text=True, check=True).stdout
    assert "../../../bin/tidewater" in shown and "licenses/THIRD-PARTY-LICENSES.txt" in shown
    check = [programs / "python", "-m", "pip", "check"]
    subprocess.run(check, check=True, stdout=subprocess.DEVNULL)
    remove = [programs / "python", "-m", "pip", "uninstall", "--quiet", "--yes", "tidewater-catalog"]
    subprocess.run(remove, check=True)
    assert not (programs / "tidewater").exists()


def test_same_input_makes_the_same_wheel(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF" + bytes(1000))
    made = []
    for name in ("a", "b"):
        folder = tmp_path / name
        command = [sys.executable, ROOT / "deploy/python/wheel.py", "--binary", program, "--version", "1.0", "--tag", "linux_x86_64"]
        command += ["--license", ROOT / "LICENSE", "--output", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"})
        made.append(next(folder.iterdir()).read_bytes())
    assert made[0] == made[1]


def test_wheel_of_a_static_program_is_for_every_c_library(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        (name,) = [one for one in file.namelist() if one.endswith("/WHEEL")]
        tags = [line.split()[1] for line in file.read(name).decode().splitlines() if line.startswith("Tag:")]
    of_file = wheel.stem.split("-py3-none-")[1].split(".")
    assert tags == [f"py3-none-{one}" for one in of_file]
    if not of_file[0].startswith("linux_"):
        assert any(one.startswith("manylinux") for one in of_file) and any(one.startswith("musllinux") for one in of_file)


@pytest.mark.long
def test_quickstart_of_the_wheel_answers_duckdb(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    begin = time.monotonic()
    pip = [tmp_path / "venv/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", wheel]
    subprocess.run(pip, check=True)
    installed = time.monotonic()
    with quickstart([str(tmp_path / "venv/bin/tidewater")], str(tmp_path / "data")) as catalog:
        answered = time.monotonic()
        assert catalog.rows() > 0
    done = time.monotonic()
    print(f"\npip install {installed - begin:.1f} s, start {answered - installed:.1f} s, first row {done - answered:.1f} s: "
          f"{done - begin:.1f} s in all")
