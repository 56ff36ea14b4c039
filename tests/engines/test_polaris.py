"""The command line of Apache Polaris manages the catalog: every command, and a team set up with it alone.

docs/polaris.md has a table of all commands and whether they work. The test runs each of them and compares.
"""

from __future__ import annotations

import json
import re
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow
import pytest
import requests
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import ForbiddenError, NoSuchTableError

from support import documents
from support.polaris import Done, Polaris, commands
from support.rest import Rest, answer, refused_oauth
from support.s3 import ACCESS_KEY, REGION, ROLE, SECRET_KEY, S3Server
from support.server import REPOSITORY, Server

TABLE = REPOSITORY / "docs/polaris.md"
REALM = "quickstart"


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server]) -> Server:
    server = make_server("polaris")
    server.start()
    return server


@dataclass(frozen=True)
class World:
    """A server with an admin's key and an operator's key."""

    server: Server
    folder: Path
    admin: Polaris
    operator: Polaris
    rest: Rest


@pytest.fixture(scope="module")
def world(server: Server, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("polaris")
    listed = json.loads(server.command("key", "list", "--org", REALM, "--json").stdout)
    own = next(key["id"] for key in listed if key["role"] == "admin")
    operator = json.loads(server.command("operator", "create", "ops", "--json").stdout)["api_key"]
    return World(
        server,
        folder,
        Polaris.with_key(server, folder, own, server.key),
        Polaris.as_operator(server, folder, operator, REALM),
        Rest(server.uri, server.key, "shop"),
    )


@dataclass
class Steps:
    """Runs commands one after the other and records which of them succeeded."""

    world: World
    outcomes: dict[str, set[bool]] = field(default_factory=lambda: defaultdict(set))

    def ok(self, command: str, *arguments: str, says: str = "", by: Polaris | None = None, text: str = "") -> str:
        """Runs a command that must succeed, and print a text."""
        done = self._run(command, arguments, by, text)
        assert done.code == 0, f"{command} {arguments}: {done}"
        assert says in done.out, f"{command} {arguments}: {done}"
        self.outcomes[command].add(True)
        return done.out

    def fails(self, command: str, *arguments: str, says: str, by: Polaris | None = None) -> None:
        """Runs a command that must fail with a message."""
        done = self._run(command, arguments, by, "")
        assert done.code != 0 and says in done.err, f"{command} {arguments}: {done}"
        self.outcomes[command].add(False)

    def _run(self, command: str, arguments: tuple[str, ...], by: Polaris | None, text: str) -> Done:
        words = [*command.split(" "), *arguments]
        if command.startswith(("profiles", "repl")):
            # They write files into a home, which the command line reads from its environment when it starts.
            return (by or self.world.admin).start(*words, text=text)
        return (by or self.world.admin).run(*words, text=text)

    def table(self) -> dict[str, str]:
        """Returns whether each command works."""
        names = {frozenset({True}): "yes", frozenset({False}): "no", frozenset({True, False}): "partly"}
        return {command: names[frozenset(found)] for command, found in self.outcomes.items()}


def documented() -> dict[str, str]:
    """Returns the table in the docs."""
    rows = re.findall(r"^\| `([a-z -]+)` \| (yes|no|partly) \|", TABLE.read_text(), re.MULTILINE)
    found: dict[str, str] = {}
    for command, works in rows:
        assert command not in found, f"twice in the table: {command}"
        found[command] = works
    return found


def test_every_command_does_what_the_table_says(world: World) -> None:
    steps = Steps(world)
    for part in (catalogs, principals, roles, contents, privileges, summaries, unsupported, setup, profiles, removals):
        part(steps)
    assert set(steps.outcomes) == commands(), "a command without a step, or a step without a command"
    assert documented() == steps.table()


def catalogs(steps: Steps) -> None:
    world = steps.world
    root = (world.folder / "shop").as_uri()
    create = ("--storage-type", "FILE", "--default-base-location", root)
    # The local disk is the server's own, so only an operator creates catalogs there.
    steps.fails("catalogs create", "shop", *create, says="only an operator")
    steps.ok("catalogs create", "shop", *create, "--property", "team=a", by=world.operator)
    steps.fails("catalogs create", "shop", *create, says="already", by=world.operator)
    steps.fails("catalogs create", "far", *create, "--type", "EXTERNAL", says="INTERNAL", by=world.operator)
    got = json.loads(steps.ok("catalogs get", "shop"))
    assert got["properties"] == {"default-base-location": root, "team": "a"}
    assert got["storageConfigInfo"] == {"storageType": "FILE", "allowedLocations": [root]}
    steps.ok("catalogs list", says='"name": "shop"')
    steps.ok("catalogs update", "shop", "--set-property", "team=b", "--set-property", "tier=c")
    steps.ok("catalogs update", "shop", "--remove-property", "tier")
    steps.fails("catalogs update", "shop", "--default-base-location", "file:///other", says="cannot change")
    got = json.loads(steps.ok("catalogs get", "shop"))
    assert got["properties"]["team"] == "b" and "tier" not in got["properties"] and got["entityVersion"] == 4
    assert steps.world.admin.run("catalogs", "get", "none").code != 0


def principals(steps: Steps) -> None:
    made = json.loads(steps.ok("principals create", "etl", "--property", "team=a"))
    assert set(made) == {"clientId", "clientSecret"}
    steps.ok("principals list", says='"name": "etl"')
    steps.ok("principals update", "etl", "--set-property", "team=b")
    got = json.loads(steps.ok("principals get", "etl"))
    assert (got["clientId"], got["properties"]) == (made["clientId"], {"team": "b"})
    rotated = json.loads(steps.ok("principals rotate-credentials", "etl"))
    works = [signs_in(steps.world.server, one) for one in (made, rotated)]
    assert works == [True, True], "the old key works for another day"
    reset = json.loads(steps.ok("principals reset", "etl"))
    works = [signs_in(steps.world.server, one) for one in (made, rotated, reset)]
    assert works == [False, False, True]
    chosen = "1b4f2a7c9d3e5f60718293a4b5c6d7e8"
    steps.fails("principals reset", "etl", "--new-client-secret", chosen, says="server chooses")


def signs_in(server: Server, credentials: dict[str, str]) -> bool:
    form = {
        "grant_type": "client_credentials",
        "client_id": credentials["clientId"],
        "client_secret": credentials["clientSecret"],
        "scope": "PRINCIPAL_ROLE:ALL",
    }
    return requests.post(f"{server.uri}/api/catalog/v1/oauth/tokens", data=form, timeout=60).status_code == 200


def roles(steps: Steps) -> None:
    steps.ok("principal-roles create", "analysts", "--property", "a=b")
    steps.ok("principal-roles update", "analysts", "--set-property", "c=d")
    assert json.loads(steps.ok("principal-roles get", "analysts"))["properties"] == {"a": "b", "c": "d"}
    steps.ok("principal-roles grant", "analysts", "--principal", "etl")
    steps.ok("principal-roles list", says="analysts")
    steps.ok("principal-roles list", "--principal", "etl", says="analysts")
    # The command line passes the name where its library expects a timeout.
    steps.fails("principal-roles list", "--catalog-role", "readers", says="validation error")
    in_shop = ("--catalog", "shop")
    steps.ok("catalog-roles create", "readers", *in_shop, "--property", "a=b")
    steps.ok("catalog-roles update", "readers", *in_shop, "--remove-property", "a")
    assert json.loads(steps.ok("catalog-roles get", "readers", *in_shop))["properties"] == {}
    steps.ok("catalog-roles grant", "readers", *in_shop, "--principal-role", "analysts")
    steps.ok("catalog-roles list", "shop", says="catalog_admin")
    steps.ok("catalog-roles list", "shop", "--principal-role", "analysts", says="readers")


def contents(steps: Steps) -> None:
    in_shop = ("--catalog", "shop")
    steps.ok("namespaces create", "sales", *in_shop, "--property", "a=b")
    steps.ok("namespaces create", "sales.eu", *in_shop)
    steps.ok("namespaces create", "gone", *in_shop)
    steps.ok("namespaces list", *in_shop, says='"sales"')
    steps.ok("namespaces list", *in_shop, "--parent", "sales", says="sales.eu")
    steps.ok("namespaces get", "sales", *in_shop, says='"a": "b"')
    rest = steps.world.rest
    for name in ("orders", "gone"):
        rest.create_table("sales", documents.table(name))
        answer(rest.post("/namespaces/sales/views", json=documents.view(f"{name}_view")))
    in_sales = (*in_shop, "--namespace", "sales")
    steps.ok("tables list", *in_sales, says="orders")
    steps.ok("tables get", "orders", *in_sales, says='"format-version"')
    steps.ok("tables delete", "gone", *in_sales)
    steps.ok("views list", *in_sales, says="orders_view")
    steps.ok("views get", "orders_view", *in_sales, says='"view-uuid"')
    steps.ok("views delete", "gone_view", *in_sales)
    steps.ok("namespaces delete", "gone", *in_shop)
    steps.ok("find", "orders", says="sales.orders")
    steps.ok("repl", text="catalogs list\nexit\n", says='"name": "shop"')


def privileges(steps: Steps) -> None:
    role = ("--catalog", "shop", "--catalog-role", "readers")
    in_sales = ("--namespace", "sales")
    steps.ok("privileges catalog grant", "TABLE_LIST", *role)
    # Tidewater enforces no privileges for single kinds of updates, and has no policies.
    for other in ("TABLE_ADD_SNAPSHOT", "CATALOG_ATTACH_POLICY", "POLICY_LIST"):
        steps.fails("privileges catalog grant", other, *role, says=f"'{other}' is not a privilege: use one of CATALOG_M")
    steps.ok("privileges namespace grant", "TABLE_LIST", *role, *in_sales)
    steps.fails("privileges namespace grant", "TABLE_ADD_SCHEMA", *role, *in_sales, says="use one of CATALOG_M")
    table = (*in_sales, "--table", "orders")
    steps.ok("privileges table grant", "TABLE_LIST", *role, *table)
    steps.fails("privileges table grant", "TABLE_ATTACH_POLICY", *role, *table, says="use one of CATALOG_M")
    view = (*in_sales, "--view", "orders_view")
    steps.ok("privileges view grant", "VIEW_LIST", *role, *view)
    assert len(steps.ok("privileges list", *role).splitlines()) == 4
    # A table is in its namespace, which is in the catalog.
    steps.ok("privileges catalog revoke", "TABLE_LIST", *role, "--cascade")
    listed = [json.loads(line) for line in steps.ok("privileges list", *role).splitlines()]
    assert listed == [
        {"type": "view", "namespace": ["sales"], "viewName": "orders_view", "privilege": "VIEW_LIST"}
    ]
    steps.ok("privileges view revoke", "VIEW_LIST", *role, *view)
    steps.ok("privileges namespace grant", "TABLE_READ_DATA", *role, *in_sales)
    steps.ok("privileges table grant", "TABLE_READ_DATA", *role, *table)
    steps.ok("privileges table revoke", "TABLE_READ_DATA", *role, *table)
    assert len(steps.ok("privileges list", *role).splitlines()) == 1


def summaries(steps: Steps) -> None:
    in_shop, in_sales = ("--catalog", "shop"), ("--catalog", "shop", "--namespace", "sales")
    steps.ok("catalogs summarize", "shop", says="Tables:                        1")
    steps.ok("namespaces summarize", "sales", *in_shop, says="No policies apply")
    steps.ok("tables summarize", "orders", *in_sales, says="No policies apply")
    steps.ok("views summarize", "orders_view", *in_sales, says="orders_view")
    steps.ok("principals summarize", "etl", says="shop")
    steps.ok("principals access", "etl", says="TABLE_READ_DATA")
    steps.ok("principal-roles summarize", "analysts", says="readers (Catalog: shop)")
    steps.ok("catalog-roles summarize", "readers", *in_shop, says="TABLE_READ_DATA on sales")
    # The command line reads the namespace of each grant, which a grant on a catalog does not have.
    steps.fails("catalog-roles summarize", "catalog_admin", *in_shop, says="no attribute 'namespace'")


def unsupported(steps: Steps) -> None:
    world, in_sales = steps.world, ("--catalog", "shop", "--namespace", "sales")
    file = world.folder / "policy.json"
    file.write_text(json.dumps({"enable": True}))
    policy = ("--policy-file", str(file))
    missing = "No such route"
    steps.fails("policies create", "p", *in_sales, *policy, "--policy-type", "system.data-compaction", says="Method")
    steps.fails("policies get", "p", *in_sales, says=missing)
    steps.fails("policies update", "p", *in_sales, *policy, says=missing)
    steps.fails("policies delete", "p", *in_sales, says=missing)
    target = ("--attachment-type", "catalog")
    steps.fails("policies attach", "p", *in_sales, *target, says=missing)
    steps.fails("policies detach", "p", *in_sales, *target, says=missing)
    steps.ok("policies list", *in_sales, says="[]")
    steps.ok("policies list", "--catalog", "shop", "--applicable")
    steps.ok("generic-tables list", *in_sales)
    steps.fails("generic-tables get", "g", *in_sales, says=missing)
    steps.fails("generic-tables delete", "g", *in_sales, says=missing)


def setup(steps: Steps) -> None:
    world = steps.world
    exported = steps.ok("setup export", says="default_base_location")
    assert "readers" in exported
    file = world.folder / "setup.yaml"
    root = (world.folder / "second").as_uri()
    file.write_text(
        f"""
principals:
  loader: {{roles: [loaders]}}
principal_roles: [loaders]
catalogs:
  - name: second
    storage_type: file
    default_base_location: {root}
    roles:
      writers:
        assign_to: [loaders]
        privileges:
          catalog: [CATALOG_MANAGE_CONTENT]
"""
    )
    steps.ok("setup apply", str(file), by=world.operator)
    steps.ok("principals access", "loader", says="CATALOG_MANAGE_CONTENT")


def profiles(steps: Steps) -> None:
    world = steps.world
    address = world.server.uri.removeprefix("http://").split(":")
    answers = "\n".join(["id", world.server.key, *address, "http", REALM, "", ""])
    steps.ok("profiles create", "dev", text=answers)
    steps.ok("profiles get", "dev", says="Polaris-Realm")
    steps.ok("profiles list", says="dev")
    steps.ok("profiles update", "dev", text="\n" * 8)
    signed_in = Polaris(world.server, world.folder, [])
    signed_in.options = ["--profile", "dev"]
    assert "shop" in signed_in.start("catalogs", "list").ok()
    steps.ok("profiles delete", "dev")


def removals(steps: Steps) -> None:
    in_shop = ("--catalog", "shop")
    steps.ok("privileges namespace revoke", "TABLE_READ_DATA", *in_shop, "--catalog-role", "readers", "--namespace", "sales")
    steps.ok("catalog-roles revoke", "readers", *in_shop, "--principal-role", "analysts")
    steps.ok("catalog-roles delete", "readers", *in_shop)
    steps.ok("principal-roles revoke", "analysts", "--principal", "etl")
    steps.ok("principal-roles delete", "analysts")
    steps.ok("principals delete", "etl")
    assert '"etl"' not in steps.ok("principals list")
    steps.fails("catalogs delete", "shop", says="still has namespaces")
    steps.ok("catalogs delete", "second", by=steps.world.operator)


def test_team_set_up_with_the_command_line_reads_and_cannot_write(
    world: World, unique: str, tmp_path: Path
) -> None:
    """The installed program does all of the administration."""
    admin, operator = world.admin, world.operator
    storage = ("--storage-type", "file", "--default-base-location", (tmp_path / "lake").as_uri())
    operator.start("catalogs", "create", unique, *storage).ok()
    key = json.loads(admin.start("principals", "create", unique).ok())
    admin.start("principal-roles", "create", unique).ok()
    admin.start("principal-roles", "grant", unique, "--principal", unique).ok()
    admin.start("catalog-roles", "create", "readers", "--catalog", unique).ok()
    admin.start("catalog-roles", "grant", "readers", "--catalog", unique, "--principal-role", unique).ok()
    admin.start("namespaces", "create", "sales", "--catalog", unique).ok()

    base = {"type": "rest", "uri": f"{world.server.uri}/api/catalog", "warehouse": unique}
    owner = load_catalog("owner", **base, token=world.server.key)
    rows = pyarrow.table({"id": pyarrow.array([1, 2, 3], pyarrow.int64())})
    owner.create_table("sales.orders", rows.schema).append(rows)

    credential = f"{key['clientId']}:{key['clientSecret']}"
    role = ("--catalog", unique, "--catalog-role", "readers")
    admin.start("privileges", "table", "grant", "TABLE_READ_DATA", *role, "--namespace", "sales", "--table", "orders").ok()
    team = load_catalog("team", **base, credential=credential, scope="PRINCIPAL_ROLE:ALL")
    orders = team.load_table("sales.orders")
    assert orders.scan().to_arrow().num_rows == 3
    with pytest.raises(ForbiddenError):
        orders.append(rows)
    with pytest.raises(ForbiddenError):
        team.create_table("sales.own", rows.schema)

    admin.start("privileges", "table", "revoke", "TABLE_READ_DATA", *role, "--namespace", "sales", "--table", "orders").ok()
    with pytest.raises((NoSuchTableError, ForbiddenError)):
        team.load_table("sales.orders")


def test_catalog_on_s3_seals_its_credentials_and_vends_others(world: World, unique: str, s3: S3Server) -> None:
    bucket = f"polaris-{uuid.uuid4().hex[:8]}"
    s3.make_bucket(bucket)
    storage = ["--storage-type", "s3", "--default-base-location", f"s3://{bucket}/lake", "--role-arn", ROLE]
    storage += ["--endpoint", s3.uri, "--path-style-access", "--region", REGION]
    secrets = {"kind": "aws-key", "access-key-id": ACCESS_KEY, "secret-access-key": SECRET_KEY}
    credentials = [part for name, value in secrets.items() for part in ("--property", f"tidewater.credentials.{name}={value}")]
    refused = world.admin.run("catalogs", "create", unique, *storage, *credentials)
    assert "only an operator" in refused.err, "an address that the server would send requests to"
    wrong = [part.replace(SECRET_KEY, "wrong") for part in credentials]
    assert world.operator.run("catalogs", "create", unique, *storage, *wrong).code != 0, "the storage is tested"
    world.operator.run("catalogs", "create", unique, *storage, *credentials).ok()
    shown = world.operator.run("catalogs", "get", unique).ok()
    assert ROLE in shown and SECRET_KEY not in shown and "tidewater.credentials" not in shown

    unchanged = world.operator.run("catalogs", "update", unique, "--region", "elsewhere-1")
    assert "needs its credentials again" in unchanged.err
    again = [part.replace("--property", "--set-property") for part in credentials]
    world.operator.run("catalogs", "update", unique, "--set-property", "a=b", *again).ok()
    assert SECRET_KEY not in world.operator.run("catalogs", "get", unique).ok()

    owner = load_catalog("owner", uri=f"{world.server.uri}/api/catalog", warehouse=unique, token=world.server.key)
    owner.create_namespace("sales")
    rows = pyarrow.table({"id": pyarrow.array([1, 2, 3], pyarrow.int64())})
    owner.create_table("sales.orders", rows.schema).append(rows)
    orders = owner.load_table("sales.orders")
    assert orders.scan().to_arrow().num_rows == 3
    assert orders.io.properties["s3.access-key-id"] != ACCESS_KEY


def test_client_id_of_another_key_gets_no_token(world: World, unique: str) -> None:
    first = json.loads(world.admin.run("principals", "create", f"{unique}_a").ok())
    second = json.loads(world.admin.run("principals", "create", f"{unique}_b").ok())
    assert signs_in(world.server, first)
    assert not signs_in(world.server, {**first, "clientId": second["clientId"]})
    mixed = {
        "grant_type": "client_credentials",
        "client_id": second["clientId"],
        "client_secret": first["clientSecret"],
    }
    response = requests.post(f"{world.server.uri}/v1/oauth/tokens", data=mixed, timeout=60)
    refused_oauth(response, 401, "invalid_client")


def test_realm_of_another_organisation_is_refused(world: World) -> None:
    options = [*world.admin.options, "--realm", "other", "--header", "Polaris-Realm"]
    elsewhere = Polaris(world.server, world.folder, [])
    elsewhere.options = options
    assert "There is no organisation 'other'" in elsewhere.run("catalogs", "list").err
