//! Limits on the contents of one request. One pass without allocation counts a body before it is parsed.

mod shape;

use serde::{Deserialize, Serialize};

use shape::{Counts, Role, count};

/// The limits of one request. Each is a setting of the same name below `limits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestLimits {
    /// Properties that one request sets or removes, and properties of a namespace.
    pub properties: usize,
    /// Bytes of a property's key.
    pub property_key_bytes: usize,
    /// Bytes of a property's value.
    pub property_value_bytes: usize,
    /// Bytes of all keys and values of a namespace's properties.
    pub namespace_properties_bytes: usize,
    /// Requirements of a commit, or of all commits in a transaction.
    pub requirements: usize,
    /// Updates of a commit, or of all commits in a transaction.
    pub updates: usize,
    /// Columns and nested fields in all schemas of a request, with the fields of its partition specs and sort orders.
    pub columns: usize,
    /// Commits in a transaction.
    pub transaction_parts: usize,
    /// Bytes of the name of a column, branch or tag.
    pub name_bytes: usize,
    /// Bytes, uncompressed, of a metadata document or manifest that a request reads or writes.
    pub document_bytes: u64,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            properties: 20_000,
            property_key_bytes: 4_096,
            property_value_bytes: 1 << 20,
            namespace_properties_bytes: 4 << 20,
            requirements: 20_000,
            updates: 100_000,
            columns: 50_000,
            transaction_parts: 1_000,
            name_bytes: 4_096,
            document_bytes: 256 << 20,
        }
    }
}

/// A request exceeds a limit. The text names the limit, the count in the request, and the setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "Too much in one request: {what}: {sent}, of {limit} allowed. An administrator can raise the limit with the setting '{setting}'"
)]
pub struct LimitExceeded {
    /// The counted items, with their unit.
    pub what: &'static str,
    /// The count in the request.
    pub sent: usize,
    /// The maximum.
    pub limit: usize,
    /// The setting that raises the limit.
    pub setting: &'static str,
}

/// The kind of a request body, which decides what its fields mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// A commit to a table or view.
    Commit,
    /// Commits to several tables.
    Transaction,
    /// The creation of a table, view or namespace.
    Create,
    /// A change of a namespace's properties.
    NamespaceProperties,
    /// Any other request. Nothing in it is counted.
    Other,
}

impl RequestLimits {
    /// Checks a body against the limits. A body that is not JSON is checked up to its syntax error, which its parser reports.
    ///
    /// # Errors
    /// [`LimitExceeded`] for the first exceeded limit.
    pub fn check(&self, kind: RequestKind, body: &[u8]) -> Result<(), LimitExceeded> {
        let role = match kind {
            RequestKind::Commit => Role::Commit,
            RequestKind::Transaction => Role::Transaction,
            RequestKind::Create => Role::Create,
            RequestKind::NamespaceProperties => Role::Update,
            RequestKind::Other => return Ok(()),
        };
        self.check_counts(&count(role, body))
    }

