//! Reads of pointers by name that share a statement.
//!
//! A read alone is sent at once. Reads of an organisation that arrive while [`AT_ONCE`] of its statements have no answer wait, and the next
//! statement sends them together. So each read begins after its request did, and sees every change that was acknowledged before.

use std::pin::pin;

use tidewater_core::ids::OrganisationId;
use tidewater_core::name::TableIdent;
use tokio::sync::oneshot;
use tokio::{runtime, time};

use super::PostgresStore;
use super::convert::get;
use super::digests::namespace_digest;
use super::params::params;
use super::table_rows::{GET, record_at};
use super::waiting_reads::{Answer, Waiting};
use crate::store::{Result, StoreError, TableRecord, WarehouseRef};

/// The most statements of an organisation's reads without an answer. With fewer, a read waits longer for its turn; with more, fewer reads
/// share a statement.
pub(super) const AT_ONCE: usize = 2;

/// The most reads of one statement: enough to save most of a statement's cost, and few enough that it stays quick.
pub(super) const MOST_READS: usize = 64;

/// The most bytes of the names of one statement. A single read may have more.
const MOST_BYTES: usize = 64 << 10;

/// Reads the tables and views with these names in these warehouses, in their order: one step in the index for each. `LIMIT` keeps it so:
/// without it, the database may read all tables of the organisation instead.
pub(super) const GET_TOGETHER: &str =
    "SELECT state.generation, found.id, found.kind, found.metadata_location, found.owner, found.labels
    FROM organisation_state AS state
    CROSS JOIN unnest($2::uuid[], $3::text[], $4::text[], $5::bytea[])
               WITH ORDINALITY AS wanted (warehouse, namespace, name, digest, number)
    LEFT JOIN LATERAL
        (SELECT id, kind, metadata_location, owner, labels FROM tabular
         WHERE organisation = $1 AND warehouse = wanted.warehouse AND namespace_digest = wanted.digest
               AND namespace = wanted.namespace AND name = wanted.name
         LIMIT 1) AS found ON true
    WHERE state.organisation = $1 ORDER BY wanted.number";

/// The right to send a statement. Its end gives the turn to the reads that wait.
struct Sending {
    store: PostgresStore,
    organisation: OrganisationId,
}

/// How a read begins.
enum Begun {
    Alone(Sending),
    Waits(oneshot::Receiver<Answer>),
}

impl PostgresStore {
    /// Reads the table or view with the name.
    pub(super) async fn get_by_name(
        &self,
        warehouse_ref: WarehouseRef,
        ident: &TableIdent,
    ) -> Result<Option<TableRecord>> {
        match self.begin_read(warehouse_ref, ident) {
            Begun::Alone(turn) => turn.during(self.get_alone(warehouse_ref, ident)).await,
            Begun::Waits(answer) => match answer.await {
                Ok(answer) => answer,
                // The runtime that was to send the statement has ended.
                Err(_) => self.get_alone(warehouse_ref, ident).await,
            },
        }
    }

    fn begin_read(&self, warehouse_ref: WarehouseRef, ident: &TableIdent) -> Begun {
        let organisation = warehouse_ref.organisation;
        let mut organisations = self.together.organisations.lock();
        let reads = organisations.entry(organisation).or_default();
        if reads.sent < AT_ONCE {
            reads.sent += 1;
            return Begun::Alone(Sending { store: self.clone(), organisation });
        }
        let (gives, waits) = oneshot::channel();
        reads.waiting.push_back(Waiting { warehouse: warehouse_ref.warehouse.0, ident: ident.clone(), gives });
        Begun::Waits(waits)
    }

    async fn get_alone(&self, warehouse_ref: WarehouseRef, ident: &TableIdent) -> Result<Option<TableRecord>> {
        let row = self
            .read_first(
                GET,
                params![
                    warehouse_ref.organisation.0,
                    warehouse_ref.warehouse.0,
                    ident.namespace.as_key(),
                    ident.name(),
                    namespace_digest(&ident.namespace)
                ],
            )
            .await?;
        self.record_seen(warehouse_ref.organisation, row.as_ref()).await
    }

