//! The embedded database as the source or the target of a copy.
//!
//! The caller holds the lock of the data folder, so no server can write to the database.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, ToSql};
use uuid::Uuid;

use super::convert::{bounded, count};
use super::open::{OpenError, open_writer};
use crate::store::{
    COPY_BATCH_BYTES, COPY_BATCH_ROWS, COPY_TABLES, CopyColumn, CopyConsumer, CopyDatabaseError, CopyExport,
    CopyHoldError, CopyKind, CopyReaders, CopyRow, CopyState, CopyStore, CopyTable, CopyValue,
};

/// Why a statement of a copy failed.
type Problem = Box<dyn std::error::Error + Send + Sync>;

/// A database file during a copy.
pub(crate) struct SqliteCopy {
    connection: Arc<Mutex<Connection>>,
    name: String,
}

impl SqliteCopy {
    /// Opens the database, creates it if it is missing, and migrates it to this version's schema.
    ///
    /// # Errors
    /// Those of opening the store.
    pub(crate) fn open(database: &Path) -> Result<Self, OpenError> {
        let connection = Arc::new(Mutex::new(open_writer(database)?));
        let folder = database.parent().unwrap_or(database);
        Ok(Self { connection, name: format!("sqlite:{}", folder.display()) })
    }

    /// Runs statements on a thread for blocking work.
    async fn run<T, F>(&self, action: String, work: F) -> Result<T, CopyDatabaseError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, Problem> + Send + 'static,
    {
        let connection = Arc::clone(&self.connection);
        let running = tokio::task::spawn_blocking(move || work(&mut connection.lock()));
        let done = running.await.unwrap_or_else(|error| Err(error.into()));
        done.map_err(|source| CopyDatabaseError::new(format!("{action} in {}", self.name), source))
    }
}

/// Fails if the database is the target of an unfinished copy.
pub(super) fn check_complete(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let source: rusqlite::Result<Option<String>> =
        connection.query_row("SELECT source FROM copy_state LIMIT 1", [], |row| row.get(0)).optional();
    let unfinished = |source| OpenError::Unfinished { path: path.to_owned(), source_name: source };
    match source {
        Ok(None) => Ok(()),
        Ok(Some(source)) => Err(unfinished(source)),
        Err(source) => Err(OpenError::Database { path: PathBuf::from(path), source }),
    }
}

#[async_trait]
impl CopyStore for SqliteCopy {
    fn name(&self) -> &str {
        &self.name
    }

    fn stores_nul(&self) -> bool {
        true
    }

    async fn hold_still(&self) -> Result<(), CopyHoldError> {
        // The lock of the data folder does it.
        Ok(())
    }

    async fn check_unused(&self) -> Result<(), CopyHoldError> {
        Ok(())
    }

    async fn rows_after(
        &self,
        table: &'static CopyTable,
        after: Option<&[CopyValue]>,
    ) -> Result<Vec<CopyRow>, CopyDatabaseError> {
        let after = after.map(<[CopyValue]>::to_vec);
        self.run(format!("cannot read table '{}'", table.name), move |connection| {
            read(connection, table, after.as_deref())
        })
        .await
    }

    async fn states(&self) -> Result<Vec<CopyState>, CopyDatabaseError> {
        self.run("cannot read the copy's state".to_owned(), |connection| Ok(read_states(connection)?)).await
    }

