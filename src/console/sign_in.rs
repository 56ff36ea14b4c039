//! Sign-in with an API key, its renewal, and sign-out. `provider.rs` has the sign-in with an identity provider.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, Request, StatusCode, Uri};
use axum::response::Response;
use serde_json::Value;
use tidewater_console::frame::{OPERATOR, render};
use tidewater_console::link::{Link, is_own};
use tidewater_console::sign_in::SignInPage;
use tidewater_console::{Frame, Who, texts as t};

use super::door::{Door, Refusal, send};
use super::page::{Visit, html, redirect, with_cookie, with_retry_after};
use super::query::Query;
use super::session::{Session, ended};
use crate::base::clock::fresh_uuid;
use crate::base::secret::Secret;

const TOKENS: &str = "/v1/oauth/tokens";

/// The grant that exchanges a token for another (RFC 8693).
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// The page where a sign-in with an identity provider begins.
pub(super) const BEGIN: &str = "sign-in-with";

/// Shows the sign-in page.
pub(super) fn show(visit: &Visit<'_>, query: &Query) -> Response {
    let refused = match query.text("why") {
        "ended" => Some(t::ENDED.to_owned()),
        "out" => Some(t::SIGNED_OUT.to_owned()),
        "lost" => Some(t::SIGNED_OUT_ELSEWHERE.to_owned()),
        _ => None,
    };
    page(visit, StatusCode::OK, refused, query.text("next"))
}

fn page(visit: &Visit<'_>, status: StatusCode, refused: Option<String>, next: &str) -> Response {
    let next = if is_own(next) { next.to_owned() } else { String::new() };
    let providers = visit.api.console_issuers().into_iter().map(|issuer| {
        let begin = Link::to(BEGIN).with("issuer", &issuer.name).with_some("next", Some(&next)).text();
        (issuer.name, begin)
    });
    let page =
        SignInPage { frame: Frame::anonymous(t::SIGN_IN), refused, providers: providers.collect(), next: next.clone() };
    html(status, render(&page))
}

/// Shows the sign-in page with the reason why a sign-in was refused.
pub(super) fn refused(visit: &Visit<'_>, refusal: Refusal, next: &str) -> Response {
    with_retry_after(page(visit, refusal.status, Some(refusal.message), next), refusal.retry_after)
}

/// Exchanges the key of the form for a token, and puts this into the browser's cookie.
pub(super) async fn sign_in(visit: &Visit<'_>, form: &Query) -> Response {
    let key = form.text("key").trim();
    let fields = [("grant_type", "client_credentials"), ("client_secret", key), ("scope", "catalog operator")];
    let next = form.text("next");
    match token(visit, &fields).await {
        Ok(token) => signed_in(visit, token, next).await,
        Err(refusal) => refused(visit, refusal, next),
    }
}

/// Puts a token into the browser's cookie, and leads to the page `next`.
pub(super) async fn signed_in(visit: &Visit<'_>, token: Secret<String>, next: &str) -> Response {
    let unknown = Session::new(token, fresh_uuid(), Who::default());
    let to = if is_own(next) && !next.is_empty() { next } else { "home" };
    if let Some(name) = unknown.operator() {
        let who = Who { name, role: OPERATOR.to_owned(), ..Who::default() };
        return with_cookie(redirect(to), unknown.with_who(who).cookie(visit.visitor.over_https));
    }
    let door = Door::new(visit.api, visit.visitor, unknown, visit.agent.cloned());
    let caller = match door.get("/management/v1/who-am-i").await {
        Ok(caller) => caller,
        Err(refusal) => return refused(visit, refusal, next),
    };
    let name = |of: &str| caller[of]["name"].as_str().map(str::to_owned);
    let who = Who {
        organisation: name("organisation").unwrap_or_default(),
        name: name("key").or_else(|| name("user")).unwrap_or_default(),
        role: caller["role"].as_str().unwrap_or_default().to_owned(),
        has_grants: caller["roles"].as_array().is_some_and(|roles| !roles.is_empty()),
    };
    let session = door.session.with_who(who);
    with_cookie(redirect(to), session.cookie(visit.visitor.over_https))
}

/// Ends the sign-in of the browser. The token ends by itself.
pub(super) fn sign_out(visit: &Visit<'_>) -> Response {
    with_cookie(redirect("sign-in?why=out"), ended(visit.visitor.over_https))
}

/// Leads a browser that sent a form without a sign-in, such as after a sign-out in another tab, to the sign-in page, and from there back to
/// the form's page.
pub(super) fn lost(next: &str) -> Response {
    redirect(&Link::to("sign-in").with("why", "lost").with("next", next).text())
}

/// Leads a browser whose sign-in has ended to the sign-in page, and from there back to `next`.
pub(super) fn again(visit: &Visit<'_>, next: &str) -> Response {
    let why = if visit.had_session { "ended" } else { "" };
    let to = Link::to("sign-in").with_some("why", Some(why)).with_some("next", Some(next)).text();
    let response = redirect(&to);
    if visit.had_session { with_cookie(response, ended(visit.visitor.over_https)) } else { response }
}

/// Exchanges a token that is past half of its life for a newer one. Returns the sign-in with it, or `None` if it need not or cannot be
/// renewed: then the page is made with the old token.
pub(super) async fn renewed(visit: &Visit<'_>, session: &Session) -> Option<Session> {
    let (times, now_s) = (session.times(), visit.api.now_ms().div_euclid(1_000));
    let half_s = times.issued_s.saturating_add((times.expires_s.saturating_sub(times.issued_s)) / 2);
    if now_s < half_s || now_s >= times.expires_s {
        return None;
    }
    let kind = "urn:ietf:params:oauth:token-type:access_token";
    let old = session.token.expose().as_str();
    let fields = [("grant_type", EXCHANGE), ("subject_token", old), ("subject_token_type", kind)];
    let token = token(visit, &fields).await.ok()?;
    Some(session.clone().with_token(token))
}

/// Exchanges a token of an identity provider for one of the catalog.
///
/// # Errors
/// The refusal of the token endpoint.
pub(super) async fn exchanged(
    visit: &Visit<'_>,
    token_of_provider: &Secret<String>,
) -> Result<Secret<String>, Refusal> {
    let kind = "urn:ietf:params:oauth:token-type:jwt";
    let fields = [
        ("grant_type", EXCHANGE),
        ("subject_token", token_of_provider.expose().as_str()),
        ("subject_token_type", kind),
    ];
    token(visit, &fields).await
}

/// Asks the token endpoint, which limits guesses and records sign-ins.
async fn token(visit: &Visit<'_>, fields: &[(&str, &str)]) -> Result<Secret<String>, Refusal> {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(TOKENS);
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let reply = send(visit.api, visit.visitor, visit.agent, request).await;
    let body = reply.body.as_ref().ok().and_then(|body| serde_json::from_slice::<Value>(body).ok()).unwrap_or_default();
    match body["access_token"].as_str() {
        Some(token) if reply.status.is_success() => Ok(Secret::new(token.to_owned())),
        _ => {
            let message = body["error_description"].as_str().or_else(|| body["error"]["message"].as_str());
            Err(reply.refusal(String::new(), message.unwrap_or(t::UNREADABLE).to_owned()))
        }
    }
}
