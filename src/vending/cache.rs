//! Vends, and remembers what was vended for as long as it is worth handing out.

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
use crate::clock::Clock;

/// How many credentials are remembered, of all warehouses.
const REMEMBERED: usize = 10_000;

/// What must be left of credentials that are handed out because there are no newer ones to be had, in milliseconds: enough
/// for a client to begin with, which asks again when they run out.
const LEAST_LEFT_MS: i64 = 5 * 60_000;

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

/// What comes of asking a cloud for credentials.
type Outcome = Result<Arc<Issued>, VendingError>;

/// Gives clients what they need to reach a table's files.
pub struct Vending {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    issued: Cache<Scope, Arc<Issued>>,
    /// What is being asked for, and where its outcome will be told.
    under_way: Mutex<HashMap<Scope, watch::Receiver<Option<Outcome>>>>,
    circuit: Circuit,
}

impl Vending {
    /// One that remembers nothing yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let (issued, under_way, circuit) = (Cache::new(REMEMBERED), Mutex::default(), Circuit::default());
        Self { shared: Arc::new(Shared { clock, issued, under_way, circuit }) }
    }

    /// What a client is given for a table. Credentials that it gets have at least half of their life before them, or
    /// minutes while there are no newer ones to be had. Who asks while others wait for the same ones waits with them, and
    /// has the same outcome; a service that does not answer is left alone for a moment then.
    ///
    /// # Errors
    /// All of [`VendingError`].
    pub async fn vend(&self, vendor: &Arc<Vendor>, storage: Uuid, ask: &Ask<'_>) -> Result<Arc<Vended>, VendingError> {
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
                Ok(issued.given.get_or_make(ask.path, ask.locations, || issued.vended(vendor, ask)))
            }
        }
    }

    async fn issued(&self, vendor: &Arc<Vendor>, storage: Uuid, ask: &Ask<'_>) -> Outcome {
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
    /// Asks the cloud, or waits with who has asked for the same.
    async fn ask(self: &Arc<Self>, vendor: &Arc<Vendor>, scope: Scope, locations: &ValidLocations) -> Outcome {
        let mut told = {
            let mut under_way = self.under_way.lock();
            match under_way.get(&scope) {
                Some(told) => told.clone(),
                None => {
                    // Somebody may have brought them since they were looked for.
                    let now_ms = self.clock.now_ms();
                    if let Some(fresh) = self.issued.get(&scope).filter(|known| known.is_fresh(now_ms)) {
                        return Ok(fresh);
                    }
                    self.circuit.admit(scope.storage, now_ms)?;
                    let (tell, told) = watch::channel(None);
                    under_way.insert(scope.clone(), told.clone());
                    // In tasks of their own: those who wait have the outcome also when the first of them leaves.
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
        vendor: Arc<Vendor>,
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
        // Nobody waits any more where this fails.
        let _ = tell.send(Some(outcome));
    }
}

fn stopped() -> VendingError {
    VendingError::Unavailable { service: "The catalog", message: "asking for credentials has stopped".to_owned() }
}

impl Issued {
    /// Puts together what a client is given with these credentials.
    fn vended(&self, vendor: &Vendor, ask: &Ask<'_>) -> Vended {
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

    /// Whether half of their life is still to come.
    const fn is_fresh(&self, now_ms: i64) -> bool {
        self.expires_ms - now_ms >= (self.expires_ms - self.issued_ms) / 2
    }

    /// Whether they are worth handing out where there are no newer ones.
    const fn is_usable(&self, now_ms: i64) -> bool {
        self.expires_ms - now_ms >= LEAST_LEFT_MS
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use tidewater_core::storage::StorageProfile;

    use super::*;
    use crate::secret::Secret;
    use crate::storage::{Budget, Setup, Storage, StorageCredentials};

    #[test]
    fn credentials_are_handed_out_while_half_of_their_life_is_to_come() {
        let issued = Issued::new(BTreeMap::new(), 1_000, 3_000);
        assert!(issued.is_fresh(1_000) && issued.is_fresh(2_000));
        assert!(!issued.is_fresh(2_001) && !issued.is_fresh(4_000));
    }

    #[test]
    fn credentials_are_of_use_until_some_minutes_before_their_end() {
        let hour_ms = 3_600_000;
        let issued = Issued::new(BTreeMap::new(), 0, hour_ms);
        assert!(!issued.is_fresh(hour_ms / 2 + 1) && issued.is_usable(hour_ms / 2 + 1));
        assert!(issued.is_usable(hour_ms - LEAST_LEFT_MS) && !issued.is_usable(hour_ms - LEAST_LEFT_MS + 1));
    }

    /// A table's session that is past half of its life, and a token service that nobody answers for.
    #[tokio::test]
    async fn known_credentials_serve_while_there_are_no_newer_ones_and_not_longer() {
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
        let vendor = Arc::new(Vendor::open(&profile, &Storage::open(&setup).unwrap(), budget).unwrap());
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
