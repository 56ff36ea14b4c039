//! Checked locations of a table or view. Writing and vending accept only these.

use tidewater_core::document::TableMetadata;
use tidewater_core::location::{Location, LocationError};
use tidewater_core::reserved_locations::{LocationKey, Locations};
use tidewater_core::storage::spelling_below;
use tidewater_core::view::ViewMetadata;

/// The properties of a table that set further locations for its files (Iceberg table properties, "Write properties").
const PATH_PROPERTIES: [&str; 4] =
    ["write.data.path", "write.metadata.path", "write.object-storage.path", "write.folder-storage.path"];

/// The property of a view that sets another location for its metadata (reference implementation, `ViewProperties`).
const VIEW_PATH_PROPERTY: &str = "write.metadata.path";

/// The longest location. No object store has names of more than 1,024 bytes, of which each may take three bytes here.
const MAX_BYTES: usize = 16 << 10;

/// The most folders of a location. The check for overlaps compares each of them.
const MAX_FOLDERS: usize = 1_024;

/// Why a table or view may not have a location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationRefused {
    /// The text is not a location.
    #[error(transparent)]
    Invalid(#[from] LocationError),
    /// A storage policy could match more than this location.
    #[error(
        "Location '{0}' has a '*', '?' or '$', which have a meaning in policies of object stores: use another, or none"
    )]
    Ambiguous(String),
    /// Decoding the location once more would lead to another location.
    #[error(
        "Location '{0}' has an encoded '..', slash or other character that could lead elsewhere: use another, or none"
    )]
    Encoded(String),
    /// The location is longer than any object store allows.
    #[error("Location '{0}...' is too long: it may have {MAX_BYTES} bytes and {MAX_FOLDERS} folders")]
    TooLong(String),
    /// The location is outside of the warehouse's root.
    #[error("Location '{location}' is outside of its warehouse: use a location below '{root}', or none")]
    Outside {
        /// The location, as in the request.
        location: String,
        /// The warehouse's root.
        root: Location,
    },
    /// The location has the scheme of one of Azure's services and the host of the other. Clients differ in reading it.
    #[error(
        "Location '{location}' has the scheme of one of Azure's services and the host of the other: use '{spelling}', or none"
    )]
    MixedServices {
        /// The location, as in the request.
        location: String,
        /// The location that was probably meant, spelled like the warehouse's root.
        spelling: String,
    },
}

impl LocationRefused {
    /// Creates the error for a location that is not below the warehouse's root. `text` is the spelling in the request.
    #[must_use]
    pub fn outside(text: &str, root: &Location) -> Self {
        let location = text.chars().take(200).collect();
        let spelling = Location::parse(text).ok().and_then(|location| spelling_below(&location, root));
        match spelling {
            Some(spelling) => Self::MixedServices { location, spelling },
            None => Self::Outside { location, root: root.clone() },
        }
    }
}

/// All locations of a table's or view's files, each inside its warehouse. The first is the object's own location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidLocations {
    /// The locations, spelled like the warehouse's root.
    places: Locations,
    /// The document's spelling of locations that it spells differently.
    respelled: Vec<Location>,
}

impl ValidLocations {
    /// Checks the metadata that *results* from a change, not the change itself: every location must be valid, also those that the
    /// change does not set.
    ///
    /// # Errors
    /// Fails if a location is not valid or not below `root`.
    pub fn from_table(table: &TableMetadata, root: &Location) -> Result<Self, LocationRefused> {
        let own = parse_inside(table.location(), root)?;
        let named = PATH_PROPERTIES.iter().filter_map(|key| table.properties().get(*key));
        let others = named.map(|path| parse_inside(path, root)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self::from_parts(own, others))
    }

    /// Checks a view's metadata as [`ValidLocations::from_table`] checks a table's.
    ///
    /// # Errors
    /// As [`ValidLocations::from_table`].
    pub fn from_view(view: &ViewMetadata, root: &Location) -> Result<Self, LocationRefused> {
        let own = parse_inside(view.location(), root)?;
        let named = view.properties().get(VIEW_PATH_PROPERTY).map(|path| parse_inside(path, root)).transpose()?;
        // No credentials are vended for a view.
        Ok(Self { places: Locations::for_view(own.place, named.map(|named| named.place)), respelled: Vec::new() })
    }

    /// Checks a folder that stands for a table in a test of a warehouse's storage.
    ///
    /// # Errors
    /// As [`ValidLocations::from_table`].
    pub fn from_folder(folder: &Location, root: &Location) -> Result<Self, LocationRefused> {
        Ok(Self::from_parts(parse_inside(folder.as_str(), root)?, Vec::new()))
    }

    /// Checks locations that were stored as text.
    ///
    /// # Errors
    /// As [`ValidLocations::from_table`].
    pub fn parse(own: &str, others: &[String], root: &Location) -> Result<Self, LocationRefused> {
        let others = others.iter().map(|text| parse_inside(text, root)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self::from_parts(parse_inside(own, root)?, others))
    }

