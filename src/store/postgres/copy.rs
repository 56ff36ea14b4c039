//! A PostgreSQL database as the source or the target of a copy.

use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::SinkExt as _;
use tokio::sync::Mutex;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::connector::Connector;
use super::convert::{column, count, message};
use super::migrations;
use super::open_error::{PostgresOpenError, check_encoding};
use super::settings::PostgresSettings;
use crate::base::secret::Secret;
use crate::store::{
    COPY_BATCH_BYTES, COPY_BATCH_ROWS, COPY_TABLES, CopyColumn, CopyConsumer, CopyDatabaseError, CopyExport,
    CopyHoldError, CopyKind, CopyReaders, CopyRow, CopyState, CopyStore, CopyTable, CopyValue,
};

/// Why a statement of a copy failed.
type Problem = Box<dyn std::error::Error + Send + Sync>;

/// The first bytes of binary rows: a signature, no flags, no further header.
const BINARY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// The bytes after the last row.
const BINARY_END: i16 = -1;

/// The cursor that reads rows.
const CURSOR: &str = "copied_rows";

/// The rows of one FETCH. The batch may end after each.
const FETCH_ROWS: usize = 200;

/// Sorting a table may take minutes, and a transaction is idle while the other database works.
const NO_TIME_OUTS: &str = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

/// Rows are sent in pieces of this size, in bytes.
const PIECE_BYTES: usize = 64 << 10;

/// The name of a copy's connections in the database. Its other clients may be servers.
const APPLICATION: &str = "tidewater%20copy";

/// A database during a copy.
pub(crate) struct PostgresCopy {
    name: String,
    reader: Mutex<Reader>,
    writer: Mutex<Client>,
}

/// The connection that reads rows.
struct Reader {
    client: Client,
    /// Whether its transaction keeps others from writing.
    holds: bool,
    /// The table of the open cursor, and the last key that it returned.
    cursor: Option<(&'static str, Vec<CopyValue>)>,
}

impl Reader {
    /// Opens the cursor after a key. A page by key would need an index on it, and the keys of some tables are too long for one.
    async fn open(&mut self, table: &CopyTable, after: Option<&[CopyValue]>) -> Result<(), Problem> {
        self.close().await?;
        if !self.holds {
            self.client.batch_execute(&format!("BEGIN; {NO_TIME_OUTS}")).await?;
        }
        let key = table.key_columns().zip(after.unwrap_or_default());
        let key: Vec<_> = key.map(|(position, value)| (bound(value), sql_type(table.columns[position].kind))).collect();
        let sql = format!("DECLARE {CURSOR} NO SCROLL CURSOR FOR {}", select(table, after.is_some()));
        self.client.query_typed(&sql, &key).await?;
        Ok(())
    }

    /// Closes the cursor, and ends its transaction if that is of no other use.
    async fn close(&mut self) -> Result<(), Problem> {
        if self.cursor.take().is_some() {
            let end = if self.holds { format!("CLOSE {CURSOR}") } else { "COMMIT".to_owned() };
            self.client.batch_execute(&end).await?;
        }
        Ok(())
    }

