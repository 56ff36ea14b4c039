//! The embedded store: one SQLite file, nothing else to install.
//!
//! Writes are durable when they are answered (`synchronous=FULL`) and share commits (`writer.rs`); reads run beside them
//! (`readers.rs`). Other processes, such as the command line beside a server, may use the same file at the same time.

mod anchor;
mod convert;
mod dropped;
mod namespaces;
mod open;
mod readers;
mod receipts;
mod reports;
mod tables;
mod tenants;
#[cfg(test)]
mod tests;
mod transact;
mod usage;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;

use async_trait::async_trait;
use rusqlite::Connection;
use tidewater_core::ids::{KeyId, OrganisationId, TableId};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use uuid::Uuid;

use self::anchor::Anchor;
use self::convert::unavailable;
use self::readers::Readers;
use self::writer::Writer;
use super::{
    Answer, ApiKey, DropTerms, Dropped, DroppedFilter, KeptAnswer, KeptReport, KeyDigest, NewTable, Organisation, Page,
    PageRequest, Place, Pointer, Progress, Properties, PropertyChanges, Receipt, Report, ReportFilter, ReportLimits,
    Result, SigningKey, Store, StoreError, Swap, TableChange, TableKind, TableRecord, TimedPage, UsageTaken, Warehouse,
    WarehouseStorage,
};

pub use self::open::OpenError;
pub use self::writer::WriteCounts;

/// Connections for lists, which may be long and are read on threads that may wait.
const LIST_READERS: usize = 4;

/// The store in one SQLite file.
///
/// Dropping it does what [`SqliteStore::close`] does.
pub struct SqliteStore {
    writer: Arc<Writer>,
    point_readers: Arc<Readers>,
    list_readers: Arc<Readers>,
}

impl SqliteStore {
    /// Opens the database at `path`, making it if there is none, and brings it to this version's schema. Only its owner
    /// can read the file. The folder must exist, on a disk of this machine: SQLite's locks and shared memory do not hold
    /// over a network.
    ///
    /// # Errors
    /// When the file cannot be used, is not a database, or was written by a newer version of the program.
    pub fn open(path: &Path) -> std::result::Result<Self, OpenError> {
        let connection = open::open_writer(path)?;
        let writer = Writer::start(connection, Anchor::new(path))
            .map_err(|source| OpenError::File { path: path.to_owned(), source })?;
        let cores = available_parallelism().map_or(2, std::num::NonZero::get);
        Ok(Self {
            writer: Arc::new(writer),
            point_readers: Arc::new(Readers::new(path.to_owned(), cores)),
            list_readers: Arc::new(Readers::new(path.to_owned(), LIST_READERS)),
        })
    }

    /// Whether [`Self::open`] would bring a database that is at `path` to another schema.
    ///
    /// # Errors
    /// When the file cannot be read, or is not a database.
    pub fn is_older(path: &Path) -> std::result::Result<bool, OpenError> {
        open::is_older(path)
    }

    /// Ends the store: all writes that were asked for are done and answered, then the log is folded back into the file.
    /// Later calls give [`StoreError::Unavailable`].
    pub async fn close(&self) {
        let (writer, point_readers, list_readers) =
            (Arc::clone(&self.writer), Arc::clone(&self.point_readers), Arc::clone(&self.list_readers));
        let closing = tokio::task::spawn_blocking(move || close(&writer, &point_readers, &list_readers));
        // It fails only if the runtime is ending; then dropping the store does the work.
        let _ = closing.await;
    }

    /// How much was written, in how many commits, since it was opened.
    #[must_use]
    pub fn write_counts(&self) -> WriteCounts {
        self.writer.counts()
    }

    async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T> + Send + 'static,
    {
        self.writer.write(work).await
    }

    /// Does `work` and, when it succeeds, keeps what `answer` makes of its result under the receipt's key.
    async fn change<T, F, A>(
        &self,
        organisation: OrganisationId,
        receipt: Option<&Receipt>,
        work: F,
        answer: A,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T> + Send + 'static,
        A: Fn(&T) -> Answer + Send + 'static,
    {
        let Some(receipt) = receipt.cloned() else { return self.write(work).await };
        self.write(move |connection| {
            receipts::check_unused(connection, organisation, &receipt)?;
            let done = work(connection)?;
            receipts::receipt_add(connection, organisation, &receipt, &answer(&done))?;
            Ok(done)
        })
        .await
    }

    /// A read of a few microseconds, where it was asked for.
    fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.point_readers.with(read)
    }

    /// A read that may be long, on a thread that may wait.
    async fn read_many<T, F>(&self, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let readers = Arc::clone(&self.list_readers);
        let reading = tokio::task::spawn_blocking(move || readers.with(read));
        reading.await.unwrap_or_else(|error| Err(StoreError::Unavailable(Box::new(error))))
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        close(&self.writer, &self.point_readers, &self.list_readers);
    }
}

