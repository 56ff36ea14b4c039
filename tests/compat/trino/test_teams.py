"""Trino as two teams on one warehouse on S3: each sees, reads and writes its own, reads what is shared, and is refused the rest.

Each principal has a Trino catalog of its own, because a catalog signs in with one key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trino as client
from conftest import Sql, catalog_of
from support.rows import in_order
from support.s3 import REGION, S3Server
from support.server import Server
from support.teams import PRINCIPALS, ROWS, SHARED, Teams, fresh_name, teams_on_s3

MISSING = "does not exist"
FORBIDDEN = "You lack the privilege {}"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server with a token service."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def teams(server: Server, s3: S3Server, ask: Sql, tmp_path_factory: pytest.TempPathFactory) -> Teams:
    """The teams, and a Trino catalog for each principal, named with `_` for `-`."""
    teams = teams_on_s3(server, s3, "trino-teams", tmp_path_factory.mktemp("teams"))
    for principal in PRINCIPALS:
        settings = {
            "iceberg.catalog.type": "rest",
            "iceberg.rest-catalog.uri": server.uri,
            "iceberg.rest-catalog.warehouse": teams.warehouse,
            "iceberg.rest-catalog.security": "OAUTH2",
            "iceberg.rest-catalog.oauth2.token": teams.keys[principal].text,
            "iceberg.rest-catalog.vended-credentials-enabled": "true",
            "fs.s3.enabled": "true",
            "s3.endpoint": s3.uri,
            "s3.region": REGION,
            "s3.path-style-access": "true",
        }
        ask(f"CREATE CATALOG {name_of(principal)} {catalog_of(settings)}")
    return teams


def name_of(principal: str) -> str:
    return principal.replace("-", "_")


@pytest.fixture
def refused(sql: Sql) -> Callable[[str, str], None]:
    """Runs a statement and checks that it fails, and that its message or that of a cause matches. Trino's own message seldom has
    the reason."""

    def refused(statement: str, match: str) -> None:
        with pytest.raises(client.exceptions.TrinoQueryError) as error:
            sql(statement)
        shown = [str(error.value.message), *causes(error.value.failure_info)]
        assert any(re.search(match, text) for text in shown), shown

    return refused


def causes(failure: dict[str, Any] | None) -> Iterator[str]:
    """Returns the messages of a failure and of its causes."""
    while failure:
        yield str(failure.get("message"))
        failure = failure.get("cause")


@pytest.mark.parametrize("principal", PRINCIPALS)
def test_lists_show_own_and_shared_objects_only(teams: Teams, sql: Sql, principal: str) -> None:
    catalog, team = name_of(principal), principal.split("-")[0]
    schemas = {name for (name,) in sql(f"SHOW SCHEMAS FROM {catalog}")} - {"information_schema", "system"}
    assert schemas == {"sales", team}
    own = {name for _, name in teams.catalog().list_tables(team)}
    assert {name for (name,) in sql(f"SHOW TABLES FROM {catalog}.{team}")} == own
    listed = sql(f"SELECT table_schema, table_name FROM {catalog}.information_schema.tables WHERE table_schema IN ('sales', 'finance')")
    assert {*listed} == {(team, name) for name in own} | {("sales", "orders")}
    if team == "sales":
        with pytest.raises(client.exceptions.TrinoUserError, match="Schema 'finance' does not exist"):
            sql(f"SHOW TABLES FROM {catalog}.finance")


def test_engineer_writes_and_analyst_reads(teams: Teams, sql: Sql) -> None:
    name = fresh_name("finance.written")
    table = f"finance_etl.{name}"
    sql(f"CREATE TABLE {table} (id BIGINT, city VARCHAR, size DOUBLE)")
    sql(f"INSERT INTO {table} VALUES (1, 'Oslo', 1.5), (2, 'Bergen', 2.5)")
    # A merge with a table that is only shared for reading.
    sql(
        f"MERGE INTO {table} t USING finance_etl.{SHARED} s ON t.id = s.id WHEN MATCHED THEN UPDATE SET size = s.size * 2 "
        "WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.city, s.size)"
    )
    assert sql(f"SELECT * FROM finance_analyst.{name} ORDER BY id") == [(1, "Oslo", 3.0), (2, "Bergen", 5.0)]
    sql(f"DROP TABLE {table}")


@pytest.mark.parametrize("principal", ["finance-etl", "finance-analyst", "sales-analyst"])
def test_table_granted_for_reading_is_read_and_not_changed(
    teams: Teams, sql: Sql, refused: Callable[[str, str], None], principal: str
) -> None:
    table = f"{name_of(principal)}.{SHARED}"
    assert sql(f"SELECT * FROM {table} ORDER BY id") == [*ROWS]
    storage = "(?i)403|forbidden|access.?denied|You lack"
    refused(f"INSERT INTO {table} VALUES (9, 'Rome', 9.5)", storage)
    refused(f"UPDATE {table} SET size = 0 WHERE id = 1", storage)
    refused(f"DELETE FROM {table} WHERE id = 1", storage)
    refused(f"DELETE FROM {table}", storage)
    refused(f"ALTER TABLE {table} RENAME COLUMN size TO length", FORBIDDEN.format("TABLE_WRITE_PROPERTIES"))
    refused(f"DROP TABLE {table}", FORBIDDEN.format("TABLE_DROP"))
    refused(f"ALTER TABLE {table} RENAME TO {name_of(principal)}.sales.mine", FORBIDDEN.format("TABLE_DROP"))
    assert in_order(teams.catalog().load_table(SHARED).scan().to_arrow()) == [*ROWS]


@pytest.mark.parametrize("name", ["finance.ledger", "finance.missing"])
def test_hidden_table_is_refused_like_a_missing_one(
    teams: Teams, refused: Callable[[str, str], None], name: str
) -> None:
    for statement in (
        f"SELECT * FROM sales_etl.{name}",
        f"INSERT INTO sales_etl.{name} VALUES (9, 'Rome', 9.5)",
        f"DROP TABLE sales_etl.{name}",
        f"ALTER TABLE sales_etl.{name} RENAME TO sales_etl.sales.mine",
    ):
        refused(statement, MISSING)
    assert teams.catalog().table_exists("finance.ledger")


def test_object_cannot_be_created_without_the_privilege(teams: Teams, refused: Callable[[str, str], None]) -> None:
    refused("CREATE TABLE sales_analyst.sales.mine (id BIGINT)", FORBIDDEN.format(""))
    refused("CREATE TABLE sales_analyst.sales.mine AS SELECT 1 AS id", FORBIDDEN.format(""))
    refused("CREATE SCHEMA sales_analyst.mine", FORBIDDEN.format("NAMESPACE_CREATE on the warehouse"))
    refused("CREATE VIEW sales_analyst.sales.mine AS SELECT 1 AS id", FORBIDDEN.format(""))
    refused("DROP SCHEMA sales_analyst.sales", "(?i)non-empty|You lack the privilege NAMESPACE_DROP")
    assert not teams.catalog().table_exists("sales.mine")


def test_creating_tables_needs_the_privilege_to_load_the_namespace(
    teams: Teams, sql: Sql, refused: Callable[[str, str], None]
) -> None:
    """Trino loads the namespace's properties for the location of a new table."""
    teams.add_role("finance-makers", "sales-etl")
    teams.grant("finance-makers", "CREATE TABLE", "namespace", "finance")
    name = fresh_name("finance.made")
    refused(f"CREATE TABLE sales_etl.{name} (id BIGINT)", FORBIDDEN.format("NAMESPACE_READ_PROPERTIES on namespace 'finance'"))
    teams.grant("finance-makers", "DESCRIBE SCHEMA", "namespace", "finance")
    sql(f"CREATE TABLE sales_etl.{name} (id BIGINT)")
    sql(f"INSERT INTO sales_etl.{name} VALUES (1)")
    assert sql(f"SELECT * FROM finance_analyst.{name}") == [(1,)]
    sql(f"DROP TABLE sales_etl.{name}")
    teams.tidewater("role", "delete", "finance-makers", "--catalog")


