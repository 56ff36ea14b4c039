//! Events of a warehouse for its clients: pages in the order of the feed, with what the caller may see.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tidewater_core::ids::{PrincipalId, TableId};
use uuid::Uuid;

use super::{Catalog, CatalogError};
use crate::access::action::{LoadNamespace, LoadTable, LoadView, ManageAccess, On, ReadEvents};
use crate::access::{Authorizer, Namespace, Permit, Principal, Table, View, Warehouse};
use crate::store::{Event, FeedEvent, FeedPage, FeedScope, ObjectKind, ObjectName, Operation, TableKind, TableRecord};
use crate::warehouse::OpenWarehouse;

/// How many events one read of the store returns, and the most reads for one page.
const CHUNK: u32 = 2_000;
const MOST_CHUNKS: usize = 5;

/// The most tables and views that are looked up for one page.
const MOST_LOOKUPS: usize = 200;

/// The span of positions in which the first event since a time is looked for one by one.
const NEAR: i64 = 1_000;

/// The largest difference between the clocks of servers that write events.
const CLOCK_SKEW_MS: i64 = 600_000;

/// A place in the events of a warehouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventCursor {
    /// All events up to this position were looked at.
    pub position: i64,
    /// The position from which the events of the last request are counted.
    pub counted_from: i64,
}

/// Which events are wanted. An event has to match every field that is set.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Only events after this place; all that are stored without it.
    pub after: Option<EventCursor>,
    /// The most events of the page.
    pub limit: usize,
    /// Only events at this time or later, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Only events of these operations, as clients name them.
    pub operations: Option<Vec<String>>,
    /// Only events about objects whose name begins with the levels of one of these, before or after the change.
    pub names: Option<Vec<Vec<String>>>,
    /// Only events about these tables and views, by their id in the metadata or in the catalog.
    pub ids: Option<Vec<Uuid>>,
    /// Only events about objects of these kinds.
    pub kinds: Option<Vec<ObjectKind>>,
}

/// An event that the caller may see.
#[derive(Debug)]
pub struct PulledEvent {
    /// The event.
    pub event: Event,
    /// The name of its object before the change.
    pub name: ObjectName,
    /// The new name, after a rename or a restore.
    pub new_name: Option<ObjectName>,
    /// The id of the table or view in its metadata. Without metadata, the id in the catalog.
    pub uuid: Option<Uuid>,
    /// The number of events of its request.
    pub of_request: usize,
}

/// A page of events. It may have few or none although more follow.
#[derive(Debug)]
pub struct PulledPage {
    /// The events.
    pub events: Vec<PulledEvent>,
    /// The place after them.
    pub next: EventCursor,
}

impl Catalog {
    /// Reads events of a warehouse about namespaces, tables and views that the caller may load by the names that they had, oldest first.
    /// `name_of` is how clients name an operation.
    ///
    /// # Errors
    /// `EventsRemoved` if events after the place were removed; `Store`.
    pub async fn event_pull(
        &self,
        warehouse: &Permit<ReadEvents, Warehouse>,
        query: &EventQuery,
        name_of: fn(&Event) -> String,
    ) -> Result<PulledPage, CatalogError> {
        let scope = FeedScope::Organisation(warehouse.0.warehouse_ref.organisation);
        let mut next = match query.after {
            Some(after) => after,
            None => self.first_cursor(scope, query.since_ms).await?,
        };
        let mut reader = EventReader::new(self, warehouse, query, name_of);
        for _ in 0..MOST_CHUNKS {
            let page = self.store.feed_read(scope, next.counted_from, CHUNK).await.map_err(CatalogError::Store)?;
            if query.after.is_some() && page.bounds.removed > next.position {
                return Err(CatalogError::EventsRemoved);
            }
            let is_last = page.events.len() < CHUNK as usize;
            let is_over = reader.read(page, is_last, &mut next).await?;
            if is_last || is_over {
                break;
            }
        }
        Ok(PulledPage { events: reader.found, next })
    }

    /// Returns the place before the first event since a time.
    async fn first_cursor(&self, scope: FeedScope, since_ms: Option<i64>) -> Result<EventCursor, CatalogError> {
        let bounds = self.store.feed_bounds(scope).await.map_err(CatalogError::Store)?;
        let (mut low, mut high) = (bounds.removed, bounds.latest);
        let since_ms = since_ms.unwrap_or(i64::MIN).saturating_sub(CLOCK_SKEW_MS);
        while since_ms > 0 && high.saturating_sub(low) > NEAR {
            let middle = low + (high - low) / 2;
            let page = self.store.feed_read(scope, middle, 1).await.map_err(CatalogError::Store)?;
            match page.events.first() {
                Some(entry) if entry.event.at_ms < since_ms => low = entry.position.min(high),
                _ => high = middle,
            }
        }
        Ok(EventCursor { position: low, counted_from: low })
    }
}

