//! Answers to requests that are repeated with the same idempotency key.
//!
//! A receipt has the location of a document and the id of its table or view. The document may have been removed since, and its
//! locations may belong to another table. So access is vended only for locations that the table still has.

use super::{Catalog, CatalogError, LoadedTable, LoadedView, OpenWarehouse};
use crate::access::action::Action;
use crate::access::{Answered, Permit};
use crate::metadata::MetadataError;
use crate::store::{KeptDocument, TableKind};
use crate::vending::ValidLocations;

impl Catalog {
    /// Returns the table of the first answer, or the present table if that document was removed: the present table includes the
    /// requested change. The result has locations only if they are still exactly the table's own.
    ///
    /// # Errors
    /// `AnswerGone` when the document and the table are gone; `AnswerUnavailable`.
    pub async fn table_again<A: Action>(&self, answered: &Permit<A, Answered>) -> Result<LoadedTable, CatalogError> {
        let Answered { warehouse, kept, .. } = &**answered;
        let answered = match self.table_at(warehouse, &kept.location).await {
            Ok(answered) => Some(answered),
            Err(error) => absent(kept, error)?,
        };
        let current = match &answered {
            // Without locations nothing is vended, so the present table does not matter.
            Some(LoadedTable { locations: None, .. }) => None,
            _ => self.current_table(warehouse, kept).await?,
        };
        match (answered, current) {
            (Some(answered), current) => {
                let still = current.and_then(|current| current.locations);
                let locations =
                    answered.locations.filter(|then| still.as_ref().map(ValidLocations::all) == Some(then.all()));
                Ok(LoadedTable { document: answered.document, locations })
            }
            (None, Some(current)) => Ok(current),
            (None, None) => Err(CatalogError::AnswerGone(kept.location.clone())),
        }
    }

    /// Returns the view of the first answer, or the present view if that document was removed.
    ///
    /// # Errors
    /// As [`Catalog::table_again`].
    pub async fn view_again<A: Action>(&self, answered: &Permit<A, Answered>) -> Result<LoadedView, CatalogError> {
        let Answered { warehouse, kept, .. } = &**answered;
        match self.view_at(warehouse, &kept.location).await {
            Ok(view) => return Ok(view),
            Err(error) => absent::<LoadedView>(kept, error)?,
        };
        let current = match self.current_pointer(warehouse, kept, TableKind::View).await? {
            Some(pointer) => self.view_at(warehouse, &pointer).await.map(Some).or_else(|error| absent(kept, error))?,
            None => None,
        };
        current.ok_or_else(|| CatalogError::AnswerGone(kept.location.clone()))
    }

    /// Returns the present state of the answer's table, unless the table or its document is gone.
    async fn current_table(
        &self,
        warehouse: &OpenWarehouse,
        kept: &KeptDocument,
    ) -> Result<Option<LoadedTable>, CatalogError> {
        let Some(pointer) = self.current_pointer(warehouse, kept, TableKind::Table).await? else { return Ok(None) };
        self.table_at(warehouse, &pointer).await.map(Some).or_else(|error| absent(kept, error))
    }

    /// Returns the pointer of the answer's table or view, whatever its present name is.
    async fn current_pointer(
        &self,
        warehouse: &OpenWarehouse,
        kept: &KeptDocument,
        kind: TableKind,
    ) -> Result<Option<String>, CatalogError> {
        let found = self.store.table_by_id(warehouse.warehouse_ref, kept.id).await.map_err(CatalogError::Store)?;
        Ok(found.filter(|record| record.kind == kind).map(|record| record.metadata_location))
    }
}

/// Returns none for a missing document.
///
/// # Errors
/// `AnswerUnavailable` for a document that cannot be read at the moment. Other errors would say that nothing was changed.
fn absent<T>(kept: &KeptDocument, error: CatalogError) -> Result<Option<T>, CatalogError> {
    match error {
        CatalogError::Metadata(MetadataError::Missing(_)) => Ok(None),
        error => Err(CatalogError::AnswerUnavailable(kept.location.clone(), error.to_string())),
    }
}
