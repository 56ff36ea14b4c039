//! Output of commands: results on standard output, everything else on standard error.

use std::borrow::Cow;
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

/// Prints a line of a result. A closed pipe (`| head`) is not an error.
///
/// # Errors
/// Fails if standard output cannot be written, for example because the disk is full.
pub(crate) fn line(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    match writeln!(out, "{}", printable(text)).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot write to standard output"),
        _ => Ok(()),
    }
}

/// Prints a line on standard error. For anything that is not the result.
pub(crate) fn note(text: &str) {
    // An error here cannot be reported anywhere else.
    let _ = writeln!(stderr().lock(), "{}", printable(text));
}

/// Escapes control characters, so that a name or message from elsewhere cannot control the terminal. Keeps the ends of lines, and tabs.
/// The form is that of JSON, whose texts stay valid.
fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |one| is_unsafe(one) && !matches!(one, '\n' | '\t'))
}

/// Escapes control characters of a value within a line.
fn in_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_unsafe)
}

/// Returns whether a character controls the terminal, or the direction of the text after it.
fn is_unsafe(one: char) -> bool {
    one.is_control() || matches!(one, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for one in text.chars() {
        if is_escaped(one) { safe.push_str(&format!("\\u{:04x}", u32::from(one))) } else { safe.push(one) }
    }
    Cow::Owned(safe)
}

/// Returns an error's message followed by its causes. Leaves out causes that the message contains already.
pub(crate) fn with_causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |message, cause| match () {
        () if message.is_empty() => cause,
        () if message.contains(&cause) => message,
        () => format!("{message}: {cause}"),
    })
}

/// Returns the text in a field of an answer, or an empty text if the field is missing.
pub(crate) fn text(object: &serde_json::Value, field: &str) -> String {
    object[field].as_str().unwrap_or_default().to_owned()
}

/// Prints a result for a script.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// Prints the result of a command: a sentence for people, or JSON for scripts.
pub(crate) fn done(format: Format, sentence: &str, value: &impl Serialize) -> Result<()> {
    if format.json { json(value) } else { line(sentence) }
}

/// Prints the fields of one object, a line each, as `label  value`.
pub(crate) fn fields(fields: &[(&str, String)]) -> Result<()> {
    let width = fields.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    fields.iter().try_for_each(|(label, value)| line(format!("{label:width$}  {}", in_line(value)).trim_end()))
}

/// Prints rows in aligned columns below `headings`. Prints `none` on standard error if there are no rows.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>], none: &str) -> Result<()> {
    if rows.is_empty() {
        note(none);
        return Ok(());
    }
    columns(headings, rows).iter().try_for_each(|row| line(row))
}

fn columns(headings: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let headings: Vec<String> = headings.iter().map(|heading| heading.to_uppercase()).collect();
    let cells = |row: &Vec<String>| row.iter().map(|cell| in_line(cell).into_owned()).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let all = || std::iter::once(&headings).chain(&rows);
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
    fn cause_that_a_message_contains_is_not_repeated() {
        let root = anyhow::anyhow!("no room").context("cannot open a.db: no room; free some").context("cannot start");
        assert_eq!(with_causes(&root), "cannot start: cannot open a.db: no room; free some");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("a\u{1b}[2J\u{9b}\r\tb\nc\u{202e}"), "a\\u001b[2J\\u009b\\u000d\tb\nc\\u202e");
        assert!(matches!(printable("é\n"), Cow::Borrowed("é\n")));
        let rows = vec![vec!["x\r\nfake".into()]];
        assert_eq!(columns(&["n"], &rows), ["N", "x\\u000d\\u000afake"]);
    }

    #[test]
    fn json_with_control_characters_stays_valid() {
        let value = serde_json::json!({"name": "\u{7f}\u{9b}\u{1b}\n\u{2066}"});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let printed = printable(&text);
        assert!(!printed.contains(|one: char| is_unsafe(one) && one != '\n'));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), value);
    }

    #[test]
    fn columns_are_aligned_by_characters_not_bytes() {
        let rows = vec![vec!["é".into(), "1".into()], vec!["abcde".into(), String::new()]];
        assert_eq!(columns(&["name", "n"], &rows), ["NAME   N", "é      1", "abcde"]);
    }
}