/// Collects the events of one page.
struct EventReader<'a> {
    catalog: &'a Catalog,
    warehouse: &'a Arc<OpenWarehouse>,
    query: &'a EventQuery,
    operations: Option<HashSet<&'a str>>,
    names: Option<HashSet<&'a [String]>>,
    ids: Option<HashSet<Uuid>>,
    name_of: fn(&Event) -> String,
    principal: &'a Principal,
    known: HashMap<TableId, Known>,
    found: Vec<PulledEvent>,
}

/// What the catalog has of a table or view now.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    owner: Option<PrincipalId>,
    uuid: Option<Uuid>,
}

impl<'a> EventReader<'a> {
    fn new(
        catalog: &'a Catalog,
        warehouse: &'a Permit<ReadEvents, Warehouse>,
        query: &'a EventQuery,
        name_of: fn(&Event) -> String,
    ) -> Self {
        Self {
            catalog,
            warehouse: &warehouse.0,
            query,
            operations: query.operations.as_ref().map(|all| all.iter().map(String::as_str).collect()),
            names: query.names.as_ref().map(|all| all.iter().map(Vec::as_slice).collect()),
            ids: query.ids.as_ref().map(|all| all.iter().copied().collect()),
            name_of,
            principal: warehouse.principal(),
            known: HashMap::new(),
            found: Vec::new(),
        }
    }

