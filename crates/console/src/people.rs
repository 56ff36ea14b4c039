//! Lists and forms for access: principals, users, roles, their assignments and grants.

use serde_json::Value;

use crate::browse::{Location, levels_of};
use crate::frame::NavItem;
use crate::link::Link;
use crate::records::{Field, Form, Records, Row, entries, next, text, time};
use crate::texts::{self as t, people as p};

/// The separator of a namespace's levels in parameters.
const LEVELS: char = '\u{1f}';

/// The pages of access, with their labels.
const SECTIONS: [(&str, &str); 5] = [
    ("access", t::WHO_CAN),
    ("principals", p::PRINCIPALS),
    ("users", p::USERS),
    ("principal-roles", p::PRINCIPAL_ROLES),
    ("catalog-roles", p::CATALOG_ROLES),
];

/// Returns the tabs of the pages of access. `page` is the one that is shown.
#[must_use]
pub fn sections(page: &str) -> Vec<NavItem> {
    SECTIONS.into_iter().map(|(href, label)| NavItem { label, href, is_here: href == page }).collect()
}

/// Lists principals.
#[must_use]
pub fn principals(found: &Value) -> Records {
    let row = |(_, one): (usize, &Value)| Row {
        name: text(one, "name"),
        cells: vec![text(one, "type"), text(one, "role"), text(one, "id")],
        ..Row::default()
    };
    Records {
        empty: t::empty::NO_PRINCIPALS,
        heading: "",
        columns: vec![t::NAME, t::KIND, p::KEY_ROLE, t::ID],
        rows: entries(found, "principals").map(row).collect(),
        more: next(found, Link::to("principals")),
        ..Records::default()
    }
}

/// Lists users, with forms to disable, enable and delete each.
#[must_use]
pub fn users(found: &Value) -> Records {
    let row = |(at, one): (usize, &Value)| {
        let (name, id) = (text(one, "name"), text(one, "id"));
        let switch = match one["disabled-ms"].is_null() {
            true => Form::new("disable-user", p::DISABLE).hint(p::DISABLE_USER_HINT).danger(),
            false => Form::new("enable-user", p::ENABLE),
        };
        let delete = Form::new("delete-user", p::DELETE).hint(p::DELETE_USER_HINT).danger();
        Row {
            cells: vec![
                text(one, "email"),
                text(one, "role"),
                text(one, "state"),
                time(one, "last-seen-ms"),
                text(one, "issuer"),
                text(one, "subject"),
            ],
            forms: [switch, delete].map(|form| form.hidden("id", &id).of_row(at, &name)).to_vec(),
            name,
            ..Row::default()
        }
    };
    Records {
        empty: t::empty::NO_USERS,
        heading: "",
        columns: vec![t::NAME, p::EMAIL, p::KEY_ROLE, t::STATE, p::LAST_SEEN, p::ISSUER, p::SUBJECT],
        rows: entries(found, "users").map(row).collect(),
        more: next(found, Link::to("users")),
        ..Records::default()
    }
}

/// Lists principal roles, or the catalog roles of a warehouse, with a form to delete each.
#[must_use]
pub fn roles(found: &Value, warehouse: Option<&str>) -> Records {
    let (page, all, change) = match warehouse {
        Some(_) => ("catalog-role", "catalog-roles", "delete-catalog-role"),
        None => ("principal-role", "principal-roles", "delete-principal-role"),
    };
    let row = |(at, one): (usize, &Value)| {
        let name = text(one, "name");
        let delete = Form::new(change, p::DELETE).hint(p::DELETE_ROLE_HINT).danger();
        let delete = delete.hidden("w", warehouse.unwrap_or_default()).hidden("role", &name).of_row(at, &name);
        Row {
            href: Some(Link::to(page).with_some("w", warehouse).with("name", &name).text()),
            cells: vec![time(one, "created-ms"), text(one, "id")],
            forms: vec![delete],
            name,
            ..Row::default()
        }
    };
    Records {
        empty: t::empty::NO_ROLES,
        heading: "",
        columns: vec![t::NAME, t::CREATED, t::ID],
        rows: entries(found, "roles").map(row).collect(),
        more: next(found, Link::to(all).with_some("w", warehouse)),
        ..Records::default()
    }
}

