//! The compiled grants of principals, cached in memory until they change.
//!
//! Principals with the same grants share them: a company's thousand readers take the memory of one.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tidewater_core::access::{Granted, Grants, Restricted, Restrictions, Securable};
use tidewater_core::ids::{OrganisationId, PrincipalId, PrincipalRoleId};
use tokio::sync::Semaphore;

use crate::base::flight::{Flight, Joined};
use crate::base::keyed_lock::KeyedLock;
use crate::store::{PrincipalAccess, Store, StoreError};

/// The principal roles that a token is narrowed to, sorted. `None` for all roles, the built-in one included.
pub(super) type Selected = Option<Arc<[PrincipalRoleId]>>;

/// Whose grants: a principal, and the roles that its token is narrowed to.
type Key = (OrganisationId, PrincipalId, Selected);

/// SHA-256 of grants before they are compiled.
type GrantsDigest = [u8; 32];

/// The memory for compiled grants, in bytes. Others are compiled again when they are needed.
const CAPACITY_BYTES: u64 = 128 << 20;

/// What an entry of the cache takes beside the grants, in bytes.
const ENTRY_BYTES: u64 = 256;

/// The number of grants that are read and compiled at the same time, so that requests of other callers keep their threads. Those of one
/// organisation are compiled one after the other, so that the others never wait for more than one of them.
const COMPILED_AT_ONCE: usize = 2;

/// The number of handles from which unused ones are removed.
const FEW: usize = 1_024;

/// The grants of a principal, or of its tokens that are narrowed to some roles. All its keys share them.
pub struct PrincipalGrants {
    key: Key,
    /// Increases with each change of the principal's access.
    generation: Arc<AtomicU64>,
    compiled: RwLock<Option<Compiled>>,
    /// What is returned if there are none, without an allocation.
    empty: Arc<Grants>,
    flight: Flight<Arc<StoreError>>,
}

/// What is known about grants. The cache has them, and may have dropped them since.
struct Compiled {
    /// The principal's counter before they were read.
    generation: u64,
    grants: Known,
}

enum Known {
    /// There are none.
    Empty,
    Cached(GrantsDigest, Weak<Grants>),
}

impl PrincipalGrants {
    fn new(store: &dyn Store, key: Key, empty: Arc<Grants>) -> Self {
        let generation = store.access_generation(key.0, key.1);
        Self { key, generation, compiled: RwLock::new(None), empty, flight: Flight::default() }
    }

    /// Returns the principal.
    pub(super) const fn principal(&self) -> PrincipalId {
        self.key.1
    }

    /// Returns the roles that they are narrowed to.
    pub(super) const fn selected(&self) -> &Selected {
        &self.key.2
    }

    /// Returns the compiled grants and their generation if they are in memory and have not changed since.
    fn current(&self) -> Option<(Arc<Grants>, u64)> {
        let generation = self.generation.load(Ordering::Acquire);
        let compiled = self.compiled.read();
        let grants = match &compiled.as_ref().filter(|compiled| compiled.generation == generation)?.grants {
            Known::Empty => Arc::clone(&self.empty),
            Known::Cached(_, grants) => grants.upgrade()?,
        };
        Some((grants, generation))
    }

    /// Returns whether these grants, of a generation, are the present ones. A caller without grants has no generation: then the present
    /// grants must be empty too.
    pub(super) fn is_current(&self, grants: &Grants, generation: u64) -> bool {
        let now = self.generation.load(Ordering::Acquire);
        if !grants.is_empty() {
            return now == generation;
        }
        let compiled = self.compiled.read();
        compiled.as_ref().is_some_and(|compiled| {
            let is_empty = match &compiled.grants {
                Known::Empty => true,
                Known::Cached(_, grants) => grants.upgrade().is_some_and(|grants| grants.is_empty()),
            };
            is_empty && compiled.generation == now
        })
    }

