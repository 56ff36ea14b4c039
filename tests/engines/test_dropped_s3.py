"""Dropped tables on S3: restored whole, or purged to the last object and not one more."""

from __future__ import annotations

from support.admin import Admin
from support.lake import Lake
from support.rest import Rest, answer, empty
from support.rows import SIGHTINGS, in_order, sightings
from test_dropped import until


def objects(lake: Lake, location: str) -> set[str]:
    """The keys of all objects below a location."""
    prefix = location.split("/", 3)[3] + "/"
    listed = lake.s3.client().list_objects_v2(Bucket=lake.bucket, Prefix=prefix)
    return {found["Key"] for found in listed.get("Contents", [])}


def test_a_dropped_table_comes_back_and_a_purged_one_takes_its_objects_along(lake: Lake, unique: str) -> None:
    rest, catalog = lake.rest(), lake.catalog()
    admin = Admin(lake.server)
    dropped = f"{lake.server.uri}/management/v1/warehouses/lake/dropped"
    manager: Rest = admin.rest(admin.key(lake.organisation, "admin"))
    rest.create_namespace(unique)
    tables = {name: catalog.create_table((unique, name), SIGHTINGS) for name in ("kept", "gone")}
    for table in tables.values():
        table.append(sightings((1, "Oslo", 1.5)))
        table.append(sightings((2, "Bergen", 2.5)))
        table.delete("id == 1")
    locations = {name: table.location() for name, table in tables.items()}
    before = objects(lake, locations["kept"])
    assert len(before) > 10 and len(objects(lake, locations["gone"])) > 10

    for name in tables:
        empty(rest.delete(f"/namespaces/{unique}/tables/{name}", params={"purgeRequested": "true"}))
    ids = {entry["identifier"]["name"]: entry["id"] for entry in answer(manager.get(dropped))["dropped"]}
    empty(manager.post(f"{dropped}/{ids['kept']}/restore", json={}))
    empty(manager.delete(f"{dropped}/{ids['gone']}"))
    until(lambda: not objects(lake, locations["gone"]))
    assert objects(lake, locations["kept"]) == before
    assert in_order(catalog.load_table((unique, "kept")).scan().to_arrow()) == [(2, "Bergen", 2.5)]
