//! A cache of recently read pointers, namespaces and lists.
//!
//! The cache equals the database as long as this process is the only one that writes. The server holds the lock of its data
//! folder (`ServerLock`), and only the holder of the lock opens a store with a cache. The writer checks in each transaction that
//! no other process has written (`changes.rs`).
//!
//! The order of events keeps a read from seeing an older value than one before it:
//!
//! 1. Triggers on the writer's connection name every entry that a statement changes (`changes.rs`), whichever statement it is.
//! 2. Before `COMMIT` the writer marks these entries as changing. Reads of them go to the database from then on.
//! 3. After `COMMIT`, and before it answers, the writer replaces them by their new values, or drops them.
//! 4. A read that misses gets the stamp of its entry. Its result is cached only if the entry still has that stamp: a change
//!    meanwhile has marked, replaced or dropped the entry.

mod changes;
mod key;
mod shard;
#[cfg(test)]
mod tests;
mod value;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use self::key::{Key, KeyRef};
use self::shard::Shard;
use self::value::{KeptPage, Value};
use crate::store::{Page, PageRequest, Properties, SharedPage, TableKind, TableRecord, WarehouseRef};

pub(super) use self::changes::Changes;

/// The number of shards. With so many, threads seldom wait for the same one, and each is large enough for a long list.
const SHARDS: usize = 8;

/// The bytes of a name in the JSON of a list, beside the name itself and its namespace. Names with many levels take more.
const AROUND_NAME_BYTES: usize = 48;

/// The bytes of the JSON of a list without names.
const AROUND_LIST_BYTES: usize = 256;

/// The most cached pages of one list.
const MOST_PAGES: usize = 16;

/// The result of a lookup in the cache.
pub(super) enum Found<T> {
    /// The entry is cached.
    Kept(T),
    /// The caller has to read the database. With a stamp, it may cache what it reads.
    Missing(Option<u64>),
}

/// The cache of one store.
pub(super) struct Memory {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    next_stamp: AtomicU64,
    is_closed: AtomicBool,
}

