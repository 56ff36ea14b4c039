//! Warehouses, and the lists of namespaces, tables and views.

use askama::Template;
use serde_json::Value;

use crate::format;
use crate::frame::{Frame, Who};
use crate::link::Link;
use crate::texts as t;

/// Separates the levels of a namespace in a link, as in the API's paths.
pub const LEVELS: char = '\u{1f}';

/// The most levels of a namespace that a path to a page shows.
const MAX_LEVELS: usize = 32;

/// A warehouse in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarehouseRow {
    /// Its name.
    pub name: String,
    /// Where it leads.
    pub href: String,
    /// Its root, if the caller may know it.
    pub root: String,
    /// Whether it is the organisation's default.
    pub is_default: bool,
}

impl WarehouseRow {
    /// Returns the row of a warehouse with only its name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let href = Link::to("browse").with("w", name).text();
        Self { name: name.to_owned(), href, root: String::new(), is_default: false }
    }

    /// Parses an entry of the management API's list.
    #[must_use]
    pub fn parse(entry: &Value) -> Self {
        Self {
            root: entry["root"].as_str().unwrap_or_default().to_owned(),
            is_default: entry["default"].as_bool().unwrap_or_default(),
            ..Self::named(entry["name"].as_str().unwrap_or_default())
        }
    }
}

/// The first page after the sign-in.
#[derive(Debug, Template)]
#[template(path = "home.html")]
pub struct HomePage {
    /// The frame.
    pub frame: Frame,
    /// The warehouses that the caller may see.
    pub warehouses: Vec<WarehouseRow>,
}

/// The kind of the entries of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Namespaces.
    Namespace,
    /// Tables.
    Table,
    /// Views.
    View,
}

impl Kind {
    /// Returns the heading of a list.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Namespace => t::NAMESPACES,
            Self::Table => t::TABLES,
            Self::View => t::VIEWS,
        }
    }

    /// Returns the name of the style of its icon.
    #[must_use]
    pub const fn style(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Table => "table",
            Self::View => "view",
        }
    }

    /// Returns the query parameter with the position of its next page.
    #[must_use]
    pub const fn parameter(self) -> &'static str {
        match self {
            Self::Namespace => "nt",
            Self::Table => "tt",
            Self::View => "vt",
        }
    }
}

/// An entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Where it leads.
    pub href: String,
    /// The list of its contents, for a namespace.
    pub expand: Option<String>,
}

/// A page of the namespaces, tables or views of one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// What it lists.
    pub kind: Kind,
    /// The entries.
    pub entries: Vec<Entry>,
    /// Where the next page is.
    pub more: Option<String>,
}

/// A place in a warehouse: its root or a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Location {
    /// The warehouse.
    pub warehouse: String,
    /// The levels of the namespace; none for the warehouse itself.
    pub levels: Vec<String>,
}

impl Location {
    /// Returns the place of a namespace, from its levels joined by [`LEVELS`].
    #[must_use]
    pub fn new(warehouse: &str, key: &str) -> Self {
        let levels = if key.is_empty() { Vec::new() } else { key.split(LEVELS).map(str::to_owned).collect() };
        Self { warehouse: warehouse.to_owned(), levels }
    }

    /// Returns the namespace's levels joined by [`LEVELS`].
    #[must_use]
    pub fn key(&self) -> String {
        self.levels.join("\u{1f}")
    }

    /// Returns the namespace's name for people: levels joined by dots, and a dot in a level as `\.`.
    #[must_use]
    pub fn dotted(&self) -> String {
        let levels: Vec<String> = self.levels.iter().map(|level| escape_dots(level)).collect();
        levels.join(".")
    }

    /// Returns the name of an object in the namespace for people.
    #[must_use]
    pub fn dotted_with(&self, name: &str) -> String {
        format!("{}.{}", self.dotted(), escape_dots(name))
    }

    /// Returns the place below a level.
    #[must_use]
    pub fn below(&self, level: &str) -> Self {
        let mut levels = self.levels.clone();
        levels.push(level.to_owned());
        Self { warehouse: self.warehouse.clone(), levels }
    }

    /// Returns the link to the place's page.
    #[must_use]
    pub fn link(&self) -> Link {
        Link::to("browse").with("w", &self.warehouse).with_some("ns", Some(&self.key()))
    }

    /// Returns the link to a page about an object in the namespace.
    #[must_use]
    pub fn object(&self, page: &str, name: &str) -> Link {
        Link::to(page).with("w", &self.warehouse).with("ns", &self.key()).with("t", name)
    }

