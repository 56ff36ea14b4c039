//! What pages are made from, and the answers with them.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tidewater_console::link::{Link, encoded};
use tidewater_console::notice::{Kept, Notice, Refused};
use tidewater_console::table::Offer;
use tidewater_console::{Frame, Place};

use super::door::Door;
use super::query::Query;
use crate::api::{ApiService, Visitor};

/// A request for a page, before its sign-in is known to be valid.
pub(super) struct Visit<'a> {
    pub(super) api: &'a ApiService,
    pub(super) visitor: &'a Visitor,
    pub(super) agent: Option<&'a HeaderValue>,
    /// The server's address as the browser knows it, without a path.
    pub(super) address: String,
    /// Whether the browser sent a sign-in.
    pub(super) had_session: bool,
}

/// The content of an answer.
pub(super) enum Page {
    /// A page, or a part of one.
    Html(String),
    /// The browser goes on to a page.
    To(String),
}

/// What a page is made from: the way to the API, its own name, and its parameters.
pub(super) struct Asked<'a> {
    pub(super) door: &'a Door,
    pub(super) query: &'a Query,
    /// The server's address as the browser knows it, without a path.
    pub(super) address: &'a str,
    /// The relative link of the page.
    pub(super) own: &'a str,
    /// The form of the page that was refused just now.
    pub(super) said: Option<&'a Said>,
}

/// A refused form: why, and what was entered.
pub(super) struct Said {
    pub(super) refused: Refused,
    pub(super) kept: Kept,
}

impl Asked<'_> {
    /// Returns which sections the pages of a table link to.
    pub(super) fn offer(&self) -> Offer {
        Offer { is_admin: self.door.session.who.is_admin(), has_rows: self.door.api.has_preview() }
    }

    /// Returns the frame of the page, with a message about the change that led here.
    pub(super) fn frame(&self, title: &str, place: Place) -> Frame {
        let session = &self.door.session;
        let frame = Frame::new(title, place, &session.who, &session.csrf());
        Frame {
            notice: Notice::of_change(self.query.text("done"), self.query.text("then"), self.query.text("dropped")),
            refusal: self.said.map(|said| said.refused.clone()),
            kept: self.said.map(|said| said.kept.clone()),
            warehouse: self.query.text("w").to_owned(),
            own: self.own.to_owned(),
            ..frame
        }
    }
}

/// Returns the path of the visitor's organisation in the management API.
pub(super) fn organisation_path(asked: &Asked<'_>, below: &str) -> String {
    format!("/management/v1/organisations/{}{below}", encoded(&asked.door.session.who.organisation))
}

/// Leads to a page, with the word of the change that was made.
pub(super) fn done(page: &str, word: &str) -> Page {
    Page::To(Link::to(page).with("done", word).text())
}

/// Leads to a page, with the word of the change that was made, and the page that it leads to.
pub(super) fn done_then(page: &str, word: &str, then: &str) -> Page {
    Page::To(Link::to(page).with("done", word).with_some("then", Some(then)).text())
}

/// Returns an answer with a page, which nothing stores.
pub(super) fn html(status: StatusCode, text: String) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, text).into_response()
}

/// Leads the browser to another page with `GET`.
pub(super) fn redirect(page: &str) -> Response {
    let to = HeaderValue::try_from(page).unwrap_or(HeaderValue::from_static("home"));
    (StatusCode::SEE_OTHER, [(LOCATION, to), (CACHE_CONTROL, HeaderValue::from_static("no-store"))]).into_response()
}

/// Says when a refused request may be repeated.
pub(super) fn with_retry_after(mut response: Response, retry_after: Option<HeaderValue>) -> Response {
    if let Some(retry_after) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, retry_after);
    }
    response
}

/// Adds a cookie to an answer, if there is one.
pub(super) fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}
