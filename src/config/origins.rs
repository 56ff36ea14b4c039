//! The setting with the origins of web pages that may call the API.

use std::fmt;

use serde::Deserializer;
use serde::de::{SeqAccess, Visitor};
use url::Url;

/// Deserializes a list, or a text with commas from an environment variable.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Origins;

    impl<'de> Visitor<'de> for Origins {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of origins, such as [\"https://app.example.com\"]")
        }

        fn visit_str<E>(self, text: &str) -> Result<Vec<String>, E> {
            let origins = text.split(',').map(str::trim).filter(|origin| !origin.is_empty());
            Ok(origins.map(str::to_owned).collect())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<String>, A::Error> {
            let mut origins = Vec::new();
            while let Some(origin) = items.next_element()? {
                origins.push(origin);
            }
            Ok(origins)
        }
    }

    deserializer.deserialize_any(Origins)
}

/// Checks that a text is an origin as browsers send it, or `*`.
///
/// # Errors
/// The text to write instead.
pub(super) fn check(text: &str) -> Result<(), String> {
    if text == "*" {
        return Ok(());
    }
    let origin = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    match origin.map(|url| url.origin().ascii_serialization()) {
        Some(origin) if origin == text => Ok(()),
        Some(origin) => Err(format!("which no browser sends: write {origin}")),
        None => Err("which is not an origin: write one as in https://app.example.com, or *".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_in_another_form_than_browsers_send_is_refused() {
        for origin in ["*", "https://app.example.com", "http://localhost:5173", "http://[::1]:80"] {
            let expected = if origin.ends_with(":80") {
                Err("which no browser sends: write http://[::1]".to_owned())
            } else {
                Ok(())
            };
            assert_eq!(check(origin), expected, "{origin}");
        }
        assert_eq!(check("https://a.example/"), Err("which no browser sends: write https://a.example".to_owned()));
        assert_eq!(check("HTTPS://A.example"), Err("which no browser sends: write https://a.example".to_owned()));
        for text in ["", "a.example", "ftp://a.example", "null", "*.example.com", "https://"] {
            assert!(check(text).unwrap_err().contains("not an origin"), "{text}");
        }
    }
}
