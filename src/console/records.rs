//! What the pages of administration have in common: a page of a list, and the requests and commands that do the same.

use tidewater_console::Call;
use tidewater_console::frame::render;
use tidewater_console::link::Link;
use tidewater_console::records::RecordsPage;

use super::page::{Asked, Page};
use super::query::quoted;

/// The number of entries of a page of a list.
pub(super) const PAGE_SIZE: &str = "100";

/// A way to do the same without the console.
pub(super) enum Same {
    /// The command line for the page's last request.
    Command(String),
    /// A request that a form of the page makes.
    Request(Call),
}

impl From<String> for Same {
    fn from(command: String) -> Self {
        Self::Command(command)
    }
}

impl From<&str> for Same {
    fn from(command: &str) -> Self {
        Self::Command(command.to_owned())
    }
}

impl From<Call> for Same {
    fn from(call: Call) -> Self {
        Self::Request(call)
    }
}

/// Returns the path of the wanted page of a list.
pub(super) fn paged(asked: &Asked<'_>, path: &str) -> String {
    Link::to(path).with_some("page-token", asked.query.get("page")).with("page-size", PAGE_SIZE).text()
}

/// Returns a request that a form makes, with its command line.
pub(super) fn change(asked: &Asked<'_>, method: &str, path: &str, command: &str) -> Call {
    let command = Some(with_organisation(asked, command));
    Call { method: method.to_owned(), path: path.to_owned(), body: None, command }
}

fn with_organisation(asked: &Asked<'_>, command: &str) -> String {
    match asked.door.session.who.organisation.as_str() {
        // An operator has none, and names one in the command.
        "" => command.to_owned(),
        organisation => format!("{command} --org {}", quoted(organisation)),
    }
}

/// Returns a page with the requests that it made, and those that its forms make.
pub(super) fn shown(asked: &Asked<'_>, mut page: RecordsPage, same: Vec<Same>) -> Page {
    page.frame.calls = asked.door.take_calls();
    for one in same {
        match (one, page.frame.calls.last_mut()) {
            (Same::Command(command), Some(call)) => call.command = Some(with_organisation(asked, &command)),
            (Same::Command(_), None) => {}
            (Same::Request(call), _) => page.frame.calls.push(call),
        }
    }
    Page::Html(render(&page))
}
