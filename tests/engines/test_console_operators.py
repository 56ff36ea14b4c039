"""The console in a real browser: the pages of operators, who committed a snapshot, and storage that only operators may name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from support.admin import Admin
from support.console import faults_on_a_phone, notice, sign_in
from support.server import Server


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server]) -> Server:
    """A server to which every request is slow."""
    server = make_server("console-operators", env={"TIDEWATER_TELEMETRY__SLOW_REQUEST_MS": "1"})
    server.start()
    return server


@pytest.fixture(scope="module")
def operator(server: Server) -> str:
    return server.command("operator", "create", "ops").stdout.strip()


def test_operator_manages_organisations_and_sees_the_server(page: Any, server: Server, operator: str, unique: str) -> None:
    sign_in(page, server.uri, operator, "Organisations")
    assert operator not in str(page.context.cookies()), "the browser has a token, not the key"
    page.locator("summary", has_text="Create an organisation").click()
    page.get_by_label("Name", exact=True).fill(unique)
    page.locator("#create-organisation-tier").select_option("enterprise")
    page.get_by_role("button", name="Create an organisation").click()
    assert "The organisation is created." in notice(page)
    page.locator("summary", has_text="Suspend").click()
    page.get_by_role("button", name="Suspend").click()
    assert "suspended" in page.inner_text("dl.facts")
    page.locator("summary", has_text="Delete this organisation").click()
    page.get_by_label("Name of the organisation, to confirm").fill("other")
    page.get_by_role("button", name="Delete this organisation").click()
    assert "Nothing was deleted" in page.inner_text("main")
    page.goto(f"{server.uri}/console/organisations?q={unique}")
    page.get_by_role("link", name=unique, exact=True).click()
    page.locator("summary", has_text="Delete this organisation").click()
    page.get_by_label("Name of the organisation, to confirm").fill(unique)
    page.get_by_role("button", name="Delete this organisation").click()
    assert "marked as deleted" in notice(page)
    page.get_by_role("link", name="Server", exact=True).click()
    parts = page.get_by_role("region", name="Server Parts").inner_text()
    assert "database" in parts and "failing" not in parts
    assert "expired-answers" in page.get_by_role("region", name="Server Background work").inner_text()
    page.get_by_role("link", name="Slow requests", exact=True).click()
    page.get_by_role("row").filter(has_text="/management/v1/").first.wait_for()
    assert unique not in page.get_by_role("region").first.inner_text(), "a route has no names of objects"
    # A revoked operator is signed out at once.
    name = f"{unique}-brief"
    key = server.command("operator", "create", name).stdout.strip()
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, server.uri, key, "Organisations")
    server.command("operator", "revoke", name)
    page.reload()
    assert "/console/sign-in" in page.url


def test_snapshots_name_the_key_that_committed_them(
    page: Any, server: Server, connect: Callable[..., Any], namespace: str, unique: str
) -> None:
    import pyarrow

    key = server.command("key", "create", unique, "--role", "writer", "--org", "quickstart").stdout.strip()
    for committer in (server.key, key):
        catalog = connect(token=committer)
        if committer == server.key:
            catalog.create_table(f"{namespace}.t", pyarrow.schema([("a", pyarrow.int64())]))
        catalog.load_table(f"{namespace}.t").append(pyarrow.table({"a": [1]}))
    history = f"{server.uri}/console/table?w=quickstart&ns={namespace}&t=t&show=history"
    sign_in(page, server.uri, server.key)
    page.goto(history)
    rows = page.get_by_role("region", name="Snapshots").get_by_role("row")
    assert rows.count() == 3
    assert unique in rows.nth(1).inner_text() and unique not in rows.nth(2).inner_text()
    assert "PyIceberg" in rows.nth(1).inner_text()
    assert "no longer kept" not in page.inner_text("main")


def test_storage_of_an_admin_may_name_no_address_of_its_own(page: Any, server: Server, unique: str) -> None:
    """Only an operator's key may create such a warehouse, over the API."""
    organisation = Admin(server).organisation("enterprise", warehouse=None)
    key = server.command("key", "create", unique, "--role", "admin", "--org", organisation).stdout.strip()
    credentials = {"kind": "aws-key", "access-key-id": "AKIA", "secret-access-key": "secret"}
    storage = {"type": "s3", "region": "eu-north-1", "endpoint": server.uri, "credentials": credentials}
    sign_in(page, server.uri, key)
    page.goto(f"{server.uri}/console/warehouses")
    page.locator("summary", has_text="Create a warehouse").click()
    page.locator("#create-warehouse-name").fill(unique)
    page.locator("#create-warehouse-root").fill(f"s3://console/{unique}")
    page.locator("#create-warehouse-storage").fill(json.dumps(storage))
    page.get_by_role("button", name="Create a warehouse").click()
    assert "`storage.endpoint`" in page.inner_text("main"), "the refusal says what to leave out"
    page.goto(f"{server.uri}/console/warehouses")
    assert page.get_by_role("link", name=unique, exact=True).count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screen_readers_and_small_screens_find_nothing_serious(
    browser: Any, server: Server, operator: str, scheme: str
) -> None:
    addresses = ("organisations", "organisation?name=quickstart", "server", "slow-requests")
    found = faults_on_a_phone(browser, server.uri, scheme, operator, "Organisations", addresses)
    assert not found, found
