//! A search for names that contain a text.

use crate::name::LEVEL_SEPARATOR;

/// A text that names are searched for. Upper and lower case are the same.
///
/// It is found in the last part of a name: of a table, its name in its namespace; of a namespace, its last level. A text with a dot is
/// also found in the whole name, levels joined by dots: `les.ord` finds the table `sales.orders`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameFilter {
    lower: String,
}

impl NameFilter {
    /// Creates a filter. Returns `None` for a text without characters other than spaces.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let lower = text.trim().to_lowercase();
        (!lower.is_empty()).then_some(Self { lower })
    }

    /// Returns whether the text is in a table's or view's name, or in its namespace's and its own.
    #[must_use]
    pub fn finds_tabular(&self, namespace_key: &str, name: &str) -> bool {
        self.is_in(name) || (self.names_levels() && self.is_in(&format!("{}.{name}", dotted(namespace_key))))
    }

    /// Returns whether the text is in the last level of a namespace, or in its whole name.
    #[must_use]
    pub fn finds_namespace(&self, key: &str) -> bool {
        let last = key.rsplit(LEVEL_SEPARATOR).next().unwrap_or(key);
        self.is_in(last) || (self.names_levels() && self.is_in(&dotted(key)))
    }

    fn names_levels(&self) -> bool {
        self.lower.contains('.')
    }

    fn is_in(&self, name: &str) -> bool {
        if name.is_ascii() {
            let (name, lower) = (name.as_bytes(), self.lower.as_bytes());
            return name.windows(lower.len()).any(|part| part.eq_ignore_ascii_case(lower));
        }
        name.to_lowercase().contains(&self.lower)
    }
}

fn dotted(key: &str) -> String {
    key.replace(LEVEL_SEPARATOR, ".")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> NameFilter {
        NameFilter::new(text).unwrap()
    }

    #[test]
    fn part_of_a_name_is_found_in_any_case() {
        for (text, namespace, name) in
            [("RDE", "sales", "Orders"), ("ö", "a", "VERKÄUFE_KÖLN"), (" ord ", "a", "orders"), ("ß", "a", "straße")]
        {
            assert!(filter(text).finds_tabular(namespace, name), "{text}");
        }
        assert!(!filter("sales").finds_tabular("sales", "orders"), "a table is not found by its namespace alone");
        assert!(NameFilter::new(" \t").is_none());
    }

    #[test]
    fn text_with_a_dot_is_found_in_the_whole_name() {
        let (key, name) = ("sales\u{1f}eu", "Orders");
        for text in ["eu.ord", "sales.eu.orders", "LES.EU.O"] {
            assert!(filter(text).finds_tabular(key, name), "{text}");
        }
        assert!(!filter("sales.orders").finds_tabular(key, name));
        assert!(filter("a.b").finds_tabular("x", "a.b"), "a name can have a dot");
    }

    #[test]
    fn namespace_is_found_by_its_last_level_or_with_a_dot_by_all() {
        let key = "sales\u{1f}EU";
        assert!(filter("eu").finds_namespace(key) && filter("sales.e").finds_namespace(key));
        assert!(!filter("sal").finds_namespace(key));
    }

    proptest! {
        #[test]
        fn every_part_of_a_name_finds_it(before in "\\PC{0,5}", part in "[a-zäöé0-9_]{1,5}", after in "\\PC{0,5}") {
            let name = format!("{before}{}{after}", part.to_uppercase());
            prop_assert!(filter(&part).finds_tabular("ns", &name));
        }

        #[test]
        fn short_way_for_ascii_finds_the_same(name in "[ -~]{0,8}", text in "[ -~]{1,3}") {
            prop_assume!(!text.trim().is_empty());
            let expected = name.to_lowercase().contains(&text.trim().to_lowercase());
            prop_assert_eq!(filter(&text).is_in(&name), expected);
        }
    }
}
