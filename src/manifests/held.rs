//! Counts the memory of parsed files for as long as anything holds them.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use uuid::Uuid;

/// The memory of all files that are held, in bytes. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct HeldBytes(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: AtomicU64,
    /// The memory by organisation. Those with none are left out.
    by_owner: Mutex<HashMap<Uuid, u64>>,
}

/// A parsed file whose memory counts until it is dropped.
#[derive(Debug)]
pub struct Held<T> {
    value: T,
    memory_bytes: u64,
    file_bytes: u64,
    owner: Uuid,
    all: HeldBytes,
}

impl HeldBytes {
    /// Returns the memory of all files that are held.
    pub(super) fn bytes(&self) -> u64 {
        self.0.all.load(Ordering::Relaxed)
    }

    /// Returns the memory of the held files of an organisation.
    pub(super) fn bytes_of(&self, owner: Uuid) -> u64 {
        self.0.by_owner.lock().get(&owner).copied().unwrap_or_default()
    }

    /// Counts the memory of a parsed file of an organisation. `file_bytes` is the size of the file.
    pub(super) fn hold<T>(&self, owner: Uuid, value: T, memory_bytes: usize, file_bytes: u64) -> Arc<Held<T>> {
        let memory_bytes = memory_bytes as u64;
        self.0.all.fetch_add(memory_bytes, Ordering::Relaxed);
        *self.0.by_owner.lock().entry(owner).or_default() += memory_bytes;
        Arc::new(Held { value, memory_bytes, file_bytes, owner, all: self.clone() })
    }

    fn release(&self, owner: Uuid, memory_bytes: u64) {
        self.0.all.fetch_sub(memory_bytes, Ordering::Relaxed);
        let mut by_owner = self.0.by_owner.lock();
        if let Some(bytes) = by_owner.get_mut(&owner) {
            *bytes -= memory_bytes;
            if *bytes == 0 {
                by_owner.remove(&owner);
            }
        }
    }
}

impl<T> Held<T> {
    /// Returns the memory that it takes, in bytes.
    #[must_use]
    pub const fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// Returns the size of its file, in bytes.
    #[must_use]
    pub const fn file_bytes(&self) -> u64 {
        self.file_bytes
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        self.all.release(self.owner, self.memory_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_counts_until_its_last_holder_is_gone() {
        let all = HeldBytes::default();
        let (owner, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let one = all.hold(owner, 'a', 100, 7);
        let two = all.hold(other, 'b', 20, 8);
        let bytes = || (all.bytes(), all.bytes_of(owner), all.bytes_of(other));
        assert_eq!((bytes(), one.file_bytes(), one.memory_bytes(), **one), ((120, 100, 20), 7, 100, 'a'));
        let again = Arc::clone(&one);
        drop(one);
        assert_eq!(bytes(), (120, 100, 20));
        drop(again);
        assert_eq!(bytes(), (20, 0, 20));
        drop(two);
        assert_eq!(bytes(), (0, 0, 0));
        assert!(all.0.by_owner.lock().is_empty());
    }
}
