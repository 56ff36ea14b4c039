//! Sign-in with an identity provider: the browser goes to the provider, and comes back with a code. The server exchanges the code for
//! the provider's tokens, and one of these for a token of the catalog, as `tidewater login` does.
//!
//! docs/decisions/0089 says how an answer is bound to the browser that began the sign-in.

use axum::http::header::REFERER;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use tidewater_console::link::{Link, is_own};
use tidewater_console::texts::people as p;

use super::door::Refusal;
use super::page::{Visit, redirect, with_cookie};
use super::pending::{Pending, ended};
use super::query::Query;
use super::session::{SEC_FETCH_SITE, host, is_equal};
use super::sign_in::{exchanged, refused, signed_in};
use crate::auth::{CodeError, CodeRequest, pkce};
use crate::base::secret::Secret;
use crate::config::IssuerConfig;

pub(super) use super::sign_in::BEGIN;

/// The page to which providers send browsers back.
pub(super) const CALLBACK: &str = "signed-in";

/// The longest page to return to, in bytes: it must fit into the cookie.
const MAX_NEXT_BYTES: usize = 1_000;

/// The longest address of the console, in bytes.
const MAX_ADDRESS_BYTES: usize = 500;

/// The longest code, in bytes.
const MAX_CODE_BYTES: usize = 4_096;

/// The longest text of a provider's error that is shown, in characters.
const MAX_ERROR_CHARS: usize = 300;

/// Leads a browser to a provider. Another site cannot begin a sign-in: its link leads to the sign-in page.
pub(super) async fn begin(visit: &Visit<'_>, parts: &Parts, query: &Query) -> Response {
    let next = own(query.text("next"));
    let host = host(&parts.uri, &parts.headers).unwrap_or_default();
    let Some(redirect_uri) = redirect_uri(&visit.address, host, &parts.headers) else {
        return redirect(&Link::to("sign-in").with_some("next", Some(next)).text());
    };
    let Some(config) = find(visit, query.text("issuer")) else {
        return refused(visit, Refusal::new(StatusCode::NOT_FOUND, p::PROVIDER_UNKNOWN), next);
    };
    let texts = || Ok::<_, getrandom::Error>((pkce::random_text()?, pkce::random_text()?, pkce::random_text()?));
    let Ok((state, nonce, verifier)) = texts() else {
        return refused(visit, failed(StatusCode::INTERNAL_SERVER_ERROR, ""), next);
    };
    let begun_s = visit.api.now_ms().div_euclid(1_000);
    let (issuer, next) = (config.name.clone(), next.to_owned());
    let pending = Pending { issuer, state, nonce, verifier, redirect_uri, next, begun_s };
    match visit.api.code_grant().address(&config, request(&pending)).await {
        Ok(address) => with_cookie(redirect(&address), pending.cookie(visit.visitor.over_https)),
        Err(error) => refused(visit, refusal(error), &pending.next),
    }
}

/// Signs a browser in that comes back from a provider. The sign-in ends in any case: an answer counts once.
pub(super) async fn finish(visit: &Visit<'_>, headers: &HeaderMap, query: &Query) -> Response {
    let over_https = visit.visitor.over_https;
    let now_s = visit.api.now_ms().div_euclid(1_000);
    let pending = Pending::read(headers, over_https, now_s);
    // An answer to another sign-in does not end this one.
    let state = query.text("state");
    let Some(pending) = pending.filter(|pending| !state.is_empty() && is_equal(&pending.state, state)) else {
        return refused(visit, Refusal::new(StatusCode::BAD_REQUEST, p::PROVIDER_STATE), "");
    };
    let next = own(&pending.next).to_owned();
    let response = match token(visit, &pending, query).await {
        Ok(token) => signed_in(visit, token, &next).await,
        Err(refusal) => refused(visit, refusal, &next),
    };
    with_cookie(response, ended(over_https))
}

/// Exchanges a provider's answer for a token of the catalog.
async fn token(visit: &Visit<'_>, pending: &Pending, query: &Query) -> Result<Secret<String>, Refusal> {
    let config =
        find(visit, &pending.issuer).ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, p::PROVIDER_UNKNOWN))?;
    // RFC 9207: an answer says which provider it is from.
    if query.get("iss").is_some_and(|issuer| !config.spellings().any(|spelling| spelling == issuer)) {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, p::PROVIDER_STATE));
    }
    if let Some(error) = query.get("error") {
        let text = [Some(error), query.get("error_description")].into_iter().flatten().collect::<Vec<_>>().join(": ");
        return Err(failed(StatusCode::FORBIDDEN, &text.chars().take(MAX_ERROR_CHARS).collect::<String>()));
    }
    let code = query.get("code").filter(|code| code.len() <= MAX_CODE_BYTES);
    let code = code.ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, p::PROVIDER_STATE))?;
    let code = Secret::new(code.to_owned());
    let tokens = visit.api.code_grant().exchange(&config, request(pending), &code).await.map_err(refusal)?;
    let mut first = None;
    for token in &tokens {
        match exchanged(visit, token).await {
            Ok(token) => return Ok(token),
            Err(refusal) if refusal.status == StatusCode::BAD_REQUEST => first = first.or(Some(refusal)),
            Err(refusal) => return Err(refusal),
        }
    }
    Err(first.unwrap_or_else(|| failed(StatusCode::BAD_GATEWAY, "")))
}

