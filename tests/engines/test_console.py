"""The web console in a real browser.

`TIDEWATER_SCREENSHOTS=1` writes the pictures of docs/console.md again. `TIDEWATER_FIRST_PAINT=1` measures the first paint.
"""

from __future__ import annotations

import base64
import os
import re
import statistics
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from support.chromium import TIMEOUT_MS, below_a_path
from support.console import OPEN_ALL, TOO_WIDE, faults_on_a_phone, notice, sign_in
from support.readers import EXTENSIONS, extension_file
from support.rest import Rest
from support.server import REPOSITORY, Server

HOSTILE = "<img src=x onerror=\"document.title='taken'\">'&\"${7}{{7}}"

HIDE_FOLDER = """
for (const one of document.querySelectorAll("dd")) one.textContent = one.textContent.replace(/^file:.*\\/data/, "file:///srv");
"""

SCREENSHOTS = REPOSITORY / "docs/console"

MOST_BYTES_OF_A_PICTURE = 150_000

# The most that a page and its picture may differ, in steps of 256 of a colour, on average over coarse squares. Times, ids and ports
# differ in each run, and are worth less than 1; two pages of the console differ by 3.7 or more.
MOST_DIFFERENCE = 3

DIFFERENCE = """async (pictures) => {
    const [one, other] = await Promise.all(pictures.map(async (picture) => {
        const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${picture}`)).blob());
        const [width, height] = [44, 26];
        const context = new OffscreenCanvas(width, height).getContext("2d");
        context.imageSmoothingQuality = "high";
        context.drawImage(image, 0, 0, width, height);
        return context.getImageData(0, 0, width, height).data;
    }));
    return one.reduce((sum, value, at) => sum + Math.abs(value - other[at]), 0) / one.length;
}"""

# 1.6 Mbit/s down, 750 kbit/s up, and 150 ms for each request.
SLOW_NETWORK = {"offline": False, "latency": 150, "downloadThroughput": 200_000, "uploadThroughput": 93_750}

FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')"


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server]) -> Server:
    """A server of its own: namespaces of other tests would fill the first page of the tree."""
    server = make_server("console")
    server.start()
    return server


def table_of(name: str) -> dict[str, Any]:
    """Returns a request for a table of one column."""
    return {"name": name, "schema": {"type": "struct", "fields": [{"id": 1, "name": "a", "required": False, "type": "long"}]}}


def test_sign_in_browse_search_and_sign_out(page: Any, server: Server, rest: Rest, namespace: str) -> None:
    for name in ("orders", "orders_eu", "zebra"):
        rest.create_table(namespace, table_of(name))
    page.goto(f"{server.uri}/")
    assert "/console/sign-in" in page.url, "the root leads to the console"
    page.get_by_label("API key").fill("flx_wrong")
    page.get_by_role("button", name="Sign in").click()
    assert "copy the whole key" in page.get_by_role("alert").inner_text()
    sign_in(page, server.uri, server.key)
    page.get_by_role("link", name="quickstart").click()
    # The tree opens in place.
    page.get_by_role("button", name=f"Show the contents of {namespace}", exact=True).click()
    page.get_by_role("link", name="zebra").wait_for()
    # Search as you type, with the keyboard alone: a part of a name, in any case, in the whole warehouse.
    page.keyboard.press("/")
    page.keyboard.type("DERS_e")
    page.get_by_role("link", name=f"{namespace}.orders_eu", exact=True).wait_for()
    page.get_by_role("link", name="zebra").wait_for(state="detached")
    assert "q=" in page.url, "the search has an address"
    assert "tidewater table find DERS_e" in page.goto(page.url).text(), "the page shows the command that finds the same"
    page.get_by_label("Search").fill(f"{namespace[1:]}.zeb")
    page.get_by_role("link", name=f"{namespace}.zebra", exact=True).wait_for()
    page.get_by_label("Search").fill("no such name")
    page.get_by_text("has a name like this").wait_for()
    page.get_by_label("Search").fill("orders_eu")
    page.get_by_role("link", name=f"{namespace}.orders_eu", exact=True).click()
    page.get_by_role("heading", name="orders_eu", level=1).wait_for()
    for section in ("Snapshots", "Properties", "Credentials", "Connect", "Metadata document", "Schema"):
        page.get_by_role("navigation", name="Sections of the table").get_by_role("link", name=section).click()
        page.get_by_role("heading", name="orders_eu", level=1).wait_for()
    cookies = page.context.cookies()
    assert [(one["name"], one["httpOnly"], one["sameSite"]) for one in cookies] == [("tidewater-console", True, "Lax")]
    assert server.key not in str(cookies)
    page.get_by_role("button", name="Sign out").click()
    assert "You are signed out." in page.inner_text("main")
    page.goto(f"{server.uri}/console/keys")
    assert "/console/sign-in" in page.url