/// Returns the form that creates a principal role, or a catalog role of a warehouse.
#[must_use]
pub fn create_role(warehouse: Option<&str>) -> Form {
    let form = match warehouse {
        Some(warehouse) => Form::new("create-catalog-role", p::CREATE_CATALOG_ROLE).hidden("w", warehouse),
        None => Form::new("create-principal-role", p::CREATE_PRINCIPAL_ROLE),
    };
    form.field(Field::required("role", t::NAME))
}

/// Lists the principals that have a principal role, with a form to revoke it from each.
#[must_use]
pub fn members(found: &Value, role: &str) -> Records {
    let row = |(at, one): (usize, &Value)| {
        let name = text(one, "name");
        let revoke = Form::new("revoke-principal-role", p::REVOKE_ROLE).hidden("role", role);
        Row {
            cells: vec![text(one, "type"), text(one, "id")],
            forms: vec![revoke.hidden("to", &text(one, "id")).danger().of_row(at, &name)],
            name,
            ..Row::default()
        }
    };
    Records {
        empty: t::empty::NO_MEMBERS,
        heading: p::ASSIGNED_TO,
        columns: vec![t::NAME, t::KIND, t::ID],
        rows: entries(found, "principals").map(row).collect(),
        more: next(found, Link::to("principal-role").with("name", role)),
        ..Records::default()
    }
}

/// Returns the form that assigns a principal role to a principal.
#[must_use]
pub fn assign_principal(role: &str) -> Form {
    let field = Field::required("to", p::PRINCIPAL_HINT).example("etl");
    Form::new("assign-principal-role", p::ASSIGN_TO_PRINCIPAL).hidden("role", role).field(field)
}

/// Lists the principal roles that have a catalog role, with a form to revoke it from each.
#[must_use]
pub fn role_members(found: &Value, warehouse: &str, role: &str) -> Records {
    let row = |(at, one): (usize, &Value)| {
        let name = text(one, "name");
        let revoke = Form::new("revoke-catalog-role", p::REVOKE_ROLE).hidden("w", warehouse).hidden("role", role);
        Row {
            href: Some(Link::to("principal-role").with("name", &name).text()),
            cells: vec![text(one, "id")],
            forms: vec![revoke.hidden("to", &name).danger().of_row(at, &name)],
            name,
            ..Row::default()
        }
    };
    Records {
        empty: t::empty::NO_ROLE_MEMBERS,
        heading: p::ASSIGNED_TO,
        columns: vec![p::PRINCIPAL_ROLE, t::ID],
        rows: entries(found, "roles").map(row).collect(),
        more: next(found, Link::to("catalog-role").with("w", warehouse).with("name", role)),
        ..Records::default()
    }
}

/// Returns the form that assigns a catalog role to a principal role.
#[must_use]
pub fn assign_role(warehouse: &str, role: &str) -> Form {
    let form = Form::new("assign-catalog-role", p::ASSIGN_TO_ROLE).hidden("w", warehouse).hidden("role", role);
    form.field(Field::required("to", p::PRINCIPAL_ROLE).example("analysts"))
}

