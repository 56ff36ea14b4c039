//! The store's methods: each takes what it needs along to where the database is.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;
use tidewater_core::ids::{KeyId, OrganisationId, TableId};
use tidewater_core::location::Location;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::overlap::Locations;
use tidewater_core::request_limits::RequestLimits;
use uuid::Uuid;

use super::convert::unavailable;
use super::namespaces::PropertyChange;
use super::{
    Found, SqliteStore, dropped, events, locations, namespaces, old_documents, receipts, reports, tables, tenants,
    transact, usage,
};
use crate::store::{
    Answer, ApiKey, Change, DropTerms, Dropped, DroppedFilter, EndedDocument, EventFilter, EventPage, KeptAnswer,
    KeptReport, KeyDigest, Learned, NewTable, OldDocument, Organisation, Page, PageRequest, Place, Pointer, Progress,
    Properties, PropertyChanges, Receipt, Report, ReportFilter, ReportLimits, Restore, Result, SigningKey, Store, Swap,
    TableChange, TableKind, TableRecord, TimedPage, Undo, UsageTaken, Warehouse, WarehouseOptions, WarehouseStorage,
};

/// How many point reads are made where they are asked for. More of them go to a thread that may wait.
const READS_IN_PLACE: usize = 16;

/// The answer to what made or moved a pointer.
fn at(document: Option<&str>, id: TableId) -> Answer {
    document.map_or(Answer::Done, |location| Answer::document(location, id))
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

    async fn organisation_create(&self, new: &Organisation, change: &Change) -> Result<()> {
        let (new, change) = (new.clone(), change.clone());
        self.write(move |connection| tenants::organisation_create(connection, &new, &change)).await
    }

    async fn organisation_list(&self) -> Result<Vec<Organisation>> {
        self.read_many(tenants::organisation_list).await
    }

    async fn organisation_by_name(&self, name: &str) -> Result<Option<Organisation>> {
        self.read(|connection| tenants::organisation_by_name(connection, name))
    }

    async fn organisation_set_tier(&self, id: OrganisationId, tier: &str, change: &Change) -> Result<()> {
        let (tier, change) = (tier.to_owned(), change.clone());
        self.write(move |connection| tenants::organisation_set_tier(connection, id, &tier, &change)).await
    }

    async fn key_create(&self, new: &ApiKey, change: &Change) -> Result<()> {
        let (new, change) = (new.clone(), change.clone());
        self.write(move |connection| tenants::key_create(connection, &new, &change)).await
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

    async fn key_revoke(&self, organisation: OrganisationId, id: KeyId, change: &Change) -> Result<()> {
        let change = change.clone();
        self.write(move |connection| tenants::key_revoke(connection, organisation, id, &change)).await
    }

    async fn key_touch(&self, last_used_ms: &[(KeyId, i64)]) -> Result<()> {
        let last_used_ms = last_used_ms.to_vec();
        self.write(move |connection| tenants::key_touch(connection, &last_used_ms)).await
    }

    async fn signing_key_list(&self) -> Result<Vec<SigningKey>> {
        self.read_many(tenants::signing_key_list).await
    }

    async fn signing_key_add(&self, new: &SigningKey, only_if_none: bool, change: &Change) -> Result<Vec<SigningKey>> {
        let (new, change) = (new.clone(), change.clone());
        self.write(move |connection| tenants::signing_key_add(connection, &new, only_if_none, &change)).await
    }

    async fn signing_key_remove_before(&self, created_before_ms: i64, change: &Change) -> Result<u64> {
        let change = change.clone();
        self.write(move |connection| tenants::signing_key_remove_before(connection, created_before_ms, &change)).await
    }

    async fn master_key_get(&self) -> Result<Option<[u8; 16]>> {
        self.read(tenants::master_key_get)
    }

    async fn master_key_set(&self, fingerprint: [u8; 16], only_if_none: bool) -> Result<()> {
        self.write(move |connection| tenants::master_key_set(connection, fingerprint, only_if_none)).await
    }

    async fn warehouse_create(&self, new: &Warehouse, change: &Change) -> Result<()> {
        let (new, change) = (new.clone(), change.clone());
        self.write(move |connection| tenants::warehouse_create(connection, &new, &change)).await
    }

    async fn warehouse_list(&self, organisation: OrganisationId) -> Result<Vec<Warehouse>> {
        self.read_many(move |connection| tenants::warehouse_list(connection, organisation)).await
    }

    async fn warehouse_set_storage(
        &self,
        organisation: OrganisationId,
        name: &str,
        storage: &WarehouseStorage,
        change: &Change,
    ) -> Result<()> {
        let (name, storage, change) = (name.to_owned(), storage.clone(), change.clone());
        self.write(move |connection| tenants::warehouse_set_storage(connection, organisation, &name, &storage, &change))
            .await
    }

    async fn warehouse_set_options(
        &self,
        organisation: OrganisationId,
        name: &str,
        options: &WarehouseOptions,
        change: &Change,
    ) -> Result<()> {
        let (name, options, change) = (name.to_owned(), *options, change.clone());
        self.write(move |connection| tenants::warehouse_set_options(connection, organisation, &name, options, &change))
            .await
    }

    async fn warehouse_set_default(&self, organisation: OrganisationId, name: &str, change: &Change) -> Result<()> {
        let (name, change) = (name.to_owned(), change.clone());
        self.write(move |connection| tenants::warehouse_set_default(connection, organisation, &name, &change)).await
    }

    async fn warehouse_drop(&self, organisation: OrganisationId, name: &str, change: &Change) -> Result<()> {
        let (name, change) = (name.to_owned(), change.clone());
        self.write(move |connection| tenants::warehouse_drop(connection, organisation, &name, &change)).await
    }

    async fn namespace_create(
        &self,
        place: Place,
        namespace: &NamespaceIdent,
        properties: &Properties,
        change: &Change,
    ) -> Result<()> {
        let (namespace, properties) = (namespace.clone(), properties.clone());
        let work = move |connection: &Connection, change: &Change| {
            namespaces::namespace_create(connection, place, &namespace, &properties, change)
        };
        self.change(place.organisation, change, work, |()| Answer::Done).await
    }

    async fn namespace_get(&self, place: Place, namespace: &NamespaceIdent) -> Result<Option<Properties>> {
        let read = || self.read(|connection| namespaces::namespace_get(connection, place, namespace));
        let Some(memory) = &self.memory else { return read() };
        match memory.namespace(place, namespace) {
            Found::Kept(properties) => Ok(properties),
            Found::Missing(stamp) => {
                let properties = read()?;
                memory.keep_namespace(place, namespace, stamp, properties.as_ref());
                Ok(properties)
            }
        }
    }

    async fn namespace_list(
        &self,
        place: Place,
        parent: Option<&NamespaceIdent>,
        page: &PageRequest,
    ) -> Result<Arc<Page<NamespaceIdent>>> {
        let stamp = match self.memory.as_ref().map(|memory| memory.children(place, parent, page)) {
            Some(Found::Kept(page)) => return Ok(page),
            Some(Found::Missing(stamp)) => stamp,
            None => None,
        };
        let (below, request) = (parent.cloned(), page.clone());
        let list =
            move |connection: &Connection| namespaces::namespace_list(connection, place, below.as_ref(), &request);
        let found = Arc::new(self.read_many(list).await?);
        if let Some(memory) = &self.memory {
            memory.keep_children(place, parent, page.clone(), stamp, Arc::clone(&found));
        }
        Ok(found)
    }

    async fn namespace_update_properties(
        &self,
        place: Place,
        namespace: &NamespaceIdent,
        updates: &Properties,
        removals: &[String],
        limits: &RequestLimits,
        change: &Change,
    ) -> Result<PropertyChanges> {
        let properties = PropertyChange {
            namespace: namespace.clone(),
            updates: updates.clone(),
            removals: removals.to_vec(),
            limits: *limits,
        };
        // Worked out before the writer's turn, which then only has to see that nothing else changed them.
        let (properties, prepared) = self
            .read_many(move |connection| {
                let prepared = properties.prepare(connection, place);
                Ok((properties, prepared))
            })
            .await?;
        let prepared = match prepared {
            Ok(prepared) => Some(prepared),
            // Whether the receipt's key was used before comes first, and the writer looks.
            Err(_) if change.receipt.is_some() => None,
            Err(error) => return Err(error),
        };
        let work = move |connection: &Connection, change: &Change| {
            properties.apply(connection, place, prepared.as_ref(), change)
        };
        self.change(place.organisation, change, work, |changes| Answer::Properties(changes.clone())).await
    }

    async fn namespace_drop(&self, place: Place, namespace: &NamespaceIdent, change: &Change) -> Result<()> {
        let namespace = namespace.clone();
        let work = move |connection: &Connection, change: &Change| {
            namespaces::namespace_drop(connection, place, &namespace, change)
        };
        self.change(place.organisation, change, work, |()| Answer::Done).await
    }

    async fn table_create(
        &self,
        place: Place,
        new: &NewTable<'_>,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<()> {
        let NewTable { id, kind, registered, .. } = *new;
        let (ident, details) = (new.ident.clone(), new.details.clone());
        let (metadata_location, locations) = (new.metadata_location.to_owned(), new.locations.clone());
        let document = change.receipt.as_ref().map(|_| metadata_location.clone());
        let work = move |connection: &Connection, change: &Change| {
            let (ident, metadata_location, locations, details) = (&ident, &metadata_location, &locations, &details);
            let new = NewTable { id, ident, kind, metadata_location, locations, registered, details };
            tables::table_create(connection, place, &new, max_tables, change)
        };
        self.change(place.organisation, change, work, move |()| at(document.as_deref(), id)).await
    }

    async fn table_get(&self, place: Place, ident: &TableIdent) -> Result<Option<TableRecord>> {
        let read = || self.read(|connection| tables::table_get(connection, place, ident));
        let Some(memory) = &self.memory else { return read() };
        match memory.table(place, ident) {
            Found::Kept(record) => Ok(record),
            Found::Missing(stamp) => {
                let record = read()?;
                memory.keep_table(place, ident, stamp, record.as_ref());
                Ok(record)
            }
        }
    }

    async fn table_by_id(&self, place: Place, id: TableId) -> Result<Option<TableRecord>> {
        self.read(|connection| tables::table_by_id(connection, place, id))
    }

    async fn table_get_all(&self, place: Place, idents: &[TableIdent]) -> Result<Vec<Option<TableRecord>>> {
        if idents.len() <= READS_IN_PLACE {
            return self.read(|connection| tables::table_get_all(connection, place, idents));
        }
        let idents = idents.to_vec();
        self.read_many(move |connection| tables::table_get_all(connection, place, &idents)).await
    }

    async fn table_list(
        &self,
        place: Place,
        namespace: &NamespaceIdent,
        kind: TableKind,
        page: &PageRequest,
    ) -> Result<Arc<Page<String>>> {
        let stamp = match self.memory.as_ref().map(|memory| memory.tables(place, namespace, kind, page)) {
            Some(Found::Kept(page)) => return Ok(page),
            Some(Found::Missing(stamp)) => stamp,
            None => None,
        };
        let (of, request) = (namespace.clone(), page.clone());
        let list = move |connection: &Connection| tables::table_list(connection, place, &of, kind, &request);
        let found = Arc::new(self.read_many(list).await?);
        if let Some(memory) = &self.memory {
            memory.keep_tables(place, namespace, kind, page.clone(), stamp, Arc::clone(&found));
        }
        Ok(found)
    }

    async fn table_swap(&self, place: Place, swap: &Swap<'_>, change: &Change) -> Result<()> {
        let (id, details) = (swap.id, swap.details.clone());
        let ([expected, new], locations) = ([swap.expected, swap.new].map(str::to_owned), swap.locations.clone());
        let past = swap.past.clone();
        let document = change.receipt.as_ref().map(|_| new.clone());
        let work = move |connection: &Connection, change: &Change| {
            let (expected, new, locations, past, details) = (&expected, &new, &locations, &past, &details);
            tables::table_swap(connection, place, &Swap { id, expected, new, locations, past, details }, change)
        };
        self.change(place.organisation, change, work, move |()| at(document.as_deref(), id)).await
    }

    async fn table_undo(&self, place: Place, undo: &Undo<'_>, change: &Change) -> Result<()> {
        let (id, change) = (undo.id, change.clone());
        let made = undo.made.to_owned();
        let before = undo.before.map(|(pointer, locations)| (pointer.to_owned(), locations.clone()));
        let work = move |connection: &Connection| {
            let before = before.as_ref().map(|(pointer, locations)| (pointer.as_str(), locations));
            tables::table_undo(connection, place, &Undo { id, made: &made, before }, &change)?;
            let receipt = change.receipt.as_deref();
            receipt.map_or(Ok(()), |receipt| receipts::receipt_forget(connection, place.organisation, receipt))
        };
        self.writer.write_for(Some(place.organisation), work).await
    }

    async fn table_transact(
        &self,
        place: Place,
        changes: Vec<TableChange>,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<()> {
        let work = move |connection: &Connection, change: &Change| {
            transact::table_transact(connection, place, &changes, max_tables, change)
        };
        self.change(place.organisation, change, work, |()| Answer::Done).await
    }

    async fn table_drop(
        &self,
        place: Place,
        ident: &TableIdent,
        kind: TableKind,
        terms: Option<&DropTerms>,
        change: &Change,
    ) -> Result<TableRecord> {
        let (ident, terms) = (ident.clone(), terms.copied());
        let work = move |connection: &Connection, change: &Change| {
            tables::table_drop(connection, place, &ident, kind, terms.as_ref(), change)
        };
        self.change(place.organisation, change, work, |dropped| at(Some(&dropped.metadata_location), dropped.id)).await
    }

    async fn table_rename(
        &self,
        place: Place,
        from: &TableIdent,
        to: &TableIdent,
        kind: TableKind,
        change: &Change,
    ) -> Result<()> {
        let (from, to) = (from.clone(), to.clone());
        let work = move |connection: &Connection, change: &Change| {
            tables::table_rename(connection, place, &from, &to, kind, change)
        };
        self.change(place.organisation, change, work, |()| Answer::Done).await
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
        restore: &Restore<'_>,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<()> {
        let (id, ident, locations) = (restore.id, restore.ident.clone(), restore.locations.cloned());
        let work = move |connection: &Connection, change: &Change| {
            let restore = Restore { id, ident: &ident, locations: locations.as_ref() };
            dropped::dropped_restore(connection, place, &restore, max_tables, change)
        };
        self.change(place.organisation, change, work, |()| Answer::Done).await
    }

    async fn dropped_remove(&self, place: Place, id: TableId, purge: Option<bool>, change: &Change) -> Result<bool> {
        let work = move |connection: &Connection, change: &Change| {
            dropped::dropped_remove(connection, place, id, purge, change)
        };
        self.change(place.organisation, change, work, |_| Answer::Done).await
    }

    async fn dropped_forget_due(&self, at_most: u32, change: &Change) -> Result<u64> {
        let change = change.clone();
        self.write(move |connection| dropped::dropped_forget_due(connection, at_most, &change)).await
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
        change: &Change,
    ) -> Result<bool> {
        let (progress, change) = (progress.clone(), change.clone());
        self.write(move |connection| {
            dropped::dropped_progress(connection, organisation, id, attempt, &progress, &change)
        })
        .await
    }

    async fn location_check(&self, place: Place, id: TableId, locations: &Locations) -> Result<()> {
        self.read(|connection| locations::location_check(connection, place, id, locations))
    }

    async fn location_alone(&self, place: Place, id: TableId, locations: &[Location]) -> Result<Vec<Location>> {
        self.read(|connection| locations::location_alone(connection, place, id, locations))
    }

    async fn table_origin(&self, place: Place, id: TableId) -> Result<Option<String>> {
        self.read(|connection| old_documents::table_origin(connection, place, id))
    }

    async fn old_document_claim(
        &self,
        now_ms: i64,
        until_ms: i64,
        organisations: u32,
        of_each: u32,
    ) -> Result<Vec<OldDocument>> {
        let claim = move |connection: &Connection| {
            old_documents::old_document_claim(connection, now_ms, until_ms, organisations, of_each)
        };
        self.write(claim).await
    }

    async fn old_document_end(&self, ended: &[EndedDocument]) -> Result<()> {
        let ended = ended.to_vec();
        self.write(move |connection| old_documents::old_document_end(connection, &ended)).await
    }

    async fn location_unread_places(&self) -> Result<Vec<Place>> {
        self.read_many(locations::location_unread_places).await
    }

    async fn location_unread(
        &self,
        place: Place,
        unreadable: bool,
        after: Option<TableId>,
        at_most: u32,
    ) -> Result<Vec<Pointer>> {
        self.read_many(move |connection| locations::location_unread(connection, place, unreadable, after, at_most))
            .await
    }

    async fn location_learn(&self, place: Place, learned: Vec<Learned>) -> Result<Vec<TableId>> {
        self.write(move |connection| locations::location_learn(connection, place, &learned)).await
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

    async fn receipt_add(
        &self,
        organisation: OrganisationId,
        receipt: &Receipt,
        answer: &Answer,
        now_ms: i64,
    ) -> Result<()> {
        let (receipt, answer) = (receipt.clone(), answer.clone());
        let work =
            move |connection: &Connection| receipts::receipt_add(connection, organisation, &receipt, &answer, now_ms);
        self.writer.write_for(Some(organisation), work).await
    }

    async fn receipt_remove_expired(&self, now_ms: i64, at_most: u32) -> Result<u64> {
        self.write(move |connection| receipts::receipt_remove_expired(connection, now_ms, at_most)).await
    }

    async fn event_list(
        &self,
        organisation: Option<OrganisationId>,
        filter: &EventFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<EventPage> {
        let filter = filter.clone();
        self.read_many(move |connection| events::event_list(connection, organisation, &filter, before, limit)).await
    }

    async fn event_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64> {
        self.write(move |connection| events::event_remove_before(connection, before_ms, at_most)).await
    }

    async fn event_surplus(&self, most: u32) -> Result<Vec<(OrganisationId, i64)>> {
        self.read_many(move |connection| events::event_surplus(connection, most)).await
    }

    async fn event_remove_up_to(&self, organisation: OrganisationId, last: i64, at_most: u32) -> Result<u64> {
        self.write(move |connection| events::event_remove_up_to(connection, organisation, last, at_most)).await
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
