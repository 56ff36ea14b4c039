//! Objects and arrays of JSON as slices of their text. Edits replace single keys and never re-encode the rest.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::DocumentError;

/// The fields of one JSON object in order, each with the text of its value.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    what: &'static str,
    fields: Vec<(String, &'a str)>,
}

struct Fields<'a>(Vec<(String, &'a str)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Vec<(String, &'de str)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    fields.push((key, map.next_value::<&'de RawValue>()?.get()));
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(FieldsVisitor).map(Fields)
    }
}

impl<'a> Object<'a> {
    /// Parses the object `text`; `what` names it in messages. Refuses a repeated key, since readers disagree on which
    /// occurrence counts.
    pub(crate) fn parse(what: &'static str, text: &'a str) -> Result<Self, DocumentError> {
        let Fields(fields) = serde_json::from_str(text).map_err(|error| syntax(what, &error))?;
        let mut keys: Vec<&str> = fields.iter().map(|(key, _)| key.as_str()).collect();
        keys.sort_unstable();
        if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(DocumentError::invalid(format!("Invalid {what}: field '{}' appears twice", excerpt(twice[0]))));
        }
        Ok(Self { what, fields })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.fields.iter().map(|(key, value)| (key.as_str(), *value))
    }

    /// Returns the text of a value; `None` for an absent or `null` value.
    pub(crate) fn get(&self, key: &str) -> Option<&'a str> {
        self.raw(key).filter(|value| *value != "null")
    }

    /// Returns the text of a value, including `null`.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a str> {
        self.fields.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    pub(crate) fn required(&self, key: &str) -> Result<&'a str, DocumentError> {
        self.get(key).ok_or_else(|| DocumentError::invalid(format!("Invalid {}: missing field '{key}'", self.what)))
    }

    pub(crate) fn optional_i64(&self, key: &str) -> Result<Option<i64>, DocumentError> {
        self.get(key).map(|value| integer(value).ok_or_else(|| self.not_a(key, "a 64-bit integer", value))).transpose()
    }

    pub(crate) fn i64(&self, key: &str) -> Result<i64, DocumentError> {
        self.required(key)?;
        self.optional_i64(key).map(Option::unwrap_or_default)
    }

    pub(crate) fn optional_i32(&self, key: &str) -> Result<Option<i32>, DocumentError> {
        self.get(key).map(|value| integer(value).ok_or_else(|| self.not_a(key, "a 32-bit integer", value))).transpose()
    }

    pub(crate) fn i32(&self, key: &str) -> Result<i32, DocumentError> {
        self.required(key)?;
        self.optional_i32(key).map(Option::unwrap_or_default)
    }

    pub(crate) fn optional_bool(&self, key: &str) -> Result<Option<bool>, DocumentError> {
        self.get(key).map(|value| value.parse().map_err(|_| self.not_a(key, "true or false", value))).transpose()
    }

    pub(crate) fn optional_string(&self, key: &str) -> Result<Option<String>, DocumentError> {
        self.get(key)
            .map(|value| serde_json::from_str(value).map_err(|_| self.not_a(key, "a string", value)))
            .transpose()
    }

    pub(crate) fn string(&self, key: &str) -> Result<String, DocumentError> {
        let value = self.required(key)?;
        serde_json::from_str(value).map_err(|_| self.not_a(key, "a string", value))
    }

    /// Returns the texts of the elements of an array.
    pub(crate) fn optional_array(&self, key: &str) -> Result<Option<Vec<&'a str>>, DocumentError> {
        self.get(key).map(|value| array(value).map_err(|_| self.not_a(key, "an array", value))).transpose()
    }

    pub(crate) fn array(&self, key: &str) -> Result<Vec<&'a str>, DocumentError> {
        let value = self.required(key)?;
        array(value).map_err(|_| self.not_a(key, "an array", value))
    }

    pub(crate) fn optional_read<T: Deserialize<'a>>(
        &self,
        key: &str,
        expected: &str,
    ) -> Result<Option<T>, DocumentError> {
        self.get(key).map(|value| serde_json::from_str(value).map_err(|_| self.not_a(key, expected, value))).transpose()
    }

    pub(crate) fn read<T: Deserialize<'a>>(&self, key: &str, expected: &str) -> Result<T, DocumentError> {
        let value = self.required(key)?;
        serde_json::from_str(value).map_err(|_| self.not_a(key, expected, value))
    }

    /// Returns the keys that are not in `known`, sorted, with the compact text of their values, for comparisons.
    pub(crate) fn others(&self, known: &[&str]) -> Vec<(String, String)> {
        let mut others: Vec<_> = self
            .fields
            .iter()
            .filter(|(key, _)| !known.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), compact(value)))
            .collect();
        others.sort_unstable();
        others
    }

    /// Returns the object's text with some values replaced, added (at the end) or, for `None`, removed.
    pub(crate) fn rewrite(&self, changes: &[(&str, Option<&str>)]) -> String {
        let mut text = String::from("{");
        let mut put = |key: &str, value: &str| {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&quote(key));
            text.push(':');
            text.push_str(value);
        };
        for (key, value) in &self.fields {
            match changes.iter().find(|(changed, _)| changed == key) {
                None => put(key, value),
                Some((_, Some(value))) => put(key, value),
                Some((_, None)) => {}
            }
        }
        for (key, value) in changes {
            if let (None, Some(value)) = (self.raw(key), value) {
                put(key, value);
            }
        }
        text.push('}');
        text
    }

    fn not_a(&self, key: &str, expected: &str, value: &str) -> DocumentError {
        DocumentError::invalid(format!("Invalid {}: field '{key}' must be {expected}: {}", self.what, excerpt(value)))
    }
}

