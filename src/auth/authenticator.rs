//! Authenticates requests: from the `Authorization` header to a [`Caller`].

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, OrganisationId, PrincipalId};
use tidewater_core::limits::Tier;

use crate::background::Task;
use crate::base::clock::Clock;
use crate::store::{Change, KeyDigest, Store, StoreError};

use super::caller::{Caller, Identity};
use super::error::AuthError;
use super::grants::GrantsCache;
use super::header::{self, HeaderError};
use super::key;
use super::signing::{MAX_TOKEN_LIFETIME_MS, OlderKeys, SigningKeys};
use super::standing::{Changes, Lookup, Source, Standing};
use super::token::{self, Claims, TokenError};

/// The number of cached credentials. Others are looked up again at each request.
const REMEMBERED: usize = 20_000;

/// The least time between two records of a key's use, in milliseconds, so that a busy key needs no lock.
const NOTE_INTERVAL_MS: i64 = 10_000;

/// How often key uses are written, signing keys read, and old ones removed.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(60);

/// Settings of authentication.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// The lifetime of a token, at most a day.
    pub token_lifetime: Duration,
    /// How long after a sign-in with an API key its tokens can be exchanged for newer ones.
    pub session: Duration,
    /// How long a key check is cached. A revoked key may keep working for this long.
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

/// Authenticates callers and operators.
pub struct Authenticator {
    source: Arc<Source>,
    pub(super) signing: Arc<SigningKeys>,
    pub(super) token_lifetime_ms: i64,
    pub(super) session_ms: i64,
    /// Credentials by their digest, so that no secret is kept. The cache is bounded, and frequent credentials stay in it even
    /// if invalid ones fill it.
    presented: Cache<KeyDigest, Presented>,
    /// The keys of tokens.
    by_id: Cache<KeyId, Arc<Standing>>,
    /// Hashes connections' credentials with a random key, so that nobody else can compute the hash.
    marks: RandomState,
    /// When keys were last used, until it is written.
    used_ms: UsesMs,
}

/// The last credential of a connection, by a keyed hash of its header. Contains neither the credential nor whether it is valid:
/// that is checked for each request.
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
    /// Its claims, if it is a token.
    token: Option<SeenToken>,
}

#[derive(Clone, Copy)]
struct SeenToken {
    claims: Claims,
    /// The list of signing keys that it was verified with.
    generation: u64,
}

