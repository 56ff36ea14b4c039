//! The locations of a table or view, and the keys that find overlapping locations.
//!
//! A table's vended credentials reach everything below its locations, and a purge removes files there. So no location of
//! a table may equal, contain or lie in a location of another (docs/decisions/0020). Locations of the same table may
//! overlap: its data usually lies below its own location.

use std::borrow::Cow;

use crate::hex::hex;
use crate::location::Location;

/// The default folder of metadata documents, below the table's or view's own location. A property may name another.
const DOCUMENTS: &str = "metadata";

/// All locations of a table or view: its own, and those that its properties name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locations {
    /// The own location comes first.
    all: Vec<Location>,
    /// The folder of a view's documents, the only location that a view reserves. `None` for a table.
    documents: Option<Location>,
}

impl Locations {
    /// Creates the locations of a table: its own and others. Leaves out a location that lies in an earlier one.
    #[must_use]
    pub fn new(own: Location, others: impl IntoIterator<Item = Location>) -> Self {
        let mut all = vec![own];
        for other in others {
            if !all.iter().any(|known| known.contains(&other)) {
                all.push(other);
            }
        }
        Self { all, documents: None }
    }

    /// Creates the locations of a view: its own, and the folder from `write.metadata.path` if it is set. A view has no data
    /// files, so it reserves only the folder of its documents.
    #[must_use]
    pub fn for_view(own: Location, metadata_path: Option<Location>) -> Self {
        let usual = own.join(DOCUMENTS).unwrap_or_else(|_| own.clone());
        let named = metadata_path.filter(|named| *named != usual);
        let documents = named.clone().unwrap_or(usual);
        Self { all: std::iter::once(own).chain(named).collect(), documents: Some(documents) }
    }

    /// Returns the table's or view's own location.
    #[must_use]
    pub fn own(&self) -> &Location {
        &self.all[0]
    }

    /// Returns the locations from properties. For a table, without those that lie in another.
    #[must_use]
    pub fn others(&self) -> &[Location] {
        &self.all[1..]
    }

    /// Returns all locations, the own one first.
    #[must_use]
    pub fn as_slice(&self) -> &[Location] {
        &self.all
    }

    /// Returns the reserved locations, which no other table or view may overlap: all of a table, the document folder of a view.
    #[must_use]
    pub fn reserved(&self) -> &[Location] {
        self.documents.as_ref().map_or(&self.all, std::slice::from_ref)
    }

    /// Returns the reserved locations that the locations in `before` do not contain. Only these must be free, so that a table
    /// that overlaps another already can still commit, or move away.
    #[must_use]
    pub fn beyond(&self, before: &[Location]) -> Vec<&Location> {
        self.reserved().iter().filter(|one| !before.iter().any(|known| known.contains(one))).collect()
    }
}

/// A location as a key for comparison. In byte order, all keys below a location are one range.
///
/// Keys are compared as texts, so both locations must be in the spelling of their warehouse's root.
///
/// The key has no percent-encoding, however often the text was encoded. The catalog and its credentials treat `%` as a
/// plain character, but some clients decode names: for them `t%31` is the folder of `t1`. Two tables must not share a
/// folder for any client.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocationKey(Vec<u8>);

impl LocationKey {
    /// Creates the key of a location.
    #[must_use]
    pub fn from_location(location: &Location) -> Self {
        Self(decoded(location.as_str().as_bytes()).into_owned())
    }

    /// Returns the bytes of the key, as an index stores them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the keys that overlap this one.
    #[must_use]
    pub fn overlapping(&self) -> OverlappingKeys {
        let ends = (0..self.0.len()).filter(|end| self.0[*end] == b'/').chain([self.0.len()]);
        let around = ends.map(|end| self.0[..end].to_vec()).collect();
        OverlappingKeys { around, below: self.below() }
    }

    /// Returns the bounds of the keys below this one, both exclusive.
    #[must_use]
    pub fn below(&self) -> (Vec<u8>, Vec<u8>) {
        // '0' is the byte after '/'.
        ([&self.0, &b"/"[..]].concat(), [&self.0, &b"0"[..]].concat())
    }