    /// Takes the events of a chunk that match. Returns whether the page ends in it.
    async fn read(&mut self, page: FeedPage, is_last: bool, next: &mut EventCursor) -> Result<bool, CatalogError> {
        let requests = Requests::of(&page.events);
        let last = page.events.last().and_then(|entry| entry.event.request_id.clone()).filter(|_| !is_last);
        let mut is_first = true;
        for FeedEvent { position, event } in page.events {
            if position <= next.position {
                continue;
            }
            // The chunk may have a part of the events of its last request. They are counted in the next one.
            if !is_first && last.is_some() && event.request_id == last {
                return Ok(false);
            }
            is_first = false;
            let (of_request, counted_from) = requests.place(&event, position);
            if self.known.len() >= MOST_LOOKUPS {
                return Ok(true);
            }
            if let Some(pulled) = self.pulled(event, of_request).await? {
                self.found.push(pulled);
            }
            *next = EventCursor { position, counted_from };
            if self.found.len() >= self.query.limit {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns an event as the caller gets it. `None` if it is not wanted, or the caller may not see it.
    async fn pulled(&mut self, event: Event, of_request: usize) -> Result<Option<PulledEvent>, CatalogError> {
        let EventQuery { since_ms, kinds, .. } = self.query;
        let is_wanted = event.warehouse == Some(self.warehouse.warehouse_ref.warehouse)
            && since_ms.is_none_or(|since_ms| event.at_ms >= since_ms)
            && kinds.as_ref().is_none_or(|kinds| kinds.contains(&event.object.kind));
        if !is_wanted {
            return Ok(None);
        }
        if self.operations.as_ref().is_some_and(|wanted| !wanted.contains((self.name_of)(&event).as_str())) {
            return Ok(None);
        }
        let Some((name, new_name)) = event.object_names() else { return Ok(None) };
        let begins = |name: &ObjectName| self.names.as_ref().is_none_or(|wanted| name.begins_with_any(wanted));
        if !begins(&name) && !new_name.as_ref().is_some_and(begins) {
            return Ok(None);
        }
        let mut uuid = None;
        if let Some(id) = event.object.id.filter(|_| name.is_tabular()) {
            let known = self.known(TableId(id), event.object.kind).await?;
            uuid = Some(known.uuid.unwrap_or(id));
            let is_id =
                |wanted: &HashSet<Uuid>| wanted.contains(&id) || uuid.is_some_and(|uuid| wanted.contains(&uuid));
            let is_wanted = self.ids.as_ref().is_none_or(is_id);
            if !is_wanted
                || ![Some(&name), new_name.as_ref()].into_iter().flatten().all(|name| self.sees(name, id, known))
                || !self.may_know_of(event.operation, &name, id, known)
            {
                return Ok(None);
            }
        } else if self.ids.is_some() || !self.sees_namespace(&name) {
            return Ok(None);
        }
        Ok(Some(PulledEvent { event, name, new_name, uuid, of_request }))
    }

    /// Returns whether the caller may load a table or view of this name.
    fn sees(&self, name: &ObjectName, id: Uuid, Known { owner, .. }: Known) -> bool {
        let record =
            |kind| TableRecord { id: TableId(id), kind, metadata_location: String::new(), owner, labels: None };
        let warehouse = || Arc::clone(self.warehouse);
        match name {
            ObjectName::Table(ident) => {
                let record = record(TableKind::Table);
                self.may::<LoadTable, _>(Table { warehouse: warehouse(), ident: ident.clone(), record })
            }
            ObjectName::View(ident) => {
                let record = record(TableKind::View);
                self.may::<LoadView, _>(View { warehouse: warehouse(), ident: ident.clone(), record })
            }
            ObjectName::Namespace(_) => false,
        }
    }

    /// Returns whether the caller may know that an operation was done to a table that it may load. A restriction has values of rows, which those
    /// whom it restricts may not know.
    fn may_know_of(&self, operation: Operation, name: &ObjectName, id: Uuid, Known { owner, .. }: Known) -> bool {
        let ObjectName::Table(ident) = name else { return true };
        if !matches!(operation, Operation::SetRestriction | Operation::RemoveRestriction) {
            return true;
        }
        let metadata_location = String::new();
        let record = TableRecord { id: TableId(id), kind: TableKind::Table, metadata_location, owner, labels: None };
        self.may::<ManageAccess, _>(Table { warehouse: Arc::clone(self.warehouse), ident: ident.clone(), record })
    }

    fn sees_namespace(&self, name: &ObjectName) -> bool {
        let ObjectName::Namespace(ident) = name else { return false };
        let namespace = Namespace { warehouse: Arc::clone(self.warehouse), ident: ident.clone() };
        self.may::<LoadNamespace, _>(namespace)
    }

    fn may<A: On<O>, O: crate::access::Object>(&self, object: O) -> bool {
        Authorizer::<A>::new(self.principal.clone()).and_then(|authorizer| authorizer.permit(object)).is_ok()
    }

    /// Looks a table or view up, once for a page: among the present ones, then among the dropped ones.
    async fn known(&mut self, id: TableId, kind: ObjectKind) -> Result<Known, CatalogError> {
        if let Some(known) = self.known.get(&id) {
            return Ok(*known);
        }
        let (store, warehouse_ref) = (&self.catalog.store, self.warehouse.warehouse_ref);
        let present = store.table_by_id(warehouse_ref, id).await.map_err(CatalogError::Store)?;
        let found = match present {
            Some(record) => Some((record.owner, record.metadata_location)),
            None => {
                let dropped = store.dropped_get(warehouse_ref, id).await.map_err(CatalogError::Store)?;
                dropped.map(|dropped| (dropped.owner, dropped.metadata_location))
            }
        };
        let known = match found {
            Some((owner, location)) => Known { owner, uuid: self.uuid(&location, kind).await },
            None => Known::default(),
        };
        self.known.insert(id, known);
        Ok(known)
    }

    /// Returns the id in a document. `None` if it cannot be read.
    async fn uuid(&self, location: &str, kind: ObjectKind) -> Option<Uuid> {
        let (documents, storage) = (&self.catalog.documents, &self.warehouse.storage);
        let text = match kind {
            ObjectKind::View => documents.get_view(storage, location).await.ok()?.metadata.uuid().to_owned(),
            _ => documents.get(storage, location).await.ok()?.metadata.uuid()?.to_owned(),
        };
        Uuid::parse_str(&text).ok()
    }
}

/// The requests in a chunk: the number of their events, and the position before the first of them.
struct Requests(HashMap<Arc<str>, (usize, i64)>);

impl Requests {
    fn of(events: &[FeedEvent]) -> Self {
        let mut requests = HashMap::new();
        for FeedEvent { position, event } in events {
            if let Some(request) = &event.request_id {
                requests.entry(Arc::clone(request)).or_insert((0, position - 1)).0 += 1;
            }
        }
        Self(requests)
    }

    /// Returns the number of events of an event's request, and the position from which they are counted again.
    fn place(&self, event: &Event, position: i64) -> (usize, i64) {
        match event.request_id.as_ref().and_then(|request| self.0.get(request)) {
            Some((count, before)) if *count > 1 => (*count, *before),
            _ => (1, position),
        }
    }
}
