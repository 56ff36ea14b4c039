//! Assigns new field ids for the schema of a new table.

use std::collections::HashMap;

use super::DocumentError;
use super::json::{Object, array, join};
use super::types::{StructType, Type};

/// Assigns ids from 1, and remembers the new id of each old one.
///
/// The order is that of the reference implementation, so that a table has the same ids whoever creates it. A struct's
/// fields come first, then the fields nested in each. A list's element comes before its nested fields; a map's key and
/// value come before theirs.
#[derive(Debug, Default)]
pub(crate) struct FreshIds {
    last: i32,
    new_ids: HashMap<i32, i32>,
}

impl FreshIds {
    /// Returns the last assigned id.
    pub(crate) fn last(&self) -> i32 {
        self.last
    }

    /// Returns the new id of an old one.
    pub(crate) fn new_id(&self, old: i32) -> Option<i32> {
        self.new_ids.get(&old).copied()
    }

    fn assign(&mut self, old: i32) -> Result<String, DocumentError> {
        self.last = self.last.checked_add(1).ok_or_else(|| DocumentError::invalid("Too many fields in schema"))?;
        self.new_ids.insert(old, self.last);
        Ok(self.last.to_string())
    }

    /// Returns the `fields` array of a struct with new ids.
    pub(super) fn rewrite_fields(&mut self, object: &Object<'_>, fields: &StructType) -> Result<String, DocumentError> {
        let ids = fields.fields.iter().map(|field| self.assign(field.id)).collect::<Result<Vec<_>, _>>()?;
        let mut texts = Vec::with_capacity(ids.len());
        for ((text, field), id) in array(object.required("fields")?)?.into_iter().zip(&fields.fields).zip(ids) {
            let object = Object::parse("struct field", text)?;
            let nested = self.rewrite_type(object.required("type")?, &field.field_type)?;
            texts.push(object.rewrite(&[("id", Some(&id)), ("type", Some(&nested))]));
        }
        Ok(join(&texts))
    }

    fn rewrite_type(&mut self, text: &str, old: &Type) -> Result<String, DocumentError> {
        match old {
            Type::Primitive(..) | Type::Opaque(_) => Ok(text.to_owned()),
            Type::Struct(fields) => {
                let object = Object::parse("type", text)?;
                let fields = self.rewrite_fields(&object, fields)?;
                Ok(object.rewrite(&[("fields", Some(&fields))]))
            }
            Type::List(list) => {
                let object = Object::parse("type", text)?;
                let id = self.assign(list.element_id)?;
                let element = self.rewrite_type(object.required("element")?, &list.element)?;
                Ok(object.rewrite(&[("element-id", Some(&id)), ("element", Some(&element))]))
            }
            Type::Map(map) => {
                let object = Object::parse("type", text)?;
                let key_id = self.assign(map.key_id)?;
                let value_id = self.assign(map.value_id)?;
                let key = self.rewrite_type(object.required("key")?, &map.key)?;
                let value = self.rewrite_type(object.required("value")?, &map.value)?;
                Ok(object.rewrite(&[
                    ("key-id", Some(&key_id)),
                    ("key", Some(&key)),
                    ("value-id", Some(&value_id)),
                    ("value", Some(&value)),
                ]))
            }
        }
    }
}