/// The answer to what made or moved a pointer.
fn at(document: Option<&str>) -> Answer {
    document.map_or(Answer::Done, |location| Answer::Document(location.to_owned()))
}

/// Readers first: the last connection to close folds the log back, and only the writer's can.
fn close(writer: &Writer, point_readers: &Readers, list_readers: &Readers) {
    point_readers.close();
    list_readers.close();
    writer.close();
}

#[async_trait]
impl Store for SqliteStore {
    async fn ping(&self) -> Result<()> {
        if !self.writer.is_alive() {
            return Err(unavailable("the store is closed"));
        }
        self.read(|connection| {
            connection.prepare_cached("SELECT 1 FROM organisation LIMIT 1")?.exists([])?;
            Ok(())
        })
    }

    async fn organisation_create(&self, new: &Organisation) -> Result<()> {
        let new = new.clone();
        self.write(move |connection| tenants::organisation_create(connection, &new)).await
    }

    async fn organisation_list(&self) -> Result<Vec<Organisation>> {
        self.read_many(tenants::organisation_list).await
    }

    async fn organisation_by_name(&self, name: &str) -> Result<Option<Organisation>> {
        self.read(|connection| tenants::organisation_by_name(connection, name))
    }

    async fn organisation_set_tier(&self, id: OrganisationId, tier: &str) -> Result<()> {
        let tier = tier.to_owned();
        self.write(move |connection| tenants::organisation_set_tier(connection, id, &tier)).await
    }

    async fn key_create(&self, new: &ApiKey) -> Result<()> {
        let new = new.clone();
        self.write(move |connection| tenants::key_create(connection, &new)).await
    }

    async fn key_list(&self, organisation: OrganisationId) -> Result<Vec<ApiKey>> {
        self.read_many(move |connection| tenants::key_list(connection, organisation)).await
    }

    async fn key_by_digest(&self, digest: &KeyDigest) -> Result<Option<(ApiKey, Organisation)>> {
        self.read(|connection| tenants::key_by_digest(connection, digest))
    }

    async fn key_by_id(&self, id: KeyId) -> Result<Option<(ApiKey, Organisation)>> {
        self.read(|connection| tenants::key_by_id(connection, id))
    }

    async fn key_revoke(&self, organisation: OrganisationId, id: KeyId, now_ms: i64) -> Result<()> {
        self.write(move |connection| tenants::key_revoke(connection, organisation, id, now_ms)).await
    }

    async fn key_touch(&self, last_used_ms: &[(KeyId, i64)]) -> Result<()> {
        let last_used_ms = last_used_ms.to_vec();
        self.write(move |connection| tenants::key_touch(connection, &last_used_ms)).await
    }

    async fn signing_key_list(&self) -> Result<Vec<SigningKey>> {
        self.read_many(tenants::signing_key_list).await
    }

    async fn signing_key_add(&self, new: &SigningKey, only_if_none: bool) -> Result<Vec<SigningKey>> {
        let new = new.clone();
        self.write(move |connection| tenants::signing_key_add(connection, &new, only_if_none)).await
    }

    async fn signing_key_remove_before(&self, created_before_ms: i64) -> Result<u64> {
        self.write(move |connection| tenants::signing_key_remove_before(connection, created_before_ms)).await
    }

    async fn warehouse_create(&self, new: &Warehouse) -> Result<()> {
        let new = new.clone();
        self.write(move |connection| tenants::warehouse_create(connection, &new)).await
    }

    async fn warehouse_list(&self, organisation: OrganisationId) -> Result<Vec<Warehouse>> {
        self.read_many(move |connection| tenants::warehouse_list(connection, organisation)).await
    }

    async fn warehouse_set_storage(
        &self,
        organisation: OrganisationId,
        name: &str,
        storage: &WarehouseStorage,
    ) -> Result<()> {
        let (name, storage) = (name.to_owned(), storage.clone());
        self.write(move |connection| tenants::warehouse_set_storage(connection, organisation, &name, &storage)).await
    }

    async fn warehouse_set_default(&self, organisation: OrganisationId, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.write(move |connection| tenants::warehouse_set_default(connection, organisation, &name)).await
    }

    async fn warehouse_drop(&self, organisation: OrganisationId, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.write(move |connection| tenants::warehouse_drop(connection, organisation, &name)).await
    }

    async fn namespace_create(
        &self,
        place: Place,
        namespace: &NamespaceIdent,
        properties: &Properties,
        receipt: Option<&Receipt>,
    ) -> Result<()> {
        let (namespace, properties) = (namespace.clone(), properties.clone());
        let work =
            move |connection: &Connection| namespaces::namespace_create(connection, place, &namespace, &properties);
        self.change(place.organisation, receipt, work, |()| Answer::Done).await
    }

