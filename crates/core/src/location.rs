//! Storage locations in one canonical form, so that all spellings of a location compare as equal.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::storage::AzureContainer;

/// Why a location is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid location '{location}': {reason}")]
pub struct LocationError {
    location: String,
    reason: &'static str,
}

/// A location in storage, canonical: `scheme://authority/path`, scheme and authority in lower case, no trailing slash, no
/// empty, `.` or `..` segment, no query or fragment. A local path is `file:///path`.
///
/// A text that could mean two locations (`//`, `..`, `%2e`, a backslash) is refused, not repaired. Storage servers repair
/// such texts differently, and a table could then reach the files of another.
///
/// Hadoop's drivers have several schemes for one store. `s3a` and `s3n` mean `s3`; `abfs`, `abfss`, `wasb` and `wasbs`
/// mean one container, through the account's host of the service `dfs` or `blob`. Locations that differ only in this are
/// equal, and contain each other. The text keeps its spelling.
#[derive(Debug, Clone)]
pub struct Location {
    text: String,
    scheme_len: usize,
    path_start: usize,
    /// Scheme and authority in the canonical spelling of the bucket or container. `None` if the text already has it.
    site: Option<Box<str>>,
}

const SCHEMES: [&str; 9] = ["file", "s3", "s3a", "s3n", "gs", "abfs", "abfss", "wasb", "wasbs"];

impl Location {
    /// Parses a location: `s3://bucket/key`, `file:///path`, `file:/path` or a plain absolute path.
    ///
    /// # Errors
    /// Fails if the scheme is unknown or the text could mean two locations. The message says which.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        let refuse = |reason| LocationError { location: text.chars().take(200).collect(), reason };
        let (scheme, rest) = match text.split_once(':') {
            _ if text.starts_with('/') => ("file".to_owned(), text),
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None => return Err(refuse("it must be absolute, such as s3://bucket/path or file:///path")),
        };
        if !SCHEMES.contains(&scheme.as_str()) {
            return Err(refuse("its scheme is not one of file, s3, s3a, s3n, gs, abfs, abfss, wasb, wasbs"));
        }
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None if scheme == "file" && rest.starts_with('/') => ("", rest),
            None => return Err(refuse("after its scheme it needs '//'")),
        };
        if scheme == "file" && !(authority.is_empty() || authority.eq_ignore_ascii_case("localhost")) {
            return Err(refuse("a file location must not name a host"));
        }
        if scheme != "file" && authority.is_empty() {
            return Err(refuse("it names no bucket or container"));
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        check_path(path).map_err(refuse)?;
        if authority.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '?' | '#' | '\\' | '%')) {
            return Err(refuse("its bucket or container has characters that are not allowed there"));
        }
        // In `a@b`, Hadoop reads `a` as a key and `b` as the bucket; other clients read all of it as the bucket.
        if scheme.starts_with("s3") && authority.contains('@') {
            return Err(refuse("its bucket has an '@'"));
        }
        let authority = if scheme == "file" { String::new() } else { authority.to_ascii_lowercase() };
        let scheme_len = scheme.len();
        let path_start = scheme_len + "://".len() + authority.len();
        let text = [scheme.as_str(), "://", &authority, path].concat();
        let site = site(&scheme, &authority);
        Ok(Self { text, scheme_len, path_start, site })
    }

    /// Returns the whole location.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the scheme, in lower case.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.text[..self.scheme_len]
    }

    /// Returns the bucket or container, in lower case. Empty on the local disk.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.text[self.scheme_len + "://".len()..self.path_start]
    }

    /// Returns the path: empty, or starting with `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.text[self.path_start..]
    }

    /// Returns whether `other` is this location or lies below it, in any spelling. `orders` does not contain `orders2`.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        let is_below = |rest: &str| rest.is_empty() || rest.starts_with('/');
        self.site() == other.site() && other.path().strip_prefix(self.path()).is_some_and(is_below)
    }

    /// Returns this location in the spelling of `root`, if it lies in `root` and has another spelling.
    #[must_use]
    pub fn respelled_below(&self, root: &Self) -> Option<Self> {
        if !root.contains(self) || self.text[..self.path_start] == root.text[..root.path_start] {
            return None;
        }
        let text = [&root.text[..root.path_start], self.path()].concat();
        Some(Self { text, scheme_len: root.scheme_len, path_start: root.path_start, site: root.site.clone() })
    }

    /// Returns scheme and authority in the canonical spelling of the bucket or container.
    fn site(&self) -> &str {
        self.site.as_deref().unwrap_or(&self.text[..self.path_start])
    }

    /// Returns whether `text` is relative: it has neither a scheme nor a leading `/`. [`Location::join`] resolves a relative
    /// text.
    #[must_use]
    pub fn is_relative(text: &str) -> bool {
        !text.is_empty() && !text.starts_with('/') && !text.contains(':')
    }

    /// Returns the location `segments` below this one.
    ///
    /// # Errors
    /// Fails if `segments` leads out of this location or could mean two locations.
    pub fn join(&self, segments: &str) -> Result<Self, LocationError> {
        Self::parse(&format!("{}/{segments}", self.text))
    }
}

