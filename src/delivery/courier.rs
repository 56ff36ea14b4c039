//! What all workers share: the client, the keys of secrets, and the limits on what runs at the same time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use reqwest::Client;
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

use super::address::AllowedAddresses;
use super::measures::DeliveryMeasures;
use super::webhook::{Receiver, client, secret_owner};
use crate::base::clock::Clock;
use crate::base::secret::Secret;
use crate::config::DeliveryConfig;
use crate::sealing::KeySource;
use crate::store::{FeedScope, Store, Subscription};

/// The start of the names of subscriptions' consumers.
pub(super) const CONSUMER_PREFIX: &str = "webhook:";

/// Returns the name of a subscription's consumer.
pub(super) fn consumer_name(subscription: Uuid) -> String {
    format!("{CONSUMER_PREFIX}{subscription}")
}

/// The shared parts of deliveries over HTTP.
pub(super) struct Courier {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) config: Arc<DeliveryConfig>,
    pub(super) measures: DeliveryMeasures,
    pub(super) allowed: AllowedAddresses,
    keys: KeySource,
    client: Result<Client, String>,
    pub(super) slots: Semaphore,
    shares: Mutex<HashMap<FeedScope, Arc<Semaphore>>>,
    pub(super) changed: Arc<Notify>,
    has_change: AtomicBool,
}

impl Courier {
    pub(super) fn new(store: Arc<dyn Store>, clock: Clock, config: DeliveryConfig, keys: KeySource) -> Self {
        let config = Arc::new(config);
        let allowed = AllowedAddresses::new(Arc::clone(&config));
        Self {
            store,
            clock,
            measures: DeliveryMeasures::default(),
            keys,
            client: client(&config, &allowed).map_err(|error| error.to_string()),
            allowed,
            slots: Semaphore::new(config.concurrency.max(1)),
            shares: Mutex::default(),
            changed: Arc::default(),
            has_change: AtomicBool::new(true),
            config,
        }
    }

    /// Notes that a subscription was changed, and wakes the task that lists them.
    pub(super) fn note_change(&self) {
        self.has_change.store(true, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Returns whether a subscription was changed since the last call.
    pub(super) fn take_change(&self) -> bool {
        self.has_change.swap(false, Ordering::Relaxed)
    }

    /// Returns the receiver of a subscription.
    ///
    /// # Errors
    /// The reason, for people: its URL is no longer allowed, or its secret cannot be opened.
    pub(super) fn receiver(&self, of: &Subscription) -> Result<Receiver, String> {
        let url = self.allowed.check_url(&of.url)?;
        let client = self.client.clone()?;
        let keys = self.keys.read().map_err(|error| error.to_string())?;
        let owner = secret_owner(of.scope, of.id);
        let open = |sealed: &[u8]| {
            let opened = keys.open(sealed, &owner).map_err(|error| error.to_string())?;
            String::from_utf8(opened.expose().clone()).map(Secret::new).map_err(|error| error.to_string())
        };
        let mut secrets = vec![open(&of.sealed_secret)?];
        let previous = of.previous_secret.as_ref().filter(|previous| previous.until_ms > self.clock.now_ms());
        if let Some(previous) = previous {
            secrets.push(open(&previous.sealed)?);
        }
        Ok(Receiver { client, url, secrets, clock: self.clock.clone() })
    }

    /// Returns the permits of an organisation's subscriptions.
    pub(super) fn share(&self, scope: FeedScope) -> Arc<Semaphore> {
        let permits = self.config.concurrency_per_organisation.max(1);
        Arc::clone(self.shares.lock().entry(scope).or_insert_with(|| Arc::new(Semaphore::new(permits))))
    }
}
