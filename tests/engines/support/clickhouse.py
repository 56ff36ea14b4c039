"""ClickHouse in a separate process: `python -m support.clickhouse` reads statements as JSON, writes results as JSON.

Its library has its own allocator and Arrow. In a separate process it cannot disturb other tests, and a crash is only
a failed test.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from support.server import clean_environment

QUERY_DEADLINE_S = 200


def run(statements: list[str], folder: Path, env: dict[str, str] | None = None) -> list[list[dict]]:
    """Runs the statements in one session. Returns the rows of each. Raises RuntimeError with ClickHouse's message.

    ClickHouse reads local files only below its working folder, so the caller names the folder of the tables.
    """
    done = subprocess.run(
        [sys.executable, "-m", "support.clickhouse"],
        cwd=folder,
        input=json.dumps(statements),
        capture_output=True,
        check=False,
        text=True,
        timeout=QUERY_DEADLINE_S,
        env=clean_environment({"PYTHONPATH": str(Path(__file__).parents[1]), **(env or {})}),
    )
    if done.returncode != 0:
        raise RuntimeError(f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return json.loads(done.stdout)


def main() -> None:
    from chdb.session import Session

    session = Session()
    results = []
    for statement in json.load(sys.stdin):
        text = session.query(statement, "JSONEachRow").bytes().decode()
        results.append([json.loads(line) for line in text.splitlines()])
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
