//! Links between pages of the console.
//!
//! All pages are siblings below one folder, and names are in the query. So every link is relative, works under any path of a proxy
//! without a setting, and no proxy or browser changes a name such as `..` or `a/b`.

use std::fmt::Write as _;

/// A link to a page of the console, with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link(String);

impl Link {
    /// Returns the link to a page without parameters.
    #[must_use]
    pub fn to(page: &str) -> Self {
        Self(page.to_owned())
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        self.0.push_str(name);
        self.0.push('=');
        self.0.push_str(&encoded(value));
        self
    }

    /// Adds a parameter if there is a value.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) if !value.is_empty() => self.with(name, value),
            _ => self,
        }
    }

    /// Returns the text.
    #[must_use]
    pub fn text(self) -> String {
        self.0
    }
}

/// Percent-encodes everything except letters, digits, `-`, `.`, `_` and `~` (RFC 3986, unreserved).
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a text does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Returns whether a text is a link to a page of the console: a page's name with an optional query. A form may send the browser there.
#[must_use]
pub fn is_own(text: &str) -> bool {
    let page = text.split(['?', '#']).next().unwrap_or_default();
    page.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_links_are_encoded() {
        let link = Link::to("table").with("w", "a&b").with("ns", "x\u{1f}y").with_some("q", None).with("t", "../<é>");
        assert_eq!(link.text(), "table?w=a%26b&ns=x%1Fy&t=..%2F%3C%C3%A9%3E");
    }

    #[test]
    fn only_pages_of_the_console_are_own_links() {
        for own in ["", "browse", "table?w=a&ns=b%2Fc", "sign-in#x"] {
            assert!(is_own(own), "{own}");
        }
        for other in
            ["//evil.example", "/x", "https://evil.example", "javascript:alert(1)", "a/../b", "..", "a\nb", "\\x"]
        {
            assert!(!is_own(other), "{other}");
        }
    }
}
