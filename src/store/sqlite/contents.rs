//! Reads what a database contains without changing it: to compare a backup with its source, and to check a catalog before its server
//! starts.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::SqliteStore;
use super::master_key::master_key_get;
use super::open::{OpenError, check_version, newest, open_reader, pending_after, version};
use super::organisations::organisation_list;
use super::signing_keys::signing_key_list;
use super::warehouses::warehouse_list;
use crate::store::{BackupError, Inspected, InspectedCatalog, StoreError};

/// The tables whose rows are counted.
const COUNTED: [&str; 8] =
    ["organisation", "principal", "api_key", "warehouse", "namespace", "tabular", "dropped", "access_grant"];

/// What a database contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The version of its schema.
    pub schema_version: i32,
    /// The number of rows of each counted table, by its name.
    pub rows: Vec<(&'static str, u64)>,
    /// The fingerprint of its master key, if it knows one.
    pub master_key: Option<[u8; 16]>,
}

impl SqliteStore {
    /// Counts the rows of the database at `path`, which no other process uses.
    ///
    /// # Errors
    /// `Damaged`, `NotACatalog`, `Open`.
    pub(crate) fn contents(path: &Path) -> Result<Contents, BackupError> {
        contents(path)
    }

    /// Reads the state of the database at `path`, which a server may be using. Changes nothing. Returns `None` for a file without
    /// tables.
    ///
    /// # Errors
    /// Fails if the database cannot be read, or is of a version that this program does not know.
    pub(crate) fn inspect(path: &Path) -> Result<Option<Inspected>, InspectError> {
        inspect(path)
    }
}

fn contents(path: &Path) -> Result<Contents, BackupError> {
    let failed = |error: StoreError| BackupError::Damaged { path: path.to_owned(), problem: error.to_string() };
    let connection = open_reader(path).map_err(|error| failed(error.into()))?;
    let found = version(&connection).map_err(|error| failed(error.into()))?;
    let schema_version = found.ok_or_else(|| BackupError::NotACatalog { path: path.to_owned() })?;
    check_version(path, schema_version)?;
    let count = |table: &'static str| {
        let rows: i64 = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        Ok((table, u64::try_from(rows).unwrap_or(0)))
    };
    let rows = COUNTED.into_iter().map(count).collect::<Result<_, StoreError>>().map_err(failed)?;
    Ok(Contents { schema_version, rows, master_key: master_key_get(&connection).map_err(failed)? })
}

fn inspect(path: &Path) -> Result<Option<Inspected>, InspectError> {
    let in_database = |source| OpenError::Database { path: path.to_owned(), source };
    let connection = open_reader(path).map_err(in_database)?;
    let Some(schema_version) = version(&connection).map_err(in_database)? else {
        let is_empty = !connection
            .prepare("SELECT 1 FROM sqlite_schema")
            .and_then(|mut rows| rows.exists([]))
            .map_err(in_database)?;
        return if is_empty { Ok(None) } else { Err(OpenError::Foreign { path: path.to_owned() }.into()) };
    };
    check_version(path, schema_version)?;
    let pending_migrations = pending_after(schema_version);
    let catalog = match pending_migrations {
        0 => Some(read_catalog(&connection).map_err(|source| InspectError::Read { path: path.to_owned(), source })?),
        _ => None,
    };
    let (schema_version, known_version) = (schema_version.into(), newest().into());
    Ok(Some(Inspected { schema_version, known_version, pending_migrations, catalog }))
}

fn read_catalog(connection: &Connection) -> Result<InspectedCatalog, StoreError> {
    let mut organisations = Vec::new();
    for organisation in organisation_list(connection)? {
        let warehouses = warehouse_list(connection, organisation.id)?;
        organisations.push((organisation, warehouses));
    }
    Ok(InspectedCatalog {
        organisations,
        master_key: master_key_get(connection)?,
        signing_keys: signing_key_list(connection)?.len(),
    })
}

/// Why the state of a database cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its rows cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The database.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
}