    /// Returns the next rows after a key. Goes on with the open cursor if it is there.
    async fn read(&mut self, table: &CopyTable, after: Option<&[CopyValue]>) -> Result<Vec<CopyRow>, Problem> {
        let is_next =
            matches!((&self.cursor, after), (Some((name, last)), Some(after)) if *name == table.name && last == after);
        if !is_next {
            self.open(table, after).await?;
        }
        self.cursor = Some((table.name, Vec::new()));
        let fetch = format!("FETCH {FETCH_ROWS} FROM {CURSOR}");
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while rows.len() < COPY_BATCH_ROWS && bytes < COPY_BATCH_BYTES {
            let fetched = self.client.query_typed(&fetch, &[]).await?;
            for row in &fetched {
                let values = decode(table, row)?;
                bytes += values.iter().map(CopyValue::size_bytes).sum::<usize>();
                rows.push(values);
            }
            if fetched.len() < FETCH_ROWS {
                break;
            }
        }
        match rows.last() {
            Some(last) => self.cursor = Some((table.name, table.key_of(last))),
            None => self.close().await?,
        }
        Ok(rows)
    }
}

impl PostgresCopy {
    /// Connects, and creates or upgrades the schema. With `must_exist`, fails if there is no schema of a catalog.
    ///
    /// # Errors
    /// Fails if the database cannot be used.
    pub(crate) async fn open(settings: &PostgresSettings, must_exist: bool) -> Result<Self, PostgresOpenError> {
        let url = settings.url.expose();
        let separator = if url.contains('?') { '&' } else { '?' };
        let named = Secret::new(format!("{url}{separator}application_name={APPLICATION}"));
        let connector = Arc::new(Connector::new(&PostgresSettings { url: named, ..settings.clone() })?);
        let name = shown(url);
        check_encoding(&connector).await?;
        let (reader, writer) = (connector.connect().await?.client, connector.connect().await?.client);
        if must_exist {
            let row = reader.query_one("SELECT to_regclass('organisation') IS NOT NULL", &[]).await?;
            if !row.try_get::<_, bool>(0)? {
                return Err(PostgresOpenError::NoCatalog(name));
            }
        }
        migrations::migrate(&connector, &migrations::all()).await?;
        let reader = Mutex::new(Reader { client: reader, holds: false, cursor: None });
        Ok(Self { name, reader, writer: Mutex::new(writer) })
    }

    fn failed(&self, action: &str, source: Problem) -> CopyDatabaseError {
        let action = format!("{action} in {}", self.name);
        match source.downcast::<tokio_postgres::Error>() {
            Ok(error) => CopyDatabaseError::new(action, message(&error)),
            Err(source) => CopyDatabaseError::new(action, source),
        }
    }

    /// Begins a transaction that keeps others from writing any of the tables.
    async fn lock(&self) -> Result<(), Problem> {
        let names: Vec<&str> = COPY_TABLES.iter().map(|table| table.name).collect();
        let sql = format!(
            "BEGIN; SET LOCAL lock_timeout = '10s'; {NO_TIME_OUTS}; LOCK TABLE {} IN SHARE MODE",
            names.join(", ")
        );
        let mut reader = self.reader.lock().await;
        reader.client.batch_execute(&sql).await?;
        reader.holds = true;
        Ok(())
    }

