//! The expected answers: `privileges.txt`, read as a plain function over a principal's holdings.

use std::collections::{BTreeMap, BTreeSet};

const TABLE: &str = include_str!("privileges.txt");

/// The privileges that `*` leaves out: they do not make a namespace visible.
const OF_THE_WAREHOUSE_ALONE: [&str; 2] = ["CATALOG_READ_PROPERTIES", "CATALOG_WRITE_PROPERTIES"];

/// Ownership of an object, among the privileges.
pub(super) const OWNER: &str = "OWNER";

/// A privilege or ownership in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) privilege: &'static str,
    pub(super) place: &'static str,
}

/// The expected answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    /// The request is allowed, and answered with this status.
    Allowed(u16),
    /// The object is visible, and this privilege is missing.
    Missing(&'static str),
    /// The object is hidden. The error has this type.
    Hidden(&'static str),
    /// Only a built-in role is enough.
    Role,
}

/// A route, or a variant of its request.
#[derive(Debug, Clone)]
pub(in super::super) struct Row {
    /// The method and the path, without a prefix.
    pub(in super::super) route: &'static str,
    /// The variant; empty if there is none.
    pub(in super::super) variant: &'static str,
    allowed: u16,
    needs: Vec<&'static str>,
}

struct Object {
    hidden: &'static str,
    places: Vec<&'static str>,
    visible_with: Vec<&'static str>,
    inner: Vec<&'static str>,
}

/// The file.
pub(in super::super) struct Table {
    /// Each privilege with those that include it.
    included: BTreeMap<&'static str, BTreeSet<&'static str>>,
    objects: BTreeMap<&'static str, Object>,
    pub(in super::super) rows: Vec<Row>,
}

fn list(cell: &'static str) -> Vec<&'static str> {
    cell.split(',').filter(|one| *one != "-").collect()
}

impl Table {
    pub(in super::super) fn read() -> Self {
        let mut table = Self { included: BTreeMap::new(), objects: BTreeMap::new(), rows: Vec::new() };
        let mut section = "";
        for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if line.starts_with('[') {
                section = line;
                continue;
            }
            let cells: Vec<&'static str> = line.split_whitespace().collect();
            match section {
                "[privileges]" => {
                    let held_with = cells.iter().copied().collect();
                    assert!(table.included.insert(cells[0], held_with).is_none(), "twice: {line}");
                }
                "[objects]" => {
                    let [name, hidden, places, visible_with, inner] = cells[..] else { panic!("cells: {line}") };
                    let (places, visible_with, inner) = (list(places), list(visible_with), list(inner));
                    let object = Object { hidden, places, visible_with, inner };
                    assert!(table.objects.insert(name, object).is_none(), "twice: {line}");
                }
                "[routes]" => table.rows.push(Row::read(line)),
                other => panic!("a line in the section '{other}': {line}"),
            }
        }
        table
    }

    /// Returns the privileges of the file.
    pub(super) fn privileges(&self) -> BTreeSet<&'static str> {
        self.included.keys().copied().collect()
    }

    /// Returns the answer to a row's request for a principal with these holdings.
    pub(super) fn expected(&self, row: &Row, holdings: &[Holding]) -> Expected {
        match row.needs[..] {
            ["anybody"] => return Expected::Allowed(row.allowed),
            ["admin"] => return Expected::Role,
            _ => {}
        }
        if holdings.iter().all(|held| held.place == "other-warehouse") {
            return Expected::Hidden(self.objects["warehouse"].hidden);
        }
        for need in &row.needs {
            let (object, privileges) = need.split_once(':').expect("an object and a privilege");
            if privileges == "visible" {
                if !self.is_visible(object, holdings) {
                    return Expected::Hidden(self.objects[object].hidden);
                }
                continue;
            }
            let (privileges, places) = (list(privileges), &self.objects[object].places);
            let is_held = |held: &Holding| {
                places.contains(&held.place)
                    && privileges.iter().any(|privilege| self.included[privilege].contains(held.privilege))
            };
            if !holdings.iter().any(is_held) {
                return match self.is_visible(object, holdings) {
                    true => Expected::Missing(privileges[0]),
                    false => Expected::Hidden(self.objects[object].hidden),
                };
            }
        }
        Expected::Allowed(row.allowed)
    }

    /// Returns whether an object is visible in a visible warehouse.
    fn is_visible(&self, object: &str, holdings: &[Holding]) -> bool {
        let Object { places, visible_with, inner, .. } = &self.objects[object];
        let shows = |held: &Holding| {
            places.contains(&held.place)
                && visible_with.iter().any(|privilege| match *privilege {
                    "*" => !OF_THE_WAREHOUSE_ALONE.contains(&held.privilege),
                    privilege => self.included[privilege].contains(held.privilege),
                })
        };
        ["warehouse", "anywhere"].contains(&object)
            || holdings.iter().any(shows)
            || inner.iter().any(|inner| self.is_visible(inner, holdings))
    }
}

impl Row {
    fn read(line: &'static str) -> Self {
        let (route, rest) = line.split_at(line.find(" /").expect("a path") + 1);
        let method = route.trim();
        let cells: Vec<&'static str> = rest.split_whitespace().collect();
        let (path, variant) = cells[0].split_once('#').unwrap_or((cells[0], ""));
        let route = Box::leak(format!("{method} {path}").into_boxed_str());
        Self { route, variant, allowed: cells[1].parse().expect("a status"), needs: cells[2..].to_vec() }
    }

    /// Returns a commit that asserts that its table does not exist. It is in no row of the file.
    pub(in super::super) fn creating(route: &'static str) -> Self {
        Self { route, variant: "creating", allowed: 200, needs: Vec::new() }
    }

    /// Returns whether to send the request with a prefix: in both forms of the path, or only without.
    pub(in super::super) fn prefixes(&self) -> &'static [bool] {
        let is_about_objects = self.route.contains(" /v1/") && !self.route.contains("/v1/config");
        if is_about_objects && !self.route.contains("/oauth/") { &[false, true] } else { &[false] }
    }

    /// Returns the routes of its requests, as the router has them.
    pub(super) fn routes(&self) -> impl Iterator<Item = String> {
        self.prefixes().iter().map(|prefix| match prefix {
            true => self.route.replacen(" /v1/", " /v1/{prefix}/", 1),
            false => self.route.to_owned(),
        })
    }

    /// Returns the row's name, for messages.
    pub(in super::super) fn name(&self) -> String {
        let separator = if self.variant.is_empty() { "" } else { "#" };
        format!("{}{separator}{}", self.route, self.variant)
    }

    /// Returns whether a grant can be enough for the request.
    pub(super) fn needs_grants(&self) -> bool {
        !["anybody", "admin"].contains(&self.needs[0])
    }

    /// Returns whether the request can change something.
    pub(super) fn changes(&self) -> bool {
        !self.route.starts_with("GET ") && !self.route.starts_with("HEAD ")
    }
}
