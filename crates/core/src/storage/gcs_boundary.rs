//! The boundary that limits a Google Cloud token to one table's locations (Google Cloud IAM, "Credential Access
//! Boundaries").

use serde_json::{Value, json};

use super::Access;
use crate::location::Location;

/// The most rules in a boundary (Google Cloud IAM, "Components of a Credential Access Boundary").
pub const MAX_RULES: usize = 10;

/// Why no boundary is possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoundaryError {
    /// The locations need more rules than [`MAX_RULES`].
    #[error(
        "an access boundary for the table's locations has {rules} rules, and Google Cloud takes {MAX_RULES}: use fewer \
         locations"
    )]
    TooMany {
        /// The number of needed rules.
        rules: usize,
    },
    /// There is no location.
    #[error("cannot make an access boundary without a location")]
    NoLocation,
    /// The boundary would allow the whole bucket.
    #[error("cannot vend credentials for a table at the root of a bucket: put the table into a folder")]
    WholeBucket,
}

/// Builds the boundary, as compact JSON, that allows `access` to everything below `locations` and nothing else.
///
/// Each name ends with `/`, so that `orders` does not allow `orders2`. Reading and listing share one rule: the request's
/// resource names an object, the requested prefix names a list. Writing has its own rule, which checks only the resource.
///
/// # Errors
/// See [`BoundaryError`].
pub fn access_boundary(locations: &[Location], access: Access) -> Result<String, BoundaryError> {
    if locations.is_empty() {
        return Err(BoundaryError::NoLocation);
    }
    let mut rules = Vec::new();
    for location in locations {
        let bucket = location.authority();
        let folder = location.path().trim_start_matches('/');
        if folder.is_empty() {
            return Err(BoundaryError::WholeBucket);
        }
        let objects = starts_with("resource.name", &format!("projects/_/buckets/{bucket}/objects/{folder}/"));
        let list =
            starts_with("api.getAttribute('storage.googleapis.com/objectListPrefix', '')", &format!("{folder}/"));
        rules.push(rule("roles/storage.objectViewer", bucket, &format!("{objects} || {list}")));
        match access {
            Access::Read => {}
            // Without the right to remove objects, overwriting them is not possible either.
            Access::ReadWriteNoDelete => rules.push(rule("roles/storage.objectCreator", bucket, &objects)),
            Access::ReadWrite => rules.push(rule("roles/storage.objectUser", bucket, &objects)),
        }
    }
    if rules.len() > MAX_RULES {
        return Err(BoundaryError::TooMany { rules: rules.len() });
    }
    Ok(json!({ "accessBoundary": { "accessBoundaryRules": rules } }).to_string())
}

fn rule(role: &str, bucket: &str, condition: &str) -> Value {
    json!({
        "availablePermissions": [format!("inRole:{role}")],
        "availableResource": format!("//storage.googleapis.com/projects/_/buckets/{bucket}"),
        "availabilityCondition": { "expression": condition },
    })
}

fn starts_with(what: &str, text: &str) -> String {
    format!("{what}.startsWith({})", literal(text))
}

