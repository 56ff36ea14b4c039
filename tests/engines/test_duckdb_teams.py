"""DuckDB as two teams on one warehouse: each sees, reads and writes its own, reads what is shared, and is refused the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import duckdb
import pytest
from conftest import own_bucket

from support import documents
from support.lake import Lake
from support.readers import EXTENSIONS, extension_file
from support.rest import answer
from support.rows import in_order
from support.teams import PRINCIPALS, ROWS, SHARED, Teams, fresh_name, teams_on_disk, teams_on_s3

Attach = Callable[[str], duckdb.DuckDBPyConnection]

# What DuckDB shows of a table that it may not see.
MISSING = "does not exist"


@pytest.fixture(scope="module", params=["S3", "local disk"])
def teams(request: pytest.FixtureRequest, lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Teams:
    if request.param == "local disk":
        return teams_on_disk(lake.server)
    return teams_on_s3(lake.server, lake.s3, own_bucket("duck-teams"), tmp_path_factory.mktemp("teams"))


@pytest.fixture
def attach(teams: Teams) -> Iterator[Attach]:
    """Opens DuckDB with the warehouse as `ic`, signed in as a principal."""
    opened: list[duckdb.DuckDBPyConnection] = []

    def attach(principal: str) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "threads": "2"})
        opened.append(connection)
        for name in EXTENSIONS:
            connection.execute(f"LOAD '{extension_file(name)}'")
        mode = "" if teams.s3 else ", ACCESS_DELEGATION_MODE 'none'"
        key = teams.keys[principal].text
        connection.execute(
            f"ATTACH '{teams.warehouse}' AS ic (TYPE ICEBERG, ENDPOINT '{teams.server.uri}', TOKEN '{key}'{mode})"
        )
        return connection

    yield attach
    for connection in opened:
        connection.close()


def rows(duck: duckdb.DuckDBPyConnection, query: str) -> list[tuple]:
    return duck.execute(query).fetchall()


def tables(duck: duckdb.DuckDBPyConnection) -> set[tuple]:
    return {*rows(duck, "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'ic'")}


@pytest.mark.parametrize("principal", PRINCIPALS)
def test_lists_show_own_and_shared_tables_only(teams: Teams, attach: Attach, principal: str) -> None:
    duck, team = attach(principal), principal.split("-")[0]
    expected = set(teams.catalog().list_tables(team)) | {("sales", "orders")}
    assert tables(duck) == expected
    shown = rows(duck, "SELECT schema, name FROM (SHOW ALL TABLES) WHERE database = 'ic'")
    assert set(shown) == expected
    schemas = rows(duck, "SELECT schema_name FROM duckdb_schemas() WHERE database_name = 'ic'")
    assert {name for (name,) in schemas} == {name for name, _ in expected}


def test_engineer_writes_and_analyst_reads_its_own_table(teams: Teams, attach: Attach) -> None:
    name = fresh_name("finance.written")
    duck = attach("finance-etl")
    duck.execute(f"CREATE TABLE ic.{name} (id BIGINT, city VARCHAR, size DOUBLE)")
    duck.execute(f"INSERT INTO ic.{name} VALUES (1, 'Oslo', 1.5), (2, 'Bergen', 2.5), (3, 'Voss', 3.5)")
    duck.execute(f"UPDATE ic.{name} SET size = 9.5 WHERE id = 2")
    duck.execute(f"DELETE FROM ic.{name} WHERE id = 3")
    assert rows(attach("finance-analyst"), f"SELECT * FROM ic.{name} ORDER BY id") == [
        (1, "Oslo", 1.5),
        (2, "Bergen", 9.5),
    ]
    duck.execute(f"DROP TABLE ic.{name}")


@pytest.mark.parametrize("principal", ["finance-etl", "finance-analyst", "sales-analyst"])
def test_table_granted_for_reading_is_read_and_not_changed(teams: Teams, attach: Attach, principal: str) -> None:
    duck = attach(principal)
    assert rows(duck, f"SELECT * FROM ic.{SHARED} ORDER BY id") == [*ROWS]
    for statement in (
        f"INSERT INTO ic.{SHARED} VALUES (9, 'Rome', 9.5)",
        f"DELETE FROM ic.{SHARED} WHERE id = 1",
        f"UPDATE ic.{SHARED} SET size = 0 WHERE id = 1",
        f"ALTER TABLE ic.{SHARED} RENAME COLUMN size TO length",
        f"DROP TABLE ic.{SHARED}",
    ):
        with pytest.raises(duckdb.Error, match="403|(?i:denied|forbidden)"):
            duck.execute(statement)
        assert in_order(teams.catalog().load_table(SHARED).scan().to_arrow()) == [*ROWS], statement


@pytest.mark.parametrize("principal", ["sales-etl", "sales-analyst"])
def test_hidden_table_is_refused_like_a_missing_one(attach: Attach, principal: str) -> None:
    duck = attach(principal)
    for name in ("finance.ledger", "finance.missing"):
        for statement in (
            f"SELECT * FROM ic.{name}",
            f"INSERT INTO ic.{name} VALUES (9, 'Rome', 9.5)",
            f"DROP TABLE ic.{name}",
        ):
            with pytest.raises(duckdb.Error, match=MISSING):
                duck.execute(statement)


def test_table_cannot_be_created_without_the_privilege(teams: Teams, attach: Attach) -> None:
    duck = attach("sales-analyst")
    with pytest.raises(duckdb.Error, match="403|(?i:forbidden)"):
        duck.execute("CREATE TABLE ic.sales.mine (id BIGINT)")
    with pytest.raises(duckdb.Error, match="403|(?i:forbidden)"):
        duck.execute("CREATE SCHEMA ic.mine")
    assert not teams.catalog().table_exists("sales.mine")


def test_table_granted_without_its_data_does_not_disturb_the_others(teams: Teams, attach: Attach) -> None:
    name = fresh_name("sales.listed")
    teams.make_table("sales-etl", name)
    teams.grant("sales-shared", "SHOW TABLES", "table", name)
    duck = attach("finance-analyst")
    assert rows(duck, f"SELECT count(*) FROM ic.{SHARED}") == [(2,)]
    with pytest.raises(duckdb.Error):
        duck.execute(f"SELECT * FROM ic.{name}")
    assert rows(duck, f"SELECT count(*) FROM ic.{SHARED}") == [(2,)]
    teams.catalog("sales-etl").drop_table(name)


def test_view_beside_a_shared_table_does_not_disturb_it(teams: Teams, attach: Attach) -> None:
    view = fresh_name("totals")
    answer(teams.rest("sales-etl").post("/namespaces/sales/views", json=documents.view(view)))
    teams.grant("sales-shared", "SELECT VIEW", "view", f"sales.{view}")
    assert rows(attach("finance-analyst"), f"SELECT count(*) FROM ic.{SHARED}") == [(2,)]
    teams.catalog("sales-etl").drop_view(("sales", view))


def test_revoked_grant_ends_the_next_statement_of_an_open_session(teams: Teams, attach: Attach) -> None:
    name = fresh_name("sales.lent")
    teams.make_table("sales-etl", name)
    duck = attach("finance-analyst")
    with pytest.raises(duckdb.Error, match=MISSING):
        duck.execute(f"SELECT * FROM ic.{name}")
    teams.grant("sales-shared", "SELECT", "table", name)
    assert rows(duck, f"SELECT count(*) FROM ic.{name}") == [(2,)]
    teams.revoke("sales-shared", "SELECT", "table", name)
    with pytest.raises(duckdb.Error, match=MISSING):
        duck.execute(f"SELECT count(*) FROM ic.{name}")
    teams.catalog("sales-etl").drop_table(name)
