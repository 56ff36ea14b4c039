//! Vends credentials, and caches them as long as they are useful.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use quick_cache::sync::Cache;
use tidewater_core::location::Location;
use tidewater_core::storage::{Access, Delegation, Wanted};
use tokio::sync::watch;
use uuid::Uuid;

use super::circuit::Circuit;
use super::{Issued, Prefixed, ValidLocations, Vended, VendingError, Vendor};
use crate::base::clock::Clock;
use crate::base::measure::{Calls, Subject};
use crate::base::trace;

/// The most credentials in the cache, of all warehouses.
const REMEMBERED: usize = 10_000;

/// The least remaining lifetime, in milliseconds, of cached credentials that are vended while the service is not reachable.
/// A client can begin with them, and requests new ones before they expire.
const LEAST_LEFT_MS: i64 = 5 * 60_000;

/// The name under which a client sends its pass: a query parameter of the signing endpoint, or a property of the request to sign
/// (REST specification, `RemoteSigningConfig`), whichever the client supports.
pub const PASS: &str = "pass";

/// The scope of credentials. Two callers share credentials only if their scopes are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Scope {
    /// The id of the warehouse's storage with its present settings. It changes with the settings.
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
    /// The ways to access files that the client offers to use.
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
    /// The running requests to clouds, each with the channel on which its outcome arrives.
    under_way: Mutex<HashMap<Scope, watch::Receiver<Option<Outcome>>>>,
    circuit: Circuit,
    measures: VendingMeasures,
}

/// What vending measures. Clones share it.
#[derive(Debug, Clone)]
pub struct VendingMeasures {
    /// Requests for credentials to clouds: the target is the type of storage, the operation `issue`.
    pub calls: Calls,
    /// Credentials that were vended from the cache, by type of storage.
    pub cached: Family<CachedLabels, Counter>,
}

/// The labels of vended credentials.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CachedLabels {
    /// The type of storage.
    target: &'static str,
}

impl Default for VendingMeasures {
    fn default() -> Self {
        Self { calls: Calls::new(Subject::Credentials), cached: Family::default() }
    }
}

impl Vending {
    /// Creates an empty cache.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let (issued, under_way, circuit) = (Cache::new(REMEMBERED), Mutex::default(), Circuit::default());
        let measures = VendingMeasures::default();
        Self { shared: Arc::new(Shared { clock, issued, under_way, circuit, measures }) }
    }

    /// Returns the measurements.
    #[must_use]
    pub fn measures(&self) -> &VendingMeasures {
        &self.shared.measures
    }

    /// Returns the settings of a client without access to files, such as the store's address.
    #[must_use]
    pub fn without_access(vendor: &dyn Vendor) -> Arc<Vended> {
        Arc::new(Vended { config: vendor.settings(), ..Vended::default() })
    }

    /// Returns the settings and credentials for a table. Cached credentials serve until half of their lifetime is over, or until
    /// five minutes before their end while the service is not reachable. Concurrent requests for the same scope share one request
    /// to the cloud and its outcome. A service that does not answer gets no requests for a second.
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
            Delegation::None => Ok(Self::without_access(vendor.as_ref())),
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
                let issued = self.get_or_issue(vendor, storage, ask).await?;
                Ok(issued.given.get_or_make(ask.path, ask.locations, || issued.vended(vendor.as_ref(), ask)))
            }
        }
    }

    /// Returns credentials from the cache, or new ones from the cloud.
    async fn get_or_issue(&self, vendor: &Arc<dyn Vendor>, storage: Uuid, ask: &Ask<'_>) -> Outcome {
        let mut locations: Vec<String> =
            ask.locations.as_slice().iter().map(|location| location.as_str().to_owned()).collect();
        locations.sort_unstable();
        let scope = Scope { storage, locations, access: ask.access };
        let known = self.shared.issued.get(&scope);
        if let Some(fresh) = known.as_ref().filter(|known| known.is_fresh(self.shared.clock.now_ms())) {
            self.shared.count_cached(vendor, fresh);
            return Ok(Arc::clone(fresh));
        }
        let outcome = self.shared.issue_once(vendor, scope, ask.locations).await;
        match (outcome, known) {
            (Err(VendingError::Unavailable { .. }), Some(known)) if known.is_usable(self.shared.clock.now_ms()) => {
                self.shared.count_cached(vendor, &known);
                Ok(known)
            }
            (outcome, _) => outcome,
        }
    }
}

impl Shared {
    /// Counts credentials that are vended from the cache. Finds their series once.
    fn count_cached(&self, vendor: &Arc<dyn Vendor>, issued: &Issued) {
        let find = || self.measures.cached.get_or_create_owned(&CachedLabels { target: target_of(vendor) });
        issued.cached.get_or_init(find).inc();
    }

