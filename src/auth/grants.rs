//! The compiled grants of principals, cached in memory until they change.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use quick_cache::sync::Cache;
use tidewater_core::access::Grants;
use tidewater_core::ids::{OrganisationId, PrincipalId};

use crate::base::flight::{Flight, Joined};
use crate::store::{Store, StoreError};

/// The grants of a principal. All its keys share them.
pub struct PrincipalGrants {
    organisation: OrganisationId,
    principal: PrincipalId,
    /// Increases with each change of the organisation's access.
    generation: Arc<AtomicU64>,
    compiled: RwLock<Option<(u64, Arc<Grants>)>>,
    flight: Flight<Arc<StoreError>>,
}

impl PrincipalGrants {
    fn new(store: &dyn Store, organisation: OrganisationId, principal: PrincipalId) -> Self {
        let generation = store.access_generation(organisation);
        Self { organisation, principal, generation, compiled: RwLock::new(None), flight: Flight::default() }
    }

    /// Returns the principal.
    pub(super) const fn principal(&self) -> PrincipalId {
        self.principal
    }

    /// Returns the grants that were compiled last. They are empty before the first [`Self::refresh`].
    pub(super) fn compiled(&self) -> Arc<Grants> {
        self.compiled.read().as_ref().map(|(_, grants)| Arc::clone(grants)).unwrap_or_default()
    }

    /// Compiles the grants again if they have changed.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub(super) async fn refresh(&self, store: &dyn Store) -> Result<(), Arc<StoreError>> {
        if self.is_current() {
            return Ok(());
        }
        Box::pin(self.compile(store)).await
    }

    fn is_current(&self) -> bool {
        let generation = self.generation.load(Ordering::Acquire);
        self.compiled.read().as_ref().is_some_and(|(compiled, _)| *compiled == generation)
    }

    async fn compile(&self, store: &dyn Store) -> Result<(), Arc<StoreError>> {
        match self.flight.join(|| self.is_current().then_some(())).await? {
            Joined::Ready(()) => Ok(()),
            Joined::Ask(_turn) => {
                // Loaded before the read, so that the next request reads again what changes meanwhile.
                let generation = self.generation.load(Ordering::Acquire);
                let read = store.principal_access(self.organisation, self.principal).await;
                let access = read.map_err(|error| self.flight.fail(Arc::new(error)))?;
                let compile = move || Grants::compile(&access.granted, &access.owned_in);
                let compiled = tokio::task::spawn_blocking(compile).await;
                let compiled =
                    compiled.map_err(|error| self.flight.fail(Arc::new(StoreError::Unavailable(Box::new(error)))))?;
                *self.compiled.write() = Some((generation, Arc::new(compiled)));
                Ok(())
            }
        }
    }
}

/// Two values are equal if they belong to the same principal.
impl PartialEq for PrincipalGrants {
    fn eq(&self, other: &Self) -> bool {
        (self.organisation, self.principal) == (other.organisation, other.principal)
    }
}

impl Eq for PrincipalGrants {}

impl fmt::Debug for PrincipalGrants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrincipalGrants").field("principal", &self.principal).finish_non_exhaustive()
    }
}

/// The grants of recent callers.
pub(super) struct GrantsCache(Cache<PrincipalId, Arc<PrincipalGrants>>);

impl GrantsCache {
    /// Creates a cache for the grants of up to `remembered` principals.
    pub(super) fn new(remembered: usize) -> Self {
        Self(Cache::new(remembered))
    }

    /// Returns the grants of a principal.
    pub(super) fn find(
        &self,
        store: &dyn Store,
        organisation: OrganisationId,
        principal: PrincipalId,
    ) -> Arc<PrincipalGrants> {
        if let Some(found) = self.0.get(&principal) {
            return found;
        }
        let new = Arc::new(PrincipalGrants::new(store, organisation, principal));
        self.0.insert(principal, Arc::clone(&new));
        new
    }
}