/// Quotes a text for the expression language (Common Expression Language, "String and Bytes Values"), so that no
/// character in it ends the string or has another meaning.
fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('\'');
    for character in text.chars() {
        match character {
            '\\' | '\'' => literal.extend(['\\', character]),
            control if control.is_control() => literal.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => literal.push(other),
        }
    }
    literal.push('\'');
    literal
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
        assert_eq!(
            access_boundary(&[at("gs://bucket/lake/t1")], Access::Read).unwrap(),
            r#"{"accessBoundary":{"accessBoundaryRules":[{"availablePermissions":["inRole:roles/storage.objectViewer"],"availableResource":"//storage.googleapis.com/projects/_/buckets/bucket","availabilityCondition":{"expression":"resource.name.startsWith('projects/_/buckets/bucket/objects/lake/t1/') || api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('lake/t1/')"}}]}}"#
        );
    }

    #[test]
    fn writer_may_also_write_and_remove_objects() {
        assert_eq!(
            access_boundary(&[at("gs://bucket/t")], Access::ReadWrite).unwrap(),
            r#"{"accessBoundary":{"accessBoundaryRules":[{"availablePermissions":["inRole:roles/storage.objectViewer"],"availableResource":"//storage.googleapis.com/projects/_/buckets/bucket","availabilityCondition":{"expression":"resource.name.startsWith('projects/_/buckets/bucket/objects/t/') || api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('t/')"}},{"availablePermissions":["inRole:roles/storage.objectUser"],"availableResource":"//storage.googleapis.com/projects/_/buckets/bucket","availabilityCondition":{"expression":"resource.name.startsWith('projects/_/buckets/bucket/objects/t/')"}}]}}"#
        );
    }

    #[test]
    fn writer_without_delete_rights_gets_the_creator_role() {
        let both = |access| access_boundary(&[at("gs://bucket/t")], access).unwrap();
        let creating = both(Access::ReadWrite).replace("roles/storage.objectUser", "roles/storage.objectCreator");
        assert_eq!(both(Access::ReadWriteNoDelete), creating);
    }

    /// The attack of CVE-2026-42811: a name that ends the string and continues as an expression.
    #[test]
    fn name_cannot_end_its_string() {
        let boundary = access_boundary(&[at("gs://bucket/x') || true || ('")], Access::Read).unwrap();
        assert!(
            boundary.contains(
                r"resource.name.startsWith('projects/_/buckets/bucket/objects/x\\') || true || (\\'/') || api.getAttribute("
            ),
            "{boundary}"
        );
        assert_eq!(literal("a'b\\c\"d`\n\u{7f}\u{85}é"), r#"'a\'b\\c"d`\u000a\u007f\u0085é'"#);
    }

    #[test]
    fn boundary_that_google_cloud_refuses_is_refused_before_it_is_sent() {
        let many: Vec<Location> = (0..6).map(|n| at(&format!("gs://bucket/t{n}"))).collect();
        assert_eq!(access_boundary(&many, Access::ReadWrite), Err(BoundaryError::TooMany { rules: 12 }));
        assert!(access_boundary(&many, Access::Read).is_ok() && access_boundary(&many[..5], Access::ReadWrite).is_ok());
        assert_eq!(access_boundary(&[], Access::Read), Err(BoundaryError::NoLocation));
        assert_eq!(access_boundary(&[at("gs://bucket")], Access::Read), Err(BoundaryError::WholeBucket));
    }

    /// The facts of a request that an expression reads.
    struct Request {
        resource: String,
        list_prefix: Option<String>,
    }

    /// Evaluates a condition with the part of the language's grammar that is used here: terms between `||`, each of a value,
    /// `.startsWith(`, a string and `)`. Fails for anything else, and for text after the end.
    fn allows(expression: &str, request: &Request) -> Result<bool, String> {
        let mut rest = expression;
        let mut allowed = false;
        loop {
            let value;
            if let Some(after) = rest.strip_prefix("resource.name") {
                (value, rest) = (request.resource.clone(), after);
            } else {
                let after = rest.strip_prefix("api.getAttribute(").ok_or_else(|| format!("no value: {rest}"))?;
                let (name, after) = text(after)?;
                let (default, after) = text(after.strip_prefix(", ").ok_or("no comma")?)?;
                assert_eq!(name, "storage.googleapis.com/objectListPrefix");
                rest = after.strip_prefix(')').ok_or("no end")?;
                value = request.list_prefix.clone().unwrap_or(default);
            }
            let (prefix, after) = text(rest.strip_prefix(".startsWith(").ok_or_else(|| format!("no call: {rest}"))?)?;
            rest = after.strip_prefix(')').ok_or("no end")?;
            allowed |= value.starts_with(&prefix);
            match rest.strip_prefix(" || ") {
                Some(after) => rest = after,
                None if rest.is_empty() => return Ok(allowed),
                None => return Err(format!("something follows: {rest}")),
            }
        }
    }

    /// Reads a quoted string at the start; returns it and the rest.
    fn text(expression: &str) -> Result<(String, &str), String> {
        let mut rest = expression.strip_prefix('\'').ok_or_else(|| format!("no text: {expression}"))?.chars();
        let mut text = String::new();
        loop {
            match rest.next().ok_or("the text does not end")? {
                '\'' => return Ok((text, rest.as_str())),
                '\\' => match rest.next().ok_or("an escape does not end")? {
                    'u' => {
                        let digits: String = rest.by_ref().take(4).collect();
                        let code = u32::from_str_radix(&digits, 16).map_err(|error| error.to_string())?;
                        text.push(char::from_u32(code).ok_or("no character")?);
                    }
                    same @ ('\\' | '\'') => text.push(same),
                    other => return Err(format!("an unknown escape: {other}")),
                },
                '\n' | '\r' => return Err("a line ends in a text".to_owned()),
                other => text.push(other),
            }
        }
    }

    fn conditions(boundary: &str) -> Vec<String> {
        let boundary: Value = serde_json::from_str(boundary).unwrap();
        let rules = boundary["accessBoundary"]["accessBoundaryRules"].as_array().unwrap().clone();
        rules.iter().map(|rule| rule["availabilityCondition"]["expression"].as_str().unwrap().to_owned()).collect()
    }

    proptest! {
        #[test]
        fn boundary_allows_exactly_the_objects_below_its_location(
            own in "[ab'\"`() |]{1,4}(/[ab'\"|]{1,3}){0,2}",
            other in "[ab'\"`() |]{1,4}(/[ab'\"|]{1,3}){0,3}",
        ) {
            let (Ok(own), Ok(other)) = (Location::parse(&format!("gs://b/{own}")), Location::parse(&format!("gs://b/{other}")))
            else { return Ok(()) };
            let is_below = own.contains(&other) && own != other;
            let boundary = access_boundary(std::slice::from_ref(&own), Access::ReadWrite).unwrap();
            let conditions = conditions(&boundary);
            let object = Request { resource: format!("projects/_/buckets/b/objects{}", other.path()), list_prefix: None };
            for condition in &conditions {
                prop_assert_eq!(allows(condition, &object).unwrap(), is_below);
            }
            let list = Request {
                resource: "projects/_/buckets/b".to_owned(),
                list_prefix: Some(format!("{}/", other.path().trim_start_matches('/'))),
            };
            prop_assert_eq!(allows(&conditions[0], &list).unwrap(), own.contains(&other));
            prop_assert!(!allows(&conditions[1], &list).unwrap());
        }

        #[test]
        fn quoted_text_parses_to_itself(any in any::<String>()) {
            let written = literal(&any);
            prop_assert_eq!(text(&written).unwrap(), (any, ""));
        }
    }
}
