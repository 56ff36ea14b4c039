"""The Debian package: its content, and its life in a fresh Debian."""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.chroot import Chroot, is_possible
from support.quickstart import quickstart, running

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
SETTINGS = "/etc/tidewater/tidewater.toml"
UNIT = "/usr/lib/systemd/system/tidewater.service"


@pytest.fixture
def deb(packages: Path, version: str) -> Path:
    """The package for this machine."""
    return packages / f"tidewater_{version}-1_{ARCHITECTURE}.deb"


@pytest.fixture
def content(deb: Path, tmp_path: Path) -> Path:
    """The files of the package, with the control files in DEBIAN."""
    subprocess.run(["dpkg-deb", "--raw-extract", deb, tmp_path / "content"], check=True)
    return tmp_path / "content"


def test_package_has_program_unit_settings_pages_and_completions(content: Path, version: str) -> None:
    answer = subprocess.run([content / "usr/bin/tidewater", "--version"], capture_output=True, text=True, check=True)
    assert answer.stdout.split()[:2] == ["tidewater", version]
    for name in (
        "usr/share/man/man1/tidewater.1.gz",
        "usr/share/man/man1/tidewater-warehouse-create.1.gz",
        "usr/share/bash-completion/completions/tidewater",
        "usr/share/zsh/vendor-completions/_tidewater",
        "usr/share/fish/vendor_completions.d/tidewater.fish",
        "usr/share/doc/tidewater/copyright",
        "usr/share/doc/tidewater/THIRD-PARTY-LICENSES.txt",
        "usr/share/doc/tidewater/changelog.Debian.gz",
        UNIT.lstrip("/"),
    ):
        assert (content / name).is_file(), name
    assert (content / "DEBIAN/conffiles").read_text().split() == [SETTINGS]
    control = (content / "DEBIAN/control").read_text()
    assert f"Version: {version}-1\n" in control and f"Architecture: {ARCHITECTURE}\n" in control


def test_unit_runs_the_packaged_program_with_the_packaged_settings(content: Path) -> None:
    lines = (content / UNIT.lstrip("/")).read_text().splitlines()
    assert f"ExecStart=/usr/bin/tidewater serve --config {SETTINGS}" in lines
    assert "User=tidewater" in lines and "StateDirectory=tidewater" in lines


def test_packaged_settings_expose_nothing(content: Path) -> None:
    text = (content / SETTINGS.lstrip("/")).read_text()
    assert tomllib.loads(text) == {"listen": "127.0.0.1:8181", "data_dir": "/var/lib/tidewater"}
    # The examples are settings of this version, too.
    examples = "\n".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("# [") or " = " in line)
    assert set(tomllib.loads(examples)) == {"listen", "data_dir", "store", "storage", "telemetry", "connections"}


def test_package_passes_lintian(deb: Path, content: Path) -> None:
    if not shutil.which("lintian"):
        pytest.skip("lintian is not installed (apt-get install lintian)")
    # Only trials package a program that is not static: it may have its symbols, too.
    is_trial = b"/ld-linux" in (content / "usr/bin/tidewater").read_bytes()
    suppressed = "missing-dependency-on-libc,unstripped-binary-or-object" if is_trial else "missing-dependency-on-libc"
    command = ["lintian", "--allow-root", "--fail-on", "error,warning", "--suppress-tags", suppressed, deb]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def debian(packages: Path, tmp_path: Path) -> Chroot:
    if not is_possible():
        pytest.skip("needs root and debootstrap (apt-get install debootstrap)")
    base = packages / "work/debian"
    base.mkdir(parents=True, exist_ok=True)
    return Chroot(base, tmp_path / "debian")


@pytest.fixture
def shared(debian: Chroot) -> Iterator[str]:
    """A folder that has the same path in the chroot and on this machine, whose DuckDB reads data files by their paths."""
    link = Path(tempfile.mkdtemp(prefix="tidewater-deb-"))
    link.rmdir()
    link.symlink_to(debian.inside(str(link)))
    debian.inside(str(link)).mkdir()
    yield str(link)
    link.unlink()


def copy_in(debian: Chroot, deb: Path) -> str:
    shutil.copy(deb, debian.inside("/tmp"))
    return f"/tmp/{deb.name}"


