//! From a header to a [`Caller`].

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, OrganisationId};
use tidewater_core::limits::Tier;

use crate::clock::Clock;
use crate::store::{Change, KeyDigest, Store, StoreError};

use super::caller::{Caller, Identity};
use super::error::AuthError;
use super::grants::GrantsCache;
use super::header::{self, HeaderError};
use super::key;
use super::signing::{MAX_TOKEN_LIFETIME_MS, OlderKeys, SigningKeys};
use super::standing::{Lookup, Source, Standing};
use super::token::{self, Claims, TokenError};

/// How many credentials are remembered. What more there are is looked up again; nothing is refused for it.
const REMEMBERED: usize = 20_000;

/// How long a key's use goes unnoted after it was noted, in milliseconds: so that a busy key costs no lock.
const NOTE_INTERVAL_MS: i64 = 10_000;

/// How often uses are written, signing keys read, and old ones removed.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(60);

/// What can be set.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// How long a token is good for; at most a day.
    pub token_lifetime: Duration,
    /// How long tokens can be exchanged for newer ones after an API key was shown.
    pub session: Duration,
    /// For how long what the store said of a key is believed: so long can a revoked key still be used.
    pub cache: Duration,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            token_lifetime: Duration::from_secs(3_600),
            session: Duration::from_secs(86_400),
            cache: Duration::from_secs(2),
        }
    }
}

/// Tells who is asking.
pub struct Authenticator {
    source: Arc<Source>,
    pub(super) signing: Arc<SigningKeys>,
    pub(super) token_lifetime_ms: i64,
    pub(super) session_ms: i64,
    /// By digest of what was presented, so that no secret is kept. Rubbish can fill it and no more: it is bounded, and
    /// what is asked for again and again stays.
    presented: Cache<KeyDigest, Presented>,
    /// The keys that tokens stand for.
    by_id: Cache<KeyId, Arc<Standing>>,
    /// Marks what connections show, under a random key: nobody else can make the same mark.
    marks: RandomState,
    /// When keys were last used, until it is written.
    used_ms: UsesMs,
}

/// The credential that was last shown on a connection, under a keyed hash of the header that it came in. The credential itself is
/// not kept, nor whether it is good: that is looked up for each request.
#[derive(Default)]
pub struct LastCredential(Mutex<Option<(Mark, Presented)>>);

impl fmt::Debug for LastCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LastCredential(***)")
    }
}

/// A header's length and its hash, by a key that only one [`Authenticator`] knows.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Mark {
    len: usize,
    hash: u64,
}

/// A credential that was seen before.
#[derive(Clone)]
struct Presented {
    key: Arc<Standing>,
    /// What it says, if it is a token.
    token: Option<SeenToken>,
}

#[derive(Clone, Copy)]
struct SeenToken {
    claims: Claims,
    /// The list of signing keys that it was verified with.
    generation: u64,
}

/// What authenticators of the same server share, whatever their settings.
struct Shared {
    signing: Arc<SigningKeys>,
    used_ms: UsesMs,
    changes: Arc<AtomicU64>,
}

/// When keys and operators were last used.
type UsesMs = Arc<Mutex<HashMap<UsedBy, i64>>>;

/// Whose key was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum UsedBy {
    Key(KeyId),
    Operator(KeyId),
}

impl From<&Identity> for UsedBy {
    fn from(principal: &Identity) -> Self {
        match principal {
            Identity::Key(caller) => Self::Key(caller.key()),
            Identity::Operator(operator) => Self::Operator(operator.id()),
        }
    }
}

