//! Places in the data manifests of a scan.

use serde::{Deserialize, Serialize};

/// A place in the data manifests of a scan: before an entry of a manifest. Manifests are immutable, so it stays the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Position {
    /// The index of the manifest.
    pub(super) manifest: u32,
    /// The index of the entry in it.
    pub(super) entry: u32,
}

impl Position {
    /// The first place.
    pub(super) const START: Self = Self { manifest: 0, entry: 0 };

    /// Returns the place before the first entry of a manifest.
    pub(super) const fn before(manifest: u32) -> Self {
        Self { manifest, entry: 0 }
    }
}

/// A manifest that a scan must read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Weighed {
    /// Its index among the data manifests of the scan.
    pub(super) index: u32,
    /// The number of its entries, by its manifest list. `None` if the list does not say.
    pub(super) entries: Option<u32>,
}

/// Splits the manifests from `start` into ranges of about `usual` entries each, or of more entries, so that there are at most `most` ranges
/// (or four). A manifest with more entries is split between its entries. Each range ends before the position with it.
pub(super) fn split(manifests: &[Weighed], start: Position, usual: u64, most: usize) -> Vec<(Position, Position)> {
    let rest = || manifests.iter().filter(|manifest| manifest.index >= start.manifest);
    let skipped = |manifest: &Weighed| if manifest.index == start.manifest { start.entry } else { 0 };
    let left = |manifest: &Weighed| {
        let known = manifest.entries.map(|entries| u64::from(entries.saturating_sub(skipped(manifest))));
        known.unwrap_or(usual)
    };
    let total: u64 = rest().map(left).sum();
    // A range ends early if the next manifest does not fit, so there may be three times as many as whole ones.
    let size = usual.max(total.div_ceil((most as u64 / 3).max(1))).max(1);
    let mut ranges = Vec::new();
    let (mut from, mut filled) = (None, 0);
    for manifest in rest() {
        let mut at = Position { manifest: manifest.index, entry: skipped(manifest) };
        let mut left = left(manifest);
        if left == 0 {
            continue;
        }
        let begun = *from.get_or_insert(at);
        // Cut only manifests with a known number of entries, and only where a range would become much too large.
        if filled > 0 && filled + left > size {
            ranges.push((begun, at));
            (from, filled) = (Some(at), 0);
        }
        while manifest.entries.is_some() && left > size {
            let next = Position { entry: at.entry + u32::try_from(size).unwrap_or(u32::MAX), ..at };
            ranges.push((at, next));
            (at, left, from) = (next, left - size, Some(next));
        }
        filled += left;
        if filled >= size {
            ranges.push((from.unwrap_or(at), Position::before(manifest.index + 1)));
            (from, filled) = (None, 0);
        }
    }
    if let (Some(from), Some(last)) = (from, manifests.last()) {
        ranges.push((from, Position::before(last.index + 1)));
    }
    ranges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weighed(entries: &[Option<u32>]) -> Vec<Weighed> {
        (0..).zip(entries).map(|(index, entries)| Weighed { index, entries: *entries }).collect()
    }

    #[test]
    fn manifests_are_packed_and_large_ones_are_cut() {
        let manifests = weighed(&[Some(4), Some(5), Some(25), None, Some(1)]);
        let at = |manifest, entry| Position { manifest, entry };
        let expected = [
            (at(0, 0), at(2, 0)),
            (at(2, 0), at(2, 10)),
            (at(2, 10), at(2, 20)),
            (at(2, 20), at(3, 0)),
            (at(3, 0), at(4, 0)),
            (at(4, 0), at(5, 0)),
        ];
        assert_eq!(split(&manifests, Position::START, 10, 100), expected);
        assert_eq!(split(&manifests, at(2, 20), 10, 100), &expected[3..]);
        assert_eq!(split(&manifests, Position::START, 10, 6).len(), 3);
        assert_eq!(split(&manifests, at(5, 0), 10, 100), []);
    }

    proptest! {
        #[test]
        fn ranges_cover_every_entry_once(
            entries in prop::collection::vec(prop::option::weighted(0.9, 0u32..40), 0..20),
            (size, most) in (1u64..30, 1usize..30),
            (first, skip) in (0u32..20, 0u32..40),
        ) {
            let manifests = weighed(&entries);
            let start = Position { manifest: first, entry: skip };
            let ranges = split(&manifests, start, size, most);
            for (from, to) in &ranges {
                prop_assert!(from < to);
            }
            for pair in ranges.windows(2) {
                prop_assert!(pair[0].1 <= pair[1].0, "{pair:?}");
            }
            for Weighed { index, entries } in manifests {
                for entry in 0..entries.unwrap_or(3) {
                    let at = Position { manifest: index, entry };
                    let times = ranges.iter().filter(|(from, to)| *from <= at && at < *to).count();
                    prop_assert_eq!(times, usize::from(at >= start), "{:?} {:?}", at, ranges);
                }
            }
            prop_assert!(ranges.len() <= most.max(4), "{} of {most}", ranges.len());
        }
    }
}
