"""Views."""

from __future__ import annotations

import pytest
from conftest import Sql
from support.readers import pyiceberg
from support.server import Server


def test_view_is_created_used_and_dropped(server: Server, sql: Sql, table: str, space: str) -> None:
    view = f"tw.{space}.cities"
    sql(f"CREATE VIEW {view} (name COMMENT 'of the city') COMMENT 'all' TBLPROPERTIES ('a'='b') AS SELECT city FROM tw.{table}")
    assert sql(f"SELECT name FROM {view} ORDER BY name") == [("Bergen",), ("Oslo",)]
    assert sql(f"SHOW VIEWS IN tw.{space}") == [(space, "cities", False)]
    assert [row[1] for row in sql(f"SHOW TABLES IN tw.{space}")] == ["sightings"]
    assert f"SELECT city FROM tw.{table}" in sql(f"SHOW CREATE TABLE {view}")[0][0]
    assert ("name", "string", "of the city") in sql(f"DESCRIBE {view}")
    with pytest.raises(Exception, match="(?i)already exists"):
        sql(f"CREATE VIEW {view} AS SELECT 1 AS x")
    sql(f"CREATE OR REPLACE VIEW {view} AS SELECT id, city FROM tw.{table} WHERE id > 1")
    assert sql(f"SELECT * FROM {view}") == [(2, "Bergen")]
    loaded = pyiceberg(server).load_view((space, "cities"))
    assert [(one.root.dialect, one.root.sql) for one in loaded.current_version().representations] == [
        ("spark", f"SELECT id, city FROM tw.{table} WHERE id > 1")
    ]
    sql(f"ALTER VIEW {view} SET TBLPROPERTIES ('c'='d')")
    sql(f"ALTER VIEW {view} UNSET TBLPROPERTIES ('a')")
    properties = pyiceberg(server).load_view((space, "cities")).properties
    assert properties["c"] == "d" and "a" not in properties
    sql(f"ALTER VIEW {view} RENAME TO tw.{space}.places")
    assert sql(f"SELECT * FROM tw.{space}.places") == [(2, "Bergen")]
    sql(f"DROP VIEW tw.{space}.places")
    assert sql(f"SHOW VIEWS IN tw.{space}") == []


def test_view_of_a_view_uses_the_namespace_of_its_creation(sql: Sql, table: str, space: str) -> None:
    sql(f"CREATE VIEW tw.{space}.inner AS SELECT id, city FROM tw.{table}")
    sql(f"CREATE VIEW tw.{space}.outer AS WITH big AS (SELECT * FROM tw.{space}.inner WHERE id > 1) SELECT city FROM big")
    assert sql(f"SELECT * FROM tw.{space}.outer") == [("Bergen",)]


def test_table_and_view_cannot_share_a_name(sql: Sql, table: str, space: str) -> None:
    with pytest.raises(Exception, match="(?i)already exists"):
        sql(f"CREATE VIEW tw.{table} AS SELECT 1 AS x")
    sql(f"CREATE VIEW tw.{space}.v AS SELECT 1 AS x")
    with pytest.raises(Exception, match="(?i)already exists"):
        sql(f"CREATE TABLE tw.{space}.v (x INT) USING iceberg")
