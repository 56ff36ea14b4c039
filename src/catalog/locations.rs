//! Changes that give a table locations, in a warehouse with tables from before the store kept all of theirs.

use std::pin::Pin;

use super::{Catalog, OpenWarehouse};
use crate::locations::{Learning, Refusals};
use crate::store::StoreError;

/// What a method of the store gives.
type Changing<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

impl Catalog {
    /// Makes a change. Where the store must know the locations of older tables first, they are learned, once for all who
    /// wait, and it is made again. `refusals` says what it means when storage refuses one of their documents: who has just
    /// written another knows more than who has read one, perhaps from memory.
    ///
    /// # Errors
    /// What the change gives: `LocationsUnread` when they cannot be learned at the moment.
    pub(super) async fn settled<'a, T>(
        &self,
        warehouse: &OpenWarehouse,
        refusals: Refusals,
        change: impl Fn() -> Changing<'a, T> + Send + Sync,
    ) -> Result<T, StoreError> {
        let refused = match change().await {
            Err(error @ StoreError::LocationsUnread) => error,
            other => return other,
        };
        let _turn = self.learning.enter(warehouse.place.warehouse).await;
        let (store, documents) = (self.store.as_ref(), &self.unkept_documents);
        let learning = Learning { store, documents, warehouse, refusals };
        if let Err(error) = learning.unread().await {
            tracing::warn!(warehouse = warehouse.name, %error, "the locations of its tables cannot all be learned");
            return Err(refused);
        }
        change().await
    }
}
