//! One API key: its facts, and the forms that rotate, change and revoke it.

use serde_json::Value;

use crate::keys::expiry;
use crate::records::{Field, Form, text, time};
use crate::texts::{self as t, people as p};

/// The built-in roles.
const ROLES: [&str; 4] = ["reader", "writer", "admin", "none"];

/// Returns the facts about a key.
#[must_use]
pub fn facts(key: &Value) -> Vec<(&'static str, String)> {
    let facts = [
        (t::ROLE, text(key, "role")),
        (t::STATE, text(key, "state")),
        (t::CREATED, time(key, "created-ms")),
        (t::EXPIRES, expiry(key)),
        (t::LAST_USED, time(key, "last-used-ms")),
        (t::ID, text(key, "id")),
    ];
    facts.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// Returns the forms of a key. A revoked key has none. `own` is the id of the key that signed in.
#[must_use]
pub fn forms(key: &Value, own: Option<&str>) -> Vec<Form> {
    if !key["revoked-ms"].is_null() {
        return Vec::new();
    }
    let (id, role) = (text(key, "id"), text(key, "role"));
    let rotate = Form::new("rotate-key", p::ROTATE_KEY)
        .hint(p::ROTATE_KEY_HINT)
        .field(Field::line("hours", p::OVERLAP_HOURS, String::new()).example("24"));
    let change = Form::new("change-key", p::CHANGE_KEY)
        .field(Field { is_required: true, ..Field::line("name", t::NAME, text(key, "name")) })
        .field(Field::choice("role", t::ROLE, role, ROLES.map(str::to_owned).to_vec()))
        .field(Field::line("days", p::EXPIRY_DAYS, String::new()).example("90"));
    let hint = if own == Some(id.as_str()) { t::REVOKE_OWN_KEY_HINT } else { t::REVOKE_HINT };
    let revoke = Form::new("revoke-key", t::REVOKE).hint(hint).danger();
    [rotate, change, revoke].map(|form| form.hidden("id", &id)).to_vec()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn revoked_key_has_no_forms_and_empty_facts_are_left_out() {
        let key = json!({ "id": "1", "name": "ci", "role": "writer", "state": "revoked", "revoked-ms": 1 });
        assert!(forms(&key, None).is_empty());
        assert_eq!(facts(&key).len(), 4);
        assert!(facts(&key).contains(&(t::EXPIRES, t::NEVER.to_owned())));
        let revoke = |own| forms(&json!({ "id": "1", "role": "writer" }), own).pop().unwrap().hint;
        assert_eq!(
            (revoke(None), revoke(Some("2")), revoke(Some("1"))),
            (t::REVOKE_HINT, t::REVOKE_HINT, t::REVOKE_OWN_KEY_HINT)
        );
    }
}
