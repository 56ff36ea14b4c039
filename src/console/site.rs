//! The server's service: the console before the API.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, LOCATION, VARY};
use axum::http::{HeaderValue, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tokio::time::Instant;

use super::pages;
use crate::api::{Api, ApiService, Machine, Visitor, wants_page};
use crate::auth::LastCredential;
use crate::config::ConsoleConfig;

/// The folder of the pages.
const FOLDER: &str = "/console";

/// The API, with the console before it.
#[derive(Clone)]
pub struct Site {
    api: ApiService,
    has_console: bool,
}

impl Site {
    /// Creates the service.
    #[must_use]
    pub const fn new(api: ApiService, console: &ConsoleConfig) -> Self {
        Self { api, has_console: console.enabled }
    }

    /// Returns the same service with other parts and settings. Continues the numbering of requests.
    #[must_use]
    pub fn with_api(&self, api: &Arc<Api>, console: &ConsoleConfig) -> Self {
        Self::new(self.api.with_api(api), console)
    }

    /// Returns a service with the routes for monitoring alone. They need no key.
    #[must_use]
    pub fn for_monitoring(&self) -> Self {
        Self { api: self.api.for_monitoring(), has_console: false }
    }

    /// Answers a request that this process made.
    pub async fn handle(&self, request: Request<Body>) -> Response {
        match self.belongs_here(&request) {
            true => Box::pin(self.page(Visitor::default(), request)).await,
            false => self.api.handle(request).await,
        }
    }

    /// Answers a request that arrived at `arrival` over a connection from `peer`. `last` is the credential of the connection's
    /// previous request.
    pub async fn handle_from(
        &self,
        peer: IpAddr,
        last: &Arc<LastCredential>,
        arrival: Instant,
        request: Request<Body>,
    ) -> Response {
        if self.belongs_here(&request) {
            let visitor = self.api.visitor(peer, last, &request);
            return Box::pin(self.page(visitor, request)).await;
        }
        self.api.handle_from(peer, last, arrival, request).await
    }

    /// Answers a request from the control socket or from this process, with the rights of the machine's user. The console has none of
    /// them.
    pub async fn handle_machine(&self, machine: Machine, request: Request<Body>) -> Response {
        self.api.handle_machine(machine, request).await
    }

    /// Returns whether the console answers a request: a page, or a browser at the root.
    fn belongs_here(&self, request: &Request<Body>) -> bool {
        let path = request.uri().path();
        let is_page = path.strip_prefix(FOLDER).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let is_root = path == "/";
        self.has_console && (is_page || (is_root && is_read(request.method()) && wants_page(request.headers())))
    }

    async fn page(&self, visitor: Visitor, request: Request<Body>) -> Response {
        let path = request.uri().path();
        match path.strip_prefix(FOLDER).and_then(|rest| rest.strip_prefix('/')) {
            // Relative, so that it is right below any path of a proxy.
            None => redirect("console/"),
            Some(page) => {
                let page = page.to_owned();
                let made = |request| pages::answer(&self.api, &visitor, &page, request).boxed();
                self.api.page(&visitor, pages::route(&page), request, made).await
            }
        }
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Leads a browser to the console.
fn redirect(to: &'static str) -> Response {
    let headers = [
        (LOCATION, HeaderValue::from_static(to)),
        (VARY, HeaderValue::from_static("accept")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (StatusCode::FOUND, headers).into_response()
}
