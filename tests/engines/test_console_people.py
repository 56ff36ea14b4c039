"""The console's pages for people and administration in a real browser, and its sign-in with a real identity provider."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from support.chromium import below_a_path, reload_until
from support.console import faults_on_a_phone, notice, sign_in
from support.nginx import below_a_path_with_tls
from support.oidc_provider import OidcProvider, issuer_settings
from support.rest import Rest
from support.server import Server
from support.webhook_receiver import LOCAL, Receiver


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    provider = OidcProvider(tmp_path_factory.mktemp("provider"))
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server], provider: OidcProvider) -> Server:
    """A server whose users are admins, which trusts proxies on this machine and sends events to it."""
    issuers = [issuer_settings(provider, console_client_id="console", role="admin")]
    settings = {"TIDEWATER_AUTH__ISSUERS": json.dumps(issuers), "TIDEWATER_CONNECTIONS__TRUSTED_PROXIES": "127.0.0.1"}
    server = make_server("console-people", env={**LOCAL, **settings, "TIDEWATER_DELIVERY__REJECTIONS": "1"})
    server.start()
    return server


def sign_in_at_provider(page: Any, name: str) -> None:
    """Enters name and password at the provider, and agrees."""
    page.locator("input[name=login]").fill(name)
    page.locator("input[name=password]").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()


# ---- the identity provider ----


def test_person_signs_in_with_the_provider_and_comes_back_to_the_page(page: Any, server: Server) -> None:
    page.goto(f"{server.uri}/console/browse?w=quickstart")
    page.get_by_role("link", name="Sign in with company").click()
    sign_in_at_provider(page, "ann")
    page.get_by_role("heading", name="quickstart", level=1).wait_for()
    assert page.url == f"{server.uri}/console/browse?w=quickstart"
    assert "ann" in page.inner_text(".who-name") and "admin" in page.inner_text(".who-name")
    names = [one["name"] for one in page.context.cookies() if one["name"].startswith("tidewater")]
    assert names == ["tidewater-console"], "the cookie of the sign-in has ended"
    page.goto(f"{server.uri}/console/users")
    page.get_by_role("row").filter(has_text="ann").wait_for()
    reload_until(page, f"{server.uri}/console/history?operation=sign-in", lambda: page.get_by_role("row").filter(has_text="ann"))


def test_sign_in_comes_back_below_a_path_of_a_proxy(page: Any, server: Server) -> None:
    with below_a_path(server.uri) as uri:
        page.goto(f"{uri}/console/")
        page.get_by_role("link", name="Sign in with company").click()
        sign_in_at_provider(page, "bob")
        page.get_by_role("heading", name="Warehouses").wait_for()
        assert page.url == f"{uri}/console/home"


def test_refusal_of_the_person_is_shown(page: Any, server: Server) -> None:
    page.goto(f"{server.uri}/console/")
    page.get_by_role("link", name="Sign in with company").click()
    page.get_by_role("link", name="Cancel").click()
    assert "access_denied" in page.get_by_role("alert").inner_text()
    page.get_by_role("link", name="Sign in with company").wait_for()


def test_answer_counts_once_and_in_its_own_browser_only(browser: Any, page: Any, server: Server) -> None:
    answers: list[str] = []
    page.on("request", lambda request: answers.append(request.url) if "/console/signed-in" in request.url else None)
    page.goto(f"{server.uri}/console/")
    page.get_by_role("link", name="Sign in with company").click()
    sign_in_at_provider(page, "carl")
    page.get_by_role("heading", name="Warehouses").wait_for()
    (answer,) = answers
    # Another browser, and the same one once more.
    other = browser.new_context().new_page()
    for again in (other, page):
        again.goto(answer)
        assert "was not begun in this browser" in again.get_by_role("alert").inner_text()
    other.goto(f"{server.uri}/console/home")
    assert "/console/sign-in" in other.url
    other.context.close()


def test_code_of_another_sign_in_is_refused(server: Server, provider: OidcProvider) -> None:
    """An attacker's code in the victim's browser: the code's challenge is another one."""
    here = {"Referer": f"{server.uri}/console/sign-in"}

    def begin() -> tuple[str, dict[str, str]]:
        answer = requests.get(
            f"{server.uri}/console/sign-in-with?issuer=company", headers=here, allow_redirects=False, timeout=60
        )
        assert answer.status_code == 303 and answer.headers["location"].startswith(f"{provider.issuer}/auth?"), answer.text
        return parse_qs(urlsplit(answer.headers["location"]).query)["state"][0], answer.cookies.get_dict()

    state, cookies = begin()
    other_state, _ = begin()
    assert state != other_state

    def come_back(**parameters: str) -> requests.Response:
        address = f"{server.uri}/console/signed-in"
        return requests.get(address, params=parameters, cookies=cookies, allow_redirects=False, timeout=60)

    mixed_up = come_back(code="stolen", state=other_state)
    assert mixed_up.status_code == 400 and "set-cookie" not in mixed_up.headers
    unknown = come_back(code="stolen", state=state)
    assert unknown.status_code == 403 and "invalid_grant" in unknown.text, unknown.text
    assert "tidewater-console=" not in unknown.headers["set-cookie"]