def test_namespaces_tables_and_keys_are_changed(page: Any, server: Server, rest: Rest, unique: str) -> None:
    sign_in(page, server.uri, server.key)
    page.get_by_role("link", name="quickstart").click()
    page.get_by_text("Create a namespace here").click()
    page.get_by_label("Name", exact=True).fill(unique)
    page.get_by_role("button", name="Create", exact=True).click()
    assert "The namespace is created." in notice(page)
    rest.create_table(unique, table_of("t"))
    page.goto(f"{server.uri}/console/table?w=quickstart&ns={unique}&t=t")
    page.get_by_text("Drop this table").click()
    page.get_by_role("button", name="Drop t", exact=True).click()
    assert "Dropped." in notice(page)
    # The message restores what was dropped, and leads to it.
    page.get_by_role("status").get_by_role("button", name="Restore", exact=True).click()
    page.get_by_role("link", name="Show it").click()
    page.get_by_role("heading", name="t", level=1, exact=True).wait_for()
    page.get_by_text("Drop this table").click()
    page.get_by_role("button", name="Drop t", exact=True).click()
    page.get_by_role("link", name="Dropped tables and views").click()
    page.get_by_role("button", name=f"Restore {unique}.t", exact=True).click()
    assert "Restored." in notice(page)
    page.get_by_role("link", name="Show it").click()
    page.get_by_role("heading", name="t", level=1, exact=True).wait_for()
    rest.load(unique, "t")
    page.get_by_role("link", name="Keys", exact=True).click()
    page.get_by_label("Name", exact=True).fill(unique)
    page.get_by_role("button", name="Create", exact=True).click()
    key = page.locator("#new-key").inner_text()
    assert Rest(server.uri, key).get("/namespaces").status_code == 200
    assert "Role: reader. Expires: 20" in page.inner_text("main")
    # A reload loads the list, and does not create another key.
    page.reload()
    assert "was shown already" in notice(page)
    assert key not in page.content() and page.get_by_role("link", name=unique, exact=True).count() == 1
    row = page.get_by_role("row").filter(has_text=unique)
    row.locator("summary").click()
    row.get_by_role("button", name=f"Revoke {unique}", exact=True).click()
    assert "The key is revoked." in notice(page)
    assert Rest(server.uri, key).get("/namespaces").status_code == 401


def test_refused_form_says_why_and_keeps_what_was_entered(
    page: Any, server: Server, connect: Callable[..., Any], namespace: str
) -> None:
    import pyarrow

    table = connect().create_table(f"{namespace}.t", pyarrow.schema([("a", pyarrow.int64())]))
    table.append(pyarrow.table({"a": [1]}))
    table.manage_snapshots().create_tag(table.current_snapshot().snapshot_id, "taken").commit()
    sign_in(page, server.uri, server.key)
    page.goto(f"{server.uri}/console/table?w=quickstart&ns={namespace}&t=t&show=history")
    page.get_by_text("Create a branch or tag").click()
    page.get_by_label("Name", exact=True).fill("taken")
    page.get_by_label("Kind", exact=True).select_option("tag")
    page.get_by_role("button", name="Create", exact=True).click()
    assert "A branch or tag taken exists already. Choose another name." in page.get_by_role("alert").inner_text()
    assert page.get_by_label("Name", exact=True).input_value() == "taken"
    assert page.get_by_label("Kind", exact=True).input_value() == "tag"
    page.get_by_label("Name", exact=True).fill("free")
    page.get_by_role("button", name="Create", exact=True).click()
    assert "The branch or tag is created." in notice(page)
    # A form of several kinds of fields.
    page.goto(f"{server.uri}/console/warehouses")
    page.locator("summary", has_text="Create a warehouse").click()
    page.locator("#create-warehouse-name").fill("not a name")
    page.locator("#create-warehouse-root").fill("file:///nowhere")
    page.locator("#create-warehouse-default").check()
    page.get_by_role("button", name="Create a warehouse").click()
    assert "not a name" in page.get_by_role("alert").inner_text()
    assert page.locator("#create-warehouse-name").input_value() == "not a name"
    assert page.locator("#create-warehouse-root").input_value() == "file:///nowhere"
    assert page.locator("#create-warehouse-default").is_checked()


