//! Copies a whole catalog from one database to another, and compares two catalogs.
//!
//! A copy first reads the whole source: it counts the rows of each table, computes a digest of them, and looks for values that the target
//! cannot store. Then it copies the tables in batches. Each batch and the position after it are one transaction of the target, so a
//! copy that was stopped continues there. At the end it reads the target and compares the digests. No server opens the target
//! before that.

mod compare;
mod error;
mod place;
mod rows;

use futures_util::future::try_join;

use crate::store::{COPY_TABLES, CopyState, CopyStore, CopyTable};

pub use error::{CopyError, CopyPlaceError};
pub use place::{CopyPlace, OpenedPlace};
use rows::{Batch, Rows, key_bytes};

/// The most rows that a message names.
const NAMED: usize = 10;

/// The advice when a copy differs from its source.
const AFTER_COPY: &str = ". If the target was changed by hand, pass --restart to copy again";

/// What a copy does at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyStep {
    /// Reads the source before it copies.
    Reading,
    /// Copies rows.
    Copying,
    /// Reads the target to compare it.
    Checking,
}

/// The progress of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyRowProgress {
    /// The step.
    pub step: CopyStep,
    /// The table.
    pub table: &'static str,
    /// The rows of all tables that the step is through with.
    pub rows: u64,
    /// The rows of all tables, once they are counted.
    pub total: Option<u64>,
}

/// How a copy began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyBegin {
    /// With the first row.
    New,
    /// After this number of rows, which an earlier run copied.
    Continued(u64),
    /// With the first row again, because the source has changed since an earlier run.
    SourceChanged,
}

/// A finished copy or comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyDone {
    /// How it began.
    pub begin: CopyBegin,
    /// The tables, and the number of rows in each.
    pub tables: Vec<(&'static str, u64)>,
}

impl CopyDone {
    /// Returns the number of rows of all tables.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|(_, rows)| rows).sum()
    }
}

/// Receives the progress.
pub type Report<'a> = &'a mut (dyn FnMut(CopyRowProgress) + Send);

/// Copies everything in `source` to `target`, and compares both afterwards. Continues an unfinished copy of the same source. With
/// `restart`, an unfinished copy in the target is removed first.
///
/// # Errors
/// `Same`; `Hold` if a server uses the source; `Unfinished` for the source; `HasCatalog` and `OtherCopy` for a target that may not be written; `CannotStore` before
/// anything is written; `Differs` if the target has other rows in the end; `Database`.
pub async fn copy(
    source: &dyn CopyStore,
    target: &dyn CopyStore,
    restart: bool,
    report: Report<'_>,
) -> Result<CopyDone, CopyError> {
    check_different(source, target)?;
    source.hold_still().await?;
    check_complete(source).await?;
    let found = target.states().await?;
    if found.is_empty() {
        check_vacant(target).await?;
    }
    let wanted = survey(source, Some(target), report).await?;
    let total = wanted.iter().map(|state| state.total).sum();
    let (begin, mut states) = choose_begin(source, target, found, wanted, restart)?;
    if !matches!(begin, CopyBegin::Continued(_)) {
        target.begin(&states).await?;
    }
    let mut done = 0;
    for (table, state) in COPY_TABLES.iter().zip(&mut states) {
        let mut report_table = |rows| {
            report(CopyRowProgress {
                step: CopyStep::Copying,
                table: table.name,
                rows: done + rows,
                total: Some(total),
            })
        };
        copy_table(source, target, table, state, &mut report_table).await?;
        done += state.copied;
    }
    compare::check(source, target, &states, report, AFTER_COPY).await?;
    // A server that has started meanwhile waits for its first write, and would make it afterwards.
    source.check_unused().await?;
    target.finish(&source.progress().await?).await?;
    Ok(CopyDone { begin, tables: counts(&states) })
}

/// Compares all rows of two databases, and changes nothing.
///
/// # Errors
/// `Same`; `Hold` if a server uses the source; `Unfinished` if one of them is an unfinished copy; `Differs`; `Database`.
pub async fn check(source: &dyn CopyStore, target: &dyn CopyStore, report: Report<'_>) -> Result<CopyDone, CopyError> {
    check_different(source, target)?;
    source.hold_still().await?;
    check_complete(source).await?;
    check_complete(target).await?;
    let states = survey(source, None, report).await?;
    compare::check(source, target, &states, report, "").await?;
    Ok(CopyDone { begin: CopyBegin::New, tables: counts(&states) })
}