# ---- access and keys ----


def test_access_is_given_and_taken_by_the_pages(page: Any, server: Server, unique: str) -> None:
    key = server.command("key", "create", unique, "--role", "none").stdout.strip()
    rest = Rest(server.uri, key)
    sign_in(page, server.uri, server.key)
    page.get_by_role("link", name="Access", exact=True).click()
    sections = page.get_by_role("navigation", name="Sections of access")
    sections.get_by_role("link", name="Principal roles").click()
    page.get_by_text("Create a principal role", exact=True).first.click()
    page.get_by_label("Name", exact=True).fill(f"{unique}-people")
    page.get_by_role("button", name="Create a principal role").click()
    assert "The role is created." in notice(page)
    page.get_by_role("link", name=f"{unique}-people", exact=True).click()
    page.locator("summary", has_text="Assign to a key or user").click()
    page.get_by_label("Name or id of a key").fill(unique)
    page.get_by_role("button", name="Assign to a key or user").click()
    page.get_by_role("row").filter(has_text=unique).wait_for()
    sections.get_by_role("link", name="Catalog roles").click()
    page.locator("summary", has_text="Create a catalog role").click()
    page.get_by_label("Name", exact=True).fill(f"{unique}-readers")
    page.get_by_role("button", name="Create a catalog role").click()
    page.get_by_role("link", name=f"{unique}-readers", exact=True).click()
    page.locator("summary", has_text="Assign to a principal role").click()
    page.locator("#assign-catalog-role-to").fill(f"{unique}-people")
    page.get_by_role("button", name="Assign to a principal role").click()
    page.locator("summary", has_text="Grant a privilege").click()
    page.get_by_label("Privilege").select_option("TABLE_READ_DATA")
    page.get_by_label("Type of the object").select_option("table")
    page.get_by_label("Namespace, levels").fill("demo")
    page.get_by_label("Table or view").fill("tides")
    page.get_by_role("button", name="Grant a privilege").click()
    assert "The privilege is granted." in notice(page)
    assert rest.get("/namespaces/demo/tables/tides").status_code == 200
    page.get_by_label("Revoke TABLE_READ_DATA table demo.tides").click()
    page.get_by_role("button", name="Revoke TABLE_READ_DATA table demo.tides").click()
    assert "The grant is revoked." in notice(page)
    assert rest.get("/namespaces/demo/tables/tides").status_code != 200


def test_key_is_rotated_with_an_overlap(page: Any, server: Server, unique: str) -> None:
    old = server.command("key", "create", unique, "--role", "reader").stdout.strip()
    sign_in(page, server.uri, server.key)
    page.get_by_role("link", name="Keys", exact=True).click()
    page.get_by_role("link", name=unique, exact=True).click()
    page.locator("summary", has_text="Rotate this key").click()
    page.get_by_label("Hours in which both keys work").fill("1")
    page.get_by_role("button", name="Rotate this key").click()
    new = page.locator("#new-secret").inner_text()
    for key in (old, new):
        assert Rest(server.uri, key).get("/namespaces").status_code == 200
    page.locator("summary", has_text="Change this key").click()
    page.get_by_label("Role", exact=True).select_option("writer")
    page.get_by_label("Expires in days").fill("7")
    page.get_by_role("button", name="Change this key").click()
    assert "The key is changed." in notice(page) and new not in page.content()
    assert "writer" in page.inner_text("dl.facts")


# ---- events and warehouses ----


