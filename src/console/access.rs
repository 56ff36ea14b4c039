//! Who has access: principals, users, roles, their assignments and grants.

use axum::http::Method;
use serde_json::{Value, json};
use tidewater_console::link::{Link, encoded};
use tidewater_console::records::{Field, RecordsPage, Search};
use tidewater_console::texts::people as p;
use tidewater_console::{Call, Place, people, texts as t};
use tidewater_core::access::Privilege;

use super::browse::warehouses;
use super::door::Refusal;
use super::page::{Asked, Page, done, organisation_path};
use super::query::quoted;
use super::records::{change, paged, shown};

/// Shows principals.
pub(super) async fn principals(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let found = asked.door.get(&paged(asked, &organisation_path(asked, "/principals"))).await?;
    let mut page = RecordsPage { hint: p::PRINCIPALS_HINT, ..section(asked, "principals", p::PRINCIPALS) };
    page.lists.push(people::principals(&found));
    Ok(shown(asked, page, Vec::new()))
}

/// Shows users.
pub(super) async fn users(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let found = asked.door.get(&paged(asked, &organisation_path(asked, "/users"))).await?;
    let mut page = RecordsPage { hint: p::USERS_HINT, ..section(asked, "users", p::USERS) };
    page.lists.push(people::users(&found));
    let disable = change(asked, "PATCH", &organisation_path(asked, "/users/USER"), "tidewater user disable USER");
    let disable = Call { body: Some(json!({ "disabled": true }).to_string()), ..disable };
    Ok(shown(asked, page, vec!["tidewater user list".into(), disable.into()]))
}

/// Shows principal roles.
pub(super) async fn principal_roles(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let path = organisation_path(asked, "/principal-roles");
    let found = asked.door.get(&paged(asked, &path)).await?;
    let mut page =
        RecordsPage { hint: p::PRINCIPAL_ROLES_HINT, ..section(asked, "principal-roles", p::PRINCIPAL_ROLES) };
    page.lists.push(people::roles(&found, None));
    page.forms.push(people::create_role(None));
    let create = change(asked, "POST", &path, "tidewater role create ROLE");
    let create = Call { body: Some(json!({ "name": "ROLE" }).to_string()), ..create };
    Ok(shown(asked, page, vec!["tidewater role list".into(), create.into()]))
}

/// Shows a principal role, and who has it.
pub(super) async fn principal_role(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let role = asked.query.text("name");
    let path = organisation_path(asked, &format!("/principal-roles/{}/principals", encoded(role)));
    let found = asked.door.get(&paged(asked, &path)).await?;
    let mut page = RecordsPage { kind: p::PRINCIPAL_ROLE, ..section(asked, "principal-roles", role) };
    page.frame = page.frame.crumb(p::PRINCIPAL_ROLES, Link::to("principal-roles"));
    page.lists.push(people::members(&found, role));
    page.forms.push(people::assign_principal(role));
    let assign = change(asked, "PUT", &format!("{path}/KEY"), &format!("tidewater role assign {} KEY", quoted(role)));
    Ok(shown(asked, page, vec![format!("tidewater role show {}", quoted(role)).into(), assign.into()]))
}

/// Shows the catalog roles of a warehouse.
pub(super) async fn catalog_roles(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let listed: Vec<_> = warehouses(asked.door).await?;
    let wanted = asked.query.text("w");
    let chosen = listed.iter().find(|one| one.name == wanted);
    let chosen = chosen.or_else(|| listed.iter().find(|one| one.is_default)).or_else(|| listed.first());
    // A warehouse that is not listed is refused by the API.
    let warehouse =
        if wanted.is_empty() { chosen.map(|one| one.name.clone()).unwrap_or_default() } else { wanted.to_owned() };
    let mut page = RecordsPage { hint: p::CATALOG_ROLES_HINT, ..section(asked, "catalog-roles", p::CATALOG_ROLES) };
    if warehouse.is_empty() {
        return Ok(shown(asked, page, Vec::new()));
    }
    let path = warehouse_path(asked, &warehouse, "/catalog-roles");
    let found = asked.door.get(&paged(asked, &path)).await?;
    let names = listed.into_iter().map(|one| one.name).collect();
    let fields = vec![Field::choice("w", t::WAREHOUSE, warehouse.clone(), names)];
    page.search = Some(Search { page: "catalog-roles", fields });
    page.lists.push(people::roles(&found, Some(&warehouse)));
    page.forms.push(people::create_role(Some(&warehouse)));
    let of = format!("--warehouse {}", quoted(&warehouse));
    let create = change(asked, "POST", &path, &format!("tidewater role create ROLE --catalog {of}"));
    let create = Call { body: Some(json!({ "name": "ROLE" }).to_string()), ..create };
    Ok(shown(asked, page, vec![format!("tidewater role list --catalog {of}").into(), create.into()]))
}

