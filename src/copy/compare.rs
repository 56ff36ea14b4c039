//! Compares the rows of two databases: by a digest of each table, and row by row where the digests differ.

use std::cmp::Ordering;

use super::error::list;
use super::rows::{Digest, Rows, named};
use super::{CopyError, CopyRowProgress, CopyStep, NAMED, Report};
use crate::store::{COPY_TABLES, CopyRow, CopyState, CopyStore, CopyTable, CopyValue};

/// Fails if the target has other rows than `states` tells of the source. The error ends with `advice`.
///
/// # Errors
/// `Differs` with the first differences; `Database`.
pub(super) async fn check(
    source: &dyn CopyStore,
    target: &dyn CopyStore,
    states: &[CopyState],
    report: Report<'_>,
    advice: &'static str,
) -> Result<(), CopyError> {
    let total = Some(states.iter().map(|state| state.total).sum());
    let (mut differences, mut done) = (Vec::new(), 0);
    for (table, state) in COPY_TABLES.iter().zip(states) {
        let (mut rows, mut digest) = (Rows::unchanged(target, table), Digest::default());
        while let Some(batch) = rows.next().await? {
            batch.rows.iter().for_each(|row| digest.add(row));
            report(CopyRowProgress { step: CopyStep::Checking, table: table.name, rows: done + digest.rows, total });
        }
        done += digest.rows;
        if digest.finish() != state.digest {
            find_differences(source, target, table, &mut differences).await?;
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(CopyError::Differs { differences: list(&differences, NAMED), advice })
}

/// Appends the differences between the rows of a table. Stops when there are more than a message names.
async fn find_differences(
    source: &dyn CopyStore,
    target: &dyn CopyStore,
    table: &'static CopyTable,
    differences: &mut Vec<String>,
) -> Result<(), CopyError> {
    let before = differences.len();
    let mut left = OneByOne::new(Rows::from_start(source, table));
    let mut right = OneByOne::new(Rows::unchanged(target, table));
    let (mut wanted, mut found) = (left.next().await?, right.next().await?);
    while differences.len() <= NAMED {
        let order = match (&wanted, &found) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(wanted), Some(found)) => compare_keys(&table.key_of(wanted), &table.key_of(found)),
        };
        if order.is_le()
            && let Some(row) = &wanted
        {
            match found.as_ref().filter(|_| order.is_eq()) {
                Some(other) => differences.extend(different_columns(table, row, other)),
                None => differences.push(format!("{} is missing in the target", named(table, row))),
            }
        }
        if order.is_gt()
            && let Some(row) = &found
        {
            differences.push(format!("{} is only in the target", named(table, row)));
        }
        if order.is_le() {
            wanted = left.next().await?;
        }
        if order.is_ge() {
            found = right.next().await?;
        }
    }
    if differences.len() == before {
        differences.push(format!("table '{}' has its rows in another order", table.name));
    }
    Ok(())
}

/// Returns the difference between two rows with the same key, if there is one.
fn different_columns(table: &CopyTable, row: &CopyRow, other: &CopyRow) -> Option<String> {
    let columns = table.columns.iter().zip(row.iter().zip(other));
    let names: Vec<&str> = columns.filter(|(_, (one, other))| one != other).map(|(column, _)| column.name).collect();
    (!names.is_empty()).then(|| format!("{}: another value in {}", named(table, row), names.join(", ")))
}

/// Compares keys in the order of both databases.
fn compare_keys(one: &[CopyValue], other: &[CopyValue]) -> Ordering {
    let values = one.iter().zip(other).map(|(one, other)| match (one, other) {
        (CopyValue::Id(one), CopyValue::Id(other)) => one.cmp(other),
        (CopyValue::Number(one), CopyValue::Number(other)) => one.cmp(other),
        (CopyValue::Flag(one), CopyValue::Flag(other)) => one.cmp(other),
        (CopyValue::Text(one), CopyValue::Text(other)) => one.as_bytes().cmp(other.as_bytes()),
        (CopyValue::Bytes(one), CopyValue::Bytes(other)) => one.cmp(other),
        // No key has a column without a value.
        _ => Ordering::Equal,
    });
    values.fold(Ordering::Equal, Ordering::then)
}

/// Rows, one at a time.
struct OneByOne<'a> {
    rows: Rows<'a>,
    batch: std::vec::IntoIter<CopyRow>,
}

impl<'a> OneByOne<'a> {
    fn new(rows: Rows<'a>) -> Self {
        Self { rows, batch: Vec::new().into_iter() }
    }

    async fn next(&mut self) -> Result<Option<CopyRow>, CopyError> {
        if let Some(row) = self.batch.next() {
            return Ok(Some(row));
        }
        let Some(batch) = self.rows.next().await? else { return Ok(None) };
        self.batch = batch.rows.into_iter();
        Ok(self.batch.next())
    }
}
