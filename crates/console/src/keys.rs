//! API keys, and explanations of access.

use askama::Template;
use serde_json::Value;

use crate::format;
use crate::frame::Frame;
use crate::link::Link;
use crate::texts as t;

/// An API key in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its built-in role.
    pub role: String,
    /// Its state, such as `active`.
    pub state: String,
    /// When it was made.
    pub created: String,
    /// When it expires, or that it never does.
    pub expires: String,
    /// When it was last used, or an empty text.
    pub used: String,
    /// Whether it can be revoked.
    pub is_usable: bool,
}

impl KeyRow {
    /// Returns the link to the page of the key.
    #[must_use]
    pub fn href(&self) -> String {
        Link::to("key").with("id", &self.id).text()
    }

    /// Parses an entry of the API's list.
    #[must_use]
    pub fn parse(entry: &Value) -> Self {
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let time = |name: &str| entry[name].as_i64().map(format::time).unwrap_or_default();
        Self {
            id: text("id"),
            name: text("name"),
            role: text("role"),
            state: text("state"),
            created: time("created-ms"),
            expires: expiry(entry),
            used: time("last-used-ms"),
            is_usable: entry["revoked-ms"].is_null(),
        }
    }
}

/// A key that was just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// Its name.
    pub name: String,
    /// The key itself, which is shown once.
    pub text: String,
    /// Its role and expiry. Empty for a secret that has none.
    pub about: String,
}

impl NewKey {
    /// Parses the API's answer to a creation or a rotation of a key.
    #[must_use]
    pub fn parse(made: &Value) -> Self {
        let text = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
        let about = t::about_key(&text("role"), &expiry(made));
        Self { name: text("name"), text: text("api_key"), about }
    }
}

/// Returns when a key of the API's JSON expires, for people.
#[must_use]
pub fn expiry(key: &Value) -> String {
    key["expires-ms"].as_i64().map_or_else(|| t::NEVER.to_owned(), format::time)
}

/// The page of API keys.
#[derive(Debug, Template)]
#[template(path = "keys.html")]
pub struct KeysPage {
    /// The frame.
    pub frame: Frame,
    /// A page of the keys.
    pub keys: Vec<KeyRow>,
    /// Where the next page is.
    pub more: Option<String>,
    /// The key that was just made.
    pub new: Option<NewKey>,
    /// The id of the key that signed in. `None` for a user.
    pub own: Option<String>,
    /// Whether these are all keys.
    pub is_complete: bool,
}

impl KeysPage {
    /// Returns what the revocation of a key does beyond the usual: to the caller, and to the organisation.
    #[must_use]
    pub fn revoke_warnings(&self, key: &KeyRow) -> Vec<&'static str> {
        let is_own = self.own.as_deref() == Some(key.id.as_str());
        let is_admin = |one: &&KeyRow| one.role == "admin" && one.state == "active";
        let is_last = self.is_complete && is_admin(&key) && self.keys.iter().filter(is_admin).count() == 1;
        let own = is_own.then_some(t::REVOKE_OWN_HINT);
        let last = is_last.then_some(t::REVOKE_LAST_ADMIN_HINT);
        own.into_iter().chain(last).collect()
    }
}

/// One answer of an explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedRow {
    /// The principal.
    pub principal: String,
    /// Whether it may.
    pub is_allowed: bool,
    /// Why, or why not.
    pub why: String,
}

