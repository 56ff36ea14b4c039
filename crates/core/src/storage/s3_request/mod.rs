//! Decides whether to sign a client's S3 request for one table. Allows the requests of engines on the table's own files.
//!
//! A signature has the full rights of the catalog's key for that one request. So unknown and ambiguous requests are
//! refused: a store must not read a request in another way than this module does.

mod address;
mod delete_body;
mod encoding;
mod headers;
mod operation;
#[cfg(test)]
mod tests;

use address::Address;
use encoding::{check_name, decode};
use headers::Headers;
use operation::Operation;

use super::{Access, S3Profile};
use crate::location::Location;

/// A request to sign (REST specification, `RemoteSignRequest`).
#[derive(Debug, Clone, Copy)]
pub struct S3Request<'a> {
    /// `GET`, `PUT`, ...
    pub method: &'a str,
    /// The whole URL.
    pub uri: &'a str,
    /// The header names, in any case, with their values.
    pub headers: &'a [(String, Vec<String>)],
    /// The body, if the decision depends on it: for `DeleteObjects`.
    pub body: Option<&'a str>,
}

/// A request that may be signed.
#[derive(Debug, PartialEq, Eq)]
pub struct Approved {
    /// The headers to sign, by name in lower case, besides those of the signature itself. Some may be new to the client,
    /// which must send them.
    pub headers: Vec<(String, String)>,
    /// How the signature covers the body.
    pub payload: Payload,
    /// Whether the same client may reuse the signature for the same method and URL while it is valid.
    pub may_be_reused: bool,
}

/// How a signature covers a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Not at all.
    Unsigned,
    /// Not at all, but announces trailing checksums.
    UnsignedTrailer,
    /// By this SHA-256 digest, in lower-case hexadecimal.
    Sha256(String),
    /// By the digest of the body in the sign request.
    TheBody,
}

/// Why a request is not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The request is malformed or ambiguous.
    #[error("The request cannot be signed: {0}")]
    Malformed(String),
    /// The request is outside the table, or exceeds the caller's rights.
    #[error("The request is not signed: {0}")]
    Forbidden(String),
}

impl Refused {
    fn malformed(what: &str, why: &str) -> Self {
        Self::Malformed(format!("{what} is not valid: {why}"))
    }

    fn forbidden(why: impl Into<String>) -> Self {
        Self::Forbidden(why.into())
    }
}

/// Decides whether a caller with `access` to a table with files in `locations` may send `request`.
///
/// # Errors
/// See [`Refused`].
pub fn approve(
    profile: &S3Profile,
    locations: &[Location],
    access: Access,
    request: &S3Request<'_>,
) -> Result<Approved, Refused> {
    let bucket = locations.first().map(Location::authority);
    let bucket = bucket.ok_or_else(|| Refused::forbidden("the table has no location that it may use"))?;
    let table = Table { bucket, locations };
    let address = Address::parse(request.uri, profile, bucket)?;
    let operation = Operation::parse(request.method, !address.key.is_empty(), address.query)?;
    if !access.writes() && !operation.is_read() {
        return Err(Refused::forbidden("your key may only read: use a key with the role 'writer' or 'admin'"));
    }
    if access == Access::ReadWriteNoDelete && operation.removes() {
        return Err(Refused::forbidden(
            "your key or the warehouse does not let clients remove files: the catalog removes them, at a purge",
        ));
    }
    let headers = request.headers.iter().map(|(name, values)| (name.as_str(), values.as_slice()));
    let headers = Headers::parse(headers, profile.kms_key_arn.as_deref())?;
    let mut payload = headers.payload;
    match &operation {
        Operation::List(prefix) => table.check(prefix, true)?,
        Operation::DeleteMany => {
            let body = request.body.ok_or_else(|| {
                Refused::Malformed(
                    "a request that removes several objects is signed only with its body, which names them: send it \
                     along, or remove them one by one"
                        .to_owned(),
                )
            })?;
            for key in delete_body::keys(body).map_err(|why| Refused::malformed("the body", why))? {
                table.check(&key, false)?;
            }
            payload = Payload::TheBody;
        }
        _ => table.check(&address.key, false)?,
    }
    let is_put = matches!(operation, Operation::Put | Operation::PutPart);
    let mut signed = headers.signed;
    match headers.copy_source {
        Some(source) if is_put => table.check_copied(&source)?,
        Some(_) => return Err(Refused::forbidden("only an object or a part can be a copy")),
        None if is_put && !address.is_amazon => forbid_copy(&mut signed),
        None => {}
    }
    Ok(Approved { headers: signed, payload, may_be_reused: matches!(operation, Operation::Get) })
}

/// Adds headers that make a signature for a write useless for a copy.
///
/// Amazon refuses a request with unsigned Amazon headers. Others do not (Ceph 16 and MinIO are known): a client could get
/// a signature for a write, send it with `x-amz-copy-source`, and so read another table's files. Conditions that no copy
/// fulfils make such a copy fail, and do not affect a write.
fn forbid_copy(signed: &mut Vec<(String, String)>) {
    const NEVER: [(&str, &str); 3] = [
        ("x-amz-copy-source-if-match", "none"),
        // Ceph's name for it.
        ("x-amz-copy-if-match", "none"),
        // For a part, Ceph ignores all conditions except the range.
        ("x-amz-copy-source-range", "bytes=9223372036854775806-9223372036854775807"),
    ];
    signed.retain(|(name, _)| !name.starts_with("x-amz-copy-"));
    signed.extend(NEVER.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

/// The locations of a table's files.
struct Table<'a> {
    bucket: &'a str,
    locations: &'a [Location],
}

impl Table<'_> {
    /// Checks that an object, or all objects with a prefix, belong to the table.
    fn check(&self, key: &str, is_prefix: bool) -> Result<(), Refused> {
        let what = if is_prefix { "the prefix" } else { "the object's name" };
        check_name(key).map_err(|why| Refused::malformed(what, why))?;
        let is_below = |location: &&Location| {
            let folder = location.path().trim_start_matches('/');
            let below = key.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
            location.authority() == self.bucket
                && !folder.is_empty()
                && below.is_some_and(|rest| is_prefix || !rest.is_empty())
        };
        if self.locations.iter().any(|location| is_below(&location)) {
            return Ok(());
        }
        let shown: String = key.chars().take(200).collect();
        let end = if is_prefix { " (a prefix must have a '/' behind the table's folder)" } else { "" };
        Err(Refused::forbidden(format!("'{shown}' is not among the table's files{end}")))
    }

    /// Checks the source of a copy: `bucket/key`, percent-encoded, with an optional leading `/`.
    fn check_copied(&self, source: &str) -> Result<(), Refused> {
        let wrong = |why| Refused::malformed("the header 'x-amz-copy-source'", why);
        let source = decode(source).map_err(wrong)?;
        let (bucket, key) = source
            .strip_prefix('/')
            .unwrap_or(&source)
            .split_once('/')
            .ok_or_else(|| wrong("it must name a bucket and an object"))?;
        if bucket != self.bucket {
            return Err(Refused::forbidden("the source of the copy is in another bucket"));
        }
        self.check(key, false)
    }
}
