//! The maintenance of tables: health with advice, policies with their origin, runs.

use askama::Template;
use serde_json::{Map, Value};

use crate::browse::Location;
use crate::frame::Frame;
use crate::link::Link;
use crate::table::{Fact, Tab};
use crate::texts::{self as t, care as c};
use crate::{duration, format};

/// The most runs, objects of a run and findings that a page shows.
const MAX_ROWS: usize = 500;

/// How a field of a policy is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A time in milliseconds.
    Time,
    /// A whole number.
    Number,
}

/// A field of a policy: its name, its form, and its default as text.
type Field = (&'static str, Form, &'static str);

/// The operations with their fields beside `enabled`.
const OPERATIONS: [(&str, &[Field]); 5] = [
    ("compact-files", &[("interval-ms", Form::Time, "1d"), ("min-input-files", Form::Number, "5")]),
    ("rewrite-manifests", &[("interval-ms", Form::Time, "1d"), ("min-manifests", Form::Number, "10")]),
    ("compute-statistics", &[("interval-ms", Form::Time, "1d")]),
    (
        "expire-snapshots",
        &[
            ("interval-ms", Form::Time, "1d"),
            ("max-snapshot-age-ms", Form::Time, "5d"),
            ("min-snapshots-to-keep", Form::Number, "1"),
            ("max-ref-age-ms", Form::Time, "-"),
        ],
    ),
    ("remove-orphan-files", &[("interval-ms", Form::Time, "1d"), ("min-age-ms", Form::Time, "3d")]),
];

/// Returns the names of the operations.
pub fn operations() -> impl Iterator<Item = &'static str> {
    OPERATIONS.iter().map(|(name, _)| *name)
}

/// A policy on the way from an object to its warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// The object for people, such as `namespace sales`.
    pub label: String,
    /// What was set on it: the fields of each operation.
    pub own: Value,
}

/// A field of an operation's policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyField {
    /// The name of the input.
    pub input: String,
    /// The field for people, without the unit.
    pub label: &'static str,
    /// What is set here, or an empty text.
    pub own: String,
    /// The value in force.
    pub effective: String,
    /// Where it comes from.
    pub source: String,
}

/// The policy of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationPolicy {
    /// The operation.
    pub name: &'static str,
    /// Whether it runs by what is set here. `None` if this is inherited.
    pub own_enabled: Option<bool>,
    /// Whether it runs.
    pub is_enabled: bool,
    /// Where this comes from.
    pub source: String,
    /// The other fields.
    pub fields: Vec<PolicyField>,
}

impl OperationPolicy {
    /// Returns whether the operation is set to run here (`on`), or not to run (`off`), or inherits it (empty).
    #[must_use]
    pub const fn own(&self) -> &'static str {
        match self.own_enabled {
            Some(true) => "on",
            Some(false) => "off",
            None => "",
        }
    }

    /// Returns the parameter of the form that sets it.
    #[must_use]
    pub fn input(&self) -> String {
        format!("{}.enabled", self.name)
    }
}

fn shown(form: Form, value: &Value) -> String {
    match form {
        Form::Time => value.as_i64().map(duration::shown).unwrap_or_default(),
        Form::Number => value.as_i64().map(|number| number.to_string()).unwrap_or_default(),
    }
}

/// Returns the policy in force. `levels` has what is set on the object itself, then on those around it, the nearest first.
#[must_use]
pub fn policy(levels: &[Level]) -> Vec<OperationPolicy> {
    let nearest = |operation: &str, field: &str| {
        levels
            .iter()
            .find(|level| !level.own[operation][field].is_null())
            .map(|level| (level, &level.own[operation][field]))
    };
    let source = |found: Option<&Level>| found.map_or_else(|| c::DEFAULT_VALUE.to_owned(), |level| level.label.clone());
    let own = |operation: &str, field: &str| levels.first().map_or(&Value::Null, |level| &level.own[operation][field]);
    let row = |&(name, fields): &(&'static str, &[Field])| {
        let enabled = nearest(name, "enabled");
        let field = |&(field, form, default): &Field| {
            let found = nearest(name, field);
            PolicyField {
                input: format!("{name}.{field}"),
                label: field.trim_end_matches("-ms"),
                own: shown(form, own(name, field)),
                effective: found.map_or_else(|| default.to_owned(), |(_, value)| shown(form, value)),
                source: source(found.map(|(level, _)| level)),
            }
        };
        OperationPolicy {
            name,
            own_enabled: own(name, "enabled").as_bool(),
            is_enabled: enabled.and_then(|(_, value)| value.as_bool()).unwrap_or_default(),
            source: source(enabled.map(|(level, _)| level)),
            fields: fields.iter().map(field).collect(),
        }
    };
    OPERATIONS.iter().map(row).collect()
}