def test_form_after_a_sign_out_in_another_tab_changes_nothing_and_leads_back(
    page: Any, server: Server, rest: Rest, unique: str
) -> None:
    sign_in(page, server.uri, server.key)
    page.goto(f"{server.uri}/console/browse?w=quickstart")
    page.get_by_text("Create a namespace here").click()
    page.get_by_label("Name", exact=True).fill(unique)
    other = page.context.new_page()
    other.goto(f"{server.uri}/console/home")
    other.get_by_role("button", name="Sign out").click()
    other.get_by_label("API key").wait_for()
    page.get_by_role("button", name="Create", exact=True).click()
    assert "You are signed out; nothing was changed." in page.get_by_role("alert").inner_text()
    assert rest.get(f"/namespaces/{unique}").status_code == 404
    page.get_by_label("API key").fill(server.key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="quickstart", level=1).wait_for()
    assert page.url == f"{server.uri}/console/browse?w=quickstart"


def test_history_is_drawn_and_rolled_back(page: Any, server: Server, connect: Callable[..., Any], namespace: str) -> None:
    import pyarrow

    catalog = connect()
    table = catalog.create_table(f"{namespace}.t", pyarrow.schema([("a", pyarrow.int64())]))
    for value in range(3):
        table.append(pyarrow.table({"a": [value]}))
    first = min(table.snapshots(), key=lambda one: one.sequence_number).snapshot_id
    sign_in(page, server.uri, server.key)
    history = f"{server.uri}/console/table?w=quickstart&ns={namespace}&t=t&show=history"
    page.goto(history)
    assert page.locator("svg circle").count() == 3
    page.get_by_text("Create a branch or tag").click()
    page.get_by_label("Name", exact=True).fill("audit")
    page.get_by_role("button", name="Create", exact=True).click()
    assert page.locator(".tag.branch", has_text="audit").count() == 1
    page.get_by_role("row").filter(has_text=str(first)).get_by_role("link", name="Roll back").click()
    assert page.get_by_role("row").count() == 3, "a heading, and the two snapshots that the branch loses"
    page.get_by_role("button", name="Roll back").click()
    assert "The branch is rolled back." in notice(page)
    assert catalog.load_table(f"{namespace}.t").current_snapshot().snapshot_id == first
    # The message leads to the way back, which shows what the branch has again.
    page.get_by_role("link", name="Undo", exact=True).click()
    assert page.get_by_role("row").count() == 3
    page.get_by_role("button", name="Undo the roll-back").click()
    assert "The branch is where it was again." in notice(page)
    assert catalog.load_table(f"{namespace}.t").current_snapshot().snapshot_id != first
    page.get_by_role("link", name="Roll back again").click()
    page.get_by_role("button", name="Roll back").click()
    assert catalog.load_table(f"{namespace}.t").current_snapshot().snapshot_id == first
    page.locator("summary[aria-label='Remove audit']").click()
    assert "lost when snapshots expire" in page.inner_text("main"), "the page says what is lost before it removes the branch"
    page.get_by_role("button", name="Remove audit").click()
    assert page.locator(".tag.branch", has_text="audit").count() == 0


