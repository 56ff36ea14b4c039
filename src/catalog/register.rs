//! Tables whose metadata exists: brought into the catalog, or let go of.

use std::sync::Arc;

use tidewater_core::commit::RegisterTable;
use tidewater_core::ids::TableId;
use tidewater_core::location::Location;
use tidewater_core::name::TableIdent;

use super::commit::ATTEMPTS;
use super::error::of_table;
use super::fate::Fate;
use super::{Catalog, CatalogError, LoadedTable, OpenWarehouse};
use crate::access::{Authorizer, Namespace, Permit, Table, action};
use crate::clock::fresh_ordered_uuid;
use crate::deadline;
use crate::locations::Refusals;
use crate::metadata::{Document, Metadata, MetadataError};
use crate::store::{Change, EventDetails, NewTable, Past, Resource, StoreError, Swap, TableKind, TableRecord, Undo};
use crate::vending::{LocationRefused, ValidLocations};

/// A table that is to be registered.
struct Registration<'a> {
    warehouse: &'a Arc<OpenWarehouse>,
    ident: &'a TableIdent,
    /// Its id, if it is added.
    id: TableId,
    loaded: LoadedTable,
    locations: ValidLocations,
    /// Decides whether a table that has the name may be replaced, if that is wanted.
    over: Option<&'a Authorizer<action::CommitTable>>,
    max_tables: Option<u64>,
    change: &'a Change,
}

impl Catalog {
    /// Adds a table whose metadata exists, below the warehouse's root; with `overwrite`, in the place of the table that has
    /// the name. No file is written or removed, whatever becomes of the request.
    ///
    /// # Errors
    /// `NoSuchNamespace`; `TableExists` without `overwrite`, `NameTaken`; `TableLimit`; `LocationTaken`; `BadRequest` when
    /// the file is elsewhere, is not a table's or breaks a rule of the specification; `Metadata` when it is missing;
    /// `CommitFailed`; `CommitStateUnknown`, `RegisteredWithoutFile`. With any other nothing is changed.
    pub async fn table_register(
        self: &Arc<Self>,
        namespace: &Permit<action::RegisterTable, Namespace>,
        request: RegisterTable,
        change: &Change,
    ) -> Result<LoadedTable, CatalogError> {
        let (catalog, warehouse, change) = (Arc::clone(self), Arc::clone(&namespace.warehouse), change.clone());
        let max_tables = namespace.principal().max_tables();
        let ident = TableIdent::new(namespace.ident.clone(), &request.name)?;
        let over = match request.overwrite {
            true => Some(namespace.authorizer().for_action::<action::CommitTable>()?),
            false => None,
        };
        self.to_its_end(async move {
            let id = TableId(fresh_ordered_uuid());
            let vacant = catalog.new_table_location(&warehouse, &ident, id, None).await;
            if !(request.overwrite && matches!(vacant, Err(CatalogError::TableExists(_)))) {
                vacant?;
            }
            let document = catalog.document_to_register(&warehouse, &request.metadata_location).await?;
            let locations = ValidLocations::of(&document.metadata, &warehouse.root)?;
            let loaded = LoadedTable { document, locations: Some(locations.clone()) };
            let (over, change) = (over.as_ref(), &change);
            let registration =
                Registration { warehouse: &warehouse, ident: &ident, id, loaded, locations, over, max_tables, change };
            let before = catalog.pointer_register(&registration).await?;
            // A purge that ended between the read and the change has removed the files. From the change on, none begins.
            if catalog.was_removed_meanwhile(&warehouse, &registration.loaded).await {
                catalog.undo_register(&registration, before.as_ref()).await?;
            }
            Ok(registration.loaded)
        })
        .await
    }

    /// Lets go of a table: it leaves the catalog, and its files stay as they are, for another catalog to register.
    /// Gives it as it stood.
    ///
    /// # Errors
    /// `NoSuchTable`; `Metadata` when its document cannot be read, and then it stays.
    pub async fn table_unregister(
        self: &Arc<Self>,
        table: Permit<action::UnregisterTable, Table>,
        change: &Change,
    ) -> Result<Arc<Document>, CatalogError> {
        let (catalog, change) = (Arc::clone(self), change.clone());
        self.to_its_end(async move {
            let turn = catalog.turn(table.record.id).await?;
            let table = if turn.waited { catalog.table_find_again(&table).await? } else { table };
            let Table { warehouse, ident, record } = &*table;
            let document = catalog.documents.get(&warehouse.storage, &record.metadata_location).await?;
            let dropped = catalog.store.table_drop(warehouse.place, ident, TableKind::Table, None, &change).await;
            let dropped = dropped.map_err(of_table(ident))?;
            if dropped.metadata_location == document.location {
                return Ok(document);
            }
            // A commit of another process came in between.
            Ok(catalog.documents.get(&warehouse.storage, &dropped.metadata_location).await?)
        })
        .await
    }