impl Memory {
    /// Creates a cache of at most `most_bytes`.
    pub(super) fn new(most_bytes: u64) -> Self {
        let most_bytes = usize::try_from(most_bytes).unwrap_or(usize::MAX) / SHARDS;
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard::new(most_bytes))).collect();
        Self { shards, hasher: RandomState::new(), next_stamp: AtomicU64::new(1), is_closed: AtomicBool::new(false) }
    }

    /// Looks up a table or view. The cached value is none if the name is free.
    pub(super) fn table(&self, warehouse_ref: WarehouseRef, ident: &TableIdent) -> Found<Option<TableRecord>> {
        self.look(KeyRef::table(warehouse_ref, ident), |value| match value {
            Value::Table(record) => Some(record.clone()),
            _ => None,
        })
    }

    /// Caches the result of a read of a table or view, unless it was changed since the stamp was given.
    pub(super) fn keep_table(
        &self,
        warehouse_ref: WarehouseRef,
        ident: &TableIdent,
        stamp: Option<u64>,
        read: Option<&TableRecord>,
    ) {
        self.store_if_unchanged(KeyRef::table(warehouse_ref, ident), stamp, |value| {
            *value = Value::Table(read.cloned())
        });
    }

    /// Looks up a namespace's properties. The cached value is none if the namespace does not exist.
    pub(super) fn namespace(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
    ) -> Found<Option<Properties>> {
        self.look(KeyRef::namespace(warehouse_ref, namespace), |value| match value {
            Value::Namespace(properties) => Some(properties.clone()),
            _ => None,
        })
    }

    /// Caches the result of a read of a namespace, as [`Self::keep_table`] does.
    pub(super) fn keep_namespace(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        stamp: Option<u64>,
        read: Option<&Properties>,
    ) {
        self.store_if_unchanged(KeyRef::namespace(warehouse_ref, namespace), stamp, |value| {
            *value = Value::Namespace(read.cloned())
        });
    }

    /// Looks up a page of tables or views.
    pub(super) fn tables(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        kind: TableKind,
        request: &PageRequest,
    ) -> Found<Arc<SharedPage<String>>> {
        self.look(KeyRef::tables(warehouse_ref, namespace), |value| match value {
            Value::Tables(pages) => page(pages, Some(kind), request),
            _ => None,
        })
    }

    /// Caches a page of tables or views, as [`Self::keep_table`] does. Returns it with room for its answer.
    pub(super) fn keep_tables(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        kind: TableKind,
        request: PageRequest,
        stamp: Option<u64>,
        page: Page<String>,
    ) -> Arc<SharedPage<String>> {
        let page = shared(page, namespace.as_key().len(), String::len);
        let kept = KeptPage { kind: Some(kind), request, page: Arc::clone(&page) };
        self.store_if_unchanged(KeyRef::tables(warehouse_ref, namespace), stamp, |value| match value {
            Value::Tables(pages) => add(pages, kept),
            _ => *value = Value::Tables(vec![kept]),
        });
        page
    }

    /// Looks up a page of namespaces.
    pub(super) fn children(
        &self,
        warehouse_ref: WarehouseRef,
        parent: Option<&NamespaceIdent>,
        request: &PageRequest,
    ) -> Found<Arc<SharedPage<NamespaceIdent>>> {
        self.look(KeyRef::children(warehouse_ref, parent), |value| match value {
            Value::Children(pages) => page(pages, None, request),
            _ => None,
        })
    }

    /// Caches a page of namespaces, as [`Self::keep_table`] does. Returns it with room for its answer.
    pub(super) fn keep_children(
        &self,
        warehouse_ref: WarehouseRef,
        parent: Option<&NamespaceIdent>,
        request: PageRequest,
        stamp: Option<u64>,
        page: Page<NamespaceIdent>,
    ) -> Arc<SharedPage<NamespaceIdent>> {
        let page = shared(page, 0, |child| child.as_key().len());
        let kept = KeptPage { kind: None, request, page: Arc::clone(&page) };
        self.store_if_unchanged(KeyRef::children(warehouse_ref, parent), stamp, |value| match value {
            Value::Children(pages) => add(pages, kept),
            _ => *value = Value::Children(vec![kept]),
        });
        page
    }

    fn look<T>(&self, key: KeyRef<'_>, read: impl FnOnce(&Value) -> Option<T>) -> Found<T> {
        let hash = self.hasher.hash_one(key);
        let mut shard = self.shard(hash).lock();
        match shard.get(hash, key) {
            Some(entry) if entry.is_changing => Found::Missing(None),
            Some(entry) => {
                entry.was_used = true;
                read(&entry.value).map_or(Found::Missing(Some(entry.stamp)), Found::Kept)
            }
            None => {
                let stamp = self.next_stamp.fetch_add(1, Ordering::Relaxed);
                Found::Missing(shard.insert_unread(hash, key, stamp).then_some(stamp))
            }
        }
    }

    /// Sets the value of an entry, if it still has the stamp.
    fn store_if_unchanged(&self, key: KeyRef<'_>, stamp: Option<u64>, set: impl FnOnce(&mut Value)) {
        let Some(stamp) = stamp else { return };
        let hash = self.hasher.hash_one(key);
        self.shard(hash).lock().set(hash, key, stamp, set);
    }

    /// Drops all entries and accepts no more, because the store is being closed.
    #[cfg(test)]
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.begin_change_of_all();
    }

    /// Makes reads of an entry go to the database until [`Self::end_change`].
    fn begin_change(&self, key: &Key) {
        let hash = self.hasher.hash_one(key.borrowed());
        self.shard(hash).lock().mark(hash, key);
    }

    /// Replaces an entry that was changing, or drops it if there is no value.
    fn end_change(&self, key: &Key, value: Option<Value>) {
        let hash = self.hasher.hash_one(key.borrowed());
        let stamp = self.next_stamp.fetch_add(1, Ordering::Relaxed);
        self.shard(hash).lock().replace(hash, key, stamp, value);
    }

    /// Drops all entries, and accepts none until [`Self::end_change_of_all`].
    fn begin_change_of_all(&self) {
        self.shards.iter().for_each(|shard| shard.lock().close());
    }

    fn end_change_of_all(&self) {
        if self.is_closed.load(Ordering::SeqCst) {
            return;
        }
        self.shards.iter().for_each(|shard| shard.lock().open());
    }

    #[allow(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        // Not the lowest nor the highest bits: the table within the shard uses those.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }

    /// Returns the used bytes.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().bytes()).sum()
    }
}

/// Returns a page with room for its answer. `key_bytes` is the length of the namespace that the answer repeats for each name.
fn shared<T>(page: Page<T>, key_bytes: usize, length: impl Fn(&T) -> usize) -> Arc<SharedPage<T>> {
    let names = page.items.iter().map(|name| length(name) + key_bytes + AROUND_NAME_BYTES).sum::<usize>();
    SharedPage::with_room(page, names + AROUND_LIST_BYTES)
}

fn page<T>(pages: &[KeptPage<T>], kind: Option<TableKind>, request: &PageRequest) -> Option<Arc<SharedPage<T>>> {
    pages.iter().find(|kept| kept.kind == kind && kept.request == *request).map(|kept| Arc::clone(&kept.page))
}

fn add<T>(pages: &mut Vec<KeptPage<T>>, new: KeptPage<T>) {
    pages.retain(|kept| kept.kind != new.kind || kept.request != new.request);
    if pages.len() == MOST_PAGES {
        pages.remove(0);
    }
    pages.push(new);
}
