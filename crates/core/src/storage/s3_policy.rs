//! The session policy that limits a role's rights to one table's locations (AWS IAM, "Session policies").

use serde_json::{Value, json};

use super::Access;
use crate::location::Location;

/// The maximum size of a policy for `AssumeRole` (AWS STS, `Policy`: 2,048 characters, without white space).
pub const MAX_POLICY_CHARS: usize = 2_048;

/// Why no policy is possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The locations need more characters than [`MAX_POLICY_CHARS`].
    #[error(
        "a session policy for the table's locations has {chars} characters, and the service takes {MAX_POLICY_CHARS}: \
         use shorter locations, or fewer of them"
    )]
    TooLong {
        /// The number of needed characters.
        chars: usize,
    },
    /// There is no location.
    #[error("cannot make a session policy without a location")]
    NoLocation,
}

/// Builds the policy, as compact JSON, that allows `access` to everything below `locations` and nothing else.
///
/// Each location ends with `/`, so that `orders` does not allow `orders2`. Wildcards and variables are escaped.
/// `partition` is the AWS partition (`aws`, `aws-cn`, ...), `kms_key_arn` the customer-managed key that encrypts objects.
///
/// # Errors
/// `TooLong`; `NoLocation`.
pub fn session_policy(
    locations: &[Location],
    access: Access,
    partition: &str,
    kms_key_arn: Option<&str>,
) -> Result<String, PolicyError> {
    if locations.is_empty() {
        return Err(PolicyError::NoLocation);
    }
    let objects = |location: &Location| {
        let key = escape(location.path().trim_start_matches('/'));
        let slash = if key.is_empty() { "" } else { "/" };
        json!(format!("arn:{partition}:s3:::{}/{key}{slash}*", location.authority()))
    };
    let resources: Vec<Value> = locations.iter().map(objects).collect();
    let object_actions: &[&str] = match access {
        Access::Read => &["s3:GetObject", "s3:GetObjectVersion"],
        // Aborting an upload removes no object, since none exists before its end.
        Access::ReadWriteNoDelete => &[
            "s3:GetObject",
            "s3:GetObjectVersion",
            "s3:PutObject",
            "s3:AbortMultipartUpload",
            "s3:ListMultipartUploadParts",
        ],
        Access::ReadWrite => &[
            "s3:GetObject",
            "s3:GetObjectVersion",
            "s3:PutObject",
            "s3:DeleteObject",
            "s3:AbortMultipartUpload",
            "s3:ListMultipartUploadParts",
        ],
    };
    let mut statements = vec![json!({ "Effect": "Allow", "Action": object_actions, "Resource": resources })];
    statements.extend(buckets(locations).into_iter().map(|bucket| listing(bucket, locations, partition)));
    if let Some(key) = kms_key_arn {
        let actions: &[&str] = match access {
            Access::Read => &["kms:Decrypt"],
            Access::ReadWriteNoDelete | Access::ReadWrite => &["kms:Decrypt", "kms:GenerateDataKey"],
        };
        statements.push(json!({ "Effect": "Allow", "Action": actions, "Resource": escape(key) }));
    }
    let policy = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
    let chars = policy.chars().count();
    if chars > MAX_POLICY_CHARS { Err(PolicyError::TooLong { chars }) } else { Ok(policy) }
}

/// Builds the statement for lists. The bucket is the resource of a list; its prefix is a condition.
fn listing(bucket: &str, locations: &[Location], partition: &str) -> Value {
    let here = locations.iter().filter(|location| location.authority() == bucket);
    let prefixes: Vec<String> = here
        .flat_map(|location| {
            let key = escape(location.path().trim_start_matches('/'));
            if key.is_empty() { vec!["*".to_owned()] } else { vec![format!("{key}/*")] }
        })
        .collect();
    json!({
        "Effect": "Allow",
        "Action": ["s3:ListBucket"],
        "Resource": [format!("arn:{partition}:s3:::{bucket}")],
        "Condition": { "StringLike": { "s3:prefix": prefixes } },
    })
}

fn buckets(locations: &[Location]) -> Vec<&str> {
    let mut buckets: Vec<&str> = locations.iter().map(Location::authority).collect();
    buckets.sort_unstable();
    buckets.dedup();
    buckets
}

