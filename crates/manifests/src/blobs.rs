//! Columns of byte strings: bounds of statistics, and lists in their encoded form. Equal values are stored once where that saves
//! memory.

use std::collections::HashMap;

use crate::numbers::Packed;
use crate::presence::{Presence, SeenRows};

/// How many values are looked at to decide whether equal ones are worth a search.
const SAMPLE: usize = 256;

/// Byte strings.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Blobs {
    /// All have the same length.
    Uniform { width: usize, bytes: Box<[u8]> },
    /// The end of each in all bytes.
    Variable { ends: Box<[u32]>, bytes: Box<[u8]> },
    /// The position of each in the distinct ones.
    Distinct { codes: Packed, values: Box<Blobs> },
}

impl Blobs {
    fn get(&self, position: usize) -> &[u8] {
        match self {
            Self::Uniform { width, bytes } => bytes.get(position * width..(position + 1) * width).unwrap_or_default(),
            Self::Variable { ends, bytes } => {
                let begin = position.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or_default();
                let end = ends.get(position).copied().unwrap_or_default();
                bytes.get(begin as usize..end as usize).unwrap_or_default()
            }
            Self::Distinct { codes, values } => {
                usize::try_from(codes.get(position)).map_or(&[], |code| values.get(code))
            }
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Self::Uniform { bytes, .. } => bytes.len(),
            Self::Variable { ends, bytes } => size_of_val(&**ends) + bytes.len(),
            Self::Distinct { codes, values } => codes.heap_bytes() + size_of::<Self>() + values.heap_bytes(),
        }
    }
}

/// A column of byte strings, of which some are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlobColumn {
    presence: Presence,
    blobs: Blobs,
}

impl BlobColumn {
    /// Returns the bytes of a row.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> Option<&[u8]> {
        Some(self.blobs.get(self.presence.position(row)?))
    }

    /// Returns the memory behind it, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.presence.heap_bytes() + self.blobs.heap_bytes()
    }
}

/// Byte strings, one behind the other.
#[derive(Debug, Default)]
struct Staged {
    bytes: Vec<u8>,
    count: usize,
    /// The length of each, as long as all have the same.
    width: usize,
    /// The end of each, once lengths differ.
    ends: Option<Vec<u32>>,
}

impl Staged {
    #[expect(clippy::cast_possible_truncation, reason = "a manifest unpacks to less than 4 GiB")]
    fn push(&mut self, value: &[u8]) {
        if self.count == 0 {
            self.width = value.len();
        }
        if value.len() != self.width && self.ends.is_none() {
            self.ends = Some((1..=self.count).map(|count| (count * self.width) as u32).collect());
        }
        self.bytes.extend_from_slice(value);
        self.count += 1;
        if let Some(ends) = &mut self.ends {
            ends.push(self.bytes.len() as u32);
        }
    }

    /// Removes the last value.
    fn pop(&mut self) {
        self.bytes.truncate(self.begin(self.count.saturating_sub(1)));
        self.count = self.count.saturating_sub(1);
        if let Some(ends) = &mut self.ends {
            ends.truncate(self.count);
        }
    }

    fn begin(&self, position: usize) -> usize {
        match &self.ends {
            None => position * self.width,
            Some(ends) => position.checked_sub(1).map_or(0, |before| ends[before] as usize),
        }
    }

    fn get(&self, position: usize) -> &[u8] {
        &self.bytes[self.begin(position)..self.begin(position + 1)]
    }

    fn finish(self) -> Blobs {
        self.distinct().unwrap_or_else(|| self.plain())
    }

    fn plain(self) -> Blobs {
        let bytes = self.bytes.into();
        match self.ends {
            None => Blobs::Uniform { width: self.width, bytes },
            Some(ends) => Blobs::Variable { ends: ends.into(), bytes },
        }
    }

