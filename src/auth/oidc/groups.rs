//! The roles that follow from a token's groups.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use tidewater_core::access::{Role, check_role_name};

use super::error::ProviderTokenError;
use crate::config::GroupMapping;

/// The most groups of a token that are read. More do not fit into a token.
const MAX_GROUPS: usize = 2_000;

/// The roles of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MappedRoles {
    /// The highest built-in role.
    pub(super) built_in: Role,
    /// The names of the principal roles.
    pub(super) principal_roles: BTreeSet<String>,
}

/// Returns the roles of groups. `default` is the built-in role of a user without groups.
pub(super) fn map_groups(groups: &[&str], mappings: &[GroupMapping], default: Role) -> MappedRoles {
    let mut roles = MappedRoles { built_in: default, principal_roles: BTreeSet::new() };
    for group in groups {
        for mapping in mappings {
            let Some(star) = matched(mapping, group) else { continue };
            roles.built_in = roles.built_in.max(mapping.role.unwrap_or(Role::None));
            let named = mapping.principal_role.as_ref().map(|name| name.replace('*', star));
            roles.principal_roles.extend(named.filter(|name| check_role_name(name).is_ok()));
        }
    }
    roles
}

/// Returns the text of the first `*` if the group matches the mapping. An exact name has none.
fn matched<'a>(mapping: &GroupMapping, group: &'a str) -> Option<&'a str> {
    match (&mapping.group, &mapping.pattern) {
        (Some(name), _) => (name == group).then_some(""),
        (None, Some(pattern)) => matched_pattern(pattern, group),
        (None, None) => None,
    }
}

/// Returns the text of the first `*` if all of a text matches a pattern. Each `*` takes as little as it can.
fn matched_pattern<'a>(pattern: &str, text: &'a str) -> Option<&'a str> {
    let Some((start, rest)) = pattern.split_once('*') else { return (pattern == text).then_some("") };
    let text = text.strip_prefix(start)?;
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let end = pieces.pop().unwrap_or_default();
    let inside = text.strip_suffix(end)?;
    let (mut first, mut left) = (None, inside);
    for piece in pieces {
        let at = left.find(piece)?;
        first = first.or(Some(&left[..at]));
        left = &left[at + piece.len()..];
    }
    Some(first.unwrap_or(inside))
}

/// Returns the groups in a claim, a text or a list of texts. A claim that is absent or null has none.
///
/// # Errors
/// `TooManyGroups` if the token has a link instead of the groups; `Claim` if the claim has another type.
pub(super) fn groups_of<'a>(claims: &'a Map<String, Value>, path: &str) -> Result<Vec<&'a str>, ProviderTokenError> {
    let wrong = ProviderTokenError::Claim("groups");
    let found = match find(claims, path) {
        None | Some(Value::Null) if has_link(claims, path) => return Err(ProviderTokenError::TooManyGroups),
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::String(group)) => return Ok(vec![group]),
        Some(Value::Array(groups)) if groups.len() <= MAX_GROUPS => groups,
        Some(_) => return Err(wrong),
    };
    found.iter().map(|group| group.as_str().ok_or_else(|| wrong.clone())).collect()
}

/// Returns the value at a dotted path. A claim's own name can have dots, such as `https://example.com/roles`: at each level, the
/// longest name wins.
fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let mut ends = path.rmatch_indices('.').map(|(at, _)| at);
    ends.find_map(|at| find(claims.get(&path[..at])?.as_object()?, &path[at + 1..]))
}

