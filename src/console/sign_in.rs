//! Sign-in with an API key, its renewal, and sign-out.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, Request, StatusCode, Uri};
use axum::response::Response;
use serde_json::Value;
use tidewater_console::frame::render;
use tidewater_console::link::{Link, is_own};
use tidewater_console::sign_in::SignInPage;
use tidewater_console::{Frame, Who, texts as t};

use super::door::{Door, send};
use super::page::{Visit, html, redirect, with_cookie};
use super::query::Query;
use super::session::{Session, ended};
use crate::base::clock::fresh_uuid;
use crate::base::secret::Secret;

const TOKENS: &str = "/v1/oauth/tokens";

/// Shows the sign-in page.
pub(super) fn show(query: &Query) -> Response {
    let refused = match query.text("why") {
        "ended" => Some(t::ENDED.to_owned()),
        "out" => Some(t::SIGNED_OUT.to_owned()),
        _ => None,
    };
    page(StatusCode::OK, refused, query.text("next"))
}

fn page(status: StatusCode, refused: Option<String>, next: &str) -> Response {
    let next = if is_own(next) { next.to_owned() } else { String::new() };
    let page = SignInPage { frame: Frame::anonymous(t::SIGN_IN), refused, next };
    html(status, render(&page))
}

/// Exchanges the key of the form for a token, and puts this into the browser's cookie.
pub(super) async fn sign_in(visit: &Visit<'_>, form: &Query) -> Response {
    let key = form.text("key").trim();
    let fields = [("grant_type", "client_credentials"), ("client_secret", key), ("scope", "catalog")];
    let next = form.text("next");
    let token = match token(visit, &fields).await {
        Ok(token) => token,
        Err(refused) => {
            return page(refused.status, Some(refused.message), next);
        }
    };
    let unknown = Session::new(token, fresh_uuid(), Who::default());
    let door = Door::new(visit.api, visit.visitor, unknown, visit.agent.cloned());
    let caller = match door.get("/management/v1/who-am-i").await {
        Ok(caller) => caller,
        Err(refusal) => return page(refusal.status, Some(refusal.message), next),
    };
    let name = |of: &str| caller[of]["name"].as_str().map(str::to_owned);
    let who = Who {
        organisation: name("organisation").unwrap_or_default(),
        name: name("key").or_else(|| name("user")).unwrap_or_default(),
        role: caller["role"].as_str().unwrap_or_default().to_owned(),
    };
    let session = door.session.with_who(who);
    let to = if is_own(next) && !next.is_empty() { next } else { "home" };
    with_cookie(redirect(to), session.cookie(visit.visitor.over_https))
}

/// Ends the sign-in of the browser. The token ends by itself.
pub(super) fn sign_out(visit: &Visit<'_>) -> Response {
    with_cookie(redirect("sign-in?why=out"), ended(visit.visitor.over_https))
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
    let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    let old = session.token.expose().clone();
    let fields = [("grant_type", exchange), ("subject_token", &*old), ("subject_token_type", kind)];
    let token = token(visit, &fields).await.ok()?;
    Some(session.clone().with_token(token))
}

/// Why no token was issued.
struct Refused {
    status: StatusCode,
    message: String,
}

/// Asks the token endpoint, which limits guesses and records sign-ins.
async fn token(visit: &Visit<'_>, fields: &[(&str, &str)]) -> Result<Secret<String>, Refused> {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(TOKENS);
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let (status, _, body) = send(visit.api, visit.visitor, visit.agent, request).await;
    let body = body.ok().and_then(|body| serde_json::from_slice::<Value>(&body).ok()).unwrap_or_default();
    match body["access_token"].as_str() {
        Some(token) if status.is_success() => Ok(Secret::new(token.to_owned())),
        _ => {
            let message = body["error_description"].as_str().or_else(|| body["error"]["message"].as_str());
            Err(Refused { status, message: message.unwrap_or(t::UNREADABLE).to_owned() })
        }
    }
}
