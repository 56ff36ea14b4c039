//! Hints which setting to change, from the error of a store or the network.
//!
//! The texts are the stores' own codes, which their documentation lists: S3's and STS' error responses, Azure's common REST
//! error codes and Entra's AADSTS codes, and the errors of Google's OAuth2 and JSON API. A code is searched together with the
//! punctuation around it in an answer: an error also contains the object's address, and anybody can choose the names in it.

/// Texts that an error must all contain, with the advice for it.
struct Hint {
    words: &'static [&'static str],
    advice: &'static str,
}

const fn hint(words: &'static [&'static str], advice: &'static str) -> Hint {
    Hint { words, advice }
}

const CLOCK: &str = "the clock of this machine is wrong: set it, best with a time service";
const PATH_STYLE: &str = "the bucket's name is put before the endpoint's host name: set `path-style = true` if the store wants it in the path";
const REGION: &str = "set `region` to the bucket's own region";

const S3: &[Hint] = &[
    hint(&["<Code>RequestTimeTooSkewed<"], CLOCK),
    hint(&["<Code>AuthorizationHeaderMalformed<"], REGION),
    hint(&["<Code>IllegalLocationConstraintException<"], REGION),
    hint(&["redirect without LOCATION"], REGION),
    hint(&["<Code>PermanentRedirect<"], REGION),
    hint(&["<Code>InvalidAccessKeyId<"], "check `access-key-id` in the section [credentials]"),
    hint(&["<Code>XAdminUserNotFound<"], "check `access-key-id` in the section [credentials]"),
    hint(&["<Code>SignatureDoesNotMatch<"], "check `secret-access-key` in the section [credentials], and `region`"),
    hint(
        &["<Code>InvalidToken<"],
        "check `session-token` in the section [credentials]: leave it out for a permanent key",
    ),
    hint(&["<Code>ExpiredToken<"], "the `session-token` in the section [credentials] has expired: give a new key"),
    hint(&["<Code>KMS."], "check `kms-key-arn`, and that the key's policy lets the catalog and the role use it"),
];

const STS: &[Hint] = &[
    hint(&["RequestTimeTooSkewed"], CLOCK),
    hint(
        &["SignatureDoesNotMatch"],
        "check `secret-access-key` in the section [credentials], `region` and `sts-endpoint`",
    ),
    hint(&["InvalidClientTokenId"], "check `access-key-id` in the section [credentials]"),
    hint(&["ExpiredToken"], "the `session-token` in the section [credentials] has expired: give a new key"),
    hint(&["MaxSessionDuration"], "set `session-duration-s` to at most what the role allows"),
    hint(&["DurationSeconds"], "set `session-duration-s` to at most what the role allows"),
    hint(&["TagSession"], "the role's trust policy must allow `sts:TagSession`, or leave out `session-tags`"),
    hint(&["RegionDisabledException"], "set `region`, or `sts-endpoint` to one that is active for the account"),
    hint(&["InvalidAction"], "set `sts-endpoint` to the store's token service, or leave out `role-arn` if it has none"),
    hint(
        &["MethodNotAllowed"],
        "set `sts-endpoint` to the store's token service, or leave out `role-arn` if it has none",
    ),
    hint(
        &["NotImplemented"],
        "set `sts-endpoint` to the store's token service, or leave out `role-arn` if it has none",
    ),
    hint(&["405"], "set `sts-endpoint` to the store's token service, or leave out `role-arn` if it has none"),
    hint(
        &["AccessDenied"],
        "check `role-arn`, that the role's trust policy names the catalog's own user or role, and `external-id` if it asks for one",
    ),
    hint(&["InvalidArgument"], "check `session-duration-s`, which is at most what the role allows, and `session-tags`"),
    hint(&["NoSuchEntity"], "check `role-arn`: there is no such role"),
    hint(&["NoSuchRole"], "check `role-arn`: there is no such role"),
];

const AZURE: &[Hint] = &[
    hint(&["<Code>AuthenticationFailed<", "date header"], CLOCK),
    hint(&["<Code>AuthenticationFailed<", "15 minutes"], CLOCK),
    hint(&["<Code>AuthenticationFailed<", "not yet valid"], CLOCK),
    hint(
        &["<Code>AuthenticationFailed<"],
        "check `account-key` in the section [credentials]: it is another account's, or was renewed",
    ),
    hint(&["AADSTS7000215"], "check `client-secret` in the section [credentials]: it is its value, not its id"),
    hint(&["AADSTS7000222"], "the `client-secret` in the section [credentials] has expired: give a new one"),
    hint(&["AADSTS700016"], "check `client-id` and `tenant-id` in the section [credentials]"),
    hint(&["AADSTS9000"], "check `tenant-id` in the section [credentials]"),
    hint(&["invalid_client"], "check `client-id` and `client-secret` in the section [credentials]"),
    hint(
        &["<Code>AuthorizationPermissionMismatch<"],
        "give the application the role 'Storage Blob Data Contributor' on the container, and 'Storage Blob Delegator' on the account",
    ),
    hint(
        &["<Code>KeyBasedAuthenticationNotPermitted<"],
        "the account refuses keys: use `kind = \"azure-service-principal\"`",
    ),
    hint(&["<Code>AuthorizationFailure<"], "the account's firewall refuses this machine's address"),
];

const GOOGLE: &[Hint] = &[
    hint(&["invalid_grant", "reasonable timeframe"], CLOCK),
    hint(
        &["invalid_grant", "account not found"],
        "check `key` in the section [credentials]: the service account is gone",
    ),
    hint(&["invalid_grant"], "check `key` in the section [credentials]: it was deleted, or is another account's"),
    hint(&["invalid_client"], "check `key` in the section [credentials]: the service account is gone or disabled"),
    hint(&["is disabled"], "the service account is disabled, or the project's billing is"),
    hint(&["does not have storage.objects."], "give the service account the role 'Storage Object User' on the bucket"),
];

