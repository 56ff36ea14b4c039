//! Every page of the console, and what all answers to browsers have in common.

use axum::body::{Body, to_bytes};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, USER_AGENT,
    X_FRAME_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use tidewater_console::assets::{self, Asset};
use tidewater_console::frame::{ErrorPage, render};
use tidewater_console::notice::Refused;
use tidewater_console::{Frame, Place, texts as t};

use super::door::{Door, Refusal};
use super::page::{Asked, Page, Said, Visit, html, redirect, with_cookie, with_retry_after};
use super::query::Query;
use super::session::{Session, host, is_equal, is_same_origin};
use super::{
    access, actions, browse, events, files, key, manage, operate, provider, rollback, rows, sign_in, table, upkeep,
    warehouses,
};
use crate::api::{ApiService, Visitor};

/// The largest form, in bytes.
const MAX_FORM_BYTES: usize = 128 << 10;

/// What pages may load: files of this server alone. There are no scripts and styles inside of pages.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// Every page with its name in the log and in metrics.
const ROUTES: &[(&str, &str)] = &[
    ("", "/console/home"),
    ("access", "/console/access"),
    ("bin", "/console/bin"),
    ("browse", "/console/browse"),
    ("catalog-role", "/console/catalog-role"),
    ("catalog-roles", "/console/catalog-roles"),
    ("connect", "/console/connect"),
    ("do", "/console/do"),
    ("doctor", "/console/doctor"),
    ("events", "/console/events"),
    ("files", "/console/files"),
    ("history", "/console/history"),
    ("home", "/console/home"),
    ("key", "/console/key"),
    ("keys", "/console/keys"),
    ("maintenance", "/console/maintenance"),
    ("organisation", "/console/organisation"),
    ("organisations", "/console/organisations"),
    ("principal-role", "/console/principal-role"),
    ("principal-roles", "/console/principal-roles"),
    ("principals", "/console/principals"),
    ("roll-back", "/console/roll-back"),
    ("rows", "/console/rows"),
    ("run", "/console/run"),
    ("server", "/console/server"),
    ("sign-in", "/console/sign-in"),
    (provider::BEGIN, "/console/sign-in-with"),
    ("sign-out", "/console/sign-out"),
    (provider::CALLBACK, "/console/signed-in"),
    ("slow-requests", "/console/slow-requests"),
    ("subscription", "/console/subscription"),
    ("subscriptions", "/console/subscriptions"),
    ("table", "/console/table"),
    ("tree", "/console/tree"),
    ("usage", "/console/usage"),
    ("users", "/console/users"),
    ("view", "/console/view"),
    ("warehouse", "/console/warehouse"),
    ("warehouses", "/console/warehouses"),
];

/// The name in the log and in metrics of files, and of pages that do not exist.
const FILES: &str = "/console/{file}";

/// Returns the name of a page in the log and in metrics. There are as many as pages.
pub(super) fn route(page: &str) -> &'static str {
    ROUTES.iter().find(|(name, _)| *name == page).map_or(FILES, |(_, route)| route)
}

/// Answers a request for a page. `name` is the path below the console.
pub(super) async fn answer(api: &ApiService, visitor: &Visitor, name: &str, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let is_read = matches!(parts.method, Method::GET | Method::HEAD);
    if is_read && let Some(asset) = assets::find(name) {
        return file(asset);
    }
    if let Some(page) = out_of_folders(name) {
        return redirect(&page);
    }
    let session = Session::read(&parts.headers, visitor.over_https);
    let had_session = session.is_some();
    let scheme = if visitor.over_https { "https" } else { "http" };
    let address = format!("{scheme}://{}", host(&parts.uri, &parts.headers).unwrap_or_default());
    let visit = Visit { api, visitor, agent: parts.headers.get(USER_AGENT), address, had_session };
    let mut response = match (&parts.method, name) {
        (&Method::GET | &Method::HEAD, "sign-in") => sign_in::show(&visit, &query_of(&parts)),
        (&Method::GET | &Method::HEAD, provider::BEGIN) => provider::begin(&visit, &parts, &query_of(&parts)).await,
        (&Method::GET | &Method::HEAD, provider::CALLBACK) => {
            provider::finish(&visit, &parts.headers, &query_of(&parts)).await
        }
        (&Method::GET | &Method::HEAD, _) => read(&visit, session, name, &parts).await,
        (&Method::POST, _) => match form(&parts, body).await {
            Ok(form) if is_same_origin(&parts.uri, &parts.headers) => post(&visit, session, name, &form).await,
            Ok(_) => refused(Frame::anonymous(t::REFUSED_HEADING), t::REFUSED_HEADING, not_from_here(), "home"),
            Err(refusal) => refused(Frame::anonymous(t::REFUSED_HEADING), t::REFUSED_HEADING, refusal, "home"),
        },
        _ => (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, HeaderValue::from_static("GET, HEAD, POST"))]).into_response(),
    };
    add_headers(&mut response);
    response
}

