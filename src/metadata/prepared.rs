//! Data that is derived from a document once and serves all its loads.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidewater_core::document::TableMetadata;
use tidewater_core::location::Location;

use crate::base::deadline;
use crate::vending::ValidLocations;

/// The largest answer that is copied into one piece. A larger one is sent in three pieces.
const COPIED_BYTES: usize = 32 * 1024;

/// How often in each [`WINDOW`] the catalog checks that a file exists. Enough for a person who moves files by hand to see the
/// effect at once, and cheap for a table that is loaded all the time.
const LOOKS: u64 = 8;
const WINDOW: Duration = Duration::from_secs(1);

/// The end of a `LoadTableResult` or `LoadViewResult` without settings and credentials.
const NO_CONFIG: &[u8] = b",\"config\":{}}";

/// The answer to a load of a document (REST specification, `LoadTableResult`, `LoadViewResult`).
#[derive(Debug, Clone)]
pub struct LoadResult {
    /// `{"metadata-location":...,"metadata":`.
    before: Bytes,
    /// The document.
    json: Bytes,
    /// The whole answer without settings and credentials. The other two fields are slices of it. None for a large document.
    whole: Option<Bytes>,
}

impl LoadResult {
    /// Builds the answer for the document `json` at `location`.
    #[must_use]
    pub fn new(location: &str, json: Bytes) -> Self {
        let location = serde_json::Value::from(location).to_string();
        let before = [b"{\"metadata-location\":", location.as_bytes(), b",\"metadata\":"].concat();
        let end = before.len() + json.len();
        if end > COPIED_BYTES {
            return Self { before: before.into(), json, whole: None };
        }
        let whole = Bytes::from([&before, &json[..], NO_CONFIG].concat());
        Self { before: whole.slice(..before.len()), json: whole.slice(before.len()..end), whole: Some(whole) }
    }

    /// Returns the document's JSON.
    #[must_use]
    pub const fn json(&self) -> &Bytes {
        &self.json
    }

    /// Returns the pieces of the answer without settings and credentials.
    #[must_use]
    pub fn without_config(&self) -> Vec<Bytes> {
        match &self.whole {
            Some(whole) => vec![whole.clone()],
            None => self.followed_by(Bytes::from_static(NO_CONFIG)),
        }
    }

    /// Returns the pieces of the answer with `after` as its end. Does not copy the document.
    #[must_use]
    pub fn followed_by(&self, after: Bytes) -> Vec<Bytes> {
        match &self.whole {
            Some(whole) => vec![whole.slice(..self.before.len() + self.json.len()), after],
            None => vec![self.before.clone(), self.json.clone(), after],
        }
    }

    /// Returns the used memory in bytes.
    pub(super) fn size_bytes(&self) -> usize {
        self.whole.as_ref().map_or_else(|| self.before.len() + self.json.len(), Bytes::len)
    }
}

/// Limits how often the catalog checks that a document's file exists: [`LOOKS`] times in a [`WINDOW`].
#[derive(Debug)]
pub(super) struct Looks {
    opened: Instant,
    /// The number of the window since `opened`, and in the lowest byte how many checks it had.
    seen: AtomicU64,
}

impl Looks {
    pub(super) fn new() -> Self {
        Self { opened: Instant::now(), seen: AtomicU64::new(0) }
    }

    /// Takes one check of this window. Returns false if none is left.
    pub(super) fn take(&self) -> bool {
        // The request read the clock when it began: reading it again costs time.
        self.take_at(deadline::current().map_or_else(Instant::now, deadline::Deadline::begun))
    }

    fn take_at(&self, now: Instant) -> bool {
        let window = now.saturating_duration_since(self.opened).as_secs() / WINDOW.as_secs();
        let taken = |seen: u64| match (seen >> 8 >= window, seen & 0xff) {
            (true, looks) => (looks < LOOKS).then_some(seen + 1),
            (false, _) => Some(window << 8 | 1),
        };
        self.seen.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }
}

/// The checked locations of a table, cached for the first root that is asked about: that of its warehouse.
#[derive(Debug, Default)]
pub(super) struct Proof(OnceLock<(Location, Option<ValidLocations>)>);

impl Proof {
    /// Returns the table's locations if all are below `root`. Logs a warning if not.
    pub(super) fn below(&self, root: &Location, table: &TableMetadata, location: &str) -> Option<ValidLocations> {
        let check = || {
            ValidLocations::from_table(table, root)
                .inspect_err(|refused| tracing::warn!(location, %refused, "no access is vended for a table: a location is not allowed"))
                .ok()
        };
        let (known_root, known) = self.0.get_or_init(|| (root.clone(), check()));
        // Compare the texts: for another spelling of the root, the locations are spelled differently.
        if known_root.as_str() == root.as_str() { known.clone() } else { check() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined(pieces: &[Bytes]) -> String {
        String::from_utf8(pieces.concat()).unwrap()
    }

    #[test]
    fn looks_are_limited_in_each_second() {
        let looks = Looks::new();
        let in_second = |second: u64| {
            let now = looks.opened + Duration::from_millis(second * 1_000 + 999);
            (0..100).filter(|_| looks.take_at(now)).count() as u64
        };
        assert_eq!([0, 0, 1, 1, 7].map(in_second), [LOOKS, 0, LOOKS, 0, LOOKS]);
    }

    #[test]
    fn locations_checked_for_one_root_are_not_returned_for_another() {
        let table = super::super::tests::table();
        let below = |proof: &Proof, root: &str| {
            proof.below(&Location::parse(root).unwrap(), &table, "x").map(|valid| valid.table().to_string())
        };
        let (above, other) = ("file:///", "file:///elsewhere");
        let proof = Proof::default();
        assert_eq!([above, other, above].map(|root| below(&proof, root).is_some()), [true, false, true]);
        let refused = Proof::default();
        assert_eq!([other, above, other].map(|root| below(&refused, root).is_some()), [false, true, false]);
    }

    proptest! {
        #[test]
        fn answer_is_the_same_in_one_piece_and_in_several(location in ".{0,40}", len in 0..2 * COPIED_BYTES) {
            let json = format!("{{\"x\":\"{}\"}}", "y".repeat(len));
            let result = LoadResult::new(&location, Bytes::from(json.clone()));
            let expected = |after: &str| {
                format!("{{\"metadata-location\":{},\"metadata\":{json}{after}", serde_json::json!(location))
            };
            prop_assert_eq!(result.json(), json.as_bytes());
            prop_assert_eq!(joined(&result.without_config()), expected(",\"config\":{}}"));
            prop_assert_eq!(joined(&result.followed_by(Bytes::from_static(b"}"))), expected("}"));
            prop_assert!(result.size_bytes() >= json.len());
        }
    }
}