    fn from_parts(own: Inside, others: Vec<Inside>) -> Self {
        let mut respelled: Vec<Location> = Vec::new();
        let spelled = std::iter::once(&own).chain(&others).filter_map(|one| one.spelled.as_ref());
        for spelling in spelled {
            if !respelled.iter().any(|known| known.as_str() == spelling.as_str()) {
                respelled.push(spelling.clone());
            }
        }
        Self { places: Locations::new(own.place, others.into_iter().map(|other| other.place)), respelled }
    }

    /// Returns the table's or view's own location.
    #[must_use]
    pub fn table(&self) -> &Location {
        self.places.own()
    }

    /// Returns all locations, its own first, spelled like the warehouse's root.
    #[must_use]
    pub fn as_slice(&self) -> &[Location] {
        self.places.as_slice()
    }

    /// Returns the prefixes under which clients look up credentials: each location spelled like the warehouse's root, and in the
    /// document's spelling if it differs. Each prefix comes with its location from [`Self::as_slice`].
    pub fn spellings(&self) -> impl Iterator<Item = (&Location, &Location)> {
        let places = self.places.as_slice();
        let holder = |spelling| places.iter().find(|place| place.contains(spelling));
        let respelled = self.respelled.iter().filter_map(move |spelling| Some((spelling, holder(spelling)?)));
        places.iter().map(|place| (place, place)).chain(respelled)
    }

    /// Returns the locations for the check of overlaps with other tables.
    #[must_use]
    pub const fn all(&self) -> &Locations {
        &self.places
    }
}

/// A location in a warehouse.
struct Inside {
    /// Spelled like the warehouse's root.
    place: Location,
    /// The document's spelling, if it differs.
    spelled: Option<Location>,
}

