//! Lists and forms for events and their subscriptions.

use serde_json::Value;

use crate::changes;
use crate::format;
use crate::frame::NavItem;
use crate::link::Link;
use crate::records::{Field, Form, Records, Row, Search, entries, next, text, time};
use crate::texts::{self as t, people as p};

/// The longest JSON of an event that is shown, in characters.
const MAX_DOCUMENT: usize = 4_000;

/// What the API's reason names if a receiver's host is unknown or in a network that is not allowed.
const BLOCKED: &str = "delivery.allow_networks";

/// How the API's reason begins if a receiver answered with an error.
const ANSWERED: &str = "the receiver answers";

/// Returns the tabs of the pages of events. `page` is the one that is shown.
#[must_use]
pub fn sections(page: &str) -> Vec<NavItem> {
    let sections = [("events", p::EVENTS), ("subscriptions", p::SUBSCRIPTIONS)];
    sections.into_iter().map(|(href, label)| NavItem { label, href, is_here: href == page }).collect()
}

/// The parameters by which events are searched, as the page and the API name them.
pub const FILTERS: [&str; 4] = ["warehouse", "object", "actor", "operation"];

/// Returns the form that searches events. `value` returns the present value of a parameter.
pub fn search(value: impl Fn(&str) -> String) -> Search {
    let field = |name, label, example| Field::line(name, label, value(name)).example(example);
    Search {
        page: "events",
        fields: vec![
            field("object", t::OBJECT, "sales.orders"),
            field("actor", t::ACTOR, "etl"),
            field("operation", t::OPERATION, "drop-table"),
            field("warehouse", t::WAREHOUSE, "lake"),
            field("since", p::SEARCH_SINCE, "2026-08-01T12:30"),
            field("until", p::SEARCH_UNTIL, "2026-08-02"),
        ],
    }
}

/// Lists events. `page` is the page with its filters.
#[must_use]
pub fn list(found: &Value, page: Link) -> Records {
    let row = |(_, one): (usize, &Value)| Row {
        name: time(one, "at-ms"),
        cells: vec![changes::words(one), text(one, "actor"), text(one, "address")],
        document: Some((text(one, "operation"), document(one))),
        ..Row::default()
    };
    Records {
        empty: t::empty::NO_EVENTS,
        columns: vec![t::TIME, p::WHAT_CHANGED, t::ACTOR, t::ADDRESS],
        wide: Some(0),
        rows: entries(found, "events").map(row).collect(),
        more: next(found, page),
        ..Records::default()
    }
}

/// Returns an event as the API has it, for people, up to a limit.
fn document(event: &Value) -> String {
    format::cut(&serde_json::to_string_pretty(event).unwrap_or_default(), MAX_DOCUMENT)
}

/// Lists subscriptions.
#[must_use]
pub fn subscriptions(found: &Value) -> Records {
    let row = |(_, one): (usize, &Value)| Row {
        name: text(one, "name"),
        href: Some(Link::to("subscription").with("id", &text(one, "id")).text()),
        cells: vec![text(one, "url"), text(one, "state"), time(one, "delivered-ms"), text(one, "last-error")],
        ..Row::default()
    };
    Records {
        empty: t::empty::NO_SUBSCRIPTIONS,
        heading: "",
        columns: vec![t::NAME, p::URL, t::STATE, p::DELIVERED, p::LAST_ERROR],
        rows: entries(found, "subscriptions").map(row).collect(),
        more: next(found, Link::to("subscriptions")),
        ..Records::default()
    }
}

/// Returns the form that creates a subscription.
#[must_use]
pub fn create() -> Form {
    Form::new("create-subscription", p::CREATE_SUBSCRIPTION)
        .field(Field::required("name", t::NAME))
        .field(Field::required("url", p::URL).example("https://example.com/hook"))
        .field(Field::line("objects", p::OBJECTS_OF, String::new()).example("sales.orders"))
        .field(Field::line("operations", p::OPERATIONS_OF, String::new()).example("update-table, drop-table"))
}