impl ExplainedRow {
    /// Parses an entry of the API's explanation.
    #[must_use]
    pub fn parse(entry: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let by = &entry["by"];
        let why = match by["type"].as_str() {
            Some("role") => format!("{} {}", t::BY_ROLE, text(&by["role"])),
            Some("owner") => t::BY_OWNERSHIP.to_owned(),
            Some("sight") => t::BY_SIGHT.to_owned(),
            Some("grant") => t::by_grant(
                &text(&by["grant"]["privilege"]),
                &on(&by["grant"]),
                &text(&by["catalog-role"]),
                &text(&by["principal-role"]),
            ),
            _ => text(&entry["message"]),
        };
        let principal = &entry["principal"];
        let keys = principal["keys"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let name = principal["name"].as_str().map_or_else(|| keys.collect::<Vec<_>>().join(", "), str::to_owned);
        let principal = if name.is_empty() { text(&principal["id"]) } else { name };
        Self { principal, is_allowed: entry["allowed"].as_bool().unwrap_or_default(), why }
    }
}

/// Returns the object of a grant for people.
fn on(grant: &Value) -> String {
    let levels = grant["namespace"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let names: Vec<&str> = levels.chain(grant["name"].as_str()).collect();
    let kind = grant["type"].as_str().unwrap_or_default();
    if names.is_empty() { kind.to_owned() } else { format!("{kind} {}", names.join(".")) }
}

/// The question of an explanation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// The warehouse.
    pub warehouse: String,
    /// The action.
    pub action: String,
    /// The namespace, levels joined by dots.
    pub namespace: String,
    /// The table.
    pub table: String,
    /// The principal. Empty: all that may.
    pub principal: String,
}

/// The page that explains access.
#[derive(Debug, Template)]
#[template(path = "access.html")]
pub struct AccessPage {
    /// The frame.
    pub frame: Frame,
    /// The warehouses that can be chosen.
    pub warehouses: Vec<String>,
    /// The actions that can be chosen.
    pub actions: Vec<String>,
    /// The question.
    pub question: Question,
    /// The answer, if a question was asked.
    pub rows: Option<Vec<ExplainedRow>>,
    /// Why it was refused.
    pub refused: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn revocation_of_the_own_and_of_the_last_admin_key_warns() {
        let key = |id: &str, role: &str, state: &str| KeyRow::parse(&json!({ "id": id, "role": role, "state": state }));
        let mut page = KeysPage {
            frame: Frame::anonymous("keys"),
            keys: vec![key("1", "admin", "active"), key("2", "writer", "active"), key("3", "admin", "revoked")],
            more: None,
            new: None,
            own: Some("1".to_owned()),
            is_complete: true,
        };
        let warnings = |page: &KeysPage, at: usize| page.revoke_warnings(&page.keys[at]);
        assert_eq!(warnings(&page, 0), [t::REVOKE_OWN_HINT, t::REVOKE_LAST_ADMIN_HINT]);
        assert!(warnings(&page, 1).is_empty());
        page.is_complete = false;
        assert_eq!(warnings(&page, 0), [t::REVOKE_OWN_HINT], "another page may have more admin keys");
        page.own = None;
        assert!(warnings(&page, 0).is_empty());
    }

    #[test]
    fn new_key_names_its_role_and_expiry() {
        let about =
            |expires: Value| NewKey::parse(&json!({ "api_key": "k", "role": "writer", "expires-ms": expires })).about;
        assert!(about(json!(0)).contains("writer") && about(json!(0)).contains("1970-01-01"));
        assert!(about(Value::Null).contains(t::NEVER));
    }

    #[test]
    fn explanation_says_why() {
        let row =
            |by: Value| ExplainedRow::parse(&json!({ "principal": { "name": "etl" }, "allowed": true, "by": by })).why;
        assert!(row(json!({ "type": "role", "role": "admin" })).contains("admin"));
        let grant =
            json!({ "privilege": "TABLE_READ_DATA", "type": "table", "namespace": ["sales"], "name": "orders" });
        let why =
            row(json!({ "type": "grant", "grant": grant, "catalog-role": "readers", "principal-role": "analysts" }));
        assert!(
            ["TABLE_READ_DATA", "table sales.orders", "readers", "analysts"].iter().all(|part| why.contains(part)),
            "{why}"
        );
        let denied = ExplainedRow::parse(&json!({ "principal": { "id": "7" }, "allowed": false, "message": "no" }));
        assert_eq!((denied.principal.as_str(), denied.is_allowed, denied.why.as_str()), ("7", false, "no"));
    }
}
