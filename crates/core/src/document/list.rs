//! Lists of JSON objects, each kept as text with a small typed view.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::DocumentError;

/// The number of elements in one chunk of text. Appending copies at most one chunk; cloning a list copies one pointer per
/// chunk; writing it copies each chunk once.
const CHUNK_LEN: usize = 64;

/// A list of JSON objects. Cloning, appending and writing are cheap. Clones share their common elements.
#[derive(Clone)]
pub struct List<T> {
    chunks: Vec<Arc<Chunk<T>>>,
    len: usize,
}

#[derive(Clone)]
struct Chunk<T> {
    /// The texts of the elements, separated by commas.
    text: String,
    entries: Vec<Entry<T>>,
}

#[derive(Clone)]
struct Entry<T> {
    value: T,
    start: usize,
    end: usize,
}

impl<T> Chunk<T> {
    fn push(&mut self, value: T, json: &str) {
        if !self.entries.is_empty() {
            self.text.push(',');
        }
        let start = self.text.len();
        self.text.push_str(json);
        self.entries.push(Entry { value, start, end: self.text.len() });
    }

    fn elements(&self) -> impl DoubleEndedIterator<Item = Element<'_, T>> {
        self.entries.iter().map(|entry| Element { value: &entry.value, json: &self.text[entry.start..entry.end] })
    }
}

/// One element of a [`List`]: its typed view (which it dereferences to) and its text.
#[derive(Debug)]
pub struct Element<'a, T> {
    /// The fields that rules need.
    pub value: &'a T,
    /// Its JSON, unchanged.
    pub json: &'a str,
}

impl<T> Clone for Element<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Element<'_, T> {}

impl<T> Deref for Element<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<T: fmt::Debug> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|element| element.value)).finish()
    }
}

impl<T> List<T> {
    /// Returns the number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the elements in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Element<'_, T>> {
        self.chunks.iter().flat_map(|chunk| chunk.elements())
    }

    /// Returns the last element.
    #[must_use]
    pub fn last(&self) -> Option<Element<'_, T>> {
        self.iter().next_back()
    }

    /// Returns an estimate of the list's heap memory, in bytes, as if it shared nothing.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let chunk = |chunk: &Arc<Chunk<T>>| {
            size_of::<Chunk<T>>() + chunk.text.capacity() + chunk.entries.capacity() * size_of::<Entry<T>>()
        };
        self.chunks.iter().map(|one| chunk(one) + size_of::<usize>() * 3).sum()
    }

    /// Returns the length of the list's JSON, in bytes.
    pub(crate) fn json_len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.text.len() + 1).sum::<usize>() + 2
    }

    /// Appends the list to `out` as a JSON array.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (position, chunk) in self.chunks.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            out.extend_from_slice(chunk.text.as_bytes());
        }
        out.push(b']');
    }
}

impl<T: Clone> List<T> {
    /// Creates a list from the texts of its elements. `read` returns an element's view, and the text to keep.
    pub(crate) fn parse<'t, F>(texts: &[&'t str], mut read: F) -> Result<Self, DocumentError>
    where
        F: FnMut(&'t str) -> Result<(T, Cow<'t, str>), DocumentError>,
    {
        let mut list = Self { chunks: Vec::with_capacity(texts.len().div_ceil(CHUNK_LEN)), len: texts.len() };
        for part in texts.chunks(CHUNK_LEN) {
            let text_len = part.iter().map(|text| text.len() + 1).sum();
            let mut chunk = Chunk { text: String::with_capacity(text_len), entries: Vec::with_capacity(part.len()) };
            for text in part {
                let (value, json) = read(text)?;
                chunk.push(value, &json);
            }
            list.chunks.push(Arc::new(chunk));
        }
        Ok(list)
    }

    /// Appends an element.
    pub(crate) fn push(&mut self, value: T, json: &str) {
        match self.chunks.last_mut() {
            Some(last) if last.entries.len() < CHUNK_LEN => Arc::make_mut(last).push(value, json),
            _ => {
                let mut chunk = Chunk { text: String::new(), entries: Vec::new() };
                chunk.push(value, json);
                self.chunks.push(Arc::new(chunk));
            }
        }
        self.len += 1;
    }

    /// Replaces the texts of the elements for which `change` returns one.
    pub(crate) fn rewrite<F>(&mut self, mut change: F) -> Result<(), DocumentError>
    where
        F: FnMut(&str) -> Result<Option<String>, DocumentError>,
    {
        let old = std::mem::take(self);
        for element in old.iter() {
            let changed = change(element.json)?;
            self.push(element.value.clone(), changed.as_deref().unwrap_or(element.json));
        }
        Ok(())
    }

    /// Keeps the elements for which `keep` returns `true`; calls it once for each, in order. Returns whether any was removed.
    pub(crate) fn retain<F: FnMut(&T) -> bool>(&mut self, mut keep: F) -> bool {
        let before = self.len;
        let old = std::mem::take(self);
        let mut kept_flags = Vec::with_capacity(CHUNK_LEN);
        for chunk in old.chunks {
            kept_flags.clear();
            kept_flags.extend(chunk.entries.iter().map(|entry| keep(&entry.value)));
            if kept_flags.iter().all(|kept| *kept) {
                self.len += chunk.entries.len();
                self.chunks.push(chunk);
                continue;
            }
            let mut rest = Chunk { text: String::new(), entries: Vec::new() };
            for (element, _) in chunk.elements().zip(&kept_flags).filter(|(_, kept)| **kept) {
                rest.push(element.value.clone(), element.json);
            }
            if !rest.entries.is_empty() {
                self.len += rest.entries.len();
                self.chunks.push(Arc::new(rest));
            }
        }
        // Many removals leave many short chunks. Merges them before they cost more than they save.
        if self.chunks.len() > 2 + 4 * self.len / CHUNK_LEN {
            let sparse = std::mem::take(self);
            for element in sparse.iter() {
                self.push(element.value.clone(), element.json);
            }
        }
        self.len != before
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(list: &List<i64>) -> String {
        let mut out = Vec::new();
        list.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn list_behaves_like_a_vector_and_does_not_change_its_clones(
            start in 0_i64..300,
            steps in prop::collection::vec((any::<bool>(), 2_i64..7), 0..60),
        ) {
            let texts: Vec<String> = (0..start).map(|value| value.to_string()).collect();
            let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
            let read = |text| Ok((str::parse::<i64>(text).unwrap(), Cow::Borrowed(text)));
            let mut list = List::parse(&borrowed, read).unwrap();
            let mut model: Vec<i64> = (0..start).collect();
            for (add, n) in steps {
                let (before, before_text) = (list.clone(), text(&list));
                if add {
                    list.push(n + 1000, &(n + 1000).to_string());
                    model.push(n + 1000);
                } else {
                    let length = model.len();
                    model.retain(|value| value % n != 0);
                    prop_assert_eq!(list.retain(|value| value % n != 0), model.len() != length);
                }
                prop_assert_eq!(text(&before), before_text);
                prop_assert_eq!(list.len(), model.len());
                prop_assert_eq!(list.iter().map(|element| *element.value).collect::<Vec<_>>(), model.clone());
                prop_assert_eq!(serde_json::from_str::<Vec<i64>>(&text(&list)).unwrap(), model.clone());
                prop_assert!(list.json_len() >= text(&list).len());
            }
        }
    }
}
