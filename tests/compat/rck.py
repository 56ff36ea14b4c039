"""Runs Iceberg's REST Compatibility Kit: `python rck.py JARS WORK`, where JARS is a folder with the dependencies of rck/pom.xml.

Each class of the kit gets a separate server, data folder and warehouse. Fails if a test fails that is not an exception, or if
a test that is an exception passes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "engines"))

from support import conformance
from support.conformance import Record
from support.java import java
from support.judges import version_of
from support.postgres import store_settings
from support.server import Server, find_binary

FOLDER = Path(__file__).parent / "rck"
WAREHOUSE = "kit"

# The kit asks for tables below /tmp, whatever the warehouse, and JUnit puts its temporary folders there.
KIT_ROOT = Path("/tmp")
KIT_TABLES = ("ns/tbl", "newdb/newtable")

# Where servers have their data folders.
SERVERS = Path("/var/tmp")

FINISHED = re.compile(r" > (?P<test>\w+)\(.*\) :: (?P<outcome>SUCCESSFUL|FAILED|ABORTED|SKIPPED)$")


@dataclass(frozen=True)
class Kit:
    """One class of tests. `root` is the root of its tables; None for a folder of this run."""

    name: str
    root: Path | None = None


KITS = (
    Kit("org.apache.iceberg.rest.RESTCompatibilityKitCatalogTests", KIT_ROOT),
    Kit("org.apache.iceberg.rest.RESTCompatibilityKitViewCatalogTests", KIT_ROOT),
    Kit("tidewater.rck.EveryNameCatalogTests"),
)


@dataclass(frozen=True)
class Outcome:
    """How one test ended: `passed`, `failed` or `skipped`, and why. One with parameters is `test[1]`, `test[2]`."""

    kit: str
    test: str
    how: str
    why: str

    @property
    def title(self) -> str:
        return f"{self.kit}.{self.test}"


def exceptions() -> dict[str, str]:
    """Returns the tests that may fail with their reasons, from lines of `Class.test: reason`."""
    lines = (line.strip() for line in (FOLDER / "exceptions.txt").read_text().splitlines())
    return dict(line.split(": ", 1) for line in lines if line and not line.startswith("#"))


def compile_own(program: str, jars: Path, classes: Path) -> None:
    """Compiles our class beside the kit's, with a compiler that is itself a jar."""
    sources = [str(path) for path in FOLDER.glob("*.java")]
    compiler = [program, "-cp", f"{jars}/*", "org.eclipse.jdt.internal.compiler.batch.Main", "-17", "-warn:none"]
    path = os.pathsep.join(str(jar) for jar in sorted(jars.glob("*.jar")))
    subprocess.run([*compiler, "-classpath", path, "-d", str(classes), *sources], check=True)


def run(kit: Kit, server: Server, program: str, jars: Path, folder: Path) -> Iterator[Outcome]:
    """Runs one class against a server that was just started; shows each test as it ends."""
    printed = server.start()
    root = kit.root or folder / "warehouse"
    root.mkdir(exist_ok=True)
    server.command("warehouse", "create", WAREHOUSE, "--org", "quickstart", "--root", root.as_uri())
    settings = {
        "java.io.tmpdir": root,
        "org.slf4j.simpleLogger.defaultLogLevel": "error",
        "rck.local": "false",
        "rck.requires-namespace-create": "true",
        "rck.supports-names-with-dot": "true",
        "uri": printed.uri,
        "warehouse": WAREHOUSE,
        "credential": printed.api_key,
    }
    command = [program, "-cp", f"{folder.parent / 'classes'}{os.pathsep}{jars}/*"]
    command += [f"-D{name}={value}" for name, value in settings.items()]
    command += ["org.junit.platform.console.ConsoleLauncher", "execute", "--disable-banner", "--disable-ansi-colors"]
    command += ["--details=testfeed", "--select-class", kit.name, "--reports-dir", str(folder / "reports")]
    with (folder / "console.txt").open("w") as console:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            console.write(line)
            if found := FINISHED.search(line.rstrip()):
                print(f"  {found['outcome'].lower():10} {found['test']}", flush=True)
        process.wait()
    report = folder / "reports/TEST-junit-jupiter.xml"
    if not report.exists():
        sys.exit(f"{kit.name} did not run; see {folder / 'console.txt'}")
    yield from read_report(kit, report)


def read_report(kit: Kit, report: Path) -> Iterator[Outcome]:
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = re.sub(r"\(.*\)", "", case.get("name", ""))
        problem = next((case.find(tag) for tag in ("failure", "error", "skipped") if case.find(tag) is not None), None)
        how = "passed" if problem is None else "skipped" if problem.tag == "skipped" else "failed"
        said = "" if problem is None else (problem.get("message") or problem.text or "").strip()
        yield Outcome(kit.name.rsplit(".", 1)[1], name, how, reason(said))


