"""Spark as a judge: one server and one Spark for the session, one namespace for each test. `cargo xtask compat spark` runs
this."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from support import judges
from support.cloud_lake import CloudLake
from support.conformance import with_iceberg
from support.java import java
from support.lake import Lake
from support.recording import Recording, installed
from support.s3 import S3Server
from support.server import Server

RUNTIME = "iceberg-spark-runtime-4.1_2.13"
EXTENSIONS = "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"

# The same catalog twice: `tw` with the key as a bearer token, `signed_in` with the key for a token that is renewed.
CATALOGS = {"tw": "token", "signed_in": "credential"}


ICEBERG = judges.version_of(judges.jars("spark"), RUNTIME)

# The name of its record.
CLIENT = with_iceberg("spark", ICEBERG)

_recording = Recording({"test": CLIENT}, {CLIENT: lambda: f"{installed('pyspark')()} with Iceberg {ICEBERG}"})

Sql = Callable[[str], list[tuple]]


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_recording)


@pytest.fixture(scope="session")
def runtime() -> Path:
    """Iceberg's runtime jar for Spark."""
    (jar,) = judges.jars("spark").glob(f"{RUNTIME}-*.jar")
    return jar


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with judges.judged(_recording, CLIENT, tmp_path_factory.mktemp("tidewater")) as server:
        yield server


@pytest.fixture(scope="session")
def spark(server: Server, runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    java(oldest=17)
    folder = tmp_path_factory.mktemp("spark")
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    # The S3 server of the tests does not read the checksums that Amazon's library sends by default.
    os.environ["AWS_REQUEST_CHECKSUM_CALCULATION"] = "when_required"
    # The libraries for the clouds: Iceberg's bundles, and Microsoft's libraries.
    clouds = sorted(jar for jar in judges.jars("spark").glob("*.jar") if jar != runtime)
    settings = {
        "spark.driver.memory": "1g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.jars": ",".join(map(str, [runtime, *clouds])),
        "spark.sql.extensions": EXTENSIONS,
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.local.dir": str(folder / "local"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
    }
    assert server.printed is not None
    for catalog, sign_in in CATALOGS.items():
        of_catalog = {
            "": "org.apache.iceberg.spark.SparkCatalog",
            ".type": "rest",
            ".uri": server.uri,
            ".warehouse": server.printed.warehouse,
            f".{sign_in}": server.key,
        }
        settings |= {f"spark.sql.catalog.{catalog}{name}": value for name, value in of_catalog.items()}
    spark = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
    yield spark
    spark.stop()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server with a token service."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


def catalogs_of(spark: SparkSession, lake: Lake | CloudLake, name: str) -> tuple[str, str]:
    """Configures two Spark catalogs for a warehouse, with a writer's and a reader's key and vended credentials. Returns their
    names."""
    for role, key in (("writer", lake.writer), ("reader", lake.reader)):
        settings = {
            "": "org.apache.iceberg.spark.SparkCatalog",
            ".type": "rest",
            ".uri": lake.server.uri,
            ".warehouse": "lake",
            ".token": key.text,
            ".header.X-Iceberg-Access-Delegation": "vended-credentials",
        }
        for setting, value in settings.items():
            spark.conf.set(f"spark.sql.catalog.{name}_{role}{setting}", value)
    return f"{name}_writer", f"{name}_reader"


@pytest.fixture
def sql(spark: SparkSession) -> Sql:
    """Runs one statement and returns its rows."""
    return lambda statement: [tuple(row) for row in spark.sql(statement).collect()]


@pytest.fixture
def space(sql: Sql) -> str:
    """A new namespace for this test, without the catalog's name."""
    name = f"n{uuid.uuid4().hex[:10]}"
    sql(f"CREATE NAMESPACE tw.{name}")
    return name


@pytest.fixture
def table(sql: Sql, space: str) -> str:
    """A table of two rows in one file, without the catalog's name."""
    name = f"{space}.sightings"
    sql(f"CREATE TABLE tw.{name} (id BIGINT NOT NULL, city STRING, size FLOAT, seen INT) USING iceberg")
    sql(f"INSERT INTO tw.{name} SELECT /*+ COALESCE(1) */ * FROM VALUES (1, 'Oslo', 1.5, 10), (2, 'Bergen', 2.5, 20)")
    return name
