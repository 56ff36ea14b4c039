//! The sign-in of a browser: a cookie with a token of the catalog. The server stores nothing.
//!
//! The API checks the token with every request, so the sign-in ends with its key at once. The other values of the cookie are only shown.

use axum::http::header::{COOKIE, HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tidewater_console::Who;
use uuid::Uuid;

use crate::auth::token::OPERATOR_AUDIENCE;
use crate::base::secret::Secret;

/// The cookie over HTTPS. Browsers accept this prefix only with `Secure`, with the path `/` and without a domain.
const SECURE_NAME: &str = "__Host-tidewater";

/// The cookie without HTTPS.
const PLAIN_NAME: &str = "tidewater-console";

pub(super) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A browser's sign-in.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// The catalog's token.
    pub(super) token: Secret<String>,
    /// A random text, from which the token of forms is made.
    seed: String,
    /// Who signed in, to be shown.
    pub(super) who: Who,
}

/// The content of the cookie.
#[derive(Serialize, Deserialize)]
struct Wire {
    t: String,
    s: String,
    o: String,
    n: String,
    r: String,
    /// Cookies of older versions do not have it.
    #[serde(default)]
    g: bool,
}

/// What the console reads from a token that the API accepted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TokenTimes {
    /// When it was issued, in seconds since 1970.
    pub(super) issued_s: i64,
    /// When it expires, in seconds since 1970.
    pub(super) expires_s: i64,
}

impl Session {
    /// Begins a sign-in. `seed` is random.
    pub(super) fn new(token: Secret<String>, seed: Uuid, who: Who) -> Self {
        Self { token, seed: seed.simple().to_string(), who }
    }

    /// Returns the same sign-in with a newer token. Forms of open pages stay valid.
    pub(super) fn with_token(self, token: Secret<String>) -> Self {
        Self { token, ..self }
    }

    /// Returns the same sign-in with what is shown of its caller.
    pub(super) fn with_who(self, who: Who) -> Self {
        Self { who, ..self }
    }

    /// Reads the sign-in from a request's cookies.
    pub(super) fn read(headers: &HeaderMap, over_https: bool) -> Option<Self> {
        let Wire { t, s, o, n, r, g } = read_cookie(headers, name(over_https))?;
        let is_token = !t.is_empty() && t.bytes().all(|byte| byte.is_ascii_graphic());
        let who = Who { organisation: o, name: n, role: r, has_grants: g };
        is_token.then(|| Self { token: Secret::new(t), seed: s, who })
    }

    /// Returns the cookie. It ends with the browser's session, and its token before.
    pub(super) fn cookie(&self, over_https: bool) -> Option<HeaderValue> {
        let wire = Wire {
            t: self.token.expose().clone(),
            s: self.seed.clone(),
            o: self.who.organisation.clone(),
            n: self.who.name.clone(),
            r: self.who.role.clone(),
            g: self.who.has_grants,
        };
        let value = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&wire).ok()?);
        HeaderValue::try_from(format!("{}={value}; {}", name(over_https), attributes(over_https))).ok()
    }

    /// Returns the token that every form sends back. Only pages of this sign-in have it.
    pub(super) fn csrf(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(b"tidewater console form\0");
        digest.update(self.seed.as_bytes());
        URL_SAFE_NO_PAD.encode(digest.finalize())
    }

    /// Returns the times of the token. They are only used to renew it.
    pub(super) fn times(&self) -> TokenTimes {
        let claims = self.claims();
        let time = |name: &str| claims[name].as_i64().unwrap_or_default();
        TokenTimes { issued_s: time("iat"), expires_s: time("exp") }
    }

    /// Returns the organisation of the token, after the API has accepted it.
    pub(super) fn organisation(&self) -> Uuid {
        self.claims()["org"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// Returns the name in an operator's token, which the token endpoint has just issued. `None` for another token.
    pub(super) fn operator(&self) -> Option<String> {
        let claims = self.claims();
        let is_operators = claims["aud"] == OPERATOR_AUDIENCE;
        is_operators.then(|| claims["name"].as_str().unwrap_or_default().to_owned())
    }

    /// Returns the id of the API key that signed in. `None` for a user.
    pub(super) fn key(&self) -> Option<String> {
        let claims = self.claims();
        let is_user = claims["user"].as_bool().unwrap_or_default();
        claims["sub"].as_str().filter(|_| !is_user).map(str::to_owned)
    }

    fn claims(&self) -> Value {
        let payload = self.token.expose().split('.').nth(1).and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
        payload.and_then(|payload| serde_json::from_slice(&payload).ok()).unwrap_or_default()
    }
}

/// Reads the content of the first cookie of a name. `None` if there is none, or its content has another form.
pub(super) fn read_cookie<T: DeserializeOwned>(headers: &HeaderMap, wanted: &str) -> Option<T> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == wanted)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(value).ok()?).ok()
}

