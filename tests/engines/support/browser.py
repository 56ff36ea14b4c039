"""A person with a browser: follows links and redirects, fills in forms, presses their buttons. Runs no scripts."""

from __future__ import annotations

from html.parser import HTMLParser
from http.cookiejar import Cookie
from urllib.parse import urljoin

import requests
from requests.cookies import RequestsCookieJar

TIMEOUT_S = 60

# No sign-in takes more pages: the code, its confirmation, name and password, consent, success.
MOST_PAGES = 10


class Form:
    """A form of a page: its address, its fields with their values, and the named buttons that submit it."""

    def __init__(self, action: str):
        self.action = action
        self.fields: dict[str, str] = {}
        self.buttons: dict[str, str] = {}


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._by_id: dict[str, Form] = {}
        self._open: Form | None = None

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        # A field or a button may name its form, and stand outside of it.
        form = self._by_id.get(values.get("form", ""), self._open)
        if tag == "form":
            self._open = Form(values.get("action", ""))
            self.found.append(self._open)
            self._by_id[values.get("id", "")] = self._open
        elif form is not None and tag in {"input", "button"} and values.get("name"):
            kind = values.get("type", "submit" if tag == "button" else "text")
            (form.buttons if kind == "submit" else form.fields)[values["name"]] = values.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None


def forms_of(page: str) -> list[Form]:
    """Returns the forms of a page, in their order."""
    parser = _Forms()
    parser.feed(page)
    return parser.found


class _Cookies(RequestsCookieJar):
    """Sends this machine cookies that are `Secure` without TLS too, as browsers do."""

    def set_cookie(self, cookie: Cookie, *arguments: object, **options: object) -> object:
        cookie.secure = False
        return super().set_cookie(cookie, *arguments, **options)


# The buttons that a person presses, to agree or to refuse.
AGREEING = ("accept", "login", "confirm", "submit")
REFUSING = ("abort", "cancel")


class Person:
    """Signs in with a name and a password, and agrees to all. One who `refuses` presses the first button that ends it."""

    def __init__(self, name: str, password: str = "any", *, refuses: bool = False):
        self._answers = {"login": name, "username": name, "password": password}
        self._buttons = REFUSING + AGREEING if refuses else AGREEING

    def visits(self, address: str, user_code: str | None = None) -> requests.Response:
        """Opens the address, and submits the first form of each page until a page has no form. Returns that page."""
        answers = {**self._answers, **({"user_code": user_code, "device_user_code": user_code} if user_code else {})}
        session = requests.Session()
        session.trust_env = False
        # Keycloak has another route at the same path for programs.
        session.headers["Accept"] = "text/html,*/*;q=0.8"
        session.cookies = _Cookies()
        page = session.get(address, timeout=TIMEOUT_S)
        for _ in range(MOST_PAGES):
            forms = [form for form in forms_of(page.text) if form.fields or form.buttons]
            if page.status_code != 200 or not forms:
                return page
            form = forms[0]
            filled = {name: answers.get(name, value) for name, value in form.fields.items()}
            pressed = next((name for name in self._buttons if name in form.buttons), None)
            if pressed is not None:
                filled[pressed] = form.buttons[pressed]
            page = session.post(urljoin(page.url, form.action), data=filled, timeout=TIMEOUT_S)
            if pressed in REFUSING:
                return page
        raise AssertionError(f"a sign-in of more than {MOST_PAGES} pages:\n{page.text[:2000]}")
