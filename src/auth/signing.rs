//! The keys that sign tokens. The first start creates the first key. All servers share the keys through the store.
//!
//! A rotation refuses no token. A new key verifies at once and signs after [`ACTIVE_AFTER_MS`]: by then every server has read
//! it, because each reads the list once a minute. An old key verifies until its last token has expired, and is then removed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::base::clock::fresh_uuid;
use crate::base::flight::{Flight, Joined};
use crate::base::secret::Secret;
use crate::store::{Change, SigningKey, Store, StoreError};

use super::error::AuthError;
use super::key::entropy;
use super::token::{self, Claims, LoadedKey, OperatorClaims, TokenError, Verified};

/// The longest lifetime of a token, in milliseconds. Longer configured lifetimes are cut to it.
pub const MAX_TOKEN_LIFETIME_MS: i64 = 24 * 60 * 60 * 1_000;

/// The age at which a signing key starts to sign, in milliseconds, if there is an older one.
pub const ACTIVE_AFTER_MS: i64 = 2 * 60 * 1_000;

/// How long a key is kept after its last token has expired, in milliseconds.
const REMOVE_MARGIN_MS: i64 = 10 * 60 * 1_000;

/// The shortest time between two reads of the list for an unknown `kid`, in milliseconds.
const RELOAD_INTERVAL_MS: i64 = 1_000;

/// What happens to the older keys when a new one is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OlderKeys {
    /// They verify until their tokens expire. No client notices the rotation.
    Retire,
    /// They are removed now, for example because they have leaked. Every client must sign in again.
    Remove,
}

/// The signing keys in this process's memory.
pub(super) struct SigningKeys {
    store: Arc<dyn Store>,
    /// Newest first. Empty until the first read.
    loaded: RwLock<Arc<Vec<LoadedKey>>>,
    /// Increases with every change of the list, so that tokens that were verified with an older list are verified again.
    generation: AtomicU64,
    /// The changes of the list in the store, by this server and others, and their number before the list was read.
    changes: Arc<AtomicU64>,
    loaded_at: AtomicU64,
    tried_ms: AtomicI64,
    flight: Flight<Arc<StoreError>>,
}

