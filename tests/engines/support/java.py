"""The Java that this machine has."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path


def java(oldest: int) -> str:
    """The program, checked to be recent enough; ends the process with what to do if there is none."""
    needed = f"Java {oldest} or newer is needed (Debian: apt-get install openjdk-17-jre-headless)"
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin/java") if home else shutil.which("java")
    if program is None:
        raise SystemExit(needed)
    said = subprocess.run([program, "-version"], capture_output=True, check=True, text=True).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    if not found or int(found.group(1)) < oldest:
        raise SystemExit(f"{needed}; {program} is {said.splitlines()[0]}")
    return program
