"""Several sessions at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from conftest import Sql
from pyspark.sql import SparkSession
from support.readers import pyiceberg, pyiceberg_rows
from support.server import Server

EACH = 6


def test_concurrent_commits_of_two_sessions_lose_nothing(server: Server, spark: SparkSession, sql: Sql, table: str) -> None:
    sql(f"ALTER TABLE tw.{table} SET TBLPROPERTIES ('commit.retry.num-retries'='20', 'commit.retry.min-wait-ms'='10')")

    def insert(writer: int) -> None:
        # Each session has a catalog of its own, and with it connections and a cache.
        session = spark.newSession()
        for step in range(EACH):
            session.sql(f"INSERT INTO tw.{table} VALUES ({100 * writer + step}, 'Rome', 3.5, {writer})").collect()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(insert, (1, 2)))
    ids = [row[0] for row in pyiceberg_rows(server, table)]
    assert ids == [1, 2, *(100 * writer + step for writer in (1, 2) for step in range(EACH))]
    assert len(pyiceberg(server).load_table(table).metadata.snapshots) == 1 + 2 * EACH


def test_concurrent_updates_of_the_same_rows_are_made_or_refused(
    server: Server, spark: SparkSession, sql: Sql, table: str
) -> None:
    """Under serialisable isolation, the later merge is refused and changes nothing, unless both run one after the other."""

    def merge(writer: int) -> bool:
        session = spark.newSession()
        try:
            session.sql(f"UPDATE tw.{table} SET seen = seen + {writer} WHERE id = 1").collect()
        except Exception as error:
            assert "conflict" in str(error).lower(), error
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(merge, (100, 1000)))
    expected = 10 + sum(amount for amount, worked in zip((100, 1000), done, strict=True) if worked)
    assert any(done)
    assert pyiceberg_rows(server, table)[0][3] == expected
