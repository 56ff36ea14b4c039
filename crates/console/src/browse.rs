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

/// Returns the levels of a name that a person wrote, such as `sales.eu`. A backslash before a dot makes it a part of a level.
#[must_use]
pub fn levels_of(dotted: &str) -> Vec<String> {
    let (mut levels, mut current) = (Vec::new(), String::new());
    let mut characters = dotted.trim().chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => current.extend(characters.next()),
            '.' if !current.is_empty() => levels.push(std::mem::take(&mut current)),
            other => current.push(other),
        }
    }
    levels.push(current);
    levels
}

fn escape_dots(level: &str) -> String {
    level.replace('\\', "\\\\").replace('.', "\\.")
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

    /// Builds the lists of what a search in a warehouse found, with whole names.
    #[must_use]
    pub fn found(warehouse: &str, objects: &[Value]) -> Vec<Self> {
        let list = |kind: Kind| {
            let of_kind = objects.iter().filter(|one| one["type"] == kind.style());
            Self { kind, entries: of_kind.map(|one| found(warehouse, kind, one)).collect(), more: None }
        };
        [Kind::Namespace, Kind::Table, Kind::View].map(list).into()
    }
}

/// Reads an object that a search found.
fn found(warehouse: &str, kind: Kind, object: &Value) -> Entry {
    let levels = object["namespace"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    let place = Location { warehouse: warehouse.to_owned(), levels: levels.collect() };
    match object["name"].as_str() {
        Some(name) => {
            Entry { name: place.dotted_with(name), href: place.object(kind.style(), name).text(), expand: None }
        }
        None => Entry { name: place.dotted(), href: place.link().text(), expand: None },
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
    /// What to say if they are all empty.
    pub none: Option<&'static str>,
    /// Where a search goes on.
    pub further: Option<String>,
}

impl Lists {
    /// Creates them. Leaves out empty lists.
    #[must_use]
    pub fn new(listings: Vec<Listing>) -> Self {
        let listings = with_entries(listings);
        Self { none: listings.is_empty().then_some(t::NO_ENTRIES), listings, further: None }
    }

    /// Creates those of a search. `further` is the link to its next page, if not all names were compared.
    #[must_use]
    pub fn of_search(listings: Vec<Listing>, further: Option<String>) -> Self {
        let listings = with_entries(listings);
        let none = if further.is_some() { t::NOT_FOUND_YET } else { t::NOT_FOUND };
        Self { none: listings.is_empty().then_some(none), listings, further }
    }
}

fn with_entries(listings: Vec<Listing>) -> Vec<Listing> {
    listings.into_iter().filter(|list| !list.entries.is_empty() || list.more.is_some()).collect()
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
    /// Its page after it is restored.
    pub page: String,
}

impl DroppedRow {
    /// Parses an entry of the API's list of a warehouse.
    #[must_use]
    pub fn parse(warehouse: &str, entry: &Value) -> Self {
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let time = |name: &str| entry[name].as_i64().map(format::time).unwrap_or_default();
        let levels = entry["identifier"]["namespace"].as_array().into_iter().flatten();
        let levels = levels.filter_map(Value::as_str).map(str::to_owned).collect();
        let place = Location { warehouse: warehouse.to_owned(), levels };
        let name = entry["identifier"]["name"].as_str().unwrap_or_default();
        let page = if entry["type"] == "view" { Kind::View } else { Kind::Table };
        Self {
            id: text("id"),
            name: place.dotted_with(name),
            page: place.object(page.style(), name).text(),
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
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn dotted_name_has_its_levels(levels in prop::collection::vec("[a-z.\\\\]{1,5}", 1..4), name in "[a-z.\\\\]{1,5}") {
            let place = Location { warehouse: String::new(), levels };
            let parsed = levels_of(&place.dotted_with(&name));
            prop_assert_eq!(parsed, [place.levels, vec![name]].concat());
        }
    }

    #[test]
    fn found_objects_have_whole_names_and_lead_to_their_pages() {
        let objects = [
            json!({ "type": "table", "namespace": ["sales", "eu.west"], "name": "orders" }),
            json!({ "type": "namespace", "namespace": ["sales"] }),
            json!({ "type": "function", "namespace": ["later"], "name": "x" }),
            json!(null),
        ];
        let lists = Lists::of_search(Listing::found("w", &objects), None);
        let shown: Vec<(Kind, &str, &str)> = lists
            .listings
            .iter()
            .flat_map(|list| list.entries.iter().map(|one| (list.kind, one.name.as_str(), one.href.as_str())))
            .collect();
        let table = (Kind::Table, r"sales.eu\.west.orders", "table?w=w&ns=sales%1Feu.west&t=orders");
        assert_eq!(shown, [(Kind::Namespace, "sales", "browse?w=w&ns=sales"), table]);
    }

    #[test]
    fn search_without_a_match_says_whether_it_is_over() {
        assert_eq!(Lists::of_search(Vec::new(), None).none, Some(t::NOT_FOUND));
        assert_eq!(Lists::of_search(Vec::new(), Some("browse".to_owned())).none, Some(t::NOT_FOUND_YET));
        assert_eq!(Lists::new(Vec::new()).none, Some(t::NO_ENTRIES));
    }

    #[test]
    fn names_for_people_have_escaped_dots() {
        let place = Location::new("w", "a.b\u{1f}c");
        assert_eq!((place.dotted_with("d.e").as_str(), place.key().as_str()), (r"a\.b.c.d\.e", "a.b\u{1f}c"));
        assert_eq!(Location::new("w", "").dotted(), "");
    }
}