def test_only_ancestors_of_main_have_a_roll_back(
    page: Any, server: Server, connect: Callable[..., Any], namespace: str
) -> None:
    import pyarrow

    table = connect().create_table(f"{namespace}.t", pyarrow.schema([("a", pyarrow.int64())]))
    for value in range(2):
        table.append(pyarrow.table({"a": [value]}))
    table.manage_snapshots().create_branch(table.current_snapshot().snapshot_id, "other").commit()
    table.append(pyarrow.table({"a": [7]}), branch="other")
    sign_in(page, server.uri, server.key)
    page.goto(f"{server.uri}/console/table?w=quickstart&ns={namespace}&t=t&show=history")
    assert page.locator("svg circle").count() == 3
    assert page.get_by_role("link", name="Roll back").count() == 1, "neither main itself nor the other branch"


def test_reader_is_shown_no_changes(page: Any, server: Server, rest: Rest, namespace: str, unique: str) -> None:
    rest.create_table(namespace, table_of("t"))
    key = server.command("key", "create", unique, "--role", "reader").stdout.strip()
    place = f"w=quickstart&ns={namespace}"
    pages = [f"browse?{place}", f"bin?{place}", f"table?{place}&t=t", f"table?{place}&t=t&show=history"]
    # The same pages have forms for an admin, so the selector finds them.
    for signed_in, expected in ((key, False), (server.key, True)):
        sign_in(page, server.uri, signed_in)
        found = {}
        for address in pages:
            page.goto(f"{server.uri}/console/{address}")
            page.get_by_role("heading", level=1).wait_for()
            found[address] = page.locator("main form[action=do]").count()
        assert any(found.values()) is expected, found
        page.get_by_role("button", name="Sign out").click()


def test_files_maintenance_and_rows_of_a_table(page: Any, server: Server, connect: Callable[..., Any], namespace: str) -> None:
    import pyarrow
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.transforms import IdentityTransform
    from pyiceberg.types import ListType, LongType, NestedField, StringType

    catalog = connect()
    schema = Schema(
        NestedField(1, "id", LongType()),
        NestedField(2, "region", StringType()),
        NestedField(3, "numbers", ListType(4, LongType(), element_required=False)),
    )
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "region"))
    table = catalog.create_table(f"{namespace}.t", schema, partition_spec=spec)
    arrow = schema.as_arrow()
    for number in range(3):
        rows = {"id": [number, number + 10], "region": ["north", "south"], "numbers": [[number, None], None]}
        table.append(pyarrow.table(rows, schema=arrow))
    sign_in(page, server.uri, server.key)
    place = f"w=quickstart&ns={namespace}&t=t"
    page.goto(f"{server.uri}/console/table?{place}")
    page.get_by_role("link", name="Files", exact=True).click()
    assert page.locator("svg.chart rect").count() == 10, "a bar for each class of sizes"
    partitions = page.get_by_role("region", name="Files by partition").inner_text()
    assert "region=north" in partitions and "region=south" in partitions
    page.get_by_role("link", name="First rows", exact=True).click()
    rows = page.get_by_role("region", name="First rows")
    assert rows.get_by_role("row").count() == 7, "a heading and six rows"
    assert "[2, null]" in rows.inner_text() and "south" in rows.inner_text()
    page.get_by_role("link", name="Maintenance", exact=True).click()
    assert "Nothing is wrong with this table." in page.inner_text("main")
    page.get_by_text("Set the policy").first.click()
    page.locator("[name='expire-snapshots.max-snapshot-age-ms']").fill("2d")
    page.get_by_role("button", name="Set the policy").click()
    assert "The policy is set." in notice(page)
    page.get_by_text("Set the policy").first.click()
    page.locator("[name='expire-snapshots.max-snapshot-age-ms']").fill("soon")
    page.get_by_role("button", name="Set the policy").click()
    assert page.get_by_role("alert").count() == 1
    assert page.locator("[name='expire-snapshots.max-snapshot-age-ms']").input_value() == "soon"
    page.goto(f"{server.uri}/console/maintenance?{place}")
    policy = page.get_by_role("region", name="Policy in force").get_by_role("row").filter(has_text="max-snapshot-age")
    assert "2d" in policy.inner_text() and "this table" in policy.inner_text()
    # Three small manifests, which a policy of at least two would rewrite.
    page.get_by_text("Set the policy").first.click()
    page.locator("[name='rewrite-manifests.min-manifests']").fill("2")
    page.get_by_role("button", name="Set the policy").click()
    page.get_by_label("Operation", exact=True).select_option("rewrite-manifests")
    page.get_by_role("button", name="Dry run", exact=True).click()
    while page.get_by_role("link", name="Show the present state").count():
        page.get_by_role("link", name="Show the present state").click()
    assert "Files replaced" in page.inner_text("main")
    assert len(catalog.load_table(f"{namespace}.t").snapshots()) == 3, "a dry run changes nothing"
    page.get_by_role("button", name="Run now").click()
    while page.get_by_role("link", name="Show the present state").count():
        page.get_by_role("link", name="Show the present state").click()
    assert "succeeded" in page.inner_text("main")
    assert len(catalog.load_table(f"{namespace}.t").snapshots()) == 4
    page.goto(f"{server.uri}/console/maintenance?w=quickstart")
    assert f"{namespace}.t" in page.get_by_role("region", name="Runs").inner_text()


