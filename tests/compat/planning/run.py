"""Judges scan planning on the server: `python run.py JAVA CLASSPATH WORK [--long | --tables N] [--seed N]`; `cargo xtask compat planning` runs it.

Starts a server, and compares its plans of random tables with Iceberg's library, with the REST client of that library, and with
PyIceberg; and rows that PyIceberg reads from real files. Fails at any difference that is not among ACCEPTED.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "engines")]

from pyiceberg_judge import judge_plans
from pyiceberg_rows import judge_rows
from support.postgres import store_settings
from support.rest import Rest
from support.server import Server, find_binary

WAREHOUSE = "planning"
NAMESPACE = "judged"

# Differences that are right, each with its reason. All others fail the run.
ACCEPTED = {
    "wire: file that Java loses for a transform": "rows match for every engine: the library projects a predicate over a transform onto an identity field as if there were no transform",
    "wire: file that Java loses for some engines": "rows match for an engine for which NaN is the largest, -0.0 is 0.0, or null matches `is not`",
    "wire: file pruned that Java keeps": "no row matches for any engine: one part of the filter is excluded by the partition and the other by statistics",
    "wire: file kept for the order of UUIDs": "the library keeps it too without the tests of UUIDs: writers disagree about their order",
    "wire: file kept for NaN": "the library keeps it too without comparisons above a number: NaN is the largest number for some engines, and bounds do not include it",
    "wire: file kept for a transform": "the library keeps it too without the tests of transforms: it takes the transform's column for the transform's result",
    "wire: file kept for the order of UUIDs and a transform": "as both before",
    "wire: delete of other rows left out": "it deletes no row of the data file: the bounds of paths, or a single bound of a value, exclude it",
    "wire: delete of rows that the filter excludes": "the library also filters the statistics of equality deletes; more deletes change no row",
    "wire: delete kept for the order of UUIDs": "it deletes no row of the data file, and compares UUIDs, of which writers order the bounds otherwise",
    "wire: delete kept for an unknown number of nulls": "it deletes no row of the data file: files lack the number of nulls of a required column, and only the library relies on the schema",
    "client: fails over names of an older schema": "the client looks for the names of a residual in the table's current schema, which has other columns of these names",
    "pyiceberg: file that PyIceberg alone keeps": "PyIceberg has read what is on the wire, which is judged there by the rows",
    "pyiceberg: file that PyIceberg alone prunes": "as before",
    "pyiceberg: deletes that PyIceberg alone chooses otherwise": "as before: PyIceberg applies a vector to other files of its partition",
}

# Plans of more files than these are fetched in plan tasks.
FEW_FILES = {"TIDEWATER_PLANNING__INLINE_FILES": "8", "TIDEWATER_PLANNING__TASK_FILES": "10"}

# How many tables and scans; the seconds after which no table is begun; and the fewest tables that prove something. A short run compares
# the same scans on each machine: a slow one needs longer, and does not compare fewer.
SHORT = {"tables": 20, "scans": 12, "seconds": 600, "plans": 100, "least": 20}
LONG = {"tables": 400, "scans": 30, "seconds": 1_500, "plans": 3_000, "least": 100}


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("java", type=Path)
    parser.add_argument("classpath")
    parser.add_argument("work", type=Path)
    parser.add_argument("--long", action="store_true", help="compare thousands of scans")
    parser.add_argument("--tables", type=int, help="compare the scans of fewer or more tables")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def judge(options: argparse.Namespace, server: Server, amount: dict[str, int]) -> tuple[Counter, Counter]:
    """Runs all judges. Returns what was compared, and the differences by kind."""
    root = options.work / "lake"
    root.mkdir()
    server.command("warehouse", "create", WAREHOUSE, "--org", "quickstart", "--root", root.as_uri())
    rest = Rest(server.uri, server.key, WAREHOUSE)
    rest.create_namespace(NAMESPACE)
    task = {
        **amount,
        "folder": (root / "tables").as_uri(),
        "seed": options.seed,
        "uri": server.uri,
        "token": server.key,
        "warehouse": WAREHOUSE,
        "namespace": NAMESPACE,
        "base": f"{rest.base}/namespaces/{NAMESPACE}",
        "output": str(options.work),
    }
    command = [str(options.java), "-cp", options.classpath, "tidewater.planning.Planning", json.dumps(task)]
    sum_of_java = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()[-1])
    counts, differences = Counter(sum_of_java["counts"]), Counter(sum_of_java["differences"])
    with (options.work / "differences.jsonl").open("a") as file:

        def differs(kind: str, **what: object) -> None:
            differences[kind] += 1
            file.write(json.dumps({"kind": kind, **what}, default=str, ensure_ascii=False) + "\n")

        judge_plans(server, WAREHOUSE, NAMESPACE, options.work / "scans.jsonl", amount["plans"], counts, differs)
        judge_rows(server, WAREHOUSE, options.seed, counts, differs)
    return counts, differences


def report(counts: Counter, differences: Counter, work: Path) -> bool:
    """Prints the sums. Returns whether all differences are accepted."""
    for what, number in sorted(counts.items()):
        print(f"{number:8}  {what}")
    for kind, number in sorted(differences.items()):
        print(f"{number:8}  {f'accepted: {kind}: {ACCEPTED[kind]}' if kind in ACCEPTED else f'DIFFERS: {kind}'}")
    if differences:
        print(f"each difference: {work / 'differences.jsonl'}")
    return all(kind in ACCEPTED for kind in differences)


def main() -> int:
    options, began = parsed(), time.monotonic()
    amount = LONG if options.long else SHORT
    if options.tables:
        amount = {**amount, "tables": options.tables, "least": options.tables}
    shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True)
    data_dir = options.work / "data"
    server = Server(find_binary(), data_dir, store=store_settings(data_dir), env=FEW_FILES)
    server.start()
    try:
        counts, differences = judge(options, server, amount)
    finally:
        server.stop()
    is_good = report(counts, differences, options.work)
    complaints = server.complaints()
    for line in complaints:
        print(f"the server complained: {line}")
    print(f"{time.monotonic() - began:.0f} s")
    # A run that compared nothing proves nothing.
    if counts["tables"] < amount["least"]:
        print(f"only {counts['tables']} tables were compared within {amount['seconds']} s, of {amount['least']}")
        return 1
    return 0 if is_good and not complaints and counts["plans of the REST client"] and counts["plans of PyIceberg"] else 1


if __name__ == "__main__":
    sys.exit(main())