/// Parses `text`, which must be below `root` and not the root itself: a table at the root would contain all others.
fn parse_inside(text: &str, root: &Location) -> Result<Inside, LocationRefused> {
    if text.len() > MAX_BYTES || text.bytes().filter(|byte| *byte == b'/').count() > MAX_FOLDERS {
        return Err(LocationRefused::TooLong(text.chars().take(200).collect()));
    }
    let location = Location::parse(text)?;
    // Amazon's policies can escape these characters. Those of other stores cannot. The local disk has no policies.
    if location.scheme() != "file" && location.path().contains(['*', '?', '$']) {
        return Err(LocationRefused::Ambiguous(text.chars().take(200).collect()));
    }
    if location.path().contains('%') && LocationKey::from_location(&location).leads_elsewhere() {
        return Err(LocationRefused::Encoded(text.chars().take(200).collect()));
    }
    if !root.contains(&location) || &location == root {
        return Err(LocationRefused::outside(text, root));
    }
    Ok(match location.respelled_below(root) {
        Some(place) => Inside { place, spelled: Some(location) },
        None => Inside { place: location, spelled: None },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(location: &str, properties: &str) -> TableMetadata {
        let document = format!(
            r#"{{"format-version":2,"table-uuid":"9c12d441-03fe-4693-9a96-a0705ddf69c1","location":"{location}",
                "last-sequence-number":0,"last-updated-ms":1,"last-column-id":1,"current-schema-id":0,
                "schemas":[{{"type":"struct","schema-id":0,"fields":[{{"id":1,"name":"x","required":false,"type":"long"}}]}}],
                "default-spec-id":0,"partition-specs":[{{"spec-id":0,"fields":[]}}],"last-partition-id":999,
                "default-sort-order-id":0,"sort-orders":[{{"order-id":0,"fields":[]}}],"properties":{{{properties}}}}}"#
        );
        TableMetadata::parse(document.as_bytes()).unwrap()
    }

    fn refused(location: &str, properties: &str) -> bool {
        let root = Location::parse("s3://bucket/warehouse").unwrap();
        ValidLocations::from_table(&table(location, properties), &root).is_err()
    }

    #[test]
    fn location_in_a_path_property_outside_the_root_is_refused() {
        assert!(!refused("s3://bucket/warehouse/t", ""));
        for key in PATH_PROPERTIES {
            assert!(refused("s3://bucket/warehouse/t", &format!(r#""{key}":"s3://bucket/other""#)), "{key}");
            assert!(!refused("s3://bucket/warehouse/t", &format!(r#""{key}":"s3://bucket/warehouse/d""#)), "{key}");
        }
    }

    #[test]
    fn location_with_a_wildcard_of_policies_is_refused() {
        for name in ["*", "t*", "t$", "${aws:username}"] {
            assert!(refused(&format!("s3://bucket/warehouse/{name}"), ""), "{name}");
            assert!(refused(
                "s3://bucket/warehouse/t",
                &format!(r#""write.data.path":"s3://bucket/warehouse/{name}""#)
            ));
        }
        assert!(!refused("s3://bucket/warehouse/t%2A", ""));
        let folder = Location::parse("file:///warehouse").unwrap();
        assert!(ValidLocations::from_table(&table("file:///warehouse/t*$", ""), &folder).is_ok());
    }

    #[test]
    fn location_that_leads_elsewhere_when_decoded_is_refused() {
        for name in ["%252e%252e/t", "a%252f%252fb", "a%255cb", "t%00"] {
            assert!(refused(&format!("s3://bucket/warehouse/{name}"), ""), "{name}");
        }
        assert!(!refused("s3://bucket/warehouse/a%20b", "") && !refused("s3://bucket/warehouse/100%", ""));
    }

    #[test]
    fn long_location_is_refused() {
        let name = "n".repeat(MAX_BYTES - "s3://bucket/warehouse/".len());
        assert!(!refused(&format!("s3://bucket/warehouse/{name}"), ""));
        assert!(refused(&format!("s3://bucket/warehouse/{name}n"), ""));
        let deep = "/f".repeat(MAX_FOLDERS - "s3://bucket/warehouse".matches('/').count());
        assert!(!refused(&format!("s3://bucket/warehouse{deep}"), ""));
        assert!(refused(&format!("s3://bucket/warehouse{deep}/f"), ""));
        assert!(refused("s3://bucket/warehouse/t", &format!(r#""write.data.path":"s3://bucket/warehouse{deep}/f""#)));
    }

    #[test]
    fn location_outside_or_at_the_root_is_refused() {
        for location in ["s3://bucket/warehouse", "s3://bucket/warehouse2/t", "s3://other/warehouse/t", "file:///etc"] {
            assert!(refused(location, ""), "{location}");
        }
    }

    #[test]
    fn locations_are_spelled_like_the_root_and_prefixes_include_the_documents_spelling() {
        for (root, location, path, texts) in [
            ("s3://b/w", "s3a://b/w/t", "s3n://b/w/t/data", ["s3://b/w/t", "s3a://b/w/t", "s3n://b/w/t/data"]),
            ("s3://b/w", "S3A://B/w/t/", "s3://b/w/t/data", ["s3://b/w/t", "s3a://b/w/t", ""]),
            (
                "abfss://c@a.dfs.core.windows.net/w",
                "wasb://c@a.blob.core.windows.net/w/t",
                "abfs://c@a.dfs.core.windows.net/w/t/data",
                [
                    "abfss://c@a.dfs.core.windows.net/w/t",
                    "wasb://c@a.blob.core.windows.net/w/t",
                    "abfs://c@a.dfs.core.windows.net/w/t/data",
                ],
            ),
        ] {
            let root = Location::parse(root).unwrap();
            let document = table(location, &format!(r#""write.data.path":"{path}""#));
            let valid = ValidLocations::from_table(&document, &root).unwrap();
            assert_eq!(valid.as_slice().iter().map(Location::as_str).collect::<Vec<_>>(), &texts[..1]);
            let spellings: Vec<_> = valid.spellings().map(|(spelling, _)| spelling.as_str()).collect();
            assert_eq!(spellings, texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>());
            assert!(valid.spellings().all(|(_, place)| place.as_str() == texts[0]));
        }
        let root = Location::parse("s3://b/w").unwrap();
        let usual =
            ValidLocations::from_table(&table("s3://b/w/t", r#""write.data.path":"s3://b/w/d""#), &root).unwrap();
        assert_eq!(usual.spellings().count(), 2);
    }

    #[test]
    fn scheme_of_one_azure_service_with_the_host_of_the_other_is_refused_with_a_suggestion() {
        let root = Location::parse("abfss://c@a.dfs.core.windows.net/lake").unwrap();
        let refused =
            ValidLocations::from_table(&table("wasbs://c@a.dfs.core.windows.net/lake/t", ""), &root).unwrap_err();
        assert!(refused.to_string().contains("use 'abfss://c@a.dfs.core.windows.net/lake/t'"), "{refused}");
        let elsewhere =
            ValidLocations::from_table(&table("wasbs://c@b.blob.core.windows.net/lake/t", ""), &root).unwrap_err();
        assert!(matches!(elsewhere, LocationRefused::Outside { .. }), "{elsewhere}");
    }

    proptest! {
        #[test]
        fn two_spellings_have_equal_keys_exactly_if_their_paths_do(
            (one_spelling, one_path) in (0..3_usize, "(/[ab%2.]{1,3}){1,3}"),
            (other_spelling, other_path) in (0..3_usize, "(/[ab%2.]{1,3}){1,3}"),
        ) {
            for (root, spellings) in [
                ("s3://b/w", ["s3://b/w", "s3a://b/w", "s3n://b/w"]),
                (
                    "wasbs://c@a.blob.core.windows.net/w",
                    [
                        "wasbs://c@a.blob.core.windows.net/w",
                        "abfss://c@a.dfs.core.windows.net/w",
                        "wasb://c@a.blob.core.windows.net/w",
                    ],
                ),
            ] {
                let root = Location::parse(root).unwrap();
                let key = |spelling: usize, path: &str| {
                    let valid = ValidLocations::from_table(&table(&format!("{}{path}", spellings[spelling]), ""), &root);
                    valid.map(|valid| LocationKey::from_location(valid.table()))
                };
                let alike = key(one_spelling, &one_path).ok();
                prop_assert_eq!(&alike, &key(other_spelling, &one_path).ok());
                let (one, other) = (key(0, &one_path).ok(), key(0, &other_path).ok());
                prop_assert_eq!(one == other, alike == key(other_spelling, &other_path).ok());
            }
        }
    }
}
