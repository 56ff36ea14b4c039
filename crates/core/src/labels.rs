//! Labels of namespaces, tables and views, and of columns: names and values that an administrator sets, beside the metadata.
//!
//! The answer to a load of a table or view has them in its member `labels` (REST specification, `Labels`). The specification has no way
//! to set them, so the management API sets them.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::name::{LEVEL_SEPARATOR, NamespaceIdent};

mod search;

pub use search::{FoundLabel, FoundValue, LabelFilter};

/// The longest name of a label, in characters.
pub const MAX_NAME_CHARS: usize = 128;

/// The longest value of a label, in characters.
pub const MAX_VALUE_CHARS: usize = 1_024;

/// The most labels of an object, and of a column.
pub const MAX_LABELS: usize = 64;

/// The most columns of an object that have labels.
pub const MAX_FIELDS: usize = 1_000;

/// The longest JSON of the labels of an object, with those of its columns, in bytes.
pub const MAX_BYTES: usize = 16 << 10;

/// Values of labels by their names.
pub type LabelMap = BTreeMap<String, String>;

/// The labels that were set on an object, and those of its columns by field id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    object: LabelMap,
    fields: BTreeMap<i32, LabelMap>,
}

/// Why labels are refused. The message is for their author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabels {
    /// The name is empty or too long, or has a control character, or a space at its ends.
    #[error(
        "{0:?} cannot be a label's name: use 1 to {MAX_NAME_CHARS} characters without control characters, and without spaces at the ends"
    )]
    Name(String),
    /// The value is too long, or has a control character.
    #[error(
        "The value of the label {0:?} is not allowed: use at most {MAX_VALUE_CHARS} characters without control characters"
    )]
    Value(String),
    /// An object or column has too many labels.
    #[error("An object or column can have {MAX_LABELS} labels: remove some first")]
    TooMany,
    /// Too many columns have labels.
    #[error("{MAX_FIELDS} columns of an object can have labels: remove those of others first")]
    TooManyFields,
    /// The id is not a field's.
    #[error("The field id {0} is not allowed: it must be 1 or more")]
    FieldId(i32),
    /// All labels together are too long.
    #[error("The labels of the object and its columns are too long: {0} bytes of JSON, of {MAX_BYTES} allowed")]
    TooLong(usize),
    /// The stored text has no labels.
    #[error("Cannot read the labels: {0}")]
    Unreadable(String),
}

/// Labels to set and to remove. Other labels stay. A label in both lists is removed, then set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelEdit {
    /// The labels to set.
    pub set: LabelMap,
    /// The names of the labels to remove.
    pub remove: Vec<String>,
}

/// A change of the labels of an object. A store applies it in the transaction that has read the labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelUpdate {
    /// Replaces all labels.
    Replace(Labels),
    /// Changes some labels of the object, and of its columns by field id.
    Edit {
        /// The edit of the object's own labels.
        object: LabelEdit,
        /// The edits of the labels of columns.
        fields: BTreeMap<i32, LabelEdit>,
    },
}

/// The text of labels, in stores and in answers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    #[serde(default)]
    object_labels: LabelMap,
    #[serde(default)]
    fields: Vec<FieldLabels>,
}

/// The labels of a column (REST specification, `FieldLabels`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FieldLabels {
    /// The id of the column.
    pub field_id: i32,
    /// Its labels.
    pub labels: LabelMap,
}

impl Labels {
    /// Creates labels of an object and of its columns. Columns without labels are left out.
    ///
    /// # Errors
    /// Fails if a name or value is not allowed, or there are too many.
    pub fn new(object: LabelMap, mut fields: BTreeMap<i32, LabelMap>) -> Result<Self, InvalidLabels> {
        fields.retain(|_, labels| !labels.is_empty());
        if fields.len() > MAX_FIELDS {
            return Err(InvalidLabels::TooManyFields);
        }
        if let Some(id) = fields.keys().find(|id| **id < 1) {
            return Err(InvalidLabels::FieldId(*id));
        }
        for labels in fields.values().chain([&object]) {
            check(labels)?;
        }
        let made = Self { object, fields };
        match made.to_json().len() {
            bytes if bytes > MAX_BYTES => Err(InvalidLabels::TooLong(bytes)),
            _ => Ok(made),
        }
    }

