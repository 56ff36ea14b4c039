//! Migrations of the schema: made by the first server of a new version, while servers of the version before still run.
//!
//! Statements here have no names, so that a proxy may give each transaction another connection.
//!
//! A migration only adds what the version before it can ignore. What is no longer used goes with a later one. Its first line,
//! `-- compatible-from: N`, names the oldest migration whose servers may run with it (docs/decisions/0060).

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::{self, Instant};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::connector::{ConnectError, Connector};
use super::convert::message;
use super::params::params;

mod embedded {
    refinery::embed_migrations!("migrations/postgres");
}

/// The number of the lock that only one migrating server has, until the end of its transaction.
const LOCK: i64 = 7_205_759_403_792_794;

/// How long a migration waits for the locks of a table. Longer, and the statements of all servers would queue up behind it.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '3s'";

/// The pause before a migration is tried again, because another server migrates or the tables are in use.
const PAUSE: Duration = Duration::from_millis(500);

/// How often the log says that the server waits.
const SAYS_EVERY: Duration = Duration::from_secs(10);

/// The longest wait for another server's migration, and the longest time of an own one.
const LONGEST: Duration = Duration::from_secs(3_600);

const CREATE_HISTORY: &str = "CREATE TABLE IF NOT EXISTS schema_history (
    version         bigint NOT NULL PRIMARY KEY,
    name            text NOT NULL,
    checksum        text NOT NULL,
    compatible_from bigint NOT NULL)";

const READ_HISTORY: &str = "SELECT version, name, checksum, compatible_from FROM schema_history ORDER BY version";

/// A change of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Migration {
    pub(super) version: i64,
    pub(super) name: String,
    /// The oldest version whose servers may run with it.
    pub(super) compatible_from: i64,
    pub(super) sql: String,
}

/// A row of the history of migrations.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    version: i64,
    name: String,
    checksum: String,
    compatible_from: i64,
}

/// Why the schema of a database cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A newer version made a migration that this one cannot work with.
    #[error(
        "the database has schema {version} ('{name}'), which servers with schema {compatible_from} or later can use. This server has \
         schema {known}: use a newer version of Tidewater"
    )]
    TooNew {
        /// The database's schema.
        version: i64,
        /// Its name.
        name: String,
        /// The oldest schema of servers that can use it.
        compatible_from: i64,
        /// This server's schema.
        known: i64,
    },
    /// The database has another migration of this number, or lacks one before its newest.
    #[error(
        "the database's migration {version} is not that of this version of Tidewater: it was made by a development version, or another \
         program"
    )]
    Different {
        /// The migration's number.
        version: i64,
    },
}

/// Why the schema was not brought up to date.
#[derive(Debug, thiserror::Error)]
pub(super) enum MigrateError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error("{}", message(.0))]
    Database(#[from] tokio_postgres::Error),
    /// Another server has not ended its migration, or the tables were in use all the time.
    #[error("the schema was not brought up to date within an hour: {0}")]
    TooLong(String),
}

