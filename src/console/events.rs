//! Events, and their subscriptions.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tidewater_console::keys::NewKey;
use tidewater_console::link::{Link, encoded};
use tidewater_console::notice::{Notice, Refused};
use tidewater_console::records::{RecordsPage, text};
use tidewater_console::texts::people as p;
use tidewater_console::{Call, Place, events as view, when};

use super::door::Refusal;
use super::key::overlap;
use super::page::{Asked, Page, done, organisation_path};
use super::query::quoted;
use super::records::{change, paged, shown};

/// Shows the events that match filters.
pub(super) async fn list(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let query = asked.query;
    let filters = |link: Link| view::FILTERS.into_iter().fold(link, |link, name| link.with_some(name, query.get(name)));
    let times = ["since", "until"];
    let mut path = Link::to(&paged(asked, &organisation_path(asked, "/events")));
    for name in times {
        if let Some(text) = query.get(name) {
            let at_ms = when::parse(text).ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, p::NOT_TIME))?;
            path = path.with(name, &at_ms.to_string());
        }
    }
    let found = asked.door.get(&filters(path).text()).await?;
    let own = times.into_iter().fold(filters(Link::to("events")), |link, name| link.with_some(name, query.get(name)));
    let mut page = RecordsPage { hint: p::EVENTS_HINT, ..section(asked, "events", p::EVENTS) };
    page.search = Some(view::search(|name| query.text(name).to_owned()));
    page.lists.push(view::list(&found, own));
    let of = |name: &str| query.get(name).map(|value| format!(" --{name} {}", quoted(value))).unwrap_or_default();
    let options: String = ["object", "actor", "operation", "warehouse"].into_iter().map(of).collect();
    Ok(shown(asked, page, vec![format!("tidewater events{options}").into()]))
}

/// Shows subscriptions.
pub(super) async fn subscriptions(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let path = organisation_path(asked, "/subscriptions");
    let found = asked.door.get(&paged(asked, &path)).await?;
    let mut page = RecordsPage { hint: p::SUBSCRIPTIONS_HINT, ..section(asked, "subscriptions", p::SUBSCRIPTIONS) };
    page.lists.push(view::subscriptions(&found));
    page.forms.push(view::create());
    let create = change(asked, "POST", &path, "tidewater subscription create orders --url https://example.com/hook");
    let create =
        Call { body: Some(json!({ "name": "orders", "url": "https://example.com/hook" }).to_string()), ..create };
    Ok(shown(asked, page, vec!["tidewater subscription list".into(), create.into()]))
}

/// Shows a subscription.
pub(super) async fn subscription(asked: &Asked<'_>) -> Result<Page, Refusal> {
    page(asked, asked.query.text("id"), None, None).await
}

/// Shows a subscription, with its new secret or the result of a test.
async fn page(
    asked: &Asked<'_>,
    id: &str,
    secret: Option<NewKey>,
    tested: Option<Result<(), String>>,
) -> Result<Page, Refusal> {
    let path = path_of(asked, id, "");
    let one = asked.door.get(&path).await?;
    let letters = asked.door.get(&paged(asked, &format!("{path}/dead-letters"))).await?;
    let (id, name) = (text(&one, "id"), text(&one, "name"));
    let has_letters = letters["dead-letters"].as_array().is_some_and(|letters| !letters.is_empty());
    let mut page = RecordsPage { kind: p::SUBSCRIPTION, ..section(asked, "subscriptions", &name) };
    page.frame = page.frame.crumb(p::SUBSCRIPTIONS, Link::to("subscriptions"));
    page.frame.own = Link::to("subscription").with("id", &id).text();
    match tested {
        Some(Ok(())) => page.frame.notice = Some(Notice::new(p::ACCEPTED)),
        Some(Err(reason)) => page.frame.refusal = Some(Refused::new(view::failed_test(&reason))),
        None => {}
    }
    page.secret = secret.map(|secret| (p::NEW_SECRET, p::NEW_SECRET_HINT, secret));
    page.facts = view::facts(&one);
    page.lists.push(view::dead_letters(&letters, &id));
    page.forms = view::forms(&one, has_letters);
    let name = quoted(&name);
    let replay =
        change(asked, "POST", &format!("{path}/dead-letters/replay"), &format!("tidewater subscription replay {name}"));
    let disable = change(asked, "PATCH", &path, &format!("tidewater subscription disable {name}"));
    let disable = Call { body: Some(json!({ "disabled": true }).to_string()), ..disable };
    let shows = format!("tidewater subscription dead-letters {name}");
    Ok(shown(asked, page, vec![shows.into(), replay.into(), disable.into()]))
}

