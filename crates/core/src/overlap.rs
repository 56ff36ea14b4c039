//! All the locations of a table or view, and whether two of them would share a place.
//!
//! What is vended for one table reaches all below its locations, and a purge removes files there. So no location of one may
//! be at, inside or around any of another's (docs/decisions/0020). A table may overlap itself: its data usually lies
//! below its own location.

use std::borrow::Cow;

use crate::hex::hex;
use crate::location::Location;

/// The folder of a table's or view's metadata documents, below its own location, unless a property names another.
const DOCUMENTS: &str = "metadata";

/// All the locations of a table or view: its own, and others that its properties name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locations {
    /// The first is its own.
    all: Vec<Location>,
    /// The folder of a view's documents, which is all that it reserves; none for a table.
    documents: Option<Location>,
}

impl Locations {
    /// Its own location and others. What lies inside one that came before is not kept: it adds nothing.
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

    /// Those of a view: its own location and the folder that `write.metadata.path` names, if it does. A view has no data
    /// files, so it reserves the folder of its documents and nothing else below its location.
    #[must_use]
    pub fn of_view(own: Location, metadata_path: Option<Location>) -> Self {
        let usual = own.join(DOCUMENTS).unwrap_or_else(|_| own.clone());
        let named = metadata_path.filter(|named| *named != usual);
        let documents = named.clone().unwrap_or(usual);
        Self { all: std::iter::once(own).chain(named).collect(), documents: Some(documents) }
    }

    /// The table's or view's own location.
    #[must_use]
    pub fn own(&self) -> &Location {
        &self.all[0]
    }

    /// Those that its properties name. Of a table, only those that are not inside its own.
    #[must_use]
    pub fn others(&self) -> &[Location] {
        &self.all[1..]
    }

    /// All of them, its own first.
    #[must_use]
    pub fn as_slice(&self) -> &[Location] {
        &self.all
    }

    /// Those that no other table or view may be at, inside or around: all of a table's, and the folder of a view's documents.
    #[must_use]
    pub fn reserved(&self) -> &[Location] {
        self.documents.as_ref().map_or(&self.all, std::slice::from_ref)
    }

    /// What a table that had reserved `before` reserves with these in addition: only this has to be free. So who
    /// overlaps another already can still commit, and move away.
    #[must_use]
    pub fn beyond(&self, before: &[Location]) -> Vec<&Location> {
        self.reserved().iter().filter(|one| !before.iter().any(|known| known.contains(one))).collect()
    }
}

/// A location as it is held against others, in the order of its bytes: what is below it is one range.
///
/// Keys are compared as texts, so both locations have to be spelled alike: as their warehouse's root is.
///
/// Percent-encoding is undone, as often as there is any. The catalog and what it vends take a `%` for itself, but not
/// every client of a store does: to one that decodes names, `t%31` is the folder of `t1`. Two tables must not lie where it
/// depends on the reader whether that is one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocationKey(Vec<u8>);

impl LocationKey {
    /// The key of a location.
    #[must_use]
    pub fn of(location: &Location) -> Self {
        Self(decoded(location.as_str().as_bytes()).into_owned())
    }

    /// Its bytes, as an index keeps them.
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

    /// The bounds of all that lies below it: more than the first, less than the second.
    #[must_use]
    pub fn below(&self) -> (Vec<u8>, Vec<u8>) {
        // '0' is what follows '/'.
        ([&self.0, &b"/"[..]].concat(), [&self.0, &b"0"[..]].concat())
    }

    /// Whether a name on its way is one that leads elsewhere (`.`, `..`, an empty one) or could end the path.
    #[must_use]
    pub fn leads_elsewhere(&self) -> bool {
        let path = self.0.windows(3).position(|part| part == b"://").map_or(0, |scheme| scheme + 3);
        let odd = |name: &[u8]| matches!(name, b"" | b"." | b"..");
        self.0[path..].split(|byte| *byte == b'/').skip(1).any(odd)
            || self.0.iter().any(|byte| byte.is_ascii_control() || matches!(byte, b'\\' | b'?' | b'#'))
    }
}

/// The keys that overlap a location, as values that one statement of a database can bind: an index of keys finds them with an
/// equality for each of `around` and one range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlappingKeys {
    /// The location itself and all that it lies in, the outermost first.
    pub around: Vec<Vec<u8>>,
    /// The bounds of all that lies below it: more than the first, less than the second.
    pub below: (Vec<u8>, Vec<u8>),
}

