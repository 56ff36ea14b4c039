"""PyIceberg as two teams on one warehouse: each sees, reads and writes its own, reads what is shared, and is refused the rest by the
catalog and by the storage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import own_bucket
from pyiceberg.exceptions import ForbiddenError, NoSuchNamespaceError, NoSuchTableError, NoSuchViewError

from support import documents
from support.lake import Lake
from support.neighbours import key_of
from support.rest import answer, refused
from support.rows import SIGHTINGS, in_order, sightings
from support.teams import OTHER_TEAM, PRINCIPALS, ROWS, SHARED, TEAMS, Teams, fresh_name, teams_on_disk, teams_on_s3

DENIED = "(?i)access.?denied|forbidden|403"


@pytest.fixture(scope="module")
def teams(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Teams:
    """The teams on S3, whose server enforces the vended credentials."""
    return teams_on_s3(lake.server, lake.s3, own_bucket("teams"), tmp_path_factory.mktemp("teams"))


@pytest.fixture(scope="module")
def on_disk(lake: Lake) -> Teams:
    """The teams on local disk, which has no credentials."""
    return teams_on_disk(lake.server)


@pytest.fixture(params=["teams", "on_disk"])
def everywhere(request: pytest.FixtureRequest) -> Teams:
    """The teams on S3, then on local disk."""
    return request.getfixturevalue(request.param)


def rows_of(teams: Teams, principal: str, name: str) -> list[tuple]:
    return in_order(teams.catalog(principal).load_table(name).scan().to_arrow())


def namespaces(teams: Teams, principal: str) -> set[tuple[str, ...]]:
    return set(teams.catalog(principal).list_namespaces())


# ---- what each sees ----


@pytest.mark.parametrize("principal", PRINCIPALS)
def test_lists_show_own_and_shared_objects_only(everywhere: Teams, principal: str) -> None:
    team = principal.split("-")[0]
    catalog, other = everywhere.catalog(principal), OTHER_TEAM[team]
    assert set(catalog.list_tables(team)) == set(everywhere.catalog().list_tables(team))
    assert catalog.list_views(team) == everywhere.catalog().list_views(team)
    if team == "sales":
        assert namespaces(everywhere, principal) == {("sales",)}
        assert not catalog.namespace_exists("finance") and not catalog.table_exists("finance.ledger")
        for list_objects in (catalog.list_tables, catalog.list_views, catalog.load_namespace_properties):
            with pytest.raises(NoSuchNamespaceError, match="Namespace does not exist: finance"):
                list_objects("finance")
    else:
        assert namespaces(everywhere, principal) == {("finance",), ("sales",)}
        assert catalog.list_tables(other) == [("sales", "orders")], "only the shared table"
        assert catalog.table_exists(SHARED) and not catalog.table_exists("sales.customers")
        with pytest.raises(ForbiddenError, match="You lack the privilege NAMESPACE_READ_PROPERTIES on namespace 'sales'"):
            catalog.load_namespace_properties(other)


def test_hidden_table_is_refused_like_a_missing_one(everywhere: Teams) -> None:
    catalog = everywhere.catalog("finance-etl")
    for name in ("sales.customers", "sales.missing"):
        for use in (
            lambda name=name: catalog.load_table(name),
            lambda name=name: catalog.drop_table(name),
            lambda name=name: catalog.purge_table(name),
            lambda name=name: catalog.rename_table(name, "finance.mine"),
        ):
            with pytest.raises(NoSuchTableError, match=f"Table does not exist: {name}"):
                use()


# ---- reads and writes ----


@pytest.mark.parametrize("team", TEAMS)
def test_engineer_writes_and_analyst_reads_its_own_tables(everywhere: Teams, team: str) -> None:
    name = fresh_name(f"{team}.written")
    everywhere.make_table(f"{team}-etl", name)
    table = everywhere.catalog(f"{team}-etl").load_table(name)
    table.append(sightings((3, "Voss", 3.5)))
    table.delete("id == 1")
    with table.update_schema() as change:
        change.rename_column("size", "length")
    assert rows_of(everywhere, f"{team}-analyst", name) == [(2, "Bergen", 2.5), (3, "Voss", 3.5)]
    everywhere.catalog(f"{team}-etl").drop_table(name)


@pytest.mark.parametrize("principal", ["finance-etl", "finance-analyst", "sales-analyst"])
def test_table_granted_for_reading_is_read_and_its_commits_are_refused(everywhere: Teams, principal: str) -> None:
    table = everywhere.catalog(principal).load_table(SHARED)
    assert in_order(table.scan().to_arrow()) == [*ROWS]
    with pytest.raises(ForbiddenError, match=r"You lack the privilege TABLE_WRITE_PROPERTIES on table 'sales\.orders'"):
        with table.transaction() as transaction:
            transaction.set_properties(owner="me")
    with pytest.raises(ForbiddenError, match="TABLE_WRITE_PROPERTIES"), table.update_schema() as change:
        change.rename_column("size", "length")
    assert everywhere.catalog().load_table(SHARED).metadata == table.metadata


@pytest.mark.parametrize("principal", ["finance-etl", "finance-analyst", "sales-analyst"])
def test_append_to_a_table_granted_for_reading_is_refused_by_the_storage(teams: Teams, principal: str) -> None:
    table = teams.catalog(principal).load_table(SHARED)
    with pytest.raises(OSError, match=DENIED):
        table.append(sightings((9, "Rome", 9.5)))
    assert rows_of(teams, "sales-etl", SHARED) == [*ROWS]


@pytest.mark.parametrize("principal", ["finance-etl", "finance-analyst", "sales-analyst"])
def test_drop_purge_and_rename_of_a_table_granted_for_reading_are_refused(everywhere: Teams, principal: str) -> None:
    catalog = everywhere.catalog(principal)
    for change in (
        lambda: catalog.drop_table(SHARED),
        lambda: catalog.purge_table(SHARED),
        lambda: catalog.rename_table(SHARED, f"{principal.split('-')[0]}.mine"),
    ):
        with pytest.raises(ForbiddenError, match=r"You lack the privilege TABLE_DROP on table 'sales\.orders'"):
            change()
    assert everywhere.catalog().table_exists(SHARED)


@pytest.mark.parametrize("principal", ["sales-analyst", "finance-analyst", "finance-etl"])
def test_object_cannot_be_created_without_the_privilege(everywhere: Teams, principal: str) -> None:
    catalog = everywhere.catalog(principal)
    with pytest.raises(ForbiddenError, match="You lack the privilege TABLE_CREATE on namespace 'sales'"):
        catalog.create_table("sales.new", SIGHTINGS)
    with pytest.raises(ForbiddenError, match="You lack the privilege NAMESPACE_CREATE on the warehouse"):
        catalog.create_namespace("new")
    with pytest.raises(ForbiddenError, match="You lack the privilege NAMESPACE_CREATE on namespace 'sales'"):
        catalog.create_namespace("sales.new")
    with pytest.raises(ForbiddenError, match="You lack the privilege NAMESPACE_DROP on namespace 'sales'"):
        catalog.drop_namespace("sales")


def test_transaction_that_names_a_hidden_table_changes_nothing(everywhere: Teams) -> None:
    name = fresh_name("finance.own")
    everywhere.make_table("finance-etl", name)
    update = [documents.set_properties(a="b")]
    own = documents.table_change("finance", name.removeprefix("finance."), update)
    for other, status in (("customers", 404), ("orders", 403)):
        refused(everywhere.rest("finance-etl").transact([own, documents.table_change("sales", other, update)]), status)
    assert "a" not in everywhere.catalog().load_table(name).properties
    everywhere.catalog("finance-etl").drop_table(name)


# ---- the storage ----


def refused_by_storage(attempt: Callable[[], Any]) -> None:
    with pytest.raises(ClientError) as error:
        attempt()
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error.value


def data_file(teams: Teams, name: str) -> str:
    """Returns the key of a table's first data file."""
    (first, *_) = teams.catalog().load_table(name).scan().plan_files()
    return first.file.file_path.split("/", 3)[3]


