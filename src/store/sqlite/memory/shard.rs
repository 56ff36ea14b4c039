//! A part of the cache, bounded in bytes.
//!
//! A full shard evicts entries by the CLOCK algorithm: a hand goes round the entries. It keeps those that were used since its last
//! round and drops the others. So names that are requested once do not displace names in use.

use std::mem::size_of;

use hashbrown::HashTable;

use super::key::{Key, KeyRef};
use super::value::Value;

/// The approximate size of an entry without its texts, in bytes: its slot, its place in the index, and the allocator's overhead.
const ENTRY_BYTES: usize = size_of::<Option<Entry>>() + 64;

#[derive(Debug)]
pub(super) struct Entry {
    key: Key,
    hash: u64,
    /// Identifies the value. Each new value of the key has another stamp.
    pub(super) stamp: u64,
    /// Whether a commit is changing the entry.
    pub(super) is_changing: bool,
    pub(super) was_used: bool,
    pub(super) value: Value,
    bytes: usize,
}

pub(super) struct Shard {
    /// From hashes of keys to slots.
    index: HashTable<usize>,
    slots: Vec<Option<Entry>>,
    free: Vec<usize>,
    hand: usize,
    bytes: usize,
    most_bytes: usize,
    /// Whether the shard accepts no entries at present.
    is_closed: bool,
}

impl Shard {
    pub(super) fn new(most_bytes: usize) -> Self {
        let (index, slots, free) = (HashTable::new(), Vec::new(), Vec::new());
        Self { index, slots, free, hand: 0, bytes: 0, most_bytes, is_closed: false }
    }

    pub(super) fn get(&mut self, hash: u64, key: KeyRef<'_>) -> Option<&mut Entry> {
        let slot = self.find(hash, key)?;
        self.slots[slot].as_mut()
    }

    /// Adds an entry without a value, for a read that begins. Returns false if the shard cannot accept it.
    pub(super) fn insert_unread(&mut self, hash: u64, key: KeyRef<'_>, stamp: u64) -> bool {
        let bytes = ENTRY_BYTES + key.text_bytes();
        if self.is_closed || bytes > self.most_bytes {
            return false;
        }
        let (is_changing, was_used, value) = (false, false, Value::Unread);
        self.insert(Entry { key: key.to_key(), hash, stamp, is_changing, was_used, value, bytes });
        self.shrink();
        true
    }

    /// Sets the value of an entry, if it has the stamp and is not changing.
    pub(super) fn set(&mut self, hash: u64, key: KeyRef<'_>, stamp: u64, set: impl FnOnce(&mut Value)) {
        let most_bytes = self.most_bytes;
        let Some(entry) = self.get(hash, key).filter(|entry| entry.stamp == stamp && !entry.is_changing) else {
            return;
        };
        set(&mut entry.value);
        let (before, after) = (entry.bytes, ENTRY_BYTES + key.text_bytes() + entry.value.bytes());
        entry.bytes = after;
        self.bytes = self.bytes - before + after;
        if after > most_bytes / 2 {
            self.remove(hash, key);
        }
        self.shrink();
    }

    /// Marks an entry as changing. Adds a missing entry, so that a read that began before cannot add an old value.
    pub(super) fn mark(&mut self, hash: u64, key: &Key) {
        if self.is_closed {
            return;
        }
        if let Some(entry) = self.get(hash, key.borrowed()) {
            entry.is_changing = true;
            return;
        }
        let (bytes, value) = (ENTRY_BYTES + key.borrowed().text_bytes(), Value::Unread);
        self.insert(Entry { key: key.clone(), hash, stamp: 0, is_changing: true, was_used: false, value, bytes });
    }

    /// Ends the change of an entry: sets its new value, or removes it if there is none.
    pub(super) fn replace(&mut self, hash: u64, key: &Key, stamp: u64, value: Option<Value>) {
        let Some(value) = value else { return self.remove(hash, key.borrowed()) };
        if let Some(entry) = self.get(hash, key.borrowed()) {
            entry.is_changing = false;
            entry.stamp = stamp;
            self.set(hash, key.borrowed(), stamp, |old| *old = value);
        }
    }

    pub(super) fn close(&mut self) {
        *self = Self { is_closed: true, ..Self::new(self.most_bytes) };
    }

    pub(super) fn open(&mut self) {
        self.is_closed = false;
    }

    #[cfg(test)]
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn find(&self, hash: u64, key: KeyRef<'_>) -> Option<usize> {
        self.index
            .find(hash, |&slot| self.slots[slot].as_ref().is_some_and(|entry| entry.key.borrowed() == key))
            .copied()
    }

    fn insert(&mut self, entry: Entry) {
        let hash = entry.hash;
        self.bytes += entry.bytes;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = Some(entry);
                slot
            }
            None => {
                self.slots.push(Some(entry));
                self.slots.len() - 1
            }
        };
        let slots = &self.slots;
        self.index.insert_unique(hash, slot, |&slot| slots[slot].as_ref().map_or(0, |entry| entry.hash));
    }

    fn remove(&mut self, hash: u64, key: KeyRef<'_>) {
        let slots = &self.slots;
        let found =
            self.index.find_entry(hash, |&slot| slots[slot].as_ref().is_some_and(|entry| entry.key.borrowed() == key));
        if let Ok(found) = found {
            let (slot, _) = found.remove();
            self.clear(slot);
        }
    }

    fn clear(&mut self, slot: usize) {
        self.bytes -= self.slots[slot].take().map_or(0, |entry| entry.bytes);
        self.free.push(slot);
    }

    /// Drops entries that were not used lately until the shard fits its bound. Keeps entries that are changing.
    fn shrink(&mut self) {
        // After two rounds, all remaining entries are changing.
        let mut steps = 2 * self.slots.len();
        while self.bytes > self.most_bytes && steps > 0 {
            steps -= 1;
            self.hand = (self.hand + 1) % self.slots.len();
            let Some(entry) = &mut self.slots[self.hand] else { continue };
            if entry.is_changing {
                continue;
            }
            if entry.was_used {
                entry.was_used = false;
                continue;
            }
            let (hash, slot) = (entry.hash, self.hand);
            if let Ok(found) = self.index.find_entry(hash, |&other| other == slot) {
                found.remove();
            }
            self.clear(slot);
        }
    }
}
