//! Lists and forms for operators: organisations, the server and its slow requests.

use serde_json::Value;

use crate::format;
use crate::link::Link;
use crate::records::{Field, Form, Records, Row, Search, entries, text, time};
use crate::texts::{self as t, operators as o};

/// Returns the form that searches organisations by the beginning of their names.
#[must_use]
pub fn search(text: &str) -> Search {
    Search { page: "organisations", fields: vec![Field::line("q", o::SEARCH_ORGANISATIONS, text.to_owned())] }
}

/// Returns a text that sorts just before every text that begins with `prefix`, in the order of code points. A list after it begins with
/// the first match, so a search reads one page and not the whole list. `None` for an empty prefix.
#[must_use]
pub fn before(prefix: &str) -> Option<String> {
    let last = prefix.chars().next_back()?;
    let mut before = prefix[..prefix.len() - last.len_utf8()].to_owned();
    let smaller = (0..u32::from(last)).rev().find_map(char::from_u32);
    // Nothing lies between the shorter text and one with the smallest character.
    if let Some(smaller) = smaller {
        before.push(smaller);
        // The largest code points: they sort after all names that people give.
        before.extend([char::MAX; 4]);
    }
    Some(before)
}

/// Lists organisations whose name begins with a text. `page` is the page with its search.
#[must_use]
pub fn organisations(found: &Value, prefix: &str, page: Link) -> Records {
    let all: Vec<&Value> = found["organisations"].as_array().into_iter().flatten().collect();
    let matches = |one: &Value| one["name"].as_str().is_some_and(|name| name.starts_with(prefix));
    // A search ends at the first name that does not begin with its text.
    let is_over = all.last().is_some_and(|last| !matches(last));
    let row = |one: &&Value| Row {
        name: text(one, "name"),
        href: Some(Link::to("organisation").with("name", &text(one, "name")).text()),
        cells: vec![text(one, "tier"), state(one).to_owned(), time(one, "created-ms")],
        ..Row::default()
    };
    Records {
        empty: t::empty::NO_ORGANISATIONS,
        heading: "",
        columns: vec![t::NAME, t::TIER, t::STATE, t::CREATED],
        rows: all.iter().filter(|one| matches(one)).map(row).collect(),
        more: crate::records::next(found, page).filter(|_| !is_over),
        ..Records::default()
    }
}

fn state(one: &Value) -> &'static str {
    match () {
        () if !one["delete-after-ms"].is_null() => o::STATE_DELETED,
        () if one["suspended"] == true => o::STATE_SUSPENDED,
        () => o::STATE_SERVED,
    }
}

