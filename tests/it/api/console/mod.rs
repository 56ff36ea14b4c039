//! Tests of the console: sign-in, protection of forms, pages and changes.

mod care;
mod changes;
mod operators;
mod pages;
mod people;
mod provider;
mod sign_in;

use axum::body::Body;
use axum::http::{Method, Request};

use crate::support::{Answer, Catalog, Tenant};

/// A browser: it keeps the cookie, and sends forms with the token of the last page.
pub(crate) struct Browser<'a> {
    catalog: &'a Catalog,
    pub(crate) cookie: String,
    pub(crate) csrf: String,
}

impl<'a> Browser<'a> {
    /// Opens a browser that is not signed in.
    pub(crate) fn new(catalog: &'a Catalog) -> Self {
        Self { catalog, cookie: String::new(), csrf: String::new() }
    }

    /// Signs in with a key, and opens the first page.
    pub(crate) async fn signed_in(catalog: &'a Catalog, key: &str) -> Self {
        let mut browser = Self::new(catalog);
        let answer = browser.post("sign-in", &[("key", key)]).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "home"), "{}", text(&answer));
        browser.page("home").await;
        assert!(!browser.csrf.is_empty());
        browser
    }

    /// Sends any request to a page, with more headers.
    pub(crate) async fn send(&mut self, method: Method, page: &str, headers: &[(&str, &str)], body: String) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("/console/{page}"));
        request = request.header("host", "lake.example:8181").header("accept", "text/html");
        if !self.cookie.is_empty() {
            request = request.header("cookie", &self.cookie);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.catalog.send(request.body(Body::from(body)).unwrap()).await;
        if let Some(set) = answer.headers.get("set-cookie") {
            set.to_str().unwrap().split(';').next().unwrap().clone_into(&mut self.cookie);
        }
        if let Some((_, after)) = text(&answer).split_once("name=\"csrf\" value=\"") {
            after.split('"').next().unwrap().clone_into(&mut self.csrf);
        }
        answer
    }

    /// Opens a page.
    pub(crate) async fn get(&mut self, page: &str) -> Answer {
        self.send(Method::GET, page, &[], String::new()).await
    }

    /// Opens a page that must be shown. Returns its text.
    pub(crate) async fn page(&mut self, page: &str) -> String {
        let answer = self.get(page).await;
        assert_eq!(answer.status, 200, "{page}: {}", text(&answer));
        text(&answer)
    }

    /// Sends a form like a page of the server does.
    pub(crate) async fn post(&mut self, page: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf.clone();
        let body = form_of(fields.iter().copied().chain([("csrf", csrf.as_str())]));
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", "http://lake.example:8181")];
        self.send(Method::POST, page, &headers, body).await
    }

    /// Sends a form that changes something, and opens the page that it leads to. Returns the page's text.
    pub(crate) async fn act(&mut self, fields: &[(&str, &str)]) -> String {
        let answer = self.post("do", fields).await;
        assert_eq!(answer.status, 303, "{fields:?}: {}", text(&answer));
        let to = answer.header("location").to_owned();
        self.page(&to).await
    }
}

/// Returns the body of a form.
pub(crate) fn form_of<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pairs = fields.map(|(name, value)| format!("{name}={}", tidewater_console::link::encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Returns an answer's body as text.
pub(crate) fn text(answer: &Answer) -> String {
    String::from_utf8(answer.bytes.clone()).unwrap()
}

/// Returns a catalog with a table `ns.t`, and its organisation.
pub(crate) async fn with_table() -> (Catalog, Tenant) {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    (catalog, tenant)
}