    async fn namespace_get(&self, place: Place, namespace: &NamespaceIdent) -> Result<Option<Properties>> {
        self.read(|connection| namespaces::namespace_get(connection, place, namespace))
    }

    async fn namespace_list(
        &self,
        place: Place,
        parent: Option<&NamespaceIdent>,
        page: &PageRequest,
    ) -> Result<Page<NamespaceIdent>> {
        let (parent, page) = (parent.cloned(), page.clone());
        self.read_many(move |connection| namespaces::namespace_list(connection, place, parent.as_ref(), &page)).await
    }

    async fn namespace_update_properties(
        &self,
        place: Place,
        namespace: &NamespaceIdent,
        updates: &Properties,
        removals: &[String],
        receipt: Option<&Receipt>,
    ) -> Result<PropertyChanges> {
        let (namespace, updates, removals) = (namespace.clone(), updates.clone(), removals.to_vec());
        let work = move |connection: &Connection| {
            namespaces::namespace_update_properties(connection, place, &namespace, &updates, &removals)
        };
        self.change(place.organisation, receipt, work, |changes| Answer::Properties(changes.clone())).await
    }

    async fn namespace_drop(&self, place: Place, namespace: &NamespaceIdent, receipt: Option<&Receipt>) -> Result<()> {
        let namespace = namespace.clone();
        let work = move |connection: &Connection| namespaces::namespace_drop(connection, place, &namespace);
        self.change(place.organisation, receipt, work, |()| Answer::Done).await
    }

    async fn table_create(
        &self,
        place: Place,
        new: &NewTable<'_>,
        max_tables: Option<u64>,
        receipt: Option<&Receipt>,
    ) -> Result<()> {
        let NewTable { id, kind, takes_over, now_ms, .. } = *new;
        let ident = new.ident.clone();
        let (metadata_location, location) = (new.metadata_location.to_owned(), new.location.to_owned());
        let document = receipt.map(|_| metadata_location.clone());
        let work = move |connection: &Connection| {
            let new = NewTable {
                id,
                ident: &ident,
                kind,
                metadata_location: &metadata_location,
                location: &location,
                takes_over,
                now_ms,
            };
            tables::table_create(connection, place, &new, max_tables)
        };
        self.change(place.organisation, receipt, work, move |()| at(document.as_deref())).await
    }

    async fn table_get(&self, place: Place, ident: &TableIdent) -> Result<Option<TableRecord>> {
        self.read(|connection| tables::table_get(connection, place, ident))
    }

    async fn table_list(
        &self,
        place: Place,
        namespace: &NamespaceIdent,
        kind: TableKind,
        page: &PageRequest,
    ) -> Result<Page<String>> {
        let (namespace, page) = (namespace.clone(), page.clone());
        self.read_many(move |connection| tables::table_list(connection, place, &namespace, kind, &page)).await
    }

    async fn table_swap(&self, place: Place, swap: &Swap<'_>, receipt: Option<&Receipt>) -> Result<()> {
        let (id, takes_over, now_ms) = (swap.id, swap.takes_over, swap.now_ms);
        let [expected, new, location] = [swap.expected, swap.new, swap.location].map(str::to_owned);
        let document = receipt.map(|_| new.clone());
        let work = move |connection: &Connection| {
            let swap = Swap { id, expected: &expected, new: &new, location: &location, takes_over, now_ms };
            tables::table_swap(connection, place, &swap)
        };
        self.change(place.organisation, receipt, work, move |()| at(document.as_deref())).await
    }

    async fn table_transact(
        &self,
        place: Place,
        changes: Vec<TableChange>,
        max_tables: Option<u64>,
        receipt: Option<&Receipt>,
    ) -> Result<()> {
        let work = move |connection: &Connection| transact::table_transact(connection, place, &changes, max_tables);
        self.change(place.organisation, receipt, work, |()| Answer::Done).await
    }

    async fn table_drop(
        &self,
        place: Place,
        ident: &TableIdent,
        kind: TableKind,
        terms: Option<&DropTerms>,
        receipt: Option<&Receipt>,
    ) -> Result<TableRecord> {
        let (ident, terms) = (ident.clone(), terms.copied());
        let work = move |connection: &Connection| tables::table_drop(connection, place, &ident, kind, terms.as_ref());
        self.change(place.organisation, receipt, work, |dropped| at(Some(&dropped.metadata_location))).await
    }

    async fn table_rename(
        &self,
        place: Place,
        from: &TableIdent,
        to: &TableIdent,
        kind: TableKind,
        receipt: Option<&Receipt>,
    ) -> Result<()> {
        let (from, to) = (from.clone(), to.clone());
        let work = move |connection: &Connection| tables::table_rename(connection, place, &from, &to, kind);
        self.change(place.organisation, receipt, work, |()| Answer::Done).await
    }