    /// Requests credentials from the cloud, or waits for a running request with the same scope.
    async fn issue_once(
        self: &Arc<Self>,
        vendor: &Arc<dyn Vendor>,
        scope: Scope,
        locations: &ValidLocations,
    ) -> Outcome {
        let mut receiver = {
            let mut under_way = self.under_way.lock();
            match under_way.get(&scope) {
                Some(receiver) => receiver.clone(),
                None => {
                    // Another request may have ended since the lookup.
                    let now_ms = self.clock.now_ms();
                    if let Some(fresh) = self.issued.get(&scope).filter(|known| known.is_fresh(now_ms)) {
                        return Ok(fresh);
                    }
                    self.circuit.admit(scope.storage, now_ms)?;
                    let (sender, receiver) = watch::channel(None);
                    under_way.insert(scope.clone(), receiver.clone());
                    // In a separate task, so that the others get the outcome even if the first caller disconnects.
                    let (shared, vendor, locations) = (Arc::clone(self), Arc::clone(vendor), locations.clone());
                    let issued = async move { shared.issue_now(vendor, scope, locations, now_ms, sender).await };
                    tokio::spawn(trace::carry(issued));
                    receiver
                }
            }
        };
        let outcome = receiver.wait_for(Option::is_some).await;
        outcome.ok().and_then(|outcome| outcome.clone()).unwrap_or_else(|| Err(stopped()))
    }

    /// Requests credentials from the cloud, caches them, and sends the outcome to all waiting callers.
    async fn issue_now(
        &self,
        vendor: Arc<dyn Vendor>,
        scope: Scope,
        locations: ValidLocations,
        now_ms: i64,
        sender: watch::Sender<Option<Outcome>>,
    ) {
        let access = scope.access;
        let target = target_of(&vendor);
        let measurement = self.measures.calls.begin(target, "issue");
        let issuing = tokio::spawn(measurement.scope(async move { vendor.issue(&locations, access, now_ms).await }));
        let outcome = issuing.await.unwrap_or_else(|_| Err(stopped())).map(Arc::new);
        measurement.end(&outcome, VendingError::kind);
        self.circuit.record(scope.storage, &outcome, self.clock.now_ms());
        if let Ok(issued) = &outcome {
            self.issued.insert(scope.clone(), Arc::clone(issued));
        }
        self.under_way.lock().remove(&scope);
        // Sending fails only if no caller waits any more.
        let _ = sender.send(Some(outcome));
    }
}

/// Returns the type of a vendor's storage, for metrics.
fn target_of(vendor: &Arc<dyn Vendor>) -> &'static str {
    vendor.profile().map_or("file", |profile| profile.kind())
}

fn stopped() -> VendingError {
    VendingError::Unavailable { service: "The catalog", message: "the request for credentials was aborted".to_owned() }
}

impl Issued {
    /// Returns the settings that a client receives with these credentials.
    fn vended(&self, vendor: &dyn Vendor, ask: &Ask<'_>) -> Vended {
        let mut config = vendor.settings();
        config.extend(self.settings.clone());
        if let Some(name) = vendor.refresh_setting() {
            config.insert(name.to_owned(), format!("{}/credentials", ask.path));
        }
        let prefixed = |(spelling, location): (&Location, &Location)| Prefixed {
            prefix: format!("{spelling}/"),
            config: vendor.with_host_of(spelling, self.with_settings_for(location, config.clone())),
        };
        let credentials = ask.locations.spellings().map(prefixed).collect();
        let config = self.with_settings_for(ask.locations.table(), config);
        let spellings = ask.locations.spellings();
        let config = spellings.fold(config, |config, (spelling, _)| vendor.with_host_of(spelling, config));
        Vended { config, credentials, ..Vended::default() }
    }

    /// Returns `settings` with those that were issued for one location.
    fn with_settings_for(
        &self,
        location: &Location,
        mut settings: BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        settings.extend(self.by_location.get(location).cloned().unwrap_or_default());
        settings
    }

    /// Returns whether at least half of the credentials' lifetime is left.
    const fn is_fresh(&self, now_ms: i64) -> bool {
        self.expires_ms - now_ms >= (self.expires_ms - self.issued_ms) / 2
    }

    /// Returns whether the credentials can be vended while the service is not reachable.
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

    /// Moves the clock while the token service does not answer.
    #[tokio::test]
    async fn cached_credentials_serve_while_the_service_is_dead_until_minutes_before_expiry() {
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
        let locations = ValidLocations::from_folder(&root.join("t").unwrap(), &root).unwrap();
        let wanted = Wanted::Said { vended_credentials: true, remote_signing: false };
        let ask = Ask { locations: &locations, access: Access::Read, wanted, path: "", pass: None };

        let scope = Scope { storage: id, locations: vec!["s3://bucket/lake/t".to_owned()], access: Access::Read };
        let settings = BTreeMap::from([("s3.access-key-id".to_owned(), "known".to_owned())]);
        let known = Issued::new(settings, 0, 3_600_000);
        vending.shared.issued.insert(scope, Arc::new(known));
        // Fresh; past half of its lifetime, so that a request fails; and less than five minutes before its end.
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