/// Returns the address of the page that says that nothing is here, for an address below a page. The links of pages are relative, so
/// there they would lead to other such addresses.
fn out_of_folders(name: &str) -> Option<String> {
    let levels = name.matches('/').count();
    (levels > 0).then(|| format!("{}not-found", "../".repeat(levels)))
}

fn query_of(parts: &Parts) -> Query {
    Query::parse(parts.uri.query().unwrap_or_default().as_bytes())
}

async fn form(parts: &Parts, body: Body) -> Result<Query, Refusal> {
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(not_from_here());
    }
    let too_long = |_| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, t::TOO_LONG);
    Ok(Query::parse(&to_bytes(body, MAX_FORM_BYTES).await.map_err(too_long)?))
}

fn not_from_here() -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, t::REFUSED_FORM)
}

/// Answers a request for a page of a signed-in browser.
async fn read(visit: &Visit<'_>, session: Option<Session>, name: &str, parts: &Parts) -> Response {
    let own = own_link(name, parts.uri.query());
    let Some(session) = session else { return sign_in::again(visit, &own) };
    let renewed = sign_in::renewed(visit, &session).await;
    let cookie = renewed.as_ref().and_then(|session| session.cookie(visit.visitor.over_https));
    let door = Door::new(visit.api, visit.visitor, renewed.unwrap_or(session), visit.agent.cloned());
    let query = query_of(parts);
    let asked = Asked { door: &door, query: &query, address: &visit.address, own: &own, said: None };
    let made = show(&asked, name).await;
    with_cookie(finished(visit, &door, made, &own, false), cookie)
}

/// Makes a page.
async fn show(asked: &Asked<'_>, name: &str) -> Result<Page, Refusal> {
    match name {
        "" | "home" if asked.door.session.who.is_operator() => Ok(Page::To("organisations".to_owned())),
        "" | "home" => browse::home(asked).await,
        "browse" => browse::show(asked).await,
        "tree" => browse::tree(asked).await,
        "bin" => browse::bin(asked).await,
        "table" => table::table(asked).await,
        "view" => table::view(asked).await,
        "roll-back" => rollback::preview(asked).await,
        "rows" => rows::show(asked).await,
        "files" => files::show(asked).await,
        "maintenance" => upkeep::show(asked).await,
        "run" => upkeep::run(asked).await,
        "connect" | "doctor" => manage::connect(asked).await,
        "keys" => manage::keys(asked, None).await,
        "access" => manage::access(asked).await,
        "usage" => manage::usage(asked).await,
        "history" => manage::history(asked).await,
        "principals" => access::principals(asked).await,
        "users" => access::users(asked).await,
        "principal-roles" => access::principal_roles(asked).await,
        "principal-role" => access::principal_role(asked).await,
        "catalog-roles" => access::catalog_roles(asked).await,
        "catalog-role" => access::catalog_role(asked).await,
        "key" => key::show(asked).await,
        "warehouses" => warehouses::list(asked).await,
        "warehouse" => warehouses::show(asked).await,
        "events" => events::list(asked).await,
        "subscriptions" => events::subscriptions(asked).await,
        "subscription" => events::subscription(asked).await,
        "organisations" => operate::organisations(asked).await,
        "organisation" => operate::organisation(asked).await,
        "server" => operate::server(asked).await,
        "slow-requests" => operate::slow_requests(asked).await,
        _ => Err(Refusal::new(StatusCode::NOT_FOUND, t::MISSING_PAGE)),
    }
}

/// Returns the link of a page without the parameters of a part or a message.
fn own_link(name: &str, query: Option<&str>) -> String {
    let kept: Vec<&str> = query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| {
            !pair.is_empty() && !["done=", "then=", "dropped=", "part="].iter().any(|own| pair.starts_with(own))
        })
        .collect();
    let name = if name.is_empty() { "home" } else { name };
    if kept.is_empty() { name.to_owned() } else { format!("{name}?{}", kept.join("&")) }
}

