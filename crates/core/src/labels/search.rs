//! Searches of objects by a label, which they have or inherit.

use std::collections::BTreeMap;

use super::{LabelMap, Labels};
use crate::name::NamespaceIdent;

/// A label that objects are searched by: its name, and its value unless any will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelFilter {
    /// The name.
    pub name: String,
    /// The value.
    pub value: Option<String>,
}

/// The value of a label that an object has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundValue {
    /// The value.
    pub value: String,
    /// The namespace that the object inherits it from. `None` if the object has the label itself.
    pub inherited_from: Option<NamespaceIdent>,
}

/// Where an object has a label: the label's value of the object, and of its columns by field id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundLabel {
    /// The value of the object's label.
    pub object: Option<FoundValue>,
    /// The values of the labels of columns.
    pub fields: BTreeMap<i32, String>,
}

impl FoundLabel {
    /// Creates the label of a namespace, which has no columns.
    #[must_use]
    pub fn new(value: &str, inherited_from: Option<NamespaceIdent>) -> Self {
        let object = FoundValue { value: value.to_owned(), inherited_from };
        Self { object: Some(object), fields: BTreeMap::new() }
    }

    /// Estimates the used memory, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let source = |value: &FoundValue| value.inherited_from.as_ref().map_or(0, |source| source.as_key().len());
        let object = self.object.as_ref().map_or(0, |object| object.value.len() + source(object));
        size_of::<Self>()
            + object
            + self.fields.values().map(|value| size_of::<(i32, String)>() + value.len()).sum::<usize>()
    }
}

impl LabelFilter {
    /// Returns where an object has this label. `None` if it does not. `own` are the labels that were set on the object and its columns, and
    /// `inherited` is the label of this name that it inherits. The object's own label overrides that. Columns inherit none.
    #[must_use]
    pub fn find(&self, own: Option<&Labels>, inherited: Option<(&NamespaceIdent, &str)>) -> Option<FoundLabel> {
        let itself = own.and_then(|own| own.object.get(&self.name)).map(|value| (None, value.as_str()));
        let object = itself.or(inherited.map(|(namespace, value)| (Some(namespace), value)));
        let object = object
            .filter(|(_, value)| self.admits(value))
            .map(|(from, value)| FoundValue { value: value.to_owned(), inherited_from: from.cloned() });
        let fields = own.into_iter().flat_map(|own| &own.fields);
        let fields = fields.filter_map(|(id, labels)| Some((*id, self.value(labels)?.to_owned())));
        let found = FoundLabel { object, fields: fields.collect() };
        (found.object.is_some() || !found.fields.is_empty()).then_some(found)
    }

    /// Returns the value that labels have under the filter's name, if it is the filter's.
    pub(super) fn value<'l>(&self, labels: &'l LabelMap) -> Option<&'l str> {
        labels.get(&self.name).map(String::as_str).filter(|value| self.admits(value))
    }

    /// Returns whether a value is the filter's, or any will do.
    #[must_use]
    pub fn admits(&self, value: &str) -> bool {
        self.value.as_deref().is_none_or(|wanted| wanted == value)
    }
}
