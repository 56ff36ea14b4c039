//! URLs in settings and messages, without the secrets that people write into them.

use std::borrow::Cow;

use serde_json::Value;

/// What stands for a user name and a password.
const MASK: &str = "***";

/// The characters that end a URL in a message.
const ENDS: [char; 6] = ['\'', '"', '`', '<', '>', ','];

/// Returns a text in which each URL has `***` instead of its user name and password. Leaves the user of a database, whose password is
/// left out already.
#[must_use]
pub fn masked(text: &str) -> Cow<'_, str> {
    if !(text.contains("://") && text.contains('@')) {
        return Cow::Borrowed(text);
    }
    let (mut shown, mut rest, mut scheme) = (String::with_capacity(text.len()), text, "");
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        scheme = before.rsplit(|one: char| !one.is_ascii_alphanumeric() && one != '+').next().unwrap_or(scheme);
        let end = after.find(|one: char| one.is_whitespace() || ENDS.contains(&one)).unwrap_or(after.len());
        // A password may contain any character. Everything up to the last `@` may be the user's.
        let user = after[..end].rfind('@').unwrap_or(0);
        if user > 0 {
            shown.push_str(if is_without_password(scheme, &after[..user]) { &after[..user] } else { MASK });
        }
        rest = &after[user..];
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// Returns whether the text before the `@` of a URL is shown: the user of a database without its password, or a container of Azure.
fn is_without_password(scheme: &str, user: &str) -> bool {
    let is_database = matches!(scheme, "postgres" | "postgresql");
    is_database && user.split_once(':').is_none_or(|(_, password)| password == MASK) || is_container(scheme, user)
}

/// Returns whether the text before the `@` of a URL is a container of Azure's, as in `abfss://container@account.dfs.core.windows.net`.
fn is_container(scheme: &str, user: &str) -> bool {
    let is_name = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-' || one == '$';
    matches!(scheme, "abfs" | "abfss" | "wasb" | "wasbs") && user.chars().all(is_name)
}

/// Returns whether a URL has a user name or password.
#[must_use]
pub fn has_user(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    rest.rsplit_once('@').is_some_and(|(user, _)| !is_container(scheme, user))
}

/// Masks the URLs in all texts of a value. See [`masked`].
pub fn mask_value(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(shown) = masked(text) {
                *text = shown;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(mask_value),
        Value::Object(fields) => fields.values_mut().for_each(mask_value),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn user_and_password_of_a_url_are_masked() {
        for (text, shown) in [
            ("s3://key:hush@bucket/x", "s3://***@bucket/x"),
            ("`backups.to` is s3://key:hu@sh@bucket/x: name a file", "`backups.to` is s3://***@bucket/x: name a file"),
            ("'https://hush@a' and 'http://b:hush@c'", "'https://***@a' and 'http://***@c'"),
            ("https://example.com/a@b", "https://***@b"),
            ("https://example.com/a and a@b", "https://example.com/a and a@b"),
            ("postgres://tide@h/d", "postgres://tide@h/d"),
            ("postgres://tide:***@h/d", "postgres://tide:***@h/d"),
            ("postgres://tide:hush@h/d", "postgres://***@h/d"),
            ("abfss://lake@account.dfs/x", "abfss://lake@account.dfs/x"),
            ("abfss://key:hush@account.dfs/x", "abfss://***@account.dfs/x"),
            ("no URL: a@b", "no URL: a@b"),
            ("://@", "://@"),
        ] {
            assert_eq!(masked(text), shown);
        }
        let mut value = serde_json::json!({"a": ["s3://k:hush@b", 1, null], "b": {"c": "http://hush@x"}});
        mask_value(&mut value);
        assert_eq!(value, serde_json::json!({"a": ["s3://***@b", 1, null], "b": {"c": "http://***@x"}}));
    }

    #[test]
    fn container_of_azure_is_no_user() {
        for (url, has) in [
            ("s3://key:hush@bucket/x", true),
            ("s3://bucket/x@y", true),
            ("s3://bucket/x", false),
            ("abfss://lake@account.dfs/x", false),
            ("abfss://key:hush@account.dfs/x", true),
            ("/folder/a@b", false),
        ] {
            assert_eq!(has_user(url), has, "{url}");
        }
    }

    proptest! {
        #[test]
        fn password_of_a_url_never_stays(
            before in "[a-z ]{0,5}", scheme in "[a-z0-9+]{1,8}", user in "[^\\s'\"`<>,@/:]{0,5}",
            password in "[^\\s'\"`<>,]{0,8}", after in "[a-z/ ]{0,9}"
        ) {
            let shown = masked(&format!("{before}{scheme}://{user}:hush{password}@{after}")).into_owned();
            prop_assert!(!shown.contains("hush"), "{shown}");
            prop_assert_eq!(masked(&shown), shown.as_str());
        }
    }
}
