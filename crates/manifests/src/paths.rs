//! Columns of paths. The text that all begin or end with is stored once.

use std::fmt;

use crate::presence::{Presence, SeenRows};

/// A path: the text that all paths of a manifest begin with, its own text, and the text that all end with.
#[derive(Debug, Clone, Copy, Default)]
pub struct FilePath<'a> {
    prefix: &'a str,
    middle: &'a str,
    suffix: &'a str,
}

impl<'a> FilePath<'a> {
    /// Returns its parts. The path is their concatenation.
    #[must_use]
    pub const fn parts(&self) -> [&'a str; 3] {
        [self.prefix, self.middle, self.suffix]
    }

    /// Returns its length in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.prefix.len() + self.middle.len() + self.suffix.len()
    }

    /// Returns whether it has no text.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for FilePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().iter().try_for_each(|part| f.write_str(part))
    }
}

impl From<FilePath<'_>> for String {
    fn from(path: FilePath<'_>) -> Self {
        path.parts().concat()
    }
}

impl PartialEq<str> for FilePath<'_> {
    fn eq(&self, other: &str) -> bool {
        let rest = other.strip_prefix(self.prefix).and_then(|rest| rest.strip_suffix(self.suffix));
        rest == Some(self.middle)
    }
}

impl PartialEq<&str> for FilePath<'_> {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

/// A column of paths, of which some are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathColumn {
    presence: Presence,
    prefix: Box<str>,
    suffix: Box<str>,
    /// The own texts of all paths.
    middles: Box<str>,
    /// The end of each own text. Empty if all have the length `width`.
    ends: Box<[u32]>,
    width: usize,
}

impl PathColumn {
    /// Returns the path of a row.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> Option<FilePath<'_>> {
        let position = self.presence.position(row)?;
        let (begin, end) = if self.ends.is_empty() {
            (position * self.width, (position + 1) * self.width)
        } else {
            let begin = position.checked_sub(1).and_then(|before| self.ends.get(before)).copied();
            (begin.unwrap_or_default() as usize, *self.ends.get(position)? as usize)
        };
        Some(FilePath { prefix: &self.prefix, middle: self.middles.get(begin..end)?, suffix: &self.suffix })
    }

    /// Returns the memory behind it, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let texts = self.prefix.len() + self.suffix.len() + self.middles.len();
        self.presence.heap_bytes() + texts + size_of_val(&*self.ends)
    }
}

/// Collects a column of paths, row by row.
#[derive(Debug, Default)]
pub(crate) struct PathsBuilder {
    seen: SeenRows,
    texts: String,
    ends: Vec<u32>,
    prefix: usize,
    suffix: usize,
    shortest: usize,
}

impl PathsBuilder {
    /// Sets the path of a row. Rows must come in order, each at most once.
    #[expect(clippy::cast_possible_truncation, reason = "a manifest unpacks to less than 4 GiB")]
    pub(crate) fn set(&mut self, row: u32, path: &str) {
        if !self.seen.add(row) {
            return;
        }
        self.texts.push_str(path);
        self.ends.push(self.texts.len() as u32);
        if let [first] = *self.ends {
            (self.prefix, self.suffix, self.shortest) = (first as usize, first as usize, first as usize);
            return;
        }
        let first = &self.texts.as_bytes()[..self.ends[0] as usize];
        let path = path.as_bytes();
        self.shortest = self.shortest.min(path.len());
        if !path.starts_with(&first[..self.prefix]) {
            self.prefix = first[..self.prefix].iter().zip(path).take_while(|(one, two)| one == two).count();
        }
        if !path.ends_with(&first[first.len() - self.suffix..]) {
            let same = first[first.len() - self.suffix..].iter().rev().zip(path.iter().rev());
            self.suffix = same.take_while(|(one, two)| one == two).count();
        }
    }

    /// Returns the column of so many rows. None if no row has a path.
    pub(crate) fn finish(self, rows: usize) -> Option<PathColumn> {
        let first = &self.texts[..*self.ends.first()? as usize];
        let prefix = first.floor_char_boundary(self.prefix);
        let suffix = self.suffix.min(self.shortest - prefix);
        let suffix = first.len() - first.ceil_char_boundary(first.len() - suffix);
        let own = |position: usize| {
            let begin = position.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
            &self.texts[begin + prefix..self.ends[position] as usize - suffix]
        };
        let (presence, spread) = self.seen.finish(rows);
        let mut middles = String::with_capacity(self.texts.len() - self.ends.len() * (prefix + suffix));
        let mut ends = Vec::with_capacity(self.ends.len());
        let width = own(0).len();
        let mut is_uniform = true;
        spread.for_each(self.ends.len(), |position| {
            let middle = own(position.unwrap_or_default());
            middles.push_str(if position.is_some() { middle } else { "" });
            is_uniform &= position.is_some() && middle.len() == width;
            ends.push(u32::try_from(middles.len()).unwrap_or(u32::MAX));
        });
        let ends = if is_uniform { Box::default() } else { ends.into() };
        let (prefix, suffix) = (first[..prefix].into(), first[first.len() - suffix..].into());
        Some(PathColumn { presence, prefix, suffix, middles: middles.into(), ends, width })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn column(paths: &[Option<String>]) -> Option<PathColumn> {
        let mut builder = PathsBuilder::default();
        for (row, path) in paths.iter().enumerate() {
            if let Some(path) = path {
                builder.set(row as u32, path);
            }
        }
        builder.finish(paths.len())
    }

    #[test]
    fn common_begin_and_end_of_paths_are_stored_once() {
        let paths: Vec<_> = (0..1_000).map(|row| Some(format!("s3://bucket/table/data/{row:05}.parquet"))).collect();
        let column = column(&paths).unwrap();
        assert!(column.heap_bytes() < 5_100, "{}", column.heap_bytes());
        let path = column.get(7).unwrap();
        assert!(path == "s3://bucket/table/data/00007.parquet" && path != "s3://bucket/table/data/00008.parquet");
        assert_eq!((path.to_string().len(), path.is_empty()), (path.len(), false));
    }

    proptest! {
        #[test]
        fn column_returns_the_paths_that_were_set(
            paths in prop::collection::vec(prop::option::weighted(0.8, "(aé|aè|a){0,3}[bé]{0,2}(xé|yé|é){0,2}"), 0..50),
        ) {
            let column = column(&paths);
            for (row, path) in paths.iter().enumerate() {
                let found = column.as_ref().and_then(|column| column.get(row)).map(|path| path.to_string());
                prop_assert_eq!(&found, path);
            }
        }
    }
}
