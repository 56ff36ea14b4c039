//! A metadata document: its JSON, its parsed form, and what is prepared once for all its loads.

use std::fmt::Write;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tidewater_core::document::TableMetadata;
use tidewater_core::location::Location;

use super::prepared::{LoadResult, Looks, Proof};
use crate::heavy::Large;
use crate::vending::ValidLocations;

/// One metadata document, of a table or a view, as it stands at its location for ever.
#[derive(Debug)]
pub struct Document<M = TableMetadata> {
    /// Where it is, as pointers and clients spell it.
    pub location: String,
    /// Its JSON, uncompressed.
    pub json: Bytes,
    /// What it says.
    pub metadata: Large<M>,
    /// The same place, in its canonical form.
    pub(super) place: Location,
    /// The answer to a load of it.
    pub load_result: LoadResult,
    /// Stands for the document and no other, in 32 hexadecimal digits.
    pub fingerprint: String,
    /// The entity tag of the answer: the fingerprint, as a weak tag.
    pub entity_tag: Bytes,
    pub(super) looks: Looks,
    proof: Proof,
}

impl<M> Document<M> {
    pub(super) fn new(location: String, place: Location, json: Bytes, metadata: Large<M>) -> Self {
        // The location names the content for ever.
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

    /// Returns whether a location, in whichever spelling, is the document's.
    #[must_use]
    pub fn is_at(&self, location: &str) -> bool {
        self.location == location || Location::parse(location).is_ok_and(|place| place == self.place)
    }
}

impl Document {
    /// Returns the proof that the table's locations are below `root`, if they are. It is found once.
    #[must_use]
    pub fn locations_below(&self, root: &Location) -> Option<ValidLocations> {
        self.proof.below(root, &self.metadata, &self.location)
    }
}