/// Returns the names of the configured tiers.
#[must_use]
pub fn tiers(found: &Value) -> Vec<String> {
    found["tiers"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

/// Returns the form that creates an organisation.
#[must_use]
pub fn create(tiers: Vec<String>) -> Form {
    Form::new("create-organisation", o::ADD_ORGANISATION).field(Field::required("name", t::NAME)).field(Field::choice(
        "tier",
        t::TIER,
        String::new(),
        tiers,
    ))
}

/// Returns the facts about an organisation.
#[must_use]
pub fn facts(one: &Value) -> Vec<(&'static str, String)> {
    let number = |name: &str| one[name].as_u64().map(|number| number.to_string()).unwrap_or_default();
    let facts = [
        (t::STATE, state(one).to_owned()),
        (o::SERVED_BY, text(one, "served-by-tier")),
        (o::DELETE_AFTER, time(one, "delete-after-ms")),
        (o::KEYS, number("keys")),
        (t::CREATED, time(one, "created-ms")),
        (t::ID, text(one, "id")),
    ];
    facts.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// Returns the forms of an organisation. A deleted one can only be restored.
#[must_use]
pub fn forms(one: &Value, tiers: Vec<String>) -> Vec<Form> {
    let name = text(one, "name");
    let forms = match state(one) {
        o::STATE_DELETED => vec![Form::new("restore-organisation", o::RESTORE)],
        state => {
            let switch = match state {
                o::STATE_SUSPENDED => Form::new("resume-organisation", o::RESUME),
                _ => Form::new("suspend-organisation", o::SUSPEND).hint(o::SUSPEND_HINT).danger(),
            };
            vec![
                Form::new("set-tier", o::CHANGE_TIER).field(Field::choice("tier", t::TIER, text(one, "tier"), tiers)),
                Form::new("rename-organisation", o::RENAME)
                    .hint(o::RENAME_HINT)
                    .field(Field { is_required: true, ..Field::line("new-name", t::NAME, name.clone()) }),
                switch,
                Form::new("delete-organisation", o::DELETE_ORGANISATION)
                    .hint(o::DELETE_ORGANISATION_HINT)
                    .field(Field::required("confirm", o::CONFIRM_NAME))
                    .danger(),
            ]
        }
    };
    forms.into_iter().map(|form| form.hidden("name", &name)).collect()
}

/// Returns the facts about a server. `running_for` is its time since the start, for people.
#[must_use]
pub fn server_facts(status: &Value, running_for: String) -> Vec<(&'static str, String)> {
    vec![
        (o::VERSION, text(status, "version")),
        (o::PROCESS, status["process"].as_u64().map(|id| id.to_string()).unwrap_or_default()),
        (o::RUNNING_FOR, running_for),
    ]
}

/// Lists the parts of a server.
#[must_use]
pub fn parts(status: &Value) -> Records {
    let number = |one: &Value, name: &str| one[name].as_u64().filter(|number| *number > 0);
    let row = |(_, one): (usize, &Value)| Row {
        name: text(one, "name"),
        cells: vec![
            text(one, "state"),
            number(one, "waiting").map(|number| number.to_string()).unwrap_or_default(),
            number(one, "lag-s").map(|lag_s| format!("{lag_s} s")).unwrap_or_default(),
            format::cut(&text(one, "message"), 300),
        ],
        ..Row::default()
    };
    Records {
        empty: t::empty::NO_PARTS,
        heading: o::PARTS,
        columns: vec![o::PART, t::STATE, o::WAITING, o::OLDEST, t::people::LAST_ERROR],
        rows: entries(status, "parts").map(row).collect(),
        ..Records::default()
    }
}

/// Lists the tasks in the background of a server.
#[must_use]
pub fn background(status: &Value) -> Records {
    let row = |(_, one): (usize, &Value)| Row {
        name: text(one, "name"),
        cells: vec![
            text(one, "state"),
            time(one, "last-run-ms"),
            one["last-duration-ms"].as_u64().map(|took_ms| format!("{took_ms} ms")).unwrap_or_default(),
            time(one, "next-run-ms"),
            one["failures"].as_u64().filter(|failures| *failures > 0).map(|one| one.to_string()).unwrap_or_default(),
            format::cut(&text(one, "last-error"), 300),
        ],
        ..Row::default()
    };
    Records {
        empty: t::empty::NO_TASKS,
        heading: o::BACKGROUND,
        columns: vec![o::TASK, t::STATE, o::LAST_RUN, o::DURATION, o::NEXT_RUN, o::FAILURES, t::people::LAST_ERROR],
        rows: entries(status, "background").map(row).collect(),
        ..Records::default()
    }
}

/// Returns the facts about the slow requests that a server keeps.
#[must_use]
pub fn slow_facts(found: &Value) -> Vec<(&'static str, String)> {
    let threshold = found["threshold-ms"].as_u64();
    let shown = threshold.map_or_else(|| o::SLOW_REQUESTS_OFF.to_owned(), |threshold_ms| format!("{threshold_ms} ms"));
    vec![(o::SLOW_FROM, shown)]
}

/// Lists the slowest requests of a server.
#[must_use]
pub fn slow_requests(found: &Value) -> Records {
    let row = |(_, one): (usize, &Value)| Row {
        name: time(one, "at-ms"),
        cells: vec![
            one["duration-ms"].as_u64().map(|took_ms| format!("{took_ms} ms")).unwrap_or_default(),
            one["status"].as_u64().map_or_else(|| o::NOT_ANSWERED.to_owned(), |status| status.to_string()),
            text(one, "method"),
            text(one, "route"),
            text(one, "organisation"),
            text(one, "request-id"),
        ],
        ..Row::default()
    };
    Records {
        empty: t::empty::NO_SLOW_REQUESTS,
        heading: "",
        columns: vec![t::TIME, o::DURATION, o::STATUS, o::METHOD, o::ROUTE, o::ORGANISATION, o::REQUEST_ID],
        rows: entries(found, "slow-requests").map(row).collect(),
        ..Records::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn list_after_the_beginning_of_a_search_has_every_match(prefix in "\\PC{1,6}", rest in "\\PC{0,4}", other in "\\PC{0,6}") {
            let before = before(&prefix).unwrap();
            // Stores sort names by their bytes, which is the order of code points.
            prop_assert!(before < format!("{prefix}{rest}"), "{before:?}");
            // And it does not list what comes before, except what nobody names.
            prop_assert!(other >= prefix || other <= before, "{other:?} {before:?}");
        }
    }

    #[test]
    fn search_of_organisations_ends_at_the_first_other_name() {
        let found = |names: &[&str]| {
            let all: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
            json!({ "organisations": all, "next-page-token": "x" })
        };
        let list = organisations(&found(&["acme", "acorn", "bee"]), "ac", Link::to("organisations"));
        assert_eq!((list.rows.len(), list.more), (2, None));
        let list = organisations(&found(&["acme", "acorn"]), "ac", Link::to("organisations"));
        assert_eq!(list.more.as_deref(), Some("organisations?page=x"));
    }

    #[test]
    fn deleted_organisation_can_only_be_restored() {
        let changes = |one: Value| forms(&one, Vec::new()).into_iter().map(|form| form.change).collect::<Vec<_>>();
        assert_eq!(changes(json!({ "delete-after-ms": 1, "suspended": true })), ["restore-organisation"]);
        assert!(changes(json!({ "suspended": true })).contains(&"resume-organisation"));
        assert!(changes(json!({ "suspended": false })).contains(&"suspend-organisation"));
    }

    #[test]
    fn request_without_an_answer_is_said_to_have_none() {
        let found = json!({ "threshold-ms": 5, "slow-requests": [{ "at-ms": 0, "duration-ms": 7, "status": null }] });
        assert_eq!(slow_requests(&found).rows[0].cells[..2], ["7 ms", o::NOT_ANSWERED]);
        assert_eq!(slow_facts(&found)[0].1, "5 ms");
        assert_eq!(slow_facts(&json!({ "threshold-ms": null }))[0].1, o::SLOW_REQUESTS_OFF);
    }
}
