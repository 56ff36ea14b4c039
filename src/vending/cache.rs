//! Vends, and remembers what was vended for as long as it is worth handing out.

use std::collections::BTreeMap;
use std::sync::Arc;

use quick_cache::sync::Cache;
use tidewater_core::location::Location;
use tidewater_core::storage::{Access, Delegation, Wanted};
use uuid::Uuid;

use super::{Issued, Prefixed, ValidLocations, Vended, VendingError, Vendor};
use crate::clock::Clock;

/// How many credentials are remembered, of all warehouses.
const REMEMBERED: usize = 10_000;

/// Under which name a client brings its pass: as a parameter of the path that it was given, and as a property of the request
/// (REST specification, `RemoteSigningConfig`), whichever it knows.
pub const PASS: &str = "pass";

/// What credentials are for. Two callers get the same ones only where all of it is the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Scope {
    /// The warehouse's storage as it is set up now: another set-up is another storage.
    storage: Uuid,
    locations: Vec<String>,
    access: Access,
}

/// What a client asks for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Where the table's files are.
    pub locations: &'a ValidLocations,
    /// What it may do with them.
    pub access: Access,
    /// How it can reach them.
    pub wanted: Wanted,
    /// The table's path in the API, without a `/` before it: `v1/lake/namespaces/ns/tables/t`.
    pub path: &'a str,
    /// What a client is to bring along when it wants requests signed.
    pub pass: Option<&'a str>,
}

/// Gives clients what they need to reach a table's files.
pub struct Vending {
    clock: Clock,
    issued: Cache<Scope, Arc<Issued>>,
}

impl Vending {
    /// One that remembers nothing yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, issued: Cache::new(REMEMBERED) }
    }

    /// What a client is given for a table. Credentials that it gets have at least half of their life before them; who
    /// asks while others wait for the same ones waits with them.
    ///
    /// # Errors
    /// All of [`VendingError`].
    pub async fn vend(&self, vendor: &Vendor, storage: Uuid, ask: &Ask<'_>) -> Result<Vended, VendingError> {
        let mut config = vendor.settings();
        match vendor.delegation(ask.wanted) {
            Delegation::None => Ok(Vended { config, ..Vended::default() }),
            Delegation::RemoteSigning => {
                let query = ask.pass.map(|pass| format!("?{PASS}={pass}")).unwrap_or_default();
                let settings = vendor.signing_settings(&format!("{}/sign{query}", ask.path));
                config.extend(settings.into_iter().map(|(name, value)| (name.to_owned(), value)));
                let pass = ask.pass.map(|pass| (PASS.to_owned(), pass.to_owned()));
                Ok(Vended { config, signing_properties: pass.into_iter().collect(), ..Vended::default() })
            }
            Delegation::VendedCredentials => {
                let issued = self.issued(vendor, storage, ask).await?;
                config.extend(issued.settings.clone());
                if let Some(name) = vendor.refresh_setting() {
                    config.insert(name.to_owned(), format!("{}/credentials", ask.path));
                }
                let prefixed = |location: &Location| Prefixed {
                    prefix: format!("{location}/"),
                    config: issued.with_those_of(location, config.clone()),
                };
                let credentials = ask.locations.as_slice().iter().map(prefixed).collect();
                let config = issued.with_those_of(ask.locations.table(), config);
                Ok(Vended { config, credentials, ..Vended::default() })
            }
        }
    }

    async fn issued(&self, vendor: &Vendor, storage: Uuid, ask: &Ask<'_>) -> Result<Arc<Issued>, VendingError> {
        let mut locations: Vec<String> =
            ask.locations.as_slice().iter().map(|location| location.as_str().to_owned()).collect();
        locations.sort_unstable();
        let scope = Scope { storage, locations, access: ask.access };
        let now_ms = self.clock.now_ms();
        if let Some(known) = self.issued.get(&scope) {
            if known.is_fresh(now_ms) {
                return Ok(known);
            }
            // Only these: somebody may have put newer ones there meanwhile.
            self.issued.remove_if(&scope, |found| Arc::ptr_eq(found, &known));
        }
        let fresh = async { vendor.issue(ask.locations, ask.access, now_ms).await.map(Arc::new) };
        self.issued.get_or_insert_async(&scope, fresh).await
    }
}

impl Issued {
    /// Settings, with those that are good for this location only.
    fn with_those_of(&self, location: &Location, mut settings: BTreeMap<String, String>) -> BTreeMap<String, String> {
        settings.extend(self.by_location.get(location).cloned().unwrap_or_default());
        settings
    }

    /// Whether half of their life is still to come.
    const fn is_fresh(&self, now_ms: i64) -> bool {
        self.expires_ms - now_ms >= (self.expires_ms - self.issued_ms) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_handed_out_while_half_of_their_life_is_to_come() {
        let issued =
            Issued { settings: BTreeMap::new(), by_location: BTreeMap::new(), issued_ms: 1_000, expires_ms: 3_000 };
        assert!(issued.is_fresh(1_000) && issued.is_fresh(2_000));
        assert!(!issued.is_fresh(2_001) && !issued.is_fresh(4_000));
    }
}