/// Escapes the special characters of a policy: `$` begins a variable; `*` and `?` are wildcards (AWS IAM, "Policy
/// variables": "Special characters").
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '$' | '*' | '?' => escaped.extend(["${", character.encode_utf8(&mut [0; 4]), "}"]),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Location {
        Location::parse(text).unwrap()
    }

    #[test]
    fn reader_may_read_and_list_the_table() {
        let policy = session_policy(&[at("s3://bucket/lake/t1")], Access::Read, "aws", None).unwrap();
        assert_eq!(
            policy,
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion"],"Resource":["arn:aws:s3:::bucket/lake/t1/*"]},{"Effect":"Allow","Action":["s3:ListBucket"],"Resource":["arn:aws:s3:::bucket"],"Condition":{"StringLike":{"s3:prefix":["lake/t1/*"]}}}]}"#
        );
    }

    #[test]
    fn writer_may_write_remove_and_use_the_kms_key() {
        let key = "arn:aws:kms:eu-west-1:1:key/k";
        let policy = session_policy(&[at("s3://bucket/t")], Access::ReadWrite, "aws-cn", Some(key)).unwrap();
        assert_eq!(
            policy,
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion","s3:PutObject","s3:DeleteObject","s3:AbortMultipartUpload","s3:ListMultipartUploadParts"],"Resource":["arn:aws-cn:s3:::bucket/t/*"]},{"Effect":"Allow","Action":["s3:ListBucket"],"Resource":["arn:aws-cn:s3:::bucket"],"Condition":{"StringLike":{"s3:prefix":["t/*"]}}},{"Effect":"Allow","Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"arn:aws:kms:eu-west-1:1:key/k"}]}"#
        );
    }

    #[test]
    fn policy_without_delete_rights_has_all_other_rights() {
        let policy =
            |access| session_policy(&[at("s3://bucket/t")], access, "aws", Some("arn:aws:kms:a:1:key/k")).unwrap();
        let all = policy(Access::ReadWrite);
        assert_eq!(policy(Access::ReadWriteNoDelete), all.replace(r#""s3:DeleteObject","#, ""));
        assert!(all.contains("s3:DeleteObject"));
    }

    #[test]
    fn wildcards_in_a_location_match_only_themselves() {
        assert_eq!(escape("a*b$c?d"), "a${*}b${$}c${?}d");
        assert_eq!(escape("${aws:username}"), "${$}{aws:username}");
        let policy = session_policy(&[at("s3://bucket/*")], Access::Read, "aws", None).unwrap();
        assert!(policy.contains("arn:aws:s3:::bucket/${*}/*"), "{policy}");
    }

    #[test]
    fn too_long_policy_is_refused_before_it_is_sent() {
        let long = at(&format!("s3://bucket/{}", "a".repeat(1_000)));
        let refused = session_policy(&[long], Access::ReadWrite, "aws", None);
        assert!(matches!(refused, Err(PolicyError::TooLong { .. })), "{refused:?}");
        assert_eq!(session_policy(&[], Access::Read, "aws", None), Err(PolicyError::NoLocation));
    }

    /// Returns whether a policy's pattern matches a text, with IAM's rules: `*` matches any characters, an escape one.
    fn covers(pattern: &str, text: &str) -> bool {
        fn matches(pattern: &[char], text: &[char]) -> bool {
            match pattern {
                [] => text.is_empty(),
                ['$', '{', literal, '}', rest @ ..] => text.first() == Some(literal) && matches(rest, &text[1..]),
                ['*', rest @ ..] => (0..=text.len()).any(|skipped| matches(rest, &text[skipped..])),
                ['?', rest @ ..] => !text.is_empty() && matches(rest, &text[1..]),
                [literal, rest @ ..] => text.first() == Some(literal) && matches(rest, &text[1..]),
            }
        }
        matches(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>())
    }

    fn resources(policy: &str) -> Vec<String> {
        let policy: Value = serde_json::from_str(policy).unwrap();
        policy["Statement"][0]["Resource"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_str().unwrap().to_owned())
            .collect()
    }

    proptest! {
        #[test]
        fn policy_allows_exactly_the_objects_below_its_location(
            own in "[a-c*?$ {}]{1,4}(/[a-c*?$]{1,3}){0,2}",
            other in "[a-c*?$ {}]{1,4}(/[a-c*?$]{1,3}){0,3}",
            access in 0_usize..3,
        ) {
            let (Ok(own), Ok(other)) = (Location::parse(&format!("s3://b/{own}")), Location::parse(&format!("s3://b/{other}")))
            else { return Ok(()) };
            let access = [Access::Read, Access::ReadWriteNoDelete, Access::ReadWrite][access];
            let policy = session_policy(std::slice::from_ref(&own), access, "aws", None).unwrap();
            prop_assert_eq!(policy.contains("s3:Delete"), access == Access::ReadWrite);
            prop_assert_eq!(policy.contains("s3:Put"), access.writes());
            let name = format!("arn:aws:s3:::{}{}", other.authority(), other.path());
            let covered = resources(&policy).iter().any(|pattern| covers(pattern, &name));
            prop_assert_eq!(covered, own.contains(&other) && own != other);
        }
    }
}