/// Returns the policy of a form, as the API takes it. `input` returns the text of an input.
///
/// # Errors
/// Says which kind of text cannot be read.
pub fn policy_of_form<'f>(input: impl Fn(&str) -> Option<&'f str>) -> Result<Value, &'static str> {
    let mut policy = Map::new();
    for (operation, fields) in OPERATIONS {
        let mut own = Map::new();
        if let Some(enabled) = input(&format!("{operation}.enabled")) {
            own.insert("enabled".to_owned(), (enabled == "on").into());
        }
        for (field, form, _) in fields {
            let Some(text) = input(&format!("{operation}.{field}")) else { continue };
            let value = match form {
                Form::Time => duration::parse(text).ok_or(c::NOT_A_DURATION)?,
                Form::Number => text.trim().parse::<u32>().map_err(|_| c::NOT_A_WHOLE_NUMBER)?.into(),
            };
            own.insert((*field).to_owned(), value.into());
        }
        if !own.is_empty() {
            policy.insert(operation.to_owned(), own.into());
        }
    }
    Ok(policy.into())
}

/// Something about a table that makes it slow or large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingRow {
    /// What was found.
    pub message: String,
    /// What to do.
    pub advice: String,
    /// The operation that helps.
    pub operation: String,
}

/// The health of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Figures.
    pub facts: Vec<Fact>,
    /// What is worth a look.
    pub findings: Vec<FindingRow>,
}

impl Health {
    /// Reads the API's answer.
    #[must_use]
    pub fn parse(health: &Value) -> Self {
        let number = |name: &str| health[name].as_i64().unwrap_or_default();
        let finding = |one: &Value| {
            let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
            FindingRow { message: text("message"), advice: text("advice"), operation: text("operation") }
        };
        let findings = health["findings"].as_array().into_iter().flatten().take(MAX_ROWS);
        Self {
            facts: vec![
                (c::LAST_COMMIT, health["last-commit-ms"].as_i64().map(format::time).unwrap_or_default()),
                (t::SNAPSHOTS, format::count(number("snapshots"))),
                (t::REFERENCES, format::count(number("refs"))),
                (t::METADATA, format::bytes(number("metadata-bytes"))),
                (
                    c::MANIFESTS,
                    c::files_of_size(&format::count(number("manifests")), &format::bytes(number("manifest-bytes"))),
                ),
                (
                    t::DATA_FILES,
                    c::files_of_size(&format::count(number("data-files")), &format::bytes(number("data-bytes"))),
                ),
                (c::SMALL_FILES, format::count(number("small-files"))),
            ],
            findings: findings.map(finding).collect(),
        }
    }
}

/// An object that a run removed or left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemRow {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
    /// Its size, if it is known.
    pub bytes: String,
}

/// A run of an operation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunRow {
    /// Its id.
    pub id: String,
    /// The table's name at its begin.
    pub table: String,
    /// The operation.
    pub operation: String,
    /// Whether it only shows what it would do.
    pub is_dry: bool,
    /// Its outcome.
    pub outcome: String,
    /// Why it failed, or did nothing.
    pub message: String,
    /// When it began.
    pub started: String,
    /// When it ended.
    pub ended: String,
    /// Who started it.
    pub started_by: String,
    /// What went: snapshots and references, or an empty text.
    pub snapshots: String,
    /// What went: files.
    pub files: String,
    /// Files that a rewrite replaced.
    pub replaced: String,
    /// Files that a rewrite wrote.
    pub written: String,
    /// Files that stayed, by the reason.
    pub kept: String,
    /// The first objects.
    pub items: Vec<ItemRow>,
    /// Whether there are more.
    pub has_more: bool,
}