impl Authenticator {
    /// Knows nobody yet, and asks the store when somebody comes.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, tiers: &BTreeMap<String, Tier>, clock: Clock, settings: &AuthSettings) -> Self {
        Self::remembering(REMEMBERED, store, tiers, clock, settings)
    }

    /// The same, with another number of credentials that are remembered.
    pub(super) fn remembering(
        remembered: usize,
        store: Arc<dyn Store>,
        tiers: &BTreeMap<String, Tier>,
        clock: Clock,
        settings: &AuthSettings,
    ) -> Self {
        let signing = Arc::new(SigningKeys::new(Arc::clone(&store)));
        Self::over(
            remembered,
            store,
            tiers,
            clock,
            settings,
            Shared { signing, used_ms: Arc::default(), changes: Arc::default() },
        )
    }

    /// The same with other settings, which knows nobody yet: what was known of keys was known by the old tiers. Signing keys
    /// and the times of keys' uses are shared, so that either writes them.
    #[must_use]
    pub fn with_settings(&self, tiers: &BTreeMap<String, Tier>, settings: &AuthSettings) -> Self {
        let (store, clock) = (Arc::clone(&self.source.store), self.source.clock.clone());
        let shared = Shared {
            signing: Arc::clone(&self.signing),
            used_ms: Arc::clone(&self.used_ms),
            changes: Arc::clone(&self.source.changes),
        };
        Self::over(REMEMBERED, store, tiers, clock, settings, shared)
    }

    fn over(
        remembered: usize,
        store: Arc<dyn Store>,
        tiers: &BTreeMap<String, Tier>,
        clock: Clock,
        settings: &AuthSettings,
        Shared { signing, used_ms, changes }: Shared,
    ) -> Self {
        let (tiers, believed_ms) = (tiers.clone(), millis(settings.cache));
        Self {
            source: Arc::new(Source {
                store,
                tiers,
                grants: GrantsCache::new(remembered),
                told: Mutex::default(),
                clock,
                changes,
                believed_ms,
            }),
            signing,
            token_lifetime_ms: millis(settings.token_lifetime).clamp(1_000, MAX_TOKEN_LIFETIME_MS),
            session_ms: millis(settings.session),
            presented: Cache::new(remembered),
            by_id: Cache::new(remembered),
            marks: RandomState::new(),
            used_ms,
        }
    }

    /// Reads the signing keys, and makes the first if there is none. A server does so before it listens; without it, the
    /// first sign-in does.
    ///
    /// # Errors
    /// When the store does not answer, or the system has no random bytes.
    pub async fn prepare(&self) -> Result<(), AuthError> {
        self.signing.ensure(self.now_ms()).await.map(|_| ())
    }

    /// Tells who sends a request with this `Authorization` header: `Bearer` with an API key or a token of ours.
    ///
    /// What the store said of a key is believed for [`AuthSettings::cache`] and renewed in the background while the key is
    /// in use; a token's signature is checked once.
    ///
    /// # Errors
    /// See [`AuthError`]: each says what to do.
    pub async fn authenticate(&self, authorization: Option<&[u8]>) -> Result<Arc<Caller>, AuthError> {
        self.identify(authorization).await?.into_caller()
    }

    /// Does the same for a request over a connection whose last credential is known, at `now_ms`. A connection that shows the
    /// same header again is spared reading and hashing it; whether its key is good is looked up as always.
    ///
    /// # Errors
    /// As [`Self::authenticate`].
    pub async fn authenticate_again(
        &self,
        authorization: Option<&[u8]>,
        last: Option<&LastCredential>,
        now_ms: i64,
    ) -> Result<Arc<Caller>, AuthError> {
        let (header, Some(last)) = (authorization.ok_or(AuthError::Missing)?, last) else {
            return self.authenticate(authorization).await;
        };
        let mark = Mark { len: header.len(), hash: self.marks.hash_one(header) };
        let same = last.0.lock().as_ref().filter(|(known, _)| *known == mark).map(|(_, presented)| presented.clone());
        if let Some(presented) = same.filter(|seen| self.is_current(seen)) {
            return self.admit(&presented, now_ms).await?.into_caller();
        }
        let presented = self.present(header::parse_bearer(header)?, now_ms).await?;
        let caller = self.admit(&presented, now_ms).await?.into_caller()?;
        *last.0.lock() = Some((mark, presented));
        Ok(caller)
    }

    /// Tells who sends a request with this `Authorization` header, as [`Self::authenticate`] does; it may be an operator.
    ///
    /// # Errors
    /// See [`AuthError`]: each says what to do.
    pub async fn identify(&self, authorization: Option<&[u8]>) -> Result<Identity, AuthError> {
        let credential = header::parse_bearer(authorization.ok_or(AuthError::Missing)?)?;
        self.verify_principal(credential).await
    }

    /// Has every key looked up anew, since one or its organisation was changed by this process: a revoked key is refused from
    /// then on, also one that is being looked up at this moment.
    pub fn forget(&self) {
        self.source.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Checks an API key of an organisation or a token of ours.
    pub(super) async fn verify(&self, credential: &[u8]) -> Result<Arc<Caller>, AuthError> {
        self.verify_principal(credential).await?.into_caller()
    }

    async fn verify_principal(&self, credential: &[u8]) -> Result<Identity, AuthError> {
        let now_ms = self.now_ms();
        let presented = self.present(credential, now_ms).await?;
        self.admit(&presented, now_ms).await
    }

    /// Finds a credential among those that were seen before, or looks at it for the first time.
    async fn present(&self, credential: &[u8], now_ms: i64) -> Result<Presented, AuthError> {
        match self.recall(credential) {
            (_, Some(presented)) => Ok(presented),
            (digest, None) => Box::pin(self.examine(credential, digest, now_ms)).await,
        }
    }

    /// What a genuine token says, though it may be expired.
    pub(super) async fn read_token(&self, token: &[u8]) -> Result<Claims, AuthError> {
        Ok(self.signing.verify(token, self.now_ms()).await?.0)
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.source.clock.now_ms()
    }

    /// How many credentials are remembered now.
    #[cfg(test)]
    pub(super) fn remembered_now(&self) -> usize {
        self.presented.len() + self.by_id.len()
    }

    fn recall(&self, credential: &[u8]) -> (KeyDigest, Option<Presented>) {
        let digest = key::digest(credential);
        (digest, self.presented.get(&digest).filter(|seen| self.is_current(seen)))
    }

    /// Returns whether a token was verified with the signing keys of now; keys do not depend on them.
    fn is_current(&self, seen: &Presented) -> bool {
        seen.token.is_none_or(|token| token.generation == self.signing.generation())
    }

    /// Looks at a credential for the first time. Only a genuine token is remembered, and what could be a key.
    async fn examine(&self, credential: &[u8], digest: KeyDigest, now_ms: i64) -> Result<Presented, AuthError> {
        if key::looks_like_key(credential) {
            key::check_format(credential)?;
            let fresh = || Ok::<_, Infallible>(Presented { key: standing(Lookup::Digest(digest)), token: None });
            let Ok(presented) = self.presented.get_or_insert_with(&digest, fresh);
            return Ok(presented);
        }
        if !token::looks_like_token(credential) {
            return Err(HeaderError::Neither.into());
        }
        let (claims, generation) = self.signing.verify(credential, now_ms).await?;
        let Ok(key) =
            self.by_id.get_or_insert_with(&claims.key, || Ok::<_, Infallible>(standing(Lookup::Id(claims.key))));
        let presented = Presented { key, token: Some(SeenToken { claims, generation }) };
        self.presented.insert(digest, presented.clone());
        Ok(presented)
    }

    async fn admit(&self, presented: &Presented, now_ms: i64) -> Result<Identity, AuthError> {
        let claims = presented.token.map(|token| token.claims);
        if let Some(claims) = &claims {
            claims.check_time(now_ms)?;
        }
        let caller = presented.key.caller(&self.source, now_ms).await;
        let principal = match (&claims, caller) {
            (None, caller) => caller?,
            (Some(_), Err(AuthError::UnknownKey)) => return Err(TokenError::UnknownKey.into()),
            (Some(claims), caller) => Identity::Key(within(claims.organisation, claims.role, caller?.into_caller()?)?),
        };
        // An admin may do all without grants.
        if let Identity::Key(caller) = &principal
            && caller.role() != Role::Admin
        {
            caller.grants.refresh(self.source.store.as_ref()).await.map_err(AuthError::Unavailable)?;
        }
        self.note_use(&presented.key, &principal, now_ms);
        Ok(principal)
    }

    fn note_use(&self, standing: &Standing, principal: &Identity, now_ms: i64) {
        let noted_ms = standing.noted_ms.load(Ordering::Relaxed);
        if now_ms.saturating_sub(noted_ms) < NOTE_INTERVAL_MS {
            return;
        }
        standing.noted_ms.store(now_ms, Ordering::Relaxed);
        self.note_all([(principal.into(), now_ms)]);
    }

    fn note_all(&self, uses: impl IntoIterator<Item = (UsedBy, i64)>) {
        let mut used_ms = self.used_ms.lock();
        for (key, now_ms) in uses {
            let last = used_ms.entry(key).or_insert(now_ms);
            *last = now_ms.max(*last);
        }
    }

    /// Writes when keys were last used.
    ///
    /// # Errors
    /// When the store does not answer; what was to be written is kept for the next time.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let uses: Vec<_> = std::mem::take(&mut *self.used_ms.lock()).into_iter().collect();
        if uses.is_empty() {
            return Ok(());
        }
        let (mut keys, mut operators) = (Vec::new(), Vec::new());
        for (by, used_ms) in &uses {
            match by {
                UsedBy::Key(id) => keys.push((*id, *used_ms)),
                UsedBy::Operator(id) => operators.push((*id, *used_ms)),
            }
        }
        let store = &self.source.store;
        let mut written = store.key_touch(&keys).await;
        if written.is_ok() && !operators.is_empty() {
            written = store.operator_touch(&operators).await;
        }
        if written.is_err() {
            self.note_all(uses);
        }
        written
    }

    /// Adds a signing key. Other servers sign with it after [`super::ACTIVE_AFTER_MS`]; with [`OlderKeys::Remove`], at
    /// once, and they refuse what the older ones signed within a minute.
    ///
    /// # Errors
    /// When the store does not answer, or the system has no random bytes.
    pub async fn rotate_signing_key(&self, older: OlderKeys, change: &Change) -> Result<(), AuthError> {
        self.signing.rotate(older, change).await
    }

    /// Reads the keys that sign tokens anew, since some were removed by this process.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn reload_signing_keys(&self) -> Result<(), StoreError> {
        self.signing.reload().await
    }

    /// What is to be done every minute: [`Self::flush`], reading the signing keys, removing those that are done.
    ///
    /// # Errors
    /// When the store does not answer. The next time makes good for it.
    pub async fn maintain(&self) -> Result<(), StoreError> {
        self.flush().await?;
        self.signing.reload().await?;
        self.signing.remove_retired(self.now_ms()).await
    }

    /// Does [`Self::maintain`] every minute until `stop`, then flushes a last time. Runs as a task of its own.
    pub async fn run(&self, stop: impl Future<Output = ()> + Send) {
        let mut stop = std::pin::pin!(stop);
        let mut ticks = tokio::time::interval(MAINTENANCE_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = ticks.tick() => {
                    if let Err(error) = self.maintain().await {
                        tracing::warn!(%error, "could not write when keys were used, or read the signing keys: trying again");
                    }
                }
            }
        }
        if let Err(error) = self.flush().await {
            tracing::warn!(%error, "could not write when keys were last used");
        }
    }
}

fn standing(lookup: Lookup) -> Arc<Standing> {
    Arc::new(Standing::new(lookup))
}

/// The key's owner as a token lets them act: never beyond the key, never in another organisation.
fn within(organisation: OrganisationId, role: Role, caller: Arc<Caller>) -> Result<Arc<Caller>, AuthError> {
    if caller.organisation() != organisation {
        return Err(TokenError::UnknownKey.into());
    }
    if caller.role() <= role {
        return Ok(caller);
    }
    Ok(Arc::new(Caller { role, ..(*caller).clone() }))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