/// Parses an integer in JSON. Refuses `-0`, which some readers take for a floating-point number.
pub(crate) fn integer<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok().filter(|_| text != "-0")
}

/// Edits to an object's text that bring it to the specification's spelling. Without edits the text stays unchanged.
#[derive(Debug, Default)]
pub(crate) struct Edits<'k>(Vec<(&'k str, Option<String>)>);

impl<'k> Edits<'k> {
    /// Removes the fields in `keys` whose value is null.
    pub(crate) fn drop_nulls(&mut self, object: &Object<'_>, keys: &[&'k str]) {
        self.0.extend(keys.iter().filter(|key| object.raw(key) == Some("null")).map(|key| (*key, None)));
    }

    /// Removes a field.
    pub(crate) fn remove(&mut self, key: &'k str) {
        self.0.push((key, None));
    }

    /// Sets the text of a field's value.
    pub(crate) fn set(&mut self, key: &'k str, value: String) {
        self.0.push((key, Some(value)));
    }

    /// Sets the text of a field's value, unless it is the same already.
    pub(crate) fn correct(&mut self, object: &Object<'_>, key: &'k str, value: Cow<'_, str>) {
        if object.raw(key) != Some(&*value) {
            self.set(key, value.into_owned());
        }
    }

    /// Sets a field to the string `value`, unless `found` is equal. Escapes do not matter.
    pub(crate) fn correct_string(&mut self, key: &'k str, found: &str, value: &str) {
        if found != value {
            self.set(key, quote(value));
        }
    }

    /// Returns the text of `object` after the edits; `text` is its present text.
    pub(crate) fn apply<'t>(&self, object: &Object<'_>, text: &'t str) -> Cow<'t, str> {
        if self.0.is_empty() {
            return Cow::Borrowed(text);
        }
        let changes: Vec<_> = self.0.iter().map(|(key, value)| (*key, value.as_deref())).collect();
        Cow::Owned(object.rewrite(&changes))
    }
}

/// Returns an object's text without the fields in `keys` whose value is null. Parses only a text that contains a null.
pub(crate) fn without_nulls<'t>(
    what: &'static str,
    text: &'t str,
    keys: &[&str],
) -> Result<Cow<'t, str>, DocumentError> {
    if !text.contains("null") {
        return Ok(Cow::Borrowed(text));
    }
    let object = Object::parse(what, text)?;
    let mut edits = Edits::default();
    edits.drop_nulls(&object, keys);
    Ok(edits.apply(&object, text))
}

/// Returns an array of the texts, or `None` if none of them changed.
pub(crate) fn join_if_changed(elements: &[Cow<'_, str>]) -> Option<String> {
    elements.iter().any(|element| matches!(element, Cow::Owned(_))).then(|| join(elements))
}

/// Returns the texts of the elements of the array `text`.
pub(crate) fn array(text: &str) -> Result<Vec<&str>, DocumentError> {
    let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| syntax("array", &error))?;
    Ok(elements.into_iter().map(RawValue::get).collect())
}

/// Reads some fields of an object. Serde would accept an array for a struct, so arrays are refused here.
pub(crate) fn view<'a, T: Deserialize<'a>>(what: &'static str, text: &'a str) -> Result<T, DocumentError> {
    if !text.starts_with('{') {
        return Err(DocumentError::invalid(format!("Invalid {what}: expected an object, got {}", excerpt(text))));
    }
    serde_json::from_str(text).map_err(|error| syntax(what, &error))
}

pub(crate) fn syntax(what: &str, error: &serde_json::Error) -> DocumentError {
    if error.is_data() {
        DocumentError::invalid(format!("Invalid {what}: {error}"))
    } else {
        DocumentError::Syntax(format!("{what}: {error}"))
    }
}

/// Returns `text` as a JSON string.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns the elements as a JSON array.
pub(crate) fn join<S: AsRef<str>>(elements: &[S]) -> String {
    let mut text = String::from("[");
    for (position, element) in elements.iter().enumerate() {
        if position > 0 {
            text.push(',');
        }
        text.push_str(element.as_ref());
    }
    text.push(']');
    text
}

/// Removes the whitespace between the tokens of valid JSON, so that equal values mostly have equal texts.
pub(crate) fn compact(text: &str) -> String {
    let (mut inside, mut escaped) = (false, false);
    text.chars()
        .filter(|c| {
            if inside {
                inside = escaped || *c != '"';
                escaped = !escaped && *c == '\\';
                return true;
            }
            inside = *c == '"';
            !matches!(c, ' ' | '\t' | '\n' | '\r')
        })
        .collect()
}

/// Returns the start of a text, short enough for a message.
pub(crate) fn excerpt(text: &str) -> String {
    const SHOWN: usize = 80;
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewrite_changes_only_the_given_keys() {
        let object = Object::parse("thing", r#"{ "a" : 1.10, "b\n": {"x": [1 ,2]}, "gone": null }"#).unwrap();
        let text = object.rewrite(&[("a", Some("2")), ("gone", None), ("new", Some("\"v\""))]);
        assert_eq!(text, r#"{"a":2,"b\n":{"x": [1 ,2]},"new":"v"}"#);
    }

    #[test]
    fn repeated_key_is_refused_in_any_escaping() {
        let error = Object::parse("thing", r#"{"a":1,"\u0061":2}"#).unwrap_err();
        assert_eq!(error.to_string(), "Invalid thing: field 'a' appears twice");
    }

    #[test]
    fn compact_keeps_whitespace_in_strings() {
        assert_eq!(compact(r#"{ "a b" : "c \" d\\" , "e" : [ 1 ] }"#), r#"{"a b":"c \" d\\","e":[1]}"#);
    }
}
