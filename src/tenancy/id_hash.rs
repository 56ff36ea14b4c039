//! A hasher for map keys that consist of ids.
//!
//! The server creates these ids with 74 random bits each, so no client can choose ids with the same hash. This hasher needs fewer
//! instructions than the standard one, and every request uses it twice.

use std::hash::{BuildHasherDefault, Hasher};

/// A map from ids of organisations or keys.
pub(super) type BuildIdHasher = BuildHasherDefault<IdHasher>;

/// Mixes words by multiplication.
#[derive(Debug, Default)]
pub(super) struct IdHasher(u64);

impl IdHasher {
    /// 2^64 divided by the golden ratio: an odd number without a pattern.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

    const fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(Self::FACTOR);
    }
}

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(size_of::<u64>()) {
            let mut word = [0; size_of::<u64>()];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn write_i64(&mut self, word: i64) {
        self.mix(word.cast_unsigned());
    }

    /// Ignores the length of an id, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        // A map uses the lowest bits, which one multiplication mixes least.
        let mixed = (self.0 ^ self.0 >> 32).wrapping_mul(Self::FACTOR);
        mixed ^ mixed >> 32
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasher, Hash};

    use tidewater_core::ids::{KeyId, OrganisationId};
    use uuid::Uuid;

    use super::*;

    fn hash(key: impl Hash) -> u64 {
        BuildIdHasher::default().hash_one(key)
    }

    #[test]
    fn ids_that_differ_in_one_bit_have_other_slots() {
        let slots: HashSet<u64> = (0..128).map(|bit| hash(OrganisationId(Uuid::from_u128(1 << bit))) % 4_096).collect();
        assert!(slots.len() > 110, "{}", slots.len());
    }

    #[test]
    fn each_part_of_a_key_counts() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let key = |organisation, key, day: i64| hash((OrganisationId(organisation), KeyId(key), day));
        let all: HashSet<u64> =
            [key(one, one, 1), key(one, one, 2), key(one, other, 1), key(other, one, 1)].into_iter().collect();
        assert_eq!(all.len(), 4);
    }
}
