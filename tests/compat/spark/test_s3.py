"""Spark on S3, with vended sessions of a role or signatures only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from conftest import Sql, catalogs_of
from pyspark.sql import SparkSession
from support.lake import Lake, make_lake
from support.s3 import ROLE, S3Server
from support.server import Server

# The role in the warehouse's profile; None for signed requests.
WAREHOUSES = {"credentials": ROLE, "signatures": None}


@dataclass(frozen=True)
class OnS3:
    """A warehouse with the names of two catalogs for it."""

    lake: Lake
    writer: str
    reader: str


@pytest.fixture(params=WAREHOUSES, scope="module")
def on_s3(
    request: pytest.FixtureRequest,
    server: Server,
    s3: S3Server,
    spark: SparkSession,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[OnS3]:
    how = request.param
    lake = make_lake(server, s3, f"spark-{how}", tmp_path_factory.mktemp(how), role=WAREHOUSES[how])
    writer, reader = catalogs_of(spark, lake, how)
    lake.rest().create_namespace("ns")
    yield OnS3(lake, writer, reader)


def test_writer_creates_changes_and_expires_snapshots(on_s3: OnS3, sql: Sql) -> None:
    table = f"{on_s3.writer}.ns.changed"
    sql(f"CREATE TABLE {table} (id BIGINT, city STRING) USING iceberg PARTITIONED BY (city)")
    sql(f"INSERT INTO {table} VALUES (1, 'Oslo'), (2, 'Bergen'), (3, 'Voss')")
    sql(f"UPDATE {table} SET city = 'Flam' WHERE id = 2")
    sql(f"DELETE FROM {table} WHERE id = 3")
    assert sorted(sql(f"SELECT * FROM {table}")) == [(1, "Oslo"), (2, "Flam")]
    sql(f"CALL {on_s3.writer}.system.rewrite_data_files('ns.changed')")
    sql(f"CALL {on_s3.writer}.system.expire_snapshots(table => 'ns.changed', older_than => TIMESTAMP '2100-01-01', retain_last => 1)")
    assert sorted(sql(f"SELECT * FROM {on_s3.reader}.ns.changed")) == [(1, "Oslo"), (2, "Flam")]


def test_table_is_created_from_a_query(on_s3: OnS3, sql: Sql) -> None:
    """A staged create: its files are written before there is a table."""
    table = f"{on_s3.writer}.ns.made"
    sql(f"CREATE TABLE {table} USING iceberg AS SELECT id FROM range(100)")
    assert sql(f"SELECT count(*), max(id) FROM {table}") == [(100, 99)]


def test_reader_reads_rows_and_its_write_is_refused(on_s3: OnS3, sql: Sql) -> None:
    sql(f"CREATE TABLE {on_s3.writer}.ns.seen USING iceberg AS SELECT 1 AS id")
    with pytest.raises(Exception, match="(?i)403|forbidden|denied"):
        sql(f"INSERT INTO {on_s3.reader}.ns.seen VALUES (2)")
    assert sql(f"SELECT * FROM {on_s3.reader}.ns.seen") == [(1,)]


def test_drop_with_purge_removes_the_table(on_s3: OnS3, sql: Sql) -> None:
    sql(f"CREATE TABLE {on_s3.writer}.ns.gone USING iceberg AS SELECT 1 AS id")
    sql(f"DROP TABLE {on_s3.writer}.ns.gone PURGE")
    assert ("ns", "gone", False) not in sql(f"SHOW TABLES IN {on_s3.writer}.ns")
