//! The names of an event's object, level by level.

use std::collections::HashSet;

use serde_json::Value;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::events::{Event, EventDetails, ObjectKind, Operation};

/// The details with the levels of the name, and of the new name, if dots in a level make the joined name ambiguous.
const LEVELS: &str = "levels";
const NEW_LEVELS: &str = "new-levels";

/// The name of a namespace, table or view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectName {
    /// A namespace.
    Namespace(NamespaceIdent),
    /// A table.
    Table(TableIdent),
    /// A view.
    View(TableIdent),
}

impl ObjectName {
    /// Returns whether it is the name of a table or view.
    #[must_use]
    pub const fn is_tabular(&self) -> bool {
        !matches!(self, Self::Namespace(_))
    }

    /// Returns whether the name begins with the levels of one of these names. The time does not depend on their number.
    pub(crate) fn begins_with_any(&self, names: &HashSet<&[String]>) -> bool {
        let (namespace, name) = match self {
            Self::Namespace(ident) => (ident, None),
            Self::Table(ident) | Self::View(ident) => (&ident.namespace, Some(ident.name())),
        };
        let own: Vec<String> = namespace.levels().chain(name).map(str::to_owned).collect();
        (0..=own.len()).any(|count| names.contains(&own[..count]))
    }

    fn parse(kind: ObjectKind, levels: &[&str]) -> Option<Self> {
        if kind == ObjectKind::Namespace {
            return NamespaceIdent::new(levels).ok().map(Self::Namespace);
        }
        let (name, namespace) = levels.split_last()?;
        let ident = TableIdent::new(NamespaceIdent::new(namespace).ok()?, name).ok()?;
        match kind {
            ObjectKind::Table => Some(Self::Table(ident)),
            ObjectKind::View => Some(Self::View(ident)),
            _ => None,
        }
    }
}

/// Adds the levels of a namespace to the details of its event, if a level has a dot.
pub fn note_namespace(details: &mut EventDetails, ident: &NamespaceIdent) {
    if ident.as_key().contains('.') {
        details.insert(LEVELS.to_owned(), ident.levels().collect());
    }
}

/// Adds the levels of a table's or view's name to the details of its event, if a level has a dot.
pub fn note_name(details: &mut EventDetails, ident: &TableIdent) {
    note(details, LEVELS, ident);
}

/// Adds the levels of a table's or view's new name to the details of its event, if a level has a dot.
pub fn note_new_name(details: &mut EventDetails, ident: &TableIdent) {
    note(details, NEW_LEVELS, ident);
}

/// Returns the details of an event about a table or view that has no other details.
#[must_use]
pub fn name_details(ident: &TableIdent) -> EventDetails {
    let mut details = EventDetails::new();
    note_name(&mut details, ident);
    details
}

fn note(details: &mut EventDetails, field: &str, ident: &TableIdent) {
    if ident.namespace.as_key().contains('.') || ident.name().contains('.') {
        details.insert(field.to_owned(), ident.namespace.levels().chain([ident.name()]).collect());
    }
}

impl Event {
    /// Returns the name of its namespace, table or view, and its new name after a rename or a restore. `None` for other objects, and for
    /// the undoing of a registration whose name may be read in two ways.
    #[must_use]
    pub fn object_names(&self) -> Option<(ObjectName, Option<ObjectName>)> {
        let parse = |joined: &str, field: &str| {
            let noted: Option<Vec<&str>> = match self.details.get(field) {
                Some(Value::Array(levels)) => levels.iter().map(Value::as_str).collect(),
                _ => None,
            };
            let levels = noted.unwrap_or_else(|| joined.split('.').collect());
            ObjectName::parse(self.object.kind, &levels)
        };
        let is_undone = matches!(self.operation, Operation::UndoRegisterTable | Operation::UndoRegisterView);
        if is_undone && self.object.name.split('.').count() > 2 {
            return None;
        }
        let name = parse(&self.object.name, LEVELS)?;
        match &self.object.new_name {
            None => Some((name, None)),
            Some(new_name) => Some((name, Some(parse(new_name, NEW_LEVELS)?))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Change, EventObject};

    fn event(kind: ObjectKind, name: &str, new_name: Option<&str>, details: EventDetails) -> Event {
        let object = EventObject { new_name: new_name.map(str::to_owned), ..EventObject::new(kind, None, name) };
        let change = Change::by_catalog(0);
        Event {
            id: 1,
            organisation: None,
            warehouse: None,
            at_ms: 0,
            actor: change.actor,
            operation: Operation::RenameTable,
            object,
            request_id: None,
            client: None,
            agent: None,
            role: None,
            details,
        }
    }

    fn table(namespace: &[&str], name: &str) -> TableIdent {
        TableIdent::new(NamespaceIdent::new(namespace).unwrap(), name).unwrap()
    }

    #[test]
    fn names_keep_their_levels_also_with_dots() {
        let names = [table(&["a", "b"], "t"), table(&["a.b"], "t"), table(&["a"], "b.t"), table(&["a..", "b"], ".t")];
        for old in &names {
            for new in &names {
                let mut details = EventDetails::new();
                note_name(&mut details, old);
                note_new_name(&mut details, new);
                let event = event(ObjectKind::Table, &old.to_string(), Some(&new.to_string()), details);
                let expected = (ObjectName::Table(old.clone()), Some(ObjectName::Table(new.clone())));
                assert_eq!(event.object_names(), Some(expected));
            }
        }
        let mut details = EventDetails::new();
        note_namespace(&mut details, &NamespaceIdent::new(&["a.b"]).unwrap());
        let names = event(ObjectKind::Namespace, "a.b", None, details).object_names();
        assert_eq!(names, Some((ObjectName::Namespace(NamespaceIdent::new(&["a.b"]).unwrap()), None)));
        assert_eq!(event(ObjectKind::Warehouse, "lake", None, EventDetails::new()).object_names(), None);
    }

    #[test]
    fn name_begins_with_its_levels_alone() {
        let begins = |levels: &[&str]| {
            let levels: Vec<String> = levels.iter().map(|&level| level.to_owned()).collect();
            ObjectName::Table(table(&["a", "b"], "t")).begins_with_any(&[levels.as_slice()].into())
        };
        assert!(begins(&[]) && begins(&["a"]) && begins(&["a", "b"]) && begins(&["a", "b", "t"]));
        assert!(!begins(&["a.b"]) && !begins(&["b"]) && !begins(&["a", "b", "t", "u"]) && !begins(&["a", "bc"]));
    }
}