    /// Returns the other clients of the database, by name.
    async fn list_clients(&self) -> Result<Vec<String>, Problem> {
        let rows = self.writer.lock().await.query(OTHER_CLIENTS, &[]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    async fn read_states(&self) -> Result<Vec<CopyState>, Problem> {
        let client = self.writer.lock().await;
        let sql = "SELECT name, source, total, digest, copied, after, written FROM copy_state ORDER BY name";
        let rows = client.query(sql, &[]).await?;
        let state = |row: &Row| {
            Ok(CopyState {
                table: row.try_get(0)?,
                source: row.try_get(1)?,
                total: count(row.try_get(2)?),
                digest: row.try_get(3)?,
                copied: count(row.try_get(4)?),
                after: row.try_get(5)?,
                written: row.try_get(6)?,
            })
        };
        rows.iter().map(state).collect()
    }

    async fn write_states(&self, states: &[CopyState]) -> Result<(), Problem> {
        let mut client = self.writer.lock().await;
        let transaction = client.transaction().await?;
        let names: Vec<&str> = COPY_TABLES.iter().map(|table| table.name).collect();
        let derived = "copy_state, organisation_state, report_bytes, feed_consumer, feed_removed, audit_position";
        transaction.batch_execute(&format!("TRUNCATE {}, {derived}", names.join(", "))).await?;
        for state in states {
            transaction
                .execute(
                    "INSERT INTO copy_state (name, source, total, digest, copied, after, written)
                     VALUES ($1, $2, $3, $4, $5, $6, $7)",
                    &[
                        &state.table,
                        &state.source,
                        &column(state.total),
                        &state.digest,
                        &column(state.copied),
                        &state.after,
                        &state.written,
                    ],
                )
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn write(&self, table: &CopyTable, rows: &[CopyRow], before: u64, state: &CopyState) -> Result<(), Problem> {
        let mut client = self.writer.lock().await;
        let transaction = client.transaction().await?;
        // Also locks the state: another copy waits here, and then fails.
        let replaced = transaction
            .execute(
                "UPDATE copy_state SET copied = $3, after = $4, written = $5 WHERE name = $1 AND copied = $2",
                &[&state.table, &column(before), &column(state.copied), &state.after, &state.written],
            )
            .await?;
        if replaced == 0 {
            return Err("another copy writes to it".into());
        }
        let mut names: Vec<String> = table.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        let id = PLACED.contains(&table.name).then(|| table.position("id")).flatten();
        names.extend(id.map(|_| "position".to_owned()));
        let sql = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", table.name, names.join(", "));
        let mut sink = pin!(transaction.copy_in::<_, Bytes>(&sql).await?);
        let mut piece = BytesMut::with_capacity(PIECE_BYTES * 2);
        piece.put_slice(BINARY_HEADER);
        for row in rows {
            encode(row, id.map(|id| &row[id]), &mut piece)?;
            if piece.len() >= PIECE_BYTES {
                sink.send(piece.split().freeze()).await?;
            }
        }
        piece.put_i16(BINARY_END);
        sink.send(piece.freeze()).await?;
        sink.finish().await?;
        Ok(transaction.commit().await?)
    }

    async fn read_progress(&self) -> Result<CopyReaders, Problem> {
        let mut reader = self.reader.lock().await;
        reader.close().await?;
        let consumers = reader.client.query(READ_CONSUMERS, &[]).await?;
        let exports = reader.client.query(READ_EXPORTS, &[]).await?;
        let consumer = |row: &Row| {
            let (organisation, name) = (row.try_get(0)?, row.try_get(1)?);
            Ok::<_, Problem>(CopyConsumer { organisation, name, event: row.try_get(2)?, gaps: row.try_get(3)? })
        };
        let export = |row: &Row| {
            Ok::<_, Problem>(CopyExport { sink: row.try_get(0)?, event: row.try_get(1)?, record: row.try_get(2)? })
        };
        Ok(CopyReaders {
            consumers: consumers.iter().map(consumer).collect::<Result<_, _>>()?,
            exports: exports.iter().map(export).collect::<Result<_, _>>()?,
        })
    }

    async fn complete(&self, progress: &CopyReaders) -> Result<(), Problem> {
        let mut client = self.writer.lock().await;
        // Plans of the first requests would otherwise be those for empty tables.
        for table in COPY_TABLES {
            client.batch_execute(&format!("ANALYZE {}", table.name)).await?;
        }
        let transaction = client.transaction().await?;
        for consumer in &progress.consumers {
            let sql = "INSERT INTO feed_consumer (organisation, name, position, since_id, gaps, holder, held_until_ms)
                       VALUES ($1, $2, $3, 0, $4, NULL, 0)";
            transaction
                .execute(sql, &[&consumer.organisation, &consumer.name, &consumer.event, &consumer.gaps])
                .await?;
        }
        for export in &progress.exports {
            let sql = "INSERT INTO audit_position (sink, event, record) VALUES ($1, $2, $3)";
            transaction.execute(sql, &[&export.sink, &export.event, &export.record]).await?;
        }
        transaction.batch_execute(&format!("{NO_TIME_OUTS}; {DERIVE}")).await?;
        Ok(transaction.commit().await?)
    }
}

/// The other clients of the database that may be servers. The name of servers is `tidewater`, unless their URL has another one, and their user
/// is probably that of the copy.
const OTHER_CLIENTS: &str = "
    SELECT format('%s at %s', coalesce(nullif(application_name, ''), 'unnamed'), coalesce(host(client_addr), 'its socket'))
    FROM pg_stat_activity
    WHERE datname = current_database() AND application_name <> 'tidewater copy' AND pid <> pg_backend_pid()
        AND (usename = current_user OR application_name LIKE 'tidewater%')
    ORDER BY 1";

/// The tables whose rows have positions. In a copy a row's position is its id, as in SQLite: so rows are in the same order.
const PLACED: [&str; 2] = ["event", "audit"];

/// The consumers of the feed: what they have got is before the lowest id of those events that they have not got.
const READ_CONSUMERS: &str = "
    SELECT organisation, name,
        coalesce((SELECT min(id) - 1 FROM event
                  WHERE (event.position > c.position OR event.position IS NULL) AND event.id >= c.since_id
                      AND c.organisation IN (event.organisation, '00000000-0000-0000-0000-000000000000')),
                 (SELECT max(id) FROM event), 0),
        gaps + (position < coalesce((SELECT max(removed.position) FROM feed_removed AS removed
                    WHERE c.organisation IN (removed.organisation, '00000000-0000-0000-0000-000000000000')), 0))::int
    FROM feed_consumer AS c";

/// The exports of audit records, likewise.
const READ_EXPORTS: &str = "
    SELECT sink,
        coalesce((SELECT min(id) - 1 FROM event WHERE event.position > p.event OR event.position IS NULL),
                 (SELECT max(id) FROM event), 0),
        coalesce((SELECT min(id) - 1 FROM audit WHERE audit.position > p.record OR audit.position IS NULL),
                 (SELECT max(id) FROM audit), 0)
    FROM audit_position AS p";

/// Fills the tables that follow from others, and ends the copy.
const DERIVE: &str = "
    INSERT INTO organisation_state (organisation, tables, principal_roles, catalog_roles, assignments, grants)
        SELECT id, (SELECT count(*) FROM tabular AS t WHERE t.organisation = o.id),
               (SELECT count(*) FROM principal_role AS r WHERE r.organisation = o.id),
               (SELECT count(*) FROM catalog_role AS r WHERE r.organisation = o.id),
               (SELECT count(*) FROM principal_role_member AS m WHERE m.organisation = o.id)
                   + (SELECT count(*) FROM catalog_role_member AS m WHERE m.organisation = o.id),
               (SELECT count(*) FROM access_grant AS g WHERE g.organisation = o.id)
        FROM organisation AS o;
    INSERT INTO report_bytes (organisation, bytes)
        SELECT organisation, sum(octet_length(body)) FROM report GROUP BY organisation;
    UPDATE feed_state SET
        latest = greatest(0, (SELECT max(position) FROM event), (SELECT max(position) FROM feed_consumer),
                          (SELECT max(event) FROM audit_position)),
        latest_record = greatest(0, (SELECT max(position) FROM audit), (SELECT max(record) FROM audit_position));
    DELETE FROM copy_state";

#[async_trait]
impl CopyStore for PostgresCopy {
    fn name(&self) -> &str {
        &self.name
    }

    fn stores_nul(&self) -> bool {
        false
    }

    async fn hold_still(&self) -> Result<(), CopyHoldError> {
        // A server that writes would keep the lock.
        self.check_unused().await?;
        Ok(self.lock().await.map_err(|source| self.failed("cannot lock the tables", source))?)
    }

    async fn check_unused(&self) -> Result<(), CopyHoldError> {
        let clients = self.list_clients().await.map_err(|source| self.failed("cannot look for servers", source))?;
        if clients.is_empty() {
            return Ok(());
        }
        Err(CopyHoldError::InUse { name: self.name.clone(), clients })
    }

    async fn rows_after(
        &self,
        table: &'static CopyTable,
        after: Option<&[CopyValue]>,
    ) -> Result<Vec<CopyRow>, CopyDatabaseError> {
        let read = self.reader.lock().await.read(table, after).await;
        read.map_err(|source| self.failed(&format!("cannot read table '{}'", table.name), source))
    }

    async fn states(&self) -> Result<Vec<CopyState>, CopyDatabaseError> {
        self.read_states().await.map_err(|source| self.failed("cannot read the copy's state", source))
    }

    async fn begin(&self, states: &[CopyState]) -> Result<(), CopyDatabaseError> {
        self.write_states(states).await.map_err(|source| self.failed("cannot begin the copy", source))
    }

    async fn add(
        &self,
        table: &'static CopyTable,
        rows: Vec<CopyRow>,
        before: u64,
        state: &CopyState,
    ) -> Result<(), CopyDatabaseError> {
        let written = self.write(table, &rows, before, state).await;
        written.map_err(|source| self.failed(&format!("cannot write table '{}'", table.name), source))
    }

    async fn progress(&self) -> Result<CopyReaders, CopyDatabaseError> {
        let read = self.read_progress().await;
        read.map_err(|source| self.failed("cannot read the progress of readers", source))
    }

    async fn finish(&self, progress: &CopyReaders) -> Result<(), CopyDatabaseError> {
        self.complete(progress).await.map_err(|source| self.failed("cannot finish the copy", source))
    }
}

/// Fails if the database is the target of an unfinished copy.
pub(super) async fn check_complete(connector: &Arc<Connector>) -> Result<(), PostgresOpenError> {
    let client = connector.connect().await?.client;
    match client.query_typed("SELECT source FROM copy_state LIMIT 1", &[]).await?.first() {
        Some(row) => Err(PostgresOpenError::Unfinished { source_name: row.try_get(0)? }),
        None => Ok(()),
    }
}

/// Returns a URL without its password.
fn shown(url: &str) -> String {
    let Ok(mut url) = url::Url::parse(url) else { return "postgres".to_owned() };
    // Fails only for a URL without a host, which has no password.
    let _ = url.set_password(None);
    let kept: Vec<(String, String)> = url.query_pairs().filter(|(name, _)| name != "password").map(owned).collect();
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
    url.into()
}

fn owned((name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)) -> (String, String) {
    (name.into_owned(), value.into_owned())
}

/// Returns the statement that reads the rows after a key.
fn select(table: &CopyTable, after: bool) -> String {
    let quoted = |name: &str| format!("\"{name}\"");
    let columns: Vec<String> = table.columns.iter().map(|column| quoted(column.name)).collect();
    let key = table.key.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
    let from = match after {
        true => {
            let marks: Vec<String> = (1..=table.key.len()).map(|number| format!("${number}")).collect();
            format!("WHERE ({key}) > ({})", marks.join(", "))
        }
        false => String::new(),
    };
    format!("SELECT {} FROM {} {from} ORDER BY {key}", columns.join(", "), table.name)
}

const fn sql_type(kind: CopyKind) -> Type {
    match kind {
        CopyKind::Id | CopyKind::IdOrNil => Type::UUID,
        CopyKind::Number => Type::INT8,
        CopyKind::Flag => Type::BOOL,
        CopyKind::Text => Type::TEXT,
        CopyKind::Bytes => Type::BYTEA,
    }
}

/// Returns a value as a parameter.
fn bound(value: &CopyValue) -> &(dyn ToSql + Sync) {
    match value {
        CopyValue::Null => &None::<bool>,
        CopyValue::Id(id) => id,
        CopyValue::Number(number) => number,
        CopyValue::Flag(flag) => flag,
        CopyValue::Text(text) => text,
        CopyValue::Bytes(bytes) => bytes,
    }
}

fn decode(table: &CopyTable, row: &Row) -> Result<CopyRow, Problem> {
    table.columns.iter().enumerate().map(|(position, column)| decode_value(column, position, row)).collect()
}

fn decode_value(column: &CopyColumn, position: usize, row: &Row) -> Result<CopyValue, Problem> {
    let value = match column.kind {
        CopyKind::Id | CopyKind::IdOrNil => row.try_get::<_, Option<Uuid>>(position)?.map(CopyValue::Id),
        CopyKind::Number => row.try_get::<_, Option<i64>>(position)?.map(CopyValue::Number),
        CopyKind::Flag => row.try_get::<_, Option<bool>>(position)?.map(CopyValue::Flag),
        CopyKind::Text => row.try_get::<_, Option<String>>(position)?.map(CopyValue::Text),
        CopyKind::Bytes => row.try_get::<_, Option<Vec<u8>>>(position)?.map(CopyValue::Bytes),
    };
    Ok(value.unwrap_or(CopyValue::Null))
}

/// Appends a row and perhaps one more value in the binary format of COPY: the number of columns, then each with its length.
fn encode(row: &CopyRow, more: Option<&CopyValue>, into: &mut BytesMut) -> Result<(), Problem> {
    into.put_i16(i16::try_from(row.len() + usize::from(more.is_some()))?);
    for value in row.iter().chain(more) {
        match value {
            CopyValue::Null => into.put_i32(-1),
            CopyValue::Id(id) => put(id.as_bytes(), into)?,
            CopyValue::Number(number) => put(&number.to_be_bytes(), into)?,
            CopyValue::Flag(flag) => put(&[u8::from(*flag)], into)?,
            CopyValue::Text(text) => put(text.as_bytes(), into)?,
            CopyValue::Bytes(bytes) => put(bytes, into)?,
        }
    }
    Ok(())
}

fn put(bytes: &[u8], into: &mut BytesMut) -> Result<(), Problem> {
    into.put_i32(i32::try_from(bytes.len())?);
    into.put_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::store::postgres::tests::server::TestDatabase;

    /// Tables whose rows are not copied: they follow from others, are about the database itself, or the progress of readers, which is copied in
    /// another form.
    const OTHERS: [&str; 11] = [
        "audit_position",
        "catalog_lock",
        "copy_state",
        "feed_consumer",
        "feed_removed",
        "feed_state",
        "organisation_state",
        "report_bytes",
        "schema_history",
        "server_state",
        "task_claim",
    ];

    /// Columns that are not copied: they start anew with the servers of the target.
    const NEW: [(&str, &str); 3] = [("principal", "generation"), ("event", "position"), ("audit", "position")];

    #[tokio::test]
    async fn every_table_and_column_is_copied() {
        let database = TestDatabase::create().await;
        let copy = PostgresCopy::open(&PostgresSettings::new(Secret::new(database.url())), false).await.unwrap();
        let sql = "SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns
                   WHERE table_schema = current_schema() AND is_generated = 'NEVER'";
        let rows = copy.writer.lock().await.query(sql, &[]).await.unwrap();
        let mut found: BTreeSet<(String, String, String)> =
            rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        found.retain(|(table, column, _)| {
            !OTHERS.contains(&table.as_str()) && !NEW.contains(&(table.as_str(), column.as_str()))
        });
        let copied = COPY_TABLES.iter().flat_map(|table| {
            let stored =
                |column: &CopyColumn| sql_type(column.kind).name().replace("int8", "bigint").replace("bool", "boolean");
            table.columns.iter().map(move |column| (table.name.to_owned(), column.name.to_owned(), stored(column)))
        });
        assert_eq!(copied.collect::<BTreeSet<_>>(), found, "change COPY_TABLES with the schema");
    }

    #[test]
    fn shown_url_has_no_password() {
        assert_eq!(shown("postgres://me:secret@db:6432/tide"), "postgres://me@db:6432/tide");
        assert_eq!(shown("postgres://db/tide?user=me&password=secret"), "postgres://db/tide?user=me");
    }
}
