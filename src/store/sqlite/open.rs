//! Opens the database file: permissions, SQLite's settings, and the version of the schema.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

mod embedded {
    refinery::embed_migrations!("migrations/sqlite");
}

/// How long a statement waits for another process (the command line beside the server) to finish its transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before the mode of a busy database is set again.
const PAUSE_WHILE_BUSY: Duration = Duration::from_millis(5);

/// A connection's page cache, in KiB. It is small because the operating system caches the file for all connections. The file
/// is not memory-mapped: that made no read measurably faster, and a failing disk would end the process, not the request.
const CACHE_KIB: i64 = 4096;

/// The commit that brings the log to this many pages (16 MiB) checkpoints it.
const CHECKPOINT_PAGES: i64 = 4096;

/// The size to which a checkpoint truncates the log's file, when a long read has let it grow.
pub(super) const LOG_LIMIT_BYTES: i64 = 64 << 20;

/// The most compiled statements per connection: more than the store has, so that each is compiled once.
const STATEMENTS: usize = 96;

/// The first version of the schema in a released program. Earlier ones were of development versions.
const FIRST: i32 = 12;

/// Why the database cannot be opened. The message is for a person, at start-up.
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
        /// The newest version that this program knows.
        known: i32,
    },
    /// A development version wrote the database, and this program does not migrate its schema.
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
    /// The database belongs to another program.
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
    /// The database is the target of a copy that has not ended.
    #[error(
        "{} is an incomplete copy of {source_name}: complete it with `tidewater copy --from {source_name} --to sqlite:{}`",
        path.display(), path.parent().unwrap_or(path).display()
    )]
    Unfinished {
        /// The database.
        path: PathBuf,
        /// The database that is copied.
        source_name: String,
    },
    /// A migration failed and was rolled back.
    #[error("cannot migrate {} to this version's schema: {source}", path.display())]
    Migration {
        /// The database.
        path: PathBuf,
        /// Why.
        source: Box<refinery::Error>,
    },
}

impl OpenError {
    /// Returns the same error with the path that the user named.
    #[must_use]
    pub fn with_path(self, path: PathBuf) -> Self {
        match self {
            Self::Newer { found, known, .. } => Self::Newer { path, found, known },
            Self::Development { found, .. } => Self::Development { path, found },
            Self::Foreign { .. } => Self::Foreign { path },
            Self::File { source, .. } => Self::File { path, source },
            Self::Database { source, .. } => Self::Database { path, source },
            Self::Unfinished { source_name, .. } => Self::Unfinished { path, source_name },
            Self::Migration { source, .. } => Self::Migration { path, source },
        }
    }
}

/// Returns advice to append to an error.
fn advice(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "; free some space on its disk",
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            "; put a backup in its place (without its -wal and -shm), or choose another folder with --data-dir"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "; another program has locked it: stop that program, or try again later"
        }
        _ => "",
    }
}

/// Opens the connection that writes. Creates the file if it is missing, and migrates it to this version's schema.
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

/// Returns the newest version of the schema that this program knows.
pub(super) fn newest() -> i32 {
    embedded::migrations::runner().get_migrations().iter().map(refinery::Migration::version).max().unwrap_or(0)
}

/// Returns how many migrations a database of this version lacks.
pub(super) fn pending_after(version: i32) -> usize {
    embedded::migrations::runner().get_migrations().iter().filter(|migration| migration.version() > version).count()
}

/// Opens a connection that can only read.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    configure(&connection)?;
    Ok(connection)
}

/// Limits how long a statement waits for a lock.
pub(super) fn wait_at_most(connection: &Connection, timeout: Duration) -> rusqlite::Result<()> {
    connection.busy_timeout(timeout)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    wait_at_most(connection, BUSY_TIMEOUT)?;
    // Otherwise SQLite plans a statement again whenever its LIMIT is bound, which takes longer than reading a page.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "cache_size", -CACHE_KIB)
}

fn configure_writer(connection: &Connection) -> rusqlite::Result<()> {
    use_log(connection)?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_LIMIT_BYTES)
}

/// Makes the database use a write-ahead log. While another process does the same to a new database, SQLite refuses at once, whatever the
/// time-out is: waiting inside it could be a deadlock.
fn use_log(connection: &Connection) -> rusqlite::Result<()> {
    let until = Instant::now() + BUSY_TIMEOUT;
    loop {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < until => {
                std::thread::sleep(PAUSE_WHILE_BUSY);
            }
            done => return done,
        }
    }
}

/// Makes the file readable only by its owner, because it holds the keys that sign tokens. SQLite gives its log and shared
/// memory the mode of the database, so a new file must have the mode before SQLite writes.
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

/// Works by path: opening and closing a database's file would drop the locks that this process has on it.
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

/// Runs the missing migrations in one transaction: after a crash the database has its former version.
fn migrate(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let (runner, known) = (embedded::migrations::runner().set_grouped(true), newest());
    if is_current(connection, path, known)? {
        return Ok(());
    }
    match runner.run(connection) {
        Ok(_) => Ok(()),
        // Another process that started at the same time may have migrated it.
        Err(_) if is_current(connection, path, known)? => Ok(()),
        Err(source) => Err(OpenError::Migration { path: path.to_owned(), source: Box::new(source) }),
    }
}

/// Returns whether the database has the newest version of the schema.
fn is_current(connection: &Connection, path: &Path, known: i32) -> Result<bool, OpenError> {
    let found = version(connection).map_err(|source| OpenError::Database { path: path.to_owned(), source })?;
    found.map_or(Ok(()), |found| check_version(path, found))?;
    Ok(found == Some(known))
}

/// Fails if this program cannot use a database whose schema has the version `found`.
pub(super) fn check_version(path: &Path, found: i32) -> Result<(), OpenError> {
    let (path, known) = (path.to_owned(), newest());
    match found {
        found if found > known => Err(OpenError::Newer { path, found, known }),
        found if found < FIRST => Err(OpenError::Development { path, found }),
        _ => Ok(()),
    }
}

/// Returns whether a database has tables but not the migration history of a catalog.
fn is_foreign(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema)
                AND NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'refinery_schema_history')",
        [],
        |row| row.get(0),
    )
}

/// Returns the version of a database's schema; none if it is not a catalog's.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<Option<i32>> {
    let has_history = connection
        .query_row("SELECT 1 FROM sqlite_schema WHERE name = 'refinery_schema_history'", [], |_| Ok(()))
        .optional()?;
    match has_history {
        Some(()) => connection.query_row("SELECT max(version) FROM refinery_schema_history", [], |row| row.get(0)),
        None => Ok(None),
    }
}
