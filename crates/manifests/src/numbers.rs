//! Columns of whole numbers, in as few bytes as their range needs.

use crate::presence::{Presence, SeenRows};

/// Numbers in as few bytes as their range needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packed {
    /// All are the same.
    Same(i64),
    /// Differences to the smallest.
    U8(i64, Box<[u8]>),
    /// Differences to the smallest.
    U16(i64, Box<[u16]>),
    /// Differences to the smallest.
    U32(i64, Box<[u32]>),
    /// The numbers.
    I64(Box<[i64]>),
}

impl Packed {
    /// Packs numbers.
    pub(crate) fn new(numbers: impl Iterator<Item = i64> + Clone) -> Self {
        let bounds = numbers.clone().fold(None, |bounds: Option<(i64, i64)>, number| {
            Some(bounds.map_or((number, number), |(least, most)| (least.min(number), most.max(number))))
        });
        let (least, most) = bounds.unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
        match most.checked_sub(least) {
            Some(0) => Self::Same(least),
            Some(0..=0xff) => Self::U8(least, numbers.map(|number| (number - least) as u8).collect()),
            Some(0..=0xffff) => Self::U16(least, numbers.map(|number| (number - least) as u16).collect()),
            Some(0..=0xffff_ffff) => Self::U32(least, numbers.map(|number| (number - least) as u32).collect()),
            _ => Self::I64(numbers.collect()),
        }
    }

    /// Returns the number at a position; 0 behind the last.
    #[inline]
    pub(crate) fn get(&self, position: usize) -> i64 {
        match self {
            Self::Same(number) => *number,
            Self::U8(least, numbers) => numbers.get(position).map_or(0, |number| least + i64::from(*number)),
            Self::U16(least, numbers) => numbers.get(position).map_or(0, |number| least + i64::from(*number)),
            Self::U32(least, numbers) => numbers.get(position).map_or(0, |number| least + i64::from(*number)),
            Self::I64(numbers) => numbers.get(position).copied().unwrap_or_default(),
        }
    }

    /// Returns the memory behind it, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Same(_) => 0,
            Self::U8(_, numbers) => size_of_val(&**numbers),
            Self::U16(_, numbers) => size_of_val(&**numbers),
            Self::U32(_, numbers) => size_of_val(&**numbers),
            Self::I64(numbers) => size_of_val(&**numbers),
        }
    }
}

/// A column of numbers, of which some are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Numbers {
    presence: Presence,
    packed: Packed,
}

impl Numbers {
    /// Returns the number of a row.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> Option<i64> {
        Some(self.packed.get(self.presence.position(row)?))
    }

    /// Returns the memory behind it, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.presence.heap_bytes() + self.packed.heap_bytes()
    }
}

/// Collects a column of numbers, row by row.
#[derive(Debug, Default)]
pub(crate) struct NumbersBuilder {
    seen: SeenRows,
    numbers: Staged,
}

/// Numbers that are read. Most are small.
#[derive(Debug)]
enum Staged {
    Small(Vec<u32>),
    Large(Vec<i64>),
}

impl Default for Staged {
    fn default() -> Self {
        Self::Small(Vec::new())
    }
}

impl NumbersBuilder {
    /// Sets the number of a row. Rows must come in order; of two numbers for one row the second counts.
    #[inline]
    pub(crate) fn set(&mut self, row: u32, number: i64) {
        let is_new = self.seen.add(row);
        if let (Staged::Small(numbers), Ok(small)) = (&mut self.numbers, u32::try_from(number)) {
            match numbers.last_mut() {
                Some(last) if !is_new => *last = small,
                _ => numbers.push(small),
            }
        } else {
            self.set_large(is_new, number);
        }
    }

    #[cold]
    fn set_large(&mut self, is_new: bool, number: i64) {
        if let Staged::Small(numbers) = &self.numbers {
            self.numbers = Staged::Large(numbers.iter().copied().map(i64::from).collect());
        }
        if let Staged::Large(numbers) = &mut self.numbers {
            match numbers.last_mut() {
                Some(last) if !is_new => *last = number,
                _ => numbers.push(number),
            }
        }
    }

    /// Returns the column of so many rows. None if no row has a number.
    pub(crate) fn finish(self, rows: usize) -> Option<Numbers> {
        let count = self.seen.len();
        if count == 0 {
            return None;
        }
        let (presence, spread) = self.seen.finish(rows);
        let at = |position: usize| match &self.numbers {
            Staged::Small(numbers) => i64::from(numbers[position]),
            Staged::Large(numbers) => numbers[position],
        };
        let packed = if matches!(presence, Presence::Bits(_)) {
            // A filler must not widen the range.
            let mut spread_out = Vec::with_capacity(rows);
            spread.for_each(count, |position| spread_out.push(at(position.unwrap_or_default())));
            Packed::new(spread_out.into_iter())
        } else {
            match &self.numbers {
                Staged::Small(numbers) => Packed::new(numbers.iter().copied().map(i64::from)),
                Staged::Large(numbers) => Packed::new(numbers.iter().copied()),
            }
        };
        Some(Numbers { presence, packed })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_take_as_few_bytes_as_their_range_needs() {
        let packed = |numbers: &[i64]| Packed::new(numbers.iter().copied());
        assert!(matches!(packed(&[]), Packed::Same(0)));
        assert!(matches!(packed(&[i64::MIN, i64::MIN]), Packed::Same(i64::MIN)));
        assert_eq!(packed(&[1 << 60, (1 << 60) + 255]).heap_bytes(), 2);
        assert_eq!(packed(&[0, 256]).heap_bytes(), 4);
        assert_eq!(packed(&[-1, 0xffff]).heap_bytes(), 8);
        assert_eq!(packed(&[-1, i64::MAX]).heap_bytes(), 16);
    }

    proptest! {
        #[test]
        fn column_returns_the_numbers_that_were_set(
            rows in prop::collection::vec(prop::option::weighted(0.6, prop_oneof![
                0_i64..9, 0_i64..70_000, any::<i64>()
            ]), 0..300),
        ) {
            let mut builder = NumbersBuilder::default();
            for (row, number) in rows.iter().enumerate() {
                if let Some(number) = number {
                    builder.set(row as u32, number.wrapping_add(1));
                    builder.set(row as u32, *number);
                }
            }
            let column = builder.finish(rows.len());
            prop_assert_eq!(column.is_none(), rows.iter().all(Option::is_none));
            for (row, number) in rows.iter().enumerate() {
                prop_assert_eq!(column.as_ref().and_then(|column| column.get(row)), *number);
            }
        }
    }
}
