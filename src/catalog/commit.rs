//! Commits to one table.

use std::sync::Arc;

use tidewater_core::commit::{Context, Outcome, TableCommit, apply_updates, check_requirements, create_from_updates};
use tidewater_core::ids::TableId;
use tidewater_core::name::TableIdent;

use super::error::of_table;
use super::{Catalog, CatalogError, LoadedTable, OpenWarehouse};
use crate::clock::{fresh_ordered_uuid, fresh_uuid};
use crate::metadata::Document;
use crate::store::{StoreError, Swap, TableKind, TableRecord};
use crate::vending::ValidLocations;

/// How often a commit is applied anew when other processes move the pointer first, as long as its requirements hold.
const ATTEMPTS: usize = 10;

/// What became of one attempt.
enum Attempt {
    Done(LoadedTable),
    /// Somebody else's commit was faster: apply to what it left.
    PointerMoved,
}

impl Catalog {
    /// Applies a commit to a table, or creates the table if the commit asserts that there is none. It runs to its end
    /// even if the caller goes away. A commit that changes nothing succeeds without a new document.
    ///
    /// # Errors
    /// `NoSuchTable`; `CommitFailed` when a requirement does not hold; `CommitStateUnknown`; `BadRequest`; `Metadata`;
    /// for a creation all that creating a table can give.
    pub async fn table_commit(
        self: &Arc<Self>,
        warehouse: &Arc<OpenWarehouse>,
        ident: TableIdent,
        commit: TableCommit,
        max_tables: Option<u64>,
    ) -> Result<LoadedTable, CatalogError> {
        let (catalog, warehouse) = (Arc::clone(self), Arc::clone(warehouse));
        self.to_its_end(async move {
            let found = catalog.store.table_get(warehouse.place, &ident).await.map_err(of_table(&ident))?;
            match found.filter(|record| record.kind == TableKind::Table) {
                Some(record) => catalog.commit_in_turn(&warehouse, &ident, record, &commit).await,
                None if commit.is_create() => catalog.commit_creation(&warehouse, &ident, &commit, max_tables).await,
                None => Err(CatalogError::NoSuchTable(ident)),
            }
        })
        .await
    }

    async fn commit_in_turn(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
        mut record: TableRecord,
        commit: &TableCommit,
    ) -> Result<LoadedTable, CatalogError> {
        let turn = self.queues.enter(record.id).await;
        if turn.waited {
            record = self.table_record(warehouse, ident).await?;
        }
        for _ in 0..ATTEMPTS {
            match self.commit_attempt(warehouse, ident, &record, commit).await? {
                Attempt::Done(loaded) => return Ok(loaded),
                Attempt::PointerMoved => record = self.table_record(warehouse, ident).await?,
            }
        }
        Err(CatalogError::CommitFailed(format!("Cannot commit to {ident}: other commits were faster {ATTEMPTS} times")))
    }

    async fn commit_attempt(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
        record: &TableRecord,
        commit: &TableCommit,
    ) -> Result<Attempt, CatalogError> {
        let base = self.documents.get(&record.metadata_location).await?;
        check_requirements(&commit.requirements, Some(&base.metadata))?;
        let context = Context {
            now_ms: self.clock.now_ms(),
            table_uuid: fresh_uuid(),
            previous_metadata_location: Some(&base.location),
        };
        let table = match apply_updates(&base.metadata, &commit.updates, &context)? {
            Outcome::Changed(table) => *table,
            Outcome::Unchanged => {
                let locations = ValidLocations::of(&base.metadata, &warehouse.root).ok();
                return Ok(Attempt::Done(LoadedTable { document: base, locations }));
            }
        };
        let locations = ValidLocations::of(&table, &warehouse.root)?;
        let document = self.write_document(table, Some(&base.location)).await?;
        let swap = Swap {
            id: record.id,
            expected: &record.metadata_location,
            new: &document.location,
            location: locations.table().as_str(),
            now_ms: context.now_ms,
        };
        let done = |document| Ok(Attempt::Done(LoadedTable { document, locations: Some(locations.clone()) }));
        match self.store.table_swap(warehouse.place, &swap).await {
            Ok(()) => {
                self.documents.forget(&base);
                done(document)
            }
            Err(StoreError::PointerMoved) => {
                self.documents.discard(&document).await;
                Ok(Attempt::PointerMoved)
            }
            Err(StoreError::Unavailable(cause)) => {
                self.resolve_unknown(warehouse, ident, record.id, &document, cause).await?;
                done(document)
            }
            Err(error) => {
                self.documents.discard(&document).await;
                Err(of_table(ident)(error))
            }
        }
    }

    /// The answer to a swap was lost: the pointer tells whether it happened. The document stays in any case, since it
    /// may be live.
    async fn resolve_unknown(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
        id: TableId,
        document: &Document,
        cause: Box<dyn std::error::Error + Send + Sync>,
    ) -> Result<(), CatalogError> {
        match self.store.table_get(warehouse.place, ident).await {
            Ok(Some(now)) if now.id == id && now.metadata_location == document.location => Ok(()),
            Ok(Some(now)) if now.id == id => Err(CatalogError::Store(StoreError::Unavailable(cause))),
            _ => Err(CatalogError::CommitStateUnknown(ident.clone(), cause.to_string())),
        }
    }

    /// The commit of a staged create.
    async fn commit_creation(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
        commit: &TableCommit,
        max_tables: Option<u64>,
    ) -> Result<LoadedTable, CatalogError> {
        check_requirements(&commit.requirements, None)?;
        let id = TableId(fresh_ordered_uuid());
        let location = self.new_table_location(warehouse, ident, id, None).await?;
        let context =
            Context { now_ms: self.clock.now_ms(), table_uuid: fresh_uuid(), previous_metadata_location: None };
        let table = create_from_updates(&commit.updates, &location, &context)?;
        let added = self.table_add(warehouse, ident, id, table, max_tables).await;
        added.map_err(|error| match error {
            CatalogError::TableExists(_) => {
                CatalogError::CommitFailed("Requirement failed: table already exists".into())
            }
            other => other,
        })
    }
}
