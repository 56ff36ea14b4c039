//! The proof that a table's or view's locations were checked. Writing and vending take nothing else.

use tidewater_core::document::TableMetadata;
use tidewater_core::location::{Location, LocationError};
use tidewater_core::overlap::{LocationKey, Locations};
use tidewater_core::storage::spelling_below;
use tidewater_core::view::ViewMetadata;

/// Properties of a table that lead its files elsewhere (Iceberg table properties, "Write properties").
const PATH_PROPERTIES: [&str; 4] =
    ["write.data.path", "write.metadata.path", "write.object-storage.path", "write.folder-storage.path"];

/// The property that leads a view's files elsewhere: it has only metadata (reference implementation, `ViewProperties`).
const VIEW_PATH_PROPERTY: &str = "write.metadata.path";

/// Why a table or view may not have its files there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationRefused {
    /// It is not a location.
    #[error(transparent)]
    Invalid(#[from] LocationError),
    /// A policy could take it for more than one place.
    #[error(
        "Location '{0}' has a '*', '?' or '$', which the policies of object stores give a meaning: use another, or none"
    )]
    Ambiguous(String),
    /// Who decodes it once more than others finds another place.
    #[error(
        "Location '{0}' has an encoded '..', slash or other character that could lead elsewhere: use another, or none"
    )]
    Encoded(String),
    /// It is outside of what the warehouse may use.
    #[error("Location '{location}' is outside of its warehouse: use a location below '{root}', or none")]
    Outside {
        /// The location, as it was given.
        location: String,
        /// The warehouse's root.
        root: Location,
    },
    /// It is inside, but spelt in another way than the root is: two spellings of a place would be two places here.
    #[error("Location '{location}' is another spelling of a place in its warehouse: use '{spelling}', or none")]
    OtherSpelling {
        /// The location, as it was given.
        location: String,
        /// The same place as the warehouse's root spells it.
        spelling: String,
    },
}

impl LocationRefused {
    /// What is said of a location, `text` as it was given, that is not below the warehouse's root.
    #[must_use]
    pub fn outside(text: &str, root: &Location) -> Self {
        let location = text.chars().take(200).collect();
        let spelling = Location::parse(text).ok().and_then(|location| spelling_below(&location, root));
        match spelling {
            Some(spelling) => Self::OtherSpelling { location, spelling },
            None => Self::Outside { location, root: root.clone() },
        }
    }
}

/// All the locations that a table's or view's files can be in, each inside its warehouse. The first is its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidLocations(Locations);

impl ValidLocations {
    /// Checks the metadata that *results* from a change, never the change: a location counts wherever it came from.
    ///
    /// # Errors
    /// When one of them is not a location, or is not below `root`.
    pub fn of(table: &TableMetadata, root: &Location) -> Result<Self, LocationRefused> {
        let own = inside(table.location(), root)?;
        let named = PATH_PROPERTIES.iter().filter_map(|key| table.properties().get(*key));
        let others = named.map(|path| inside(path, root)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self(Locations::new(own, others)))
    }

    /// Checks a view's metadata likewise.
    ///
    /// # Errors
    /// As [`ValidLocations::of`].
    pub fn of_view(view: &ViewMetadata, root: &Location) -> Result<Self, LocationRefused> {
        let own = inside(view.location(), root)?;
        let named = view.properties().get(VIEW_PATH_PROPERTY).map(|path| inside(path, root)).transpose()?;
        Ok(Self(Locations::of_view(own, named)))
    }

    /// The proof for a folder that stands for a table, to try a warehouse's storage out.
    ///
    /// # Errors
    /// As [`ValidLocations::of`].
    pub fn of_folder(folder: &Location, root: &Location) -> Result<Self, LocationRefused> {
        Ok(Self(Locations::new(inside(folder.as_str(), root)?, [])))
    }

    /// The proof for locations that were checked before, and kept as text: they are checked again.
    ///
    /// # Errors
    /// As [`ValidLocations::of`].
    pub fn again(own: &str, others: &[String], root: &Location) -> Result<Self, LocationRefused> {
        let others = others.iter().map(|text| inside(text, root)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self(Locations::new(inside(own, root)?, others)))
    }

