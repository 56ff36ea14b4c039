//! Which of a table's older metadata documents a commit schedules for removal.

use tidewater_core::ids::TableId;
use tidewater_core::location::Location;

use super::tabular::Tabular;
use super::{Catalog, OpenWarehouse};
use crate::metadata::Document;
use crate::store::Past;

impl Catalog {
    /// Returns what happens to a table's older documents when `next` replaces `base`. If that cannot be found out, all stay and
    /// the commit succeeds.
    pub(super) async fn past<M: Tabular>(
        &self,
        warehouse: &OpenWarehouse,
        id: TableId,
        base: &Document<M>,
        next: &M,
    ) -> Past {
        let leaving = |origin| M::removed_documents(base, next, origin);
        if leaving(None).is_empty() {
            return Past::Kept;
        }
        let origin = match self.store.table_origin(warehouse.warehouse_ref, id).await {
            Ok(origin) => origin,
            Err(error) => {
                tracing::warn!(table = %id, %error, "could not find out which old metadata files are the table's own: all of them stay");
                return Past::Kept;
            }
        };
        let documents: Vec<Location> =
            leaving(origin.as_deref()).iter().filter_map(|document| Location::parse(document).ok()).collect();
        if documents.is_empty() {
            return Past::Kept;
        }
        let delay_ms = i64::try_from(self.settings.removal_delay.as_millis()).unwrap_or(i64::MAX);
        Past::Removed { documents, due_ms: self.clock.now_ms().saturating_add(delay_ms) }
    }
}
