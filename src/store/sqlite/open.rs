//! Opening the database file: who may read it, how it is written, and which version it is of.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

mod embedded {
    refinery::embed_migrations!("migrations/sqlite");
}

/// How long a statement waits for another process (the command line beside the server) to finish its transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages that a connection keeps, in KiB. Few, because the operating system keeps the file's pages for all of them. The
/// file is not mapped: that made no read measurably quicker, and a failing disk would end the process, not the request.
const CACHE_KIB: i64 = 4096;

/// The log is folded back into the database once it has so many pages (16 MiB), by the commit that gets there.
const CHECKPOINT_PAGES: i64 = 4096;

/// What is left of the log's file after it was folded back, when a long reader had made it larger.
pub(super) const LOG_LIMIT_BYTES: i64 = 64 << 20;

/// More than all statements of the store, so that each is compiled once per connection.
const STATEMENTS: usize = 96;

/// The first version of the schema that a released program has. Those before were of development versions.
const FIRST: i32 = 12;

/// Why the database cannot be opened. Only a person reads it, at start-up.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database was last opened by a newer program, whose tables this one does not know.
    #[error(
        "{} was written by a newer version of tidewater (its schema is version {found}, this program knows up to \
         {known}): run that version or a later one, or restore a backup from before the upgrade",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i32,
        /// The newest that this program knows.
        known: i32,
    },
    /// The database is one of a development version, whose schema this program does not bring up to date.
    #[error(
        "{} was written by a development version of tidewater (its schema is version {found}; this program reads versions \
         from {FIRST} on), and is left as it is. Choose another data folder with --data-dir and create the catalog again; a \
         development version from before this one can still read it",
        path.display()
    )]
    Development {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i32,
    },
    /// It is a database of something else.
    #[error(
        "{} is a database, but not of tidewater, and is left as it is: choose another folder with --data-dir", path.display()
    )]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// The file or its folder cannot be used.
    #[error("cannot open {}: {source}", path.display())]
    File {
        /// The database.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// SQLite refuses the file.
    #[error("cannot open {}: {source}{}", path.display(), advice(source))]
    Database {
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A migration failed, and was undone.
    #[error("cannot bring {} to this version's schema: {source}", path.display())]
    Migration {
        /// The database.
        path: PathBuf,
        /// Why.
        source: Box<refinery::Error>,
    },
}

impl OpenError {
    /// The same of another path: that of the file which a person named.
    #[must_use]
    pub fn with_path(self, path: PathBuf) -> Self {
        match self {
            Self::Newer { found, known, .. } => Self::Newer { path, found, known },
            Self::Development { found, .. } => Self::Development { path, found },
            Self::Foreign { .. } => Self::Foreign { path },
            Self::File { source, .. } => Self::File { path, source },
            Self::Database { source, .. } => Self::Database { path, source },
            Self::Migration { source, .. } => Self::Migration { path, source },
        }
    }
}

/// What can be done about it, to be said after the error.
fn advice(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "; free some space on its disk",
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            "; put a backup in its place (without its -wal and -shm), or choose another folder with --data-dir"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "; another program holds it: end that, or try again when it is done"
        }
        _ => "",
    }
}

/// Opens the connection that writes, making the file if there is none and bringing it to this version.
pub(super) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    make_private(path).map_err(|source| OpenError::File { path: path.to_owned(), source })?;
    let in_database = |source| OpenError::Database { path: path.to_owned(), source };
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(in_database)?;
    configure(&connection).map_err(in_database)?;
    // Before anything is changed.
    if is_foreign(&connection).map_err(in_database)? {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    if let Some(found) = version(&connection).map_err(in_database)? {
        check_version(path, found)?;
    }
    configure_writer(&connection).map_err(in_database)?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// The newest version of the schema that this program knows.
pub(super) fn newest() -> i32 {
    embedded::migrations::runner().get_migrations().iter().map(refinery::Migration::version).max().unwrap_or(0)
}

/// Opens a connection that can only read.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    configure(&connection)?;
    Ok(connection)
}

/// Waits for a lock no longer than this.
pub(super) fn wait_at_most(connection: &Connection, timeout: Duration) -> rusqlite::Result<()> {
    connection.busy_timeout(timeout)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    wait_at_most(connection, BUSY_TIMEOUT)?;
    // Otherwise SQLite plans a statement anew whenever the number behind its LIMIT was bound, which takes longer than a page.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "cache_size", -CACHE_KIB)
}

fn configure_writer(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_LIMIT_BYTES)
}

/// Sees to it that only the file's owner can read it: it holds the keys that sign tokens. SQLite gives its log and its
/// shared memory the mode of the database, so a new file must have it before SQLite writes.
fn make_private(path: &Path) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => tighten(path),
        Err(error) => Err(error),
    }
}

/// By path: to open and close a database's file would drop the locks that this process holds on it.
#[cfg(unix)]
fn tighten(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::metadata(&name) {
            Ok(found) if found.permissions().mode() & 0o077 != 0 => {
                std::fs::set_permissions(&name, std::fs::Permissions::from_mode(0o600))?;
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn tighten(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Runs the migrations that are missing, all in one transaction: a crash in between leaves the version before.
fn migrate(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let (runner, known) = (embedded::migrations::runner().set_grouped(true), newest());
    if is_current(connection, path, known)? {
        return Ok(());
    }
    match runner.run(connection) {
        Ok(_) => Ok(()),
        // Another process that started at the same time may have been quicker.
        Err(_) if is_current(connection, path, known)? => Ok(()),
        Err(source) => Err(OpenError::Migration { path: path.to_owned(), source: Box::new(source) }),
    }
}

/// Whether the database is of the version that this program knows.
fn is_current(connection: &Connection, path: &Path, known: i32) -> Result<bool, OpenError> {
    let found = version(connection).map_err(|source| OpenError::Database { path: path.to_owned(), source })?;
    found.map_or(Ok(()), |found| check_version(path, found))?;
    Ok(found == Some(known))
}

/// Fails if this program cannot use a database whose schema is of the version `found`.
pub(super) fn check_version(path: &Path, found: i32) -> Result<(), OpenError> {
    let (path, known) = (path.to_owned(), newest());
    match found {
        found if found > known => Err(OpenError::Newer { path, found, known }),
        found if found < FIRST => Err(OpenError::Development { path, found }),
        _ => Ok(()),
    }
}

/// Whether a database holds something, and not the history that a catalog's schema begins with.
fn is_foreign(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema)
                AND NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'refinery_schema_history')",
        [],
        |row| row.get(0),
    )
}

/// The version of a database's schema; none where it is no catalog's.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<Option<i32>> {
    let has_history = connection
        .query_row("SELECT 1 FROM sqlite_schema WHERE name = 'refinery_schema_history'", [], |_| Ok(()))
        .optional()?;
    match has_history {
        Some(()) => connection.query_row("SELECT max(version) FROM refinery_schema_history", [], |row| row.get(0)),
        None => Ok(None),
    }
}
