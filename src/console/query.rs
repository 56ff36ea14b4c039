//! Parameters of a page's address or form, and the parts of requests to the API.

use std::collections::HashMap;

use tidewater_console::browse::Location;
use tidewater_console::link::encoded;
use tidewater_console::notice::Kept;

/// The most parameters that are read.
const MAX_PARAMETERS: usize = 64;

/// The parameters of a page.
#[derive(Debug, Default)]
pub(super) struct Query(HashMap<String, String>);

impl Query {
    /// Parses a query or the body of a form.
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().take(MAX_PARAMETERS).collect())
    }

    /// Returns a parameter. An empty one counts as missing.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns a parameter, or an empty text.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Returns the values of a form, to show them again. The token of the sign-in is left out.
    pub(super) fn kept(&self) -> Kept {
        let values = self.0.iter().filter(|(name, _)| *name != "csrf");
        Kept::new(self.text("do"), values.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// Returns the warehouse and namespace of a page.
    pub(super) fn location(&self) -> Location {
        Location::new(self.text("w"), self.text("ns"))
    }

    /// Returns a whole number.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }
}

/// Returns the API's path of a warehouse's objects.
pub(super) fn warehouse_path(warehouse: &str, below: &str) -> String {
    format!("/v1/{}{below}", encoded(warehouse))
}

/// Returns the API's path of a namespace.
pub(super) fn namespace_path(place: &Location, below: &str) -> String {
    warehouse_path(&place.warehouse, &format!("/namespaces/{}{below}", encoded(&place.key())))
}

/// Returns the API's path of a table or view. `kind` is `tables` or `views`.
pub(super) fn object_path(place: &Location, kind: &str, name: &str) -> String {
    namespace_path(place, &format!("/{kind}/{}", encoded(name)))
}

/// Quotes a text for a shell, if it needs quotes.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/' | b':' | b',');
    if !text.is_empty() && text.bytes().all(is_plain) && !text.starts_with('-') {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_paths_are_encoded() {
        let place = Location::new("a b", "x\u{1f}y/z");
        assert_eq!(object_path(&place, "tables", "t+?"), "/v1/a%20b/namespaces/x%1Fy%2Fz/tables/t%2B%3F");
    }

    #[test]
    fn texts_for_a_shell_are_quoted() {
        assert_eq!(
            ["demo.tides", "a b", "it's", "", "-x"].map(quoted),
            ["demo.tides", "'a b'", r"'it'\''s'", "''", "'-x'"]
        );
    }

    #[test]
    fn empty_parameter_is_missing() {
        let query = Query::parse(b"w=a&ns=&n=7&x=%26");
        assert_eq!((query.get("ns"), query.text("w"), query.number("n"), query.text("x")), (None, "a", Some(7), "&"));
    }
}
