"""ClickHouse on S3 with vended credentials only."""

from __future__ import annotations

from support import clickhouse
from support.lake import Lake
from support.rows import SIGHTINGS, in_order, sightings
from test_clickhouse import ALLOWED


def attach(lake: Lake, key: str) -> list[str]:
    return [
        ALLOWED,
        f"CREATE DATABASE ic ENGINE = DataLakeCatalog('{lake.server.uri}/v1') SETTINGS catalog_type='rest', "
        f"warehouse='lake', auth_header='Authorization: Bearer {key}'",
    ]


def test_table_written_by_pyiceberg_is_read_and_inserted_into(lake: Lake, unique: str) -> None:
    lake.rest().create_namespace(unique)
    table = lake.catalog().create_table((unique, "t"), SIGHTINGS)
    table.append(sightings((1, "Oslo", 1.5)))
    name = f"ic.`{unique}.t`"
    (*_, rows) = clickhouse.run([*attach(lake, lake.reader.text), f"SELECT * FROM {name}"], lake.server.data_dir)
    assert [(int(row["id"]), row["city"], row["size"]) for row in rows] == [(1, "Oslo", 1.5)]
    insert = f"INSERT INTO {name} VALUES (2, 'Bergen', 2.5)"
    clickhouse.run([*attach(lake, lake.writer.text), insert], lake.server.data_dir)
    assert in_order(table.refresh().scan().to_arrow()) == [(1, "Oslo", 1.5), (2, "Bergen", 2.5)]
