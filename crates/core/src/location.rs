//! Storage locations in one canonical form, so that two spellings of a place compare as equal and none hides another.

use std::fmt;

/// Why a location is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid location '{location}': {reason}")]
pub struct LocationError {
    location: String,
    reason: &'static str,
}

/// A place in storage, canonical: `scheme://authority/path`, scheme and authority in lower case, no trailing slash, no
/// empty, `.` or `..` segment, no query or fragment. A local path is `file:///path`.
///
/// What could be read in two ways (`//`, `..`, `%2e`, a backslash) is refused rather than repaired: storage servers
/// repair it differently, and a location that means one place here and another there is how one table reaches another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    text: String,
    scheme_len: usize,
    path_start: usize,
}

const SCHEMES: [&str; 9] = ["file", "s3", "s3a", "s3n", "gs", "abfs", "abfss", "wasb", "wasbs"];

impl Location {
    /// Reads a location: `s3://bucket/key`, `file:///path`, `file:/path` or a plain absolute path.
    ///
    /// # Errors
    /// When the scheme is unknown or the text could be read in more than one way; the message says which.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        let refuse = |reason| LocationError { location: text.chars().take(200).collect(), reason };
        let (scheme, rest) = match text.split_once(':') {
            _ if text.starts_with('/') => ("file".to_owned(), text),
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None => return Err(refuse("it must be absolute, such as s3://bucket/path or file:///path")),
        };
        if !SCHEMES.contains(&scheme.as_str()) {
            return Err(refuse("its scheme is not one of file, s3, s3a, s3n, gs, abfs, abfss, wasb, wasbs"));
        }
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None if scheme == "file" && rest.starts_with('/') => ("", rest),
            None => return Err(refuse("after its scheme it needs '//'")),
        };
        if scheme == "file" && !(authority.is_empty() || authority.eq_ignore_ascii_case("localhost")) {
            return Err(refuse("a file location must not name a host"));
        }
        if scheme != "file" && authority.is_empty() {
            return Err(refuse("it names no bucket or container"));
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        check_path(path).map_err(refuse)?;
        if authority.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '?' | '#' | '\\' | '%')) {
            return Err(refuse("its bucket or container has characters that are not allowed there"));
        }
        let authority = if scheme == "file" { String::new() } else { authority.to_ascii_lowercase() };
        let scheme_len = scheme.len();
        let path_start = scheme_len + "://".len() + authority.len();
        let text = [scheme.as_str(), "://", &authority, path].concat();
        Ok(Self { text, scheme_len, path_start })
    }

    /// The whole location.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its scheme, in lower case.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.text[..self.scheme_len]
    }

    /// The bucket or container, in lower case; empty on the local disk.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.text[self.scheme_len + "://".len()..self.path_start]
    }

    /// The path: empty, or starting with `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.text[self.path_start..]
    }

    /// Whether `other` is this place or lies below it. `orders` does not contain `orders2`.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.text.strip_prefix(&self.text).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether `text` says a place only relative to another: it has neither a scheme nor a leading `/`. Then
    /// [`Location::join`] says which.
    #[must_use]
    pub fn is_relative(text: &str) -> bool {
        !text.is_empty() && !text.starts_with('/') && !text.contains(':')
    }

    /// The place `segments` below this one.
    ///
    /// # Errors
    /// When `segments` would leave it or could be read in two ways.
    pub fn join(&self, segments: &str) -> Result<Self, LocationError> {
        Self::parse(&format!("{}/{segments}", self.text))
    }
}

fn check_path(path: &str) -> Result<(), &'static str> {
    // Nearly every path is of plain bytes, and this is on the way of every load: one look at each tells so.
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'?' | b'#' | b'%'));
    if !is_plain && path.chars().any(char::is_control) {
        return Err("it contains control characters");
    }
    if !is_plain && path.contains(['\\', '?', '#']) {
        return Err("it contains a backslash, '?' or '#'");
    }
    let escapes = !is_plain && path.contains('%');
    for segment in path.as_bytes().split(|byte| *byte == b'/').skip(1) {
        if segment.is_empty() {
            return Err("it contains an empty path segment ('//')");
        }
        if is_dots(segment) || (escapes && is_dots(&unescaped_dots(segment))) {
            return Err("it contains a '.' or '..' path segment");
        }
    }
    if escapes && path.to_ascii_lowercase().contains("%2f") {
        return Err("it contains an escaped '/'");
    }
    Ok(())
}

fn is_dots(segment: &[u8]) -> bool {
    matches!(segment, b"." | b"..")
}

fn unescaped_dots(segment: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(segment).replace("%2e", ".").replace("%2E", ".").into_bytes()
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_place_are_one_location() {
        for text in ["/data/t", "file:/data/t", "file:///data/t", "FILE:///data/t/", "file://localhost/data/t"] {
            assert_eq!(Location::parse(text).unwrap().as_str(), "file:///data/t", "{text}");
        }
        assert_eq!(Location::parse("s3://Bucket/a/").unwrap().as_str(), "s3://bucket/a");
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in [
            "",
            "relative",
            "data/t",
            "s3:/b/a",
            "s3:///a",
            "s3://b//a",
            "s3://b/../a",
            "s3://b/%2e%2e/a",
            "s3://b/.%2E/a",
            "s3://b/a%2fb",
            "file://host/a",
            "http://b/a",
            "s3://b/a?x",
            "s3://b/a#x",
            "s3://b/a\\b",
            "s3://b/a\u{0}",
            "s3://b%2f/a",
        ] {
            assert!(Location::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_sibling_with_the_same_prefix_is_not_inside() {
        let orders = Location::parse("s3://b/orders").unwrap();
        assert!(orders.contains(&Location::parse("s3://b/orders/data").unwrap()));
        assert!(orders.contains(&orders));
        assert!(!orders.contains(&Location::parse("s3://b/orders2").unwrap()));
    }

    #[test]
    fn what_has_neither_scheme_nor_leading_slash_is_relative() {
        for text in ["t", "spark-warehouse/t-1/", "..", "a b"] {
            assert!(Location::is_relative(text), "{text}");
        }
        for text in ["", "/data/t", "s3://b/t", "file:t", "c:t", "x:/t"] {
            assert!(!Location::is_relative(text), "{text}");
        }
    }

    #[test]
    fn nothing_relative_leads_upwards_or_can_be_read_in_two_ways() {
        let root = Location::parse("s3://b/w").unwrap();
        assert_eq!(root.join("spark-warehouse/t-1/").unwrap().as_str(), "s3://b/w/spark-warehouse/t-1");
        for text in [".", "..", "../t", "./t", "a/../../t", "%2e%2e/t", "a//t", "a\\t", "a?t", "a%2Ft"] {
            assert!(root.join(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_relative_leaves(text in "[^:]{1,20}") {
            let root = Location::parse("s3://b/w").unwrap();
            prop_assume!(Location::is_relative(&text));
            if let Ok(location) = root.join(&text) {
                prop_assert!(root.contains(&location) && location != root);
            }
        }

        #[test]
        fn canonical_is_a_fixed_point(text in "(s3://b|file://|abfss://c@a\\.net|)(/[a-zA-Z0-9 ._%*$-]{1,8}){1,4}/?") {
            if let Ok(location) = Location::parse(&text) {
                prop_assert_eq!(Location::parse(location.as_str()).unwrap(), location);
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = Location::parse(&text);
        }
    }
}
