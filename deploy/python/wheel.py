"""Writes a wheel that carries the program. `cargo xtask dist wheel` runs it.

The same input makes the same bytes: entries are sorted and have the time of SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import time
import zipfile
from pathlib import Path

# The name "tidewater" belongs to another project on PyPI.
NAME = "tidewater-catalog"
MODE_PROGRAM, MODE_FILE = 0o100755, 0o100644
# The earliest time that a zip file can have.
EARLIEST = 315532800


def metadata(version: str, readme: str, licenses: list[str]) -> str:
    fields = [
        ("Metadata-Version", "2.4"),
        ("Name", NAME),
        ("Version", version),
        ("Summary", "An Apache Iceberg REST catalog in one binary"),
        ("License-Expression", "Apache-2.0"),
        *(("License-File", name) for name in licenses),
        ("Keywords", "iceberg,catalog,lakehouse,rest"),
        ("Classifier", "Environment :: Console"),
        ("Classifier", "Operating System :: POSIX :: Linux"),
        ("Classifier", "Programming Language :: Rust"),
        ("Classifier", "Topic :: Database"),
        ("Requires-Python", ">=3.8"),
        ("Description-Content-Type", "text/markdown"),
    ]
    return "".join(f"{name}: {value}\n" for name, value in fields) + "\n" + readme


def record(name: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}\n"


def write(wheel: Path, entries: dict[str, tuple[int, bytes]]) -> None:
    changed = time.gmtime(max(EARLIEST, int(os.environ.get("SOURCE_DATE_EPOCH", EARLIEST))))[:6]
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name, (mode, content) in entries.items():
            entry = zipfile.ZipInfo(name, changed)
            entry.external_attr = mode << 16
            entry.create_system = 3
            file.writestr(entry, content, zipfile.ZIP_DEFLATED, 9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--version", required=True, help="as PyPI spells it")
    parser.add_argument("--tag", required=True, help="platforms, such as manylinux2014_x86_64.musllinux_1_1_x86_64")
    parser.add_argument("--sbom", type=Path)
    parser.add_argument("--license", type=Path, required=True, action="append", help="a file with licences; can be repeated")
    parser.add_argument("--output", type=Path, required=True, help="the folder for the wheel")
    asked = parser.parse_args()

    stem = f"{NAME.replace('-', '_')}-{asked.version}"
    info = f"{stem}.dist-info"
    tags = "".join(f"Tag: py3-none-{platform}\n" for platform in asked.tag.split("."))
    readme = (Path(__file__).parent / "README.md").read_text()
    entries = {
        f"{stem}.data/scripts/tidewater": (MODE_PROGRAM, asked.binary.read_bytes()),
        f"{info}/METADATA": (MODE_FILE, metadata(asked.version, readme, [file.name for file in asked.license]).encode()),
        f"{info}/WHEEL": (MODE_FILE, f"Wheel-Version: 1.0\nGenerator: tidewater\nRoot-Is-Purelib: false\n{tags}".encode()),
    }
    for file in asked.license:
        entries[f"{info}/licenses/{file.name}"] = (MODE_FILE, file.read_bytes())
    if asked.sbom:
        entries[f"{info}/sboms/tidewater.cdx.json"] = (MODE_FILE, asked.sbom.read_bytes())
    records = "".join(record(name, content) for name, (_, content) in entries.items())
    entries[f"{info}/RECORD"] = (MODE_FILE, f"{records}{info}/RECORD,,\n".encode())

    asked.output.mkdir(parents=True, exist_ok=True)
    wheel = asked.output / f"{stem}-py3-none-{asked.tag}.whl"
    write(wheel, entries)
    print(wheel)


if __name__ == "__main__":
    main()