impl PartialEq for Location {
    fn eq(&self, other: &Self) -> bool {
        self.path() == other.path() && self.site() == other.site()
    }
}

impl Eq for Location {}

impl Hash for Location {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.site().hash(state);
        self.path().hash(state);
    }
}

impl PartialOrd for Location {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Location {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.site(), self.path()).cmp(&(other.site(), other.path()))
    }
}

/// Returns the canonical spelling of a bucket or container: `s3`, or `abfss` with the host of the service `dfs`. `None` if
/// the given spelling is canonical, or if no other spelling surely means the same container.
fn site(scheme: &str, authority: &str) -> Option<Box<str>> {
    let site = match scheme {
        "s3a" | "s3n" => format!("s3://{authority}"),
        "abfs" | "wasb" | "wasbs" => {
            // With the labels of both services in one host, two containers would get the same canonical spelling.
            if authority.matches(".dfs.").count() + authority.matches(".blob.").count() != 1 {
                return None;
            }
            let container = AzureContainer::read(scheme, authority)?;
            format!("abfss://{}@{}", container.container(), container.dfs_host())
        }
        _ => return None,
    };
    Some(site.into_boxed_str())
}

fn check_path(path: &str) -> Result<(), &'static str> {
    // Every load checks a path, and nearly all paths are plain ASCII: one pass over the bytes decides that.
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'?' | b'#' | b'%'));
    if !is_plain && path.chars().any(char::is_control) {
        return Err("it contains control characters");
    }
    if !is_plain && path.contains(['\\', '?', '#']) {
        return Err("it contains a backslash, '?' or '#'");
    }
    let escapes = !is_plain && path.contains('%');
    for segment in path.as_bytes().split(|byte| *byte == b'/').skip(1) {
        if segment.is_empty() {
            return Err("it contains an empty path segment ('//')");
        }
        if is_dots(segment) || (escapes && is_dots(&unescaped_dots(segment))) {
            return Err("it contains a '.' or '..' path segment");
        }
    }
    if escapes && path.to_ascii_lowercase().contains("%2f") {
        return Err("it contains an escaped '/'");
    }
    Ok(())
}

fn is_dots(segment: &[u8]) -> bool {
    matches!(segment, b"." | b"..")
}

