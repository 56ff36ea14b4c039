//! The settings that were vended with some credentials, cached with the credentials.
//!
//! Combining the settings and writing their JSON takes longer than the rest of a warm load. So all loads of a table with the
//! same credentials share one JSON text.

use std::sync::Arc;

use parking_lot::Mutex;

use super::valid_location::ValidLocations;

/// The settings that were last vended with some credentials. Credentials are for the locations of one table, whose path seldom
/// changes, so one entry is enough.
pub(super) struct LastGiven<T>(Mutex<Option<Given<T>>>);

struct Given<T> {
    /// The table's path in the API, which the settings contain.
    path: String,
    /// The table's locations, in all spellings.
    locations: ValidLocations,
    vended: Arc<T>,
}

impl<T> LastGiven<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Returns the cached settings if path and locations are the same. Otherwise makes and caches them.
    pub(super) fn get_or_make(&self, path: &str, locations: &ValidLocations, make: impl FnOnce() -> T) -> Arc<T> {
        let mut last = self.0.lock();
        if let Some(given) = last.as_ref().filter(|given| given.path == path && given.locations == *locations) {
            return Arc::clone(&given.vended);
        }
        let vended = Arc::new(make());
        *last = Some(Given { path: path.to_owned(), locations: locations.clone(), vended: Arc::clone(&vended) });
        vended
    }
}

#[cfg(test)]
mod tests {
    use tidewater_core::location::Location;

    use super::super::Vended;
    use super::*;

    #[test]
    fn settings_are_made_again_for_another_path_or_location() {
        let root = Location::parse("s3://bucket/lake").unwrap();
        let folder = |name: &str| ValidLocations::from_folder(&root.join(name).unwrap(), &root).unwrap();
        let (last, mut made) = (LastGiven::new(), 0);
        for (path, name) in [("a", "t"), ("a", "t"), ("b", "t"), ("b", "u"), ("b", "u"), ("a", "t")] {
            last.get_or_make(path, &folder(name), || {
                made += 1;
                Vended::default()
            });
        }
        assert_eq!(made, 4);
    }

    #[test]
    fn text_is_spelled_once() {
        let vended = Vended::default();
        assert_eq!(vended.text(|_| "first".to_owned()), "first");
        assert_eq!(vended.text(|_| "second".to_owned()), "first");
    }
}
