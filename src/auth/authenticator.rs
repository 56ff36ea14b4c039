//! Authenticates requests: from the `Authorization` header to a [`Caller`].

mod maintenance;
mod operators;
mod users;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use tidewater_core::ids::{KeyId, OrganisationId, PrincipalId};
use tidewater_core::limits::Tier;

use crate::base::clock::Clock;
use crate::config::IssuerConfig;
use crate::store::{KeyDigest, Store};

use super::buckets::BucketRegistry;
use super::caller::{Caller, Identity};
use super::error::AuthError;
use super::grants::GrantsCache;
use super::guesses::{Attempt, Guesses};
use super::header::{self, HeaderError};
use super::key;
use super::oidc::{CodeGrant, Providers, SeenProviderToken, SharedKeys};
use super::restriction::{restrict, with_engine, with_grants};
use super::signing::{MAX_TOKEN_LIFETIME_MS, SigningKeys};
use super::standing::{Lookup, Source, Standing};
use super::token::{self, Claims, EngineClaims, OperatorClaims, Subject, TokenError, Verified};

/// The number of cached credentials. Others are looked up again at each request.
const REMEMBERED: usize = 20_000;

/// The least time between two records of a key's use, in milliseconds, so that a busy key needs no lock.
const NOTE_INTERVAL_MS: i64 = 10_000;

/// The most principal roles that are remembered as missing.
const MISSING_ROLES: usize = 1_000;

/// How often key uses are written, signing keys read, and old ones removed.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(60);

/// Settings of authentication.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// The lifetime of a token, at most a day.
    pub token_lifetime: Duration,
    /// How long after a sign-in its tokens can be exchanged for newer ones.
    pub session: Duration,
    /// How long a key check is cached, unless a server changes the key or its organisation.
    pub cache: Duration,
    /// The identity providers.
    pub issuers: Vec<IssuerConfig>,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            token_lifetime: Duration::from_secs(3_600),
            session: Duration::from_secs(86_400),
            cache: Duration::from_secs(2),
            issuers: Vec::new(),
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
    /// The keys and users of tokens.
    by_id: Cache<Subject, Arc<Standing>>,
    /// The identity providers.
    providers: Providers,
    /// The keys of the providers, which stay when the settings change.
    pub(super) provider_keys: Arc<SharedKeys>,
    /// Sign-ins of browsers at the providers.
    code_grant: CodeGrant,
    /// The principal roles of groups that were logged as missing since the last maintenance.
    missing_roles: Mutex<BTreeSet<String>>,
    /// Hashes connections' credentials with a random key, so that nobody else can compute the hash.
    marks: RandomState,
    /// When keys were last used and users last seen, until it is written.
    used_ms: UsesMs,
    pub(super) guesses: Arc<Guesses>,
}

/// The last credential of a connection, by a keyed hash of its header. Contains neither the credential nor whether it is valid:
/// that is checked for each request.
#[derive(Default)]
pub struct LastCredential {
    seen: Mutex<Option<(Mark, Presented)>>,
    /// Whether a request of the connection waits until its credential may be checked.
    is_waiting: AtomicBool,
}

impl fmt::Debug for LastCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LastCredential(***)")
    }
}

/// The source of a credential. The default is a request of this process, which has no limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct CredentialSource<'a> {
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The last credential of the connection.
    pub last: Option<&'a LastCredential>,
    /// Set to true if a provider's token is accepted that this server has not seen before: a sign-in.
    pub signed_in: Option<&'a AtomicBool>,
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

#[derive(Clone)]
enum SeenToken {
    /// A token of this catalog.
    Own {
        claims: Arc<Claims>,
        /// The key of the engine that acts for the token's subject.
        engine: Option<Arc<Standing>>,
        /// The list of signing keys that it was verified with.
        generation: u64,
    },
    /// A token of an operator.
    Operator {
        claims: Arc<OperatorClaims>,
        /// The list of signing keys that it was verified with.
        generation: u64,
    },
    /// A token of an identity provider.
    Provider(SeenProviderToken),
}

impl SeenToken {
    fn check_time(&self, now_ms: i64) -> Result<(), AuthError> {
        match self {
            Self::Own { claims, .. } => Ok(claims.check_time(now_ms)?),
            Self::Operator { claims, .. } => Ok(claims.check_time(now_ms)?),
            Self::Provider(seen) => Ok(seen.check_time(now_ms)?),
        }
    }

    /// Returns the time of the sign-in that the token comes from, in milliseconds since 1970.
    fn signed_in_ms(&self) -> i64 {
        match self {
            Self::Own { claims, .. } => claims.signed_in_ms,
            Self::Operator { claims, .. } => claims.signed_in_ms,
            Self::Provider(seen) => seen.issued_ms,
        }
    }
}

