"""A fresh Debian in a folder, in which root installs the package."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

RELEASE = "bookworm"


class Chroot:
    """A copy of a minimal Debian."""

    def __init__(self, base: Path, root: Path):
        self.root = root
        if not (base / "debootstrap-is-done").exists():
            subprocess.run(["debootstrap", "--variant=minbase", RELEASE, str(base)], check=True, stdout=subprocess.DEVNULL)
            (base / "debootstrap-is-done").touch()
        subprocess.run(["cp", "--archive", "--reflink=auto", str(base), str(root)], check=True)

    def command(self, *words: str, user: str = "root") -> list[str]:
        """Returns a command that runs inside, as a user."""
        return ["chroot", f"--userspec={user}:{user}", str(self.root), *words]

    def run(self, *words: str, user: str = "root", check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        command = self.command(*words, user=user)
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done

    def inside(self, path: str) -> Path:
        """Returns the path on this machine of a path inside."""
        return self.root / path.lstrip("/")


def is_possible() -> bool:
    return os.geteuid() == 0 and Path("/usr/sbin/debootstrap").exists()