/// Makes a change to subscriptions. Returns `None` for another change.
pub(super) async fn act(asked: &Asked<'_>) -> Option<Result<Page, Refusal>> {
    let one = json!({ "events": [asked.query.text("event")] });
    Some(match asked.query.text("do") {
        "create-subscription" => create(asked).await,
        "test-subscription" => test(asked).await,
        "rotate-subscription" => rotate(asked).await,
        "disable-subscription" => update(asked, true).await,
        "enable-subscription" => update(asked, false).await,
        "replay" => send(asked, Method::POST, "/dead-letters/replay", None, "replayed").await,
        "replay-one" => send(asked, Method::POST, "/dead-letters/replay", Some(&one), "replayed").await,
        "discard" => send(asked, Method::DELETE, "/dead-letters", None, "discarded").await,
        "discard-one" => send(asked, Method::DELETE, "/dead-letters", Some(&one), "discarded-one").await,
        "delete-subscription" => {
            let deleted = asked.door.change(Method::DELETE, &path_of(asked, asked.query.text("id"), ""), None).await;
            deleted.map(|_| done("subscriptions", "deleted"))
        }
        _ => return None,
    })
}

async fn create(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let form = asked.query;
    let all = |name: &str| {
        form.text(name).split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let body = json!({
        "name": form.text("name"), "url": form.text("url"), "objects": all("objects"), "operations": all("operations"),
    });
    let made = asked.door.change(Method::POST, &organisation_path(asked, "/subscriptions"), Some(&body)).await?;
    page(asked, &text(&made, "id"), secret_of(&made), None).await
}

async fn rotate(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let (id, body) = (asked.query.text("id"), overlap(asked.query)?);
    let made = asked.door.change(Method::POST, &path_of(asked, id, "/rotate"), Some(&body)).await?;
    page(asked, id, secret_of(&made), None).await
}

fn secret_of(made: &Value) -> Option<NewKey> {
    let secret = made["secret"].as_str()?.to_owned();
    Some(NewKey { name: text(made, "name"), text: secret, about: String::new() })
}

async fn test(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let id = asked.query.text("id");
    let result = asked.door.change(Method::POST, &path_of(asked, id, "/test"), None).await?;
    let tested = if result["accepted"] == true { Ok(()) } else { Err(text(&result, "error")) };
    page(asked, id, None, Some(tested)).await
}

async fn update(asked: &Asked<'_>, is_disabled: bool) -> Result<Page, Refusal> {
    let body = json!({ "disabled": is_disabled });
    send(asked, Method::PATCH, "", Some(&body), if is_disabled { "disabled" } else { "enabled" }).await
}

/// Sends a change of a subscription, and leads back to its page.
async fn send(
    asked: &Asked<'_>,
    method: Method,
    below: &str,
    body: Option<&Value>,
    word: &str,
) -> Result<Page, Refusal> {
    asked.door.change(method, &path_of(asked, asked.query.text("id"), below), body).await?;
    Ok(done(asked.own, word))
}

/// Returns the path of a subscription in the management API.
fn path_of(asked: &Asked<'_>, id: &str, below: &str) -> String {
    organisation_path(asked, &format!("/subscriptions/{}{below}", encoded(id)))
}

/// Returns an empty page of a section.
fn section(asked: &Asked<'_>, name: &str, heading: &str) -> RecordsPage {
    let tabs = (p::EVENTS_SECTIONS, view::sections(name));
    RecordsPage { tabs, ..RecordsPage::new(asked.frame(heading, Place::Events), heading) }
}