impl SigningKeys {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        let changes = store.server_generation();
        Self {
            store,
            loaded: RwLock::default(),
            generation: AtomicU64::new(0),
            loaded_at: AtomicU64::new(changes.load(Ordering::Acquire)),
            changes,
            tried_ms: AtomicI64::new(i64::MIN),
            flight: Flight::default(),
        }
    }

    /// Returns the generation of the current list.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Returns whether a token that was verified with the list of this generation is still valid.
    pub(super) fn is_current(&self, generation: u64) -> bool {
        generation == self.generation() && !self.is_behind()
    }

    /// Returns whether the list may have changed since it was read.
    fn is_behind(&self) -> bool {
        self.changes.load(Ordering::Acquire) != self.loaded_at.load(Ordering::Acquire)
    }

    /// Reads the list if it may have changed.
    async fn catch_up(&self) -> Result<(), AuthError> {
        if !self.is_behind() {
            return Ok(());
        }
        match self.flight.join(|| (!self.is_behind()).then_some(())).await.map_err(AuthError::Unavailable)? {
            Joined::Ready(()) => Ok(()),
            Joined::Ask(_turn) => {
                self.reload().await.map_err(|error| AuthError::Unavailable(self.flight.fail(Arc::new(error))))
            }
        }
    }

    /// Returns the keys. Reads them from the store if necessary, and creates the first key if there is none.
    pub(super) async fn ensure(&self, now_ms: i64) -> Result<Arc<Vec<LoadedKey>>, AuthError> {
        let present = || Some(self.present()).filter(|keys| !keys.is_empty());
        if let Some(keys) = present() {
            return Ok(keys);
        }
        let _turn = match self.flight.join(present).await.map_err(AuthError::Unavailable)? {
            Joined::Ready(keys) => return Ok(keys),
            Joined::Ask(turn) => turn,
        };
        let first = fresh_key(now_ms).map_err(AuthError::NoEntropy)?;
        let changes = self.changes.load(Ordering::Acquire);
        match self.store.signing_key_add(&first, true, &Change::by_catalog(now_ms)).await {
            Ok(keys) => Ok(self.take_over(&keys, changes)),
            Err(error) => Err(AuthError::Unavailable(self.flight.fail(Arc::new(error)))),
        }
    }

    /// Signs claims with the active key.
    pub(super) async fn sign(&self, claims: &Claims, now_ms: i64) -> Result<Secret<String>, AuthError> {
        self.with_active(now_ms, |key| token::sign(claims, key)).await
    }

    /// Signs an operator's claims with the active key.
    pub(super) async fn sign_operator(
        &self,
        claims: &OperatorClaims,
        now_ms: i64,
    ) -> Result<Secret<String>, AuthError> {
        self.with_active(now_ms, |key| token::sign_operator(claims, key)).await
    }

    async fn with_active(
        &self,
        now_ms: i64,
        sign: impl FnOnce(&LoadedKey) -> Result<Secret<String>, TokenError> + Send,
    ) -> Result<Secret<String>, AuthError> {
        self.catch_up().await?;
        let keys = self.ensure(now_ms).await?;
        let key = active(&keys, |key| key.created_ms, now_ms).ok_or(TokenError::UnknownSigner)?;
        Ok(sign(key)?)
    }

    /// Checks a token's signature and claims, but not its expiry. Also returns the generation of the list that it used.
    pub(super) async fn verify(&self, token: &[u8], now_ms: i64) -> Result<(Verified, u64), AuthError> {
        let signer = token::signer_of(token)?;
        self.catch_up().await?;
        let generation = self.generation();
        if let Some(claims) = verify_with(&self.present(), &signer, token) {
            return Ok((claims?, generation));
        }
        self.reload_for_unknown(now_ms).await?;
        let generation = self.generation();
        verify_with(&self.present(), &signer, token)
            .unwrap_or(Err(TokenError::UnknownSigner))
            .map(|claims| (claims, generation))
            .map_err(AuthError::Token)
    }

    /// Reads the list, unless it was read within [`RELOAD_INTERVAL_MS`]: a client with invented `kid`s must not keep the store
    /// busy.
    async fn reload_for_unknown(&self, now_ms: i64) -> Result<(), AuthError> {
        let just_tried = || {
            let since_ms = now_ms.saturating_sub(self.tried_ms.load(Ordering::Acquire));
            (0..RELOAD_INTERVAL_MS).contains(&since_ms).then_some(())
        };
        if just_tried().is_some() && !self.present().is_empty() {
            return Ok(());
        }
        match self.flight.join(just_tried).await.map_err(AuthError::Unavailable)? {
            Joined::Ready(()) => Ok(()),
            Joined::Ask(_turn) => {
                self.tried_ms.store(now_ms, Ordering::Release);
                self.reload().await.map_err(|error| AuthError::Unavailable(self.flight.fail(Arc::new(error))))
            }
        }
    }

    /// Reads the list from the store.
    pub(super) async fn reload(&self) -> Result<(), StoreError> {
        let changes = self.changes.load(Ordering::Acquire);
        let keys = self.store.signing_key_list().await?;
        self.take_over(&keys, changes);
        Ok(())
    }

    /// Removes the keys whose tokens have all expired.
    pub(super) async fn remove_retired(&self, now_ms: i64) -> Result<(), StoreError> {
        let Some(before_ms) = retired_before(&self.present(), now_ms) else { return Ok(()) };
        let removed = self.store.signing_key_remove_before(before_ms, &Change::by_catalog(now_ms)).await?;
        tracing::info!(removed, "removed signing keys whose tokens have all expired");
        self.reload().await
    }

    /// Adds a new key, and retires or removes the older ones.
    pub(super) async fn rotate(&self, older: OlderKeys, change: &Change) -> Result<(), AuthError> {
        let unavailable = |error| AuthError::Unavailable(Arc::new(error));
        let mut key = fresh_key(change.at_ms).map_err(AuthError::NoEntropy)?;
        // Keys are sorted by their time. The new key must be the newest, even if the clock was wrong before.
        let known = self.store.signing_key_list().await.map_err(unavailable)?;
        let changes = self.changes.load(Ordering::Acquire);
        let newest_ms = known.iter().map(|key| key.created_ms).max().unwrap_or(i64::MIN);
        key.created_ms = key.created_ms.max(newest_ms.saturating_add(1));
        let mut keys = self.store.signing_key_add(&key, false, change).await.map_err(unavailable)?;
        if older == OlderKeys::Remove {
            self.store.signing_key_remove_before(key.created_ms, change).await.map_err(unavailable)?;
            keys = self.store.signing_key_list().await.map_err(unavailable)?;
        }
        self.take_over(&keys, changes);
        Ok(())
    }

    fn present(&self) -> Arc<Vec<LoadedKey>> {
        Arc::clone(&self.loaded.read())
    }

    /// Replaces the list by one that was read after so many changes. It may miss later ones.
    fn take_over(&self, keys: &[SigningKey], changes: u64) -> Arc<Vec<LoadedKey>> {
        let mut loaded = self.loaded.write();
        if changes < self.loaded_at.load(Ordering::Acquire) {
            return Arc::clone(&loaded);
        }
        self.loaded_at.store(changes, Ordering::Release);
        if !keys.iter().map(|key| &key.id).eq(loaded.iter().map(|key| &key.id)) {
            *loaded = Arc::new(keys.iter().map(LoadedKey::new).collect());
            self.generation.fetch_add(1, Ordering::Release);
        }
        Arc::clone(&loaded)
    }
}

