//! Reads the bucket and object of a URL, at the addresses of a warehouse's store.

use super::Refused;
use super::encoding::decode;
use crate::storage::S3Profile;

/// The parts of a URL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address<'a> {
    /// The object's name, decoded. Empty for the bucket itself.
    pub(super) key: String,
    /// The query string, unchanged.
    pub(super) query: &'a str,
    /// Whether the store is Amazon S3.
    pub(super) is_amazon: bool,
}

/// An address of the store.
struct Endpoint {
    scheme: String,
    /// The host, with the port unless it is the scheme's default.
    authority: String,
    /// The path before the bucket: empty, or with a leading `/` and no trailing one.
    base: String,
}

impl<'a> Address<'a> {
    /// Parses a URL. It must name `bucket` at an address of the store: in the path or, unless the profile sets `path-style`,
    /// in the host. A store that ignores the host would read the first path segment as a bucket, possibly another tenant's.
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

/// Removes the default port: `host:443` of https becomes `host`.
fn without_own_port(scheme: &str, authority: &str) -> String {
    let own = if scheme == "https" { ":443" } else { ":80" };
    authority.strip_suffix(own).unwrap_or(authority).to_owned()
}

/// Returns the addresses of the bucket for clients: those of the profile or, for Amazon S3, those of the region.
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

/// Returns the addresses of a region, and in us-east-1 the global one (Amazon S3, "Endpoints and quotas").
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