def test_table_is_renamed_into_a_namespace_where_it_may_be_created(
    teams: Teams, sql: Sql, refused: Callable[[str, str], None]
) -> None:
    name = fresh_name("sales.moving")
    moved = name.replace("sales.", "finance.")
    teams.make_table("sales-etl", name)
    refused(f"ALTER TABLE sales_etl.{name} RENAME TO sales_etl.{moved}", "(?i)finance")
    teams.add_role(moved, "sales-etl")
    teams.grant(moved, "CREATE TABLE", "namespace", "finance")
    sql(f"ALTER TABLE sales_etl.{name} RENAME TO sales_etl.{moved}")
    assert sql(f"SELECT * FROM finance_analyst.{moved} ORDER BY id") == [*ROWS]
    refused(f"SELECT * FROM sales_analyst.{moved}", MISSING)
    sql(f"DROP TABLE finance_etl.{moved}")
    teams.tidewater("role", "delete", moved, "--catalog")


def test_view_over_a_hidden_table_is_read_by_those_who_may_read_the_table(
    teams: Teams, sql: Sql, refused: Callable[[str, str], None]
) -> None:
    """A view is text that Trino runs with the key of the catalog that the view names."""
    view = fresh_name("sales.totals")
    sql(f"CREATE VIEW sales_etl.{view} SECURITY INVOKER AS SELECT count(*) AS customers FROM sales_analyst.sales.customers")
    assert sql(f"SELECT * FROM sales_analyst.{view}") == [(2,)]
    refused(f"SELECT * FROM finance_analyst.{view}", MISSING)
    sql(f"DROP VIEW sales_etl.{view}")


def test_revoked_grant_ends_the_next_statement(
    teams: Teams, sql: Sql, refused: Callable[[str, str], None]
) -> None:
    name = fresh_name("sales.lent")
    teams.make_table("sales-etl", name)
    refused(f"SELECT * FROM finance_analyst.{name}", MISSING)
    teams.grant("sales-shared", "SELECT", "table", name)
    assert sql(f"SELECT count(*) FROM finance_analyst.{name}") == [(2,)]
    teams.revoke("sales-shared", "SELECT", "table", name)
    refused(f"SELECT count(*) FROM finance_analyst.{name}", MISSING)
    sql(f"DROP TABLE sales_etl.{name}")
