"""Two teams on one warehouse, with keys, roles and grants made by the command line as docs/access.md describes."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from pyiceberg.catalog.rest import RestCatalog

from support.admin import Admin, Key
from support.lake import as_aws, make_lake
from support.rest import Rest, segment
from support.rows import SIGHTINGS, Row, sightings
from support.s3 import S3Server
from support.server import Server

# Each team has a namespace of its name with these tables.
TEAMS = {"sales": ("orders", "customers"), "finance": ("ledger", "budget")}

# Each team's keys and the privileges on its namespace: an engineer's and an analyst's.
MEMBERS = {"etl": ("ALL",), "analyst": ("SELECT", "SELECT VIEW")}

PRINCIPALS = [f"{team}-{member}" for team in TEAMS for member in MEMBERS]

# The table that its team shares with the other team, for reading.
SHARED = "sales.orders"

ROWS: tuple[Row, ...] = ((1, "Oslo", 1.5), (2, "Bergen", 2.5))

OTHER_TEAM = {"sales": "finance", "finance": "sales"}


@dataclass
class Teams:
    """One organisation with a warehouse, four keys without a built-in role, and an administrator's key."""

    server: Server
    organisation: str
    warehouse: str
    s3: S3Server | None = None
    bucket: str = ""
    keys: dict[str, Key] = field(default_factory=dict)

    # ---- administration, as an administrator types it ----

    def tidewater(self, *arguments: str) -> str:
        """Runs a command for the organisation. Returns its output."""
        return self.server.command(*arguments, "--org", self.organisation).stdout

    def add_principal(self, name: str) -> None:
        """Creates a key without a built-in role, and a principal role of the same name for it."""
        made = json.loads(self.tidewater("key", "create", name, "--role", "none", "--json"))
        self.keys[name] = Key(text=made["api_key"], id=made["id"])
        self.tidewater("role", "create", name)
        self.tidewater("role", "assign", name, name)

    def add_role(self, name: str, *principals: str) -> None:
        """Creates a catalog role and assigns it to the principal roles of these principals."""
        self.tidewater("role", "create", name, "--catalog")
        for principal in principals:
            self.tidewater("role", "assign", name, principal, "--catalog")

    def grant(self, role: str, privilege: str, kind: str, name: str) -> None:
        """Grants a privilege on a namespace, table or view, such as `("table", "sales.orders")`."""
        self.tidewater("grant", "add", role, privilege, f"--{kind}", name)

    def revoke(self, role: str, privilege: str, kind: str, name: str) -> None:
        self.tidewater("grant", "revoke", role, privilege, f"--{kind}", name)

    # ---- the catalog, as a principal or as the administrator ----

    def rest(self, principal: str = "admin") -> Rest:
        return Rest(self.server.uri, self.keys[principal].text, self.warehouse)

    def catalog(self, principal: str = "admin", **properties: str) -> RestCatalog:
        """Returns PyIceberg, signed in as a principal."""
        own = {"uri": self.server.uri, "token": self.keys[principal].text}
        return RestCatalog(self.warehouse, warehouse=self.warehouse, **{**own, **properties})

    def make_table(self, principal: str, name: str, *rows: Row) -> None:
        """Creates a table with rows, as a principal."""
        self.catalog(principal).create_table(name, SIGHTINGS).append(sightings(*(rows or ROWS)))

    def given(self, principal: str, name: str) -> dict[str, str]:
        """Returns the vended settings for a table; none if the principal may not access its files."""
        namespace, table = name.split(".")
        credentials = self.rest(principal).load(namespace, segment(table)).get("storage-credentials") or []
        return credentials[0]["config"] if credentials else {}

    def credentials(self, principal: str, name: str) -> dict[str, str]:
        """Returns the vended credentials for a table as arguments of an AWS client."""
        return as_aws(self.given(principal, name))


def fresh_name(start: str) -> str:
    """Returns a name that no other test uses."""
    return f"{start}_{uuid.uuid4().hex[:8]}"


def make_teams(server: Server, organisation: str, warehouse: str, **storage: object) -> Teams:
    """Creates the teams in an organisation whose default warehouse is empty: `sales` and `finance`, each with a namespace, two
    tables, an engineer's key with all privileges on the namespace, and an analyst's key that reads it. `sales.orders` is shared with
    the other team."""
    teams = Teams(server, organisation, warehouse, **storage)  # type: ignore[arg-type]
    teams.keys["admin"] = Admin(server).key(organisation, "admin")
    for team, tables in TEAMS.items():
        teams.rest().create_namespace(team)
        for member, privileges in MEMBERS.items():
            principal = f"{team}-{member}"
            teams.add_principal(principal)
            teams.add_role(f"{principal}-grants", principal)
            for privilege in privileges:
                teams.grant(f"{principal}-grants", privilege, "namespace", team)
        for table in tables:
            teams.make_table(f"{team}-etl", f"{team}.{table}")
    teams.add_role("sales-shared", "finance-etl", "finance-analyst")
    teams.grant("sales-shared", "SELECT", "table", SHARED)
    return teams


def teams_on_s3(server: Server, s3: S3Server, bucket: str, folder: Path) -> Teams:
    """Creates the teams on a warehouse on S3."""
    lake = make_lake(server, s3, bucket, folder)
    return make_teams(server, lake.organisation, "lake", s3=s3, bucket=bucket)


def teams_on_disk(server: Server) -> Teams:
    """Creates the teams on a warehouse on local disk."""
    return make_teams(server, Admin(server).organisation("enterprise", warehouse="lake"), "lake")