@pytest.mark.parametrize("principal", ["finance-etl", "finance-analyst", "sales-analyst"])
def test_storage_refuses_all_but_reads_of_the_granted_table(teams: Teams, principal: str) -> None:
    assert teams.s3 is not None
    s3, bucket = teams.s3.client(**teams.credentials(principal, SHARED)), teams.bucket
    own, sibling, hidden = (data_file(teams, name) for name in (SHARED, "sales.customers", "finance.ledger"))
    before = s3.get_object(Bucket=bucket, Key=own)["Body"].read()
    folder = own.rpartition("/")[0]
    assert own in [found["Key"] for found in s3.list_objects_v2(Bucket=bucket, Prefix=f"{folder}/")["Contents"]]
    for key in (own, f"{folder}/new.parquet"):
        refused_by_storage(lambda key=key: s3.put_object(Bucket=bucket, Key=key, Body=b"x"))
        refused_by_storage(lambda key=key: s3.delete_object(Bucket=bucket, Key=key))
    for key in (sibling, hidden):
        refused_by_storage(lambda key=key: s3.get_object(Bucket=bucket, Key=key))
        refused_by_storage(lambda key=key: s3.head_object(Bucket=bucket, Key=key))
        refused_by_storage(lambda key=key: s3.put_object(Bucket=bucket, Key=key, Body=b"x"))
        refused_by_storage(lambda key=key: s3.list_objects_v2(Bucket=bucket, Prefix=f"{key.rpartition('/')[0]}/"))
    refused_by_storage(lambda: s3.list_objects_v2(Bucket=bucket, Prefix="lake/"))
    assert teams.s3.client().get_object(Bucket=bucket, Key=own)["Body"].read() == before