fn fresh_key(now_ms: i64) -> Result<SigningKey, getrandom::Error> {
    Ok(SigningKey { id: fresh_uuid().simple().to_string(), secret: Secret::new(entropy()?), created_ms: now_ms })
}

/// Returns the key that signs: the newest that every server knows by `now_ms`, or else the oldest. `keys` must be sorted,
/// newest first.
fn active<K>(keys: &[K], created_ms: impl Fn(&K) -> i64, now_ms: i64) -> Option<&K> {
    keys.iter().find(|key| created_ms(key).saturating_add(ACTIVE_AFTER_MS) <= now_ms).or_else(|| keys.last())
}

/// Returns the key that servers sign with at `now_ms`. `keys` are all keys of the store, newest first.
#[must_use]
pub fn active_signing_key(keys: &[SigningKey], now_ms: i64) -> Option<&SigningKey> {
    active(keys, |key| key.created_ms, now_ms)
}

/// Verifies a token with the key of the id `signer`. Returns `None` if the key is unknown.
fn verify_with(keys: &[LoadedKey], signer: &str, token: &[u8]) -> Option<Result<Verified, TokenError>> {
    keys.iter().find(|key| key.id == signer).map(|key| token::verify(token, key))
}

/// Returns the creation time before which keys are no longer needed, in milliseconds since 1970. Returns `None` if all are
/// needed. `keys` must be sorted, newest first.
fn retired_before(keys: &[LoadedKey], now_ms: i64) -> Option<i64> {
    // A key stops signing when its successor becomes active.
    let ended = |successor: &LoadedKey| {
        let last_signed_ms = successor.created_ms.saturating_add(ACTIVE_AFTER_MS + REMOVE_MARGIN_MS);
        last_signed_ms.saturating_add(MAX_TOKEN_LIFETIME_MS) <= now_ms
    };
    let (_oldest, successors) = keys.split_last()?;
    successors.iter().find(|successor| ended(successor)).map(|successor| successor.created_ms)
}
