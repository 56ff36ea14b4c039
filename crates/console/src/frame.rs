//! What all pages have in common: head, navigation, messages, and the calls that show the same.

use askama::Template;

use crate::assets;
use crate::link::Link;
use crate::notice::{Kept, Notice, Refused};
use crate::texts::{self as t, operators as o};

/// The part of the console to which a page belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Warehouses, namespaces, tables and views.
    Catalog,
    /// How clients connect.
    Connect,
    /// API keys.
    Keys,
    /// Roles, grants and explanations.
    Access,
    /// The settings of warehouses.
    Warehouses,
    /// Events and their subscriptions.
    Events,
    /// Usage against limits.
    Usage,
    /// Audit records.
    History,
    /// All organisations, for operators.
    Organisations,
    /// The state of the server, for operators.
    Server,
    /// The slowest requests, for operators.
    SlowRequests,
    /// None of these.
    Elsewhere,
}

/// The role of those who only read.
const READER: &str = "reader";

/// The role of operators.
pub const OPERATOR: &str = "operator";

/// Who is signed in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Who {
    /// The organisation's name. Empty for an operator.
    pub organisation: String,
    /// The name of the key or user.
    pub name: String,
    /// The built-in role.
    pub role: String,
    /// Whether grants may allow more than the role, as known at the sign-in.
    pub has_grants: bool,
}

impl Who {
    /// Returns whether the role is that of an admin. It decides which links are shown; the API decides what is allowed.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.role == "admin"
    }

    /// Returns whether the caller may change anything in the catalog. A reader without grants may not. It decides which actions are shown; the
    /// API decides what is allowed.
    #[must_use]
    pub fn may_change(&self) -> bool {
        self.role != READER || self.has_grants
    }

    /// Returns whether the caller is an operator. It decides which links are shown; the API decides what is allowed.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.role == OPERATOR
    }
}

/// A step of the path to a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crumb {
    /// Its name.
    pub label: String,
    /// Where it leads.
    pub href: String,
}

/// A request that does what a page does, and the command for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The method, such as `GET`.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The body, if there is one.
    pub body: Option<String>,
    /// The command line, if there is one.
    pub command: Option<String>,
}

impl Call {
    /// Returns the request for `path` with `GET`.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self { method: "GET".to_owned(), path: path.to_owned(), body: None, command: None }
    }

    /// Adds the command line that does the same.
    #[must_use]
    pub fn command(self, command: String) -> Self {
        Self { command: Some(command), ..self }
    }
}

/// A link of the navigation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NavItem {
    /// Its text.
    pub label: &'static str,
    /// Where it leads.
    pub href: &'static str,
    /// Whether the page belongs there.
    pub is_here: bool,
}

/// What surrounds the content of a page.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The page's title.
    pub title: String,
    /// Who is signed in. `None` on the sign-in page.
    pub who: Option<Who>,
    /// The navigation.
    pub nav: Vec<NavItem>,
    /// The path to the page, without the page itself.
    pub crumbs: Vec<Crumb>,
    /// A message about a change that was made.
    pub notice: Option<Notice>,
    /// A message about a change or a test that failed.
    pub refusal: Option<Refused>,
    /// The token that every form sends back.
    pub csrf: String,
    /// The requests and commands that show the same.
    pub calls: Vec<Call>,
    /// The form that was refused, with what was entered.
    pub kept: Option<Kept>,
    /// The warehouse of the page. Empty for none.
    pub warehouse: String,
    /// The relative link of the page itself, to which forms return.
    pub own: String,
    /// The names of the files that the page loads.
    pub style: &'static str,
    /// The script.
    pub script: &'static str,
    /// The icon.
    pub icon: &'static str,
}