impl RunRow {
    /// Parses a run of the API's list.
    #[must_use]
    pub fn parse(run: &Value) -> Self {
        let text = |name: &str| run[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| run[name].as_i64().unwrap_or_default();
        let time = |name: &str| run[name].as_i64().map(format::time).unwrap_or_default();
        let files = |count: &str, bytes: &str| match number(count) {
            0 => String::new(),
            files => c::files_of_size(&format::count(files), &format::bytes(number(bytes))),
        };
        let item = |one: &Value| ItemRow {
            kind: one["kind"].as_str().unwrap_or_default().to_owned(),
            name: format::cut(one["name"].as_str().unwrap_or_default(), 300),
            reason: one["reason"].as_str().unwrap_or_default().to_owned(),
            bytes: one["bytes"].as_i64().map(format::bytes).unwrap_or_default(),
        };
        let kept = run["kept"].as_object().into_iter().flatten();
        let kept: Vec<String> = kept.map(|(reason, count)| format!("{count} {reason}")).collect();
        let (snapshots, references) = (number("snapshots"), number("refs"));
        let went = c::snapshots_and_references(&format::count(snapshots), &format::count(references));
        Self {
            id: text("id"),
            table: text("table"),
            operation: text("operation"),
            is_dry: run["dry-run"].as_bool().unwrap_or_default(),
            outcome: text("outcome"),
            message: text("message"),
            started: time("started-ms"),
            ended: time("ended-ms"),
            started_by: run["started-by"].as_str().unwrap_or(c::BY_POLICY).to_owned(),
            snapshots: if snapshots + references > 0 { went } else { String::new() },
            files: files("files", "bytes"),
            replaced: files("replaced-files", "replaced-bytes"),
            written: files("written-files", "written-bytes"),
            kept: kept.join(", "),
            items: run["items"].as_array().into_iter().flatten().take(MAX_ROWS).map(item).collect(),
            has_more: run["more-items"].as_bool().unwrap_or_default(),
        }
    }

    /// Returns whether it is not at its end.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.outcome == "running"
    }

    /// Returns whether it showed, as a dry run, what a run would do.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        self.is_dry && self.outcome == "succeeded" && !self.does_nothing()
    }

    /// Returns whether nothing went and nothing was written.
    #[must_use]
    pub fn does_nothing(&self) -> bool {
        [&self.snapshots, &self.files, &self.replaced, &self.written].into_iter().all(String::is_empty)
    }

    /// Returns what went in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let parts = [&self.snapshots, &self.files, &self.replaced];
        parts.into_iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(", ")
    }

    /// Returns what the run did, without empty fields.
    #[must_use]
    pub fn facts(&self) -> Vec<Fact> {
        let went = if self.is_dry { c::WOULD_GO } else { c::WENT };
        let all = [
            (t::OPERATION, &self.operation),
            (c::OUTCOME, &self.outcome),
            (t::MESSAGE, &self.message),
            (c::STARTED, &self.started),
            (c::ENDED_AT, &self.ended),
            (c::STARTED_BY, &self.started_by),
            (went, &self.snapshots),
            (if self.snapshots.is_empty() { went } else { t::FILES }, &self.files),
            (c::REPLACED_FILES, &self.replaced),
            (c::WRITTEN_FILES, &self.written),
            (c::STAYED, &self.kept),
        ];
        all.into_iter().filter(|(_, value)| !value.is_empty()).map(|(label, value)| (label, value.clone())).collect()
    }
}

/// The page of the maintenance of a warehouse, namespace or table.
#[derive(Debug, Template)]
#[template(path = "maintenance.html")]
pub struct MaintenancePage {
    /// The frame.
    pub frame: Frame,
    /// The warehouse or namespace.
    pub place: Location,
    /// The table's name, or an empty text.
    pub name: String,
    /// The name of the object for people.
    pub heading: String,
    /// The links to the sections of the table.
    pub tabs: Vec<Tab>,
    /// The health of the table.
    pub health: Option<Health>,
    /// Why the health is not known.
    pub no_health: Option<String>,
    /// The policy in force.
    pub policy: Vec<OperationPolicy>,
    /// The last runs, unless the object is a namespace.
    pub runs: Option<Vec<RunRow>>,
    /// Where the next page of runs is.
    pub more: Option<String>,
}

impl MaintenancePage {
    /// Returns the operations that can be started.
    #[must_use]
    pub fn operations(&self) -> Vec<&'static str> {
        operations().collect()
    }

    /// Returns the link to a run.
    #[must_use]
    pub fn run(&self, id: &str) -> String {
        run_link(&self.place, &self.name, id)
    }
}

/// Returns the link to a run's page.
#[must_use]
pub fn run_link(place: &Location, table: &str, id: &str) -> String {
    let link = Link::to("run").with("w", &place.warehouse);
    link.with_some("ns", Some(&place.key())).with_some("t", Some(table)).with("id", id).text()
}

/// The page of a run.
#[derive(Debug, Template)]
#[template(path = "run.html")]
pub struct RunPage {
    /// The frame.
    pub frame: Frame,
    /// The namespace, or the warehouse.
    pub place: Location,
    /// The table, if the page was opened from it.
    pub name: String,
    /// The run.
    pub run: RunRow,
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;

    use super::*;

    fn level(label: &str, own: Value) -> Level {
        Level { label: label.to_owned(), own }
    }

