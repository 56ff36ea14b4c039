//! Collects changes to a list by the ids of its elements, and applies them at once. A commit with many updates takes time
//! in proportion to the sum of updates and list, not to their product.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crate::document::List;

/// How many lookups scan the list before an index is built.
const SCANS: u32 = 4;

/// The changes of one commit to a list of elements with ids.
#[derive(Debug)]
pub(super) struct KeyedEdits<K, T> {
    key: fn(&T) -> K,
    scans: u32,
    /// The elements of the list by id, built after [`SCANS`] lookups.
    index: Option<HashMap<K, T>>,
    /// The ids of the removed elements of the list.
    removed: HashSet<K>,
    /// The elements to append. `None` after a removal.
    added: Vec<Option<(T, String)>>,
    added_at: HashMap<K, usize>,
}

impl<K: Hash + Eq + Clone, T: Clone> KeyedEdits<K, T> {
    /// Starts without changes. `key` returns the id of an element.
    pub(super) fn new(key: fn(&T) -> K) -> Self {
        Self { key, scans: 0, index: None, removed: HashSet::new(), added: Vec::new(), added_at: HashMap::new() }
    }

    /// Returns the element with this id after the changes so far.
    pub(super) fn get(&mut self, list: &List<T>, id: &K) -> Option<T> {
        match self.added_at.get(id) {
            Some(position) => self.added[*position].as_ref().map(|(value, _)| value.clone()),
            None if self.removed.contains(id) => None,
            None => self.get_from_list(list, id),
        }
    }

    fn get_from_list(&mut self, list: &List<T>, id: &K) -> Option<T> {
        let key = self.key;
        if let Some(index) = &self.index {
            return index.get(id).cloned();
        }
        if self.scans < SCANS {
            self.scans += 1;
            // Lookups mostly ask for the newest elements.
            return list.iter().rev().find(|element| key(element.value) == *id).map(|element| element.value.clone());
        }
        let index = self.index.insert(list.iter().map(|element| (key(element.value), element.value.clone())).collect());
        index.get(id).cloned()
    }

    /// Appends an element.
    pub(super) fn add(&mut self, value: T, json: &str) {
        self.added_at.insert((self.key)(&value), self.added.len());
        self.added.push(Some((value, json.to_owned())));
    }

    /// Removes all elements with this id. Returns whether there was one.
    pub(super) fn remove(&mut self, list: &List<T>, id: &K) -> bool {
        let was_added = self.added_at.remove(id).is_some_and(|position| self.added[position].take().is_some());
        let is_in_list = !self.removed.contains(id) && self.get_from_list(list, id).is_some();
        if is_in_list {
            self.removed.insert(id.clone());
        }
        was_added || is_in_list
    }

    /// Applies the changes to the list.
    pub(super) fn apply(self, list: &mut List<T>) {
        let key = self.key;
        if !self.removed.is_empty() {
            list.retain(|value| !self.removed.contains(&key(value)));
        }
        for (value, json) in self.added.into_iter().flatten() {
            list.push(value, &json);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;

    fn ids(list: &List<i64>) -> Vec<i64> {
        list.iter().map(|element| *element.value).collect()
    }

    thread_local! {
        static LOOKS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    fn counted_key(id: &i64) -> i64 {
        LOOKS.with(|looks| looks.set(looks.get() + 1));
        *id
    }

    #[test]
    fn many_edits_read_each_element_only_a_few_times() {
        const COUNT: i64 = 2_000;
        let texts: Vec<String> = (0..COUNT).map(|id| id.to_string()).collect();
        let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut list = List::parse(&borrowed, |text| Ok((text.parse::<i64>().unwrap(), Cow::Borrowed(text)))).unwrap();
        let mut edits = KeyedEdits::new(counted_key);
        for id in 0..COUNT {
            assert!(edits.remove(&list, &id) && edits.get(&list, &id).is_none());
            edits.add(id + COUNT, &id.to_string());
        }
        edits.apply(&mut list);
        let looks = LOOKS.with(std::cell::Cell::get);
        let most = usize::try_from(COUNT).unwrap() * (SCANS as usize + 3);
        assert!(looks <= most, "{looks} looks at {COUNT} elements");
    }

    proptest! {
        #[test]
        fn edits_applied_at_once_equal_edits_applied_in_order(
            start in 0_i64..30,
            steps in prop::collection::vec((0..3_u8, 0_i64..40), 0..80),
        ) {
            let texts: Vec<String> = (0..start).map(|id| id.to_string()).collect();
            let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
            let mut list = List::parse(&borrowed, |text| Ok((text.parse::<i64>().unwrap(), Cow::Borrowed(text)))).unwrap();
            let mut model: Vec<i64> = (0..start).collect();
            let mut edits = KeyedEdits::new(|id: &i64| *id);
            for (what, id) in steps {
                let there = model.contains(&id);
                prop_assert_eq!(edits.get(&list, &id), there.then_some(id));
                if what == 0 {
                    prop_assert_eq!(edits.remove(&list, &id), there);
                    model.retain(|known| *known != id);
                } else if !there {
                    edits.add(id, &id.to_string());
                    model.push(id);
                }
            }
            edits.apply(&mut list);
            prop_assert_eq!(ids(&list), model);
        }
    }
}