def test_snippets_of_a_table_read_it(page: Any, server: Server, connect: Callable[..., Any], namespace: str) -> None:
    import duckdb
    import pyarrow

    connect().create_table(f"{namespace}.t's", pyarrow.schema([("a", pyarrow.int64())])).append(pyarrow.table({"a": [7]}))
    sign_in(page, server.uri, server.key)
    page.goto(f"{server.uri}/console/table?w=quickstart&ns={namespace}&t=t%27s")
    page.get_by_role("navigation", name="Sections of the table").get_by_role("link", name="Connect").click()
    page.locator("#duckdb").wait_for()
    texts = {name: page.inner_text(f"#{name}").replace("flx_...", server.key) for name in ("duckdb", "pyiceberg", "curl")}
    statements = texts["duckdb"].removeprefix("INSTALL iceberg; LOAD iceberg;")
    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
        for name in EXTENSIONS:
            connection.execute(f"LOAD '{extension_file(name)}'")
        assert connection.execute(statements).fetchall() == [(7,)]
    made: dict[str, Any] = {}
    exec(texts["pyiceberg"], made)  # noqa: S102 - the text of a page of the server under test.
    assert made["table"].scan().to_arrow().to_pydict() == {"a": [7]}
    answer = subprocess.run(texts["curl"], shell=True, check=True, capture_output=True, timeout=60)  # noqa: S602
    assert b'"metadata-location"' in answer.stdout


def test_events_tell_in_words_what_changed(page: Any, server: Server, rest: Rest, namespace: str) -> None:
    rest.create_table(namespace, table_of("t"))
    names = {"source": {"namespace": [namespace], "name": "t"}, "destination": {"namespace": [namespace], "name": "u"}}
    assert rest.post("/tables/rename", json=names).status_code == 204
    sign_in(page, server.uri, server.key)
    page.goto(f"{server.uri}/console/events?object={namespace}.u")
    row = page.get_by_role("row").filter(has_text=f"Renamed table {namespace}.t to {namespace}.u")
    row.wait_for()
    assert '"operation"' not in row.inner_text()
    row.locator("summary", has_text="rename-table").click()
    assert f'"new-name": "{namespace}.u"' in row.inner_text()


def test_commits_before_a_rename_name_their_key(
    page: Any, server: Server, connect: Callable[..., Any], namespace: str
) -> None:
    import pyarrow

    catalog = connect()
    catalog.create_table(f"{namespace}.old", pyarrow.schema([("a", pyarrow.int64())])).append(pyarrow.table({"a": [1]}))
    catalog.rename_table(f"{namespace}.old", f"{namespace}.new")
    catalog.load_table(f"{namespace}.new").append(pyarrow.table({"a": [2]}))
    sign_in(page, server.uri, server.key)
    page.goto(f"{server.uri}/console/table?w=quickstart&ns={namespace}&t=new&show=history")
    rows = page.get_by_role("region", name="Snapshots").get_by_role("row")
    assert rows.count() == 3 and all("PyIceberg" in rows.nth(number).inner_text() for number in (1, 2))
    assert "no longer kept" not in page.inner_text("main")


