"""Spark as two teams on one warehouse on S3: each sees, reads and writes its own, reads what is shared, and is refused the rest."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import Sql
from pyspark.sql import SparkSession
from support.rows import in_order
from support.s3 import S3Server
from support.server import Server
from support.teams import PRINCIPALS, ROWS, SHARED, Teams, fresh_name, teams_on_s3

MISSING = "TABLE_OR_VIEW_NOT_FOUND"
FORBIDDEN = "You lack the privilege {}"


@pytest.fixture(scope="module")
def teams(server: Server, s3: S3Server, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Teams:
    """The teams, and a Spark catalog for each principal, named with `_` for `-`."""
    teams = teams_on_s3(server, s3, "spark-teams", tmp_path_factory.mktemp("teams"))
    for principal in PRINCIPALS:
        add_catalog(spark, teams, principal)
    return teams


def add_catalog(spark: SparkSession, teams: Teams, principal: str, **more: str) -> None:
    settings = {
        "": "org.apache.iceberg.spark.SparkCatalog",
        ".type": "rest",
        ".uri": teams.server.uri,
        ".warehouse": teams.warehouse,
        ".token": teams.keys[principal].text,
        ".header.X-Iceberg-Access-Delegation": "vended-credentials",
        **{f".{name.replace('_', '-')}": value for name, value in more.items()},
    }
    for setting, value in settings.items():
        spark.conf.set(f"spark.sql.catalog.{name_of(principal)}{setting}", value)


def name_of(principal: str) -> str:
    return principal.replace("-", "_")


@pytest.fixture
def refused(sql: Sql) -> Callable[[str, str], str]:
    """Runs a statement and checks that it fails with a message that matches. Returns the message."""

    def refused(statement: str, match: str) -> str:
        with pytest.raises(Exception, match=match) as error:
            sql(statement)
        return str(error.value)

    return refused


@pytest.mark.parametrize("principal", PRINCIPALS)
def test_lists_show_own_and_shared_objects_only(teams: Teams, sql: Sql, principal: str) -> None:
    catalog, team = name_of(principal), principal.split("-")[0]
    visible = {"sales", team}
    assert {row[0] for row in sql(f"SHOW NAMESPACES IN {catalog}")} == visible
    assert {row[1] for row in sql(f"SHOW TABLES IN {catalog}.{team}")} == {
        name for _, name in teams.catalog().list_tables(team)
    }
    if team == "finance":
        assert [row[1] for row in sql(f"SHOW TABLES IN {catalog}.sales")] == ["orders"]
    else:
        with pytest.raises(Exception, match="SCHEMA_NOT_FOUND|Namespace does not exist: finance"):
            sql(f"SHOW TABLES IN {catalog}.finance")


def test_engineer_writes_and_merges_and_analyst_reads(teams: Teams, sql: Sql) -> None:
    name = fresh_name("finance.written")
    table = f"finance_etl.{name}"
    sql(f"CREATE TABLE {table} (id BIGINT, city STRING, size DOUBLE) USING iceberg PARTITIONED BY (city)")
    sql(f"INSERT INTO {table} VALUES (1, 'Oslo', 1.5), (2, 'Bergen', 2.5)")
    # A merge with a table that is only shared for reading.
    sql(
        f"MERGE INTO {table} t USING finance_etl.{SHARED} s ON t.id = s.id WHEN MATCHED THEN UPDATE SET size = s.size * 2 "
        "WHEN NOT MATCHED THEN INSERT *"
    )
    sql(f"CALL finance_etl.system.rewrite_data_files('{name}')")
    assert sorted(sql(f"SELECT * FROM finance_analyst.{name}")) == [(1, "Oslo", 3.0), (2, "Bergen", 5.0)]
    sql(f"DROP TABLE {table}")


@pytest.mark.parametrize("principal", ["finance-etl", "finance-analyst", "sales-analyst"])
def test_table_granted_for_reading_is_read_and_not_changed(
    teams: Teams, sql: Sql, refused: Callable[[str, str], str], principal: str
) -> None:
    table = f"{name_of(principal)}.{SHARED}"
    assert sorted(sql(f"SELECT * FROM {table}")) == [*ROWS]
    storage = "(?i)403|forbidden|denied"
    refused(f"INSERT INTO {table} VALUES (9, 'Rome', 9.5)", storage)
    refused(f"MERGE INTO {table} t USING (SELECT 1L AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE", storage)
    refused(f"UPDATE {table} SET size = 0 WHERE id = 1", storage)
    # Removes a whole file, so it writes only metadata.
    refused(f"DELETE FROM {table}", storage)
    refused(f"ALTER TABLE {table} RENAME COLUMN size TO length", FORBIDDEN.format("TABLE_WRITE_PROPERTIES"))
    refused(f"ALTER TABLE {table} SET TBLPROPERTIES ('a' = 'b')", FORBIDDEN.format("TABLE_WRITE_PROPERTIES"))
    refused(f"DROP TABLE {table}", FORBIDDEN.format("TABLE_DROP"))
    refused(f"DROP TABLE {table} PURGE", FORBIDDEN.format("TABLE_DROP"))
    refused(f"ALTER TABLE {table} RENAME TO sales.mine", FORBIDDEN.format("TABLE_DROP"))
    assert in_order(teams.catalog().load_table(SHARED).scan().to_arrow()) == [*ROWS]


@pytest.mark.parametrize("name", ["finance.ledger", "finance.missing"])
def test_hidden_table_is_refused_like_a_missing_one(
    teams: Teams, refused: Callable[[str, str], str], name: str
) -> None:
    for statement in (
        f"SELECT * FROM sales_etl.{name}",
        f"INSERT INTO sales_etl.{name} VALUES (9, 'Rome', 9.5)",
        f"DROP TABLE sales_etl.{name}",
        f"ALTER TABLE sales_etl.{name} RENAME TO sales.mine",
    ):
        refused(statement, MISSING)
    assert teams.catalog().table_exists("finance.ledger")


def test_object_cannot_be_created_without_the_privilege(teams: Teams, refused: Callable[[str, str], str]) -> None:
    missing = FORBIDDEN.format("TABLE_CREATE on namespace 'sales'")
    refused("CREATE TABLE sales_analyst.sales.mine (id BIGINT) USING iceberg", missing)
    refused("CREATE TABLE sales_analyst.sales.mine USING iceberg AS SELECT 1 AS id", missing)
    refused("CREATE NAMESPACE sales_analyst.mine", FORBIDDEN.format("NAMESPACE_CREATE on the warehouse"))
    refused("CREATE VIEW sales_analyst.sales.mine AS SELECT 1 AS id", FORBIDDEN.format("VIEW_CREATE on namespace 'sales'"))
    refused("DROP NAMESPACE sales_analyst.sales", FORBIDDEN.format("NAMESPACE_DROP on namespace 'sales'"))
    assert not teams.catalog().table_exists("sales.mine")


def test_table_is_renamed_into_a_namespace_where_it_may_be_created(
    teams: Teams, sql: Sql, refused: Callable[[str, str], str]
) -> None:
    name = fresh_name("sales.moving")
    moved = name.replace("sales.", "finance.")
    teams.make_table("sales-etl", name)
    refused(f"ALTER TABLE sales_etl.{name} RENAME TO {moved}", "Namespace does not exist: finance")
    teams.add_role(moved, "sales-etl")
    teams.grant(moved, "CREATE TABLE", "namespace", "finance")
    sql(f"ALTER TABLE sales_etl.{name} RENAME TO {moved}")
    assert sorted(sql(f"SELECT * FROM finance_analyst.{moved}")) == [*ROWS]
    assert sorted(sql(f"SELECT * FROM sales_etl.{moved}")) == [*ROWS]
    refused(f"SELECT * FROM sales_analyst.{moved}", MISSING)
    sql(f"DROP TABLE finance_etl.{moved}")
    teams.tidewater("role", "delete", moved, "--catalog")


def test_view_over_a_hidden_table_is_read_by_those_who_may_read_the_table(
    teams: Teams, sql: Sql, refused: Callable[[str, str], str]
) -> None:
    """A view is text that the reader's Spark runs with the reader's key."""
    view = fresh_name("sales.totals")
    # A name without a catalog is found in the reader's catalog.
    sql("USE sales_etl")
    sql(f"CREATE VIEW {view} AS SELECT count(*) AS customers FROM sales.customers")
    sql("USE spark_catalog")
    assert sql(f"SELECT * FROM sales_analyst.{view}") == [(2,)]
    refused(f"SELECT * FROM finance_analyst.{view}", MISSING)
    teams.grant("sales-shared", "SELECT VIEW", "view", view)
    assert [row[1] for row in sql("SHOW VIEWS IN finance_analyst.sales")] == [view.removeprefix("sales.")]
    refused(f"SELECT * FROM finance_analyst.{view}", f"{MISSING}.*customers")
    teams.grant("sales-shared", "SELECT", "table", "sales.customers")
    assert sql(f"SELECT * FROM finance_analyst.{view}") == [(2,)]
    teams.revoke("sales-shared", "SELECT", "table", "sales.customers")
    refused(f"DROP VIEW finance_analyst.{view}", FORBIDDEN.format("VIEW_DROP"))
    sql(f"DROP VIEW sales_etl.{view}")


def test_revoked_grant_ends_the_next_statement_unless_spark_has_the_table_in_its_cache(
    teams: Teams, spark: SparkSession, sql: Sql, refused: Callable[[str, str], str]
) -> None:
    name = fresh_name("sales.lent")
    teams.make_table("sales-etl", name)
    # The same principal without Spark's cache of tables.
    teams.keys["finance-uncached"] = teams.keys["finance-analyst"]
    add_catalog(spark, teams, "finance-uncached", cache_enabled="false")
    refused(f"SELECT * FROM finance_analyst.{name}", MISSING)
    teams.grant("sales-shared", "SELECT", "table", name)
    for catalog in ("finance_analyst", "finance_uncached"):
        assert sql(f"SELECT count(*) FROM {catalog}.{name}") == [(2,)]
    teams.revoke("sales-shared", "SELECT", "table", name)
    refused(f"SELECT count(*) FROM finance_uncached.{name}", MISSING)
    # The cached table has credentials until they expire. REFRESH TABLE removes it from the cache.
    assert sql(f"SELECT count(*) FROM finance_analyst.{name}") == [(2,)]
    sql(f"REFRESH TABLE finance_analyst.{name}")
    refused(f"SELECT count(*) FROM finance_analyst.{name}", MISSING)
    sql(f"DROP TABLE sales_etl.{name}")