    async fn dropped_list(&self, place: Place, filter: &DroppedFilter, page: &TimedPage) -> Result<Page<Dropped>> {
        let (filter, page) = (filter.clone(), *page);
        self.read_many(move |connection| dropped::dropped_list(connection, place, &filter, &page)).await
    }

    async fn dropped_get(&self, place: Place, id: TableId) -> Result<Option<Dropped>> {
        self.read(|connection| dropped::dropped_get(connection, place, id))
    }

    async fn dropped_restore(
        &self,
        place: Place,
        id: TableId,
        ident: &TableIdent,
        now_ms: i64,
        max_tables: Option<u64>,
        receipt: Option<&Receipt>,
    ) -> Result<()> {
        let ident = ident.clone();
        let work =
            move |connection: &Connection| dropped::dropped_restore(connection, place, id, &ident, now_ms, max_tables);
        self.change(place.organisation, receipt, work, |()| Answer::Done).await
    }

    async fn dropped_remove(
        &self,
        place: Place,
        id: TableId,
        purge: Option<bool>,
        now_ms: i64,
        receipt: Option<&Receipt>,
    ) -> Result<bool> {
        let work = move |connection: &Connection| dropped::dropped_remove(connection, place, id, purge, now_ms);
        self.change(place.organisation, receipt, work, |_| Answer::Done).await
    }

    async fn dropped_forget_due(&self, now_ms: i64, at_most: u32) -> Result<u64> {
        self.write(move |connection| dropped::dropped_forget_due(connection, now_ms, at_most)).await
    }

    async fn dropped_claim(&self, now_ms: i64, until_ms: i64, at_most: u32) -> Result<Vec<Dropped>> {
        self.write(move |connection| dropped::dropped_claim(connection, now_ms, until_ms, at_most)).await
    }

    async fn dropped_progress(
        &self,
        organisation: OrganisationId,
        id: TableId,
        attempt: u32,
        progress: &Progress,
    ) -> Result<bool> {
        let progress = progress.clone();
        self.write(move |connection| dropped::dropped_progress(connection, organisation, id, attempt, &progress)).await
    }

    async fn pointer_list(&self, place: Place, after: Option<TableId>, at_most: u32) -> Result<Vec<Pointer>> {
        self.read_many(move |connection| dropped::pointer_list(connection, place, after, at_most)).await
    }

    async fn report_add(&self, reports: &[Report], limits: ReportLimits) -> Result<()> {
        let reports = reports.to_vec();
        self.write(move |connection| reports::report_add(connection, &reports, limits)).await
    }

    async fn report_list(&self, place: Place, filter: &ReportFilter, page: &TimedPage) -> Result<Page<KeptReport>> {
        let (filter, page) = (filter.clone(), *page);
        self.read_many(move |connection| reports::report_list(connection, place, &filter, &page)).await
    }

    async fn report_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64> {
        self.write(move |connection| reports::report_remove_before(connection, before_ms, at_most)).await
    }

    async fn receipt_get(&self, organisation: OrganisationId, key: Uuid, now_ms: i64) -> Result<Option<KeptAnswer>> {
        self.read(|connection| receipts::receipt_get(connection, organisation, key, now_ms))
    }

    async fn receipt_add(&self, organisation: OrganisationId, receipt: &Receipt, answer: &Answer) -> Result<()> {
        let (receipt, answer) = (receipt.clone(), answer.clone());
        self.write(move |connection| receipts::receipt_add(connection, organisation, &receipt, &answer)).await
    }

    async fn receipt_remove_expired(&self, now_ms: i64, at_most: u32) -> Result<u64> {
        self.write(move |connection| receipts::receipt_remove_expired(connection, now_ms, at_most)).await
    }

    async fn table_count(&self, organisation: OrganisationId) -> Result<u64> {
        self.read_many(move |connection| tables::table_count(connection, organisation)).await
    }

    async fn usage_take(
        &self,
        organisation: OrganisationId,
        day: i64,
        wanted: u64,
        limit: Option<u64>,
    ) -> Result<UsageTaken> {
        self.write(move |connection| usage::usage_take(connection, organisation, day, wanted, limit)).await
    }

    async fn usage_give_back(&self, organisation: OrganisationId, day: i64, unspent: u64) -> Result<()> {
        self.write(move |connection| usage::usage_give_back(connection, organisation, day, unspent)).await
    }

    async fn usage_get(&self, organisation: OrganisationId, day: i64) -> Result<u64> {
        self.read(|connection| usage::usage_get(connection, organisation, day))
    }
}
