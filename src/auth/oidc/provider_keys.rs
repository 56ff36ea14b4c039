//! The cached keys of one provider.
//!
//! The keys are read in the background, and again when a token names an unknown key. Known keys stay in use while the provider
//! does not answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::fetch::read_key_set;
use super::key_set::KeySet;
use crate::base::clock::Clock;
use crate::base::flight::{Flight, Joined};
use crate::base::trace;
use crate::config::IssuerConfig;

/// The shortest time between two reads because of tokens, in milliseconds: a client with invented key names must not keep the
/// provider busy.
pub(super) const REFETCH_INTERVAL_MS: i64 = 10_000;

/// The keys of one provider.
pub(in crate::auth) struct ProviderKeys {
    config: IssuerConfig,
    clock: Clock,
    loaded: RwLock<Option<Loaded>>,
    /// Increases when the keys change, so that tokens that were verified with older keys are verified again.
    generation: AtomicU64,
    tried_ms: AtomicI64,
    /// Why the last read failed, if it did.
    failure: Mutex<Option<Arc<str>>>,
    flight: Flight<Arc<str>>,
}

struct Loaded {
    keys: Arc<KeySet>,
    text: Vec<u8>,
}

impl ProviderKeys {
    pub(super) fn new(config: IssuerConfig, clock: Clock) -> Self {
        Self {
            config,
            clock,
            loaded: RwLock::new(None),
            generation: AtomicU64::new(0),
            tried_ms: AtomicI64::new(i64::MIN),
            failure: Mutex::new(None),
            flight: Flight::default(),
        }
    }

    /// Returns whether another configuration reads its keys in the same way.
    pub(super) fn is_for(&self, config: &IssuerConfig) -> bool {
        fn source(config: &IssuerConfig) -> impl PartialEq + '_ {
            let files = (&config.jwks_file, &config.ca_file, &config.bearer_file);
            (&config.issuer, &config.accepted_issuers, &config.jwks_url, files)
        }
        source(&self.config) == source(config)
    }

    /// Returns the provider's name.
    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    /// Returns the generation of the keys.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Returns the keys, if they were read.
    pub(super) fn present(&self) -> Option<Arc<KeySet>> {
        self.loaded.read().as_ref().map(|loaded| Arc::clone(&loaded.keys))
    }

    /// Returns why the last read failed, if it did.
    pub(super) fn failure(&self) -> Option<Arc<str>> {
        self.failure.lock().clone()
    }

    /// Reads the keys again, unless that was tried within [`REFETCH_INTERVAL_MS`].
    ///
    /// # Errors
    /// Why the keys cannot be read.
    pub(super) async fn reread(self: &Arc<Self>) -> Result<(), Arc<str>> {
        let just_tried = || {
            let since_ms = self.clock.now_ms().saturating_sub(self.tried_ms.load(Ordering::Acquire));
            (0..REFETCH_INTERVAL_MS).contains(&since_ms).then_some(())
        };
        if just_tried().is_some() && self.present().is_some() {
            return Ok(());
        }
        self.share_read(just_tried).await
    }

    /// Reads the keys now.
    ///
    /// # Errors
    /// Why the keys cannot be read.
    pub(super) async fn refresh(self: &Arc<Self>) -> Result<(), Arc<str>> {
        self.share_read(|| None).await
    }

    /// Waits for a read that runs, and reads the keys unless `ready`. A read ends even if its caller disconnects.
    async fn share_read(self: &Arc<Self>, ready: impl FnOnce() -> Option<()>) -> Result<(), Arc<str>> {
        let turn = match self.flight.join(ready).await? {
            Joined::Ready(()) => return Ok(()),
            Joined::Ask(turn) => turn,
        };
        let keys = Arc::clone(self);
        let read = tokio::spawn(trace::carry(async move {
            let read = keys.read().await.map_err(|why| keys.flight.fail(why));
            drop(turn);
            read
        }));
        read.await.unwrap_or_else(|error| Err(error.to_string().into()))
    }

    /// Reads the keys. If that fails, the known ones stay.
    async fn read(&self) -> Result<(), Arc<str>> {
        self.tried_ms.store(self.clock.now_ms(), Ordering::Release);
        match read_key_set(&self.config).await {
            Ok((keys, text)) => {
                *self.failure.lock() = None;
                let mut loaded = self.loaded.write();
                if loaded.as_ref().is_none_or(|loaded| loaded.text != text) {
                    *loaded = Some(Loaded { keys: Arc::new(keys), text });
                    self.generation.fetch_add(1, Ordering::Release);
                }
                Ok(())
            }
            Err(why) => {
                let why: Arc<str> = why.into();
                *self.failure.lock() = Some(Arc::clone(&why));
                Err(why)
            }
        }
    }
}
