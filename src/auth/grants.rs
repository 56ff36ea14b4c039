//! The compiled grants of principals, cached in memory until they change.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};
use tidewater_core::access::Grants;
use tidewater_core::ids::{OrganisationId, PrincipalId, PrincipalRoleId};
use tokio::sync::Semaphore;

use crate::base::flight::{Flight, Joined};
use crate::store::{Store, StoreError};

/// The principal roles that a token is narrowed to, sorted. `None` for all roles, the built-in one included.
pub(super) type Selected = Option<Arc<[PrincipalRoleId]>>;

/// Whose grants: a principal, and the roles that its token is narrowed to.
type Key = (OrganisationId, PrincipalId, Selected);

/// The memory for compiled grants, in bytes. Others are compiled again when they are needed.
const CAPACITY_BYTES: u64 = 128 << 20;

/// What an entry of the cache takes beside the grants, in bytes.
const ENTRY_BYTES: u64 = 512;

/// The number of grants that are read and compiled at the same time, so that requests of other callers keep their threads.
const COMPILED_AT_ONCE: usize = 2;

/// The number of handles from which unused ones are removed.
const FEW: usize = 1_024;

/// The grants of a principal, or of its tokens that are narrowed to some roles. All its keys share them.
pub struct PrincipalGrants {
    key: Key,
    /// Increases with each change of the principal's access.
    generation: Arc<AtomicU64>,
    compiled: RwLock<Option<(u64, Arc<Grants>)>>,
    flight: Flight<Arc<StoreError>>,
}

impl PrincipalGrants {
    fn new(store: &dyn Store, key: Key) -> Self {
        let generation = store.access_generation(key.0, key.1);
        Self { key, generation, compiled: RwLock::new(None), flight: Flight::default() }
    }

    /// Returns the principal.
    pub(super) const fn principal(&self) -> PrincipalId {
        self.key.1
    }

    /// Returns the roles that they are narrowed to.
    pub(super) const fn selected(&self) -> &Selected {
        &self.key.2
    }

    /// Returns the compiled grants if they have not changed since.
    fn current(&self) -> Option<Arc<Grants>> {
        let generation = self.generation.load(Ordering::Acquire);
        let compiled = self.compiled.read();
        compiled.as_ref().filter(|(compiled, _)| *compiled == generation).map(|(_, grants)| Arc::clone(grants))
    }

    /// Frees the grants.
    fn forget(&self, grants: &Arc<Grants>) {
        let mut compiled = self.compiled.write();
        if compiled.as_ref().is_some_and(|(_, now)| Arc::ptr_eq(now, grants)) {
            *compiled = None;
        }
    }
}

/// Two values are equal if they belong to the same principal and roles.
impl PartialEq for PrincipalGrants {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for PrincipalGrants {}

impl fmt::Debug for PrincipalGrants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrincipalGrants").field("principal", &self.key.1).finish_non_exhaustive()
    }
}

/// Grants in memory, with the handle that has them.
#[derive(Clone)]
struct Compiled {
    handle: Arc<PrincipalGrants>,
    grants: Arc<Grants>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Compiled> for ByBytes {
    fn weight(&self, _: &Key, compiled: &Compiled) -> u64 {
        compiled.grants.size_bytes().saturating_add(ENTRY_BYTES)
    }
}

/// Frees the grants that leave the cache.
#[derive(Clone, Default)]
struct Freeing;

impl Lifecycle<Key, Compiled> for Freeing {
    type RequestState = ();

    fn on_evict(&self, (): &mut Self::RequestState, _: Key, compiled: Compiled) {
        compiled.handle.forget(&compiled.grants);
    }
}

/// The grants of recent callers: bounded by their bytes.
pub(super) struct GrantsCache {
    /// Every handle that somebody has, so that all callers with the same key share one.
    handles: Mutex<Handles>,
    compiled: Cache<Key, Compiled, ByBytes, DefaultHashBuilder, Freeing>,
    turns: Semaphore,
}

#[derive(Default)]
struct Handles {
    by_key: HashMap<Key, Weak<PrincipalGrants>>,
    /// The number of handles at which unused ones are removed next.
    full: usize,
}

impl GrantsCache {
    /// Creates an empty cache.
    pub(super) fn new() -> Self {
        Self::with_capacity(CAPACITY_BYTES)
    }

    /// Creates an empty cache with another size.
    fn with_capacity(bytes: u64) -> Self {
        // Few expected entries make one part, so that the grants of one principal may take all of it.
        let compiled = Cache::with(1, bytes, ByBytes, DefaultHashBuilder::default(), Freeing);
        Self { handles: Mutex::default(), compiled, turns: Semaphore::new(COMPILED_AT_ONCE) }
    }

    /// Returns the handle of a principal's grants, or of those through some of its roles.
    pub(super) fn find(
        &self,
        store: &dyn Store,
        organisation: OrganisationId,
        principal: PrincipalId,
        selected: Selected,
    ) -> Arc<PrincipalGrants> {
        let key = (organisation, principal, selected);
        // Marks an entry in use: it leaves the cache later.
        let _ = self.compiled.get(&key);
        let mut handles = self.handles.lock();
        if let Some(found) = handles.by_key.get(&key).and_then(Weak::upgrade) {
            return found;
        }
        if handles.by_key.len() >= handles.full.max(FEW) {
            handles.by_key.retain(|_, handle| handle.strong_count() > 0);
            handles.full = handles.by_key.len().saturating_mul(2);
        }
        let new = Arc::new(PrincipalGrants::new(store, key.clone()));
        handles.by_key.insert(key, Arc::downgrade(&new));
        new
    }