    /// Returns the settings with their values.
    #[must_use]
    pub const fn settings(&self) -> [(&'static str, u64); 10] {
        [
            ("limits.properties", self.properties as u64),
            ("limits.property_key_bytes", self.property_key_bytes as u64),
            ("limits.property_value_bytes", self.property_value_bytes as u64),
            ("limits.namespace_properties_bytes", self.namespace_properties_bytes as u64),
            ("limits.requirements", self.requirements as u64),
            ("limits.updates", self.updates as u64),
            ("limits.columns", self.columns as u64),
            ("limits.transaction_parts", self.transaction_parts as u64),
            ("limits.name_bytes", self.name_bytes as u64),
            ("limits.document_bytes", self.document_bytes),
        ]
    }

    fn check_counts(&self, counts: &Counts) -> Result<(), LimitExceeded> {
        let all = [
            ("commits in the transaction", counts.parts, self.transaction_parts, "limits.transaction_parts"),
            ("updates", counts.updates, self.updates, "limits.updates"),
            ("requirements", counts.requirements, self.requirements, "limits.requirements"),
            ("columns and other fields", counts.columns, self.columns, "limits.columns"),
            ("properties", counts.properties, self.properties, "limits.properties"),
            ("bytes in a property's key", counts.key_bytes, self.property_key_bytes, "limits.property_key_bytes"),
            (
                "bytes in a property's value",
                counts.value_bytes,
                self.property_value_bytes,
                "limits.property_value_bytes",
            ),
            ("bytes in a name", counts.name_bytes, self.name_bytes, "limits.name_bytes"),
        ];
        for (what, sent, limit, setting) in all {
            if sent > limit {
                return Err(LimitExceeded { what, sent, limit, setting });
            }
        }
        Ok(())
    }

    /// Checks the complete properties of a namespace before they are stored.
    ///
    /// # Errors
    /// [`LimitExceeded`] if there are too many, or they take too many bytes.
    pub fn check_namespace<'a>(
        &self,
        properties: impl ExactSizeIterator<Item = (&'a String, &'a String)>,
    ) -> Result<(), LimitExceeded> {
        let count = properties.len();
        if count > self.properties {
            let (what, setting) = ("properties of the namespace", "limits.properties");
            return Err(LimitExceeded { what, sent: count, limit: self.properties, setting });
        }
        let sent = properties.map(|(key, value)| key.len() + value.len()).sum();
        if sent > self.namespace_properties_bytes {
            let what = "bytes of the namespace's properties";
            let (limit, setting) = (self.namespace_properties_bytes, "limits.namespace_properties_bytes");
            return Err(LimitExceeded { what, sent, limit, setting });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Limits that small bodies exceed.
    const SMALL: RequestLimits = RequestLimits {
        properties: 2,
        property_key_bytes: 4,
        property_value_bytes: 8,
        namespace_properties_bytes: 16,
        requirements: 1,
        updates: 2,
        columns: 3,
        transaction_parts: 1,
        name_bytes: 5,
        document_bytes: 1,
    };

    fn refused(kind: RequestKind, body: &str) -> (&'static str, usize) {
        let error = SMALL.check(kind, body.as_bytes()).expect_err(body);
        assert!(error.to_string().contains(&format!("{}, of {} allowed", error.sent, error.limit)), "{error}");
        (error.setting, error.sent)
    }

    #[test]
    fn body_over_each_limit_is_refused_with_its_setting() {
        use RequestKind::{Commit, Create, NamespaceProperties, Transaction};
        let long = "x".repeat(9);
        for (kind, body, expected) in [
            (Commit, r#"{"updates":[{},{},{}]}"#.to_owned(), ("limits.updates", 3)),
            (Commit, r#"{"requirements":[{},{}]}"#.to_owned(), ("limits.requirements", 2)),
            (Transaction, r#"{"table-changes":[{},{}]}"#.to_owned(), ("limits.transaction_parts", 2)),
            (Transaction, r#"{"table-changes":[{"updates":[{},{},{}]}]}"#.to_owned(), ("limits.updates", 3)),
            (
                Commit,
                r#"{"updates":[{"action":"set-properties","updates":{"a":"","b":""}},{"removals":["c"]}]}"#.to_owned(),
                ("limits.properties", 3),
            ),
            (Create, r#"{"properties":{"a":"","b":"","c":""}}"#.to_owned(), ("limits.properties", 3)),
            (NamespaceProperties, r#"{"removals":["a","a","a"]}"#.to_owned(), ("limits.properties", 3)),
            (NamespaceProperties, r#"{"removals":["abcde"]}"#.to_owned(), ("limits.property_key_bytes", 5)),
            (NamespaceProperties, format!(r#"{{"updates":{{"a":"{long}"}}}}"#), ("limits.property_value_bytes", 9)),
            (
                Create,
                r#"{"schema":{"fields":[{"type":{"type":"list","element":{"type":"struct","fields":[{},{},{}]}}}]}}"#
                    .to_owned(),
                ("limits.columns", 4),
            ),
            (Create, r#"{"partition-spec":{"fields":[{},{},{},{}]}}"#.to_owned(), ("limits.columns", 4)),
            (Create, r#"{"schema":{"fields":[{"name":"abcdef"}]}}"#.to_owned(), ("limits.name_bytes", 6)),
            (Commit, r#"{"updates":[{"ref-name":"abcdef"}]}"#.to_owned(), ("limits.name_bytes", 6)),
            (Commit, r#"{"requirements":[{"ref":"abcdef"}]}"#.to_owned(), ("limits.name_bytes", 6)),
        ] {
            assert_eq!(refused(kind, &body), expected, "{body}");
        }
    }

    #[test]
    fn body_within_the_limits_passes() {
        for (kind, body) in [
            (
                RequestKind::Commit,
                r#"{"requirements":[{"ref":"main"}],"updates":[{"removals":["a"]},{"ref-name":"b"}]}"#,
            ),
            (RequestKind::Create, r#"{"name":"a long name","schema":{"fields":[{"name":"a"},{"name":"b"}]}}"#),
            (RequestKind::Commit, r#"{"updates":[{"action":"remove-snapshots","snapshot-ids":[1,2,3,4,5,6]}]}"#),
            (RequestKind::Other, r#"{"updates":[{},{},{},{}]}"#),
            (RequestKind::Commit, "not JSON"),
            (RequestKind::Commit, ""),
        ] {
            assert_eq!(SMALL.check(kind, body.as_bytes()), Ok(()), "{body}");
        }
    }

    #[test]
    fn default_limits_allow_50_000_updates_that_remove_a_snapshot_each() {
        let updates: Vec<String> =
            (0..50_000).map(|id| format!(r#"{{"action":"remove-snapshots","snapshot-ids":[{id}]}}"#)).collect();
        let body = format!(r#"{{"requirements":[],"updates":[{}]}}"#, updates.join(","));
        assert_eq!(RequestLimits::default().check(RequestKind::Commit, body.as_bytes()), Ok(()));
    }

    #[test]
    fn namespace_over_a_limit_is_refused() {
        let of = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let setting = |pairs| SMALL.check_namespace(of(pairs).iter()).map_err(|error| error.setting);
        assert_eq!(setting(&[("a", "1"), ("b", "2")]), Ok(()));
        assert_eq!(setting(&[("a", "1"), ("b", "2"), ("c", "3")]), Err("limits.properties"));
        assert_eq!(setting(&[("a", "0123456789"), ("b", "012345")]), Err("limits.namespace_properties_bytes"));
    }

    proptest! {
        #[test]
        fn arbitrary_body_does_not_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            for kind in [RequestKind::Commit, RequestKind::Transaction, RequestKind::Create] {
                let _ = SMALL.check(kind, &body);
            }
        }
    }
}
