"""Views."""

from __future__ import annotations

import pytest
import trino as client
from conftest import Sql
from support.readers import pyiceberg
from support.server import Server


def test_view_is_created_used_and_dropped(server: Server, sql: Sql, table: str, space: str) -> None:
    view = f"tw.{space}.cities"
    sql(f"CREATE VIEW {view} COMMENT 'all' AS SELECT city FROM tw.{table}")
    assert sql(f"SELECT * FROM {view} ORDER BY city") == [("Bergen",), ("Oslo",)]
    assert sql(f"SHOW TABLES FROM tw.{space}") == [("cities",), ("sightings",)]
    with pytest.raises(client.exceptions.TrinoUserError, match="already exists"):
        sql(f"CREATE VIEW {view} AS SELECT 1 AS x")
    sql(f"CREATE OR REPLACE VIEW {view} AS SELECT id, city FROM tw.{table} WHERE id > 1")
    assert sql(f"SELECT * FROM {view}") == [(2, "Bergen")]
    assert "WHERE (id > 1)" in sql(f"SHOW CREATE VIEW {view}")[0][0]
    (representation,) = pyiceberg(server).load_view((space, "cities")).current_version().representations
    assert representation.root.dialect == "trino" and "id > 1" in representation.root.sql
    sql(f"COMMENT ON VIEW {view} IS 'some'")
    sql(f"COMMENT ON COLUMN {view}.city IS 'where'")
    assert pyiceberg(server).load_view((space, "cities")).properties["comment"] == "some"
    assert sql(f"SELECT * FROM {view}") == [(2, "Bergen")]
    sql(f"ALTER VIEW {view} RENAME TO tw.{space}.places")
    assert sql(f"SELECT * FROM tw.{space}.places") == [(2, "Bergen")]
    sql(f"DROP VIEW tw.{space}.places")
    assert sql(f"SHOW TABLES FROM tw.{space}") == [("sightings",)]


def test_table_and_view_cannot_share_a_name(sql: Sql, table: str, space: str) -> None:
    with pytest.raises(client.exceptions.TrinoUserError, match="(?i)already exists"):
        sql(f"CREATE VIEW tw.{table} AS SELECT 1 AS x")
    sql(f"CREATE VIEW tw.{space}.v AS SELECT 1 AS x")
    with pytest.raises(client.exceptions.TrinoUserError, match="(?i)already exists"):
        sql(f"CREATE TABLE tw.{space}.v (x INTEGER)")


def test_trino_keeps_no_materialised_views_in_any_rest_catalog(sql: Sql, table: str, space: str) -> None:
    with pytest.raises(client.exceptions.TrinoUserError, match="not supported for Iceberg REST catalog"):
        sql(f"CREATE MATERIALIZED VIEW tw.{space}.m AS SELECT city FROM tw.{table}")
