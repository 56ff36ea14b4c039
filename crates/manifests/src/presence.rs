//! Which rows of a column have a value.

/// Which rows of a finished column have a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presence {
    /// All rows. Values are in the order of the rows.
    All,
    /// The rows with their bit set. There is a value, or a filler, for each row.
    Bits(Box<[u64]>),
    /// The rows in this list, in order. There is a value for each.
    Rows(Box<[u32]>),
}

impl Presence {
    /// Returns the position of the value of a row. None if the row has no value.
    #[inline]
    pub(crate) fn position(&self, row: usize) -> Option<usize> {
        match self {
            Self::All => Some(row),
            Self::Bits(bits) => (bits.get(row / 64)? >> (row % 64) & 1 == 1).then_some(row),
            Self::Rows(rows) => rows.binary_search(&u32::try_from(row).ok()?).ok(),
        }
    }

    /// Returns the memory behind it, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::All => 0,
            Self::Bits(bits) => size_of_val(&**bits),
            Self::Rows(rows) => size_of_val(&**rows),
        }
    }
}

/// Which rows of a column have a value, while they are read in order.
#[derive(Debug)]
pub(crate) enum SeenRows {
    /// The first so many.
    First(u32),
    /// Those of the list.
    Listed(Vec<u32>),
}

impl Default for SeenRows {
    fn default() -> Self {
        Self::First(0)
    }
}

impl SeenRows {
    /// Adds a row. Returns false if it was the last one that was added.
    #[inline]
    pub(crate) fn add(&mut self, row: u32) -> bool {
        match self {
            Self::First(count) if row == *count => *count += 1,
            Self::First(count) if row < *count => return false,
            Self::First(count) => {
                let mut rows: Vec<u32> = (0..*count).collect();
                rows.push(row);
                *self = Self::Listed(rows);
            }
            Self::Listed(rows) if rows.last().is_some_and(|last| *last >= row) => return false,
            Self::Listed(rows) => rows.push(row),
        }
        true
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::First(count) => *count as usize,
            Self::Listed(rows) => rows.len(),
        }
    }

    /// Returns the presence in a column of so many rows. With `Bits`, the values must be spread, as `spread` does.
    pub(crate) fn finish(self, rows: usize) -> (Presence, SpreadOver) {
        let listed = match self {
            Self::First(count) if count as usize == rows => return (Presence::All, SpreadOver(None)),
            Self::First(count) => (0..count).collect(),
            Self::Listed(listed) => listed,
        };
        // A list takes 4 bytes for each value, bits need a filler for each row without one.
        if listed.len() < rows / 2 {
            return (Presence::Rows(listed.into()), SpreadOver(None));
        }
        let mut bits = vec![0_u64; rows.div_ceil(64)];
        for row in &listed {
            bits[*row as usize / 64] |= 1 << (row % 64);
        }
        (Presence::Bits(bits.into()), SpreadOver(Some((listed, rows))))
    }
}

/// Says where the values of a column go.
pub(crate) struct SpreadOver(Option<(Vec<u32>, usize)>);

impl SpreadOver {
    /// Calls `put` with the position of each value in order, or with none for a filler.
    pub(crate) fn for_each(&self, values: usize, mut put: impl FnMut(Option<usize>)) {
        let Some((listed, rows)) = &self.0 else { return (0..values).for_each(|position| put(Some(position))) };
        let mut next = 0;
        for row in 0..*rows {
            let is_listed = listed.get(next).is_some_and(|listed| *listed as usize == row);
            put(is_listed.then_some(next));
            next += usize::from(is_listed);
        }
    }
}