    /// Reads what is to be registered.
    async fn document_to_register(
        &self,
        warehouse: &OpenWarehouse,
        location: &str,
    ) -> Result<Arc<Document>, CatalogError> {
        let at = Location::parse(location).map_err(LocationRefused::from)?;
        if !warehouse.root.contains(&at) {
            return Err(LocationRefused::outside(location, &warehouse.root).into());
        }
        let found = self.documents.get_anew(&warehouse.storage, location).await;
        let document = found.map_err(unregistrable)?;
        self.check_registrable(warehouse, &document).await?;
        let (bytes, checked) = (document.json.len() as u64, Arc::clone(&document));
        let tolerated = self.work(warehouse, bytes, move || Ok(checked.metadata.tolerated())).await?;
        if let Some(first) = tolerated.first() {
            tracing::warn!(
                location,
                count = tolerated.len(),
                first,
                "a table is registered whose metadata breaks rules of the specification that readers do not insist on"
            );
        }
        Ok(document)
    }

    /// Whether a registered document's file is gone. A storage that does not answer is believed to have it, as it had
    /// a moment ago.
    async fn was_removed_meanwhile(&self, warehouse: &OpenWarehouse, registered: &LoadedTable) -> bool {
        let location = &registered.document.location;
        // It is registered by now: whether the request still has time does not count.
        match deadline::scope(None, self.documents.get_anew(&warehouse.storage, location)).await {
            Err(MetadataError::Missing(_)) => true,
            Ok(_) => false,
            Err(error) => {
                tracing::warn!(location, %error, "whether a registered table's metadata is there still is not known");
                false
            }
        }
    }

    /// Takes back a registration whose file is gone, with its change, in one transaction of the store. What others have made
    /// of the table since counts, and then the registration does, too.
    ///
    /// # Errors
    /// `Metadata` when it is taken back, and nothing is changed; `RegisteredWithoutFile` when that is not certain.
    async fn undo_register(
        &self,
        registration: &Registration<'_>,
        before: Option<&TableRecord>,
    ) -> Result<(), CatalogError> {
        let Registration { warehouse, ident, id, loaded, change, .. } = registration;
        let location = loaded.document.location.clone();
        let undo = async {
            let former = match before {
                Some(before) => Some((before.metadata_location.as_str(), self.locations_of(warehouse, before).await?)),
                None => None,
            };
            let undo = Undo {
                id: before.map_or(*id, |before| before.id),
                made: &location,
                before: former.as_ref().map(|(pointer, locations)| (*pointer, locations.all())),
            };
            let change = &change.at(self.clock.now_ms());
            self.store.table_undo(warehouse.place, &undo, change).await.map_err(CatalogError::Store)
        };
        match undo.await {
            Ok(()) => Err(MetadataError::Missing(location).into()),
            Err(CatalogError::Store(StoreError::PointerMoved | StoreError::NotFound(_))) => Ok(()),
            Err(error) => {
                tracing::error!(%ident, %error, "a registered table whose metadata is gone could not be taken back");
                let (ident, cause) = ((*ident).clone(), error.to_string());
                Err(CatalogError::RegisteredWithoutFile { ident, location, cause })
            }
        }
    }

    /// Where a table's files are, whether or not its request still has time.
    async fn locations_of(
        &self,
        warehouse: &OpenWarehouse,
        record: &TableRecord,
    ) -> Result<ValidLocations, CatalogError> {
        let read = self.documents.get(&warehouse.storage, &record.metadata_location);
        let document = deadline::scope(None, read).await?;
        Ok(ValidLocations::of(&document.metadata, &warehouse.root)?)
    }

    /// Checks on a worker, if it is large, that every reader will be able to read a document that enters the catalog.
    ///
    /// # Errors
    /// `BadRequest` with the document's problems.
    pub(super) async fn check_registrable<M: Metadata>(
        &self,
        warehouse: &OpenWarehouse,
        document: &Arc<Document<M>>,
    ) -> Result<(), CatalogError> {
        let (bytes, document) = (document.json.len() as u64, Arc::clone(document));
        self.work(warehouse, bytes, move || check_registrable(&document)).await
    }

    /// Adds the table, or points the one that has the name at the document. Each is one transaction of the store. Gives what
    /// that table was, if there was one.
    async fn pointer_register(&self, registration: &Registration<'_>) -> Result<Option<TableRecord>, CatalogError> {
        for _ in 0..ATTEMPTS {
            if let Some(over) = registration.over
                && let Some(before) = self.pointer_overwrite(registration, over).await?
            {
                return Ok(Some(before));
            }
            match self.pointer_add(registration).await {
                // It was made since it was looked for.
                Err(CatalogError::TableExists(_)) if registration.over.is_some() => {}
                added => return added.map(|()| None),
            }
        }
        Err(too_slow(registration.ident))
    }

