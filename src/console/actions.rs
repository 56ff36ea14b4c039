//! Changes: each is one request to the API. A refused one shows the API's message.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tidewater_console::browse::Location;
use tidewater_console::keys::NewKey;
use tidewater_console::link::{Link, encoded, is_own};
use tidewater_console::texts as t;

use super::door::Refusal;
use super::manage::keys;
use super::page::{Asked, Page, done, done_then, organisation_path};
use super::query::{Query, namespace_path, object_path, warehouse_path};
use super::rollback::{BRANCH, commit_of, update_of};
use super::table::load;
use super::{access, events, key, operate, upkeep, warehouses};

/// How many of the newest dropped tables or views are read to find the one that was dropped just now.
const NEWEST_DROPPED: &str = "20";

/// The seconds of a day.
const DAY_S: u64 = 86_400;

/// Returns the page to which a form leads back.
pub(super) fn back(form: &Query) -> String {
    let back = form.text("back");
    if is_own(back) && !back.is_empty() { back.to_owned() } else { "home".to_owned() }
}

/// Makes the change of a form.
pub(super) async fn act(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let (form, place) = (asked.query, asked.query.location());
    let name = form.text("t");
    match form.text("do") {
        "create-namespace" => create_namespace(asked, &place).await,
        "drop-namespace" => {
            asked.door.change(Method::DELETE, &namespace_path(&place, ""), None).await?;
            Ok(done(&parent_of(&place).link().text(), "namespace-dropped"))
        }
        "drop-table" => drop_object(asked, &place, ("table", name)).await,
        "drop-view" => drop_object(asked, &place, ("view", name)).await,
        "restore" => restore(asked, &place).await,
        "create-reference" => create_reference(asked, &place).await,
        "remove-reference" => remove_reference(asked, &place).await,
        "roll-back" => roll_back(asked, &place).await,
        "create-key" => create_key(asked).await,
        "revoke-key" => revoke_key(asked).await,
        "start-maintenance" => upkeep::start(asked).await,
        "set-policy" => upkeep::set_policy(asked).await,
        "clear-policy" => upkeep::clear_policy(asked).await,
        _ => administer(asked).await,
    }
}

/// Makes a change to access, keys, warehouses, organisations or subscriptions.
async fn administer(asked: &Asked<'_>) -> Result<Page, Refusal> {
    if let Some(made) = access::act(asked).await {
        return made;
    }
    if let Some(made) = key::act(asked).await {
        return made;
    }
    if let Some(made) = warehouses::act(asked).await {
        return made;
    }
    if let Some(made) = operate::act(asked).await {
        return made;
    }
    match events::act(asked).await {
        Some(made) => made,
        None => Err(Refusal::new(StatusCode::BAD_REQUEST, t::REFUSED_FORM)),
    }
}

fn parent_of(place: &Location) -> Location {
    let mut parent = place.clone();
    parent.levels.pop();
    parent
}

async fn create_namespace(asked: &Asked<'_>, place: &Location) -> Result<Page, Refusal> {
    let new = place.below(asked.query.text("name"));
    let body = json!({ "namespace": new.levels });
    asked.door.change(Method::POST, &warehouse_path(&place.warehouse, "/namespaces"), Some(&body)).await?;
    Ok(done(&new.link().text(), "namespace"))
}

/// Drops a table or view, whose files stay. Goes on to the page of the namespace, which offers to restore it.
async fn drop_object(asked: &Asked<'_>, place: &Location, (kind, name): (&str, &str)) -> Result<Page, Refusal> {
    asked.door.change(Method::DELETE, &object_path(place, &format!("{kind}s"), name), None).await?;
    let page = place.link().with("done", "dropped").with("then", &place.object(kind, name).text());
    Ok(Page::To(page.with_some("dropped", dropped_id(asked, place, (kind, name)).await.as_deref()).text()))
}

/// Returns the id of the newest dropped table or view of a name, if the caller may restore it.
async fn dropped_id(asked: &Asked<'_>, place: &Location, (kind, name): (&str, &str)) -> Option<String> {
    let path = Link::to(&format!("/management/v1/warehouses/{}/dropped", encoded(&place.warehouse)))
        .with("namespace", &place.key())
        .with("type", kind)
        .with("page-size", NEWEST_DROPPED);
    let found = asked.door.get(&path.text()).await.ok()?;
    let is_it = |one: &&Value| one["identifier"]["name"] == name && one["restorable"] == true;
    found["dropped"].as_array()?.iter().find(is_it)?["id"].as_str().map(str::to_owned)
}