fn counts(states: &[CopyState]) -> Vec<(&'static str, u64)> {
    COPY_TABLES.iter().zip(states).map(|(table, state)| (table.name, state.total)).collect()
}

fn check_different(source: &dyn CopyStore, target: &dyn CopyStore) -> Result<(), CopyError> {
    if source.name() == target.name() { Err(CopyError::Same { name: source.name().to_owned() }) } else { Ok(()) }
}

/// Fails if a database is an unfinished copy.
async fn check_complete(store: &dyn CopyStore) -> Result<(), CopyError> {
    match store.states().await?.is_empty() {
        true => Ok(()),
        false => Err(CopyError::Unfinished { name: store.name().to_owned() }),
    }
}

/// Fails if a database has a row.
async fn check_vacant(target: &dyn CopyStore) -> Result<(), CopyError> {
    for table in COPY_TABLES {
        if !target.rows_after(table, None).await?.is_empty() {
            return Err(CopyError::HasCatalog { target: target.name().to_owned(), table: table.name });
        }
    }
    Ok(())
}

/// Reads all rows of the source. Returns the state of a copy that begins. Fails if the target cannot store a value.
async fn survey(
    source: &dyn CopyStore,
    target: Option<&dyn CopyStore>,
    report: Report<'_>,
) -> Result<Vec<CopyState>, CopyError> {
    let refuses_nul = target.is_some_and(|target| !target.stores_nul());
    let (mut states, mut refused, mut done) = (Vec::new(), Vec::new(), 0);
    for table in COPY_TABLES {
        let mut rows = Rows::from_start(source, table);
        let mut digest = rows::Digest::default();
        while let Some(batch) = rows.next().await? {
            for row in &batch.rows {
                digest.add(row);
                if refuses_nul && let Some(at) = row.iter().position(|value| value.has_nul()) {
                    refused.push(format!("{}, column '{}'", rows::named(table, row), table.columns[at].name));
                }
            }
            report(CopyRowProgress {
                step: CopyStep::Reading,
                table: table.name,
                rows: done + digest.rows,
                total: None,
            });
        }
        done += digest.rows;
        states.push(CopyState {
            table: table.name.to_owned(),
            source: source.name().to_owned(),
            total: digest.rows,
            digest: digest.finish(),
            copied: 0,
            after: None,
            written: None,
        });
    }
    if refused.is_empty() { Ok(states) } else { Err(CopyError::cannot_store(&refused, NAMED)) }
}

/// Decides where the copy begins.
fn choose_begin(
    source: &dyn CopyStore,
    target: &dyn CopyStore,
    mut found: Vec<CopyState>,
    wanted: Vec<CopyState>,
    restart: bool,
) -> Result<(CopyBegin, Vec<CopyState>), CopyError> {
    if restart || found.is_empty() {
        return Ok((CopyBegin::New, wanted));
    }
    let place = |state: &CopyState| COPY_TABLES.iter().position(|table| table.name == state.table);
    found.sort_by_key(place);
    let content = |state: &CopyState| (state.table.clone(), state.total, state.digest.clone());
    if found.iter().map(content).eq(wanted.iter().map(content)) {
        return Ok((CopyBegin::Continued(found.iter().map(|state| state.copied).sum()), found));
    }
    if found.iter().any(|state| state.source != source.name()) {
        let other = found[0].source.clone();
        return Err(CopyError::OtherCopy { target: target.name().to_owned(), other });
    }
    Ok((CopyBegin::SourceChanged, wanted))
}

/// Copies the rows of a table that are not copied yet. Reads the next batch while the target writes one.
async fn copy_table(
    source: &dyn CopyStore,
    target: &dyn CopyStore,
    table: &'static CopyTable,
    state: &mut CopyState,
    report: &mut (dyn FnMut(u64) + Send),
) -> Result<(), CopyError> {
    report(state.copied);
    if state.copied == state.total {
        return Ok(());
    }
    let mut rows = Rows::after_state(source, table, state)?;
    let mut next = rows.next().await?;
    while let Some(Batch { rows: batch, after }) = next {
        let before = state.copied;
        state.copied += batch.len() as u64;
        state.after = Some(key_bytes(&after));
        state.written = batch.last().map(|row| key_bytes(&table.key_of(row)));
        let adding = async { target.add(table, batch, before, state).await.map_err(CopyError::from) };
        (next, ()) = try_join(rows.next(), adding).await?;
        report(state.copied);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
