"""Sail: Spark's SQL, with the catalog as its own."""

from __future__ import annotations

import json

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.types import DoubleType

from support import sail
from support.rest import Rest, answer, refused
from support.rows import SIGHTINGS, in_order, sightings
from support.server import Server


def token(server: Server) -> str:
    """A token for the server's key."""
    form = {"grant_type": "client_credentials", "client_id": "sail", "client_secret": server.key, "scope": "catalog"}
    return answer(Rest(server.uri, None).post("/oauth/tokens", data=form))["access_token"]


SIGN_IN = {
    "key": lambda server: {"bearer_access_token": server.key},
    "token": lambda server: {"oauth_access_token": token(server)},
}


@pytest.mark.parametrize("sign_in", SIGN_IN)
def test_sample_table_is_read(server: Server, catalog: Catalog, sign_in: str) -> None:
    statements = [
        "SHOW DATABASES",
        "SHOW TABLES IN demo",
        "SELECT count(*) AS n FROM demo.tides",
        "SELECT station, max(level_m) AS highest FROM tidewater.demo.tides GROUP BY station ORDER BY station",
    ]
    databases, tables, counted, highest = sail.run(server, statements, **SIGN_IN[sign_in](server))
    assert "demo" in {row["name"] for row in databases}
    assert "tides" in {row["tableName"] for row in tables}
    rows = catalog.load_table("demo.tides").scan().to_arrow()
    assert counted == [{"n": rows.num_rows}]
    expected = rows.group_by("station").aggregate([("level_m", "max")]).sort_by("station").to_pylist()
    assert [tuple(row.values()) for row in highest] == [
        (row["station"], str(row["level_m_max"])) for row in expected
    ]


def test_database_is_created_used_and_dropped(server: Server, rest: Rest, unique: str) -> None:
    sail.run(server, [f"CREATE DATABASE {unique} COMMENT 'of a test'"])
    assert answer(rest.get(f"/namespaces/{unique}"))["properties"]["comment"] == "of a test"
    *_, left = sail.run(server, [f"DROP DATABASE {unique}", "SHOW DATABASES"])
    assert unique not in {row["name"] for row in left}
    refused(rest.get(f"/namespaces/{unique}"), 404, "NoSuchNamespaceException")


def test_table_is_created_used_and_dropped(
    server: Server, rest: Rest, catalog: Catalog, namespace: str
) -> None:
    """Sail sends a relative location; the table lies in the warehouse."""
    name = f"{namespace}.t"
    *_, rows, columns = sail.run(
        server,
        [
            f"CREATE TABLE {name} (id BIGINT, city STRING, size DOUBLE) USING iceberg "
            "PARTITIONED BY (city) TBLPROPERTIES ('owner' = 'ana')",
            f"INSERT INTO {name} VALUES (1, 'Oslo', 1.5), (2, 'Bergen', 2.5)",
            f"INSERT INTO {name} VALUES (3, 'Voss', NULL)",
            f"SELECT id, city, size FROM {name} ORDER BY id",
            f"DESCRIBE TABLE {name}",
        ],
    )
    assert [tuple(row.values()) for row in rows] == [(1, "Oslo", 1.5), (2, "Bergen", 2.5), (3, "Voss", None)]
    assert [(row["col_name"], row["data_type"]) for row in columns][:2] == [("id", "bigint"), ("city", "string")]
    table = catalog.load_table(name)
    assert in_order(table.scan().to_arrow()) == [(1, "Oslo", 1.5), (2, "Bergen", 2.5), (3, "Voss", None)]
    assert table.properties["owner"] == "ana"
    assert [field.name for field in table.spec().fields] == ["city"]
    warehouse = catalog.load_table("demo.tides").location().rsplit("/", 1)[0]
    assert table.location().startswith(f"{warehouse}/spark-warehouse/t-"), table.location()
    sail.run(server, [f"DROP TABLE {name}"])
    refused(rest.get(f"/namespaces/{namespace}/tables/t"), 404, "NoSuchTableException")