/// Answers a form of a page of this server.
async fn post(visit: &Visit<'_>, session: Option<Session>, name: &str, form: &Query) -> Response {
    if name == "sign-in" {
        return sign_in::sign_in(visit, form).await;
    }
    let Some(session) = session else {
        return if name == "sign-out" { sign_in::sign_out(visit) } else { sign_in::lost(&actions::back(form)) };
    };
    if !is_equal(&session.csrf(), form.text("csrf")) {
        return refused(Frame::anonymous(t::REFUSED_HEADING), t::REFUSED_HEADING, not_from_here(), "home");
    }
    if name == "sign-out" {
        return sign_in::sign_out(visit);
    }
    let door = Door::new(visit.api, visit.visitor, session, visit.agent.cloned());
    let back = actions::back(form);
    let asked = Asked { door: &door, query: form, address: &visit.address, own: &back, said: None };
    let made = match name {
        "do" => actions::act(&asked).await,
        "doctor" => manage::connect(&asked).await,
        _ => Err(Refusal::new(StatusCode::NOT_FOUND, t::MISSING_PAGE)),
    };
    match made {
        Err(refusal) if !refusal.is_signed_out() => reopened(visit, &door, refusal, &back, form).await,
        made => finished(visit, &door, made, &back, true),
    }
}

/// Answers a refused form with its page: it says why, and the form is open with what was entered.
async fn reopened(visit: &Visit<'_>, door: &Door, refusal: Refusal, back: &str, form: &Query) -> Response {
    let Refusal { message, kind, request_id, .. } = &refusal;
    let refused = Refused { message: message.clone(), kind: kind.clone(), request_id: request_id.clone() };
    let said = Said { refused, kept: form.kept() };
    let (name, query) = back.split_once('?').unwrap_or((back, ""));
    let query = Query::parse(query.as_bytes());
    // The calls of the refused form are not those of the page.
    door.take_calls();
    let asked = Asked { door, query: &query, address: &visit.address, own: back, said: Some(&said) };
    match show(&asked, name).await {
        Ok(Page::Html(text)) => with_retry_after(html(refusal.status, text), refusal.retry_after),
        _ => finished(visit, door, Err(refusal), back, true),
    }
}

/// Returns the answer with a page, or says why there is none. `is_form` is false for a page that only reads.
fn finished(visit: &Visit<'_>, door: &Door, made: Result<Page, Refusal>, own: &str, is_form: bool) -> Response {
    match made {
        Ok(Page::Html(text)) => html(StatusCode::OK, text),
        Ok(Page::To(page)) => redirect(&page),
        Err(refusal) if refusal.is_signed_out() => sign_in::again(visit, own),
        Err(refusal) => {
            let heading = match refusal.status {
                _ if is_form => t::REFUSED_HEADING,
                StatusCode::NOT_FOUND => t::MISSING_HEADING,
                _ => t::FAILED_HEADING,
            };
            let frame = Frame::new(heading, Place::Elsewhere, &door.session.who, &door.session.csrf());
            refused(frame, heading, refusal, if is_form { own } else { "home" })
        }
    }
}

fn refused(frame: Frame, heading: &str, refusal: Refusal, back: &str) -> Response {
    let Refusal { status, kind, message, request_id, retry_after } = refusal;
    let page = ErrorPage { frame, heading: heading.to_owned(), message, kind, request_id, back: back.to_owned() };
    with_retry_after(html(status, render(&page)), retry_after)
}

/// Returns a file. Its name has a hash of its content, so browsers may keep it.
fn file(asset: &'static Asset) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(asset.content_type)),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    let mut response = (headers, asset.content).into_response();
    add_headers(&mut response);
    response
}

fn add_headers(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // Not `no-referrer`, with which browsers send forms without their origin.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    for name in ["cross-origin-opener-policy", "cross-origin-resource-policy"] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static("same-origin"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_below_a_page_leads_out_of_it() {
        assert_eq!(out_of_folders("keys"), None);
        assert_eq!(out_of_folders("keys/").as_deref(), Some("../not-found"));
        assert_eq!(out_of_folders("a//b").as_deref(), Some("../../not-found"));
    }

    #[test]
    fn own_link_has_no_message_and_no_part() {
        assert_eq!(own_link("browse", Some("w=a&done=x&q=b&part=lists&then=y&dropped=0")), "browse?w=a&q=b");
        assert_eq!((own_link("", None), own_link("keys", Some("done=x"))), ("home".to_owned(), "keys".to_owned()));
    }

    #[test]
    fn pages_have_names_and_others_share_one() {
        assert_eq!(
            (route("keys"), route(""), route("x"), route("../keys")),
            ("/console/keys", "/console/home", FILES, FILES)
        );
    }
}