const NAME_UNKNOWN: [&str; 4] =
    ["dns error", "failed to lookup address", "Name or service not known", "nodename nor servname"];

/// Returns the advice for an error of a warehouse's store or the network.
#[must_use]
pub fn for_store(scheme: &str, bucket: &str, said: &str) -> Option<&'static str> {
    let unknown_name = NAME_UNKNOWN.iter().any(|words| said.contains(words));
    match scheme {
        "s3" => {
            let own_host = host_of(said).filter(|host| !host.contains("amazonaws.com"));
            let in_front =
                own_host.and_then(|host| host.strip_prefix(bucket)).is_some_and(|rest| rest.starts_with('.'));
            if in_front && !said.contains("<Code>") {
                return Some(PATH_STYLE);
            }
            if unknown_name {
                return Some(if own_host.is_some() { "check `endpoint`" } else { "check `region`" });
            }
            first(S3, said)
        }
        "abfss" if unknown_name => Some("check the account's name in the root, and `endpoint`"),
        "abfss" => first(AZURE, said),
        "gs" if unknown_name => Some("check `endpoint`"),
        "gs" => first(GOOGLE, said),
        _ => None,
    }
}

/// Returns the advice for an error of the token service of an S3 store.
#[must_use]
pub fn for_token_service(said: &str) -> Option<&'static str> {
    first(STS, said)
}

/// Ends a message with a hint, if there is one.
#[must_use]
pub fn with_hint(said: String, hint: Option<&str>) -> String {
    match hint {
        Some(hint) => format!("{said}. Hint, for `tidewater warehouse set-storage`: {hint}"),
        None => said,
    }
}

fn first(hints: &[Hint], said: &str) -> Option<&'static str> {
    hints.iter().find(|hint| hint.words.iter().all(|words| said.contains(words))).map(|hint| hint.advice)
}

/// Returns the host of the first URL in a text.
fn host_of(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("://")?;
    rest.split(['/', ':', '?', ')', ' ', '"']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_of_a_store_names_the_setting_to_change() {
        let dns = "error sending request for url (http://lake.minio.local:9000/x): client error (Connect): dns error: \
                   failed to lookup address information: Name or service not known";
        for (scheme, bucket, said, names) in [
            ("s3", "lake", dns, "`path-style = true`"),
            ("s3", "other", dns, "`endpoint`"),
            ("s3", "b", "url (https://b.s3.moon-1.amazonaws.com/x): dns error", "`region`"),
            ("s3", "b", "<Code>AuthorizationHeaderMalformed</Code> expecting 'eu-west-1'", "`region`"),
            ("s3", "b", "Received redirect without LOCATION, this normally indicates", "`region`"),
            ("s3", "b", "https://b.store.example/x: <Code>PermanentRedirect</Code>", "`region`"),
            ("s3", "b", "<Code>InvalidAccessKeyId</Code>", "`access-key-id`"),
            ("s3", "b", "<Code>SignatureDoesNotMatch</Code>", "`secret-access-key`"),
            ("s3", "b", "<Code>RequestTimeTooSkewed</Code>", "clock"),
            ("s3", "b", "<Code>KMS.NotFoundException</Code>", "`kms-key-arn`"),
            (
                "abfss",
                "c",
                "<Code>AuthenticationFailed</Code> The MAC signature found in the HTTP request",
                "`account-key`",
            ),
            ("abfss", "c", "<Code>AuthenticationFailed</Code> Request date header too old: 'Thu, 01 Jan'", "clock"),
            ("abfss", "c", "AADSTS7000215: Invalid client secret provided", "`client-secret`"),
            ("abfss", "c", "AADSTS90002: Tenant 'x' not found", "`tenant-id`"),
            ("abfss", "c", "AADSTS700016: Application with identifier", "`client-id`"),
            ("abfss", "c", "<Code>AuthorizationPermissionMismatch</Code>", "'Storage Blob Data Contributor'"),
            ("abfss", "c", "dns error", "account's name"),
            ("gs", "b", "invalid_grant: Invalid JWT Signature.", "`key`"),
            (
                "gs",
                "b",
                "invalid_grant: Invalid JWT: Token must be a short-lived token and in a reasonable timeframe",
                "clock",
            ),
            ("gs", "b", "x@y does not have storage.objects.create access", "'Storage Object User'"),
        ] {
            let advice = for_store(scheme, bucket, said).unwrap_or_default();
            assert!(advice.contains(names), "{said}: {advice}");
        }
        assert_eq!(for_store("s3", "b", "connection refused"), None);
        assert_eq!(for_store("s3", "b", "http://host/b/InvalidAccessKeyId/KMS.json: 404"), None, "a name is no code");
        assert_eq!(for_store("file", "", "dns error"), None);
    }

    #[test]
    fn each_failure_of_a_token_service_names_the_setting_to_change() {
        for (said, names) in [
            ("AccessDenied: User: x is not authorized to perform: sts:AssumeRole on resource: y", "`role-arn`"),
            ("AccessDenied: not authorized to perform: sts:TagSession", "`session-tags`"),
            ("ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration", "`session-duration-s`"),
            ("InvalidClientTokenId: The security token included in the request is invalid", "`access-key-id`"),
            ("InvalidAction: Could not find operation AssumeRole", "`sts-endpoint`"),
            ("405 Method Not Allowed", "`sts-endpoint`"),
            ("NoSuchEntity", "`role-arn`"),
        ] {
            let advice = for_token_service(said).unwrap_or_default();
            assert!(advice.contains(names), "{said}: {advice}");
        }
        assert_eq!(for_token_service("Throttling"), None);
    }
}