@pytest.mark.long
def test_quickstart_of_the_package_in_a_fresh_debian_answers_duckdb(debian: Chroot, shared: str, deb: Path) -> None:
    debian.run("dpkg", "--install", copy_in(debian, deb))
    shutil.chown(debian.inside(shared), *owner(debian))
    with quickstart(debian.command("/usr/bin/tidewater", user="tidewater"), f"{shared}/data") as catalog:
        assert catalog.rows() > 0


@pytest.mark.long
def test_installed_service_starts_with_its_settings(debian: Chroot, deb: Path) -> None:
    debian.run("dpkg", "--install", copy_in(debian, deb))
    user, group = owner(debian)
    settings, state = debian.inside(SETTINGS).stat(), debian.inside("/var/lib/tidewater").stat()
    assert (settings.st_uid, settings.st_gid, settings.st_mode & 0o777) == (0, group, 0o640)
    assert (state.st_uid, state.st_gid, state.st_mode & 0o777) == (user, group, 0o700)
    assert debian.inside("/etc/systemd/system/multi-user.target.wants/tidewater.service").is_symlink()
    # As the unit starts it, at any free port: the network is this machine's.
    (start,) = [line for line in debian.inside(UNIT).read_text().splitlines() if line.startswith("ExecStart=")]
    command = debian.command(*start.removeprefix("ExecStart=").split(), "--listen", "127.0.0.1:0", user="tidewater")
    with running(command) as process:
        ask = ("tidewater", "--config", SETTINGS, "status", "--json")
        while debian.run(*ask, user="tidewater", check=False).returncode != 0:
            assert process.poll() is None
        created = debian.run("tidewater", "--config", SETTINGS, "operator", "create", "admin")
        assert "flx_" in created.stdout


@pytest.mark.long
def test_upgrade_keeps_settings_and_catalog_and_purge_keeps_the_catalog(debian: Chroot, deb: Path, content: Path) -> None:
    debian.run("dpkg", "--install", copy_in(debian, deb))
    database = debian.inside("/var/lib/tidewater/tidewater.db")
    debian.run("tidewater", "--config", SETTINGS, "operator", "create", "admin", user="tidewater")
    assert database.exists()
    mine = debian.inside(SETTINGS).read_text() + "\n[log]\nlevel = \"warn\"\n"
    debian.inside(SETTINGS).write_text(mine)

    control = content / "DEBIAN/control"
    control.write_text(control.read_text().replace("\nVersion: ", "\nVersion: 99."))
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", content, debian.inside("/tmp/newer.deb")],
                   check=True, stdout=subprocess.DEVNULL)
    debian.run("dpkg", "--install", "/tmp/newer.deb")
    assert debian.inside(SETTINGS).read_text() == mine
    assert "admin" in debian.run("tidewater", "--config", SETTINGS, "operator", "list", user="tidewater").stdout

    debian.run("dpkg", "--remove", "tidewater")
    assert debian.inside(SETTINGS).exists() and not debian.inside("/usr/bin/tidewater").exists()
    purged = debian.run("dpkg", "--purge", "tidewater")
    assert not debian.inside("/etc/tidewater").exists()
    assert database.exists() and "/var/lib/tidewater" in purged.stderr
    debian.run("dpkg", "--install", "/tmp/newer.deb")
    assert "admin" in debian.run("tidewater", "--config", SETTINGS, "operator", "list", user="tidewater").stdout


@pytest.mark.long
def test_purge_of_a_package_without_a_catalog_leaves_nothing(debian: Chroot, deb: Path) -> None:
    debian.run("dpkg", "--install", copy_in(debian, deb))
    debian.run("dpkg", "--purge", "tidewater")
    assert not debian.inside("/var/lib/tidewater").exists() and not debian.inside("/etc/tidewater").exists()


def owner(debian: Chroot) -> tuple[int, int]:
    """Returns the ids of the service's user and group inside."""
    line = next(line for line in debian.inside("/etc/passwd").read_text().splitlines() if line.startswith("tidewater:"))
    return int(line.split(":")[2]), int(line.split(":")[3])