def test_table_from_a_query_works_if_the_database_has_a_location(
    server: Server, catalog: Catalog, unique: str
) -> None:
    location = f"{catalog.load_table('demo.tides').location().rsplit('/', 1)[0]}/{unique}"
    *_, rows = sail.run(
        server,
        [
            f"CREATE DATABASE {unique} LOCATION '{location}'",
            f"CREATE TABLE {unique}.t USING iceberg AS SELECT id, concat('c', id) AS name FROM range(3)",
            f"SELECT * FROM {unique}.t ORDER BY id",
        ],
    )
    assert [tuple(row.values()) for row in rows] == [(0, "c0"), (1, "c1"), (2, "c2")]
    table = catalog.load_table(f"{unique}.t")
    assert table.location() == f"{location}/t"
    assert in_order(table.scan().to_arrow()) == [(0, "c0"), (1, "c1"), (2, "c2")]


def test_location_outside_of_the_warehouse_is_refused(server: Server, rest: Rest, namespace: str) -> None:
    for location in ("file:///tmp/elsewhere", "../elsewhere"):
        with pytest.raises(RuntimeError, match="400 Bad Request|absolute path"):
            sail.run(server, [f"CREATE TABLE {namespace}.t (id BIGINT) USING iceberg LOCATION '{location}'"])
    refused(rest.get(f"/namespaces/{namespace}/tables/t"), 404, "NoSuchTableException")


def test_rows_are_updated_deleted_merged_and_overwritten(server: Server, catalog: Catalog, namespace: str) -> None:
    name = f"{namespace}.t"
    catalog.create_table(name, SIGHTINGS).append(sightings((1, "Oslo", 1.5), (2, "Bergen", 2.5), (3, "Voss", 3.5)))
    source = "(SELECT 3 AS id, 'Bodø' AS city, 4.5 AS size UNION ALL SELECT 4, 'Narvik', 5.5)"
    sail.run(
        server,
        [
            f"UPDATE {name} SET city = 'Stavanger' WHERE id = 1",
            f"DELETE FROM {name} WHERE id = 2",
            f"MERGE INTO {name} AS t USING {source} AS s ON t.id = s.id "
            "WHEN MATCHED THEN UPDATE SET city = s.city WHEN NOT MATCHED THEN INSERT *",
        ],
    )
    table = catalog.load_table(name)
    assert in_order(table.scan().to_arrow()) == [(1, "Stavanger", 1.5), (3, "Bodø", 3.5), (4, "Narvik", 5.5)]
    before = len(table.snapshots())
    sail.run(server, [f"INSERT OVERWRITE {name} SELECT CAST(9 AS BIGINT), 'Alta', CAST(0.5 AS DOUBLE)"])
    table = table.refresh()
    assert in_order(table.scan().to_arrow()) == [(9, "Alta", 0.5)]
    assert len(table.snapshots()) > before, "earlier snapshots were removed"


def test_table_altered_by_pyiceberg_is_read(server: Server, catalog: Catalog, namespace: str) -> None:
    name = f"{namespace}.t"
    table = catalog.create_table(name, SIGHTINGS)
    table.append(sightings((1, "Oslo", 1.5)))
    with table.update_schema() as update:
        update.rename_column("city", "town").add_column("depth", DoubleType())
    [rows] = sail.run(server, [f"SELECT * FROM {name}"])
    assert rows == [{"id": 1, "town": "Oslo", "size": 1.5, "depth": None}]


def test_view_is_created_queried_listed_and_dropped(
    server: Server, rest: Rest, catalog: RestCatalog, namespace: str
) -> None:
    catalog.create_table((namespace, "t"), SIGHTINGS).append(sightings((1, "Oslo", 1.5), (2, "Bergen", 2.5)))
    made, rows, listed = sail.run(
        server,
        [
            f"CREATE VIEW {namespace}.v AS SELECT id, city FROM {namespace}.t WHERE size > 2",
            f"SELECT * FROM {namespace}.v",
            f"SHOW VIEWS IN {namespace}",
        ],
    )
    assert rows == [{"id": 2, "city": "Bergen"}], json.dumps(made)
    assert [row["tableName"] for row in listed] == ["v"]
    representation = catalog.load_view((namespace, "v")).current_version().representations[0].root
    assert "WHERE size > 2" in representation.sql
    sail.run(server, [f"DROP VIEW {namespace}.v"])
    refused(rest.get(f"/namespaces/{namespace}/views/v"), 404, "NoSuchViewException")


def test_invalid_key_is_refused(server: Server) -> None:
    with pytest.raises(RuntimeError, match="401"):
        sail.run(server, ["SELECT * FROM demo.tides"], bearer_access_token="flx_none")