/// Undoes percent-encoding until there is none left, in one pass: a byte that is decoded may be part of another escape.
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
        LocationKey::of(&at(text))
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
    fn what_is_at_inside_or_around_another_overlaps_it() {
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
    fn keys_around_a_location_are_its_levels_and_itself() {
        let around = |text: &str| key(text).overlapping().around.into_iter().map(|key| String::from_utf8(key).unwrap());
        assert!(around("s3://b/w/t%31").eq(["s3:", "s3:/", "s3://b", "s3://b/w", "s3://b/w/t1"]));
    }

    #[test]
    fn names_that_lead_elsewhere_however_often_encoded_are_seen() {
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
    fn what_lies_inside_adds_nothing() {
        let own = at("s3://b/w/t");
        let locations = Locations::new(own.clone(), [at("s3://b/w/t/data"), at("s3://b/w/d"), at("s3://b/w/d/m")]);
        assert_eq!(locations.as_slice(), [own.clone(), at("s3://b/w/d")]);
        assert_eq!((locations.own(), locations.others()), (&own, &[at("s3://b/w/d")][..]));
    }

    #[test]
    fn view_reserves_only_the_folder_of_its_documents() {
        let own = at("s3://b/w/v");
        let usual = Locations::of_view(own.clone(), None);
        assert_eq!((usual.reserved(), usual.others()), (&[at("s3://b/w/v/metadata")][..], &[][..]));
        assert_eq!(usual, Locations::of_view(own.clone(), Some(at("s3://b/w/v/metadata"))));
        for named in [at("s3://b/w/elsewhere"), at("s3://b/w/v/deeper/metadata")] {
            let locations = Locations::of_view(own.clone(), Some(named.clone()));
            assert_eq!(
                (locations.own(), locations.others(), locations.reserved()),
                (&own, &[named.clone()][..], &[named.clone()][..])
            );
        }
    }

    #[test]
    fn only_what_is_new_has_to_be_free() {
        let now = Locations::new(at("s3://b/w/t"), [at("s3://b/w/d"), at("s3://b/w/e/f")]);
        assert_eq!(now.beyond(now.as_slice()), Vec::<&Location>::new());
        assert_eq!(now.beyond(&[at("s3://b/w/t"), at("s3://b/w/e")]), [&at("s3://b/w/d")]);
        // To reach more around what it has is new.
        assert_eq!(now.beyond(&[at("s3://b/w/t/x"), at("s3://b/w/d"), at("s3://b/w/e/f")]), [&at("s3://b/w/t")]);
        assert_eq!(now.beyond(&[]).len(), 3);
    }

    /// The rule as one would write it who looks at every table.
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
        fn the_index_finds_what_looking_at_every_table_finds(
            texts in proptest::collection::vec("(/(a|b|ab|a!|a-|%61|a0|\u{fc}|~)){0,4}", 0..12),
            new in "(/(a|b|ab|a!|a-|%61|a0|\u{fc}|~)){0,5}",
        ) {
            let kept: BTreeSet<_> = texts.iter().map(|text| key(&format!("s3://b{text}")).0).collect();
            let new = key(&format!("s3://b{new}"));
            prop_assert_eq!(find(&kept, &new), kept.iter().any(|other| overlap(&new, other)));
        }

        #[test]
        fn keys_agree_with_locations_where_nothing_is_encoded(
            one in "(/[a-c!.-]{1,2}){0,4}", other in "(/[a-c!.-]{1,2}){0,4}",
        ) {
            let (Ok(one), Ok(other)) = (Location::parse(&format!("s3://b{one}")), Location::parse(&format!("s3://b{other}")))
            else { return Ok(()) };
            let by_key = overlap(&LocationKey::of(&one), LocationKey::of(&other).as_bytes());
            prop_assert_eq!(by_key, one.contains(&other) || other.contains(&one));
        }

        #[test]
        fn decoding_once_through_is_decoding_again_and_again(text in "[%2-6a-fx]{0,24}") {
            prop_assert_eq!(decoded(text.as_bytes()).into_owned(), decoded_again_and_again(&text));
        }

        #[test]
        fn however_often_it_is_encoded_it_is_one_place(name in "[a-z ]{1,6}", times in 0..4usize) {
            let encode = |text: String| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
            let encoded = (0..times).fold(name.clone(), |text, _| encode(text));
            prop_assert_eq!(key(&format!("s3://b/{encoded}")), key(&format!("s3://b/{name}")));
        }
    }
}
