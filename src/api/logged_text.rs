//! Clients' texts as log lines and audit records show them: short, on one line, without API keys.

use std::borrow::Cow;

use axum::http::{HeaderValue, Uri};
use percent_encoding::percent_decode;

use super::path::parameters;

/// The most that is logged of a client's text, in characters.
pub(super) const MAX_PATH: usize = 512;
pub(super) const MAX_NAME: usize = 256;
pub(super) const MAX_AGENT: usize = 80;
pub(super) const MAX_FORWARDED: usize = 100;

/// The names in a path.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) warehouse: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) object: Option<String>,
    pub(super) organisation: Option<String>,
}

impl Names {
    pub(super) fn from_path(template: &str, path: &str) -> Self {
        let mut names = Self::default();
        for (parameter, raw) in parameters(template, path) {
            // The levels of a namespace are joined by a control character.
            let name = Some(shown(&percent_decode(raw).decode_utf8_lossy().replace('\u{1f}', "."), MAX_NAME));
            match parameter {
                b"prefix" | b"warehouse" => names.warehouse = name,
                b"namespace" => names.namespace = name,
                b"organisation" => {
                    names.organisation.clone_from(&name);
                    names.object = name;
                }
                _ => names.object = name,
            }
        }
        names
    }
}

/// Returns the views through which a table is read, from the parameter `referenced-by`.
pub(super) fn referenced_by(uri: &Uri) -> Option<String> {
    let query = uri.query()?;
    if !query.contains("referenced-by") {
        return None;
    }
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    parameters
        .find(|(name, _)| name == "referenced-by")
        .map(|(_, value)| shown(&value.replace('\u{1f}', "."), MAX_NAME))
}

/// Returns a `User-Agent` for records.
pub(super) fn agent_text(agent: &HeaderValue) -> String {
    shown(&String::from_utf8_lossy(agent.as_bytes()), MAX_AGENT)
}

/// Returns a client's text for the log: at most `max` characters, without control characters and without API keys.
pub(super) fn shown(text: &str, max: usize) -> String {
    let text = without_keys(text);
    let mut characters = text.chars().map(|character| if is_plain(character) { character } else { '\u{fffd}' });
    let mut shown: String = characters.by_ref().take(max).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Returns whether a character can neither end a line nor change the direction of the text.
const fn is_plain(character: char) -> bool {
    !matches!(character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn without_keys(text: &str) -> Cow<'_, str> {
    const PREFIX: &str = "flx_";
    if !text.contains(PREFIX) {
        return Cow::Borrowed(text);
    }
    let mut pieces = text.split(PREFIX);
    let mut blotted = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        blotted.push_str(PREFIX);
        blotted.push_str("***");
        blotted.push_str(piece.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-'));
    }
    Cow::Owned(blotted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_text_is_shortened_and_loses_control_characters() {
        assert_eq!(shown("a\r\nb\u{2028}c\u{202e}d\u{1b}[1m", 100), "a��b�c�d�[1m");
        assert_eq!(shown(&"x".repeat(9_000), 3), "xxx…");
        assert_eq!(shown("größe", 5), "größe");
    }

    #[test]
    fn api_key_in_a_path_is_masked() {
        assert_eq!(shown("/v1/flx_abcDEF12_9/tables/flx_x?y", 100), "/v1/flx_***/tables/flx_***?y");
    }

    #[test]
    fn names_are_taken_from_path_and_route() {
        let template = "/v1/{prefix}/namespaces/{namespace}/tables/{table}";
        let names = Names::from_path(template, "/v1/w/namespaces/a%1Fb%20c/tables/t%0At");
        let some = |text: &str| Some(text.to_owned());
        let (namespace, object) = (some("a.b c"), some("t�t"));
        assert_eq!(names, Names { warehouse: some("w"), namespace, object, organisation: None });
        assert_eq!(Names::from_path("/v1/config", "/v1/config"), Names::default());
    }

    #[test]
    fn referenced_by_returns_the_views_of_the_query() {
        let uri: Uri = "/v1/namespaces/n/tables/t?snapshots=refs&referenced-by=db%1Fv1%2Cdb%1Fv2".parse().unwrap();
        assert_eq!(referenced_by(&uri).as_deref(), Some("db.v1,db.v2"));
        assert_eq!(referenced_by(&Uri::from_static("/v1/namespaces/n/tables/t?snapshots=refs")), None);
    }
}
