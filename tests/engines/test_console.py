"""The web console in a real browser.

`TIDEWATER_SCREENSHOTS=1` writes the screenshots of docs/console.md again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from support.chromium import TIMEOUT_MS, axe_source, below_a_path, chromium, watched_page
from support.rest import Rest
from support.server import REPOSITORY, Server

HOSTILE = "<img src=x onerror=\"document.title='taken'\">'&\"${7}{{7}}"

HIDE_FOLDER = """
for (const one of document.querySelectorAll("dd")) one.textContent = one.textContent.replace(/^file:.*\\/data/, "file:///srv");
"""

SCREENSHOTS = REPOSITORY / "docs/console"


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server]) -> Server:
    """A server of its own: namespaces of other tests would fill the first page of the tree."""
    server = make_server("console")
    server.start()
    return server


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    with watched_page(browser) as page:
        yield page


def table_of(name: str) -> dict[str, Any]:
    """Returns a request for a table of one column."""
    return {"name": name, "schema": {"type": "struct", "fields": [{"id": 1, "name": "a", "required": False, "type": "long"}]}}


def sign_in(page: Any, uri: str, key: str) -> None:
    page.goto(f"{uri}/")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Warehouses").wait_for()


def test_sign_in_browse_search_and_sign_out(page: Any, server: Server, rest: Rest, namespace: str) -> None:
    for name in ("orders", "orders_eu", "zebra"):
        rest.create_table(namespace, table_of(name))
    page.goto(f"{server.uri}/")
    page.get_by_label("API key").fill("flx_wrong")
    page.get_by_role("button", name="Sign in").click()
    assert "copy the whole key" in page.get_by_role("alert").inner_text()
    sign_in(page, server.uri, server.key)
    page.get_by_role("link", name="quickstart").click()
    # The tree opens in place.
    page.get_by_role("button", name=f"Show the contents of {namespace}", exact=True).click()
    page.get_by_role("link", name="zebra").wait_for()
    # Search as you type, with the keyboard alone.
    page.keyboard.press("/")
    page.keyboard.type(f"{namespace}.orders_")
    page.get_by_role("link", name="orders_eu").wait_for()
    page.get_by_role("link", name="zebra").wait_for(state="detached")
    assert "q=" in page.url, "the search has an address"
    page.get_by_role("link", name="orders_eu").click()
    page.get_by_role("heading", name="orders_eu", level=1).wait_for()
    for section in ("Snapshots", "Properties", "Credentials", "Metadata document", "Schema"):
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
    assert "The namespace is created." in page.get_by_role("status").first.inner_text()
    rest.create_table(unique, table_of("t"))
    page.goto(f"{server.uri}/console/table?w=quickstart&ns={unique}&t=t")
    page.get_by_text("Drop this table").click()
    page.get_by_role("button", name="Drop t", exact=True).click()
    page.get_by_role("link", name="Dropped tables and views").click()
    page.get_by_role("button", name=f"Restore {unique}.t", exact=True).click()
    assert "Restored." in page.get_by_role("status").first.inner_text()
    rest.load(unique, "t")
    page.get_by_role("link", name="Keys", exact=True).click()
    page.get_by_label("Name", exact=True).fill(unique)
    page.get_by_role("button", name="Create", exact=True).click()
    key = page.locator("#new-key").inner_text()
    assert Rest(server.uri, key).get("/namespaces").status_code == 200
    assert "Role: reader. Expires: 20" in page.inner_text("main")
    # A reload loads the list, and does not create another key.
    page.reload()
    assert "was shown already" in page.get_by_role("status").first.inner_text()
    assert key not in page.content() and page.get_by_role("link", name=unique, exact=True).count() == 1
    row = page.get_by_role("row").filter(has_text=unique)
    row.locator("summary").click()
    row.get_by_role("button", name=f"Revoke {unique}", exact=True).click()
    assert "The key is revoked." in page.get_by_role("status").first.inner_text()
    assert Rest(server.uri, key).get("/namespaces").status_code == 401


def test_refused_form_names_the_reason_and_leads_back_to_itself(
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
    page.get_by_role("button", name="Create", exact=True).click()
    assert "A branch or tag taken exists already. Choose another name." in page.get_by_role("alert").inner_text()
    page.get_by_role("link", name="Back").click()
    assert page.get_by_label("Name", exact=True).is_visible(), "the form is open"


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
    assert "The branch is rolled back." in page.get_by_role("status").first.inner_text()
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
    assert "The policy is set." in page.get_by_role("status").first.inner_text()
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
    pages += [f"{table}&show={show}" for show in ("schema", "history", "properties", "credentials", "metadata")]
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
        page.get_by_role("link", name="Connect", exact=True).click()
        assert f"ENDPOINT '{uri}'" in page.locator("#duckdb").inner_text(), "the browser's address is in the settings"
        page.get_by_role("button", name="Sign out").click()
        assert page.url.startswith(f"{uri}/console/sign-in")


def test_client_doctor_and_explanation_of_access(page: Any, server: Server) -> None:
    sign_in(page, server.uri, server.key)
    page.get_by_role("link", name="Connect", exact=True).click()
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
    sections = {show: f"{table}&show={show}" for show in ("schema", "history", "properties", "credentials", "metadata")}
    others = ("home", "connect", "keys", "access", "usage", "history")
    pages = {"browse": "browse?w=quickstart", "namespace": "browse?w=quickstart&ns=demo", "bin": "bin?w=quickstart"}
    sections |= {name: f"{name}?w=quickstart&ns=demo&t=tides" for name in ("rows", "files", "maintenance")}
    pages["maintenance-of-warehouse"] = "maintenance?w=quickstart"
    return {**pages, **sections, **{f"place-{name}": name for name in others}, "missing": "nowhere"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screen_readers_and_small_screens_find_nothing_serious(browser: Any, server: Server, scheme: str) -> None:
    axe = axe_source()
    context = browser.new_context(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.goto(f"{server.uri}/console/sign-in")
    found = {}
    sign_in_page = {"sign-in": "sign-in"}
    for name, address in {**sign_in_page, **addresses(server)}.items():
        if name != "sign-in" and not context.cookies():
            sign_in(page, server.uri, server.key)
        page.goto(f"{server.uri}/console/{address}")
        page.evaluate(axe)
        violations = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
        serious = [one for one in violations if one["impact"] in ("serious", "critical")]
        if serious:
            found[name] = [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in serious]
        # Wide tables scroll inside of the page, not the page itself.
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            found.setdefault(name, []).append(("wider than the screen by", wide))
    context.close()
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
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
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


@pytest.mark.skipif(not os.environ.get("TIDEWATER_SCREENSHOTS"), reason="TIDEWATER_SCREENSHOTS is not set")
def test_screenshots_are_written(browser: Any, server: Server) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    for name, address, scheme in [
        ("history", "table?w=quickstart&ns=demo&t=tides&show=history", "light"),
        ("schema-dark", "table?w=quickstart&ns=demo&t=tides", "dark"),
        ("files", "files?w=quickstart&ns=demo&t=tides", "light"),
        ("maintenance", "maintenance?w=quickstart&ns=demo&t=tides", "light"),
    ]:
        context = browser.new_context(viewport={"width": 1100, "height": 640}, color_scheme=scheme)
        page = context.new_page()
        sign_in(page, server.uri, server.key)
        page.goto(f"{server.uri}/console/{address}")
        # The folder of the test differs with each run.
        page.evaluate(HIDE_FOLDER)
        page.screenshot(path=SCREENSHOTS / f"{name}.png")
        context.close()