    /// Returns the grants. Reads and compiles them if they have changed or are not in memory.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub(super) async fn load(
        &self,
        store: &dyn Store,
        handle: &Arc<PrincipalGrants>,
    ) -> Result<Arc<Grants>, Arc<StoreError>> {
        match handle.current() {
            Some(grants) => Ok(grants),
            None => Box::pin(self.compile(store, handle)).await,
        }
    }

    async fn compile(&self, store: &dyn Store, handle: &Arc<PrincipalGrants>) -> Result<Arc<Grants>, Arc<StoreError>> {
        match handle.flight.join(|| handle.current()).await? {
            Joined::Ready(grants) => Ok(grants),
            Joined::Ask(_turn) => {
                let read = self.read(store, handle).await;
                let (generation, grants) = read.map_err(|error| handle.flight.fail(Arc::new(error)))?;
                *handle.compiled.write() = Some((generation, Arc::clone(&grants)));
                let compiled = Compiled { handle: Arc::clone(handle), grants: Arc::clone(&grants) };
                self.compiled.insert(handle.key.clone(), compiled);
                Ok(grants)
            }
        }
    }

    async fn read(&self, store: &dyn Store, handle: &PrincipalGrants) -> Result<(u64, Arc<Grants>), StoreError> {
        let unavailable = |error: Box<dyn std::error::Error + Send + Sync>| StoreError::Unavailable(error);
        let _turn = self.turns.acquire().await.map_err(|error| unavailable(Box::new(error)))?;
        // Loaded before the read, so that the next request reads again what changes meanwhile.
        let generation = handle.generation.load(Ordering::Acquire);
        let (organisation, principal, selected) = handle.key.clone();
        let access = store.principal_access(organisation, principal, selected).await?;
        let compile = move || Grants::compile(&access.granted, &access.owned_in);
        let compiled = tokio::task::spawn_blocking(compile).await.map_err(|error| unavailable(Box::new(error)))?;
        Ok((generation, Arc::new(compiled)))
    }
}

#[cfg(test)]
mod tests {
    use tidewater_core::access::Role;
    use tidewater_core::name::NamespaceIdent;

    use super::*;
    use crate::auth::testing::{World, warehouse};
    use crate::base::clock::fresh_uuid;
    use crate::store::{Actor, ApiKey, Change, NamespaceStore, Place, WarehouseStore};

    /// Creates a warehouse with a namespace that each of these keys owns.
    async fn own_namespaces(world: &World, keys: &[ApiKey]) {
        let warehouse = warehouse(world.organisation.id);
        world.store.warehouse_create(&warehouse, &Change::by_catalog(0)).await.unwrap();
        let place = Place { organisation: world.organisation.id, warehouse: warehouse.id };
        for (number, key) in keys.iter().enumerate() {
            let actor = Actor::Key { id: key.id, name: "a key".into() };
            let ident = NamespaceIdent::new(&[format!("n{number}")]).unwrap();
            world.store.namespace_create(place, &ident, &Default::default(), &Change::by(actor, 0)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn grants_beyond_the_memory_leave_it_and_are_compiled_again() {
        let world = World::new("premium", &[]).await;
        let mut keys = Vec::new();
        for _ in 0..40 {
            keys.push(world.key(Role::None, None).await.0);
        }
        own_namespaces(&world, &keys).await;
        let store = world.store.as_ref();
        let find = |cache: &GrantsCache, key: &ApiKey| cache.find(store, world.organisation.id, key.principal, None);
        let all = GrantsCache::new();
        let one = all.load(store, &find(&all, &keys[0])).await.unwrap();
        assert!(!one.is_empty());
        let few = GrantsCache::with_capacity(10 * (one.size_bytes() + ENTRY_BYTES));
        let mut handles = Vec::new();
        for key in &keys {
            let handle = find(&few, key);
            assert!(!few.load(store, &handle).await.unwrap().is_empty(), "also while others leave");
            handles.push(handle);
        }
        let in_memory = handles.iter().filter(|handle| handle.current().is_some()).count();
        assert!((1..=10).contains(&in_memory), "{in_memory}");
        for handle in &handles {
            assert!(!few.load(store, handle).await.unwrap().is_empty());
        }
        assert!(few.compiled.weight() <= few.compiled.capacity());
    }

    #[tokio::test]
    async fn callers_of_one_principal_share_its_grants_and_unused_handles_are_removed() {
        let world = World::new("premium", &[]).await;
        let (key, _) = world.key(Role::None, None).await;
        let (store, cache) = (world.store.as_ref(), GrantsCache::new());
        let find = |selected| cache.find(store, key.organisation, key.principal, selected);
        let role: Arc<[PrincipalRoleId]> = [PrincipalRoleId(fresh_uuid())].into();
        let (all, narrowed) = (find(None), find(Some(Arc::clone(&role))));
        assert!(Arc::ptr_eq(&all, &find(None)) && Arc::ptr_eq(&narrowed, &find(Some(role))));
        assert!(all != narrowed);
        for _ in 0..5 * FEW {
            let other = PrincipalId(fresh_uuid());
            drop(cache.find(store, key.organisation, other, None));
        }
        assert!(cache.handles.lock().by_key.len() <= 2 * FEW);
        assert!(Arc::ptr_eq(&all, &find(None)), "a handle in use stays");
    }
}
