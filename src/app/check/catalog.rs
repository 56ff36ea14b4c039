//! Checks the catalog: its database, its master key, and the keys that sign tokens.

use super::found::Found;
use super::subject::Subject;
use crate::app::storage_access;
use crate::store::InspectedCatalog;

/// The most warehouses that a finding names.
const NAMED: usize = 5;

/// Checks the database.
pub(super) async fn database(subject: &Subject) -> Vec<Found> {
    let config = &subject.config;
    let object = match config.store.url.is_shared() {
        true => config.store.url.to_string(),
        false => config.database().display().to_string(),
    };
    let outcome = subject.database().await;
    vec![match &outcome.found {
        Ok(found) if outcome.is_warning => Found::warning(object, found),
        Ok(found) => Found::ok(object, found),
        Err(why) => Found::failed(object, why),
    }]
}

/// Checks that the master key is the catalog's. Reads it, and stores nothing.
pub(super) async fn master_key(subject: &Subject) -> Vec<Found> {
    let source = storage_access(&subject.config).keys;
    let place = source.place();
    let catalog = subject.catalog().await;
    let needs_one = catalog.is_some_and(|catalog| catalog.master_key.is_some() || sealed(catalog).next().is_some());
    let ring = match source.read() {
        Ok(ring) => ring,
        Err(error) if error.is_missing() && !needs_one => {
            return vec![Found::ok(place, "there is none, and the catalog needs none yet")];
        }
        Err(error) if error.is_missing() => {
            return vec![Found::failed(place, "is missing: restore the catalog's key from its backup")];
        }
        Err(error) => return vec![Found::failed(place, error)],
    };
    let fingerprints = match ring.fingerprints() {
        Ok(fingerprints) => fingerprints,
        Err(error) => return vec![Found::failed(place, error)],
    };
    let Some(catalog) = catalog else {
        return vec![Found::warning(place, "can be read, but was not compared with the catalog")];
    };
    if catalog.master_key.is_some_and(|known| !fingerprints.contains(&known)) {
        return vec![Found::failed(place, "is the key of another catalog: restore the right key from its backup")];
    }
    let mut lost: Vec<String> =
        sealed(catalog).filter(|(_, seal)| !ring.has_key_of(seal)).map(|(name, _)| name).collect();
    if lost.is_empty() {
        return vec![Found::ok(place, format!("fits the catalog; keys: {}", fingerprints.len()))];
    }
    let more = lost.len().saturating_sub(NAMED);
    lost.truncate(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let detail =
        format!("does not open the credentials of {}{more}: restore the key that sealed them", lost.join(", "));
    vec![Found::failed(place, detail)]
}

/// Returns the warehouses with sealed credentials, with their seals.
fn sealed(catalog: &InspectedCatalog) -> impl Iterator<Item = (String, &[u8])> {
    catalog.organisations.iter().flat_map(|(organisation, warehouses)| {
        warehouses.iter().filter_map(|warehouse| {
            let seal = warehouse.storage.sealed_credentials.as_deref()?;
            Some((format!("'{}' of '{}'", warehouse.name, organisation.name), seal))
        })
    })
}

/// Checks that there are keys that sign tokens.
pub(super) async fn signing_keys(subject: &Subject) -> Vec<Found> {
    match subject.catalog().await.map(|catalog| catalog.signing_keys) {
        None => Vec::new(),
        Some(0) => vec![Found::ok("", "there is none yet: the first start creates one")],
        Some(count) => vec![Found::ok("", format!("{count} in the database"))],
    }
}
