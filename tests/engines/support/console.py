"""The web console in a browser: what all tests of its pages do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from support.chromium import TIMEOUT_MS, axe_source

OPEN_ALL = "for (const one of document.querySelectorAll('details')) one.open = true"

# How much wider a page is than the screen. Wide tables scroll inside of the page, not the page itself.
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def sign_in(page: Any, uri: str, key: str, first: str = "Warehouses") -> None:
    """Signs in with a key, and waits for the heading of the first page."""
    page.goto(f"{uri}/console/")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name=first, exact=True).wait_for()


def notice(page: Any) -> str:
    """Returns the message about a change that was made."""
    return page.get_by_role("status").first.inner_text()


def faults_on_a_phone(browser: Any, uri: str, scheme: str, key: str, first: str, addresses: Iterable[str]) -> dict[str, Any]:
    """Returns what axe-core finds serious on pages on a small screen, and which are wider than the screen. `first` is the heading
    after the sign-in. The page of the sign-in comes first, if it is among the addresses."""
    axe = axe_source()
    context = browser.new_context(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    found: dict[str, Any] = {}
    for address in addresses:
        if address != "sign-in" and not context.cookies():
            sign_in(page, uri, key, first)
        answer = page.goto(f"{uri}/console/{address}")
        assert answer.status == (404 if address == "nowhere" else 200), address
        page.evaluate(OPEN_ALL)
        page.evaluate(axe)
        violations = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
        serious = [one for one in violations if one["impact"] in ("serious", "critical")]
        if serious:
            found[address] = [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in serious]
        wide = page.evaluate(TOO_WIDE)
        if wide > 0:
            found.setdefault(address, []).append(("wider than the screen by", wide))
    context.close()
    return found
