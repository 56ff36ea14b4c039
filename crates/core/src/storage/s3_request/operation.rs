//! Recognises the operation of an S3 request (Amazon S3 API reference). Knows only the operations that engines use.

use super::Refused;
use super::encoding::decode;

/// The operation of a request. Its names are decoded, but not yet checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// `GetObject`, `HeadObject`.
    Get,
    /// `PutObject`, or `CopyObject`.
    Put,
    /// `UploadPart`, or `UploadPartCopy`.
    PutPart,
    /// `CreateMultipartUpload`, `CompleteMultipartUpload`, `AbortMultipartUpload`, `ListParts`.
    Multipart,
    /// `DeleteObject`.
    Delete,
    /// `DeleteObjects`. Its body names the objects.
    DeleteMany,
    /// `ListObjects` or `ListObjectsV2` of names with this prefix.
    List(String),
}

impl Operation {
    /// Parses method and query. `names_object`: the path names an object, not only the bucket.
    pub(super) fn parse(method: &str, names_object: bool, query: &str) -> Result<Self, Refused> {
        let mut query = Query::parse(query)?;
        // Some clients add the operation's name here. The store ignores it.
        query.take("x-id");
        let operation = match (method, names_object) {
            ("GET", true) if query.has("uploadId") => {
                query.take_all(&["uploadId", "max-parts", "part-number-marker", "encoding-type"]);
                Self::Multipart
            }
            ("GET" | "HEAD", true) => {
                query.take_all(&["versionId", "partNumber"]);
                Self::Get
            }
            ("PUT", true) if query.has("uploadId") && query.has("partNumber") => {
                query.take_all(&["uploadId", "partNumber"]);
                Self::PutPart
            }
            ("PUT", true) => Self::Put,
            ("POST", true) if query.take("uploads").is_some_and(|value| value.is_empty()) => Self::Multipart,
            ("POST", true) if query.take("uploadId").is_some() => Self::Multipart,
            ("DELETE", true) if query.take("uploadId").is_some() => Self::Multipart,
            ("DELETE", true) => Self::Delete,
            ("POST", false) if query.take("delete").is_some_and(|value| value.is_empty()) => Self::DeleteMany,
            ("GET", false) => Self::List(list(&mut query)?),
            _ => return Err(unknown(method, names_object)),
        };
        match query.0.first() {
            Some((name, _)) => Err(Refused::forbidden(format!(
                "a {method} request with the parameter '{}' is not signed",
                name.chars().take(40).collect::<String>()
            ))),
            None => Ok(operation),
        }
    }

    /// Returns whether it removes objects. Aborting an upload does not.
    pub(super) const fn removes(&self) -> bool {
        matches!(self, Self::Delete | Self::DeleteMany)
    }

    /// Returns whether it changes nothing and returns nothing that only writers need.
    pub(super) const fn is_read(&self) -> bool {
        matches!(self, Self::Get | Self::List(_))
    }
}

fn list(query: &mut Query) -> Result<String, Refused> {
    if query.take("list-type").is_some_and(|version| version != "2") {
        return Err(Refused::forbidden("a list of another type than 2 is not signed"));
    }
    let prefix = query.take("prefix").ok_or_else(|| unknown("GET", false))?;
    query.take_all(&["delimiter", "max-keys", "encoding-type", "marker"]);
    query.take_all(&["continuation-token", "start-after", "fetch-owner"]);
    Ok(prefix)
}

fn unknown(method: &str, names_object: bool) -> Refused {
    let what = if names_object { "an object" } else { "a bucket" };
    let method: String = method.chars().take(10).collect();
    Refused::forbidden(format!("a {method} request of this kind to {what} is not signed: engines need none"))
}

/// The decoded query parameters. No name appears twice.
struct Query(Vec<(String, String)>);

impl Query {
    fn parse(query: &str) -> Result<Self, Refused> {
        let mut found: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|_| !query.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let wrong = |why| Refused::malformed("a parameter of the URI", why);
            let (name, value) = (decode(name).map_err(wrong)?, decode(value).map_err(wrong)?);
            if name.is_empty() || found.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                return Err(wrong("it has no name, or there are two of one name"));
            }
            found.push((name, value));
        }
        Ok(Self(found))
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, value)| known == name && !value.is_empty())
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }

    fn take_all(&mut self, names: &[&str]) {
        self.0.retain(|(name, _)| !names.contains(&name.as_str()));
    }
}