    /// Returns the digest of the grants in memory.
    fn digest(&self) -> Option<GrantsDigest> {
        match self.compiled.read().as_ref()?.grants {
            Known::Empty => None,
            Known::Cached(digest, _) => Some(digest),
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

#[derive(Clone)]
struct ByBytes;

impl Weighter<GrantsDigest, Arc<Grants>> for ByBytes {
    fn weight(&self, _: &GrantsDigest, grants: &Arc<Grants>) -> u64 {
        grants.size_bytes().saturating_add(ENTRY_BYTES)
    }
}

/// The grants of recent callers: bounded by their bytes.
pub(super) struct GrantsCache {
    /// Every handle that somebody has, so that all callers with the same key share one.
    handles: Mutex<Handles>,
    compiled: Arc<Cache<GrantsDigest, Arc<Grants>, ByBytes>>,
    empty: Arc<Grants>,
    in_organisation: KeyedLock<OrganisationId>,
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
        let compiled = Arc::new(Cache::with_weighter(1, bytes, ByBytes));
        Self {
            handles: Mutex::default(),
            compiled,
            empty: Arc::default(),
            in_organisation: KeyedLock::default(),
            turns: Semaphore::new(COMPILED_AT_ONCE),
        }
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
        let mut handles = self.handles.lock();
        if let Some(found) = handles.by_key.get(&key).and_then(Weak::upgrade) {
            drop(handles);
            // Marks the grants as used: they leave the cache later.
            let _ = found.digest().and_then(|digest| self.compiled.get(&digest));
            return found;
        }
        if handles.by_key.len() >= handles.full.max(FEW) {
            handles.by_key.retain(|_, handle| handle.strong_count() > 0);
            handles.full = handles.by_key.len().saturating_mul(2);
        }
        let new = Arc::new(PrincipalGrants::new(store, key.clone(), Arc::clone(&self.empty)));
        handles.by_key.insert(key, Arc::downgrade(&new));
        new
    }

    /// Returns the grants and their generation. Reads and compiles them if they have changed or are not in memory.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub(super) async fn load(
        &self,
        store: &dyn Store,
        handle: &Arc<PrincipalGrants>,
    ) -> Result<(Arc<Grants>, u64), Arc<StoreError>> {
        match handle.current() {
            Some(current) => Ok(current),
            None => Box::pin(self.compile(store, handle)).await,
        }
    }

    async fn compile(
        &self,
        store: &dyn Store,
        handle: &Arc<PrincipalGrants>,
    ) -> Result<(Arc<Grants>, u64), Arc<StoreError>> {
        match handle.flight.join(|| handle.current()).await? {
            Joined::Ready(current) => Ok(current),
            Joined::Ask(_turn) => self.read(store, handle).await.map_err(|error| handle.flight.fail(Arc::new(error))),
        }
    }

    async fn read(&self, store: &dyn Store, handle: &PrincipalGrants) -> Result<(Arc<Grants>, u64), StoreError> {
        let unavailable = |error: Box<dyn std::error::Error + Send + Sync>| StoreError::Unavailable(error);
        let _before_others = self.in_organisation.enter(handle.key.0).await;
        let _turn = self.turns.acquire().await.map_err(|error| unavailable(Box::new(error)))?;
        // Loaded before the read, so that the next request reads again what changes meanwhile.
        let generation = handle.generation.load(Ordering::Acquire);
        let (organisation, principal, selected) = handle.key.clone();
        let access = store.principal_access(organisation, principal, selected).await?;
        let restricts = !access.restricted.is_empty() || access.is_trusted_engine;
        if access.granted.is_empty() && access.owned_in.is_empty() && !restricts {
            let before = handle.compiled.write().replace(Compiled { generation, grants: Known::Empty });
            self.remove_unused(before, None);
            return Ok((Arc::clone(&handle.empty), generation));
        }
        let cache = Arc::clone(&self.compiled);
        let compile = move || {
            let digest = digest(&access);
            let grants = cache.get(&digest).unwrap_or_else(|| {
                let restrictions = Restrictions::new(access.restricted, access.is_trusted_engine);
                let grants = Arc::new(Grants::compile(&access.granted, &access.owned_in).restricted(restrictions));
                cache.insert(digest, Arc::clone(&grants));
                grants
            });
            (digest, grants)
        };
        let (digest, grants) =
            tokio::task::spawn_blocking(compile).await.map_err(|error| unavailable(Box::new(error)))?;
        let known = Known::Cached(digest, Arc::downgrade(&grants));
        let before = handle.compiled.write().replace(Compiled { generation, grants: known });
        self.remove_unused(before, Some(digest));
        Ok((grants, generation))
    }

    /// Removes the former grants of a handle, unless they are the present ones or those of other handles too. Nobody would ask for them
    /// again: each change has another digest.
    fn remove_unused(&self, before: Option<Compiled>, now: Option<GrantsDigest>) {
        let Some(Compiled { grants: Known::Cached(digest, known), .. }) = before else { return };
        let Some(grants) = known.upgrade().filter(|_| now != Some(digest)) else { return };
        drop(known);
        // Each handle that knows them has a weak reference.
        if Arc::weak_count(&grants) == 0 {
            self.compiled.remove(&digest);
        }
    }
}

/// Returns the digest of all that grants are compiled from.
fn digest(access: &PrincipalAccess) -> GrantsDigest {
    let mut digest = Sha256::new();
    // With its length, so that moving text from one part to the next changes the digest.
    let add = |digest: &mut Sha256, part: &[u8]| {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    };
    digest.update((access.granted.len() as u64).to_be_bytes());
    for Granted { warehouse, on, privilege, .. } in &access.granted {
        digest.update(warehouse.0.as_bytes());
        digest.update([*privilege as u8, on.kind() as u8]);
        match on {
            Securable::Warehouse => {}
            Securable::Namespace(ident) => add(&mut digest, ident.as_key().as_bytes()),
            Securable::Table(id, ident) | Securable::View(id, ident) => {
                digest.update(id.0.as_bytes());
                let (namespace, name) =
                    ident.as_ref().map(|ident| (ident.namespace.as_key(), ident.name())).unwrap_or_default();
                add(&mut digest, namespace.as_bytes());
                add(&mut digest, name.as_bytes());
            }
        }
    }
    digest.update((access.owned_in.len() as u64).to_be_bytes());
    for (warehouse, ident) in &access.owned_in {
        digest.update(warehouse.0.as_bytes());
        add(&mut digest, ident.as_key().as_bytes());
    }
    for Restricted { warehouse, table, restriction, .. } in &access.restricted {
        digest.update(warehouse.0.as_bytes());
        digest.update(table.0.as_bytes());
        add(&mut digest, restriction.to_json().as_bytes());
    }
    digest.update([u8::from(access.is_trusted_engine)]);
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use tidewater_core::access::{Privilege, Role};
    use tidewater_core::name::NamespaceIdent;

    use super::*;
    use crate::auth::testing::{World, warehouse};
    use crate::base::clock::fresh_uuid;
    use crate::store::{Actor, ApiKey, Change, NamespaceStore, WarehouseRef, WarehouseStore};

    /// Creates a warehouse with a namespace that each of these keys owns.
    async fn own_namespaces(world: &World, keys: &[ApiKey]) {
        let warehouse = warehouse(world.organisation.id);
        world.store.warehouse_create(&warehouse, &Change::by_catalog(0)).await.unwrap();
        let warehouse_ref = WarehouseRef { organisation: world.organisation.id, warehouse: warehouse.id };
        for (number, key) in keys.iter().enumerate() {
            let actor = Actor::Key { id: key.id, name: "a key".into() };
            let ident = NamespaceIdent::new(&[format!("n{number}")]).unwrap();
            world
                .store
                .namespace_create(warehouse_ref, &ident, &Default::default(), &Change::by(actor, 0))
                .await
                .unwrap();
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
        let (one, _) = all.load(store, &find(&all, &keys[0])).await.unwrap();
        assert!(!one.is_empty());
        let few = GrantsCache::with_capacity(10 * (one.size_bytes() + ENTRY_BYTES));
        let mut handles = Vec::new();
        for key in &keys {
            let handle = find(&few, key);
            assert!(!few.load(store, &handle).await.unwrap().0.is_empty(), "also while others leave");
            handles.push(handle);
        }
        let in_memory = handles.iter().filter(|handle| handle.current().is_some()).count();
        assert!((1..=10).contains(&in_memory), "{in_memory}");
        for handle in &handles {
            assert!(!few.load(store, handle).await.unwrap().0.is_empty());
        }
        assert!(few.compiled.weight() <= few.compiled.capacity());
    }

    #[tokio::test]
    async fn former_grants_leave_the_memory_unless_another_principal_has_them() {
        let world = World::new("premium", &[]).await;
        let (own, other) = (world.key(Role::None, None).await.0, world.key(Role::None, None).await.0);
        let warehouse = warehouse(world.organisation.id);
        world.store.warehouse_create(&warehouse, &Change::by_catalog(0)).await.unwrap();
        let warehouse_ref = WarehouseRef { organisation: world.organisation.id, warehouse: warehouse.id };
        let (store, cache) = (world.store.as_ref(), GrantsCache::new());
        let find = |key: &ApiKey| cache.find(store, world.organisation.id, key.principal, None);
        let (handle, same) = (find(&own), find(&other));
        for number in 0..20 {
            let actor = Actor::Key { id: own.id, name: "a key".into() };
            let ident = NamespaceIdent::new(&[format!("n{number}")]).unwrap();
            let change = Change::by(actor, 0);
            world.store.namespace_create(warehouse_ref, &ident, &Default::default(), &change).await.unwrap();
            assert!(!cache.load(store, &handle).await.unwrap().0.is_empty());
        }
        assert_eq!(cache.compiled.len(), 1, "only the last ones");

        // Another handle has the same grants.
        let (grants, shared) = (handle.current().unwrap().0, handle.digest().unwrap());
        let known = || Some(Compiled { generation: 0, grants: Known::Cached(shared, Arc::downgrade(&grants)) });
        *same.compiled.write() = known();
        cache.remove_unused(known(), None);
        assert_eq!(cache.compiled.len(), 1);
    }

    #[tokio::test]
    async fn grants_wait_for_those_of_their_organisation_and_not_for_those_of_others() {
        let world = World::new("premium", &[]).await;
        let (key, _) = world.key(Role::None, None).await;
        let (store, cache) = (world.store.as_ref(), GrantsCache::new());
        let own = cache.find(store, key.organisation, key.principal, None);
        let other = cache.find(store, OrganisationId(fresh_uuid()), PrincipalId(fresh_uuid()), None);
        let before = cache.in_organisation.enter(key.organisation).await;
        let mut waiting = Box::pin(cache.load(store, &own));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert!(cache.load(store, &other).await.unwrap().0.is_empty());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(before);
        assert!(waiting.await.is_ok());
    }

    #[test]
    fn different_grants_have_different_digests() {
        let warehouse = tidewater_core::ids::WarehouseId(uuid::Uuid::from_u128(1));
        let table = tidewater_core::ids::TableId(uuid::Uuid::from_u128(2));
        let ident = |levels: &[&str]| NamespaceIdent::new(levels).unwrap();
        let named = |levels: &[&str], name| {
            Securable::Table(table, Some(tidewater_core::name::TableIdent::new(ident(levels), name).unwrap()))
        };
        let on = [
            Securable::Warehouse,
            Securable::Namespace(ident(&["a"])),
            Securable::Namespace(ident(&["a", "b"])),
            Securable::Table(table, None),
            Securable::View(table, None),
            named(&["a"], "bc"),
            named(&["ab"], "c"),
        ];
        let mut all = Vec::new();
        for on in &on {
            for privilege in [Privilege::TableList, Privilege::ViewList] {
                let granted = vec![Granted { warehouse, role: None, on: on.clone(), privilege }];
                all.push(PrincipalAccess { granted, ..PrincipalAccess::default() });
            }
        }
        all.push(PrincipalAccess { owned_in: vec![(warehouse, ident(&["a"]))], ..PrincipalAccess::default() });
        all.push(PrincipalAccess { is_trusted_engine: true, ..PrincipalAccess::default() });
        for restriction in [r#"{"masks":{"1":"show-last-4"},"others":"plan"}"#, r#"{"masks":{},"others":"plan"}"#] {
            let restriction = tidewater_core::restrictions::Restriction::parse(restriction).unwrap();
            let role = PrincipalRoleId(uuid::Uuid::nil());
            let restricted = vec![Restricted { warehouse, table, role, restriction }];
            all.push(PrincipalAccess { restricted, ..PrincipalAccess::default() });
        }
        let digests: std::collections::HashSet<_> = all.iter().map(digest).collect();
        assert_eq!(digests.len(), all.len());
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
