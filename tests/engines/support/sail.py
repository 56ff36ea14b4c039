"""Sail, which is Spark Connect without a JVM, in a separate process: `python -m support.sail` reads a request as JSON and
writes each statement's rows as JSON.

It starts a server inside its process and reads its configuration from the environment, so a separate process protects
other tests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

from support.server import Server, clean_environment

QUERY_DEADLINE_S = 200

RESULTS = "results: "


def run(server: Server, statements: list[str], **sign_in: str) -> list[list[dict]]:
    """Runs Spark's SQL with this server as the catalog. Returns the rows of each statement. Raises RuntimeError with
    Sail's message.

    `sign_in` is what Sail's configuration says: the key as `bearer_access_token`, unless something else is named.
    """
    assert server.printed is not None
    catalog = {
        "type": "iceberg-rest",
        "name": "tidewater",
        "uri": server.uri,
        "warehouse": server.printed.warehouse,
        **(sign_in or {"bearer_access_token": server.key}),
    }
    settings = ", ".join(f"{name}={json.dumps(value)}" for name, value in catalog.items())
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "support.sail"],
        input=json.dumps(statements),
        capture_output=True,
        check=False,
        text=True,
        timeout=QUERY_DEADLINE_S,
        env=clean_environment(
            {
                "PYTHONPATH": str(Path(__file__).parents[1]),
                "SAIL_CATALOG__LIST": f"[{{{settings}}}]",
                "SAIL_CATALOG__DEFAULT_CATALOG": "tidewater",
            }
        ),
    )
    if done.returncode != 0:
        raise RuntimeError(f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.split(RESULTS)[-1])


def rows_of(statements: list[str]) -> list[list[dict]]:
    """Runs the statements on a server of this process."""
    from pysail.spark import SparkConnectServer
    from pyspark.sql import SparkSession

    server = SparkConnectServer(port=0)
    server.start(background=True)
    _, port = server.listening_address
    session = SparkSession.builder.remote(f"sc://127.0.0.1:{port}").getOrCreate()
    return [[row.asDict(recursive=True) for row in session.sql(text).collect()] for text in statements]


def main() -> None:
    code = 1
    try:
        print(RESULTS + json.dumps(rows_of(json.load(sys.stdin)), default=str), flush=True)
        code = 0
    except BaseException:
        traceback.print_exc()
    # The threads of server and client would delay a normal exit, after an error for ever.
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
