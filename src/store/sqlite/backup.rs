//! Copies a database that is in use, and checks a copy before it is used.

use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::open::{OpenError, check_version, open_reader, version};

/// How many pages one step copies (4 MiB with pages of 4 KiB). Between steps, the copy reports its progress and may be stopped.
const STEP_PAGES: i32 = 1024;

/// The most problems of a damaged file that SQLite reports.
const PROBLEMS: u32 = 3;

/// The progress of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyProgress {
    /// The copied bytes.
    pub done_bytes: u64,
    /// The size of the complete copy in bytes.
    pub total_bytes: u64,
}

/// Whether to continue a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proceed {
    /// Continue.
    Yes,
    /// End with [`BackupError::Stopped`].
    No,
}

/// Data outside of the database that a restored catalog needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotInside {
    /// The roots of the warehouses, whose files are not in the database.
    pub roots: Vec<String>,
    /// How many warehouses have sealed credentials, which need the master key.
    pub sealed: usize,
    /// Whether the catalog knows its master key, also where nothing is sealed with it: it does not start with another.
    pub has_master_key: bool,
}

/// Why a database cannot be copied, or a copy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// SQLite cannot read or write a file.
    #[error("cannot copy {} to {}: {source}", from.display(), to.display())]
    Copy {
        /// The database.
        from: PathBuf,
        /// The copy.
        to: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// The caller stopped the copy.
    #[error("the backup was stopped before its end")]
    Stopped,
    /// The file is damaged.
    #[error("{} is damaged, or was cut off: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// A problem that SQLite found.
        problem: String,
    },
    /// The file is not a catalog's database.
    #[error("{} is not a backup of a catalog", path.display())]
    NotACatalog {
        /// The file.
        path: PathBuf,
    },
    /// The file is from a newer program or a development version, or cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Copies the database at `from`, which may be in use, into the empty file at `to`: one file without a log. The copy is the state
/// of one moment after the call. It is checked, but not synced.
///
/// Reads all pages in one read transaction, which neither waits for writers nor makes them wait. SQLite restarts a backup after
/// each write of another connection, unless the source connection is in a transaction (`sqlite3_backup_step`). So `.backup` never
/// ends under constant writes, and this does.
pub(super) fn copy(
    from: &Path,
    to: &Path,
    progress: &mut dyn FnMut(CopyProgress) -> Proceed,
) -> Result<NotInside, BackupError> {
    let failed = |source| BackupError::Copy { from: from.to_owned(), to: to.to_owned(), source };
    let source = open_reader(from).map_err(failed)?;
    source.execute_batch("BEGIN").map_err(failed)?;
    // The first read begins the transaction.
    if let Some(found) = version(&source).map_err(failed)? {
        check_version(from, found)?;
    }
    let not_inside = not_inside(&source).map_err(failed)?;
    let page_bytes: u32 = source.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(failed)?;
    let mut target = open_copy(to).map_err(failed)?;
    // The copy is not in use before it is complete, so it needs no journal.
    target.pragma_update(None, "journal_mode", "off").map_err(failed)?;
    copy_pages(&source, &mut target, page_bytes.into(), &failed, progress)?;
    drop(source);
    // The copied header says that there is a log beside the file.
    target.pragma_update(None, "journal_mode", "delete").map_err(failed)?;
    check_pages(&target, "quick_check", to)?;
    Ok(not_inside)
}

fn copy_pages(
    source: &Connection,
    target: &mut Connection,
    page_bytes: u64,
    failed: &dyn Fn(rusqlite::Error) -> BackupError,
    progress: &mut dyn FnMut(CopyProgress) -> Proceed,
) -> Result<(), BackupError> {
    let backup = Backup::new(source, target).map_err(failed)?;
    loop {
        let step = backup.step(STEP_PAGES).map_err(failed)?;
        let (all, left) = (backup.progress().pagecount, backup.progress().remaining);
        let bytes = |pages: i32| u64::try_from(pages).unwrap_or(0) * page_bytes;
        let proceed = progress(CopyProgress { done_bytes: bytes(all - left), total_bytes: bytes(all) });
        match step {
            StepResult::Done => return Ok(()),
            StepResult::Busy | StepResult::Locked => {
                // Only another user of the copy could lock it, and there is none.
                let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
                return Err(failed(rusqlite::Error::SqliteFailure(busy, None)));
            }
            _ if proceed == Proceed::No => return Err(BackupError::Stopped),
            _ => {}
        }
    }
}

/// Checks that the file at `path` is a complete catalog that this program can open, and makes it one file without a log. The file
/// must not be in use.
pub(super) fn check(path: &Path) -> Result<NotInside, BackupError> {
    let damaged = |source: rusqlite::Error| match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => BackupError::NotACatalog { path: path.to_owned() },
        Some(ErrorCode::DatabaseCorrupt) => BackupError::Damaged { path: path.to_owned(), problem: source.to_string() },
        _ => BackupError::Open(OpenError::Database { path: path.to_owned(), source }),
    };
    let connection = open_copy(path).map_err(damaged)?;
    connection.pragma_update(None, "journal_mode", "delete").map_err(damaged)?;
    let found = version(&connection).map_err(damaged)?;
    let found = found.ok_or_else(|| BackupError::NotACatalog { path: path.to_owned() })?;
    check_version(path, found)?;
    check_pages(&connection, "integrity_check", path)?;
    let dangling = connection.prepare("PRAGMA foreign_key_check").and_then(|mut rows| rows.exists([]));
    if dangling.map_err(damaged)? {
        return Err(BackupError::Damaged {
            path: path.to_owned(),
            problem: "a row refers to a missing one".to_owned(),
        });
    }
    not_inside(&connection).map_err(damaged)
}

fn open_copy(path: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // The caller syncs the finished file.
    connection.pragma_update(None, "synchronous", "off")?;
    Ok(connection)
}

/// Runs one of SQLite's own checks.
fn check_pages(connection: &Connection, pragma: &str, path: &Path) -> Result<(), BackupError> {
    let damaged = |problem: String| BackupError::Damaged { path: path.to_owned(), problem };
    let found: Result<String, _> = connection.query_row(&format!("PRAGMA {pragma}({PROBLEMS})"), [], |row| row.get(0));
    match found {
        Ok(found) if found == "ok" => Ok(()),
        Ok(found) => Err(damaged(found.lines().next_back().unwrap_or_default().to_owned())),
        Err(error) => Err(damaged(error.to_string())),
    }
}

/// Reads the data that a restored catalog needs besides the database. A database that was just created has no tables yet.
fn not_inside(connection: &Connection) -> rusqlite::Result<NotInside> {
    let has_warehouses = connection.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'warehouse'")?.exists([])?;
    if !has_warehouses {
        return Ok(NotInside { roots: Vec::new(), sealed: 0, has_master_key: false });
    }
    let mut statement = connection.prepare("SELECT root FROM warehouse ORDER BY root")?;
    let roots = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    let sealed = "SELECT count(*) FROM warehouse WHERE sealed_credentials IS NOT NULL";
    let sealed: i64 = connection.query_row(sealed, [], |row| row.get(0))?;
    let has_master_key = connection.prepare("SELECT 1 FROM master_key")?.exists([])?;
    Ok(NotInside { roots, sealed: usize::try_from(sealed).unwrap_or(0), has_master_key })
}
