//! What became of a change whose answer was lost: the pointer tells, or the history that a later document holds.

use tidewater_core::ids::TableId;
use tidewater_core::name::TableIdent;

use super::{Catalog, OpenWarehouse};
use crate::base::deadline;
use crate::store::{TableKind, TableRecord};

/// What became of a change. Its document stays in any case, since it may be live.
///
/// Of a transaction each table tells its part; the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// It is not done, nor is anything that would stand in its way.
    NotYet,
    /// Another change took its place.
    Overtaken,
    /// Nothing that could tell can be had.
    Unknown,
    /// It is done.
    Happened,
}

impl Catalog {
    /// Returns whether a table's or view's pointer was moved from where `before` saw it to `new`.
    pub(super) async fn fate_of_swap(&self, warehouse: &OpenWarehouse, before: &TableRecord, new: &str) -> Fate {
        // By its id: it may have been renamed since.
        let Ok(Some(now)) = self.store.table_by_id(warehouse.place, before.id).await else { return Fate::Unknown };
        let now = now.metadata_location;
        if now == new {
            return Fate::Happened;
        }
        if now == before.metadata_location {
            return Fate::NotYet;
        }
        // Others have committed since then, perhaps to what this one had made. A view's document does not tell.
        if before.kind == TableKind::View {
            return Fate::Unknown;
        }
        // Whether the request still has time does not count: what became of its change has to be known.
        let current = deadline::scope(None, self.documents.get(&warehouse.storage, &now)).await;
        let Ok(current) = current else { return Fate::Unknown };
        let has =
            |location: &str| current.metadata.metadata_log().iter().any(|entry| &*entry.metadata_file == location);
        match (has(new), has(&before.metadata_location)) {
            (true, _) => Fate::Happened,
            (false, true) => Fate::Overtaken,
            // The history is too short to tell.
            (false, false) => Fate::Unknown,
        }
    }

    /// Returns whether a table or view was created under that id.
    pub(super) async fn fate_of_creation(&self, warehouse: &OpenWarehouse, ident: &TableIdent, id: TableId) -> Fate {
        // By its id: it may have been renamed since.
        match self.store.table_by_id(warehouse.place, id).await {
            Ok(Some(_)) => return Fate::Happened,
            Ok(None) => {}
            Err(_) => return Fate::Unknown,
        }
        match self.store.table_get(warehouse.place, ident).await {
            Ok(Some(record)) if record.id == id => Fate::Happened,
            Ok(Some(_)) => Fate::Overtaken,
            Ok(None) => Fate::NotYet,
            Err(_) => Fate::Unknown,
        }
    }
}