    /// Prepares the statements of reads on all shared connections. A lock of the table would stop that, not only the reads.
    #[cfg(test)]
    pub(super) async fn prepare_reads(&self, warehouse_ref: WarehouseRef, ident: &TableIdent) {
        let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
        let (namespace, digest) = (ident.namespace.as_key(), namespace_digest(&ident.namespace));
        self.pool.prepare_on_shared(GET, params![organisation, warehouse, namespace, ident.name(), digest]).await;
        let (warehouses, namespaces) = (vec![warehouse], vec![namespace]);
        let (names, digests) = (vec![ident.name()], vec![digest]);
        let values = params![organisation, warehouses, namespaces, names, digests];
        self.pool.prepare_on_shared(GET_TOGETHER, values).await;
    }

    /// Reads the tables and views of several reads, in their order.
    async fn get_together(&self, organisation: OrganisationId, reads: &[Waiting]) -> Result<Vec<Answer>> {
        let warehouses: Vec<_> = reads.iter().map(|read| read.warehouse).collect();
        let namespaces: Vec<_> = reads.iter().map(|read| read.ident.namespace.as_key()).collect();
        let names: Vec<_> = reads.iter().map(|read| read.ident.name()).collect();
        let digests: Vec<_> = reads.iter().map(|read| namespace_digest(&read.ident.namespace)).collect();
        let values = params![organisation.0, warehouses, namespaces, names, digests];
        let rows = self.pool.read_few(GET_TOGETHER, values).await?;
        self.seen(organisation, rows.first().map(|row| get(row, 0)).transpose()?).await?;
        match rows.len() {
            // The organisation does not exist.
            0 => Ok(reads.iter().map(|_| Ok(None)).collect()),
            count if count == reads.len() => Ok(rows.iter().map(|row| record_at(row, 1)).collect()),
            count => Err(StoreError::Corrupt(format!("{} reads of pointers gave {count} rows", reads.len()))),
        }
    }
}

/// Returns the error of a read for each of its callers.
fn shared(error: &StoreError) -> StoreError {
    match error {
        StoreError::Corrupt(text) => StoreError::Corrupt(text.clone()),
        StoreError::Unavailable(cause) => StoreError::Unavailable(cause.to_string().into()),
        other => StoreError::Unavailable(other.to_string().into()),
    }
}

impl Sending {
    /// Takes the reads of the next statement. If none waits, the turn ends.
    fn next(&self) -> Vec<Waiting> {
        let mut organisations = self.store.together.organisations.lock();
        let Some(reads) = organisations.get_mut(&self.organisation) else { return Vec::new() };
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(read) = reads.waiting.pop_front() {
            if read.gives.is_closed() {
                continue;
            }
            bytes += read.bytes();
            if taken.len() == MOST_READS || (bytes > MOST_BYTES && !taken.is_empty()) {
                reads.waiting.push_front(read);
                break;
            }
            taken.push(read);
        }
        if taken.is_empty() {
            reads.sent -= 1;
            if reads.sent == 0 {
                organisations.remove(&self.organisation);
            }
        }
        taken
    }

    /// Ends the turn when the read has ended, or is slow.
    async fn during<T>(self, read: impl Future<Output = T>) -> T {
        let mut read = pin!(read);
        let done = time::timeout(self.store.together.slow, &mut read).await;
        drop(self);
        match done {
            Ok(done) => done,
            Err(_) => read.await,
        }
    }

    /// Sends the reads as one statement. It has a task of its own, so that a caller who leaves does not disturb the others.
    async fn send(self, reads: Vec<Waiting>) {
        let (store, organisation) = (self.store.clone(), self.organisation);
        let answers = self.during(store.get_together(organisation, &reads)).await;
        let answers = answers.unwrap_or_else(|error| reads.iter().map(|_| Err(shared(&error))).collect());
        for (read, answer) in reads.into_iter().zip(answers) {
            // A caller who left needs no answer.
            let _ = read.gives.send(answer);
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let reads = self.next();
        if reads.is_empty() {
            return;
        }
        let next = Self { store: self.store.clone(), organisation: self.organisation };
        if let Ok(runtime) = runtime::Handle::try_current() {
            runtime.spawn(next.send(reads));
        }
        // Without a runtime, the callers of these reads send them themselves.
    }
}
