//! What a command prints: results on standard output, everything else on standard error.

use std::io::{ErrorKind, Write, stderr, stdout};

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Serialize;

/// How a result is printed.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Format {
    /// Print JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// Prints a line of a result. A reader that has seen enough (`| head`) is no error.
///
/// # Errors
/// When standard output cannot be written, such as to a full disk.
pub(crate) fn line(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot write to standard output"),
        _ => Ok(()),
    }
}

/// Tells the person something that is not the result.
pub(crate) fn note(text: &str) {
    // There is nobody left to tell when this fails.
    let _ = writeln!(stderr().lock(), "{text}");
}

/// An error with what caused it, as far as it does not say so itself.
pub(crate) fn with_causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match () {
        () if told.is_empty() => cause,
        () if told.contains(&cause) => told,
        () => format!("{told}: {cause}"),
    })
}

/// The text in a field of an answer; nothing where there is none.
pub(crate) fn text(object: &serde_json::Value, field: &str) -> String {
    object[field].as_str().unwrap_or_default().to_owned()
}

/// Prints a result for a script.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// Prints what a command has done: a sentence for a person, or JSON for a script.
pub(crate) fn done(format: Format, sentence: &str, value: &impl Serialize) -> Result<()> {
    if format.json { json(value) } else { line(sentence) }
}

/// Prints the fields of one thing, a line each, as `label  value`.
pub(crate) fn fields(fields: &[(&str, String)]) -> Result<()> {
    let width = fields.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    fields.iter().try_for_each(|(label, value)| line(format!("{label:width$}  {value}").trim_end()))
}

/// Prints rows in columns as wide as they must be, or `none` where there are none.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>], none: &str) -> Result<()> {
    if rows.is_empty() {
        note(none);
        return Ok(());
    }
    columns(headings, rows).iter().try_for_each(|row| line(row))
}

fn columns(headings: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let headings: Vec<String> = headings.iter().map(|heading| heading.to_uppercase()).collect();
    let all = || std::iter::once(&headings).chain(rows);
    let width = |column: usize| all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..headings.len()).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_an_error_names_itself_is_not_said_twice() {
        let root = anyhow::anyhow!("no room").context("cannot open a.db: no room; free some").context("cannot start");
        assert_eq!(with_causes(&root), "cannot start: cannot open a.db: no room; free some");
    }

    #[test]
    fn columns_line_up_by_characters_not_bytes() {
        let rows = vec![vec!["é".into(), "1".into()], vec!["abcde".into(), String::new()]];
        assert_eq!(columns(&["name", "n"], &rows), ["NAME   N", "é      1", "abcde"]);
    }
}
