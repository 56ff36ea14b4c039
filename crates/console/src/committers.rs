//! The principals that committed the snapshots of a table, from the table's events.

use std::collections::HashMap;

use serde_json::Value;

use crate::format;
use crate::records::{text, time};
use crate::texts as t;

/// The most events that are read for a page: the newest ones of the table.
pub const MAX_EVENTS: usize = 300;

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

impl Committers {
    /// Reads the commits from the API's list of a table's events, the newest first. Of several commits that added a snapshot with the same
    /// id, the newest one counts.
    #[must_use]
    pub fn parse(found: &Value) -> Self {
        let mut all = HashMap::new();
        for event in found["events"].as_array().into_iter().flatten() {
            // A view or namespace can have the table's name in another event.
            if event["object-type"] != "table" {
                continue;
            }
            let ids = event["details"]["snapshot-ids"].as_array().into_iter().flatten();
            for id in ids.filter_map(Value::as_i64) {
                all.entry(id).or_insert_with(|| committer(event));
            }
        }
        Self(all)
    }

    /// Takes the commit that added a snapshot.
    pub(crate) fn take(&mut self, snapshot_id: i64) -> Option<Committer> {
        self.0.remove(&snapshot_id)
    }
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

    fn event(actor: &str, ids: &[i64]) -> Value {
        json!({ "object-type": "table", "at-ms": 0, "actor": actor, "user-agent": "PyIceberg/0.11",
                "details": { "snapshot-ids": ids } })
    }

    #[test]
    fn newest_commit_of_a_snapshot_counts() {
        let mut found = Committers::parse(&json!({ "events": [event("newer", &[2]), event("etl", &[1, 2])] }));
        let first = found.take(1).unwrap();
        assert_eq!((first.name.as_str(), first.client.as_str()), ("etl", "PyIceberg/0.11"));
        assert!(first.time.starts_with("1970"));
        assert_eq!(found.take(2).unwrap().name, "newer");
    }

    #[test]
    fn engine_that_acted_for_a_user_is_named() {
        let mut of_user = event("Ann", &[1]);
        of_user["engine"] = "trino".into();
        assert_eq!(Committers::parse(&json!({ "events": [of_user] })).take(1).unwrap().name, "Ann through trino");
    }

    #[test]
    fn events_of_other_objects_and_without_snapshots_name_nobody() {
        let mut of_view = event("etl", &[2]);
        of_view["object-type"] = "view".into();
        for found in [json!({ "events": [of_view, { "object-type": "table" }, null] }), json!(null)] {
            assert_eq!(Committers::parse(&found), Committers::default(), "{found}");
        }
    }
}
