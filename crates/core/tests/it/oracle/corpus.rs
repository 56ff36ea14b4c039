//! The valid documents and requests from which all cases are derived.

use serde_json::{Value, json};

use super::case::Operation;

const TABLES: [(&str, &str); 7] = [
    ("v1-legacy", include_str!("corpus/v1-legacy.json")),
    ("v1", include_str!("corpus/v1.json")),
    ("v2", include_str!("corpus/v2.json")),
    ("v2-empty", include_str!("corpus/v2-empty.json")),
    ("v3", include_str!("corpus/v3.json")),
    ("v3-types", include_str!("corpus/v3-types.json")),
    ("v3-columns", include_str!("corpus/v3-columns.json")),
];

const VIEW: (&str, &str) = ("view", include_str!("corpus/view.json"));

/// A valid document or request.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) operation: Operation,
    /// Its name in reports.
    pub(crate) name: String,
    /// The document of a commit's table or view, if there is one.
    pub(crate) base: Option<String>,
    /// The document or request to change.
    pub(crate) input: Value,
}

/// Returns all sources.
pub(crate) fn sources() -> Vec<Source> {
    let mut sources: Vec<Source> =
        TABLES.iter().map(|(name, text)| source(Operation::Table, name, None, parse(text))).collect();
    sources.push(source(Operation::View, VIEW.0, None, parse(VIEW.1)));
    for commit in list(include_str!("corpus/commits.json")) {
        for base in commit["bases"].as_array().unwrap() {
            let base = base.as_str().unwrap();
            let name = format!("{} of {base}", commit["name"].as_str().unwrap());
            let (_, document) = TABLES.iter().find(|(known, _)| *known == base).unwrap();
            sources.push(source(Operation::Commit, &name, Some(document), body(&commit)));
        }
    }
    for commit in list(include_str!("corpus/create-commits.json")) {
        sources.push(source(Operation::CreateCommit, commit["name"].as_str().unwrap(), None, body(&commit)));
    }
    for commit in list(include_str!("corpus/view-commits.json")) {
        sources.push(source(Operation::ViewCommit, commit["name"].as_str().unwrap(), Some(VIEW.1), body(&commit)));
    }
    for (operation, requests) in [
        (Operation::Create, include_str!("corpus/creates.json")),
        (Operation::CreateView, include_str!("corpus/create-views.json")),
    ] {
        for request in list(requests) {
            sources.push(source(operation, request["name"].as_str().unwrap(), None, request["request"].clone()));
        }
    }
    sources
}

fn source(operation: Operation, name: &str, base: Option<&str>, input: Value) -> Source {
    Source { operation, name: name.to_owned(), base: base.map(str::to_owned), input }
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn list(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

fn body(commit: &Value) -> Value {
    json!({ "requirements": [], "updates": commit["updates"] })
}