/// Lists the grants of a catalog role, with a form to revoke each. The grant on a dropped object has no name by which the API could
/// revoke it.
#[must_use]
pub fn grants(found: &Value, warehouse: &str, role: &str) -> Records {
    let row = |(at, one): (usize, &Value)| {
        let (privilege, kind, name) = (text(one, "privilege"), text(one, "type"), text(one, "name"));
        let levels: Vec<&str> = one["namespace"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let is_dropped = matches!(kind.as_str(), "table" | "view") && name.is_empty();
        let object = match kind.as_str() {
            "catalog" => p::WHOLE_WAREHOUSE.to_owned(),
            _ if is_dropped => p::dropped(&kind, &text(one, "id")),
            _ => {
                let place = Location::new(warehouse, &levels.join("\u{1f}"));
                format!(
                    "{kind} {}",
                    one["name"].as_str().map_or_else(|| place.dotted(), |name| place.dotted_with(name))
                )
            }
        };
        let revoke = Form::new("revoke-grant", p::REVOKE_GRANT).hidden("w", warehouse).hidden("role", role);
        let revoke = revoke.hidden("privilege", &privilege).hidden("type", &kind).hidden("object", &name);
        let revoke = revoke.hidden("key", &levels.join("\u{1f}")).danger();
        let about = format!("{privilege} {object}");
        let forms = if is_dropped { Vec::new() } else { vec![revoke.of_row(at, &about)] };
        Row { name: privilege, cells: vec![object], forms, ..Row::default() }
    };
    Records {
        empty: t::empty::NO_GRANTS,
        heading: p::GRANTS,
        columns: vec![p::PRIVILEGE, t::OBJECT],
        rows: entries(found, "grants").map(row).collect(),
        ..Records::default()
    }
}

/// Returns the form that grants a privilege to a catalog role.
#[must_use]
pub fn grant(warehouse: &str, role: &str, privileges: Vec<String>) -> Form {
    let kinds = ["namespace", "table", "view", "catalog"].map(str::to_owned).to_vec();
    Form::new("grant", p::GRANT)
        .hidden("w", warehouse)
        .hidden("role", role)
        .field(Field::choice("privilege", p::PRIVILEGE, String::new(), privileges))
        .field(Field::choice("type", p::OBJECT_TYPE, String::new(), kinds))
        .field(Field::line("levels", p::NAMESPACE_LEVELS, String::new()).example("sales.eu"))
        .field(Field::line("object", p::OBJECT_NAME, String::new()).example("orders"))
}

/// Returns the levels of a namespace: of `key`, whose levels have a separator, or of `dotted`, which a person wrote with `\.` for a
/// dot in a level.
#[must_use]
pub fn levels(key: &str, dotted: &str) -> Vec<String> {
    match (key.is_empty(), dotted.is_empty()) {
        (false, _) => key.split(LEVELS).map(str::to_owned).collect(),
        (true, false) => levels_of(dotted),
        (true, true) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn grant_is_shown_with_its_object_and_revoked_by_its_levels() {
        let found = json!({ "grants": [
            { "privilege": "TABLE_READ_DATA", "type": "table", "namespace": ["a.b", "c"], "name": "t" },
            { "privilege": "TABLE_LIST", "type": "catalog" },
            { "privilege": "VIEW_DROP", "type": "view", "id": "7" },
        ] });
        let grants = grants(&found, "lake", "readers");
        let objects: Vec<&str> = grants.rows.iter().map(|row| row.cells[0].as_str()).collect();
        assert_eq!(objects, [r"table a\.b.c.t", "the warehouse", "dropped view 7"]);
        assert!(grants.rows[0].forms[0].hidden.contains(&("key", "a.b\u{1f}c".to_owned())));
        assert!(grants.rows[2].forms.is_empty(), "the API cannot revoke it by a name");
    }

    #[test]
    fn disabled_user_can_be_enabled_and_an_active_one_disabled() {
        let found =
            json!({ "users": [{ "id": "1", "name": "a", "disabled-ms": null }, { "id": "2", "disabled-ms": 5 }] });
        let changes: Vec<&str> = users(&found).rows.iter().map(|row| row.forms[0].change).collect();
        assert_eq!(changes, ["disable-user", "enable-user"]);
    }

    #[test]
    fn namespace_of_a_form_has_levels() {
        assert_eq!(levels("a.b\u{1f}c", "x"), ["a.b", "c"]);
        assert_eq!(levels("", r"a\.b.c"), ["a.b", "c"]);
        assert!(levels("", "").is_empty());
    }

    #[test]
    fn next_page_keeps_the_warehouse() {
        let more = roles(&json!({ "roles": [], "next-page-token": "x=" }), Some("a b")).more;
        assert_eq!(more.as_deref(), Some("catalog-roles?w=a%20b&page=x%3D"));
    }
}
