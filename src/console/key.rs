//! One API key: its page, and its changes.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tidewater_console::keys::NewKey;
use tidewater_console::link::{Link, encoded};
use tidewater_console::records::{RecordsPage, text};
use tidewater_console::texts::people as p;
use tidewater_console::{Call, Place, key_page, texts as t};

use super::door::Refusal;
use super::page::{Asked, Page, done, organisation_path};
use super::query::{Query, quoted};
use super::records::{change, shown};

const HOUR_S: u64 = 3_600;
const DAY_MS: i64 = 86_400_000;

/// The word for a key without an expiry.
const NEVER: &str = "never";

/// Shows a key.
pub(super) async fn show(asked: &Asked<'_>) -> Result<Page, Refusal> {
    page(asked, asked.query.text("id"), None).await
}

async fn page(asked: &Asked<'_>, id: &str, new: Option<NewKey>) -> Result<Page, Refusal> {
    let path = organisation_path(asked, &format!("/keys/{}", encoded(id)));
    let key = asked.door.get(&path).await?;
    let name = text(&key, "name");
    let mut frame = asked.frame(&name, Place::Keys).crumb(t::NAV_KEYS, Link::to("keys"));
    frame.own = Link::to("key").with("id", &text(&key, "id")).text();
    let mut page = RecordsPage { kind: p::KEY, ..RecordsPage::new(frame, &name) };
    page.secret = new.map(|new| (t::NEW_KEY, t::NEW_KEY_HINT, new));
    page.facts = key_page::facts(&key);
    page.forms = key_page::forms(&key, asked.door.session.key().as_deref());
    let name = quoted(&name);
    let rotate =
        change(asked, "POST", &format!("{path}/rotate"), &format!("tidewater key rotate {name} --overlap 24h"));
    let rotate = Call { body: Some(json!({ "overlap-s": 24 * HOUR_S }).to_string()), ..rotate };
    let role = change(asked, "PATCH", &path, &format!("tidewater key update {name} --role reader"));
    let role = Call { body: Some(json!({ "role": "reader" }).to_string()), ..role };
    Ok(shown(asked, page, vec![format!("tidewater key show {name}").into(), rotate.into(), role.into()]))
}

/// Rotates or changes a key. Returns `None` for another change.
pub(super) async fn act(asked: &Asked<'_>) -> Option<Result<Page, Refusal>> {
    match asked.query.text("do") {
        "rotate-key" => Some(rotate(asked).await),
        "change-key" => Some(update(asked).await),
        _ => None,
    }
}

/// Replaces a key, and shows the new one.
async fn rotate(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let id = encoded(asked.query.text("id"));
    let body = overlap(asked.query)?;
    let path = organisation_path(asked, &format!("/keys/{id}/rotate"));
    let made = asked.door.change(Method::POST, &path, Some(&body)).await?;
    let new = NewKey::parse(&made);
    page(asked, &text(&made, "id"), Some(new)).await
}

/// Returns the body of a rotation with the overlap of a form in hours.
///
/// # Errors
/// 400 if it is no whole number.
pub(super) fn overlap(form: &Query) -> Result<Value, Refusal> {
    let Some(hours) = form.get("hours") else { return Ok(json!({})) };
    let hours: u64 = hours.parse().map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, p::NOT_HOURS))?;
    Ok(json!({ "overlap-s": hours.saturating_mul(HOUR_S) }))
}

/// Changes the name, role and expiry of a key.
async fn update(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let form = asked.query;
    let mut body = json!({ "name": form.text("name"), "role": form.text("role") });
    match form.get("days") {
        None => {}
        Some(NEVER) => body["expires-ms"] = Value::Null,
        Some(days) => {
            let days: u32 = days.parse().map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, t::NOT_A_NUMBER))?;
            let expires_ms = asked.door.api.now_ms().saturating_add(i64::from(days).saturating_mul(DAY_MS));
            body["expires-ms"] = expires_ms.into();
        }
    }
    let path = organisation_path(asked, &format!("/keys/{}", encoded(form.text("id"))));
    asked.door.change(Method::PATCH, &path, Some(&body)).await?;
    Ok(done(asked.own, "key-changed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_in_hours_and_may_be_left_out() {
        let body = |text: &str| overlap(&Query::parse(text.as_bytes()));
        assert_eq!(body("hours=2").unwrap(), json!({ "overlap-s": 7_200 }));
        assert_eq!(body("hours=").unwrap(), json!({}));
        assert_eq!(body("hours=1.5").unwrap_err().status, StatusCode::BAD_REQUEST);
    }
}
