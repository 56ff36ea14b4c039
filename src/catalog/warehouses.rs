//! Which warehouse a request is about.

use std::sync::Arc;

use quick_cache::sync::Cache;
use tidewater_core::ids::OrganisationId;
use tidewater_core::location::Location;

use super::{Catalog, CatalogError};
use crate::clock::Clock;
use crate::store::{Place, Store, Warehouse};

/// For how long a list of warehouses is believed: a new default is seen within this time.
const BELIEVED_MS: i64 = 2_000;

/// A warehouse that a request may use, because its organisation owns it.
#[derive(Debug)]
pub struct OpenWarehouse {
    /// What every row of it is under.
    pub place: Place,
    /// Its name: the `prefix` of its paths.
    pub name: String,
    /// Where its tables are.
    pub root: Location,
    /// Whether it serves the paths without a prefix.
    pub is_default: bool,
}

struct Listed {
    at_ms: i64,
    warehouses: Vec<Arc<OpenWarehouse>>,
}

/// The warehouses of organisations that were asked for lately.
pub(super) struct Warehouses {
    listed: Cache<OrganisationId, Arc<Listed>>,
}

impl Warehouses {
    pub(super) fn new() -> Self {
        const ORGANISATIONS: usize = 10_000;
        Self { listed: Cache::new(ORGANISATIONS) }
    }

    async fn list(
        &self,
        store: &dyn Store,
        clock: &Clock,
        organisation: OrganisationId,
        fresh: bool,
    ) -> Result<Arc<Listed>, CatalogError> {
        let now_ms = clock.now_ms();
        if let Some(listed) = self.listed.get(&organisation)
            && !fresh
            && now_ms - listed.at_ms < BELIEVED_MS
        {
            return Ok(listed);
        }
        let records = store.warehouse_list(organisation).await.map_err(CatalogError::Store)?;
        let warehouses = records.into_iter().filter_map(|record| open(record).map(Arc::new)).collect();
        let listed = Arc::new(Listed { at_ms: now_ms, warehouses });
        self.listed.insert(organisation, Arc::clone(&listed));
        Ok(listed)
    }
}

/// A record whose root cannot be read was not written by us: it is left out, so that it harms no other, and said.
fn open(record: Warehouse) -> Option<OpenWarehouse> {
    match Location::parse(&record.root) {
        Ok(root) => Some(OpenWarehouse {
            place: Place { organisation: record.organisation, warehouse: record.id },
            name: record.name,
            root,
            is_default: record.is_default,
        }),
        Err(error) => {
            tracing::error!(warehouse = %record.id, %error, "a warehouse has an unreadable root");
            None
        }
    }
}

impl Catalog {
    /// The organisation's warehouse of that name, or its default.
    ///
    /// # Errors
    /// `NoSuchWarehouse`, the same for another organisation's as for none; `NoDefaultWarehouse`; `Store`.
    pub async fn warehouse(
        &self,
        organisation: OrganisationId,
        name: Option<&str>,
    ) -> Result<Arc<OpenWarehouse>, CatalogError> {
        let find = |listed: &Listed| {
            let wanted = |warehouse: &&Arc<OpenWarehouse>| match name {
                Some(name) => warehouse.name == name,
                None => warehouse.is_default,
            };
            listed.warehouses.iter().find(wanted).cloned()
        };
        for fresh in [false, true] {
            if let Some(found) =
                find(&*self.warehouses.list(self.store.as_ref(), &self.clock, organisation, fresh).await?)
            {
                return Ok(found);
            }
        }
        Err(name.map_or(CatalogError::NoDefaultWarehouse, |name| {
            CatalogError::NoSuchWarehouse(name.chars().take(100).collect())
        }))
    }
}