def test_engineers_credentials_write_its_table_and_no_other(teams: Teams) -> None:
    assert teams.s3 is not None
    s3, bucket = teams.s3.client(**teams.credentials("finance-etl", "finance.ledger")), teams.bucket
    own = key_of(teams.catalog().load_table("finance.ledger").location(), "data/new")
    s3.put_object(Bucket=bucket, Key=own, Body=b"x")
    s3.delete_object(Bucket=bucket, Key=own)
    for other in (SHARED, "finance.budget"):
        key = data_file(teams, other)
        refused_by_storage(lambda key=key: s3.get_object(Bucket=bucket, Key=key))
        refused_by_storage(lambda key=key: s3.put_object(Bucket=bucket, Key=key, Body=b"x"))


def test_table_granted_without_its_data_gives_metadata_and_no_credentials(teams: Teams) -> None:
    name = fresh_name("sales.described")
    teams.make_table("sales-etl", name)
    teams.grant("sales-shared", "DESCRIBE TABLE", "table", name)
    assert teams.s3 is not None and teams.given("finance-analyst", name) == {}
    table = teams.catalog("finance-analyst").load_table(name)
    assert len(table.snapshots()) == 1
    assert table.io.properties["s3.endpoint"].rstrip("/") == teams.s3.uri
    assert "s3.access-key-id" not in table.io.properties
    with pytest.raises(OSError, match=DENIED):
        table.scan().to_arrow()
    namespace, plain = name.split(".")
    rest = teams.rest("finance-analyst")
    refused(rest.get(f"/namespaces/{namespace}/tables/{plain}/credentials"), 403, says="TABLE_READ_DATA")
    teams.catalog("sales-etl").drop_table(name)


def test_on_local_disk_files_have_no_guard_and_commits_are_refused(on_disk: Teams) -> None:
    """The server vends nothing, so the operating system decides about files. A refused append leaves its file behind."""
    assert on_disk.given("sales-analyst", SHARED) == {}
    table = on_disk.catalog("sales-analyst").load_table(SHARED)
    folder = Path(table.location().removeprefix("file://"))
    before = set(folder.rglob("*.parquet"))
    with pytest.raises(ForbiddenError, match=r"You lack the privilege TABLE_WRITE_PROPERTIES on table 'sales\.orders'"):
        table.append(sightings((9, "Rome", 9.5)))
    assert rows_of(on_disk, "sales-etl", SHARED) == [*ROWS]
    for left in set(folder.rglob("*.parquet")) - before:
        left.unlink()


# ---- renames, views, changes of grants ----


