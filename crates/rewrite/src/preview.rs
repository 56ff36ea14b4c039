//! The first rows of a table as texts, without those that deletes remove.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use tidewater_core::document::{Field, Type};
use tidewater_core::scan::single_value;
use tidewater_core::scan::value::{Value, ValueType};
use tidewater_core::stop::Stopped;
use tidewater_manifests::ManifestContent;

use crate::data::{Deletes, single_value as value_bytes};
use crate::error::RewriteError;
use crate::job::Job;
use crate::manifest::current_schema;
use crate::reading::{InputFile, Reading};
use crate::rows::Columns;
use crate::state::{DeleteFiles, State, live};

/// The most data manifests and delete manifests that are read.
const DATA_MANIFESTS: usize = 8;
const DELETE_MANIFESTS: usize = 64;

/// The most data files that are read.
const FILES: usize = 16;

/// The bounds of a preview.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviewLimits {
    /// The most rows.
    pub rows: usize,
    /// The most columns: the first ones of the schema.
    pub columns: usize,
    /// The longest text of a value, in bytes. Longer ones are cut.
    pub value_bytes: usize,
}

/// A column of a preview.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewColumn {
    /// Its name.
    pub name: String,
    /// Its type, as the specification writes it; `struct`, `list` or `map` for nested ones.
    pub kind: String,
}

/// The first rows of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preview {
    /// The columns.
    pub columns: Vec<PreviewColumn>,
    /// The names of columns that are left out: there are too many, or their type cannot be read here.
    pub left_out: Vec<String>,
    /// The rows: a text for each column, `None` for null. Nested values are JSON, binary ones hexadecimal digits.
    pub rows: Vec<Vec<Option<String>>>,
    /// Whether deletes were applied to the files that were read.
    pub has_deletes: bool,
    /// Whether the table may have more rows.
    pub is_partial: bool,
}

/// Reads the first rows of the current snapshot, in the order of its files.
///
/// # Errors
/// `Files`, `Manifest`, `Stopped`; `Unsupported` if a file cannot be read, or its deletes take too much memory.
pub fn preview(job: &mut Job<'_>, limits: PreviewLimits) -> Result<Preview, RewriteError> {
    let table = job.table();
    let schema = current_schema(table)?;
    let (columns, left_out) = Columns::readable(table, limits.columns)?;
    let fields = columns.fields(schema.fields());
    let mut preview = Preview {
        columns: fields.iter().map(|field| PreviewColumn { name: field.name.clone(), kind: kind_of(field) }).collect(),
        left_out,
        ..Preview::default()
    };
    let Some((state, is_whole)) = State::begin(job, DATA_MANIFESTS, DELETE_MANIFESTS)? else { return Ok(preview) };
    let entries = state.entries()?;
    let mut delete_files = DeleteFiles::new(table, schema, state.files(), &entries)?;
    let mut places = Vec::new();
    let mut has_all_files = true;
    for (manifest, entry) in live(state.files(), &entries, ManifestContent::Data) {
        if places.len() >= FILES {
            has_all_files = false;
            break;
        }
        let mut deletes = Vec::new();
        delete_files.find(state.files()[manifest].spec_id, &entry, &mut deletes);
        places.push(((manifest, entry.row()), deletes));
    }
    let reading = Reading { state: &state, entries: &entries, delete_files: &delete_files, columns: &columns };
    for (place, deletes) in places {
        if preview.rows.len() >= limits.rows {
            break;
        }
        let Some(file) = reading.input(place, deletes) else { continue };
        preview.has_deletes |= !file.deletes.is_empty();
        read_file(job, &reading, &file, (&fields, limits), &mut preview.rows)?;
    }
    preview.is_partial = !is_whole || !has_all_files || preview.rows.len() >= limits.rows;
    Ok(preview)
}

fn read_file(
    job: &mut Job<'_>,
    reading: &Reading<'_>,
    file: &InputFile,
    (fields, limits): (&[&Field], PreviewLimits),
    rows: &mut Vec<Vec<Option<String>>>,
) -> Result<(), RewriteError> {
    let (deletes, _): (Deletes, _) = reading.read_deletes(job, std::slice::from_ref(file))?;
    let read = reading.read_rows(job, file, &deletes, |_, batch| {
        add_rows(batch, (fields, limits), rows);
        // Ends the read: the rest of the file is not needed.
        if rows.len() >= limits.rows { Err(RewriteError::Stopped(Stopped)) } else { Ok(()) }
    });
    match read {
        Err(RewriteError::Stopped(_)) if rows.len() >= limits.rows => Ok(()),
        other => other,
    }
}