/// Returns the facts about a subscription.
#[must_use]
pub fn facts(one: &Value) -> Vec<(&'static str, String)> {
    let all = |name: &str| {
        let texts: Vec<&str> = one[name].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if texts.is_empty() { t::ANY.to_owned() } else { texts.join(", ") }
    };
    let facts = [
        (p::URL, text(one, "url")),
        (t::STATE, text(one, "state")),
        (t::OBJECT, all("objects")),
        (t::OPERATION, all("operations")),
        (t::CREATED, time(one, "created-ms")),
        (p::DELIVERED, time(one, "delivered-ms")),
        (p::FAILING_SINCE, time(one, "failing-since-ms")),
        (p::LAST_ERROR, text(one, "last-error")),
        (t::ID, text(one, "id")),
    ];
    facts.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// Returns the forms of a subscription.
#[must_use]
pub fn forms(one: &Value, has_dead_letters: bool) -> Vec<Form> {
    let switch = match one["disabled-ms"].is_null() {
        true => Form::new("disable-subscription", p::DISABLE).danger(),
        false => Form::new("enable-subscription", p::ENABLE),
    };
    let mut forms = vec![Form::new("test-subscription", p::TEST_SUBSCRIPTION), switch];
    if has_dead_letters {
        forms.push(Form::new("replay", p::REPLAY_ALL));
        forms.push(Form::new("discard", p::DISCARD).hint(p::DISCARD_HINT).danger());
    }
    let rotate = Form::new("rotate-subscription", p::ROTATE_SECRET).hint(p::ROTATE_SECRET_HINT);
    forms.push(rotate.field(Field::line("hours", p::OVERLAP_SECRET_HOURS, String::new()).example("24")));
    forms.push(Form::new("delete-subscription", p::DELETE).hint(p::DELETE_SUBSCRIPTION_HINT).danger());
    let id = text(one, "id");
    forms.into_iter().map(|form| form.hidden("id", &id)).collect()
}

/// Says why a test of a subscription failed, and what to do. `reason` is the API's.
#[must_use]
pub fn failed_test(reason: &str) -> String {
    if reason.contains(BLOCKED) {
        p::TEST_BLOCKED.to_owned()
    } else if reason.starts_with(ANSWERED) {
        p::test_refused(reason)
    } else {
        p::test_not_sent(reason)
    }
}

/// Lists the dead letters of a subscription, with forms to send each again and to discard it.
#[must_use]
pub fn dead_letters(found: &Value, subscription: &str) -> Records {
    let row = |(at, one): (usize, &Value)| {
        let event = text(one, "event-id");
        let form = |form: Form| form.hidden("id", subscription).hidden("event", &event).of_row(at, &event);
        let replay = form(Form::new("replay-one", p::REPLAY));
        let discard = form(Form::new("discard-one", p::DISCARD_ONE).hint(p::DISCARD_HINT).danger());
        Row {
            cells: vec![time(one, "at-ms"), text(&one["event"], "type"), format::cut(&text(one, "reason"), 300)],
            forms: vec![replay, discard],
            name: event,
            ..Row::default()
        }
    };
    Records {
        empty: t::empty::NO_DEAD_LETTERS,
        heading: p::DEAD_LETTERS,
        columns: vec![p::EVENT_ID, t::TIME, t::TYPE, p::REASON],
        rows: entries(found, "dead-letters").map(row).collect(),
        more: next(found, Link::to("subscription").with("id", subscription)),
        ..Records::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn event_has_words_and_its_json_is_cut() {
        let event = json!({ "at-ms": 0, "operation": "drop-table", "object-type": "table", "object": "a.b" });
        let long = json!({ "details": { "x": "y".repeat(5_000) } });
        let rows = list(&json!({ "events": [event, long] }), Link::to("events")).rows;
        assert_eq!(rows[0].cells[0], "Dropped table a.b");
        let (label, json) = rows[0].document.as_ref().unwrap();
        assert_eq!((label.as_str(), serde_json::from_str::<Value>(json).unwrap()), ("drop-table", event));
        assert_eq!(rows[1].document.as_ref().unwrap().1.chars().count(), MAX_DOCUMENT + 1);
    }

    #[test]
    fn failed_test_says_whether_the_receiver_was_reached_and_what_to_do() {
        let blocked =
            failed_test("error sending request: the host is unknown (see the setting `delivery.allow_networks`)");
        assert!(blocked.contains("not reached") && blocked.contains("delivery.allow_networks"), "{blocked}");
        let refused = failed_test("the receiver answers 500 Internal Server Error");
        assert!(refused.contains("was reached") && refused.contains("500"), "{refused}");
        let silent = failed_test("the receiver did not answer in time");
        assert!(silent.contains("not reached") && silent.contains("in time"), "{silent}");
    }

    #[test]
    fn paused_subscription_can_be_enabled_and_dead_letters_are_sent_again() {
        let changes = |one: &Value, dead| forms(one, dead).iter().map(|form| form.change).collect::<Vec<_>>();
        assert!(changes(&json!({ "disabled-ms": 1 }), false).contains(&"enable-subscription"));
        assert!(changes(&json!({ "disabled-ms": null }), true).contains(&"replay"));
        assert!(!changes(&json!({ "disabled-ms": null }), false).contains(&"replay"));
        let letters = dead_letters(&json!({ "dead-letters": [{ "event-id": "7", "reason": "410" }] }), "s");
        assert_eq!((letters.rows[0].name.as_str(), letters.rows[0].forms[0].change), ("7", "replay-one"));
    }
}