def test_dead_letter_is_shown_and_sent_again(page: Any, server: Server, rest: Rest, unique: str) -> None:
    accepts: list[bool] = []
    with Receiver(lambda *_: 200 if accepts else 400).serving() as receiver:
        sign_in(page, server.uri, server.key)
        page.get_by_role("link", name="Events", exact=True).first.click()
        page.get_by_role("navigation", name="Sections of events").get_by_role("link", name="Subscriptions").click()
        page.locator("summary", has_text="Create a subscription").click()
        page.get_by_label("Name", exact=True).fill(unique)
        page.get_by_label("URL", exact=True).fill(receiver.url)
        page.get_by_label("Operations, separated by commas").fill("create-namespace")
        page.get_by_role("button", name="Create a subscription").click()
        receiver.secret = page.locator("#new-secret").inner_text()
        address = page.evaluate("document.querySelector('form[action=do] input[name=back]').value")
        Rest(server.uri, server.key).create_namespace(unique)
        own = f"{server.uri}/console/{address}"
        page.goto(own)
        # The page has the dead letter as soon as the server has sent the event.
        for _ in range(200):
            if page.get_by_role("button", name="Send again").count() or page.get_by_label("Send again").count():
                break
            page.wait_for_timeout(100)
            page.reload()
        page.locator("summary", has_text="Send a test").click()
        page.get_by_role("button", name="Send a test").click()
        assert "400" in page.get_by_role("alert").inner_text()
        page.goto(own)
        accepts.append(True)
        page.locator("td summary", has_text="Send again").first.click()
        page.locator("td button", has_text="Send again").first.click()
        assert "sent again" in notice(page)
        page.locator("summary", has_text="Send a test").click()
        page.get_by_role("button", name="Send a test").click()
        assert "accepted the test" in notice(page)
    page.goto(f"{server.uri}/console/events?operation=create-namespace&object={unique}")
    page.get_by_role("row").filter(has_text=unique).wait_for()


def test_storage_of_a_warehouse_is_tested(page: Any, server: Server) -> None:
    sign_in(page, server.uri, server.key)
    page.get_by_role("link", name="Warehouses", exact=True).click()
    page.get_by_role("link", name="quickstart", exact=True).click()
    page.locator("summary", has_text="Test the storage").click()
    page.get_by_role("button", name="Test the storage").click()
    page.get_by_role("heading", name="Result of the test").wait_for()
    assert page.get_by_role("row").count() > 1


# ---- every page ----

PAGES = (
    "sign-in",
    "access",
    "principals",
    "users",
    "principal-roles",
    "principal-role?name=people",
    "catalog-roles?w=quickstart",
    "catalog-role?w=quickstart&name=readers",
    "warehouses",
    "warehouse?name=quickstart",
    "events",
    "subscriptions",
)

@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screen_readers_and_small_screens_find_nothing_serious(browser: Any, server: Server, scheme: str) -> None:
    if scheme == "light":
        server.command("role", "create", "people")
        server.command("role", "create", "readers", "--catalog")
        server.command("role", "assign", "readers", "people", "--catalog")
        server.command("grant", "add", "readers", "SELECT", "--namespace", "demo")
    found = faults_on_a_phone(browser, server.uri, scheme, server.key, "Warehouses", PAGES)
    assert not found, found


def test_console_works_behind_nginx_with_tls_below_a_path(page: Any, server: Server, tmp_path: Path) -> None:
    with below_a_path_with_tls(server.uri, tmp_path) as uri:
        sign_in(page, uri, server.key)
        assert page.url == f"{uri}/console/home"
        (cookie,) = page.context.cookies()
        assert (cookie["name"], cookie["secure"], cookie["httpOnly"]) == ("__Host-tidewater", True, True)
        page.get_by_role("link", name="quickstart").click()
        page.locator("summary", has_text="Create a namespace here").click()
        page.get_by_label("Name", exact=True).fill("behind nginx/%1F")
        page.get_by_role("button", name="Create", exact=True).click()
        assert "The namespace is created." in notice(page)
        page.get_by_role("navigation", name="Console").get_by_role("link", name="Connect").click()
        assert uri in page.locator("#duckdb").inner_text()
        # A browser that does not say where a form comes from: the host with its port decides.
        form = {"key": server.key}
        for origin, status in ((f"https://{urlsplit(uri).netloc}", 303), ("https://127.0.0.1", 403)):
            sent = requests.post(
                f"{uri}/console/sign-in", data=form, headers={"Origin": origin}, verify=False, allow_redirects=False, timeout=60
            )
            assert sent.status_code == status, (origin, sent.text)
