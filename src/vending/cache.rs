//! Vends credentials, and caches them as long as they are useful.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use tidewater_core::location::Location;
use tidewater_core::storage::{Access, Delegation, Wanted};
use tokio::sync::watch;
use uuid::Uuid;

use super::circuit::Circuit;
use super::{Issued, Prefixed, ValidLocations, Vended, VendingError, Vendor};
use crate::base::clock::Clock;

/// The most credentials in the cache, of all warehouses.
const REMEMBERED: usize = 10_000;

/// The least remaining lifetime, in milliseconds, of cached credentials that are vended because the service gives no new ones.
/// A client can begin with them and asks again when they expire.
const LEAST_LEFT_MS: i64 = 5 * 60_000;

/// The name under which a client sends its pass: a parameter of the endpoint's path, or a property of the request (REST
/// specification, `RemoteSigningConfig`), whichever the client supports.
pub const PASS: &str = "pass";

/// The scope of credentials. Two callers share credentials only if their scopes are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Scope {
    /// The id of the warehouse's storage with its present settings. Other settings have another id.
    storage: Uuid,
    locations: Vec<String>,
    access: Access,
}

/// A request for access to a table's files.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The table's locations.
    pub locations: &'a ValidLocations,
    /// The permitted access.
    pub access: Access,
    /// How the client can access the files.
    pub wanted: Wanted,
    /// The table's path in the API, without a `/` before it: `v1/lake/namespaces/ns/tables/t`.
    pub path: &'a str,
    /// The pass that the client sends to have requests signed.
    pub pass: Option<&'a str>,
}

/// The outcome of a request for credentials to a cloud.
type Outcome = Result<Arc<Issued>, VendingError>;

/// Vends access to tables' files.
pub struct Vending {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    issued: Cache<Scope, Arc<Issued>>,
    /// The requests to clouds that are running, with the channel of their outcome.
    under_way: Mutex<HashMap<Scope, watch::Receiver<Option<Outcome>>>>,
    circuit: Circuit,
}

impl Vending {
    /// Creates an empty cache.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let (issued, under_way, circuit) = (Cache::new(REMEMBERED), Mutex::default(), Circuit::default());
        Self { shared: Arc::new(Shared { clock, issued, under_way, circuit }) }
    }

    /// Returns the settings and credentials for a table. The credentials have at least half of their lifetime left, or some
    /// minutes while the service gives no new ones. Concurrent requests for the same scope share one request to the cloud and its
    /// outcome. A service that does not answer gets no requests for a moment.
    ///
    /// # Errors
    /// All of [`VendingError`].
    pub async fn vend(
        &self,
        vendor: &Arc<dyn Vendor>,
        storage: Uuid,
        ask: &Ask<'_>,
    ) -> Result<Arc<Vended>, VendingError> {
        match vendor.delegation(ask.wanted) {
            Delegation::None => Ok(Arc::new(Vended { config: vendor.settings(), ..Vended::default() })),
            Delegation::RemoteSigning => {
                let mut config = vendor.settings();
                let query = ask.pass.map(|pass| format!("?{PASS}={pass}")).unwrap_or_default();
                let settings = vendor.signing_settings(&format!("{}/sign{query}", ask.path));
                config.extend(settings.into_iter().map(|(name, value)| (name.to_owned(), value)));
                let pass = ask.pass.map(|pass| (PASS.to_owned(), pass.to_owned()));
                let signing_properties = pass.into_iter().collect();
                Ok(Arc::new(Vended { config, signing_properties, ..Vended::default() }))
            }
            Delegation::VendedCredentials => {
                let issued = self.issued(vendor, storage, ask).await?;
                Ok(issued.given.get_or_make(ask.path, ask.locations, || issued.vended(vendor.as_ref(), ask)))
            }
        }
    }

    async fn issued(&self, vendor: &Arc<dyn Vendor>, storage: Uuid, ask: &Ask<'_>) -> Outcome {
        let mut locations: Vec<String> =
            ask.locations.as_slice().iter().map(|location| location.as_str().to_owned()).collect();
        locations.sort_unstable();
        let scope = Scope { storage, locations, access: ask.access };
        let known = self.shared.issued.get(&scope);
        if let Some(fresh) = known.as_ref().filter(|known| known.is_fresh(self.shared.clock.now_ms())) {
            return Ok(Arc::clone(fresh));
        }
        let asked = self.shared.ask(vendor, scope, ask.locations).await;
        match (asked, known) {
            (Err(VendingError::Unavailable { .. }), Some(known)) if known.is_usable(self.shared.clock.now_ms()) => {
                Ok(known)
            }
            (asked, _) => asked,
        }
    }
}

