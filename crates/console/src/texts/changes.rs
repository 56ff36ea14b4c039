//! The words of events.

pub const NOTHING: &str = "nothing";

/// The verbs of operations, and their past tense.
const VERBS: [(&str, &str); 22] = [
    ("add", "Added"),
    ("assign", "Assigned"),
    ("create", "Created"),
    ("delete", "Deleted"),
    ("disable", "Disabled"),
    ("distrust", "Removed the trust in"),
    ("drop", "Dropped"),
    ("forget", "Forgot"),
    ("purge", "Removed the files of"),
    ("register", "Registered"),
    ("remove", "Removed"),
    ("rename", "Renamed"),
    ("request", "Requested"),
    ("restore", "Restored"),
    ("resume", "Resumed"),
    ("revoke", "Revoked"),
    ("rotate", "Rotated"),
    ("set", "Set"),
    ("suspend", "Suspended"),
    ("trust", "Trusted"),
    ("undo", "Undid"),
    ("update", "Changed"),
];

/// Says what an operation did to an object.
#[must_use]
pub fn done(operation: &str, kind: &str, object: &str) -> String {
    let kind_words = kind.replace('-', " ");
    let known = operation.split_once('-').and_then(|(verb, what)| {
        VERBS.iter().find(|(name, _)| *name == verb).map(|(_, past)| (*past, what.replace('-', " ")))
    });
    match known {
        Some((_, what)) if operation.starts_with("update-") && ["table", "view"].contains(&what.as_str()) => {
            format!("Committed to {kind_words} {object}")
        }
        Some((past, what)) if what == kind_words => format!("{past} {what} {object}"),
        Some((past, what)) => format!("{past} {what} of {kind_words} {object}"),
        None => format!("{operation} {kind_words} {object}"),
    }
}

/// Adds the new name of an object to what was done.
#[must_use]
pub fn to(done: &str, new_name: &str) -> String {
    format!("{done} to {new_name}")
}

/// Says which snapshots were added.
#[must_use]
pub fn snapshots(ids: &[String]) -> String {
    let word = if ids.len() == 1 { "snapshot" } else { "snapshots" };
    format!("{word} {}", ids.join(", "))
}

/// Says how many updates a commit had, with the number of each kind.
#[must_use]
pub fn updates(all: u64, kinds: &[(&str, u64)]) -> String {
    let word = if all == 1 { "update" } else { "updates" };
    let kind = |(kind, count): &(&str, u64)| if *count == 1 { (*kind).to_owned() } else { format!("{count} {kind}") };
    format!("{all} {word} ({})", kinds.iter().map(kind).collect::<Vec<_>>().join(", "))
}