fn add_rows(batch: &RecordBatch, (fields, limits): (&[&Field], PreviewLimits), rows: &mut Vec<Vec<Option<String>>>) {
    let wanted = limits.rows.saturating_sub(rows.len()).min(batch.num_rows());
    for row in 0..wanted {
        let text = |(field, column): (&&Field, &ArrayRef)| text_of(&field.field_type, column, row, limits.value_bytes);
        rows.push(fields.iter().zip(batch.columns()).map(text).collect());
    }
}

fn kind_of(field: &Field) -> String {
    match &field.field_type {
        Type::Struct(_) => "struct".to_owned(),
        Type::List(_) => "list".to_owned(),
        Type::Map(_) => "map".to_owned(),
        primitive => primitive.to_string(),
    }
}

/// Returns a value as a text of at most about `most` bytes. `None` for null.
fn text_of(kind: &Type, column: &ArrayRef, row: usize, most: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    let mut text = String::new();
    match kind {
        // Without quotes and escapes.
        Type::Struct(_) | Type::List(_) | Type::Map(_) => write_json(kind, column, row, (&mut text, most)),
        primitive => write_primitive(primitive, column, row, &mut text, false),
    }
    Some(cut(text, most))
}

fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Appends a value as JSON. Stops when the text is long enough.
fn write_json(kind: &Type, column: &ArrayRef, row: usize, (text, most): (&mut String, usize)) {
    if text.len() > most {
        return;
    }
    if column.is_null(row) {
        text.push_str("null");
        return;
    }
    match kind {
        Type::Struct(fields) => {
            let Some(array) = column.as_struct_opt() else { return };
            text.push('{');
            for (at, (field, child)) in fields.fields.iter().zip(array.columns()).enumerate() {
                text.push_str(if at > 0 { ", " } else { "" });
                text.push_str(&serde_json::Value::from(field.name.as_str()).to_string());
                text.push_str(": ");
                write_json(&field.field_type, child, row, (text, most));
            }
            text.push('}');
        }
        Type::List(list) => {
            let Some(array) = column.as_list_opt::<i32>() else { return };
            let values = array.value(row);
            text.push('[');
            for at in 0..values.len() {
                if text.len() > most {
                    break;
                }
                text.push_str(if at > 0 { ", " } else { "" });
                write_json(&list.element, &values, at, (text, most));
            }
            text.push(']');
        }
        Type::Map(map) => {
            let Some(array) = column.as_map_opt() else { return };
            let entries = array.value(row);
            let [keys, values] = entries.columns() else { return };
            // A key of a map need not be a text, so a map is a list of pairs.
            text.push('[');
            for at in 0..entries.len() {
                if text.len() > most {
                    break;
                }
                text.push_str(if at > 0 { ", [" } else { "[" });
                write_json(&map.key, keys, at, (text, most));
                text.push_str(", ");
                write_json(&map.value, values, at, (text, most));
                text.push(']');
            }
            text.push(']');
        }
        primitive => write_primitive(primitive, column, row, text, true),
    }
}

/// Appends a value of a primitive type: as JSON, or as text without quotes.
fn write_primitive(kind: &Type, column: &ArrayRef, row: usize, text: &mut String, as_json: bool) {
    let mut bytes = Vec::new();
    let Some(kind) = ValueType::from_type(kind).filter(|_| value_bytes(column, row, &mut bytes)) else { return };
    let Some(value) = Value::from_bytes(kind, &bytes) else { return };
    match (&value, kind) {
        (Value::String(value), _) if !as_json => text.push_str(value),
        // The fewest digits that tell the number from others of its type. JSON has no infinity and no NaN.
        (Value::Float(value), ValueType::Float) => text.push_str(&format!("{value:?}")),
        (Value::Double(value), _) => text.push_str(&format!("{value:?}")),
        (Value::Time(_) | Value::Timestamp(_) | Value::TimestampNano(_), _) => {
            let quote = if as_json { "\"" } else { "" };
            text.push_str(&format!("{quote}{}{quote}", readable_time(&single_value_text(&value, kind))));
        }
        _ => {
            let json = single_value_text(&value, kind);
            text.push_str(if as_json { &json } else { json.trim_matches('"') });
        }
    }
}

/// Returns a value as JSON, or an empty text if it has no such form.
fn single_value_text(value: &Value, kind: ValueType) -> String {
    let mut json = Vec::new();
    match single_value::write(value, kind, &mut json) {
        Ok(()) => String::from_utf8_lossy(&json).into_owned(),
        Err(_) => String::new(),
    }
}

/// Returns a time as people write it: `2026-01-31 22:31:08.5 UTC` for `"2026-01-31T22:31:08.500000+00:00"`.
fn readable_time(json: &str) -> String {
    let text = json.trim_matches('"');
    let (text, zone) = text.strip_suffix("+00:00").map_or((text, ""), |text| (text, " UTC"));
    let text = text.trim_end_matches('0').trim_end_matches('.').replace('T', " ");
    format!("{text}{zone}")
}