impl Shared {
    /// Asks the cloud, or waits for a running request with the same scope.
    async fn ask(self: &Arc<Self>, vendor: &Arc<dyn Vendor>, scope: Scope, locations: &ValidLocations) -> Outcome {
        let mut told = {
            let mut under_way = self.under_way.lock();
            match under_way.get(&scope) {
                Some(told) => told.clone(),
                None => {
                    // Another task may have cached them since the lookup.
                    let now_ms = self.clock.now_ms();
                    if let Some(fresh) = self.issued.get(&scope).filter(|known| known.is_fresh(now_ms)) {
                        return Ok(fresh);
                    }
                    self.circuit.admit(scope.storage, now_ms)?;
                    let (tell, told) = watch::channel(None);
                    under_way.insert(scope.clone(), told.clone());
                    // In a separate task, so that the others get the outcome even if the first caller disconnects.
                    let (shared, vendor, locations) = (Arc::clone(self), Arc::clone(vendor), locations.clone());
                    tokio::spawn(async move { shared.ask_now(vendor, scope, locations, now_ms, tell).await });
                    told
                }
            }
        };
        let outcome = told.wait_for(Option::is_some).await;
        outcome.ok().and_then(|outcome| outcome.clone()).unwrap_or_else(|| Err(stopped()))
    }

    async fn ask_now(
        &self,
        vendor: Arc<dyn Vendor>,
        scope: Scope,
        locations: ValidLocations,
        now_ms: i64,
        tell: watch::Sender<Option<Outcome>>,
    ) {
        let access = scope.access;
        let issuing = tokio::spawn(async move { vendor.issue(&locations, access, now_ms).await });
        let outcome = issuing.await.unwrap_or_else(|_| Err(stopped())).map(Arc::new);
        self.circuit.settle(scope.storage, &outcome, self.clock.now_ms());
        if let Ok(issued) = &outcome {
            self.issued.insert(scope.clone(), Arc::clone(issued));
        }
        self.under_way.lock().remove(&scope);
        // This fails only when nobody waits any more.
        let _ = tell.send(Some(outcome));
    }
}

fn stopped() -> VendingError {
    VendingError::Unavailable { service: "The catalog", message: "asking for credentials has stopped".to_owned() }
}

impl Issued {
    /// Puts together what a client is given with these credentials.
    fn vended(&self, vendor: &dyn Vendor, ask: &Ask<'_>) -> Vended {
        let mut config = vendor.settings();
        config.extend(self.settings.clone());
        if let Some(name) = vendor.refresh_setting() {
            config.insert(name.to_owned(), format!("{}/credentials", ask.path));
        }
        let prefixed = |(spelling, location): (&Location, &Location)| Prefixed {
            prefix: format!("{spelling}/"),
            config: vendor.with_host_of(spelling, self.with_those_of(location, config.clone())),
        };
        let credentials = ask.locations.spellings().map(prefixed).collect();
        let config = self.with_those_of(ask.locations.table(), config);
        let spellings = ask.locations.spellings();
        let config = spellings.fold(config, |config, (spelling, _)| vendor.with_host_of(spelling, config));
        Vended { config, credentials, ..Vended::default() }
    }

    /// Settings, with those that are good for this location only.
    fn with_those_of(&self, location: &Location, mut settings: BTreeMap<String, String>) -> BTreeMap<String, String> {
        settings.extend(self.by_location.get(location).cloned().unwrap_or_default());
        settings
    }

