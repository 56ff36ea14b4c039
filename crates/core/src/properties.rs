//! Changes the properties of a namespace.

use std::collections::{BTreeMap, HashSet};

/// The result of a change: each key once, in the order of the request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PropertyChanges {
    /// The keys that were set.
    pub updated: Vec<String>,
    /// The keys that were removed.
    pub removed: Vec<String>,
    /// The keys to remove that did not exist.
    pub missing: Vec<String>,
}

/// Removes properties, then sets others. Takes time in proportion to the size of its arguments, up to a logarithm.
pub fn change_properties(
    properties: &mut BTreeMap<String, String>,
    updates: &BTreeMap<String, String>,
    removals: &[String],
) -> PropertyChanges {
    let mut changes = PropertyChanges { updated: updates.keys().cloned().collect(), ..PropertyChanges::default() };
    let mut seen = HashSet::with_capacity(removals.len());
    for key in removals.iter().filter(|key| seen.insert(key.as_str())) {
        match properties.remove(key) {
            Some(_) => changes.removed.push(key.clone()),
            None => changes.missing.push(key.clone()),
        }
    }
    properties.extend(updates.iter().map(|(key, value)| (key.clone(), value.clone())));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn repeated_removal_counts_once() {
        let mut properties = map(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let removals = ["x", "b", "b", "x", "a"].map(str::to_owned);
        let changes = change_properties(&mut properties, &map(&[("a", "9"), ("d", "4")]), &removals);
        assert_eq!(changes.updated, ["a", "d"]);
        assert_eq!(changes.removed, ["b", "a"]);
        assert_eq!(changes.missing, ["x"]);
        assert_eq!(properties, map(&[("a", "9"), ("c", "3"), ("d", "4")]));
    }

    /// A quadratic rule would take about 10^11 steps for this.
    #[test]
    fn million_removals_take_linear_time() {
        let removals: Vec<String> = (0..1_000_000).map(|number| format!("k{number}")).collect();
        let changes = change_properties(&mut BTreeMap::new(), &BTreeMap::new(), &removals);
        assert_eq!(changes.missing.len(), removals.len());
    }
}
