"""Spark on Azure and Google Cloud, with vended credentials only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from conftest import Sql, catalogs_of
from pyspark.sql import SparkSession
from support.cloud_lake import CloudLake
from support.clouds import CLOUDS, Cloud, make_lake_on
from support.server import Server


@dataclass(frozen=True)
class OnCloud:
    """A warehouse with the names of two catalogs for it."""

    cloud: Cloud
    lake: CloudLake
    writer: str
    reader: str


@pytest.fixture(params=["azure", "google"], scope="module")
def on_cloud(
    request: pytest.FixtureRequest,
    server: Server,
    spark: SparkSession,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[OnCloud]:
    where = request.param
    clouds = CLOUDS[where](request, tmp_path_factory.mktemp(where))
    cloud = next(clouds)
    lake = make_lake_on(cloud, server, tmp_path_factory.mktemp(f"spark-{where}"))
    writer, reader = catalogs_of(spark, lake, where)
    lake.rest().create_namespace("ns")
    yield OnCloud(cloud, lake, writer, reader)
    next(clouds, None)


def test_writer_creates_and_changes(on_cloud: OnCloud, sql: Sql) -> None:
    table = f"{on_cloud.writer}.ns.changed"
    sql(f"CREATE TABLE {table} (id BIGINT, city STRING) USING iceberg PARTITIONED BY (city)")
    sql(f"INSERT INTO {table} VALUES (1, 'Oslo'), (2, 'Bergen'), (3, 'Voss')")
    sql(f"UPDATE {table} SET city = 'Flam' WHERE id = 2")
    sql(f"DELETE FROM {table} WHERE id = 3")
    assert sorted(sql(f"SELECT * FROM {table}")) == [(1, "Oslo"), (2, "Flam")]
    sql(f"CALL {on_cloud.writer}.system.rewrite_data_files('ns.changed')")
    assert sorted(sql(f"SELECT * FROM {on_cloud.reader}.ns.changed")) == [(1, "Oslo"), (2, "Flam")]


def test_old_snapshots_are_expired_with_their_files(on_cloud: OnCloud, sql: Sql) -> None:
    table = f"{on_cloud.writer}.ns.expired"
    sql(f"CREATE TABLE {table} USING iceberg AS SELECT 1 AS id")
    sql(f"INSERT OVERWRITE {table} SELECT 2 AS id")
    sql(f"CALL {on_cloud.writer}.system.expire_snapshots(table => 'ns.expired', older_than => TIMESTAMP '2100-01-01', retain_last => 1)")
    location = on_cloud.lake.rest().load("ns", "expired")["metadata"]["location"]
    assert len([name for name in on_cloud.cloud.objects(location) if name.endswith(".parquet")]) == 1
    assert sql(f"SELECT * FROM {table}") == [(2,)]


def test_table_is_created_from_a_query(on_cloud: OnCloud, sql: Sql) -> None:
    """A staged create: its files are written before there is a table."""
    table = f"{on_cloud.writer}.ns.made"
    sql(f"CREATE TABLE {table} USING iceberg AS SELECT id FROM range(100)")
    assert sql(f"SELECT count(*), max(id) FROM {table}") == [(100, 99)]


def test_reader_reads_rows_and_its_write_is_refused(on_cloud: OnCloud, sql: Sql) -> None:
    sql(f"CREATE TABLE {on_cloud.writer}.ns.seen USING iceberg AS SELECT 1 AS id")
    with pytest.raises(Exception, match="(?i)403|forbidden|denied|the token may not|AuthorizationPermissionMismatch"):
        sql(f"INSERT INTO {on_cloud.reader}.ns.seen VALUES (2)")
    assert sql(f"SELECT * FROM {on_cloud.reader}.ns.seen") == [(1,)]
