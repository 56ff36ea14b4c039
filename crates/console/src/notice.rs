//! Messages about changes: one that was made, with what undoes it, or one that was refused, with what was entered.

use std::collections::HashMap;

use crate::link::is_own;
use crate::texts::{self as t, operators, people};

/// A message about a change that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What was done.
    pub text: String,
    /// What can be done then.
    pub then: Option<Then>,
}

/// What can be done after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// A link: its text, and the page.
    Show(&'static str, String),
    /// A form that restores a dropped table or view: its id, and the page of the object.
    Restore(String, String),
}

impl Notice {
    /// Returns a message with nothing to do then.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), then: None }
    }

    /// Returns the link to what can be seen then: its text, and the page.
    #[must_use]
    pub fn link(&self) -> Option<(&'static str, &str)> {
        match &self.then {
            Some(Then::Show(label, page)) => Some((label, page)),
            _ => None,
        }
    }

    /// Returns the id of the object that can be restored then, and its page.
    #[must_use]
    pub fn restore(&self) -> Option<(&str, &str)> {
        match &self.then {
            Some(Then::Restore(id, page)) => Some((id, page)),
            _ => None,
        }
    }

    /// Returns the message about a change, by its word in the address. Other words show nothing, so a link cannot put a text on a page.
    /// `page` is a page that the change leads to, and `id` that of a dropped object.
    #[must_use]
    pub fn of_change(word: &str, page: &str, id: &str) -> Option<Self> {
        let show = |label| (is_own(page) && !page.is_empty()).then(|| Then::Show(label, page.to_owned()));
        let (text, then) = match word {
            "namespace" => (t::DONE_NAMESPACE, None),
            "namespace-dropped" => (t::DONE_DROPPED, None),
            "dropped" => (t::DONE_DROPPED, restore(page, id)),
            "restored" => (t::DONE_RESTORED, show(t::SHOW_RESTORED)),
            "revoked" => (t::DONE_REVOKED, None),
            "reference" => (t::DONE_REFERENCE, None),
            "reference-removed" => (t::DONE_REFERENCE_REMOVED, None),
            "secret-shown" => (t::DONE_SHOWN, None),
            "rolled-back" => (t::DONE_ROLLED_BACK, show(t::UNDO)),
            "rolled-forward" => (t::DONE_ROLLED_FORWARD, show(t::ROLL_BACK_AGAIN)),
            "policy" => (t::care::DONE_POLICY, None),
            "policy-cleared" => (t::care::DONE_POLICY_CLEARED, None),
            _ => (people::done(word).or_else(|| operators::done(word))?, None),
        };
        Some(Self { then, ..Self::new(text) })
    }
}

fn restore(page: &str, id: &str) -> Option<Then> {
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    (is_id && is_own(page)).then(|| Then::Restore(id.to_owned(), page.to_owned()))
}

/// A change that was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refused {
    /// The API's message.
    pub message: String,
    /// The type of the API's error, such as `NoSuchTableException`. Empty for a refusal of the console.
    pub kind: String,
    /// The id of the request in the server's log.
    pub request_id: String,
}

impl Refused {
    /// Returns a refusal with a message alone.
    #[must_use]
    pub fn new(message: String) -> Self {
        Self { message, ..Self::default() }
    }
}

/// A form that was refused, with what was entered. It is open on its page, so that it can be corrected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    change: String,
    values: HashMap<String, String>,
}

impl Kept {
    /// Keeps the values of the form of a change.
    #[must_use]
    pub fn new(change: &str, values: HashMap<String, String>) -> Self {
        Self { change: change.to_owned(), values }
    }

    /// Returns whether it is the form of a change, about the same object: all parameters that are not entered are the same.
    #[must_use]
    pub fn is_form(&self, change: &str, hidden: &[(&'static str, String)]) -> bool {
        let is_same = |(name, value): &(&'static str, String)| {
            self.values.get(*name).map(String::as_str).unwrap_or_default() == value.as_str()
        };
        !self.change.is_empty() && self.change == change && hidden.iter().all(is_same)
    }

    /// Returns the value that was entered in a field, or an empty text.
    #[must_use]
    pub fn value(&self, field: &str) -> &str {
        self.values.get(field).map(String::as_str).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_words_show_a_message() {
        assert!(Notice::of_change("restored", "", "").is_some());
        assert_eq!((Notice::of_change("<b>", "", ""), Notice::of_change("", "", "")), (None, None));
    }

    #[test]
    fn message_leads_only_to_pages_of_the_console() {
        let then = |word: &str, page: &str, id: &str| Notice::of_change(word, page, id).unwrap().then;
        let show = then("rolled-back", "roll-back?w=a&to=7", "");
        assert_eq!(show, Some(Then::Show(t::UNDO, "roll-back?w=a&to=7".to_owned())));
        for page in ["", "//evil.example", "https://evil.example", "javascript:x"] {
            assert_eq!(then("rolled-back", page, ""), None, "{page}");
        }
        assert!(matches!(then("dropped", "table?w=a", "0-af"), Some(Then::Restore(..))));
        assert_eq!((then("dropped", "table?w=a", ""), then("dropped", "table?w=a", "x\"y")), (None, None));
        assert_eq!(then("revoked", "keys", "0"), None);
    }

    #[test]
    fn refused_form_is_known_by_its_change_and_object() {
        let values = [("id", "7"), ("name", "a b")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let kept = Kept::new("update-key", values.into());
        let hidden = |id: &str| vec![("id", id.to_owned())];
        assert!(kept.is_form("update-key", &hidden("7")) && kept.is_form("update-key", &[]));
        assert!(!kept.is_form("update-key", &hidden("8")) && !kept.is_form("other", &hidden("7")));
        assert_eq!((kept.value("name"), kept.value("none")), ("a b", ""));
        assert!(!Kept::default().is_form("", &[]));
    }
}