/// Shows a catalog role: who has it, and its grants.
pub(super) async fn catalog_role(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let (warehouse, role) = (asked.query.text("w"), asked.query.text("name"));
    let path = warehouse_path(asked, warehouse, &format!("/catalog-roles/{}", encoded(role)));
    let members = asked.door.get(&paged(asked, &format!("{path}/principal-roles"))).await?;
    let grants = asked.door.get(&format!("{path}/grants")).await?;
    let mut page = RecordsPage { kind: p::CATALOG_ROLE, ..section(asked, "catalog-roles", role) };
    let all = Link::to("catalog-roles").with("w", warehouse);
    page.frame = page.frame.crumb(p::CATALOG_ROLES, all.clone()).crumb(warehouse, all);
    page.lists.push(people::role_members(&members, warehouse, role));
    page.lists.push(people::grants(&grants, warehouse, role));
    page.forms.push(people::assign_role(warehouse, role));
    let privileges = Privilege::ALL.iter().map(|one| one.as_str().to_owned()).collect();
    page.forms.push(people::grant(warehouse, role, privileges));
    let (of, quoted_role) = (format!("--warehouse {}", quoted(warehouse)), quoted(role));
    let assign = change(
        asked,
        "PUT",
        &format!("{path}/principal-roles/ROLE"),
        &format!("tidewater role assign {quoted_role} ROLE --catalog {of}"),
    );
    let grant = change(
        asked,
        "PUT",
        &format!("{path}/grants"),
        &format!("tidewater grant add {quoted_role} TABLE_READ_DATA --namespace sales {of}"),
    );
    let body = json!({ "privilege": "TABLE_READ_DATA", "type": "namespace", "namespace": ["sales"] });
    let grant = Call { body: Some(body.to_string()), ..grant };
    let shows = format!("tidewater role show {quoted_role} --catalog {of}");
    Ok(shown(asked, page, vec![shows.into(), assign.into(), grant.into()]))
}

/// Makes a change to users, roles, assignments or grants. Returns `None` for another change.
pub(super) async fn act(asked: &Asked<'_>) -> Option<Result<Page, Refusal>> {
    let form = asked.query;
    let (warehouse, role, to) = (form.text("w"), encoded(form.text("role")), encoded(form.text("to")));
    let in_organisation = |below: &str| organisation_path(asked, below);
    let in_warehouse = |below: &str| warehouse_path(asked, warehouse, below);
    let user = in_organisation(&format!("/users/{}", encoded(form.text("id"))));
    let named = json!({ "name": form.text("role") });
    let (method, path, body, word) = match form.text("do") {
        "disable-user" => (Method::PATCH, user, json!({ "disabled": true }), "disabled"),
        "enable-user" => (Method::PATCH, user, json!({ "disabled": false }), "enabled"),
        "delete-user" => (Method::DELETE, user, Value::Null, "deleted"),
        "create-principal-role" => (Method::POST, in_organisation("/principal-roles"), named, "role-created"),
        "create-catalog-role" => (Method::POST, in_warehouse("/catalog-roles"), named, "role-created"),
        "delete-principal-role" => {
            (Method::DELETE, in_organisation(&format!("/principal-roles/{role}")), Value::Null, "deleted")
        }
        "delete-catalog-role" => {
            (Method::DELETE, in_warehouse(&format!("/catalog-roles/{role}")), Value::Null, "deleted")
        }
        assigned @ ("assign-principal-role" | "revoke-principal-role") => {
            let path = in_organisation(&format!("/principal-roles/{role}/principals/{to}"));
            let (method, word) = assignment(assigned == "assign-principal-role");
            (method, path, Value::Null, word)
        }
        assigned @ ("assign-catalog-role" | "revoke-catalog-role") => {
            let path = in_warehouse(&format!("/catalog-roles/{role}/principal-roles/{to}"));
            let (method, word) = assignment(assigned == "assign-catalog-role");
            (method, path, Value::Null, word)
        }
        "grant" => (Method::PUT, in_warehouse(&format!("/catalog-roles/{role}/grants")), grant_of(asked), "granted"),
        "revoke-grant" => {
            (Method::POST, in_warehouse(&format!("/catalog-roles/{role}/grants")), grant_of(asked), "grant-revoked")
        }
        _ => return None,
    };
    let body = Some(body).filter(|body| !body.is_null());
    let made = asked.door.change(method, &path, body.as_ref()).await;
    Some(made.map(|_| done(asked.own, word)))
}

const fn assignment(is_assigned: bool) -> (Method, &'static str) {
    if is_assigned { (Method::PUT, "assigned") } else { (Method::DELETE, "role-revoked") }
}

/// Returns the body of a grant: what a person entered, or what the list of grants has.
fn grant_of(asked: &Asked<'_>) -> Value {
    let form = asked.query;
    let mut grant = json!({ "privilege": form.text("privilege"), "type": form.text("type") });
    let levels = people::levels(form.text("key"), form.text("levels"));
    if !levels.is_empty() {
        grant["namespace"] = levels.into();
    }
    if let Some(name) = form.get("object") {
        grant["name"] = name.into();
    }
    grant
}

/// Returns the path of a warehouse in the management API.
fn warehouse_path(asked: &Asked<'_>, warehouse: &str, below: &str) -> String {
    organisation_path(asked, &format!("/warehouses/{}{below}", encoded(warehouse)))
}

/// Returns an empty page of a section.
fn section(asked: &Asked<'_>, name: &str, heading: &str) -> RecordsPage {
    let tabs = (p::ACCESS_SECTIONS, people::sections(name));
    RecordsPage { tabs, ..RecordsPage::new(asked.frame(heading, Place::Access), heading) }
}