    /// Returns whether at least half of their lifetime is left.
    const fn is_fresh(&self, now_ms: i64) -> bool {
        self.expires_ms - now_ms >= (self.expires_ms - self.issued_ms) / 2
    }

    /// Returns whether they are still useful if the service gives no new ones.
    const fn is_usable(&self, now_ms: i64) -> bool {
        self.expires_ms - now_ms >= LEAST_LEFT_MS
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use tidewater_core::storage::StorageProfile;

    use super::*;
    use crate::base::secret::Secret;
    use crate::storage::{Budget, Setup, Storage, StorageCredentials};
    use crate::vending::open_vendor;

    #[test]
    fn credentials_with_half_of_their_lifetime_left_are_fresh() {
        let issued = Issued::new(BTreeMap::new(), 1_000, 3_000);
        assert!(issued.is_fresh(1_000) && issued.is_fresh(2_000));
        assert!(!issued.is_fresh(2_001) && !issued.is_fresh(4_000));
    }

    #[test]
    fn credentials_are_usable_until_minutes_before_their_expiry() {
        let hour_ms = 3_600_000;
        let issued = Issued::new(BTreeMap::new(), 0, hour_ms);
        assert!(!issued.is_fresh(hour_ms / 2 + 1) && issued.is_usable(hour_ms / 2 + 1));
        assert!(issued.is_usable(hour_ms - LEAST_LEFT_MS) && !issued.is_usable(hour_ms - LEAST_LEFT_MS + 1));
    }

    /// A session past half of its lifetime, and a token service that does not answer.
    #[tokio::test]
    async fn cached_credentials_serve_while_the_service_is_dead_until_they_expire() {
        let now_ms = Arc::new(AtomicI64::new(0));
        let vending = Vending::new(Clock::Manual(Arc::clone(&now_ms)));
        let root = Location::parse("s3://bucket/lake").unwrap();
        let profile: StorageProfile = serde_json::from_value(serde_json::json!({
            "type": "s3", "region": "a", "endpoint": "http://127.0.0.1:1", "path-style": true,
            "role-arn": "arn:aws:iam:::role/r"
        }))
        .unwrap();
        let (secret_access_key, session_token) = (Secret::new("s".to_owned()), None);
        let own = StorageCredentials::AwsKey { access_key_id: "k".to_owned(), secret_access_key, session_token };
        let (id, budget) = (Uuid::from_u128(1), Budget::default());
        let setup = Setup { id, root: &root, profile: &profile, credentials: &own, budget };
        let vendor = open_vendor(&profile, &Storage::open(&setup).unwrap(), budget).unwrap();
        let locations = ValidLocations::of_folder(&root.join("t").unwrap(), &root).unwrap();
        let wanted = Wanted::Said { vended_credentials: true, remote_signing: false };
        let ask = Ask { locations: &locations, access: Access::Read, wanted, path: "", pass: None };

        let scope = Scope { storage: id, locations: vec!["s3://bucket/lake/t".to_owned()], access: Access::Read };
        let settings = BTreeMap::from([("s3.access-key-id".to_owned(), "known".to_owned())]);
        let known = Issued::new(settings, 0, 3_600_000);
        vending.shared.issued.insert(scope, Arc::new(known));
        // Fresh; past half of its life, asked for anew in vain; and too near to its end.
        for (at_ms, serves) in [(0, true), (2_000_000, true), (3_500_000, false)] {
            now_ms.store(at_ms, Ordering::SeqCst);
            match vending.vend(&vendor, id, &ask).await {
                Ok(vended) => {
                    assert!(serves, "{at_ms}");
                    assert_eq!(vended.config["s3.access-key-id"], "known");
                }
                Err(error) => {
                    assert!(!serves, "{at_ms}: {error}");
                    assert!(matches!(error, VendingError::Unavailable { .. }), "{error}");
                }
            }
        }
    }
}
