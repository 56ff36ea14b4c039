//! A table of fixed size for times by key. Its memory does not depend on the number of keys that clients make up.

use std::hash::{BuildHasher, Hash, RandomState};

use parking_lot::Mutex;

/// The entries of one set. A key belongs to one set, by a hash that clients cannot compute.
const WAYS: usize = 8;

/// Different sets seldom wait for each other.
const SHARDS: usize = 64;

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    fingerprint: u64,
    time: i64,
}

/// Times by key. A key that is not in the table has the time 0.
///
/// If a set is full, a new key replaces the entry with the earliest time. So an entry that is far in the future stays, however many
/// new keys come: to remove it, each of the other entries of its set needs a later time.
#[derive(Debug)]
pub(super) struct Table {
    hasher: RandomState,
    shards: Box<[Mutex<Box<[Entry]>>]>,
    sets: usize,
}

impl Table {
    /// Creates a table for about `entries` keys.
    pub(super) fn new(entries: usize) -> Self {
        let sets = entries.div_ceil(WAYS * SHARDS).max(1);
        let shard = || Mutex::new(vec![Entry::default(); sets * WAYS].into_boxed_slice());
        Self { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| shard()).collect(), sets }
    }

    /// Returns the time of a key.
    pub(super) fn get(&self, key: &impl Hash) -> i64 {
        let (shard, set, fingerprint) = self.warehouse_ref(key);
        let shard = self.shards[shard].lock();
        let found = shard[set..set + WAYS].iter().find(|entry| entry.fingerprint == fingerprint);
        found.map_or(0, |entry| entry.time)
    }

    /// Replaces the time of a key by the result of `change`, unless that is `None`. Returns the result.
    pub(super) fn change<T>(&self, key: &impl Hash, change: impl FnOnce(i64) -> (Option<i64>, T)) -> T {
        let (shard, set, fingerprint) = self.warehouse_ref(key);
        let mut shard = self.shards[shard].lock();
        let set = &mut shard[set..set + WAYS];
        let known = set.iter().position(|entry| entry.fingerprint == fingerprint);
        let (time, result) = change(known.map_or(0, |at| set[at].time));
        let earliest = || (0..WAYS).min_by_key(|at| set[*at].time);
        if let (Some(time), Some(at)) = (time, known.or_else(earliest)) {
            set[at] = Entry { fingerprint, time };
        }
        result
    }

    /// Returns the shard of a key, the start of its set in it, and its fingerprint, which is never 0.
    fn warehouse_ref(&self, key: &impl Hash) -> (usize, usize, u64) {
        let hash = self.hasher.hash_one(key);
        let [high, low] = [(hash >> 32) as usize, (hash & u64::from(u32::MAX)) as usize];
        (low % SHARDS, high % self.sets * WAYS, hash | 1)
    }

    /// Returns the size of the entries, in bytes.
    #[cfg(test)]
    pub(super) fn size_bytes(&self) -> usize {
        self.shards.iter().map(|shard| size_of_val(&**shard.lock())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(table: &Table, key: u64, time: i64) {
        table.change(&key, |_| (Some(time), ()));
    }

    #[test]
    fn million_keys_take_no_more_memory() {
        let table = Table::new(4_096);
        let before = table.size_bytes();
        for key in 0..1_000_000 {
            set(&table, key, 1);
        }
        assert_eq!((before, table.size_bytes()), (4_096 * 16, 4_096 * 16));
        let kept = (0..1_000_000_u64).filter(|key| table.get(key) != 0).count();
        assert_eq!(kept, 4_096);
    }

    #[test]
    fn late_entry_stays_while_new_keys_come() {
        let table = Table::new(4_096);
        for key in 0..100 {
            set(&table, key, 50);
        }
        for key in 1_000..1_000_000 {
            set(&table, key, 1 + i64::try_from(key % 40).unwrap());
        }
        let kept = (0..100_u64).filter(|key| table.get(key) == 50).count();
        assert_eq!(kept, 100);
    }

    #[test]
    fn change_without_a_time_stores_nothing() {
        let table = Table::new(1);
        assert_eq!(table.change(&7_u64, |time| (None, time)), 0);
        assert_eq!(table.change(&7_u64, |time| (Some(3), time)), 0);
        assert_eq!(table.change(&7_u64, |time| (None, time)), 3);
        assert_eq!((table.get(&7_u64), table.get(&8_u64)), (3, 0));
    }
}
