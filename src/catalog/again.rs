//! Answers to requests that were served before, and come again with the same idempotency key.
//!
//! What was kept is where a document is, and which table's or view's. The document may be gone by now, and its locations may
//! be another table's: nothing is answered that does not hold any more.

use super::{Catalog, CatalogError, LoadedTable, LoadedView, OpenWarehouse};
use crate::access::action::Action;
use crate::access::{Answered, Permit};
use crate::metadata::MetadataError;
use crate::store::{KeptDocument, TableKind};
use crate::vending::ValidLocations;

impl Catalog {
    /// Returns the table as it was answered; where that document is gone, as it stands now, since what was asked for was done
    /// and is part of that. It has the proof of its locations only while they are its own still.
    ///
    /// # Errors
    /// `AnswerGone` when both are gone; `AnswerUnavailable`.
    pub async fn table_again<A: Action>(&self, answered: &Permit<A, Answered>) -> Result<LoadedTable, CatalogError> {
        let Answered { warehouse, kept, .. } = &**answered;
        let answered = match self.table_at(warehouse, &kept.location).await {
            Ok(answered) => Some(answered),
            Err(error) => absent(kept, error)?,
        };
        let current = match &answered {
            // Nothing was vended, and nothing will be.
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

    /// Returns the view as it was answered; where that document is gone, as it stands now.
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

    /// The table of the answer as it stands, unless it or its document is gone.
    async fn current_table(
        &self,
        warehouse: &OpenWarehouse,
        kept: &KeptDocument,
    ) -> Result<Option<LoadedTable>, CatalogError> {
        let Some(pointer) = self.current_pointer(warehouse, kept, TableKind::Table).await? else { return Ok(None) };
        self.table_at(warehouse, &pointer).await.map(Some).or_else(|error| absent(kept, error))
    }

    /// The pointer of the table or view of the answer, whatever its name is by now.
    async fn current_pointer(
        &self,
        warehouse: &OpenWarehouse,
        kept: &KeptDocument,
        kind: TableKind,
    ) -> Result<Option<String>, CatalogError> {
        let found = self.store.table_by_id(warehouse.place, kept.id).await.map_err(CatalogError::Store)?;
        Ok(found.filter(|record| record.kind == kind).map(|record| record.metadata_location))
    }
}

/// None for a document that is gone.
///
/// # Errors
/// `AnswerUnavailable` for one that cannot be read at the moment: other errors would say that nothing was changed.
fn absent<T>(kept: &KeptDocument, error: CatalogError) -> Result<Option<T>, CatalogError> {
    match error {
        CatalogError::Metadata(MetadataError::Missing(_)) => Ok(None),
        error => Err(CatalogError::AnswerUnavailable(kept.location.clone(), error.to_string())),
    }
}