/// The state that authenticators of the same server share across reloads.
struct Shared {
    signing: Arc<SigningKeys>,
    used_ms: UsesMs,
    changes: Arc<Changes>,
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
    /// Creates an authenticator with an empty cache over a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, tiers: &BTreeMap<String, Tier>, clock: Clock, settings: &AuthSettings) -> Self {
        Self::remembering(REMEMBERED, store, tiers, clock, settings)
    }

    /// Creates an authenticator with another number of cached credentials.
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

    /// Returns an authenticator with other settings and an empty cache: the old cache refers to the old tiers. Both share the
    /// signing keys and the times of keys' uses.
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

    /// Reads the signing keys, and creates the first if there is none. A server calls this before it listens; otherwise the
    /// first sign-in does it.
    ///
    /// # Errors
    /// Fails if the store does not answer, or the system returns no random bytes.
    pub async fn prepare(&self) -> Result<(), AuthError> {
        self.signing.ensure(self.now_ms()).await.map(|_| ())
    }

    /// Returns the caller of a request with this `Authorization` header: `Bearer` with an API key or a token of this catalog.
    ///
    /// A key check is cached for [`AuthSettings::cache`] and renewed in the background while the key is in use. A token's
    /// signature is checked once.
    ///
    /// # Errors
    /// All of [`AuthError`].
    pub async fn authenticate(&self, authorization: Option<&[u8]>) -> Result<Arc<Caller>, AuthError> {
        self.identify(authorization).await?.into_caller()
    }

    /// Authenticates a request over a connection with the last credential `last`, at `now_ms`. Does not parse and hash the same
    /// header again. Checks the key as always.
    ///
    /// # Errors
    /// Those of [`Self::authenticate`].
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

    /// Returns the caller or operator of a request with this `Authorization` header. See [`Self::authenticate`].
    ///
    /// # Errors
    /// See [`AuthError`]: each says what to do.
    pub async fn identify(&self, authorization: Option<&[u8]>) -> Result<Identity, AuthError> {
        let credential = header::parse_bearer(authorization.ok_or(AuthError::Missing)?)?;
        self.verify_principal(credential).await
    }

    /// Has an organisation's keys looked up anew, since one or the organisation was changed by this process: a revoked key is
    /// refused from then on, also one that is being looked up at this moment.
    pub fn forget_keys(&self, organisation: OrganisationId) {
        self.source.changes.add(Some(organisation));
    }

    /// Has operators looked up anew, since one was changed by this process, as [`Self::forget_keys`] does.
    pub fn forget_operators(&self) {
        self.source.changes.add(None);
    }

    /// Checks an organisation's API key or a token of this catalog.
    pub(super) async fn verify(&self, credential: &[u8]) -> Result<Arc<Caller>, AuthError> {
        self.verify_principal(credential).await?.into_caller()
    }

    async fn verify_principal(&self, credential: &[u8]) -> Result<Identity, AuthError> {
        let now_ms = self.now_ms();
        let presented = self.present(credential, now_ms).await?;
        self.admit(&presented, now_ms).await
    }

    /// Returns a credential from the cache, or parses it.
    async fn present(&self, credential: &[u8], now_ms: i64) -> Result<Presented, AuthError> {
        match self.recall(credential) {
            (_, Some(presented)) => Ok(presented),
            (digest, None) => Box::pin(self.examine(credential, digest, now_ms)).await,
        }
    }

    /// Returns the claims of a token with a valid signature. It may be expired.
    pub(super) async fn read_token(&self, token: &[u8]) -> Result<Claims, AuthError> {
        Ok(self.signing.verify(token, self.now_ms()).await?.0)
    }

    /// Returns the principal of the key with the id, revoked or not, if it exists.
    pub(super) async fn principal_of_key(&self, id: KeyId) -> Result<Option<PrincipalId>, AuthError> {
        let found = self.source.store.key_by_id(id).await;
        let found = found.map_err(|error| AuthError::Unavailable(Arc::new(error)))?;
        Ok(found.map(|(key, _)| key.principal))
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.source.clock.now_ms()
    }

    /// Returns the number of cached credentials.
    #[cfg(test)]
    pub(super) fn remembered_now(&self) -> usize {
        self.presented.len() + self.by_id.len()
    }

    fn recall(&self, credential: &[u8]) -> (KeyDigest, Option<Presented>) {
        let digest = key::digest(credential);
        (digest, self.presented.get(&digest).filter(|seen| self.is_current(seen)))
    }

    /// Returns whether a token was verified with the present signing keys. Always true for API keys.
    fn is_current(&self, seen: &Presented) -> bool {
        seen.token.is_none_or(|token| token.generation == self.signing.generation())
    }

    /// Parses a credential. Caches only tokens with a valid signature and texts in the form of a key.
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
        // An admin needs no grants.
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

    /// Writes when keys were last used. Returns the number of keys.
    ///
    /// # Errors
    /// When the store does not answer; what was to be written is kept for the next time.
    pub async fn flush(&self) -> Result<u64, StoreError> {
        let uses: Vec<_> = std::mem::take(&mut *self.used_ms.lock()).into_iter().collect();
        if uses.is_empty() {
            return Ok(0);
        }
        let count = uses.len() as u64;
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
        written.map(|()| count)
    }

    /// Adds a signing key. Servers sign with it after [`super::ACTIVE_AFTER_MS`]. With [`OlderKeys::Remove`], they sign with it
    /// at once, and refuse tokens of older keys within a minute.
    ///
    /// # Errors
    /// Fails if the store does not answer, or the system returns no random bytes.
    pub async fn rotate_signing_key(&self, older: OlderKeys, change: &Change) -> Result<(), AuthError> {
        self.signing.rotate(older, change).await
    }

    /// Reads the signing keys again after this process removed some.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub async fn reload_signing_keys(&self) -> Result<(), StoreError> {
        self.signing.reload().await
    }

    /// What is to be done every minute: [`Self::flush`], reading the signing keys, removing those that are done.
    /// Returns the number of keys whose use was written.
    ///
    /// # Errors
    /// When the store does not answer. The next time makes good for it.
    pub async fn maintain(&self) -> Result<u64, StoreError> {
        let used = self.flush().await?;
        self.signing.reload().await?;
        self.signing.remove_retired(self.now_ms()).await?;
        Ok(used)
    }

    /// Returns the task that calls [`Self::maintain`] every minute, and [`Self::flush`] at the end.
    pub fn task(self: &Arc<Self>) -> Task {
        let maintain = |authenticator: Arc<Self>, _| async move { Ok(authenticator.maintain().await?) };
        Task::every("keys", MAINTENANCE_INTERVAL, self, maintain)
            .first_after(MAINTENANCE_INTERVAL)
            .last(self, |authenticator, _| async move { Ok(authenticator.flush().await?) })
            .while_failing(
                "New signing keys of other servers are not read, and uses of keys not written: check the database and its disk",
            )
    }
}

fn standing(lookup: Lookup) -> Arc<Standing> {
    Arc::new(Standing::new(lookup))
}

/// Returns the caller of a token. It never has more rights than the key, and never another organisation.
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