/// Returns the cookie that ends a sign-in.
pub(super) fn ended(over_https: bool) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("{}=; Max-Age=0; {}", name(over_https), attributes(over_https))).ok()
}

const fn name(over_https: bool) -> &'static str {
    if over_https { SECURE_NAME } else { PLAIN_NAME }
}

pub(super) const fn attributes(over_https: bool) -> &'static str {
    if over_https { "Path=/; HttpOnly; SameSite=Lax; Secure" } else { "Path=/; HttpOnly; SameSite=Lax" }
}

/// Returns whether a form was sent by a page of this server. `Sec-Fetch-Site` decides if the browser sends it, else `Origin`.
pub(super) fn is_same_origin(uri: &Uri, headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site == "same-origin";
    }
    let host = host(uri, headers);
    let mut origins = headers.get_all(ORIGIN).iter();
    let (Some(origin), None, Some(host)) = (origins.next(), origins.next(), host) else { return false };
    let of_origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    of_origin.is_some_and(|(_, of_origin)| !host.is_empty() && of_origin.eq_ignore_ascii_case(host))
}

/// Compares two texts without a hint at where they differ.
pub(super) fn is_equal(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |all, (one, other)| all | (one ^ other)) == 0
}

/// Returns the host and port of a request, as its client knows them. `None` if there are several, or none.
pub(super) fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        // HTTP/2 has the host in the address.
        (None, _) => uri.authority().map(Authority::as_str),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"iat":1,"exp":2,"org":"00000000-0000-0000-0000-000000000007"}"#);
        let who = Who {
            organisation: "größe".to_owned(),
            name: "a;b=c".to_owned(),
            role: "admin".to_owned(),
            has_grants: true,
        };
        Session::new(Secret::new(format!("h.{payload}.s")), Uuid::from_u128(1), who)
    }

    fn read(cookie: &str, over_https: bool) -> Option<Session> {
        let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(cookie).unwrap())]);
        Session::read(&headers, over_https)
    }

    #[test]
    fn cookie_gives_back_the_sign_in() {
        for over_https in [false, true] {
            let cookie = session().cookie(over_https).unwrap();
            let (pair, attributes) = cookie.to_str().unwrap().split_once("; ").unwrap();
            let found = read(&format!("other=1; {pair}"), over_https).unwrap();
            assert_eq!((found.token.expose(), &found.who), (session().token.expose(), &session().who));
            assert_eq!(found.csrf(), session().csrf());
            assert_eq!(found.times(), TokenTimes { issued_s: 1, expires_s: 2 });
            assert_eq!(found.organisation(), Uuid::from_u128(7));
            assert!(attributes.contains("HttpOnly") && attributes.contains("SameSite=Lax"));
            assert_eq!(attributes.contains("Secure"), over_https);
            assert!(read(pair, !over_https).is_none(), "a cookie of the other scheme is ignored");
        }
    }

    #[test]
    fn malformed_cookie_is_no_sign_in() {
        for cookie in ["", "tidewater-console=", "tidewater-console=%", "tidewater-console=e30", "tidewater-console"] {
            assert!(read(cookie, false).is_none(), "{cookie}");
        }
    }

    #[test]
    fn token_of_forms_differs_between_sign_ins() {
        let other = Session { seed: "other".to_owned(), ..session() };
        assert_ne!(session().csrf(), other.csrf());
        assert_eq!(session().csrf(), session().with_token(Secret::new("n.e.w".to_owned())).csrf());
    }

    #[test]
    fn equal_texts_are_equal() {
        assert!(is_equal("abc", "abc") && is_equal("", ""));
        assert!(!is_equal("abc", "abd") && !is_equal("abc", "ab") && !is_equal("", "a"));
    }

    #[test]
    fn only_pages_of_this_server_may_send_forms() {
        let check = |pairs: &[(HeaderName, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(name, HeaderValue::from_static(value));
            }
            is_same_origin(&Uri::from_static("/console/do"), &headers)
        };
        assert!(check(&[(SEC_FETCH_SITE, "same-origin")]));
        assert!(check(&[(HOST, "c.example:8181"), (ORIGIN, "http://C.example:8181")]));
        for refused in [
            &[][..],
            &[(SEC_FETCH_SITE, "same-site"), (HOST, "c"), (ORIGIN, "http://c")],
            &[(SEC_FETCH_SITE, "cross-site")],
            &[(HOST, "c")],
            &[(HOST, "c"), (ORIGIN, "null")],
            &[(HOST, "c"), (ORIGIN, "http://evil")],
            &[(HOST, "c"), (HOST, "evil"), (ORIGIN, "http://evil")],
            &[(HOST, ""), (ORIGIN, "http://")],
        ] {
            assert!(!check(refused), "{refused:?}");
        }
        let in_address = Uri::from_static("https://c.example/console/do");
        let headers = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static("https://c.example"))]);
        assert!(is_same_origin(&in_address, &headers));
    }
}