fn unescaped_dots(segment: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(segment).replace("%2e", ".").replace("%2E", ".").into_bytes()
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// The spellings of each of five sites.
    const SITES: [&[&str]; 5] = [
        &["s3://b", "s3a://b", "s3n://b", "S3A://B"],
        &["s3://b2", "s3a://b2", "s3n://b2"],
        &[
            "abfss://c@a.dfs.core.windows.net",
            "abfs://c@a.dfs.core.windows.net",
            "wasb://c@a.blob.core.windows.net",
            "wasbs://c@A.blob.core.windows.net",
        ],
        &["abfss://c@a2.dfs.core.windows.net", "wasbs://c@a2.blob.core.windows.net"],
        &["gs://b"],
    ];

    #[test]
    fn spellings_of_one_place_are_one_location() {
        for text in ["/data/t", "file:/data/t", "file:///data/t", "FILE:///data/t/", "file://localhost/data/t"] {
            assert_eq!(Location::parse(text).unwrap().as_str(), "file:///data/t", "{text}");
        }
        assert_eq!(Location::parse("s3://Bucket/a/").unwrap().as_str(), "s3://bucket/a");
    }

    #[test]
    fn ambiguous_text_is_refused() {
        for text in [
            "",
            "relative",
            "data/t",
            "s3:/b/a",
            "s3:///a",
            "s3://b//a",
            "s3://b/../a",
            "s3://b/%2e%2e/a",
            "s3://b/.%2E/a",
            "s3://b/a%2fb",
            "file://host/a",
            "http://b/a",
            "s3://b/a?x",
            "s3://b/a#x",
            "s3://b/a\\b",
            "s3://b/a\u{0}",
            "s3://b%2f/a",
        ] {
            assert!(Location::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hadoop_spellings_of_one_place_are_equal_and_keep_their_text() {
        for spellings in [
            &["s3://bucket/w/t", "s3a://bucket/w/t", "s3n://bucket/w/t", "S3A://Bucket/w/t/"][..],
            &[
                "abfss://c@a.dfs.core.windows.net/w/t",
                "abfs://c@a.dfs.core.windows.net/w/t",
                "wasbs://c@a.blob.core.windows.net/w/t",
                "wasb://c@a.blob.core.windows.net/w/t",
                "WASB://C@A.Blob.core.windows.net/w/t/",
            ],
            &["abfss://c@a.z1.dfs.storage.azure.net/w/t", "wasbs://c@a.z1.blob.storage.azure.net/w/t"],
        ] {
            let all: Vec<Location> = spellings.iter().map(|text| Location::parse(text).unwrap()).collect();
            for one in &all {
                for other in &all {
                    assert!(one == other && one.contains(other) && one.cmp(other).is_eq(), "{one} {other}");
                    let below = other.join("data").unwrap();
                    assert!(one.contains(&below) && !below.contains(one) && below != *one, "{one} {below}");
                }
            }
            assert_eq!(HashSet::<&Location>::from_iter(&all).len(), 1);
            assert_eq!(all[1].scheme(), spellings[1].split(':').next().unwrap());
        }
    }

    #[test]
    fn locations_in_other_buckets_hosts_or_paths_are_not_equal() {
        let places = [
            "s3://bucket/w/t",
            "s3a://bucket2/w/t",
            "s3a://bucket/w/t2",
            "s3a://bucket/W/t",
            "s3a://bucket:9000/w/t",
            "s3a://key:secret/w/t",
            "s3a://bucket.s3.amazonaws.com/w/t",
            "gs://bucket/w/t",
            "file:///bucket/w/t",
            "abfss://c@a.dfs.core.windows.net/w/t",
            "abfss://c@b.dfs.core.windows.net/w/t",
            "abfss://d@a.dfs.core.windows.net/w/t",
            "wasbs://c@a.dfs.core.windows.net/w/t",
            "abfss://c@a.blob.core.windows.net/w/t",
            "abfss://c@a.dfs.core.chinacloudapi.cn/w/t",
            "abfss://c@a.z1.dfs.core.windows.net/w/t",
            "abfss://c@a.dfs.core.windows.net:443/w/t",
            "wasbs://c@a.blob.core.windows.net:443/w/t",
            "wasbs://c:key@a.blob.core.windows.net/w/t",
            "wasbs://c@x@a.blob.core.windows.net/w/t",
            "wasbs://c@a.blob.core.windows.net./w/t",
            "wasbs://c@a.dfs.z.blob.core.windows.net/w/t",
            "abfss://c@a.dfs.z.dfs.core.windows.net/w/t",
            "abfss://a.dfs.core.windows.net/c/w/t",
            "wasbs://a.blob.core.windows.net/c/w/t",
        ];
        let all: Vec<Location> = places.iter().map(|text| Location::parse(text).unwrap()).collect();
        for (number, one) in all.iter().enumerate() {
            for (other_number, other) in all.iter().enumerate() {
                assert_eq!(one == other, number == other_number, "{one} {other}");
                assert_eq!(one.contains(other), number == other_number, "{one} {other}");
            }
        }
        for text in ["s3a://bucket@other/w/t", "s3://a:b@bucket/w/t", "s3n://key@bucket/w/t"] {
            assert!(Location::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn location_is_respelled_only_below_a_root_of_another_spelling() {
        let at = |text: &str| Location::parse(text).unwrap();
        let respelled = |text: &str, root: &str| at(text).respelled_below(&at(root)).map(|place| place.to_string());
        assert_eq!(respelled("s3a://b/w/t%20/x", "s3://b/w").as_deref(), Some("s3://b/w/t%20/x"));
        let (wasbs, abfss) = ("wasbs://c@a.blob.core.windows.net", "abfss://c@a.dfs.core.windows.net");
        assert_eq!(respelled(&format!("{wasbs}/w/t"), &format!("{abfss}/w")), Some(format!("{abfss}/w/t")));
        assert_eq!(respelled(&format!("{abfss}/w/t"), &format!("{wasbs}/w")), Some(format!("{wasbs}/w/t")));
        assert_eq!(respelled("s3://b/w/t", "s3://b/w"), None);
        assert_eq!(respelled("s3a://b/w2/t", "s3://b/w"), None);
        assert_eq!(respelled("file:/w/t", "/w"), None);
    }

    #[test]
    fn sibling_with_the_same_name_prefix_is_not_contained() {
        let orders = Location::parse("s3://b/orders").unwrap();
        assert!(orders.contains(&Location::parse("s3://b/orders/data").unwrap()));
        assert!(orders.contains(&orders));
        assert!(!orders.contains(&Location::parse("s3://b/orders2").unwrap()));
    }

    #[test]
    fn text_without_scheme_and_leading_slash_is_relative() {
        for text in ["t", "spark-warehouse/t-1/", "..", "a b"] {
            assert!(Location::is_relative(text), "{text}");
        }
        for text in ["", "/data/t", "s3://b/t", "file:t", "c:t", "x:/t"] {
            assert!(!Location::is_relative(text), "{text}");
        }
    }

    #[test]
    fn relative_text_that_leads_upwards_or_is_ambiguous_is_refused() {
        let root = Location::parse("s3://b/w").unwrap();
        assert_eq!(root.join("spark-warehouse/t-1/").unwrap().as_str(), "s3://b/w/spark-warehouse/t-1");
        for text in [".", "..", "../t", "./t", "a/../../t", "%2e%2e/t", "a//t", "a\\t", "a?t", "a%2Ft"] {
            assert!(root.join(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn joined_location_lies_below_its_base(text in "[^:]{1,20}") {
            let root = Location::parse("s3://b/w").unwrap();
            prop_assume!(Location::is_relative(&text));
            if let Ok(location) = root.join(&text) {
                prop_assert!(root.contains(&location) && location != root);
            }
        }

        #[test]
        fn equality_and_containment_follow_site_and_path(
            (one_site, one_spelling, one_path) in (0..SITES.len(), 0..4_usize, "(/[ab%2.]{1,3}){0,3}"),
            (other_site, other_spelling, other_path) in (0..SITES.len(), 0..4_usize, "(/[ab%2.]{1,3}){0,3}"),
        ) {
            let spelled = |site: usize, spelling: usize, path: &str| {
                let spellings = SITES[site];
                Location::parse(&format!("{}{path}", spellings[spelling % spellings.len()]))
            };
            let one = spelled(one_site, one_spelling, &one_path);
            let other = spelled(other_site, other_spelling, &other_path);
            // All spellings of a text parse, or none does.
            prop_assert_eq!(one.is_ok(), spelled(one_site, other_spelling, &one_path).is_ok());
            let (Ok(one), Ok(other)) = (one, other) else { return Ok(()) };
            let same = one_site == other_site && one.path() == other.path();
            prop_assert_eq!(one == other, same);
            prop_assert_eq!(one.cmp(&other).is_eq(), same);
            let is_below = |path: &str, root: &str| {
                path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let inside = one_site == other_site && is_below(other.path(), one.path());
            prop_assert_eq!(one.contains(&other), inside);
            if let Some(respelled) = other.respelled_below(&one) {
                prop_assert!(inside && respelled == other && respelled.as_str().starts_with(one.as_str()));
            }
        }

        #[test]
        fn parsing_a_canonical_location_changes_nothing(text in "(s3://b|file://|abfss://c@a\\.net|)(/[a-zA-Z0-9 ._%*$-]{1,8}){1,4}/?") {
            if let Ok(location) = Location::parse(&text) {
                prop_assert_eq!(Location::parse(location.as_str()).unwrap(), location);
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = Location::parse(&text);
        }
    }
}
