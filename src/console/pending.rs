//! A sign-in with an identity provider that has begun: a short-lived cookie, which binds the provider's answer to the browser.
//!
//! The server stores nothing. The cookie has no rights: its secrets are those of this sign-in.

use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::session::{attributes, read_cookie};

/// The cookie over HTTPS, and without.
const SECURE_NAME: &str = "__Host-tidewater-sign-in";
const PLAIN_NAME: &str = "tidewater-console-sign-in";

/// How long a person may take at the provider, in seconds.
const LIFETIME_S: i64 = 600;

/// A sign-in that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    /// The name of the provider.
    #[serde(rename = "i")]
    pub(super) issuer: String,
    /// The text that the provider's answer must repeat.
    #[serde(rename = "s")]
    pub(super) state: String,
    /// The text that the ID token must have.
    #[serde(rename = "n")]
    pub(super) nonce: String,
    /// The secret of the code (RFC 7636).
    #[serde(rename = "v")]
    pub(super) verifier: String,
    /// Where the provider sends the browser back to.
    #[serde(rename = "r")]
    pub(super) redirect_uri: String,
    /// The page to show then.
    #[serde(rename = "x")]
    pub(super) next: String,
    /// When it began, in seconds since 1970.
    #[serde(rename = "b")]
    pub(super) begun_s: i64,
}

impl Pending {
    /// Reads the sign-in from a request's cookies. `None` if there is none, or it is too old.
    pub(super) fn read(headers: &HeaderMap, over_https: bool, now_s: i64) -> Option<Self> {
        let found: Self = read_cookie(headers, name(over_https))?;
        (0..LIFETIME_S).contains(&now_s.saturating_sub(found.begun_s)).then_some(found)
    }

    /// Returns the cookie.
    pub(super) fn cookie(&self, over_https: bool) -> Option<HeaderValue> {
        let value = URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).ok()?);
        let attributes = attributes(over_https);
        HeaderValue::try_from(format!("{}={value}; Max-Age={LIFETIME_S}; {attributes}", name(over_https))).ok()
    }
}

/// Returns the cookie that ends the sign-in: an answer of the provider counts once.
pub(super) fn ended(over_https: bool) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("{}=; Max-Age=0; {}", name(over_https), attributes(over_https))).ok()
}

const fn name(over_https: bool) -> &'static str {
    if over_https { SECURE_NAME } else { PLAIN_NAME }
}

#[cfg(test)]
mod tests {
    use axum::http::header::COOKIE;

    use super::*;

    #[test]
    fn cookie_gives_back_the_sign_in_until_it_is_too_old() {
        let text = |text: &str| text.to_owned();
        let pending = Pending {
            issuer: text("sso"),
            state: text("s"),
            nonce: text("n"),
            verifier: text("v"),
            redirect_uri: text("https://a/console/signed-in"),
            next: text("browse?w=a"),
            begun_s: 100,
        };
        for over_https in [false, true] {
            let cookie = pending.cookie(over_https).unwrap();
            let (pair, attributes) = cookie.to_str().unwrap().split_once("; ").unwrap();
            assert!(attributes.starts_with("Max-Age=600; ") && attributes.contains("HttpOnly"));
            let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(pair).unwrap())]);
            let read = |now_s| Pending::read(&headers, over_https, now_s);
            assert_eq!((read(100).as_ref(), read(699).as_ref()), (Some(&pending), Some(&pending)));
            assert!(read(700).is_none() && read(99).is_none());
            assert!(Pending::read(&headers, !over_https, 100).is_none());
        }
    }
}