    /// Returns the link to the maintenance of the place, or of a table in it if `table` is not empty.
    #[must_use]
    pub fn maintenance(&self, table: &str) -> Link {
        let link = Link::to("maintenance").with("w", &self.warehouse);
        link.with_some("ns", Some(&self.key())).with_some("t", Some(table))
    }

    /// Adds the path to this place to a frame. `with_self` adds the place itself.
    #[must_use]
    pub fn crumbs(&self, mut frame: Frame, with_self: bool) -> Frame {
        frame = frame.crumb(t::NAV_CATALOG, Link::to("home"));
        let mut place = Self { warehouse: self.warehouse.clone(), levels: Vec::new() };
        if with_self || !self.levels.is_empty() {
            frame = frame.crumb(&self.warehouse, place.link());
        }
        let shown = if with_self { self.levels.len() } else { self.levels.len().saturating_sub(1) };
        for level in self.levels.iter().take(shown.min(MAX_LEVELS)) {
            place = place.below(level);
            frame = frame.crumb(level, place.link());
        }
        frame
    }
}

fn escape_dots(level: &str) -> String {
    level.replace('\\', "\\\\").replace('.', "\\.")
}

/// A search: the levels that it names below a place, and the beginning of a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// The levels before the last dot.
    pub levels: Vec<String>,
    /// The text after the last dot.
    pub prefix: String,
}

impl Search {
    /// Parses `sales.eu.ord`. A backslash before a dot makes it a part of a name.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut levels = Vec::new();
        let mut current = String::new();
        let mut characters = text.trim().chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' => current.extend(characters.next()),
                '.' if !current.is_empty() => levels.push(std::mem::take(&mut current)),
                other => current.push(other),
            }
        }
        Self { levels, prefix: current }
    }

    /// Returns whether a name begins with the searched text.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        name.starts_with(&self.prefix)
    }

    /// Returns a text that sorts just before every text that begins with the searched one, in the order of code points. A list after
    /// it begins with the first match, so a search reads one page and not the whole list. `None` for an empty search.
    #[must_use]
    pub fn before(&self) -> Option<String> {
        let last = self.prefix.chars().next_back()?;
        let mut before = self.prefix[..self.prefix.len() - last.len_utf8()].to_owned();
        let smaller = (0..u32::from(last)).rev().find_map(char::from_u32);
        // Nothing lies between the shorter text and one with the smallest character.
        if let Some(smaller) = smaller {
            before.push(smaller);
            // The largest code points: they sort after all names that people give.
            before.extend([char::MAX; 4]);
        }
        Some(before)
    }
}

impl Listing {
    /// Builds a list of a place from the names of its entries, and the link to its next page.
    #[must_use]
    pub fn new(place: &Location, kind: Kind, names: &[String], more: Option<String>) -> Self {
        let entry = |name: &String| match kind {
            Kind::Namespace => {
                let below = place.below(name);
                let expand = Link::to("tree").with("w", &below.warehouse).with("ns", &below.key());
                Entry { name: name.clone(), href: below.link().text(), expand: Some(expand.text()) }
            }
            Kind::Table | Kind::View => {
                Entry { name: name.clone(), href: place.object(kind.style(), name).text(), expand: None }
            }
        };
        Self { kind, entries: names.iter().map(entry).collect(), more }
    }
}

/// Returns the names and the token of the next page of the API's answer to a list.
#[must_use]
pub fn names(kind: Kind, answer: &Value) -> (Vec<String>, Option<String>) {
    let names = match kind {
        Kind::Namespace => {
            let levels = answer["namespaces"].as_array().into_iter().flatten();
            levels.filter_map(|levels| levels.as_array()?.last()?.as_str()).map(str::to_owned).collect()
        }
        Kind::Table | Kind::View => {
            let found = answer["identifiers"].as_array().into_iter().flatten();
            found.filter_map(|one| one["name"].as_str()).map(str::to_owned).collect()
        }
    };
    (names, answer["next-page-token"].as_str().map(str::to_owned))
}

/// Lists that are inserted below an entry, or replace the lists of a page.
#[derive(Debug, Template)]
#[template(path = "lists.html")]
pub struct Lists {
    /// The lists.
    pub listings: Vec<Listing>,
    /// Whether they are all empty.
    pub is_empty: bool,
}

impl Lists {
    /// Creates them. Leaves out empty lists.
    #[must_use]
    pub fn new(listings: Vec<Listing>) -> Self {
        let listings: Vec<Listing> =
            listings.into_iter().filter(|list| !list.entries.is_empty() || list.more.is_some()).collect();
        Self { is_empty: listings.is_empty(), listings }
    }
}