def test_hostile_names_run_nothing(page: Any, server: Server, rest: Rest, namespace: str) -> None:
    rest.post("/namespaces", json={"namespace": [namespace, HOSTILE], "properties": {HOSTILE: HOSTILE}})
    key = quote("\x1f".join([namespace, HOSTILE]), safe="")
    place = f"w=quickstart&ns={key}"
    schema = {"type": "struct", "fields": [{"id": 1, "name": HOSTILE, "required": False, "type": "long", "doc": HOSTILE}]}
    made = rest.post(f"/namespaces/{key}/tables", json={"name": HOSTILE, "schema": schema, "properties": {HOSTILE: HOSTILE}})
    assert made.status_code == 200, made.text
    sign_in(page, server.uri, server.key)
    table = f"table?{place}&t={quote(HOSTILE, safe='')}"
    pages = [f"browse?w=quickstart&ns={namespace}", f"browse?{place}", f"bin?{place}"]
    pages += [f"{table}&show={show}" for show in ("schema", "history", "properties", "credentials", "connect", "metadata")]
    pages += [table.replace("table?", f"{name}?", 1) for name in ("rows", "files", "maintenance")]
    for address in pages:
        page.goto(f"{server.uri}/console/{address}")
        assert page.title() != "taken" and page.locator("img[src=x]").count() == 0, address
        assert "onerror" in page.inner_text("body"), address
    page.goto(f"{server.uri}/console/browse?w=quickstart&ns={namespace}")
    page.get_by_role("button", name=re.compile("Show the contents of <img")).click()
    page.get_by_role("link", name=HOSTILE).nth(1).wait_for()
    assert page.title() != "taken"


def test_console_works_below_a_path_of_a_proxy(page: Any, server: Server) -> None:
    with below_a_path(server.uri) as uri:
        sign_in(page, uri, server.key)
        assert page.url == f"{uri}/console/home"
        page.get_by_role("link", name="quickstart").click()
        page.get_by_role("link", name="demo").click()
        page.get_by_role("link", name="tides").click()
        page.get_by_role("heading", name="tides", level=1).wait_for()
        page.get_by_role("navigation", name="Console").get_by_role("link", name="Connect").click()
        assert f"ENDPOINT '{uri}'" in page.locator("#duckdb").inner_text(), "the browser's address is in the settings"
        page.get_by_role("button", name="Sign out").click()
        assert page.url.startswith(f"{uri}/console/sign-in")


def test_client_doctor_and_explanation_of_access(page: Any, server: Server) -> None:
    sign_in(page, server.uri, server.key)
    page.get_by_role("navigation", name="Console").get_by_role("link", name="Connect").click()
    page.get_by_label("Error or settings of the client").fill("uri: 'http://127.0.0.1:8181/v1'")
    page.get_by_role("button", name="Examine").click()
    assert "Leave it out" in page.inner_text("#answer")
    assert page.evaluate("document.activeElement.id") == "answer", "the answer is in view"
    page.get_by_role("link", name="Access", exact=True).click()
    page.get_by_label("Action").select_option("drop-table")
    page.get_by_label("Namespace").fill("demo")
    page.get_by_label("Table").fill("tides")
    page.get_by_role("button", name="Explain").click()
    assert "its built-in role is admin" in page.inner_text("main")