impl Migration {
    /// Returns the SHA-256 of the statements.
    fn checksum(&self) -> String {
        Sha256::digest(self.sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Returns the migrations of this version of Tidewater, in their order.
pub(super) fn all() -> Vec<Migration> {
    let runner = embedded::migrations::runner();
    let mut all: Vec<_> = runner
        .get_migrations()
        .iter()
        .map(|migration| {
            let (version, sql) = (i64::from(migration.version()), migration.sql().unwrap_or_default());
            let stated = sql.lines().next().and_then(|line| line.strip_prefix("-- compatible-from: "));
            // A migration that says nothing is compatible with nothing before it.
            let compatible_from = stated.and_then(|number| number.trim().parse().ok()).unwrap_or(version);
            Migration { version, name: migration.name().to_owned(), compatible_from, sql: sql.to_owned() }
        })
        .collect();
    all.sort_by_key(|migration| migration.version);
    all
}

/// Brings the schema up to date, unless it is, or is newer but compatible.
pub(super) async fn migrate(connector: &Arc<Connector>, known: &[Migration]) -> Result<(), MigrateError> {
    let mut client = connector.connect().await?.client;
    let until = Instant::now() + LONGEST;
    let mut says_at = Instant::now();
    loop {
        // Servers that find the schema up to date need no lock and change nothing.
        if missing(&made(&client).await?, known)?.is_empty() {
            return Ok(());
        }
        let waits_for = match time::timeout_at(until, make_missing(&mut client, known)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(MigrateError::Database(error))) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                message(&error)
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(MigrateError::TooLong("its statements take too long".to_owned())),
        };
        if Instant::now() >= until {
            return Err(MigrateError::TooLong(waits_for));
        }
        if Instant::now() >= says_at {
            tracing::info!(waits_for, "waiting to bring the database's schema up to date");
            says_at = Instant::now() + SAYS_EVERY;
        }
        time::sleep(PAUSE).await;
    }
}

/// How far the schema of a database is.
pub(super) struct SchemaState {
    /// The version of the newest migration that was made. `None` in a database without a catalog.
    pub(super) newest_made: Option<i64>,
    /// How many migrations are missing.
    pub(super) pending: usize,
}

/// Reads how far the schema of a database is. Changes nothing.
pub(super) async fn state(connector: &Arc<Connector>, known: &[Migration]) -> Result<SchemaState, MigrateError> {
    let made = made(&connector.connect().await?.client).await?;
    let pending = missing(&made, known)?.len();
    Ok(SchemaState { newest_made: made.last().map(|made| made.version), pending })
}

/// Makes the missing migrations in one transaction, unless another server migrates.
async fn make_missing(client: &mut Client, known: &[Migration]) -> Result<(), MigrateError> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(LOCK_TIMEOUT).await?;
    // The lock has the same time-out. It ends with the transaction, so a proxy may give each transaction another connection.
    transaction.query_typed("SELECT pg_advisory_xact_lock($1)", params![LOCK]).await?;
    transaction.batch_execute(CREATE_HISTORY).await?;
    let made = history(&transaction.query_typed(READ_HISTORY, &[]).await?)?;
    for migration in missing(&made, known)? {
        tracing::info!(version = migration.version, name = migration.name, "migrating the database's schema");
        transaction.batch_execute(&migration.sql).await?;
        transaction
            .query_typed(
                "INSERT INTO schema_history (version, name, checksum, compatible_from) VALUES ($1, $2, $3, $4)",
                params![migration.version, migration.name, migration.checksum(), migration.compatible_from],
            )
            .await?;
    }
    Ok(transaction.commit().await?)
}

/// Reads the history. It is empty if the database is new.
async fn made(client: &Client) -> Result<Vec<Made>, MigrateError> {
    match client.query_typed(READ_HISTORY, &[]).await {
        Ok(rows) => Ok(history(&rows)?),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn history(rows: &[tokio_postgres::Row]) -> Result<Vec<Made>, tokio_postgres::Error> {
    rows.iter()
        .map(|row| {
            Ok(Made {
                version: row.try_get(0)?,
                name: row.try_get(1)?,
                checksum: row.try_get(2)?,
                compatible_from: row.try_get(3)?,
            })
        })
        .collect()
}

/// Returns the migrations that a database lacks.
fn missing<'a>(made: &[Made], known: &'a [Migration]) -> Result<Vec<&'a Migration>, SchemaError> {
    let newest_known = known.last().map_or(0, |migration| migration.version);
    let newest_made = made.last().map_or(0, |made| made.version);
    for migration in known.iter().filter(|migration| migration.version <= newest_made) {
        let same = made.iter().find(|made| made.version == migration.version);
        if same.is_none_or(|made| made.checksum != migration.checksum()) {
            return Err(SchemaError::Different { version: migration.version });
        }
    }
    for made in made.iter().filter(|made| made.version > newest_known) {
        if made.compatible_from > newest_known {
            let Made { version, name, compatible_from, .. } = made.clone();
            return Err(SchemaError::TooNew { version, name, compatible_from, known: newest_known });
        }
    }
    Ok(known.iter().filter(|migration| migration.version > newest_made).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(version: i64, compatible_from: i64) -> Migration {
        Migration { version, name: format!("m{version}"), compatible_from, sql: format!("SELECT {version}") }
    }

    fn made(migration: &Migration) -> Made {
        let Migration { version, name, compatible_from, .. } = migration.clone();
        Made { version, name, checksum: migration.checksum(), compatible_from }
    }

    #[test]
    fn missing_migrations_are_those_after_the_newest() {
        let known = [migration(1, 1), migration(2, 1), migration(3, 2)];
        let versions = |made: &[Made]| {
            missing(made, &known).map(|missing| missing.iter().map(|one| one.version).collect::<Vec<_>>())
        };
        assert_eq!(versions(&[]), Ok(vec![1, 2, 3]));
        assert_eq!(versions(&[made(&known[0])]), Ok(vec![2, 3]));
        assert_eq!(versions(&known.iter().map(made).collect::<Vec<_>>()), Ok(vec![]));
    }

    #[test]
    fn newer_schema_is_used_if_it_says_so() {
        let known = [migration(1, 1), migration(2, 1)];
        let with = |newer: &Migration| [made(&known[0]), made(&known[1]), made(newer)];
        assert_eq!(missing(&with(&migration(3, 2)), &known), Ok(vec![]));
        let error = missing(&with(&migration(3, 3)), &known).unwrap_err();
        assert_eq!(
            error,
            SchemaError::TooNew { version: 3, name: "m3".to_owned(), compatible_from: 3, known: 2 },
            "{error}"
        );
    }

    #[test]
    fn edited_or_skipped_migration_is_refused() {
        let known = [migration(1, 1), migration(2, 1)];
        let edited = Made { checksum: "0".to_owned(), ..made(&known[0]) };
        assert_eq!(missing(&[edited], &known), Err(SchemaError::Different { version: 1 }));
        assert_eq!(missing(&[made(&known[1])], &known), Err(SchemaError::Different { version: 1 }));
    }

    #[test]
    fn each_migration_says_with_what_it_is_compatible() {
        let all = all();
        assert!(!all.is_empty());
        for migration in all {
            assert!(migration.sql.starts_with("-- compatible-from: "), "{}", migration.name);
            assert!(migration.compatible_from <= migration.version);
        }
    }
}