/// The page of a warehouse or namespace.
#[derive(Debug, Template)]
#[template(path = "browse.html")]
pub struct BrowsePage {
    /// The frame.
    pub frame: Frame,
    /// The place.
    pub place: Location,
    /// Its name for people.
    pub heading: String,
    /// The text of the search.
    pub search: String,
    /// The lists.
    pub lists: Lists,
    /// The namespace's properties.
    pub properties: Vec<(String, String)>,
    /// The link to the dropped objects.
    pub bin: String,
    /// The link to this page, without a search.
    pub own: String,
}

impl BrowsePage {
    /// Returns the link to the maintenance of the place, for admins.
    #[must_use]
    pub fn maintenance(&self) -> Option<String> {
        let is_admin = self.frame.who.as_ref().is_some_and(Who::is_admin);
        is_admin.then(|| self.place.maintenance("").text())
    }
}

/// A dropped table or view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedRow {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// `table` or `view`.
    pub kind: String,
    /// When it was dropped.
    pub dropped: String,
    /// Until when it can be restored.
    pub until: String,
    /// Whether it can be restored.
    pub is_restorable: bool,
    /// Whether its files are removed at the end.
    pub is_purged: bool,
    /// Its state, such as `kept`.
    pub state: String,
}

impl DroppedRow {
    /// Parses an entry of the API's list.
    #[must_use]
    pub fn parse(entry: &Value) -> Self {
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let time = |name: &str| entry[name].as_i64().map(format::time).unwrap_or_default();
        let levels = entry["identifier"]["namespace"].as_array().into_iter().flatten();
        let levels = levels.filter_map(Value::as_str).map(str::to_owned).collect();
        let place = Location { warehouse: String::new(), levels };
        Self {
            id: text("id"),
            name: place.dotted_with(entry["identifier"]["name"].as_str().unwrap_or_default()),
            kind: text("type"),
            dropped: time("dropped-ms"),
            until: time("restorable-until-ms"),
            is_restorable: entry["restorable"].as_bool().unwrap_or_default(),
            is_purged: entry["purge-requested"].as_bool().unwrap_or_default(),
            state: text("state"),
        }
    }
}

/// The dropped tables and views of a warehouse.
#[derive(Debug, Template)]
#[template(path = "bin.html")]
pub struct BinPage {
    /// The frame.
    pub frame: Frame,
    /// The warehouse.
    pub warehouse: String,
    /// A page of the list.
    pub dropped: Vec<DroppedRow>,
    /// Where the next page is.
    pub more: Option<String>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn search_names_levels_and_the_beginning_of_a_name() {
        let parsed = |text: &str| {
            let Search { levels, prefix } = Search::parse(text);
            (levels.join("/"), prefix)
        };
        for (text, levels, prefix) in [
            ("", "", ""),
            ("ord", "", "ord"),
            ("sales.eu.ord", "sales/eu", "ord"),
            ("sales.", "sales", ""),
            (r"a\.b.c", "a.b", "c"),
            (" x ", "", "x"),
            (".x", "", ".x"),
            ("\\", "", ""),
        ] {
            assert_eq!(parsed(text), (levels.to_owned(), prefix.to_owned()), "{text}");
        }
    }

    #[test]
    fn names_for_people_have_escaped_dots() {
        let place = Location::new("w", "a.b\u{1f}c");
        assert_eq!((place.dotted_with("d.e").as_str(), place.key().as_str()), (r"a\.b.c.d\.e", "a.b\u{1f}c"));
        assert_eq!(Location::new("w", "").dotted(), "");
    }

    proptest! {
        #[test]
        fn list_after_the_beginning_of_a_search_has_every_match(prefix in "\\PC{1,6}", rest in "\\PC{0,4}", other in "\\PC{0,6}") {
            let search = Search { levels: Vec::new(), prefix: prefix.clone() };
            let before = search.before().unwrap();
            // Stores sort names by their bytes, which is the order of code points.
            prop_assert!(before < format!("{prefix}{rest}"), "{before:?}");
            // And it does not list what comes before, except what nobody names.
            prop_assert!(other >= prefix || other <= before, "{other:?} {before:?}");
        }

        #[test]
        fn dotted_name_is_searched_as_itself(levels in prop::collection::vec("[a-z.\\\\]{1,5}", 1..4), name in "[a-z.\\\\]{1,5}") {
            let place = Location { warehouse: String::new(), levels };
            let search = Search::parse(&place.dotted_with(&name));
            prop_assert_eq!((search.levels, search.prefix), (place.levels, name));
        }
    }
}