def addresses(server: Server) -> dict[str, str]:
    table = "table?w=quickstart&ns=demo&t=tides"
    sections = {show: f"{table}&show={show}" for show in ("schema", "history", "properties", "credentials", "connect", "metadata")}
    others = ("home", "connect", "keys", "access", "usage", "history")
    pages = {"browse": "browse?w=quickstart", "namespace": "browse?w=quickstart&ns=demo", "bin": "bin?w=quickstart"}
    sections |= {name: f"{name}?w=quickstart&ns=demo&t=tides" for name in ("rows", "files", "maintenance")}
    pages["maintenance-of-warehouse"] = "maintenance?w=quickstart"
    return {**pages, **sections, **{f"place-{name}": name for name in others}, "missing": "nowhere"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screen_readers_and_small_screens_find_nothing_serious(browser: Any, server: Server, scheme: str) -> None:
    pages = ["sign-in", *addresses(server).values()]
    found = faults_on_a_phone(browser, server.uri, scheme, server.key, "Warehouses", pages)
    assert not found, found


SMALL_TARGETS = """
[...document.querySelectorAll("a, button, summary, select, input:not([type=hidden], [type=checkbox])")]
    .map((one) => [one, one.getBoundingClientRect()])
    .filter(([one, box]) => box.width > 1 && box.height > 0 && box.height < 43.9 && !one.matches(".skip"))
    .map(([one]) => one.outerHTML)
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_long_names_and_open_forms_fit_a_phone(
    browser: Any, server: Server, rest: Rest, namespace: str, scheme: str
) -> None:
    name = "t" * 64
    rest.create_table(namespace, table_of(name))
    context = browser.new_context(
        viewport={"width": 360, "height": 760}, color_scheme=scheme, has_touch=True, is_mobile=True
    )
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    sign_in(page, server.uri, server.key)
    place = f"w=quickstart&ns={namespace}"
    table = {"long-name": f"table?{place}&t={name}", "long-name-properties": f"table?{place}&t={name}&show=properties"}
    pages = {**addresses(server), **table, "list": f"browse?{place}", "events": "events"}
    found = {}
    for label, address in pages.items():
        page.goto(f"{server.uri}/console/{address}")
        page.evaluate(OPEN_ALL)
        wide = page.evaluate(TOO_WIDE)
        small = page.evaluate(SMALL_TARGETS)
        if wide > 0 or small:
            found[label] = (wide, small[:3])
    page.goto(f"{server.uri}/console/{table['long-name']}")
    assert not page.get_by_text("UUID").is_visible(), "small screens have it with the properties only"
    page.goto(f"{server.uri}/console/{table['long-name-properties']}")
    assert page.get_by_text("UUID").is_visible()
    context.close()
    assert not found, found


def test_sign_in_and_first_page_are_small(page: Any, server: Server) -> None:
    answers: list[Any] = []
    page.on("response", lambda answer: answers.append(answer))
    sizes: dict[str, int] = {}

    def measure() -> None:
        page.wait_for_load_state("networkidle")
        # Without compression, and each file once.
        sizes.update({answer.url: len(answer.body()) for answer in answers if answer.status == 200})
        answers.clear()

    page.goto(f"{server.uri}/console/sign-in")
    measure()
    page.get_by_label("API key").fill(server.key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Warehouses").wait_for()
    measure()
    assert {"sign-in", "home"} <= {url.rsplit("/", 1)[-1] for url in sizes}, sizes
    assert len(sizes) >= 5 and sum(sizes.values()) < 100_000, sizes


@pytest.mark.skipif(not os.environ.get("TIDEWATER_FIRST_PAINT"), reason="TIDEWATER_FIRST_PAINT is not set")
def test_first_paint_of_a_slow_browser_takes_less_than_a_second(browser: Any, server: Server) -> None:
    """Measures for docs/console.md. The result depends on the machine, so this is not a part of the suite."""
    medians = {}
    for name in ("sign-in", "home"):
        times_ms = []
        for _ in range(7):
            context = browser.new_context(viewport={"width": 1200, "height": 760})
            page = context.new_page()
            if name == "home":
                sign_in(page, server.uri, server.key)
            session = context.new_cdp_session(page)
            session.send("Network.enable")
            session.send("Network.setCacheDisabled", {"cacheDisabled": True})
            session.send("Network.emulateNetworkConditions", SLOW_NETWORK)
            session.send("Emulation.setCPUThrottlingRate", {"rate": 4})
            page.goto(f"{server.uri}/console/{name}")
            page.wait_for_function(f"{FIRST_PAINT}.length > 0")
            times_ms.append(page.evaluate(f"{FIRST_PAINT}[0].startTime"))
            context.close()
        medians[name] = statistics.median(times_ms)
        print(f"{name}: first contentful paint {medians[name]:.0f} ms, all {sorted(round(one) for one in times_ms)}")
    assert max(medians.values()) < 1_000, medians


def test_pages_of_the_catalog_look_like_their_pictures(browser: Any, server: Server, connect: Callable[..., Any]) -> None:
    furnish(connect, server)
    pictures = [
        ("search", "browse?w=quickstart&ns=demo&q=order", "light"),
        ("history", "table?w=quickstart&ns=sales&t=orders&show=history", "light"),
        ("schema-dark", "table?w=quickstart&ns=demo&t=tides", "dark"),
        ("rows", "rows?w=quickstart&ns=sales&t=orders", "light"),
        ("files", "files?w=quickstart&ns=demo&t=tides", "light"),
        ("maintenance", "maintenance?w=quickstart&ns=demo&t=tides", "light"),
        ("connect", "table?w=quickstart&ns=sales&t=orders&show=connect", "light"),
        ("events", "events?object=sales.orders", "light"),
    ]
    for name, address, scheme in pictures:
        picture(browser, server.uri, server.key, (name, address, scheme))


def test_pages_of_operators_look_like_their_pictures(browser: Any, make_server: Callable[..., Server]) -> None:
    slow = make_server("console-pictures", env={"TIDEWATER_TELEMETRY__SLOW_REQUEST_MS": "1"})
    slow.start()
    operator = slow.command("operator", "create", "ops").stdout.strip()
    for name, tier in (("acme", "free"), ("globex", "professional"), ("initech", "enterprise")):
        slow.command("org", "create", name, "--tier", tier)
    for name, scheme in [("organisations", "light"), ("server", "light"), ("slow-requests", "dark")]:
        picture(browser, slow.uri, operator, (f"operator-{name}", name, scheme), "Organisations")


def furnish(connect: Callable[..., Any], server: Server) -> None:
    """Makes a table with a history of two keys, a branch and a tag."""
    import pyarrow

    etl = server.command("key", "create", "nightly-etl", "--role", "writer").stdout.strip()
    catalog = connect()
    catalog.create_namespace("sales")
    when = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    rows = pyarrow.table(
        {
            "order_id": pyarrow.array([1, 2], pyarrow.int64()),
            "price": pyarrow.array([19.9, 5.25], pyarrow.float32()),
            "ordered_at": pyarrow.array([when, when + timedelta(hours=5)], pyarrow.timestamp("us", "UTC")),
            "day": pyarrow.array([when.date()] * 2, pyarrow.date32()),
        }
    )
    catalog.create_table("sales.orders_draft", rows.schema).append(rows)
    catalog.rename_table("sales.orders_draft", "sales.orders")
    table = connect(token=etl).load_table("sales.orders")
    for _ in range(2):
        table.append(rows)
    snapshot = table.current_snapshot().snapshot_id
    table.manage_snapshots().create_tag(snapshot, "month-end").create_branch(snapshot, "audit").commit()
    table.append(rows, branch="audit")
    table.append(rows)
    catalog.create_table("sales.reorders", rows.schema)


def picture(browser: Any, uri: str, key: str, page_of: tuple[str, str, str], first: str = "Warehouses") -> None:
    """Compares a page with its picture in the docs, or writes the picture: its name, address and colours."""
    name, address, scheme = page_of
    context = browser.new_context(viewport={"width": 1100, "height": 640}, color_scheme=scheme)
    page = context.new_page()
    sign_in(page, uri, key, first)
    page.goto(f"{uri}/console/{address}")
    # The folder of the test differs with each run.
    page.evaluate(HIDE_FOLDER)
    path, seen = SCREENSHOTS / f"{name}.png", page.screenshot()
    if os.environ.get("TIDEWATER_SCREENSHOTS"):
        path.write_bytes(seen)
        assert len(seen) < MOST_BYTES_OF_A_PICTURE, f"{path} has {len(seen)} bytes"
    else:
        page.goto("about:blank")
        both = [base64.b64encode(content).decode() for content in (seen, path.read_bytes())]
        difference = page.evaluate(DIFFERENCE, both)
        assert difference < MOST_DIFFERENCE, (
            f"{address} differs from {path.name} by {difference:.1f}: if it should, write it again with TIDEWATER_SCREENSHOTS=1"
        )
    context.close()
