"""Tiers: their contents, their daily limits, and the answers when a limit is used up."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
import requests

from support.admin import Admin
from support.rest import Rest, answer, refused
from support.server import Server

SMALL = 30
TIERS = {
    "TIDEWATER_TIERS__SMALL__REQUESTS_PER_DAY": str(SMALL),
    "TIDEWATER_TIERS__TINY__REQUESTS_PER_DAY": "2",
    "TIDEWATER_TIERS__FEW_TABLES__MAX_TABLES": "2",
}


@pytest.fixture(scope="module")
def own(make_server: Callable[..., Server]) -> Server:
    """A server with small daily limits."""
    server = make_server("tiers", env=TIERS)
    server.start()
    return server


def spend(rest: Rest, at_most: int) -> int:
    """Sends requests until one is refused. Returns the number of served ones."""
    for served in range(at_most):
        response = rest.get("/namespaces")
        if response.status_code == 429:
            return served
        answer(response)
    return at_most


def check_limited(response: requests.Response, limit: int) -> None:
    """Checks that a 429 has the waiting time and the limit."""
    refused(response, 429, "TooManyRequestsException")
    until_midnight = 86_400 - (datetime.now(UTC).hour * 3600 + datetime.now(UTC).minute * 60 + datetime.now(UTC).second)
    assert abs(int(response.headers["Retry-After"]) - until_midnight) <= 5
    assert str(limit) in response.headers["RateLimit-Policy"] + response.headers.get("RateLimit-Limit", "")
    assert "RateLimit" in response.headers or "RateLimit-Remaining" in response.headers


def test_every_request_of_a_free_organisation_is_refused(own: Server) -> None:
    admin = Admin(own)
    key = admin.key(admin.organisation("free"), "admin")
    rest = admin.rest(key)
    for response in (
        rest.get("/config"),
        rest.get("/namespaces"),
        rest.post("/namespaces", json={"namespace": ["a"]}),
        rest.get("/namespaces/a/tables/t"),
    ):
        refused(response, 403, "ForbiddenException", "tier")


def test_request_over_the_daily_limit_gets_429(own: Server) -> None:
    admin = Admin(own)
    organisation = admin.organisation("tiny")
    rest = admin.rest(admin.key(organisation, "writer"))
    first, second, third = (rest.get("/namespaces") for _ in range(3))
    answer(first)
    answer(second)
    check_limited(third, 2)
    for response in (rest.get("/config"), rest.post("/namespaces", json={"namespace": ["a"]})):
        check_limited(response, 2)
    other_key = admin.rest(admin.key(organisation, "writer"))
    check_limited(other_key.get("/namespaces"), 2)


def test_every_answer_has_the_remaining_requests(own: Server) -> None:
    admin = Admin(own)
    rest = admin.rest(admin.key(admin.organisation("small"), "writer"))
    response = rest.get("/namespaces")
    headers = {name.lower() for name in response.headers}
    assert {"ratelimit", "ratelimit-policy"} <= headers or {"ratelimit-limit", "ratelimit-remaining"} <= headers, (
        headers
    )


def test_daily_limit_is_exact_for_concurrent_requests(own: Server) -> None:
    admin = Admin(own)
    key = admin.key(admin.organisation("small"), "writer")
    with ThreadPoolExecutor(6) as pool:
        served = sum(pool.map(lambda _: spend(admin.rest(key), SMALL), range(6)))
    assert served == SMALL


def test_organisations_have_separate_daily_limits(own: Server) -> None:
    admin = Admin(own)
    one, two = (admin.rest(admin.key(admin.organisation("small"), "writer")) for _ in range(2))
    assert spend(one, SMALL + 5) == SMALL
    assert spend(two, SMALL + 5) == SMALL


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_usage_is_kept_over_a_restart(own: Server, end: str) -> None:
    admin = Admin(own)
    rest = admin.rest(admin.key(admin.organisation("small"), "writer"))
    assert spend(rest, 10) == 10
    own.stop() if end == "stop" else own.kill()
    own.start()
    left = spend(rest, SMALL + 5)
    assert left == SMALL - 10 if end == "stop" else left <= SMALL - 10


def test_enterprise_tier_has_no_limit(own: Server) -> None:
    admin = Admin(own)
    rest = admin.rest(admin.key(admin.organisation("enterprise"), "writer"))
    assert spend(rest, 200) == 200


def test_default_tiers_match_the_seed(own: Server) -> None:
    admin = Admin(own)
    for tier, limit in (("professional", 10_000), ("premium", 100_000)):
        response = admin.rest(admin.key(admin.organisation(tier), "writer")).get("/namespaces")
        answer(response)
        told = " ".join(value for name, value in response.headers.items() if name.lower().startswith("ratelimit"))
        assert str(limit) in told, told


def test_exhausted_daily_limit_is_logged_once(own: Server) -> None:
    admin = Admin(own)
    organisation = admin.organisation("tiny")
    rest = admin.rest(admin.key(organisation, "reader"))
    assert spend(rest, 5) == 2
    for _ in range(9):
        check_limited(rest.get("/namespaces"), 2)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", own.stderr())
    told = [line for line in plain.splitlines() if " WARN " in line and f'organisation="{organisation}"' in line]
    assert len(told) == 1 and 'tier="tiny" limit=2' in told[0] and "answered 429" in told[0], told
    assert plain.count("status=429") >= 10, "not every refused request has a log line"
