"""PyIceberg in a separate process.

Arrow's client for Google Cloud holds Python's lock while it reads, so a server in the same process could not answer.
"""

from __future__ import annotations

import functools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from concurrent.futures.process import BrokenProcessPool

from pyiceberg.catalog.rest import RestCatalog

from support.cloud_lake import CloudLake
from support.rows import SIGHTINGS, Row, in_order, sightings

DEADLINE_S = 200


@functools.cache
def _pool() -> ProcessPoolExecutor:
    """Returns the shared process. Starting it and loading PyIceberg takes seconds."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _in_process(work: object, *arguments: object) -> object:
    try:
        return _pool().submit(work, *arguments).result(timeout=DEADLINE_S)  # type: ignore[arg-type]
    except (BrokenProcessPool, TookTooLong):
        # The next caller starts a new process. Nothing waits for this one.
        for process in multiprocessing.active_children():
            process.kill()
        _pool.cache_clear()
        raise


def _append(settings: dict[str, str], name: tuple[str, str], rows: list[Row], *, create: bool) -> str | None:
    catalog = RestCatalog("lake", **settings)
    table = catalog.create_table(name, SIGHTINGS) if create else catalog.load_table(name)
    try:
        table.append(sightings(*rows))
    except Exception as error:
        return f"{type(error).__name__}: {error} {error.__cause__ or ''}"
    return None


def _create_and_append(settings: dict[str, str], name: tuple[str, str], rows: list[Row]) -> str | None:
    return _append(settings, name, rows, create=True)


def _append_more(settings: dict[str, str], name: tuple[str, str], rows: list[Row]) -> str | None:
    return _append(settings, name, rows, create=False)


def _create_staged(settings: dict[str, str], name: tuple[str, str], rows: list[Row]) -> None:
    with RestCatalog("lake", **settings).create_table_transaction(name, SIGHTINGS) as transaction:
        transaction.append(sightings(*rows))


def _delete(settings: dict[str, str], name: tuple[str, str], which: str) -> None:
    RestCatalog("lake", **settings).load_table(name).delete(which)


def _scan(settings: dict[str, str], name: tuple[str, str]) -> list[tuple]:
    return in_order(RestCatalog("lake", **settings).load_table(name).scan().to_arrow())


class Apart:
    """One table, accessed with one key."""

    def __init__(self, lake: CloudLake, key: str, name: tuple[str, str], **properties: str):
        self._settings = {"uri": lake.server.uri, "token": key, **properties}
        self._name = name

    def create_with(self, *rows: Row) -> None:
        wrong = _in_process(_create_and_append, self._settings, self._name, list(rows))
        assert wrong is None, wrong

    def create_staged_with(self, *rows: Row) -> None:
        """Creates a staged table with these rows: writes the files before the table exists."""
        _in_process(_create_staged, self._settings, self._name, list(rows))

    def append(self, *rows: Row) -> str | None:
        """Appends a row. Returns the error, or None."""
        return _in_process(_append_more, self._settings, self._name, list(rows))  # type: ignore[return-value]

    def delete(self, which: str) -> None:
        _in_process(_delete, self._settings, self._name, which)

    def rows(self) -> list[tuple]:
        return _in_process(_scan, self._settings, self._name)  # type: ignore[return-value]