/// The state that authenticators of the same server share across reloads.
struct Shared {
    signing: Arc<SigningKeys>,
    used_ms: UsesMs,
    buckets: Arc<BucketRegistry>,
    guesses: Arc<Guesses>,
    provider_keys: Arc<SharedKeys>,
}

/// When keys and operators were last used.
type UsesMs = Arc<Mutex<HashMap<UsedBy, i64>>>;

/// Whose key was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum UsedBy {
    Key(KeyId),
    User(OrganisationId, PrincipalId),
    Operator(KeyId),
}

impl From<&Identity> for UsedBy {
    fn from(principal: &Identity) -> Self {
        match principal {
            Identity::Key(caller) => match caller.subject() {
                Subject::Key(id) => Self::Key(id),
                Subject::User(id) => Self::User(caller.organisation(), id),
            },
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
        let shared = Shared {
            signing: Arc::new(SigningKeys::new(Arc::clone(&store))),
            used_ms: Arc::default(),
            buckets: Arc::new(BucketRegistry::new(clock.clone())),
            guesses: Arc::new(Guesses::new(clock.clone())),
            provider_keys: Arc::new(SharedKeys::new(clock.clone())),
        };
        Self::over(remembered, store, tiers, clock, settings, shared)
    }

    /// Returns an authenticator with other settings and an empty cache: the old cache refers to the old tiers. Both share the
    /// signing keys, the times of keys' uses, recent requests and wrong credentials.
    #[must_use]
    pub fn with_settings(&self, tiers: &BTreeMap<String, Tier>, settings: &AuthSettings) -> Self {
        let (store, clock) = (Arc::clone(&self.source.store), self.source.clock.clone());
        let shared = Shared {
            signing: Arc::clone(&self.signing),
            used_ms: Arc::clone(&self.used_ms),
            buckets: Arc::clone(&self.source.buckets),
            guesses: Arc::clone(&self.guesses),
            provider_keys: Arc::clone(&self.provider_keys),
        };
        Self::over(REMEMBERED, store, tiers, clock, settings, shared)
    }

    fn over(
        remembered: usize,
        store: Arc<dyn Store>,
        tiers: &BTreeMap<String, Tier>,
        clock: Clock,
        settings: &AuthSettings,
        Shared { signing, used_ms, buckets, guesses, provider_keys }: Shared,
    ) -> Self {
        let (tiers, believed_ms) = (tiers.clone(), millis(settings.cache));
        let code_grant = CodeGrant::new(clock.clone());
        let server = store.server_generation();
        Self {
            source: Arc::new(Source {
                store,
                tiers,
                grants: GrantsCache::new(),
                buckets,
                told: Mutex::default(),
                clock,
                server,
                believed_ms,
            }),
            signing,
            token_lifetime_ms: millis(settings.token_lifetime).clamp(1_000, MAX_TOKEN_LIFETIME_MS),
            session_ms: millis(settings.session),
            presented: Cache::new(remembered),
            by_id: Cache::new(remembered),
            providers: Providers::new(&settings.issuers, &provider_keys),
            provider_keys,
            code_grant,
            missing_roles: Mutex::default(),
            marks: RandomState::new(),
            used_ms,
            guesses,
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
    pub async fn authenticate(
        &self,
        authorization: Option<&[u8]>,
        source: CredentialSource<'_>,
    ) -> Result<Arc<Caller>, AuthError> {
        let credential = header::parse_bearer(authorization.ok_or(AuthError::Missing)?)?;
        self.check(credential, source, self.now_ms()).await?.1.into_caller()
    }

    /// Authenticates a request at `now_ms`. If the connection's last credential is the same, does not parse, hash and limit it
    /// again. Checks the key as always.
    ///
    /// # Errors
    /// Those of [`Self::authenticate`].
    pub async fn authenticate_again(
        &self,
        authorization: Option<&[u8]>,
        source: CredentialSource<'_>,
        now_ms: i64,
    ) -> Result<Arc<Caller>, AuthError> {
        let (header, Some(last)) = (authorization.ok_or(AuthError::Missing)?, source.last) else {
            return self.authenticate(authorization, source).await;
        };
        let mark = Mark { len: header.len(), hash: self.marks.hash_one(header) };
        let same =
            last.seen.lock().as_ref().filter(|(known, _)| *known == mark).map(|(_, presented)| presented.clone());
        if let Some(presented) = same.filter(|seen| self.is_current(seen)) {
            match self.admit(&presented, now_ms).await {
                Err(AuthError::UnknownUser) => {}
                admitted => return admitted?.into_caller(),
            }
        }
        let (presented, identity) = self.check(header::parse_bearer(header)?, source, now_ms).await?;
        let caller = identity.into_caller()?;
        *last.seen.lock() = Some((mark, presented));
        Ok(caller)
    }

    /// Returns the caller or operator of a request with this `Authorization` header, after changes of other servers are counted.
    ///
    /// # Errors
    /// See [`AuthError`]: each says what to do.
    pub async fn identify(
        &self,
        authorization: Option<&[u8]>,
        source: CredentialSource<'_>,
    ) -> Result<Identity, AuthError> {
        let credential = header::parse_bearer(authorization.ok_or(AuthError::Missing)?)?;
        self.check_confirmed(credential, source).await
    }

    /// Authenticates a request as [`Self::authenticate_again`] does, and counts changes of other servers first: a key that one of them
    /// revoked before this call is refused.
    ///
    /// # Errors
    /// Those of [`Self::authenticate`].
    pub async fn authenticate_confirmed(
        &self,
        authorization: Option<&[u8]>,
        source: CredentialSource<'_>,
        now_ms: i64,
    ) -> Result<Arc<Caller>, AuthError> {
        let caller = self.authenticate_again(authorization, source, now_ms).await?;
        let is_confirmed = self.is_confirmed(Some(caller.organisation()), || caller.is_current()).await?;
        if is_confirmed { Ok(caller) } else { self.authenticate_again(authorization, source, now_ms).await }
    }

    /// Counts changes of other servers. Returns whether a cached answer is still current.
    async fn is_confirmed(
        &self,
        organisation: Option<OrganisationId>,
        is_current: impl FnOnce() -> bool,
    ) -> Result<bool, AuthError> {
        let Some(refreshed) = self.source.store.access_refresh(organisation) else { return Ok(true) };
        refreshed.await.map_err(|error| AuthError::Unavailable(Arc::new(error)))?;
        Ok(is_current())
    }

    /// Checks a credential as [`Self::check`] does, and counts changes of other servers first.
    pub(super) async fn check_confirmed(
        &self,
        credential: &[u8],
        source: CredentialSource<'_>,
    ) -> Result<Identity, AuthError> {
        let (_, identity) = self.check(credential, source, self.now_ms()).await?;
        let is_confirmed = self.is_confirmed(identity.organisation(), || identity.is_current()).await?;
        if is_confirmed { Ok(identity) } else { Ok(self.check(credential, source, self.now_ms()).await?.1) }
    }

    /// Checks an organisation's API key or a token of this catalog.
    pub(super) async fn verify(
        &self,
        credential: &[u8],
        source: CredentialSource<'_>,
    ) -> Result<Arc<Caller>, AuthError> {
        self.check_confirmed(credential, source).await?.into_caller()
    }

    /// Checks a credential, unless its source must wait after too many wrong ones.
    async fn check(
        &self,
        credential: &[u8],
        source: CredentialSource<'_>,
        now_ms: i64,
    ) -> Result<(Presented, Identity), AuthError> {
        let Some(address) = source.address else { return self.present(credential, source, now_ms).await };
        let attempt = Attempt::new(address, credential);
        self.guesses.check_prefix(&attempt)?;
        // A token needs no turn: its signature is checked without the store.
        if self.guesses.is_slowed(&attempt) && key::looks_like_key(credential) && !self.was_valid(credential) {
            let is_waiting = source.last.map(|last| &last.is_waiting);
            Box::pin(self.guesses.wait_for_turn(&attempt, is_waiting)).await?;
        }
        let checked = self.present(credential, source, now_ms).await;
        checked.map_err(|error| self.guesses.refuse(&attempt, error))
    }

    /// Returns whether a key is cached and was valid when it was checked last.
    fn was_valid(&self, key: &[u8]) -> bool {
        self.presented.get(&key::digest(key)).is_some_and(|seen| seen.key.was_valid())
    }

    /// Takes a credential from the cache, or parses it, and checks its key or user. A removed user with a provider's token that
    /// is still valid is a new user.
    async fn present(
        &self,
        credential: &[u8],
        source: CredentialSource<'_>,
        now_ms: i64,
    ) -> Result<(Presented, Identity), AuthError> {
        let (digest, seen) = self.recall(credential);
        if let Some(presented) = seen {
            match self.admit(&presented, now_ms).await {
                Err(AuthError::UnknownUser) if matches!(presented.token, Some(SeenToken::Provider(_))) => {}
                admitted => return admitted.map(|identity| (presented, identity)),
            }
        }
        let presented = Box::pin(self.examine(credential, digest, now_ms)).await?;
        let identity = self.admit(&presented, now_ms).await?;
        if let (Some(signed_in), Some(SeenToken::Provider(_))) = (source.signed_in, &presented.token) {
            signed_in.store(true, Ordering::Relaxed);
        }
        Ok((presented, identity))
    }

    /// Returns the time of the sign-in that a valid token comes from, in milliseconds since 1970.
    pub(super) async fn signed_in_ms(&self, token: &[u8]) -> Result<i64, AuthError> {
        let now_ms = self.now_ms();
        let (presented, _) = self.present(token, CredentialSource::default(), now_ms).await?;
        Ok(presented.token.map_or(now_ms, |token| token.signed_in_ms()))
    }

    /// Returns the claims of a token with a valid signature. It may be expired.
    pub(super) async fn read_token(&self, token: &[u8]) -> Result<Claims, AuthError> {
        match self.signing.verify(token, self.now_ms()).await?.0 {
            Verified::Caller(claims) => Ok(claims),
            Verified::Operator(_) => Err(TokenError::NotForUs.into()),
        }
    }

    /// Returns what signs browsers in at identity providers.
    #[must_use]
    pub const fn code_grant(&self) -> &CodeGrant {
        &self.code_grant
    }

    pub(super) fn store(&self) -> &dyn Store {
        self.source.store.as_ref()
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

    /// Returns whether a token was verified with the present keys. Always true for API keys.
    fn is_current(&self, seen: &Presented) -> bool {
        match &seen.token {
            None => true,
            Some(SeenToken::Own { generation, .. } | SeenToken::Operator { generation, .. }) => {
                self.signing.is_current(*generation)
            }
            Some(SeenToken::Provider(seen)) => self.providers.is_current(seen),
        }
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
        let (subject, organisation, token) = if self.providers.are_for(credential, token::ISSUER) {
            self.verify_user(credential, now_ms).await?
        } else {
            let (claims, generation) = match self.signing.verify(credential, now_ms).await? {
                (Verified::Caller(claims), generation) => (claims, generation),
                (Verified::Operator(claims), generation) => {
                    return Ok(self.remember_operator(claims, generation, digest));
                }
            };
            let (subject, organisation) = (claims.subject, claims.organisation);
            let of_engine = |engine: &EngineClaims| self.standing_of(Subject::Key(engine.key), organisation);
            let engine = claims.engine.as_ref().map(of_engine);
            (subject, organisation, SeenToken::Own { claims: Arc::new(claims), engine, generation })
        };
        let presented = Presented { key: self.standing_of(subject, organisation), token: Some(token) };
        self.presented.insert(digest, presented.clone());
        Ok(presented)
    }

    /// Returns the check of the key or user of a token.
    fn standing_of(&self, subject: Subject, organisation: OrganisationId) -> Arc<Standing> {
        let lookup = match subject {
            Subject::Key(id) => Lookup::Id(id),
            Subject::User(id) => Lookup::User(organisation, id),
        };
        let Ok(found) = self.by_id.get_or_insert_with(&subject, || Ok::<_, Infallible>(standing(lookup)));
        found
    }

    async fn admit(&self, presented: &Presented, now_ms: i64) -> Result<Identity, AuthError> {
        if let Some(token) = &presented.token {
            token.check_time(now_ms)?;
        }
        let caller = presented.key.caller(&self.source, now_ms).await;
        let principal = match (&presented.token, caller) {
            (None | Some(SeenToken::Provider(_)), caller) => caller?,
            (Some(_), Err(AuthError::UnknownKey)) => return Err(TokenError::UnknownKey.into()),
            (Some(SeenToken::Operator { .. }), caller) => operators::by_token(caller?)?,
            (Some(SeenToken::Own { claims, engine, .. }), caller) => {
                let caller = restrict(&self.source, claims, caller?.into_caller()?)?;
                Identity::Key(match engine {
                    Some(engine) => with_engine(&self.source, claims, caller, engine, now_ms).await?,
                    None => caller,
                })
            }
        };
        let principal = match principal {
            Identity::Key(caller) => Identity::Key(with_grants(&self.source, caller).await?),
            operator @ Identity::Operator(_) => operator,
        };
        self.note_use(&presented.key, &principal, now_ms);
        if let (Identity::Key(caller), Some(SeenToken::Own { engine: Some(engine), .. })) =
            (&principal, &presented.token)
            && let Some(of_engine) = caller.engine()
        {
            self.note_use(engine, &Identity::Key(Arc::clone(of_engine)), now_ms);
        }
        Ok(principal)
    }
}

fn standing(lookup: Lookup) -> Arc<Standing> {
    Arc::new(Standing::new(lookup))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
