//! Lists and forms for warehouses: their storage, its test, and options.

use serde_json::Value;

use crate::link::Link;
use crate::records::{Field, Form, Records, Row, entries, next, text, time};
use crate::texts::{self as t, people as p};

/// When files of a purged table are removed, and who plans scans.
const PURGES: [&str; 2] = ["after-retention", "at-once"];
const PLANNINGS: [&str; 3] = ["unset", "client", "server"];

/// Lists warehouses.
#[must_use]
pub fn list(found: &Value) -> Records {
    let row = |(_, one): (usize, &Value)| {
        let name = text(one, "name");
        Row {
            href: Some(Link::to("warehouse").with("name", &name).text()),
            cells: vec![
                text(one, "root"),
                text(&one["storage"], "type"),
                if one["default"] == true { t::YES.to_owned() } else { String::new() },
                time(one, "created-ms"),
            ],
            forms: Vec::new(),
            name,
            ..Row::default()
        }
    };
    Records {
        empty: t::empty::NO_WAREHOUSES_YET,
        heading: "",
        columns: vec![t::NAME, t::LOCATION, p::STORAGE, t::DEFAULT, t::CREATED],
        rows: entries(found, "warehouses").map(row).collect(),
        more: next(found, Link::to("warehouses")),
        ..Records::default()
    }
}

/// Returns the form that creates a warehouse.
#[must_use]
pub fn create() -> Form {
    Form::new("create-warehouse", p::CREATE_WAREHOUSE)
        .hint(p::CHECK_STORAGE_HINT)
        .field(Field::required("name", t::NAME))
        .field(Field::required("root", p::ROOT).example("s3://bucket/lake"))
        .field(storage())
        .field(Field::check("default", p::SET_DEFAULT, false))
        .field(Field::check("dry-run", p::ONLY_TEST, false))
}

fn storage() -> Field {
    Field::lines("storage", p::STORAGE_JSON)
        .example("{\"type\": \"s3\", \"region\": \"eu-central-1\", \"credentials\": {...}}")
}

/// Returns the facts about a warehouse.
#[must_use]
pub fn facts(one: &Value) -> Vec<(&'static str, String)> {
    let facts = [
        (t::LOCATION, text(one, "root")),
        (t::DEFAULT, if one["default"] == true { t::YES.to_owned() } else { t::NO.to_owned() }),
        (t::CREDENTIALS, text(one, "credentials")),
        (p::PURGE, text(&one["options"], "purge")),
        (p::PLANNING, text(&one["options"], "scan-planning-mode")),
        (p::NO_DELETE, if one["options"]["no-delete"] == true { t::YES.to_owned() } else { t::NO.to_owned() }),
        (t::CREATED, time(one, "created-ms")),
        (t::ID, text(one, "id")),
    ];
    facts.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// Returns the storage settings of a warehouse as a document. They have no secrets.
#[must_use]
pub fn storage_of(one: &Value) -> (&'static str, String) {
    (p::STORAGE, serde_json::to_string_pretty(&one["storage"]).unwrap_or_default())
}

/// Returns the forms of a warehouse.
#[must_use]
pub fn forms(one: &Value) -> Vec<Form> {
    let options = &one["options"];
    let choice = |name, label, value: &str, all: &[&str]| {
        Field::choice(name, label, text(options, value), all.iter().map(|one| (*one).to_owned()).collect())
    };
    let mut forms = vec![
        Form::new("check-warehouse", p::CHECK_STORAGE).hint(p::CHECK_STORAGE_HINT),
        Form::new("set-storage", p::SET_STORAGE).hint(p::SET_STORAGE_HINT).field(storage()),
        Form::new("set-options", p::CHANGE_OPTIONS)
            .field(choice("purge", p::PURGE, "purge", &PURGES))
            .field(choice("planning", p::PLANNING, "scan-planning-mode", &PLANNINGS))
            .field(Field::check("no-delete", p::NO_DELETE, options["no-delete"] == true)),
    ];
    if one["default"] != true {
        forms.push(Form::new("make-default", p::MAKE_DEFAULT).hint(p::MAKE_DEFAULT_HINT));
    }
    forms.push(Form::new("delete-warehouse", p::DELETE).hint(p::DELETE_WAREHOUSE_HINT).danger());
    let name = text(one, "name");
    forms.into_iter().map(|form| form.hidden("warehouse", &name)).collect()
}

/// Lists the steps of a test of a storage.
#[must_use]
pub fn steps(check: &Value) -> Records {
    let row = |(_, one): (usize, &Value)| Row {
        name: text(one, "name"),
        cells: vec![if one["ok"] == true { t::YES.to_owned() } else { t::NO.to_owned() }, text(one, "detail")],
        ..Row::default()
    };
    Records {
        empty: t::empty::NO_STEPS,
        heading: p::CHECK_STEPS,
        columns: vec![p::STEP, "OK", p::DETAILS],
        rows: entries(check, "steps").map(row).collect(),
        ..Records::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn default_warehouse_is_not_offered_to_become_the_default() {
        let forms_of = |is_default: bool| forms(&json!({ "name": "lake", "default": is_default })).len();
        assert_eq!((forms_of(true), forms_of(false)), (4, 5));
    }

    #[test]
    fn steps_show_the_failed_one_with_its_problem() {
        let steps = steps(&json!({ "ok": false, "steps": [{ "name": "write", "ok": false, "detail": "403" }] }));
        assert_eq!(steps.rows[0].cells, ["no", "403"]);
    }
}