def reason(said: str) -> str:
    """Returns JUnit's reason for a test that did not pass, in one line and without the stack trace."""
    line = re.split(r" at [\w.$/]+\(", " ".join(said.split()))[0]
    assumption = re.search(r"assumption was not met due to: (?:\[(.*?)\])?", line)
    if assumption:
        return assumption.group(1) or "turned off in this class of the kit"
    return line[:300]


def is_of_this_run(name: str, began_ms: int) -> bool:
    """Whether a folder's name is a table id that a server of this run created, for a table without a given location."""
    try:
        named = uuid.UUID(name)
    except ValueError:
        return False
    # RFC 9562: the first 48 bits of a version 7 are milliseconds since 1970.
    return named.version == 7 and str(named) == name and named.int >> 80 >= began_ms


def clean_up(existed: set[str], began_ms: int) -> None:
    """Removes the kit's files below /tmp, except folders that existed before."""
    for found in KIT_ROOT.iterdir():
        if is_of_this_run(found.name, began_ms):
            shutil.rmtree(found, ignore_errors=True)
    for table in set(KIT_TABLES) - existed:
        shutil.rmtree(KIT_ROOT / table, ignore_errors=True)
        parent = (KIT_ROOT / table).parent
        if parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()


def main(jars: Path, work: Path) -> int:
    program, began, began_ms = java(oldest=17), time.monotonic(), time.time_ns() // 1_000_000
    shutil.rmtree(work, ignore_errors=True)
    (work / "classes").mkdir(parents=True)
    compile_own(program, jars, work / "classes")
    existed = {table for table in KIT_TABLES if (KIT_ROOT / table).exists()}
    outcomes: list[Outcome] = []
    endpoints: set[str] = set()
    complaints: list[str] = []
    for kit in KITS:
        folder = work / kit.name.rsplit(".", 1)[1]
        folder.mkdir()
        print(f"{kit.name}, log and reports in {folder}", flush=True)
        # Outside of the kit's warehouse, wherever this is run: no two warehouses may share a place, and the server has one.
        with tempfile.TemporaryDirectory(prefix="tidewater-kit-", dir=SERVERS) as data:
            # The kit purges its tables and creates new ones at the same locations; restorable tables would reserve these.
            data_dir = Path(data) / "data"
            env = {"TIDEWATER_DROP__RETENTION_S": "0"}
            server = Server(find_binary(), data_dir, env=env, store=store_settings(data_dir))
            try:
                outcomes += run(kit, server, program, jars, folder)
            finally:
                if server.is_running():
                    server.stop()
                clean_up(existed, began_ms)
            complaints += server.complaints()
            endpoints |= conformance.used_endpoints(server.stderr(), "rck").get("rck", set())
    kit_version = next(jars.glob("iceberg-open-api-*-tests.jar")).name.split("-")[3]
    failed = report(outcomes, kit_version, version_of(jars, "iceberg-common"), endpoints)
    for line in complaints:
        print(f"the server complained: {line}")
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if failed or complaints else 0


def report(outcomes: list[Outcome], kit_version: str, iceberg_version: str, endpoints: set[str]) -> bool:
    """Prints and records the sum; says whether it is bad."""
    allowed = exceptions()
    named = {how: [one for one in outcomes if one.how == how] for how in ("passed", "failed", "skipped")}
    unexpected = [one for one in named["failed"] if one.title not in allowed]
    over = set(allowed) - {one.title for one in named["failed"]}
    for one in named["skipped"]:
        print(f"skipped by the kit: {one.title}: {one.why}")
    for one in named["failed"]:
        print(f"FAILED{' (an exception)' if one.title in allowed else ''}: {one.title}: {one.why}")
    for title in sorted(over):
        print(f"FAILED: {title} is among the exceptions, and did not fail: remove it there")
    print(", ".join(f"{len(found)} {how}" for how, found in named.items()))
    record = Record(
        version=f"{kit_version} with Iceberg {iceberg_version}",
        works=[one.title for one in named["passed"]],
        fails=[f"{one.title}: {allowed.get(one.title, one.why)}" for one in named["failed"]],
        left_out=[f"{one.title}: {one.why}" for one in named["skipped"]],
        endpoints=sorted(endpoints),
    )
    conformance.write({conformance.with_iceberg("rck", iceberg_version): record})
    return bool(unexpected or over) or not named["passed"]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