    /// The table's or view's own location.
    #[must_use]
    pub fn table(&self) -> &Location {
        self.0.own()
    }

    /// All of them, its own first.
    #[must_use]
    pub fn as_slice(&self) -> &[Location] {
        self.0.as_slice()
    }

    /// All of them, as they are held against other tables'.
    #[must_use]
    pub const fn all(&self) -> &Locations {
        &self.0
    }
}

/// The canonical form of `text`, which must lie below `root` and not be it: a table at the root would hold all others.
fn inside(text: &str, root: &Location) -> Result<Location, LocationRefused> {
    let location = Location::parse(text)?;
    // Amazon's policies can escape them, and those of other stores cannot. The local disk has no policies.
    if location.scheme() != "file" && location.path().contains(['*', '?', '$']) {
        return Err(LocationRefused::Ambiguous(text.chars().take(200).collect()));
    }
    if location.path().contains('%') && LocationKey::of(&location).leads_elsewhere() {
        return Err(LocationRefused::Encoded(text.chars().take(200).collect()));
    }
    if root.contains(&location) && &location != root { Ok(location) } else { Err(LocationRefused::outside(text, root)) }
}

#[cfg(test)]
mod tests {
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
        ValidLocations::of(&table(location, properties), &root).is_err()
    }

    #[test]
    fn every_property_that_leads_files_elsewhere_is_checked() {
        assert!(!refused("s3://bucket/warehouse/t", ""));
        for key in PATH_PROPERTIES {
            assert!(refused("s3://bucket/warehouse/t", &format!(r#""{key}":"s3://bucket/other""#)), "{key}");
            assert!(!refused("s3://bucket/warehouse/t", &format!(r#""{key}":"s3://bucket/warehouse/d""#)), "{key}");
        }
    }

    #[test]
    fn what_a_policy_gives_a_meaning_is_no_location_of_a_table() {
        for name in ["*", "t*", "t$", "${aws:username}"] {
            assert!(refused(&format!("s3://bucket/warehouse/{name}"), ""), "{name}");
            assert!(refused(
                "s3://bucket/warehouse/t",
                &format!(r#""write.data.path":"s3://bucket/warehouse/{name}""#)
            ));
        }
        assert!(!refused("s3://bucket/warehouse/t%2A", ""));
        let folder = Location::parse("file:///warehouse").unwrap();
        assert!(ValidLocations::of(&table("file:///warehouse/t*$", ""), &folder).is_ok());
    }

    #[test]
    fn what_leads_elsewhere_once_decoded_is_no_location_of_a_table() {
        for name in ["%252e%252e/t", "a%252f%252fb", "a%255cb", "t%00"] {
            assert!(refused(&format!("s3://bucket/warehouse/{name}"), ""), "{name}");
        }
        assert!(!refused("s3://bucket/warehouse/a%20b", "") && !refused("s3://bucket/warehouse/100%", ""));
    }

    #[test]
    fn a_table_is_neither_outside_nor_at_the_root_of_its_warehouse() {
        for location in ["s3://bucket/warehouse", "s3://bucket/warehouse2/t", "s3://other/warehouse/t", "file:///etc"] {
            assert!(refused(location, ""), "{location}");
        }
    }

    #[test]
    fn another_spelling_of_a_place_in_the_warehouse_is_refused_and_the_right_one_is_told() {
        let root = Location::parse("abfss://c@a.dfs.core.windows.net/lake").unwrap();
        let refused = ValidLocations::of(&table("wasbs://c@a.blob.core.windows.net/lake/t", ""), &root).unwrap_err();
        assert!(refused.to_string().contains("use 'abfss://c@a.dfs.core.windows.net/lake/t'"), "{refused}");
        let elsewhere = ValidLocations::of(&table("wasbs://c@b.blob.core.windows.net/lake/t", ""), &root).unwrap_err();
        assert!(matches!(elsewhere, LocationRefused::Outside { .. }), "{elsewhere}");
    }
}