    async fn begin(&self, states: &[CopyState]) -> Result<(), CopyDatabaseError> {
        let states = states.to_vec();
        self.run("cannot begin the copy".to_owned(), move |connection| {
            let transaction = connection.transaction()?;
            for table in COPY_TABLES.iter().rev() {
                transaction.execute(&format!("DELETE FROM {}", table.name), [])?;
            }
            transaction.execute_batch(
                "DELETE FROM copy_state; DELETE FROM feed_consumer; DELETE FROM feed_removed; DELETE FROM audit_position",
            )?;
            for state in &states {
                transaction.execute(
                    "INSERT INTO copy_state (name, source, total, digest, copied, after, written)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    (
                        &state.table,
                        &state.source,
                        bounded(state.total),
                        &state.digest,
                        bounded(state.copied),
                        &state.after,
                        &state.written,
                    ),
                )?;
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    async fn add(
        &self,
        table: &'static CopyTable,
        rows: Vec<CopyRow>,
        before: u64,
        state: &CopyState,
    ) -> Result<(), CopyDatabaseError> {
        let state = state.clone();
        self.run(format!("cannot write table '{}'", table.name), move |connection| {
            let transaction = connection.transaction()?;
            insert(&transaction, table, &rows)?;
            let replaced = transaction.execute(
                "UPDATE copy_state SET copied = ?3, after = ?4, written = ?5 WHERE name = ?1 AND copied = ?2",
                (&state.table, bounded(before), bounded(state.copied), &state.after, &state.written),
            )?;
            if replaced == 0 {
                return Err("another copy writes to it".into());
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    async fn progress(&self) -> Result<CopyReaders, CopyDatabaseError> {
        self.run("cannot read the progress of readers".to_owned(), |connection| Ok(read_progress(connection)?)).await
    }

    async fn finish(&self, progress: &CopyReaders) -> Result<(), CopyDatabaseError> {
        let progress = progress.clone();
        self.run("cannot finish the copy".to_owned(), move |connection| {
            // Triggers have counted.
            let transaction = connection.transaction()?;
            write_progress(&transaction, &progress)?;
            transaction.execute("DELETE FROM copy_state", [])?;
            Ok(transaction.commit()?)
        })
        .await
    }
}

fn read_states(connection: &Connection) -> rusqlite::Result<Vec<CopyState>> {
    let mut statement = connection
        .prepare("SELECT name, source, total, digest, copied, after, written FROM copy_state ORDER BY name")?;
    let states = statement.query_map([], |row| {
        Ok(CopyState {
            table: row.get(0)?,
            source: row.get(1)?,
            total: count(row.get(2)?),
            digest: row.get(3)?,
            copied: count(row.get(4)?),
            after: row.get(5)?,
            written: row.get(6)?,
        })
    })?;
    states.collect()
}

/// Reads the progress. Positions are ids here. They may be higher than those of all rows, if these were removed: the target uses such ids again.
fn read_progress(connection: &Connection) -> rusqlite::Result<CopyReaders> {
    let mut statement = connection.prepare(
        "SELECT organisation, name, min(position, coalesce((SELECT max(id) FROM event), 0)),
                gaps + (position < coalesce((SELECT max(removed.position) FROM feed_removed AS removed
                                             WHERE feed_consumer.organisation IN (removed.organisation, zeroblob(16))), 0))
         FROM feed_consumer",
    )?;
    let consumers = statement.query_map([], |row| {
        let organisation = Uuid::from_bytes(row.get(0)?);
        Ok(CopyConsumer { organisation, name: row.get(1)?, event: row.get(2)?, gaps: row.get(3)? })
    })?;
    let consumers = consumers.collect::<rusqlite::Result<_>>()?;
    let mut statement = connection.prepare(
        "SELECT sink, min(event, coalesce((SELECT max(id) FROM event), 0)), min(record, coalesce((SELECT max(id) FROM audit), 0))
         FROM audit_position",
    )?;
    let exports =
        statement.query_map([], |row| Ok(CopyExport { sink: row.get(0)?, event: row.get(1)?, record: row.get(2)? }))?;
    Ok(CopyReaders { consumers, exports: exports.collect::<rusqlite::Result<_>>()? })
}

fn write_progress(connection: &Connection, progress: &CopyReaders) -> rusqlite::Result<()> {
    for consumer in &progress.consumers {
        connection.execute(
            "INSERT INTO feed_consumer (organisation, name, position, since_id, gaps, holder, held_until_ms)
             VALUES (?1, ?2, ?3, 0, ?4, NULL, 0)",
            (consumer.organisation.as_bytes(), &consumer.name, consumer.event, consumer.gaps),
        )?;
    }
    for export in &progress.exports {
        connection.execute(
            "INSERT INTO audit_position (sink, event, record) VALUES (?1, ?2, ?3)",
            (&export.sink, export.event, export.record),
        )?;
    }
    Ok(())
}

fn read(connection: &Connection, table: &CopyTable, after: Option<&[CopyValue]>) -> Result<Vec<CopyRow>, Problem> {
    let mut statement = connection.prepare_cached(&select(table, after.is_some()))?;
    let key: Vec<Bound<'_>> = after.unwrap_or_default().iter().map(|value| Bound { value, kind: None }).collect();
    let mut found = statement.query(rusqlite::params_from_iter(key))?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.next()? {
        let mut values = Vec::with_capacity(table.columns.len());
        for (position, column) in table.columns.iter().enumerate() {
            let value = value(column, row.get_ref(position)?)?;
            bytes += value.size_bytes();
            values.push(value);
        }
        rows.push(values);
        if rows.len() == COPY_BATCH_ROWS || bytes >= COPY_BATCH_BYTES {
            break;
        }
    }
    Ok(rows)
}

/// Returns the statement that reads the rows after a key.
fn select(table: &CopyTable, after: bool) -> String {
    let list = |columns: Vec<String>| columns.join(", ");
    let columns = list(table.columns.iter().map(expression).collect());
    let key = list(table.key_columns().map(|position| expression(&table.columns[position])).collect());
    let from = match after {
        true => {
            let marks = list((1..=table.key.len()).map(|number| format!("?{number}")).collect());
            format!("WHERE ({key}) > ({marks})")
        }
        false => String::new(),
    };
    format!("SELECT {columns} FROM {} {from} ORDER BY {key}", table.name)
}

/// Returns the expression that reads a column.
fn expression(column: &CopyColumn) -> String {
    match column.kind {
        CopyKind::IdOrNil => format!("coalesce(\"{}\", zeroblob(16))", column.name),
        _ => format!("\"{}\"", column.name),
    }
}

fn insert(connection: &Connection, table: &CopyTable, rows: &[CopyRow]) -> Result<(), Problem> {
    let names: Vec<String> = table.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    let marks: Vec<String> = (1..=names.len()).map(|number| format!("?{number}")).collect();
    let sql = format!("INSERT INTO {} ({}) VALUES ({})", table.name, names.join(", "), marks.join(", "));
    let mut statement = connection.prepare_cached(&sql)?;
    for row in rows {
        let values = row.iter().zip(table.columns).map(|(value, column)| Bound { value, kind: Some(column.kind) });
        statement.execute(rusqlite::params_from_iter(values))?;
    }
    Ok(())
}

/// A value as a parameter, for a column of a kind or to compare with.
struct Bound<'a> {
    value: &'a CopyValue,
    kind: Option<CopyKind>,
}

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.value {
            CopyValue::Null => ToSqlOutput::Owned(Value::Null),
            CopyValue::Id(id) if id.is_nil() && self.kind == Some(CopyKind::IdOrNil) => ToSqlOutput::Owned(Value::Null),
            CopyValue::Id(id) => ToSqlOutput::Borrowed(ValueRef::Blob(id.as_bytes())),
            CopyValue::Number(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            CopyValue::Flag(flag) => ToSqlOutput::Owned(Value::Integer((*flag).into())),
            CopyValue::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            CopyValue::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

/// Reads a value of a column.
fn value(column: &CopyColumn, found: ValueRef<'_>) -> Result<CopyValue, Problem> {
    let value = match (column.kind, found) {
        (_, ValueRef::Null) => Some(CopyValue::Null),
        (CopyKind::Id | CopyKind::IdOrNil, ValueRef::Blob(bytes)) => Uuid::from_slice(bytes).ok().map(CopyValue::Id),
        (CopyKind::Number, ValueRef::Integer(number)) => Some(CopyValue::Number(number)),
        (CopyKind::Flag, ValueRef::Integer(flag @ 0..=1)) => Some(CopyValue::Flag(flag == 1)),
        (CopyKind::Text, ValueRef::Text(text)) => {
            std::str::from_utf8(text).ok().map(|text| CopyValue::Text(text.to_owned()))
        }
        (CopyKind::Bytes, ValueRef::Blob(bytes)) => Some(CopyValue::Bytes(bytes.to_vec())),
        _ => None,
    };
    value.ok_or_else(|| format!("column '{}' has a value of another kind", column.name).into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Tables whose rows are not copied: triggers fill them, they are about the database itself, or the progress of readers, which is copied in
    /// another form.
    const OTHERS: [&str; 9] = [
        "access_count",
        "audit_position",
        "copy_state",
        "feed_consumer",
        "feed_removed",
        "refinery_schema_history",
        "report_bytes",
        "sqlite_sequence",
        "tabular_count",
    ];

    #[test]
    fn every_table_and_column_is_copied() {
        let folder = tempfile::tempdir().unwrap();
        let connection = open_writer(&folder.path().join("t.db")).unwrap();
        let sql = "SELECT t.name, c.name, c.type FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
                   WHERE t.type = 'table'";
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        let mut found: BTreeSet<(String, String, String)> = rows.map(Result::unwrap).collect();
        found.retain(|(table, ..)| !OTHERS.contains(&table.as_str()));
        let copied = COPY_TABLES.iter().flat_map(|table| {
            table.columns.iter().map(|column| {
                let stored = match column.kind {
                    CopyKind::Id | CopyKind::IdOrNil | CopyKind::Bytes => "BLOB",
                    CopyKind::Number | CopyKind::Flag => "INTEGER",
                    CopyKind::Text => "TEXT",
                };
                (table.name.to_owned(), column.name.to_owned(), stored.to_owned())
            })
        });
        assert_eq!(copied.collect::<BTreeSet<_>>(), found, "change COPY_TABLES with the schema");
    }
}
