//! Decides which headers of an S3 request are signed, and which are refused.

use super::{Payload, Refused};

/// The facts about a request's headers that the rules need.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Headers {
    /// The headers to sign, by name in lower case.
    pub(super) signed: Vec<(String, String)>,
    /// The source, if the request is a copy.
    pub(super) copy_source: Option<String>,
    /// How the signature covers the body.
    pub(super) payload: Payload,
}

/// Headers that signing sets. The client's values are ignored.
const OURS: [&str; 4] = ["authorization", "host", "x-amz-date", "x-amz-security-token"];

/// Headers outside Amazon's own that are signed. All others may differ between the request shown here and the request
/// sent: HTTP libraries add some, and a signature for a file is valid for any range of it.
const SIGNED: [&str; 2] = ["content-type", "content-md5"];

/// Amazon's own headers that affect only the object in the request.
const HARMLESS: [&str; 13] = [
    "x-amz-decoded-content-length",
    "x-amz-expected-bucket-owner",
    "x-amz-metadata-directive",
    "x-amz-mp-object-size",
    "x-amz-request-payer",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-server-side-encryption-context",
    "x-amz-storage-class",
    // Java asks for a checksum after the content.
    "x-amz-te",
    "x-amz-trailer",
    "x-amz-user-agent",
];
const HARMLESS_BEGINNINGS: [&str; 3] = ["x-amz-checksum-", "x-amz-meta-", "x-amz-server-side-encryption-customer-"];

const KMS_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const COPY_SOURCE: &str = "x-amz-copy-source";
const HASH: &str = "x-amz-content-sha256";

impl Headers {
    /// Parses the headers.
    pub(super) fn parse<'a>(
        headers: impl Iterator<Item = (&'a str, &'a [String])>,
        kms_key: Option<&str>,
    ) -> Result<Self, Refused> {
        let mut found = Self { signed: Vec::new(), copy_source: None, payload: Payload::Unsigned };
        let (mut names, mut hash, mut has_trailer) = (Vec::new(), None, false);
        for (name, values) in headers {
            let name = name.to_ascii_lowercase();
            if names.contains(&name) {
                return Err(Refused::malformed(&format!("the header '{}'", shown(&name)), "it is there twice"));
            }
            names.push(name.clone());
            let is_amazons = name.starts_with("x-amz-");
            if OURS.contains(&name.as_str()) || !(is_amazons || SIGNED.contains(&name.as_str())) {
                continue;
            }
            let value = one_value(&name, values)?;
            match name.as_str() {
                HASH => {
                    hash = Some(value);
                    continue;
                }
                "x-amz-trailer" => has_trailer = true,
                COPY_SOURCE => found.copy_source = Some(value.clone()),
                _ if is_amazons && !is_harmless(&name, &value, kms_key) => {
                    return Err(Refused::forbidden(format!(
                        "a request with the header '{}' is not signed",
                        shown(&name)
                    )));
                }
                _ => {}
            }
            found.signed.push((name, value));
        }
        found.payload = payload(hash, has_trailer)?;
        Ok(found)
    }
}

fn is_harmless(name: &str, value: &str, kms_key: Option<&str>) -> bool {
    match name {
        // Only ACLs that set the owner, never ACLs that let others read.
        "x-amz-acl" => matches!(value, "private" | "bucket-owner-full-control"),
        KMS_KEY => kms_key == Some(value),
        _ => {
            HARMLESS.contains(&name)
                || HARMLESS_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
                // These only restrict a copy whose source is checked.
                || name.starts_with("x-amz-copy-source-")
                || name == "x-amz-source-expected-bucket-owner"
        }
    }
}

fn one_value(name: &str, values: &[String]) -> Result<String, Refused> {
    let wrong = |why| Err(Refused::malformed(&format!("the header '{}'", shown(name)), why));
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(&byte);
    match values {
        [value] if !name.bytes().all(is_token) || !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) => {
            wrong("it has a character that is not ASCII text")
        }
        [value] => Ok(value.clone()),
        _ => wrong("it must have one value"),
    }
}

fn payload(hash: Option<String>, has_trailer: bool) -> Result<Payload, Refused> {
    const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match hash {
        // With client-side signing switched off, clients leave the announcement of trailing checksums to the signer.
        None if has_trailer => Ok(Payload::UnsignedTrailer),
        None => Ok(Payload::Unsigned),
        Some(text) if text == "UNSIGNED-PAYLOAD" => Ok(Payload::Unsigned),
        Some(text) if text == UNSIGNED_TRAILER => Ok(Payload::UnsignedTrailer),
        Some(text) if is_hash(&text) => Ok(Payload::Sha256(text)),
        Some(_) => Err(Refused::malformed(
            "the header 'x-amz-content-sha256'",
            "it must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER or a SHA-256 digest: a body in pieces that \
             are signed one by one needs a key that only the catalog has",
        )),
    }
}

fn shown(name: &str) -> String {
    name.chars().take(60).collect()
}
