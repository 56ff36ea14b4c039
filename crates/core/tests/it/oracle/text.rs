//! Values as JSON text, including text that a `Value` cannot hold: numbers in any spelling, and repeated keys.

use serde_json::{Map, Value};

/// The prefix of text to write unchanged.
const AS_IS: char = '\u{E000}';

/// The suffix of a repeated key.
const AGAIN: char = '\u{E001}';

/// Returns a value that is written as `text`.
pub(crate) fn as_is(text: &str) -> Value {
    Value::String(format!("{AS_IS}{text}"))
}

/// Returns a key that is written as `key`, next to an equal one.
pub(crate) fn again(key: &str) -> String {
    format!("{key}{AGAIN}")
}

/// Returns the JSON text of a value.
pub(crate) fn to_text(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::String(text) if text.starts_with(AS_IS) => out.push_str(&text[AS_IS.len_utf8()..]),
        Value::Array(elements) => {
            out.push('[');
            for (position, element) in elements.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write(element, out);
            }
            out.push(']');
        }
        Value::Object(fields) => write_object(fields, out),
        other => out.push_str(&other.to_string()),
    }
}

fn write_object(fields: &Map<String, Value>, out: &mut String) {
    out.push('{');
    for (position, (key, value)) in fields.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        out.push_str(&Value::from(key.trim_end_matches(AGAIN)).to_string());
        out.push(':');
        write(value, out);
    }
    out.push('}');
}