    /// Parses the text of [`Self::to_json`].
    ///
    /// # Errors
    /// `Unreadable`.
    pub fn parse(text: &str) -> Result<Self, InvalidLabels> {
        let unreadable = |error: serde_json::Error| InvalidLabels::Unreadable(error.to_string());
        let Written { object_labels, fields } = serde_json::from_str(text).map_err(unreadable)?;
        let fields = fields.into_iter().map(|FieldLabels { field_id, labels }| (field_id, labels));
        Ok(Self { object: object_labels, fields: fields.collect() })
    }

    /// Returns the JSON of `Labels`, as stores keep it. Equal labels have equal texts.
    #[must_use]
    pub fn to_json(&self) -> String {
        written(&self.object, self.fields.iter())
    }

    /// Returns the labels of the object.
    #[must_use]
    pub const fn object(&self) -> &LabelMap {
        &self.object
    }

    /// Returns the labels of columns by field id.
    #[must_use]
    pub const fn fields(&self) -> &BTreeMap<i32, LabelMap> {
        &self.fields
    }

    /// Returns whether there are no labels.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.object.is_empty() && self.fields.is_empty()
    }

    /// Estimates the used memory, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let bytes = |labels: &LabelMap| {
            labels.iter().map(|(name, value)| 2 * size_of::<String>() + name.len() + value.len()).sum::<usize>()
        };
        bytes(&self.object)
            + self.fields.values().map(|labels| size_of::<(i32, LabelMap)>() + bytes(labels)).sum::<usize>()
    }
}

impl LabelUpdate {
    /// Returns the labels after the change.
    ///
    /// # Errors
    /// As [`Labels::new`].
    pub fn apply(&self, before: &Labels) -> Result<Labels, InvalidLabels> {
        let (object, edits) = match self {
            Self::Replace(labels) => return Ok(labels.clone()),
            Self::Edit { object, fields } => (object, fields),
        };
        let mut after = before.clone();
        object.apply(&mut after.object);
        for (id, edit) in edits {
            edit.apply(after.fields.entry(*id).or_default());
        }
        Labels::new(after.object, after.fields)
    }

    /// Returns the field ids that get a label.
    pub fn labelled_ids(&self) -> impl Iterator<Item = i32> {
        let (labels, edits) = match self {
            Self::Replace(labels) => (Some(labels), None),
            Self::Edit { fields, .. } => (None, Some(fields)),
        };
        let edited = edits.into_iter().flatten().filter(|(_, edit)| !edit.set.is_empty()).map(|(id, _)| *id);
        labels.into_iter().flat_map(|labels| labels.fields.keys().copied()).chain(edited)
    }
}

