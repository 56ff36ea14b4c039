"""Finds Java on this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path


def java(oldest: int) -> str:
    """Returns the program if it is recent enough. Otherwise ends the process with advice."""
    needed = f"Java {oldest} or newer is needed (Debian: apt-get install openjdk-17-jre-headless)"
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin/java") if home else shutil.which("java")
    if program is None:
        raise SystemExit(needed)
    if (_release(program) or 0) < oldest:
        raise SystemExit(f"{needed}; {program} is older")
    return program


def java_with(oldest: int, modules: set[str]) -> str:
    """Returns the first Java with these modules in JAVA_HOME, the path and Debian's folders. Otherwise ends the
    process."""
    home = os.environ.get("JAVA_HOME")
    candidates = [str(Path(home) / "bin/java")] if home else []
    candidates += [found] if (found := shutil.which("java")) else []
    candidates += sorted(str(path) for path in Path("/usr/lib/jvm").glob("*/bin/java"))
    for program in candidates:
        if (_release(program) or 0) >= oldest:
            listed = subprocess.run([program, "--list-modules"], capture_output=True, check=True, text=True).stdout
            if modules <= {line.partition("@")[0] for line in listed.split()}:
                return program
    raise SystemExit(
        f"a Java {oldest} or newer with {' and '.join(sorted(modules))} is needed: put its folder into JAVA_HOME "
        f"(looked at: {', '.join(candidates) or 'none'})"
    )


def for_trino() -> str:
    """Returns a Java for Trino, with a compiler for our own start class."""
    return java_with(oldest=25, modules={"jdk.compiler", "jdk.incubator.vector"})


def _release(program: str) -> int | None:
    """Returns the major version, such as 17, or None for a program that is not Java."""
    said = subprocess.run([program, "-version"], capture_output=True, check=True, text=True).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found.group(1)) if found else None