    #[test]
    fn each_field_names_the_nearest_policy_that_has_it() {
        let levels = [
            level("this table", json!({ "expire-snapshots": { "min-snapshots-to-keep": 3 } })),
            level("namespace ns", json!({ "expire-snapshots": { "min-snapshots-to-keep": 9, "enabled": false } })),
            level(
                "warehouse w",
                json!({ "expire-snapshots": { "enabled": true, "max-snapshot-age-ms": 172_800_000 } }),
            ),
        ];
        let shown = policy(&levels);
        let expire = shown.iter().find(|one| one.name == "expire-snapshots").unwrap();
        assert_eq!((expire.is_enabled, expire.own_enabled, expire.source.as_str()), (false, None, "namespace ns"));
        assert_eq!((expire.own(), expire.input().as_str()), ("", "expire-snapshots.enabled"));
        let fields: Vec<[&str; 4]> =
            expire.fields.iter().map(|field| [field.label, &field.own, &field.effective, &field.source]).collect();
        assert_eq!(fields[0], ["interval", "", "1d", c::DEFAULT_VALUE]);
        assert_eq!(fields[1], ["max-snapshot-age", "", "2d", "warehouse w"]);
        assert_eq!(fields[2], ["min-snapshots-to-keep", "3", "3", "this table"]);
        assert!(policy(&[]).iter().all(|one| !one.is_enabled && one.source == c::DEFAULT_VALUE));
    }

    #[test]
    fn form_gives_the_fields_that_are_filled() {
        let form = HashMap::from([
            ("compact-files.enabled", "on"),
            ("compact-files.min-input-files", "7"),
            ("expire-snapshots.enabled", "off"),
            ("expire-snapshots.max-snapshot-age-ms", "2d"),
            ("other.enabled", "on"),
        ]);
        let policy = policy_of_form(|name| form.get(name).copied());
        let expected = json!({ "compact-files": { "enabled": true, "min-input-files": 7 },
                               "expire-snapshots": { "enabled": false, "max-snapshot-age-ms": 172_800_000 } });
        assert_eq!(policy, Ok(expected));
        assert_eq!(policy_of_form(|_| None), Ok(json!({})));
        let wrong =
            |input: &'static str, text: &'static str| policy_of_form(move |name| (name == input).then_some(text));
        assert_eq!(wrong("compact-files.min-input-files", "-1"), Err(c::NOT_A_WHOLE_NUMBER));
        assert_eq!(wrong("remove-orphan-files.min-age-ms", "3"), Err(c::NOT_A_DURATION));
    }

    #[test]
    fn policy_that_is_shown_and_sent_back_stays_the_same() {
        let own = json!({ "compact-files": { "enabled": true, "interval-ms": 5_400_000, "min-input-files": 7 },
                          "remove-orphan-files": { "enabled": false, "min-age-ms": 259_200_000 } });
        let shown = policy(&[level("here", own.clone())]);
        let mut form = HashMap::new();
        for one in &shown {
            let enabled = one.own_enabled.map_or("", |on| if on { "on" } else { "off" });
            form.insert(format!("{}.enabled", one.name), enabled.to_owned());
            form.extend(one.fields.iter().map(|field| (field.input.clone(), field.own.clone())));
        }
        let sent = policy_of_form(|name| form.get(name).map(String::as_str).filter(|text| !text.is_empty()));
        assert_eq!(sent, Ok(own));
    }

    #[test]
    fn only_a_dry_run_with_something_to_do_is_offered_for_real() {
        let run = |dry: bool, outcome: &str, files: u64| {
            RunRow::parse(&json!({ "dry-run": dry, "outcome": outcome, "files": files, "bytes": 1_024 }))
        };
        assert!(run(true, "succeeded", 1).is_offered());
        for (dry, outcome, files) in
            [(true, "succeeded", 0), (false, "succeeded", 1), (true, "failed", 1), (true, "running", 1)]
        {
            assert!(!run(dry, outcome, files).is_offered(), "{dry} {outcome} {files}");
        }
        assert_eq!(run(true, "succeeded", 2).summary(), "2 files (1.0 KiB)");
        assert!(run(true, "succeeded", 2).facts().contains(&(c::WOULD_GO, "2 files (1.0 KiB)".to_owned())));
        assert!(RunRow::parse(&json!(null)).does_nothing());
    }

    #[test]
    fn findings_have_the_operation_that_helps() {
        let health =
            Health::parse(&json!({ "findings": [{ "message": "m", "advice": "a", "operation": "compact-files" }] }));
        assert_eq!(health.findings[0].operation, "compact-files");
        assert!(Health::parse(&json!(null)).findings.is_empty());
    }
}
