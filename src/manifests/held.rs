//! Counts the memory of parsed files for as long as anything holds them.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The memory of all files that are held, in bytes. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct HeldBytes(Arc<AtomicU64>);

/// A parsed file whose memory counts until it is dropped.
#[derive(Debug)]
pub struct Held<T> {
    value: T,
    memory_bytes: u64,
    file_bytes: u64,
    all: HeldBytes,
}

impl HeldBytes {
    /// Returns the memory of all files that are held.
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts the memory of a parsed file. `file_bytes` is the size of the file.
    pub(super) fn hold<T>(&self, value: T, memory_bytes: usize, file_bytes: u64) -> Arc<Held<T>> {
        let memory_bytes = memory_bytes as u64;
        self.0.fetch_add(memory_bytes, Ordering::Relaxed);
        Arc::new(Held { value, memory_bytes, file_bytes, all: self.clone() })
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
        self.all.0.fetch_sub(self.memory_bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_counts_until_its_last_holder_is_gone() {
        let all = HeldBytes::default();
        let one = all.hold('a', 100, 7);
        let two = all.hold('b', 20, 8);
        assert_eq!((all.bytes(), one.file_bytes(), one.memory_bytes(), **one), (120, 7, 100, 'a'));
        let again = Arc::clone(&one);
        drop(one);
        assert_eq!(all.bytes(), 120);
        drop(again);
        assert_eq!(all.bytes(), 20);
        drop(two);
        assert_eq!(all.bytes(), 0);
    }
}
