//! A metadata document: its JSON, its parsed form, and the prepared answer to a load.

use std::fmt::Write;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tidewater_core::document::TableMetadata;
use tidewater_core::location::Location;

use super::prepared::{LoadResult, Looks, Proof};
use crate::heavy::Large;
use crate::vending::ValidLocations;

/// One metadata document of a table or view. It never changes at its location.
#[derive(Debug)]
pub struct Document<M = TableMetadata> {
    /// The document's location, as pointers and clients spell it.
    pub location: String,
    /// The uncompressed JSON.
    pub json: Bytes,
    /// The parsed metadata.
    pub metadata: Large<M>,
    /// The parsed location, in its canonical form.
    pub(super) place: Location,
    /// The answer to a load.
    pub load_result: LoadResult,
    /// A hash of the location, in 32 hexadecimal digits. It identifies the document.
    pub fingerprint: String,
    /// The entity tag of the answer: the fingerprint, as a weak tag.
    pub entity_tag: Bytes,
    pub(super) looks: Looks,
    proof: Proof,
}

impl<M> Document<M> {
    pub(super) fn new(location: String, place: Location, json: Bytes, metadata: Large<M>) -> Self {
        // The content at a location never changes.
        let digest = Sha256::digest(location.as_bytes());
        let fingerprint = digest.iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        let load_result = LoadResult::new(&location, json);
        let (json, entity_tag) = (load_result.json().clone(), Bytes::from(format!("W/\"{fingerprint}\"")));
        let (looks, proof) = (Looks::new(), Proof::default());
        Self { location, json, metadata, place, load_result, fingerprint, entity_tag, looks, proof }
    }

    /// Returns whether `location` is the document's, in any spelling.
    #[must_use]
    pub fn is_at(&self, location: &str) -> bool {
        self.location == location || Location::parse(location).is_ok_and(|place| place == self.place)
    }
}

impl Document {
    /// Returns the table's locations if all are below `root`. The check runs once for a root.
    #[must_use]
    pub fn locations_below(&self, root: &Location) -> Option<ValidLocations> {
        self.proof.below(root, &self.metadata, &self.location)
    }
}