def test_table_renamed_into_another_teams_namespace_is_that_teams_too(everywhere: Teams) -> None:
    name = fresh_name("sales.moving")
    moved = name.replace("sales.", "finance.")
    everywhere.make_table("sales-etl", name)
    catalog = everywhere.catalog("sales-etl")
    with pytest.raises(NoSuchNamespaceError, match="Destination namespace does not exist"):
        catalog.rename_table(name, moved)
    everywhere.add_role(moved, "sales-etl")
    everywhere.grant(moved, "CREATE TABLE", "namespace", "finance")
    catalog.rename_table(name, moved)
    assert rows_of(everywhere, "finance-analyst", moved) == [*ROWS]
    # Its creator keeps it, its team does not. To create tables includes to see the names of all tables there, and no more.
    assert rows_of(everywhere, "sales-etl", moved) == [*ROWS]
    assert catalog.table_exists("finance.ledger")
    with pytest.raises(ForbiddenError, match=r"You lack the privilege TABLE_READ_PROPERTIES on table 'finance\.ledger'"):
        catalog.load_table("finance.ledger")
    for principal in ("sales-analyst", "sales-etl"):
        assert not everywhere.catalog(principal).table_exists(name)
    assert not everywhere.catalog("sales-analyst").table_exists(moved)
    with pytest.raises(NoSuchTableError):
        everywhere.catalog("sales-analyst").load_table(moved)
    everywhere.catalog("finance-etl").drop_table(moved)
    everywhere.tidewater("role", "delete", moved, "--catalog")


def test_renamed_table_keeps_its_own_grants(everywhere: Teams) -> None:
    name = fresh_name("sales.early")
    renamed = name.replace("early", "late")
    everywhere.make_table("sales-etl", name)
    everywhere.grant("sales-shared", "SELECT", "table", name)
    everywhere.catalog("sales-etl").rename_table(name, renamed)
    everywhere.make_table("sales-etl", name, (7, "Flam", 7.5))
    assert rows_of(everywhere, "finance-analyst", renamed) == [*ROWS]
    with pytest.raises(NoSuchTableError):
        everywhere.catalog("finance-analyst").load_table(name)
    for made in (name, renamed):
        everywhere.catalog("sales-etl").drop_table(made)


def test_view_is_visible_with_a_grant_and_its_hidden_table_is_not(everywhere: Teams) -> None:
    view = fresh_name("totals")
    answer(everywhere.rest("sales-etl").post("/namespaces/sales/views", json=documents.view(view)))
    finance = everywhere.catalog("finance-analyst")
    assert not finance.view_exists(("sales", view))
    with pytest.raises(NoSuchViewError):
        finance.load_view(("sales", view))
    everywhere.grant("sales-shared", "SELECT VIEW", "view", f"sales.{view}")
    assert finance.load_view(("sales", view)).current_version().representations
    assert finance.list_views("sales") == [("sales", view)]
    # A view gives no access to the tables that it reads, even if the engine names it.
    through = everywhere.rest("finance-analyst").get(
        "/namespaces/sales/tables/customers", params={"referenced-by": f"sales\x1f{view}"}
    )
    refused(through, 404, "NoSuchTableException")
    with pytest.raises(ForbiddenError, match="VIEW_DROP on view"):
        finance.drop_view(("sales", view))
    everywhere.catalog("sales-etl").drop_view(("sales", view))


def test_revoked_grant_ends_the_next_request_of_an_open_session(everywhere: Teams) -> None:
    name = fresh_name("sales.lent")
    everywhere.make_table("sales-etl", name)
    session = everywhere.catalog("finance-analyst")
    with pytest.raises(NoSuchTableError):
        session.load_table(name)
    everywhere.grant("sales-shared", "SELECT", "table", name)
    table = session.load_table(name)
    assert len(table.scan().to_arrow()) == 2
    everywhere.revoke("sales-shared", "SELECT", "table", name)
    with pytest.raises(NoSuchTableError):
        session.load_table(name)
    with pytest.raises(NoSuchTableError):
        table.refresh()
    # The loaded table keeps its credentials, which are valid until they expire.
    assert len(table.scan().to_arrow()) == 2
    everywhere.catalog("sales-etl").drop_table(name)


def test_role_taken_from_a_principal_ends_its_access(everywhere: Teams) -> None:
    name = fresh_name("contractor")
    everywhere.add_principal(name)
    catalog = everywhere.catalog("finance-analyst")
    assert catalog.table_exists(SHARED)
    everywhere.tidewater("role", "assign", "sales-shared", name, "--catalog")
    contractor = everywhere.catalog(name)
    assert contractor.list_namespaces() == [("sales",)] and contractor.table_exists(SHARED)
    everywhere.tidewater("role", "revoke", name, name)
    for path in ("/namespaces", "/namespaces/sales/tables/orders"):
        refused(everywhere.rest(name).get(path), 404, "NoSuchWarehouseException")
    assert catalog.table_exists(SHARED)
