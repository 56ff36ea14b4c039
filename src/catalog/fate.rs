//! The outcome of a change whose answer was lost, from the pointer or the history in a later document.

use tidewater_core::ids::TableId;
use tidewater_core::name::TableIdent;

use super::{Catalog, OpenWarehouse};
use crate::base::deadline;
use crate::store::{TableKind, TableRecord};

/// The outcome of a change. Its document stays in any case, since it may be live.
///
/// In a transaction each table has an outcome; the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// The change was not made, and no other change conflicts with it.
    NotYet,
    /// Another change was made instead.
    Overtaken,
    /// The outcome cannot be found out.
    Unknown,
    /// The change was made.
    Happened,
}

impl Catalog {
    /// Finds out whether a table's or view's pointer was moved from `before` to `new`.
    pub(super) async fn fate_of_swap(&self, warehouse: &OpenWarehouse, before: &TableRecord, new: &str) -> Fate {
        // By its id: it may have been renamed since.
        let Ok(Some(now)) = self.store.table_by_id(warehouse.warehouse_ref, before.id).await else {
            return Fate::Unknown;
        };
        let now = now.metadata_location;
        if now == new {
            return Fate::Happened;
        }
        if now == before.metadata_location {
            return Fate::NotYet;
        }
        // There are later commits, perhaps on top of this one. A view's document has no history to tell.
        if before.kind == TableKind::View {
            return Fate::Unknown;
        }
        // Ignores the request's deadline: the outcome of its change has to be known.
        let current = deadline::scope(None, self.documents.get(&warehouse.storage, &now)).await;
        let Ok(current) = current else { return Fate::Unknown };
        let has =
            |location: &str| current.metadata.metadata_log().iter().any(|entry| &*entry.metadata_file == location);
        match (has(new), has(&before.metadata_location)) {
            (true, _) => Fate::Happened,
            (false, true) => Fate::Overtaken,
            // The history does not reach back far enough.
            (false, false) => Fate::Unknown,
        }
    }

    /// Finds out whether a table or view was created under the id.
    pub(super) async fn fate_of_creation(&self, warehouse: &OpenWarehouse, ident: &TableIdent, id: TableId) -> Fate {
        // By its id: it may have been renamed since.
        match self.store.table_by_id(warehouse.warehouse_ref, id).await {
            Ok(Some(_)) => return Fate::Happened,
            Ok(None) => {}
            Err(_) => return Fate::Unknown,
        }
        match self.store.table_get(warehouse.warehouse_ref, ident).await {
            Ok(Some(record)) if record.id == id => Fate::Happened,
            Ok(Some(_)) => Fate::Overtaken,
            Ok(None) => Fate::NotYet,
            Err(_) => Fate::Unknown,
        }
    }
}