impl Frame {
    /// Returns the frame of a page without a sign-in.
    #[must_use]
    pub fn anonymous(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            who: None,
            nav: Vec::new(),
            crumbs: Vec::new(),
            notice: None,
            refusal: None,
            csrf: String::new(),
            calls: Vec::new(),
            kept: None,
            warehouse: String::new(),
            own: String::new(),
            style: assets::style(),
            script: assets::script(),
            icon: assets::icon(),
        }
    }

    /// Returns the frame of a page for a signed-in person.
    #[must_use]
    pub fn new(title: &str, place: Place, who: &Who, csrf: &str) -> Self {
        let item = |label, href, of| NavItem { label, href, is_here: of == place };
        if who.is_operator() {
            let nav = vec![
                item(o::ORGANISATIONS, "organisations", Place::Organisations),
                item(o::SERVER, "server", Place::Server),
                item(o::SLOW_REQUESTS, "slow-requests", Place::SlowRequests),
            ];
            return Self { who: Some(who.clone()), nav, csrf: csrf.to_owned(), ..Self::anonymous(title) };
        }
        let mut nav =
            vec![item(t::NAV_CATALOG, "home", Place::Catalog), item(t::NAV_CONNECT, "connect", Place::Connect)];
        if who.is_admin() {
            nav.push(item(t::NAV_KEYS, "keys", Place::Keys));
            nav.push(item(t::NAV_ACCESS, "access", Place::Access));
            nav.push(item(t::WAREHOUSES, "warehouses", Place::Warehouses));
            nav.push(item(t::people::EVENTS, "events", Place::Events));
            nav.push(item(t::NAV_USAGE, "usage", Place::Usage));
            nav.push(item(t::NAV_HISTORY, "history", Place::History));
        }
        Self { who: Some(who.clone()), nav, csrf: csrf.to_owned(), ..Self::anonymous(title) }
    }

    /// Returns whether the page shows actions that change the catalog.
    #[must_use]
    pub fn may_change(&self) -> bool {
        self.who.as_ref().is_some_and(Who::may_change)
    }

    /// Returns whether the form of a change was refused and is open.
    #[must_use]
    pub fn is_open(&self, change: &str) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.is_form(change, &[]))
    }

    /// Returns what was entered in a field of a refused form, or for another form `otherwise`.
    #[must_use]
    pub fn entered<'a>(&'a self, change: &str, field: &str, otherwise: &'a str) -> &'a str {
        match &self.kept {
            Some(kept) if kept.is_form(change, &[]) => kept.value(field),
            _ => otherwise,
        }
    }

    /// Returns whether this value was entered in a field of a refused form.
    #[must_use]
    pub fn is_entered(&self, change: &str, field: &str, value: &str) -> bool {
        self.kept(change, &[]).is_some_and(|kept| kept.value(field) == value)
    }

    /// Returns the refused form, if it is the form of a change about the same object.
    #[must_use]
    pub fn kept(&self, change: &str, hidden: &[(&'static str, String)]) -> Option<&Kept> {
        self.kept.as_ref().filter(|kept| kept.is_form(change, hidden))
    }

    /// Adds a step of the path.
    #[must_use]
    pub fn crumb(mut self, label: &str, href: Link) -> Self {
        self.crumbs.push(Crumb { label: label.to_owned(), href: href.text() });
        self
    }
}

/// A page that says why a request was not answered.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// The frame.
    pub frame: Frame,
    /// The heading.
    pub heading: String,
    /// The API's message.
    pub message: String,
    /// The type of the API's error, such as `NoSuchTableException`.
    pub kind: String,
    /// The id of the request in the server's log.
    pub request_id: String,
    /// Where a link leads back to.
    pub back: String,
}

/// Renders a page. A template writes to memory, which does not fail.
#[must_use]
pub fn render(page: &impl Template) -> String {
    page.render().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reader_without_grants_is_shown_no_changes() {
        let may_change =
            |role: &str, has_grants| Who { role: role.to_owned(), has_grants, ..Who::default() }.may_change();
        assert!(!may_change(READER, false));
        // A grant may allow what the role does not.
        assert!(may_change(READER, true) && may_change("writer", false) && may_change("none", false));
        assert!(!Frame::anonymous("title").may_change());
    }
}
