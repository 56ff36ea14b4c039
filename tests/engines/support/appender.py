"""A writer in a separate process: `python -m support.appender URI KEY NAMESPACE TABLE FIRST COUNT`.

Appends COUNT rows with ids from FIRST, one commit each, and prints every id once its commit was acknowledged.
"""

from __future__ import annotations

import sys

from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import CommitFailedException

from support.rows import sightings


def append_until_acknowledged(catalog: RestCatalog, name: tuple[str, ...], number: int) -> None:
    """Appends one row. Retries after conflicts with other writers."""
    while True:
        table = catalog.load_table(name)
        try:
            table.append(sightings((number, "Oslo", None)))
            return
        except CommitFailedException:
            continue


def main(uri: str, key: str, namespace: str, table: str, first: int, count: int) -> None:
    catalog = RestCatalog("appender", uri=uri, token=key)
    for number in range(first, first + count):
        append_until_acknowledged(catalog, (namespace, table), number)
        print(number, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:5], int(sys.argv[5]), int(sys.argv[6]))  # type: ignore[call-arg]
