//! Dropped tables and views: lists, restores and final removal.

use std::sync::Arc;
use std::time::Duration;

use tidewater_core::name::TableIdent;
use tidewater_core::purge::PurgeTime;

use super::error::{dropped_error, restore_error};
use super::{Catalog, CatalogError, OpenWarehouse};
use crate::access::{DroppedObject, Namespace, Permit, action};
use crate::metadata::MetadataError;
use crate::store::{Change, DropTerms, Dropped, Restore, TableKind};
use crate::vending::ValidLocations;

impl Catalog {
    /// Returns the terms of a drop at `now_ms`; none when the object cannot be restored and no files are to be removed.
    pub(super) fn drop_terms(&self, warehouse: &OpenWarehouse, purge: bool, now_ms: i64) -> Option<DropTerms> {
        let retention =
            if purge && self.purges_at_once(warehouse) { Duration::ZERO } else { self.settings.drop_retention };
        let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let terms = DropTerms { restorable_until_ms: now_ms.saturating_add(retention_ms), purge };
        Some(terms).filter(|terms| purge || terms.restorable_until_ms > now_ms)
    }

    /// Returns whether a drop with a purge removes a table's files at once from now on.
    #[must_use]
    pub fn purges_at_once(&self, warehouse: &OpenWarehouse) -> bool {
        warehouse.options.purge == PurgeTime::AtOnce || self.settings.drop_retention.is_zero()
    }

    /// Restores a table or view unchanged, under its former name or another. This also needs a permit to create it there.
    ///
    /// # Errors
    /// `Denied`; `NotRestorable`; `RestoreTaken`; `RestoreWithoutNamespace`; `TableLimit`; `LocationTaken`,
    /// `LocationHeld`; `Metadata` when its document cannot be read.
    pub async fn dropped_restore(
        &self,
        permit: &Permit<action::RestoreDropped, DroppedObject>,
        ident: Option<TableIdent>,
        change: &Change,
    ) -> Result<(), CatalogError> {
        let (DroppedObject { warehouse, dropped }, max_tables) = (&**permit, permit.principal().max_tables());
        let (id, ident) = (dropped.id, ident.unwrap_or_else(|| dropped.ident.clone()));
        let namespace = Namespace { warehouse: Arc::clone(warehouse), ident: ident.namespace.clone() };
        match dropped.kind {
            TableKind::Table => drop(permit.authorizer().for_action::<action::CreateTable>()?.permit(namespace)?),
            TableKind::View => drop(permit.authorizer().for_action::<action::CreateView>()?.permit(namespace)?),
        }
        if let Some(reason) = dropped.not_restorable(self.clock.now_ms()) {
            return Err(CatalogError::NotRestorable(id, reason));
        }
        // Clients may have removed its files, as Spark does, while its document is still in memory.
        let (storage, root, location) = (&warehouse.storage, &warehouse.root, &dropped.metadata_location);
        let gone = |error| match error {
            MetadataError::Missing(file) => CatalogError::NotRestorable(id, missing_document(&file)),
            other => other.into(),
        };
        let locations = match dropped.kind {
            TableKind::Table => {
                let document = self.documents.get_anew(storage, location).await.map_err(gone)?;
                ValidLocations::from_table(&document.metadata, root)
            }
            TableKind::View => {
                let document = self.documents.get_view_anew(storage, location).await.map_err(gone)?;
                ValidLocations::from_view(&document.metadata, root)
            }
        };
        // Locations that are not allowed any more get no credentials. The table is restored all the same.
        let locations = locations.as_ref().ok().map(ValidLocations::all);
        let restore = Restore { id, ident: &ident, locations };
        let change = &change.with_time(self.clock.now_ms());
        let restored = self.store.dropped_restore(warehouse.warehouse_ref, &restore, max_tables, change).await;
        restored.map_err(restore_error(id, &ident))
    }

    /// Ends the restore time of a dropped table or view now. `purge` says whether a table's files are removed, in place of the
    /// terms of its drop. Returns whether it is forgotten; otherwise its files are to be removed, or a running removal has to
    /// stop first.
    ///
    /// # Errors
    /// `NoSuchDropped`.
    pub async fn dropped_remove(
        &self,
        permit: &Permit<action::RemoveDropped, DroppedObject>,
        purge: Option<bool>,
        change: &Change,
    ) -> Result<bool, CatalogError> {
        let DroppedObject { warehouse, dropped: Dropped { id, .. } } = &**permit;
        let id = *id;
        let change = &change.with_time(self.clock.now_ms());
        let removed = self.store.dropped_remove(warehouse.warehouse_ref, id, purge, change).await;
        removed.map_err(dropped_error(id))
    }
}

/// Returns the error of a restore whose document is missing.
#[must_use]
pub fn missing_document(file: &str) -> String {
    format!(
        "Its metadata file {file} is missing. An engine may have removed the files, as Spark does at DROP TABLE ... PURGE. \
         Restore the files, or delete the dropped table for good"
    )
}