impl LabelEdit {
    fn apply(&self, labels: &mut LabelMap) {
        for name in &self.remove {
            labels.remove(name);
        }
        labels.extend(self.set.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}

/// The labels of all namespaces of a warehouse that have any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespaceLabels(HashMap<String, LabelMap>);

impl FromIterator<(NamespaceIdent, Labels)> for NamespaceLabels {
    fn from_iter<T: IntoIterator<Item = (NamespaceIdent, Labels)>>(labels: T) -> Self {
        Self(labels.into_iter().map(|(ident, labels)| (ident.as_key().to_owned(), labels.object)).collect())
    }
}

impl NamespaceLabels {
    /// Returns whether no namespace has labels.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of namespaces with labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the labels that objects in a namespace inherit: those of the namespace and of the namespaces around it. The nearest wins.
    #[must_use]
    pub fn inherited(&self, namespace: &NamespaceIdent) -> LabelMap {
        let mut inherited = LabelMap::new();
        if self.is_empty() {
            return inherited;
        }
        for labels in upper_keys(namespace).filter_map(|key| self.0.get(key)) {
            inherited.extend(labels.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        inherited
    }

    /// Returns the label of a name that objects in a namespace inherit, as a pair of the namespace that has it and its value.
    #[must_use]
    pub fn nearest(&self, namespace: &NamespaceIdent, name: &str) -> Option<(NamespaceIdent, &str)> {
        let with_label = upper_keys(namespace).filter_map(|key| Some((key, self.0.get(key)?.get(name)?)));
        let (key, value) = with_label.last()?;
        // A key of a prefix of levels is always a namespace's.
        Some((NamespaceIdent::from_key(key).ok()?, value))
    }

    /// Returns whether a namespace has a label of its own with a name.
    #[must_use]
    pub fn has(&self, namespace: &NamespaceIdent, name: &str) -> bool {
        self.0.get(namespace.as_key()).is_some_and(|labels| labels.contains_key(name))
    }

    /// Returns the namespaces that have a label of their own like the filter's, in the order of their keys.
    #[must_use]
    pub fn labelled(&self, filter: &LabelFilter) -> Vec<NamespaceIdent> {
        let with_label = self.0.iter().filter(|(_, labels)| filter.value(labels).is_some());
        let mut found: Vec<_> = with_label.filter_map(|(key, _)| NamespaceIdent::from_key(key).ok()).collect();
        found.sort_unstable_by(|one, other| one.as_key().cmp(other.as_key()));
        found
    }
}

/// Returns the keys of the namespaces around a namespace from the top, and its own.
fn upper_keys(namespace: &NamespaceIdent) -> impl Iterator<Item = &str> {
    let key = namespace.as_key();
    let ends = key.match_indices(LEVEL_SEPARATOR).map(|(end, _)| end).chain([key.len()]);
    ends.map(|end| &key[..end])
}

/// Returns the labels of an object, with those that it inherits. Its own win.
#[must_use]
pub fn effective(mut inherited: LabelMap, own: Option<&Labels>) -> LabelMap {
    let own = own.into_iter().flat_map(|own| &own.object);
    inherited.extend(own.map(|(name, value)| (name.clone(), value.clone())));
    inherited
}

/// Returns the JSON of `Labels` in the answer to a load of an object: its labels, and those of the columns that it has now. `None` if there
/// are none.
#[must_use]
pub fn sent(inherited: LabelMap, own: Option<&Labels>, is_column: impl Fn(i32) -> bool) -> Option<String> {
    let object = effective(inherited, own);
    let fields: Vec<_> = own.into_iter().flat_map(|own| &own.fields).filter(|(id, _)| is_column(**id)).collect();
    if object.is_empty() && fields.is_empty() { None } else { Some(written(&object, fields.into_iter())) }
}

fn written<'l>(object: &LabelMap, fields: impl Iterator<Item = (&'l i32, &'l LabelMap)>) -> String {
    let fields: Vec<_> = fields.map(|(id, labels)| json!({ "field-id": id, "labels": labels })).collect();
    match (object.is_empty(), fields.is_empty()) {
        (true, true) => "{}".to_owned(),
        (false, true) => json!({ "object-labels": object }).to_string(),
        (true, false) => json!({ "fields": fields }).to_string(),
        (false, false) => json!({ "object-labels": object, "fields": fields }).to_string(),
    }
}

fn check(labels: &LabelMap) -> Result<(), InvalidLabels> {
    if labels.len() > MAX_LABELS {
        return Err(InvalidLabels::TooMany);
    }
    for (name, value) in labels {
        let is_name = !name.is_empty() && name.chars().count() <= MAX_NAME_CHARS && name.trim() == name;
        if !is_name || name.chars().any(char::is_control) {
            return Err(InvalidLabels::Name(name.chars().take(MAX_NAME_CHARS).collect()));
        }
        if value.chars().count() > MAX_VALUE_CHARS || value.chars().any(char::is_control) {
            return Err(InvalidLabels::Value(name.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
