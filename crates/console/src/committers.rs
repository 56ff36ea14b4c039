//! The principals that committed the snapshots of a table, from the table's events.

use std::collections::HashMap;

use serde_json::Value;

use crate::format;
use crate::records::{text, time};
use crate::texts as t;

/// The most events that are read of a name of a table: the newest ones.
pub const MAX_EVENTS: usize = 300;

/// The most names of a table whose events are read.
pub const MAX_NAMES: usize = 4;

/// The longest name of a principal or client that is shown, in characters.
const MAX_NAME: usize = 60;

/// A commit as its event has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committer {
    /// The name of the key or user, with the engine that acted for it.
    pub name: String,
    /// When the catalog made the commit current.
    pub time: String,
    /// The client that the request named: its `User-Agent`.
    pub client: String,
}

/// The commits of a table, by the ids of the snapshots that they added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committers(HashMap<i64, Committer>);

/// A name of a table, by which its events are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    /// The name, levels joined by dots.
    pub name: String,
    /// The time in milliseconds since 1970 before which the table had it. `None` for the present name.
    pub until_ms: Option<i64>,
    /// The table's id. `None` for the present name: all its events count. Another table can have an earlier name too.
    id: Option<String>,
}

impl TableName {
    /// Returns the present name of a table.
    #[must_use]
    pub fn new(name: String) -> Self {
        Self { name, until_ms: None, id: None }
    }
}

impl Committers {
    /// Adds the commits in the API's list of the events of a name, the newest first. Of several commits that added a snapshot with the
    /// same id, the newest one counts. Returns the name that the table had before.
    #[must_use]
    pub fn add(&mut self, found: &Value, of: &TableName) -> Option<TableName> {
        let mut before = None;
        for event in found["events"].as_array().into_iter().flatten() {
            // A view or namespace can have the table's name in another event.
            let id = text(event, "object-id");
            if event["object-type"] != "table" || of.id.as_ref().is_some_and(|expected| *expected != id) {
                continue;
            }
            let ids = event["details"]["snapshot-ids"].as_array().into_iter().flatten();
            for snapshot in ids.filter_map(Value::as_i64) {
                self.0.entry(snapshot).or_insert_with(|| committer(event));
            }
            before = before.or_else(|| name_before(event, id, &of.name));
        }
        before
    }

    /// Takes the commit that added a snapshot.
    pub(crate) fn take(&mut self, snapshot_id: i64) -> Option<Committer> {
        self.0.remove(&snapshot_id)
    }
}

/// Returns the name of a table before an event that gave it the name `new_name`.
fn name_before(event: &Value, id: String, new_name: &str) -> Option<TableName> {
    let name = text(event, "object");
    // Events of the same millisecond can be before it.
    let until_ms = event["at-ms"].as_i64()?.saturating_add(1);
    let is_renamed = !id.is_empty() && text(event, "new-name") == new_name && name != new_name;
    is_renamed.then_some(TableName { name, until_ms: Some(until_ms), id: Some(id) })
}

fn committer(event: &Value) -> Committer {
    let (actor, engine) = (text(event, "actor"), text(event, "engine"));
    let name = if engine.is_empty() { actor } else { t::through(&actor, &engine) };
    Committer {
        name: format::cut(&name, MAX_NAME),
        time: time(event, "at-ms"),
        client: format::cut(&text(event, "user-agent"), MAX_NAME),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn present() -> TableName {
        TableName::new("a.b".to_owned())
    }

    fn event(actor: &str, ids: &[i64]) -> Value {
        json!({ "object-type": "table", "at-ms": 0, "actor": actor, "user-agent": "PyIceberg/0.11",
                "details": { "snapshot-ids": ids } })
    }

    #[test]
    fn newest_commit_of_a_snapshot_counts() {
        let mut found = Committers::default();
        assert_eq!(found.add(&json!({ "events": [event("newer", &[2]), event("etl", &[1, 2])] }), &present()), None);
        let first = found.take(1).unwrap();
        assert_eq!((first.name.as_str(), first.client.as_str()), ("etl", "PyIceberg/0.11"));
        assert!(first.time.starts_with("1970"));
        assert_eq!(found.take(2).unwrap().name, "newer");
    }

    #[test]
    fn engine_that_acted_for_a_user_is_named() {
        let mut of_user = event("Ann", &[1]);
        of_user["engine"] = "trino".into();
        let mut found = Committers::default();
        assert_eq!(found.add(&json!({ "events": [of_user] }), &present()), None);
        assert_eq!(found.take(1).unwrap().name, "Ann through trino");
    }

    #[test]
    fn commits_before_a_rename_are_found_by_the_earlier_name_and_the_id() {
        let rename = json!({ "object-type": "table", "object-id": "7", "object": "a.old", "new-name": "a.b", "at-ms": 5, "actor": "ci",
                             "details": {} });
        let mut found = Committers::default();
        let earlier = found.add(&json!({ "events": [event("new", &[3]), rename] }), &present()).unwrap();
        assert_eq!((earlier.name.as_str(), earlier.until_ms), ("a.old", Some(6)));
        let (mut same, mut other) = (event("etl", &[1]), event("someone", &[2]));
        same["object-id"] = "7".into();
        other["object-id"] = "8".into();
        // The rename is among the events of both names.
        assert_eq!(found.add(&json!({ "events": [rename, same, other] }), &earlier), None);
        assert_eq!(found.take(1).unwrap().name, "etl");
        assert_eq!(found.take(2), None, "another table had the name");
    }

    #[test]
    fn events_of_other_objects_and_without_snapshots_name_nobody() {
        let mut of_view = event("etl", &[2]);
        of_view["object-type"] = "view".into();
        for found in [json!({ "events": [of_view, { "object-type": "table" }, null] }), json!(null)] {
            let mut committers = Committers::default();
            assert_eq!((committers.add(&found, &present()), &committers), (None, &Committers::default()), "{found}");
        }
    }
}
