//! The answers of `core`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tidewater_core::commit::{
    Context, CreateTable, Outcome, TableCommit, apply_updates, create_from_updates, create_table,
};
use tidewater_core::document::TableMetadata;
use tidewater_core::stop::Stop;
use tidewater_core::view::{CreateView, ViewCommit, ViewMetadata, apply_view_updates, create_view};

use super::case::Operation;
use crate::support::{NOW_MS, UUID};

/// The default location of a new table or view.
pub(crate) const LOCATION: &str = "s3://b/default";

/// Returns the stored document, or the reason of the refusal.
///
/// # Panics
/// Never: returns the message `PANIC` if `core` panics.
pub(crate) fn answer(operation: Operation, base: Option<&str>, input: &str) -> Result<String, String> {
    let answer =
        catch_unwind(AssertUnwindSafe(|| stored(operation, base.unwrap_or_default().as_bytes(), input.as_bytes())));
    answer.unwrap_or_else(|_| Err("PANIC".to_owned())).map(|json| String::from_utf8(json).expect("a document is UTF-8"))
}

fn stored(operation: Operation, base: &[u8], input: &[u8]) -> Result<Vec<u8>, String> {
    let context = Context { now_ms: NOW_MS, table_uuid: UUID, previous_metadata_location: None, stop: Stop::NEVER };
    match operation {
        Operation::Table => {
            let table = TableMetadata::parse(input).map_err(text)?;
            registrable(&table.problems_of_text(input))?;
            // Registering does not change the file.
            Ok(input.to_vec())
        }
        Operation::View => {
            let view = ViewMetadata::parse(input).map_err(text)?;
            registrable(&view.problems_of_text(input))?;
            Ok(input.to_vec())
        }
        Operation::Commit => {
            let base = TableMetadata::parse(base).map_err(text)?;
            let commit = TableCommit::parse(input).map_err(text)?;
            Ok(match apply_updates(&base, &commit.updates, &context).map_err(text)? {
                Outcome::Unchanged => base.to_json(),
                Outcome::Changed(table) => table.to_json(),
            })
        }
        Operation::CreateCommit => {
            let commit = TableCommit::parse(input).map_err(text)?;
            create_from_updates(&commit.updates, LOCATION, &context).map(|table| table.to_json()).map_err(text)
        }
        Operation::Create => {
            let request = CreateTable::parse(input).map_err(text)?;
            let location = request.location.as_deref().unwrap_or(LOCATION);
            create_table(&request, location, &context).map(|table| table.to_json()).map_err(text)
        }
        Operation::ViewCommit => {
            let base = ViewMetadata::parse(base).map_err(text)?;
            let commit = ViewCommit::parse(input).map_err(text)?;
            let changed = apply_view_updates(&base, &commit.updates, NOW_MS, Stop::NEVER).map_err(text)?;
            Ok(changed.unwrap_or(base).to_json())
        }
        Operation::CreateView => {
            let request = CreateView::parse(input).map_err(text)?;
            let location = request.location.as_deref().unwrap_or(LOCATION);
            create_view(&request, location, UUID).map(|view| view.to_json()).map_err(text)
        }
    }
}

/// Returns an error for a document with problems, which the catalog refuses to register.
fn registrable(problems: &[String]) -> Result<(), String> {
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Parses and writes a document of `core` again. Returns the result, or the reason of the refusal.
pub(crate) fn written_again(operation: Operation, document: &str) -> Result<String, String> {
    answer(operation.reading(), None, document)?;
    let again = match operation.reading() {
        Operation::View => ViewMetadata::parse(document.as_bytes()).map_err(text)?.to_json(),
        _ => TableMetadata::parse(document.as_bytes()).map_err(text)?.to_json(),
    };
    Ok(String::from_utf8(again).expect("a document is UTF-8"))
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// Returns why the crate `iceberg` cannot read a document, or `Ok`.
pub(crate) fn read_by_iceberg_rust(operation: Operation, document: &str) -> Result<(), String> {
    let read = catch_unwind(|| {
        if operation.is_of_view() {
            serde_json::from_str::<iceberg::spec::ViewMetadata>(document).map(|_| ()).map_err(text)
        } else {
            serde_json::from_str::<iceberg::spec::TableMetadata>(document).map(|_| ()).map_err(text)
        }
    });
    read.unwrap_or_else(|_| Err("PANIC".to_owned()))
}