    /// Returns the values with equal ones stored once, if that takes clearly less memory.
    fn distinct(&self) -> Option<Blobs> {
        let sample = self.count.min(SAMPLE);
        let mut codes: HashMap<&[u8], u32> = HashMap::new();
        for position in 0..sample {
            codes.insert(self.get(position * (self.count / sample)), 0);
            if codes.len() > sample.div_ceil(4) {
                return None;
            }
        }
        codes.clear();
        let mut values = Self::default();
        let mut coded = Vec::with_capacity(self.count);
        for position in 0..self.count {
            let value = self.get(position);
            let next = u32::try_from(values.count).ok()?;
            let code = *codes.entry(value).or_insert_with(|| {
                values.push(value);
                next
            });
            if values.count > self.count.div_ceil(2) {
                return None;
            }
            coded.push(code);
        }
        let codes = Packed::new(coded.into_iter().map(i64::from));
        let distinct = Blobs::Distinct { codes, values: Box::new(values.plain()) };
        let plain_bytes = self.bytes.len() + self.ends.as_ref().map_or(0, |ends| size_of_val(&**ends));
        (distinct.heap_bytes() < plain_bytes).then_some(distinct)
    }
}

/// Collects a column of byte strings, row by row.
#[derive(Debug, Default)]
pub(crate) struct BlobsBuilder {
    seen: SeenRows,
    staged: Staged,
}

impl BlobsBuilder {
    /// Sets the bytes of a row. Rows must come in order; of two values for one row the second counts.
    #[inline]
    pub(crate) fn set(&mut self, row: u32, value: &[u8]) {
        if !self.seen.add(row) {
            self.staged.pop();
        }
        self.staged.push(value);
    }

    /// Returns the column of so many rows. None if no row has a value.
    pub(crate) fn finish(self, rows: usize) -> Option<BlobColumn> {
        let count = self.seen.len();
        if count == 0 {
            return None;
        }
        let (presence, spread) = self.seen.finish(rows);
        let staged = if matches!(presence, Presence::Bits(_)) {
            let filler = if self.staged.ends.is_none() { self.staged.get(0) } else { &[] };
            let mut spread_out = Staged::default();
            spread.for_each(count, |position| {
                spread_out.push(position.map_or(filler, |position| self.staged.get(position)));
            });
            spread_out
        } else {
            self.staged
        };
        Some(BlobColumn { presence, blobs: staged.finish() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn column(values: impl Iterator<Item = Vec<u8>>) -> BlobColumn {
        let mut builder = BlobsBuilder::default();
        let mut rows = 0;
        for value in values {
            builder.set(rows, &value);
            rows += 1;
        }
        builder.finish(rows as usize).unwrap()
    }

    #[test]
    fn equal_values_are_stored_once_and_equal_lengths_need_no_ends() {
        let same = column((0..1_000).map(|_| b"2026-01-01".to_vec()));
        assert!(same.heap_bytes() < 100, "{}", same.heap_bytes());
        let few = column((0..1_000_u32).map(|row| format!("region-{}", row % 3).into_bytes()));
        assert!(few.heap_bytes() < 1_200, "{}", few.heap_bytes());
        let numbers = column((0..1_000_u32).map(|row| row.to_le_bytes().to_vec()));
        assert_eq!(numbers.heap_bytes(), 4_000);
    }

    proptest! {
        #[test]
        fn column_returns_the_values_that_were_set(
            rows in prop::collection::vec(
                prop::option::weighted(0.6, prop_oneof![
                    Just(vec![1, 2, 3]), prop::collection::vec(any::<u8>(), 3), prop::collection::vec(any::<u8>(), 0..9),
                ]),
                0..300,
            ),
        ) {
            let mut builder = BlobsBuilder::default();
            for (row, value) in rows.iter().enumerate() {
                if let Some(value) = value {
                    builder.set(row as u32, b"another");
                    builder.set(row as u32, value);
                }
            }
            let column = builder.finish(rows.len());
            prop_assert_eq!(column.is_none(), rows.iter().all(Option::is_none));
            for (row, value) in rows.iter().enumerate() {
                prop_assert_eq!(column.as_ref().and_then(|column| column.get(row)), value.as_deref());
            }
        }
    }
}
