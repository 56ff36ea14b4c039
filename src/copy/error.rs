//! Why a copy is refused or fails. The messages say what to do.

use std::path::PathBuf;

use crate::data_folder::FolderError;
use crate::store::{CopyDatabaseError, CopyHoldError, OpenError, PostgresOpenError};

/// Why a catalog was not copied, or is not the same as another.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Source and target are one database.
    #[error("source and target are both {name}: name two databases")]
    Same {
        /// The database's name.
        name: String,
    },
    /// The source cannot be kept from changing.
    #[error(transparent)]
    Hold(#[from] CopyHoldError),
    /// The target has rows that no copy wrote.
    #[error("{target} has a catalog already (table '{table}' has rows): choose an empty target")]
    HasCatalog {
        /// The target's name.
        target: String,
        /// A table with rows.
        table: &'static str,
    },
    /// The target is an unfinished copy of another source.
    #[error(
        "{target} is an incomplete copy of {other}: complete that copy, or pass --restart to remove it and begin with this \
         source"
    )]
    OtherCopy {
        /// The target's name.
        target: String,
        /// The name of the other source.
        other: String,
    },
    /// A database is an unfinished copy, so it can be neither copied nor compared.
    #[error("{name} is an incomplete copy: run the command that copies to it again, until it is complete")]
    Unfinished {
        /// The database's name.
        name: String,
    },
    /// The target cannot store some values.
    #[error(
        "PostgreSQL cannot store the character U+0000. Nothing was written. Change these rows in the source first: {rows}"
    )]
    CannotStore {
        /// The rows with such values.
        rows: String,
    },
    /// Source and target have different rows.
    #[error("source and target differ: {differences}{advice}")]
    Differs {
        /// The first differences.
        differences: String,
        /// What to do about them.
        advice: &'static str,
    },
    /// The state of an earlier run cannot be read.
    #[error("the state of the unfinished copy cannot be read (table '{table}'): pass --restart to begin again")]
    State {
        /// The table.
        table: &'static str,
    },
    /// A database failed.
    #[error(transparent)]
    Database(#[from] CopyDatabaseError),
}

impl CopyError {
    /// Returns the error for rows that the target cannot store. Names at most `most` of them.
    pub(super) fn cannot_store(rows: &[String], most: usize) -> Self {
        Self::CannotStore { rows: list(rows, most) }
    }
}

/// Joins texts into a sentence, at most `most` of them.
pub(super) fn list(texts: &[String], most: usize) -> String {
    let named = texts[..texts.len().min(most)].join("; ");
    match texts.len().saturating_sub(most) {
        0 => named,
        others => format!("{named}; and {others} more"),
    }
}

/// Why a source or target cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum CopyPlaceError {
    /// The folder has no database.
    #[error("there is no catalog in {}: name its data folder", .0.display())]
    NoCatalog(PathBuf),
    /// The data folder cannot be used, for example because a server runs on it.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The database file cannot be used.
    #[error(transparent)]
    Sqlite(#[from] OpenError),
    /// The PostgreSQL database cannot be used.
    #[error(transparent)]
    Postgres(#[from] PostgresOpenError),
    /// A file in the data folder cannot be written, or its owner cannot be changed.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}
