//! Changes of a JSON value, each at one place, chosen to matter to readers.

use std::fmt;

use serde_json::{Map, Value};

use super::text::{again, to_text};
use super::values;

/// One change at one place.
#[derive(Debug, Clone)]
pub(crate) struct Mutation {
    /// The keys and positions from the outermost value to the changed one.
    path: Vec<String>,
    edit: Edit,
}

#[derive(Debug, Clone)]
enum Edit {
    Replace(Value),
    Remove,
    RenameKey(String),
    RepeatKey(Value),
    AddField(String, Value),
    RepeatElement,
    SwapWithNext,
    AddElement(Value),
}

impl Mutation {
    /// Changes the value. Returns `None` if the place does not exist any more.
    pub(crate) fn apply(&self, value: &mut Value) -> Option<()> {
        let (Some(last), path) = (self.path.last(), &self.path[..self.path.len().saturating_sub(1)]) else {
            return self.apply_here(value);
        };
        let parent = path.iter().try_fold(value, |value, step| child(value, step))?;
        match (&self.edit, parent) {
            (Edit::Remove, Value::Object(fields)) => fields.shift_remove(last).map(|_| ()),
            (Edit::Remove, Value::Array(elements)) => {
                let position = last.parse().ok().filter(|position: &usize| *position < elements.len())?;
                elements.remove(position);
                Some(())
            }
            (Edit::RenameKey(to), Value::Object(fields)) => rename(fields, last, to),
            (Edit::RepeatKey(value), Value::Object(fields)) => {
                fields.get(last)?;
                fields.insert(again(last), value.clone());
                Some(())
            }
            (Edit::RepeatElement, Value::Array(elements)) => {
                let position: usize = last.parse().ok()?;
                let element = elements.get(position)?.clone();
                elements.insert(position, element);
                Some(())
            }
            (Edit::SwapWithNext, Value::Array(elements)) => {
                let position: usize = last.parse().ok()?;
                elements.get(position + 1)?;
                elements.swap(position, position + 1);
                Some(())
            }
            (_, parent) => self.apply_here(child(parent, last)?),
        }
    }

    fn apply_here(&self, value: &mut Value) -> Option<()> {
        match (&self.edit, value) {
            (Edit::Replace(new), value) => *value = new.clone(),
            (Edit::AddField(key, new), Value::Object(fields)) => {
                fields.insert(key.clone(), new.clone());
            }
            (Edit::AddElement(new), Value::Array(elements)) => elements.push(new.clone()),
            _ => return None,
        }
        Some(())
    }

    /// Returns the place, with `*` for positions, and `[action]` for positions of updates: `/updates/[add-schema]/schema`.
    pub(crate) fn place(&self, input: &Value) -> String {
        let mut place = String::new();
        let mut here = Some(input);
        for step in &self.path {
            here = here.and_then(|value| value.get(step).or_else(|| value.get(step.parse::<usize>().ok()?)));
            let action = here.and_then(|value| value.get("action")).and_then(Value::as_str);
            place.push('/');
            match (step.parse::<usize>(), action) {
                (Ok(_), Some(action)) => place.push_str(&format!("[{action}]")),
                (Ok(_), None) => place.push('*'),
                (Err(_), _) => place.push_str(step),
            }
        }
        if let Edit::AddField(key, _) = &self.edit {
            place.push_str(&format!("/+{key}"));
        }
        place
    }
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "/".to_owned() } else { format!("/{}", self.path.join("/")) };
        match &self.edit {
            Edit::Replace(value) => write!(f, "{path} := {}", to_text(value)),
            Edit::Remove => write!(f, "{path} removed"),
            Edit::RenameKey(key) => write!(f, "{path} renamed {key:?}"),
            Edit::RepeatKey(value) => write!(f, "{path} again := {}", to_text(value)),
            Edit::AddField(key, value) => write!(f, "{path} with {key:?}: {}", to_text(value)),
            Edit::RepeatElement => write!(f, "{path} twice"),
            Edit::SwapWithNext => write!(f, "{path} swapped with the next"),
            Edit::AddElement(value) => write!(f, "{path} with the element {}", to_text(value)),
        }
    }
}

/// Returns every single change of this value. Of a commit, changes only the updates, since the rest is the same for all
/// commits.
pub(crate) fn all(input: &Value) -> Vec<Mutation> {
    let known = values::Known::of(input);
    let mut found = Vec::new();
    match input.get("updates") {
        Some(updates) => visit(updates, &mut vec!["updates".to_owned()], &known, &mut found),
        None => visit(input, &mut Vec::new(), &known, &mut found),
    }
    found
}

fn visit(value: &Value, path: &mut Vec<String>, known: &values::Known, found: &mut Vec<Mutation>) {
    let mut add = |path: &[String], edit: Edit| found.push(Mutation { path: path.to_vec(), edit });
    let key = path.iter().rev().find(|step| step.parse::<usize>().is_err()).map_or("", String::as_str);
    for new in values::replacements(key, value, known) {
        add(path, Edit::Replace(new));
    }
    match value {
        Value::Object(fields) => {
            for (name, new) in values::additions(key, fields) {
                add(path, Edit::AddField(name.to_owned(), new));
            }
            for (key, value) in fields {
                path.push(key.clone());
                add(path, Edit::Remove);
                add(path, Edit::RenameKey(key.to_uppercase()));
                add(path, Edit::RenameKey(format!("{key} ")));
                add(path, Edit::RenameKey(key.replace('-', "_")));
                add(path, Edit::RepeatKey(value.clone()));
                add(path, Edit::RepeatKey(Value::Null));
                path.pop();
            }
        }
        Value::Array(elements) => {
            for new in [Value::Null, 1.into(), "x".into(), Value::Object(Map::new()), Value::Array(Vec::new())] {
                add(path, Edit::AddElement(new));
            }
            for position in 0..elements.len() {
                path.push(position.to_string());
                add(path, Edit::Remove);
                add(path, Edit::RepeatElement);
                if position + 1 < elements.len() {
                    add(path, Edit::SwapWithNext);
                }
                path.pop();
            }
        }
        _ => {}
    }
    for (step, child) in children(value) {
        path.push(step);
        visit(child, path, known, found);
        path.pop();
    }
}

fn children(value: &Value) -> Vec<(String, &Value)> {
    match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(elements) => {
            elements.iter().enumerate().map(|(position, value)| (position.to_string(), value)).collect()
        }
        _ => Vec::new(),
    }
}

fn child<'a>(value: &'a mut Value, step: &str) -> Option<&'a mut Value> {
    match value {
        Value::Object(fields) => fields.get_mut(step),
        Value::Array(elements) => elements.get_mut(step.parse::<usize>().ok()?),
        _ => None,
    }
}

fn rename(fields: &mut Map<String, Value>, from: &str, to: &str) -> Option<()> {
    if from == to {
        return None;
    }
    let value = fields.shift_remove(from)?;
    fields.insert(to.to_owned(), value);
    Some(())
}