async fn restore(asked: &Asked<'_>, place: &Location) -> Result<Page, Refusal> {
    let id = encoded(asked.query.text("id"));
    let path = format!("/management/v1/warehouses/{}/dropped/{id}/restore", encoded(&place.warehouse));
    asked.door.change(Method::POST, &path, None).await?;
    Ok(done_then(asked.own, "restored", asked.query.text("then")))
}

/// Commits one update to a table. The commit fails if the branch or tag was changed meanwhile: `expected` is its snapshot on the page.
async fn commit(asked: &Asked<'_>, place: &Location, expected: Option<i64>, update: &Value) -> Result<(), Refusal> {
    let body = commit_of(asked.query.text("name"), expected, update);
    let path = object_path(place, "tables", asked.query.text("t"));
    asked.door.change(Method::POST, &path, Some(&body)).await.map(|_| ())
}

async fn create_reference(asked: &Asked<'_>, place: &Location) -> Result<Page, Refusal> {
    let form = asked.query;
    let kind = if form.text("kind") == "tag" { "tag" } else { "branch" };
    let update = json!({ "action": "set-snapshot-ref", "ref-name": form.text("name"), "type": kind,
                         "snapshot-id": form.number("snapshot") });
    let Err(refusal) = commit(asked, place, None, &update).await else { return Ok(done(asked.own, "reference")) };
    if refusal.status == StatusCode::CONFLICT && has_reference(asked, place).await? {
        return Err(Refusal { message: t::reference_exists(form.text("name")), ..refusal });
    }
    Err(refusal)
}

/// Returns whether the table has a branch or tag of the form's name.
async fn has_reference(asked: &Asked<'_>, place: &Location) -> Result<bool, Refusal> {
    let name = asked.query.text("name").to_owned();
    let path = object_path(place, "tables", asked.query.text("t"));
    load(asked.door, &path, move |loaded| loaded["metadata"]["refs"].get(&name).is_some()).await
}

async fn remove_reference(asked: &Asked<'_>, place: &Location) -> Result<Page, Refusal> {
    let update = json!({ "action": "remove-snapshot-ref", "ref-name": asked.query.text("name") });
    commit(asked, place, asked.query.number("snapshot"), &update).await?;
    Ok(done(asked.own, "reference-removed"))
}

/// Points a branch to an older snapshot, or to the newer one from which it was rolled back. Its retention stays. The page then offers the
/// way back.
async fn roll_back(asked: &Asked<'_>, place: &Location) -> Result<Page, Refusal> {
    let form = asked.query;
    if form.text("name") != BRANCH {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, t::REFUSED_FORM));
    }
    let path = object_path(place, "tables", form.text("t"));
    let branch = load(asked.door, &path, |mut loaded| loaded["metadata"]["refs"][BRANCH].take()).await?;
    let not_offered = || Refusal::new(StatusCode::CONFLICT, t::NOT_AN_ANCESTOR);
    let target = form.number("snapshot").ok_or_else(not_offered)?;
    let update = update_of(branch, target).ok_or_else(not_offered)?;
    commit(asked, place, form.number("head"), &update).await?;
    let word = if form.get("forward").is_some() { "rolled-forward" } else { "rolled-back" };
    let undo = place.object("roll-back", form.text("t")).with("to", form.text("head")).text();
    Ok(done_then(asked.own, word, &undo))
}

/// Creates a key, and shows it. The page is not stored. A reload shows the list, without the key.
async fn create_key(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let form = asked.query;
    let mut body = json!({ "name": form.text("name"), "role": form.text("role") });
    if let Some(days) = form.get("days") {
        let days: u64 = days.parse().map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, t::NOT_A_NUMBER))?;
        body["expires-s"] = days.saturating_mul(DAY_S).into();
    }
    let made = asked.door.change(Method::POST, &organisation_path(asked, "/keys"), Some(&body)).await?;
    keys(asked, Some(NewKey::parse(&made))).await
}

async fn revoke_key(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let path = organisation_path(asked, &format!("/keys/{}", encoded(asked.query.text("id"))));
    asked.door.change(Method::DELETE, &path, None).await?;
    Ok(done(asked.own, "revoked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_leads_back_only_to_pages_of_the_console() {
        let to = |text: &str| back(&Query::parse(text.as_bytes()));
        assert_eq!(to("back=browse%3Fw%3Da"), "browse?w=a");
        for other in ["back=", "", "back=https%3A%2F%2Fevil.example", "back=%2F%2Fevil.example", "back=..%2Fx"] {
            assert_eq!(to(other), "home", "{other}");
        }
    }
}