fn find(visit: &Visit<'_>, name: &str) -> Option<IssuerConfig> {
    visit.api.console_issuers().into_iter().find(|issuer| issuer.name == name)
}

fn request(pending: &Pending) -> CodeRequest<'_> {
    let Pending { redirect_uri, state, nonce, verifier, .. } = pending;
    CodeRequest { redirect_uri, state, nonce, verifier }
}

fn refusal(error: CodeError) -> Refusal {
    match error {
        CodeError::Busy => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, p::PROVIDER_BUSY),
        CodeError::Refused(why) => failed(StatusCode::FORBIDDEN, &why),
        CodeError::Failed(why) => failed(StatusCode::BAD_GATEWAY, &why),
    }
}

fn failed(status: StatusCode, why: &str) -> Refusal {
    let message =
        if why.is_empty() { format!("{}.", p::PROVIDER_FAILED) } else { format!("{}: {why}", p::PROVIDER_FAILED) };
    Refusal::new(status, &message)
}

/// Returns a page of the console to return to, or an empty text for another address.
fn own(next: &str) -> &str {
    if is_own(next) && next.len() <= MAX_NEXT_BYTES { next } else { "" }
}

/// Returns the address to which the provider sends the browser back. It is beside the sign-in page, whose address the browser names: a
/// proxy may add a path that this server does not know. `None` if the request comes from another page. `host` is the one of the request,
/// and `address` the server's as the browser knows it, if the browser names no page.
fn redirect_uri(address: &str, host: &str, headers: &HeaderMap) -> Option<String> {
    let site = headers.get(SEC_FETCH_SITE);
    let Some(page) = headers.get(REFERER) else {
        let is_here = site.is_none_or(|site| site == "same-origin");
        return (is_here && !host.is_empty()).then(|| format!("{address}/console/{CALLBACK}"));
    };
    let page = page.to_str().ok()?.split(['?', '#']).next()?;
    let folder = ["sign-in", CALLBACK].into_iter().find_map(|name| page.strip_suffix(name))?;
    let folder = folder.strip_suffix("/console/")?;
    let (scheme, rest) = folder.split_once("://")?;
    let of_page = rest.split('/').next()?;
    let is_here = match site {
        Some(site) => site == "same-origin",
        None => !host.is_empty() && of_page.eq_ignore_ascii_case(host),
    };
    let is_web = matches!(scheme, "http" | "https") && folder.len() <= MAX_ADDRESS_BYTES;
    (is_here && is_web).then(|| format!("{folder}/console/{CALLBACK}"))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn found(pairs: &[(HeaderName, &'static str)]) -> Option<String> {
        let headers = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        redirect_uri("http://c:1", "c:1", &headers.collect())
    }

    #[test]
    fn provider_sends_the_browser_back_to_the_folder_of_the_sign_in_page() {
        let page = |address| found(&[(REFERER, address)]);
        assert_eq!(page("http://c:1/console/sign-in?next=a").as_deref(), Some("http://c:1/console/signed-in"));
        assert_eq!(page("http://C:1/lake/a/console/sign-in").as_deref(), Some("http://C:1/lake/a/console/signed-in"));
        assert_eq!(page("http://c:1/console/signed-in?code=x").as_deref(), Some("http://c:1/console/signed-in"));
        let behind = [(SEC_FETCH_SITE, "same-origin"), (REFERER, "https://lake.example/x/console/sign-in")];
        assert_eq!(
            found(&behind).as_deref(),
            Some("https://lake.example/x/console/signed-in"),
            "a proxy with another host"
        );
        assert_eq!(found(&[]).as_deref(), Some("http://c:1/console/signed-in"), "a browser that names no page");
    }

    #[test]
    fn sign_in_does_not_begin_from_another_page() {
        for pairs in [
            &[(REFERER, "http://evil/console/sign-in")][..],
            &[(REFERER, "http://c:1/console/home")],
            &[(REFERER, "http://c:1.evil/console/sign-in")],
            &[(REFERER, "http://c:1@evil/console/sign-in")],
            &[(REFERER, "javascript://c:1/console/sign-in")],
            &[(SEC_FETCH_SITE, "cross-site"), (REFERER, "http://c:1/console/sign-in")],
            &[(SEC_FETCH_SITE, "cross-site")],
            &[(SEC_FETCH_SITE, "none")],
        ] {
            assert_eq!(found(pairs), None, "{pairs:?}");
        }
        assert_eq!(redirect_uri("http://", "", &HeaderMap::new()), None);
    }

    #[test]
    fn only_pages_of_the_console_are_returned_to() {
        assert_eq!((own("browse?w=a"), own("//evil"), own(&"a".repeat(2_000))), ("browse?w=a", "", ""));
    }
}
