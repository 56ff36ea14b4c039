//! What was dropped: kept for a time, restored, or ended for good.

use std::sync::Arc;
use std::time::Duration;

use tidewater_core::name::TableIdent;
use tidewater_core::purge::PurgeTime;

use super::error::{of_dropped, of_restore};
use super::{Catalog, CatalogError, OpenWarehouse};
use crate::access::{DroppedObject, Namespace, Permit, action};
use crate::metadata::MetadataError;
use crate::store::{Change, DropTerms, Dropped, Restore, TableKind};
use crate::vending::ValidLocations;

impl Catalog {
    /// What a drop at `now_ms` means: nothing is kept when nothing can be restored and no file is to be removed.
    pub(super) fn drop_terms(&self, warehouse: &OpenWarehouse, purge: bool, now_ms: i64) -> Option<DropTerms> {
        let retention =
            if purge && self.purges_at_once(warehouse) { Duration::ZERO } else { self.settings.drop_retention };
        let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let terms = DropTerms { restorable_until_ms: now_ms.saturating_add(retention_ms), purge };
        Some(terms).filter(|terms| purge || terms.restorable_until_ms > now_ms)
    }

    /// Returns whether the files of a table that is dropped with a purge from now on go at once.
    #[must_use]
    pub fn purges_at_once(&self, warehouse: &OpenWarehouse) -> bool {
        warehouse.options.purge == PurgeTime::AtOnce || self.settings.drop_retention.is_zero()
    }

    /// Restores a table or view as it was, under its old name or another. That takes a permit to create it there, too.
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
        // Clients may have removed its files, as Spark does, while its document is in memory here.
        let (storage, root, location) = (&warehouse.storage, &warehouse.root, &dropped.metadata_location);
        let gone = |error| match error {
            MetadataError::Missing(file) => CatalogError::NotRestorable(id, missing_document(&file)),
            other => other.into(),
        };
        let locations = match dropped.kind {
            TableKind::Table => {
                let document = self.documents.get_anew(storage, location).await.map_err(gone)?;
                ValidLocations::of(&document.metadata, root)
            }
            TableKind::View => {
                let document = self.documents.get_view_anew(storage, location).await.map_err(gone)?;
                ValidLocations::of_view(&document.metadata, root)
            }
        };
        // Where they are not allowed any more, nothing is vended for them: that is no reason to lose it.
        let locations = locations.as_ref().ok().map(ValidLocations::all);
        let restore = Restore { id, ident: &ident, locations };
        let change = &change.at(self.clock.now_ms());
        let restored = self.store.dropped_restore(warehouse.place, &restore, max_tables, change).await;
        restored.map_err(of_restore(id, &ident))
    }

    /// Ends what was dropped now; `purge` says whether a table's files go, in place of what its drop said. Gives whether it is
    /// gone: otherwise its files are to be removed, or somebody who removes them is to stop first.
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
        let change = &change.at(self.clock.now_ms());
        let removed = self.store.dropped_remove(warehouse.place, id, purge, change).await;
        removed.map_err(of_dropped(id))
    }
}

/// Why a table or view without its document is not restored.
#[must_use]
pub fn missing_document(file: &str) -> String {
    format!(
        "Its metadata file {file} is missing: somebody has removed its files, as Spark does at DROP TABLE ... PURGE. Put \
         them back, or remove it from the list"
    )
}
