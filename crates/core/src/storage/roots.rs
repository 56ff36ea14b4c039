//! Finds out whether the roots of two warehouses overlap.

use super::{AzureContainer, StorageProfile};
use crate::location::Location;

/// Returns whether the roots of two warehouses are in the same storage and one equals or contains the other. A table's
/// credentials reach everything below its location, so no two warehouses, of any organisations, may overlap.
///
/// Two addresses of the same store are not recognised as equal. Operators must use the same address for all warehouses.
#[must_use]
pub fn roots_overlap(one: (&StorageProfile, &Location), other: (&StorageProfile, &Location)) -> bool {
    site(one) == site(other) && (one.1.contains(other.1) || other.1.contains(one.1))
}

/// Returns the type of the storage, and its address unless it is the cloud's default.
fn site((profile, root): (&StorageProfile, &Location)) -> (&'static str, String) {
    let endpoint = match profile {
        StorageProfile::File => None,
        StorageProfile::S3(profile) => profile.endpoint.clone(),
        StorageProfile::Adls(profile) => {
            AzureContainer::parse(root).ok().map(|container| profile.blob_endpoint(&container))
        }
        StorageProfile::Gcs(profile) => profile.endpoint.clone(),
    };
    (profile.kind(), endpoint.unwrap_or_default().trim_end_matches('/').to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(endpoint: Option<&str>, root: &str) -> (StorageProfile, Location) {
        let profile = match endpoint {
            Some(endpoint) => serde_json::json!({ "type": "s3", "region": "a", "endpoint": endpoint }),
            None if root.starts_with("file") => serde_json::json!({ "type": "file" }),
            None => serde_json::json!({ "type": "s3", "region": "a" }),
        };
        (serde_json::from_value(profile).unwrap(), Location::parse(root).unwrap())
    }

    #[test]
    fn equal_inner_and_outer_roots_overlap() {
        let lake = at(Some("https://S3.example.com/"), "s3://bucket/lake");
        for (endpoint, root, overlaps) in [
            (Some("https://s3.example.com"), "s3://bucket/lake", true),
            (Some("https://s3.example.com"), "s3://bucket/lake/inner", true),
            (Some("https://s3.example.com"), "s3://bucket", true),
            (Some("https://s3.example.com"), "s3a://bucket/lake/inner", true),
            (Some("https://s3.example.com"), "s3n://bucket2/lake", false),
            (Some("https://s3.example.com"), "s3://bucket/lake2", false),
            (Some("https://s3.example.com"), "s3://other/lake", false),
            (Some("https://other.example.com"), "s3://bucket/lake", false),
            (None, "s3://bucket/lake", false),
            (None, "file:///bucket/lake", false),
        ] {
            let other = at(endpoint, root);
            assert_eq!(roots_overlap((&lake.0, &lake.1), (&other.0, &other.1)), overlaps, "{endpoint:?} {root}");
            assert_eq!(roots_overlap((&other.0, &other.1), (&lake.0, &lake.1)), overlaps, "{endpoint:?} {root}");
        }
    }

    #[test]
    fn two_spellings_of_a_container_overlap() {
        let on_azure = |endpoint: Option<&str>, root: &str| {
            let profile = serde_json::json!({ "type": "adls", "endpoint": endpoint });
            (serde_json::from_value::<StorageProfile>(profile).unwrap(), Location::parse(root).unwrap())
        };
        let lake = on_azure(None, "abfss://c@a.dfs.core.windows.net/lake");
        for (endpoint, root, overlaps) in [
            (None, "wasbs://c@a.blob.core.windows.net/lake/inner", true),
            (None, "wasbs://c@a.blob.core.windows.net", true),
            (Some("https://a.blob.core.windows.net/"), "abfss://c@a.dfs.core.windows.net/lake", true),
            (None, "wasbs://c@a.blob.core.windows.net/lake2", false),
            (None, "wasbs://c@b.blob.core.windows.net/lake", false),
            (Some("http://127.0.0.1:10000/a"), "abfss://c@a.dfs.core.windows.net/lake", false),
        ] {
            let other = on_azure(endpoint, root);
            assert_eq!(roots_overlap((&lake.0, &lake.1), (&other.0, &other.1)), overlaps, "{endpoint:?} {root}");
            assert_eq!(roots_overlap((&other.0, &other.1), (&lake.0, &lake.1)), overlaps, "{endpoint:?} {root}");
        }
    }
}
