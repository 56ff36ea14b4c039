//! Which bucket and object a URL is about, at the addresses that a warehouse's store has.

use super::Refused;
use super::encoding::decode;
use crate::storage::S3Profile;

/// What a URL names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address<'a> {
    /// The object, decoded; empty for the bucket itself.
    pub(super) key: String,
    /// What stands behind the `?`, as it came.
    pub(super) query: &'a str,
    /// Whether the store is Amazon's own.
    pub(super) is_amazon: bool,
}

/// An address of the store.
struct Endpoint {
    scheme: String,
    /// With the port, if it is not the scheme's own.
    authority: String,
    /// Empty, or with a `/` before it and none behind it.
    base: String,
}

impl<'a> Address<'a> {
    /// Reads a URL, which must be of `bucket` at one of the store's addresses, with the bucket in the path or, unless the
    /// profile says that it stands in the path, in the host: a store that does not look at the host would take the first part
    /// of the path for a bucket, which may be another's.
    pub(super) fn parse(uri: &'a str, profile: &S3Profile, bucket: &str) -> Result<Self, Refused> {
        if !uri.bytes().all(|byte| byte.is_ascii_graphic()) || uri.contains(['#', '\\']) {
            return Err(Refused::malformed("the URI", "it has a character that a URI cannot have"));
        }
        let (scheme, rest) =
            uri.split_once("://").ok_or_else(|| Refused::malformed("the URI", "it is not absolute"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let authority = without_own_port(scheme, &authority.to_ascii_lowercase());
        let of_the_store = || {
            Refused::forbidden(format!(
                "only requests to bucket '{bucket}' at the warehouse's own store are signed, not to {scheme}://{authority}"
            ))
        };
        let mut key = None;
        for endpoint in endpoints(profile) {
            if endpoint.scheme != scheme {
                continue;
            }
            if endpoint.authority == authority {
                let path = path.strip_prefix(endpoint.base.as_str()).and_then(|path| path.strip_prefix('/'));
                let (named, rest) =
                    path.map(|path| path.split_once('/').unwrap_or((path, ""))).ok_or_else(of_the_store)?;
                key = (named == bucket).then_some(rest);
            } else if !profile.path_style
                && endpoint.base.is_empty()
                && authority == format!("{bucket}.{}", endpoint.authority)
            {
                key = Some(path.strip_prefix('/').unwrap_or(path));
            }
            if key.is_some() {
                break;
            }
        }
        let key = key.ok_or_else(of_the_store)?;
        if key.to_ascii_lowercase().contains("%2f") {
            return Err(Refused::malformed("the object's name", "it has an encoded slash"));
        }
        let key = decode(key).map_err(|why| Refused::malformed("the object's name", why))?;
        Ok(Self { key, query, is_amazon: is_amazon(&authority) })
    }
}

/// `host:443` of https is `host`.
fn without_own_port(scheme: &str, authority: &str) -> String {
    let own = if scheme == "https" { ":443" } else { ":80" };
    authority.strip_suffix(own).unwrap_or(authority).to_owned()
}

/// Where clients may ask for the bucket: where the profile says, and for Amazon's own store the names that its region has.
fn endpoints(profile: &S3Profile) -> Vec<Endpoint> {
    let named: Vec<&str> =
        [&profile.client_endpoint, &profile.endpoint].into_iter().flatten().map(String::as_str).collect();
    if named.is_empty() {
        return amazon(&profile.region);
    }
    let read = |text: &str| {
        let (scheme, rest) = text.trim_end_matches('/').split_once("://")?;
        let (authority, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let authority = without_own_port(scheme, &authority.to_ascii_lowercase());
        Some(Endpoint { scheme: scheme.to_owned(), authority, base: base.to_owned() })
    };
    named.into_iter().filter_map(read).collect()
}

/// Amazon S3, "Endpoints and quotas": the region's own names, and the one without a region that clients use in us-east-1.
fn amazon(region: &str) -> Vec<Endpoint> {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let mut names = vec![
        format!("s3.{region}"),
        format!("s3.dualstack.{region}"),
        format!("s3-fips.{region}"),
        format!("s3-fips.dualstack.{region}"),
    ];
    if region == "us-east-1" {
        names.push("s3".to_owned());
    }
    let at = |name: String| Endpoint {
        scheme: "https".to_owned(),
        authority: format!("{name}.{suffix}").to_ascii_lowercase(),
        base: String::new(),
    };
    names.into_iter().map(at).collect()
}

fn is_amazon(authority: &str) -> bool {
    let host = authority.split(':').next().unwrap_or_default();
    host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn")
}