    async fn pointer_add(&self, registration: &Registration<'_>) -> Result<(), CatalogError> {
        let Registration { warehouse, ident, id, loaded, locations, max_tables, change, .. } = registration;
        let new = NewTable {
            id: *id,
            ident,
            kind: TableKind::Table,
            metadata_location: &loaded.document.location,
            locations: locations.all(),
            registered: true,
            details: &EventDetails::new(),
        };
        let change = &change.at(self.clock.now_ms());
        let create = || self.store.table_create(warehouse.place, &new, *max_tables, change);
        match self.settled(warehouse, Refusals::MayPass, create).await {
            Err(StoreError::Unavailable(cause)) => match self.fate_of_creation(warehouse, ident, *id).await {
                Fate::Happened => Ok(()),
                Fate::NotYet | Fate::Overtaken => Err(CatalogError::Store(StoreError::Unavailable(cause))),
                Fate::Unknown => Err(CatalogError::CommitStateUnknown(ident.to_string(), cause.to_string())),
            },
            created => created.map_err(of_table(ident)),
        }
    }

    /// Points the table of that name at the document. Gives what it was, if there is such a table.
    async fn pointer_overwrite(
        &self,
        registration: &Registration<'_>,
        over: &Authorizer<action::CommitTable>,
    ) -> Result<Option<TableRecord>, CatalogError> {
        let Registration { warehouse, ident, loaded, locations, change, .. } = registration;
        for _ in 0..ATTEMPTS {
            let found = self.store.table_get(warehouse.place, ident).await.map_err(of_table(ident))?;
            let Some(record) = found.filter(|record| record.kind == TableKind::Table) else { return Ok(None) };
            let (warehouse, ident) = (Arc::clone(warehouse), (*ident).clone());
            let Table { warehouse, ident, record } = &*over.clone().permit(Table { warehouse, ident, record })?;
            let _turn = self.turn(record.id).await?;
            let swap = Swap {
                id: record.id,
                expected: &record.metadata_location,
                new: &loaded.document.location,
                locations: locations.all(),
                past: &Past::Foreign,
                details: &EventDetails::new(),
            };
            let change = &change.at(self.clock.now_ms());
            let swapped = self
                .settled(warehouse, Refusals::MayPass, || self.store.table_swap(warehouse.place, &swap, change))
                .await;
            match swapped {
                Ok(()) => return Ok(Some(record.clone())),
                // Committed to, dropped or renamed since it was looked for.
                Err(StoreError::PointerMoved | StoreError::NotFound(Resource::Table)) => {}
                Err(StoreError::Unavailable(cause)) => {
                    self.outcome_of_overwrite(warehouse, ident, record, loaded, cause).await?;
                    return Ok(Some(record.clone()));
                }
                Err(error) => return Err(of_table(ident)(error)),
            }
        }
        Err(too_slow(ident))
    }

    async fn outcome_of_overwrite(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
        before: &TableRecord,
        new: &LoadedTable,
        cause: Box<dyn std::error::Error + Send + Sync>,
    ) -> Result<(), CatalogError> {
        match self.fate_of_swap(warehouse, ident, before, &new.document.location).await {
            Fate::Happened => Ok(()),
            Fate::NotYet => Err(CatalogError::Store(StoreError::Unavailable(cause))),
            // What stands there need not have come from the document that was to be replaced.
            Fate::Overtaken | Fate::Unknown => {
                Err(CatalogError::CommitStateUnknown(ident.to_string(), cause.to_string()))
            }
        }
    }
}

fn too_slow(ident: &TableIdent) -> CatalogError {
    CatalogError::CommitFailed(format!("Cannot register {ident}: changes of others were faster {ATTEMPTS} times"))
}

/// How many problems of a document are told to a client that registers it.
const MAX_PROBLEMS_TOLD: usize = 10;

/// What to answer when a document that is to be registered cannot be read: that it is no metadata is the request's fault.
pub(super) fn unregistrable(error: MetadataError) -> CatalogError {
    match error {
        MetadataError::Unreadable { .. } => CatalogError::BadRequest(error.to_string()),
        other => other.into(),
    }
}

/// Whether every reader will be able to read a document that enters the catalog.
///
/// # Errors
/// `BadRequest` with the document's problems.
fn check_registrable<M: Metadata>(document: &Document<M>) -> Result<(), CatalogError> {
    let problems = document.problems();
    if problems.is_empty() {
        return Ok(());
    }
    let more = problems.len().saturating_sub(MAX_PROBLEMS_TOLD);
    let more = if more == 0 { String::new() } else { format!("\n- and {more} more") };
    Err(CatalogError::BadRequest(format!(
        "Cannot register {}: it breaks rules of the specification, and engines may refuse to read it:\n- {}{more}",
        document.location,
        problems[..problems.len().min(MAX_PROBLEMS_TOLD)].join("\n- ")
    )))
}