/// Returns whether a token of Microsoft Entra has a link or a mark instead of too many groups.
fn has_link(claims: &Map<String, Value>, path: &str) -> bool {
    let name = path.split('.').next().unwrap_or_default();
    let linked = |names: &Value| names.get(path).or_else(|| names.get(name)).is_some();
    claims.get("_claim_names").is_some_and(linked)
        || claims.get("hasgroups").is_some_and(|mark| mark == &Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn mapping(of: (Option<&str>, Option<&str>), principal_role: Option<&str>, role: Option<Role>) -> GroupMapping {
        let owned = |text: &str| text.to_owned();
        GroupMapping {
            group: of.0.map(owned),
            pattern: of.1.map(owned),
            principal_role: principal_role.map(owned),
            role,
        }
    }

    #[test]
    fn groups_are_found_by_their_path() {
        let claims = object(json!({
            "groups": ["a", "b"], "role": "one", "realm_access": { "roles": ["r"] },
            "resource_access": { "my.client": { "roles": ["c"] }, "my": { "client": { "roles": ["wrong"] } } },
            "https://example.com/roles": ["x"], "none": null,
        }));
        for (path, groups) in [
            ("groups", vec!["a", "b"]),
            ("role", vec!["one"]),
            ("realm_access.roles", vec!["r"]),
            ("resource_access.my.client.roles", vec!["c"]),
            ("https://example.com/roles", vec!["x"]),
            ("none", vec![]),
            ("absent", vec![]),
            ("realm_access.absent", vec![]),
            ("groups.roles", vec![]),
        ] {
            assert_eq!(groups_of(&claims, path), Ok(groups), "{path}");
        }
    }

    #[test]
    fn groups_of_another_type_are_refused() {
        for groups in [json!(1), json!([1]), json!({}), json!(["a", null]), json!(true)] {
            let claims = object(json!({ "groups": groups }));
            assert_eq!(groups_of(&claims, "groups"), Err(ProviderTokenError::Claim("groups")), "{groups}");
        }
    }

    #[test]
    fn link_instead_of_groups_is_refused() {
        let link =
            json!({ "_claim_names": { "groups": "src1" }, "_claim_sources": { "src1": { "endpoint": "https://a" } } });
        assert_eq!(groups_of(&object(link.clone()), "groups"), Err(ProviderTokenError::TooManyGroups));
        let mark = object(json!({ "hasgroups": true }));
        assert_eq!(groups_of(&mark, "groups"), Err(ProviderTokenError::TooManyGroups));
        assert_eq!(groups_of(&object(link), "roles"), Ok(vec![]), "the link is for another claim");
        let both = object(json!({ "hasgroups": true, "groups": ["a"] }));
        assert_eq!(groups_of(&both, "groups"), Ok(vec!["a"]));
    }

    #[test]
    fn groups_are_mapped_by_name_and_by_pattern() {
        let mappings = [
            mapping((Some("ops"), None), None, Some(Role::Admin)),
            mapping((Some("data"), None), Some("analysts"), Some(Role::Reader)),
            mapping((None, Some("tw-*-team")), Some("team-*"), None),
            mapping((None, Some("*")), Some("*"), None),
        ];
        let roles = |groups: &[&str]| {
            let roles = map_groups(groups, &mappings, Role::None);
            (roles.built_in, roles.principal_roles.into_iter().collect::<Vec<_>>().join(","))
        };
        assert_eq!(roles(&[]), (Role::None, String::new()));
        assert_eq!(roles(&["data"]), (Role::Reader, "analysts,data".to_owned()));
        assert_eq!(roles(&["ops", "data"]), (Role::Admin, "analysts,data,ops".to_owned()));
        assert_eq!(roles(&["tw-eu-team"]), (Role::None, "team-eu,tw-eu-team".to_owned()));
        assert_eq!(
            roles(&["Ops", "admin", "a\nb"]),
            (Role::None, "Ops".to_owned()),
            "no built-in and no unreadable names"
        );
        assert_eq!(map_groups(&[], &mappings, Role::Writer).built_in, Role::Writer);
    }

    #[test]
    fn pattern_matches_the_whole_text() {
        for (pattern, text, star) in [
            ("a*", "abc", Some("bc")),
            ("*c", "abc", Some("ab")),
            ("a*c", "abc", Some("b")),
            ("a*c", "ac", Some("")),
            ("a*b*c", "axbxbc", Some("x")),
            ("*", "", Some("")),
            ("abc", "abc", Some("")),
            ("a*", "xa", None),
            ("a*a", "a", None),
            ("a.c", "abc", None),
            ("*b*", "ac", None),
        ] {
            assert_eq!(matched_pattern(pattern, text), star, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn pattern_made_from_a_text_matches_it(parts in prop::collection::vec("[a-c.é]{0,3}", 1..5), star in "[a-cé]{0,4}") {
            let text = parts.join(&star);
            prop_assert!(matched_pattern(&parts.join("*"), &text).is_some());
        }

        #[test]
        fn pattern_without_a_star_matches_only_itself(pattern in "[ab.]{0,4}", text in "[ab.]{0,4}") {
            prop_assert_eq!(matched_pattern(&pattern, &text).is_some(), pattern == text);
        }

        #[test]
        fn group_never_gives_a_role_that_no_mapping_has(group in "[a-z*]{0,8}") {
            let mappings = [mapping((Some("ops"), None), Some("one"), Some(Role::Admin))];
            let roles = map_groups(&[&group], &mappings, Role::None);
            prop_assert_eq!(roles.built_in == Role::Admin, group == "ops");
            prop_assert_eq!(roles.principal_roles.len(), usize::from(group == "ops"));
        }
    }
}