    /// Returns whether a decoded path segment is empty, `.` or `..`, or whether the key contains a byte that could end a path.
    #[must_use]
    pub fn leads_elsewhere(&self) -> bool {
        let path = self.0.windows(3).position(|part| part == b"://").map_or(0, |scheme| scheme + 3);
        let odd = |name: &[u8]| matches!(name, b"" | b"." | b"..");
        self.0[path..].split(|byte| *byte == b'/').skip(1).any(odd)
            || self.0.iter().any(|byte| byte.is_ascii_control() || matches!(byte, b'\\' | b'?' | b'#'))
    }
}

/// The keys that overlap a location, as values that one database statement can bind: an equality for each of `around`,
/// and one range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlappingKeys {
    /// The location itself and all locations that contain it, outermost first.
    pub around: Vec<Vec<u8>>,
    /// The bounds of the keys below it, both exclusive.
    pub below: (Vec<u8>, Vec<u8>),
}

/// Removes percent-encoding until none is left, in one pass: a decoded byte may be part of another escape.
fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    for byte in text {
        out.push(*byte);
        while let [.., b'%', high, low] = out[..]
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            out.truncate(out.len() - 3);
            out.push(high << 4 | low);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ops::Bound;

    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Location {
        Location::parse(text).unwrap()
    }

    fn key(text: &str) -> LocationKey {
        LocationKey::from_location(&at(text))
    }

    /// Returns whether a database with these keys finds one that overlaps `key`.
    fn find(kept: &BTreeSet<Vec<u8>>, key: &LocationKey) -> bool {
        let OverlappingKeys { around, below: (from, to) } = key.overlapping();
        let below = (Bound::Excluded(from), Bound::Excluded(to));
        around.iter().any(|holder| kept.contains(holder)) || kept.range(below).next().is_some()
    }

    fn kept(texts: &[&str]) -> BTreeSet<Vec<u8>> {
        texts.iter().map(|text| key(text).0).collect()
    }

    #[test]
    fn equal_inner_or_outer_location_overlaps() {
        let taken = kept(&["s3://b/w/t1", "s3://b/w/ns/t/data", "s3://b/w/a b"]);
        for text in [
            "s3://b/w/t1",
            "s3://b/w/t1/",
            "s3://B/w/t1",
            "s3://b/w/t1/data/deep/er",
            "s3://b/w/ns/t",
            "s3://b/w/ns",
            "s3://b/w/ns/t/data/x",
            "s3://b/w/t%31",
            "s3://b/w/%74%31/data",
            "s3://b/w/t%2531",
            "s3://b/w/a%20b/x",
            "s3://b/w",
            "s3://b",
        ] {
            assert!(find(&taken, &key(text)), "{text}");
        }
        for text in [
            "s3://b/w/t10",
            "s3://b/w/t",
            "s3://b/w/t1-",
            "s3://b/w/t1!/t1",
            "s3://b/w/T1",
            "s3://b2/w/t1",
            "s3://b/w/ns/t/dat",
            "s3://b/w/ns/t2/data",
            "s3://b/w/n",
            "s3://b/w/t%3",
            "s3://b/w/t%3g",
            "s3://b/w/a+b",
        ] {
            assert!(!find(&taken, &key(text)), "{text}");
        }
    }

    #[test]
    fn keys_around_a_location_are_the_location_and_its_ancestors() {
        let around = |text: &str| key(text).overlapping().around.into_iter().map(|key| String::from_utf8(key).unwrap());
        assert!(around("s3://b/w/t%31").eq(["s3:", "s3:/", "s3://b", "s3://b/w", "s3://b/w/t1"]));
    }

    #[test]
    fn dots_and_separators_are_found_however_often_encoded() {
        for text in
            ["s3://b/w/%252e%252e/t", "s3://b/w/a%255cb", "s3://b/w/t%252f%252fu", "s3://b/w/t%00", "s3://b/%3f"]
        {
            assert!(key(text).leads_elsewhere(), "{text}");
        }
        for text in ["s3://b/w/t", "s3://b", "file:///w/t..", "/w/.t", "abfss://c@a.dfs.core.windows.net/w/a b%20c%"] {
            assert!(!key(text).leads_elsewhere(), "{text}");
        }
    }

    #[test]
    fn location_inside_another_is_left_out() {
        let own = at("s3://b/w/t");
        let locations = Locations::new(own.clone(), [at("s3://b/w/t/data"), at("s3://b/w/d"), at("s3://b/w/d/m")]);
        assert_eq!(locations.as_slice(), [own.clone(), at("s3://b/w/d")]);
        assert_eq!((locations.own(), locations.others()), (&own, &[at("s3://b/w/d")][..]));
    }

    #[test]
    fn view_reserves_only_the_folder_of_its_documents() {
        let own = at("s3://b/w/v");
        let usual = Locations::for_view(own.clone(), None);
        assert_eq!((usual.reserved(), usual.others()), (&[at("s3://b/w/v/metadata")][..], &[][..]));
        assert_eq!(usual, Locations::for_view(own.clone(), Some(at("s3://b/w/v/metadata"))));
        for named in [at("s3://b/w/elsewhere"), at("s3://b/w/v/deeper/metadata")] {
            let locations = Locations::for_view(own.clone(), Some(named.clone()));
            assert_eq!(
                (locations.own(), locations.others(), locations.reserved()),
                (&own, &[named.clone()][..], &[named.clone()][..])
            );
        }
    }

    #[test]
    fn only_new_locations_must_be_free() {
        let now = Locations::new(at("s3://b/w/t"), [at("s3://b/w/d"), at("s3://b/w/e/f")]);
        assert_eq!(now.beyond(now.as_slice()), Vec::<&Location>::new());
        assert_eq!(now.beyond(&[at("s3://b/w/t"), at("s3://b/w/e")]), [&at("s3://b/w/d")]);
        // A location around the earlier one reserves more than before.
        assert_eq!(now.beyond(&[at("s3://b/w/t/x"), at("s3://b/w/d"), at("s3://b/w/e/f")]), [&at("s3://b/w/t")]);
        assert_eq!(now.beyond(&[]).len(), 3);
    }

    /// Compares two locations by the simplest form of the rule, as the oracle for the index.
    fn overlap(one: &LocationKey, other: &[u8]) -> bool {
        let holds = |outer: &[u8], inner: &[u8]| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        holds(one.as_bytes(), other) || holds(other, one.as_bytes())
    }

    fn decoded_again_and_again(text: &str) -> Vec<u8> {
        let mut text = text.as_bytes().to_vec();
        while let Some(escape) = text
            .windows(3)
            .position(|part| part[0] == b'%' && part[1].is_ascii_hexdigit() && part[2].is_ascii_hexdigit())
        {
            let digits = String::from_utf8(text[escape + 1..escape + 3].to_vec()).unwrap();
            text.splice(escape..escape + 3, [u8::from_str_radix(&digits, 16).unwrap()]);
        }
        text
    }

    proptest! {
        #[test]
        fn index_finds_the_same_overlaps_as_a_full_scan(
            texts in proptest::collection::vec("(/(a|b|ab|a!|a-|%61|a0|\u{fc}|~)){0,4}", 0..12),
            new in "(/(a|b|ab|a!|a-|%61|a0|\u{fc}|~)){0,5}",
        ) {
            let kept: BTreeSet<_> = texts.iter().map(|text| key(&format!("s3://b{text}")).0).collect();
            let new = key(&format!("s3://b{new}"));
            prop_assert_eq!(find(&kept, &new), kept.iter().any(|other| overlap(&new, other)));
        }

        #[test]
        fn overlap_of_keys_equals_overlap_of_locations_without_escapes(
            one in "(/[a-c!.-]{1,2}){0,4}", other in "(/[a-c!.-]{1,2}){0,4}",
        ) {
            let (Ok(one), Ok(other)) = (Location::parse(&format!("s3://b{one}")), Location::parse(&format!("s3://b{other}")))
            else { return Ok(()) };
            let by_key = overlap(&LocationKey::from_location(&one), LocationKey::from_location(&other).as_bytes());
            prop_assert_eq!(by_key, one.contains(&other) || other.contains(&one));
        }

        #[test]
        fn one_pass_decodes_as_much_as_repeated_decoding(text in "[%2-6a-fx]{0,24}") {
            prop_assert_eq!(decoded(text.as_bytes()).into_owned(), decoded_again_and_again(&text));
        }

        #[test]
        fn key_does_not_depend_on_the_number_of_encodings(name in "[a-z ]{1,6}", times in 0..4usize) {
            let encode = |text: String| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
            let encoded = (0..times).fold(name.clone(), |text, _| encode(text));
            prop_assert_eq!(key(&format!("s3://b/{encoded}")), key(&format!("s3://b/{name}")));
        }
    }
}
