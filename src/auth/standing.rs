//! Cached checks of API keys and users: the store's last answer about one, and how long it is valid.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, OrganisationId, PrincipalId};
use tidewater_core::limits::{Tier, serving_tier};

use crate::base::clock::Clock;
use crate::base::flight::{Flight, Joined};
use crate::store::{ApiKey, KeyDigest, Operator, Organisation, Store, StoreError, User};

use super::caller::{Caller, Holder, Identity, OperatorCaller};
use super::error::AuthError;
use super::grants::GrantsCache;

/// The parts for asking the store about a key.
pub(super) struct Source {
    pub(super) store: Arc<dyn Store>,
    pub(super) tiers: BTreeMap<String, Tier>,
    /// The grants of recent callers.
    pub(super) grants: GrantsCache,
    /// The organisations whose unknown tier was logged, with that tier.
    pub(super) told: Mutex<HashSet<(OrganisationId, String)>>,
    pub(super) clock: Clock,
    /// The changes of keys and organisations by this process. An answer from before a change is invalid.
    pub(super) changes: Arc<Changes>,
    /// How long an answer is valid, in milliseconds. After half of it, a request asks again in the background, so that requests with
    /// a key in use never wait.
    pub(super) believed_ms: i64,
}

/// Counts this process's changes of each organisation's keys, and of operators. Organisations share a fixed number of counters. If
/// two share one, a change in one makes the keys of both be looked up again.
#[derive(Debug)]
pub(super) struct Changes {
    counts: [AtomicU64; Self::COUNTS + 1],
}

impl Default for Changes {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| AtomicU64::default()) }
    }
}

impl Changes {
    const COUNTS: usize = 256;

    /// Returns the index of an organisation's counter, or of the operators' counter.
    fn index(organisation: Option<OrganisationId>) -> usize {
        // The last byte of an id is random.
        organisation.map_or(Self::COUNTS, |id| usize::from(id.0.as_bytes()[15]))
    }

    /// Counts a change of an organisation's keys, or of operators if there is no organisation.
    pub(super) fn add(&self, organisation: Option<OrganisationId>) {
        self.counts[Self::index(organisation)].fetch_add(1, Ordering::AcqRel);
    }

    fn all(&self) -> Vec<u64> {
        self.counts.iter().map(|count| count.load(Ordering::Acquire)).collect()
    }

    fn is_current(&self, answer: &Answer) -> bool {
        self.counts[answer.index].load(Ordering::Acquire) == answer.changes
    }
}

/// How a key or user is found.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lookup {
    /// By its digest: the client sent the key.
    Digest(KeyDigest),
    /// By its id: the client sent a token.
    Id(KeyId),
    /// A user: the client sent a token of the user.
    User(OrganisationId, PrincipalId),
}

/// The cached check of one API key or user.
pub(super) struct Standing {
    lookup: Lookup,
    answer: RwLock<Option<Answer>>,
    flight: Flight<Arc<StoreError>>,
    refreshing: AtomicBool,
    /// When its use was last recorded, in milliseconds since 1970.
    pub(super) noted_ms: AtomicI64,
}

#[derive(Clone)]
struct Answer {
    asked_ms: i64,
    /// The index of its counter of changes, and the counter's value before the store was asked.
    index: usize,
    changes: u64,
    verdict: Verdict,
}

#[derive(Clone)]
enum Verdict {
    Unknown,
    Revoked,
    UnknownUser,
    DisabledUser,
    Suspended(Arc<str>),
    Deleted(Arc<str>),
    Good(Arc<Caller>),
    Operator(Arc<OperatorCaller>),
}

impl Standing {
    pub(super) fn new(lookup: Lookup) -> Self {
        Self {
            lookup,
            answer: RwLock::new(None),
            flight: Flight::default(),
            refreshing: AtomicBool::new(false),
            noted_ms: AtomicI64::new(i64::MIN),
        }
    }

    /// Returns the key's owner. Fails if the key is not valid at `now_ms`.
    pub(super) async fn caller(self: &Arc<Self>, source: &Arc<Source>, now_ms: i64) -> Result<Identity, AuthError> {
        match self.answer_within(source, now_ms) {
            Some((age_ms, verdict)) => {
                if age_ms >= source.believed_ms / 2 {
                    self.refresh_in_background(source);
                }
                verdict.admit(now_ms)
            }
            None => Box::pin(self.ask_or_wait(source, now_ms)).await?.admit(now_ms),
        }
    }

    /// Returns the cached answer and its age in milliseconds, if it is still valid. An answer from the future is not: the clock
    /// was set back.
    fn answer_within(&self, source: &Source, now_ms: i64) -> Option<(i64, Verdict)> {
        let answer = self.answer.read();
        let answer = answer.as_ref().filter(|answer| source.changes.is_current(answer))?;
        let age_ms = now_ms.saturating_sub(answer.asked_ms);
        (0..source.believed_ms).contains(&age_ms).then(|| (age_ms, answer.verdict.clone()))
    }

    async fn ask_or_wait(&self, source: &Source, arrived_ms: i64) -> Result<Verdict, AuthError> {
        let ready = || {
            let answer = self.answer.read();
            let answer = answer.as_ref().filter(|answer| source.changes.is_current(answer))?;
            let asked_since = (arrived_ms..=source.clock.now_ms()).contains(&answer.asked_ms);
            asked_since.then(|| answer.verdict.clone())
        };
        match self.flight.join(ready).await.map_err(AuthError::Unavailable)? {
            Joined::Ready(verdict) => Ok(verdict),
            Joined::Ask(_turn) => {
                self.ask(source).await.map_err(|error| AuthError::Unavailable(self.flight.fail(Arc::new(error))))
            }
        }
    }

    fn refresh_in_background(self: &Arc<Self>, source: &Arc<Source>) {
        if self.refreshing.swap(true, Ordering::AcqRel) {
            return;
        }
        let (standing, source) = (Arc::clone(self), Arc::clone(source));
        tokio::spawn(async move {
            // After a failure, the old answer stays valid until its end. Then a request asks again and gets the error.
            let _ = standing.ask(&source).await;
            standing.refreshing.store(false, Ordering::Release);
        });
    }

    async fn ask(&self, source: &Source) -> Result<Verdict, StoreError> {
        // Both are read before asking: the answer may miss later changes. All counters, because the key's organisation is known
        // only afterwards.
        let (asked_ms, changes) = (source.clock.now_ms(), source.changes.all());
        let found = match &self.lookup {
            Lookup::Digest(digest) => source.store.key_by_digest(digest).await?,
            Lookup::Id(id) => source.store.key_by_id(*id).await?,
            Lookup::User(organisation, id) => {
                let found = source.store.user_get(*organisation, *id).await?;
                let verdict = found.map_or(Verdict::UnknownUser, |(user, owner)| source.judge_user(&user, owner));
                let index = Changes::index(Some(*organisation));
                let changes = changes[index];
                *self.answer.write() = Some(Answer { asked_ms, index, changes, verdict: verdict.clone() });
                return Ok(verdict);
            }
        };
        let index = Changes::index(found.as_ref().map(|(key, _)| key.organisation));
        let verdict = match (found, &self.lookup) {
            (Some((key, owner)), _) => source.judge(&key, owner),
            // Operators have no tokens.
            (None, Lookup::Digest(digest)) => {
                source.store.operator_by_digest(digest).await?.map_or(Verdict::Unknown, judge_operator)
            }
            (None, _) => Verdict::Unknown,
        };
        *self.answer.write() = Some(Answer { asked_ms, index, changes: changes[index], verdict: verdict.clone() });
        Ok(verdict)
    }
}

impl Source {
    fn judge(&self, key: &ApiKey, owner: Organisation) -> Verdict {
        if key.revoked_ms.is_some() {
            return Verdict::Revoked;
        }
        let holder = Holder::Key { id: key.id, name: key.name.as_str().into(), expires_ms: key.expires_ms };
        self.admit_of(owner, holder, key.principal, key.role, key.no_delete)
    }

    fn judge_user(&self, user: &User, owner: Organisation) -> Verdict {
        if user.disabled_ms.is_some() {
            return Verdict::DisabledUser;
        }
        let holder = Holder::User { name: user.name.as_str().into() };
        self.admit_of(owner, holder, user.id, user.role, user.no_delete)
    }

    /// Returns the caller with a valid key or user, if its organisation is served.
    fn admit_of(
        &self,
        owner: Organisation,
        holder: Holder,
        principal: PrincipalId,
        role: Role,
        no_delete: bool,
    ) -> Verdict {
        if owner.standing.deletion.is_some() {
            return Verdict::Deleted(owner.name.into());
        }
        if owner.standing.suspended_ms.is_some() {
            return Verdict::Suspended(owner.name.into());
        }
        let (tier_name, tier) = self.tier_of(&owner);
        Verdict::Good(Arc::new(Caller {
            organisation: owner.id,
            organisation_name: owner.name.into(),
            holder,
            role,
            grants: self.grants.find(self.store.as_ref(), owner.id, principal),
            no_delete,
            tier: Arc::new(tier),
            tier_name: tier_name.into(),
        }))
    }

    /// Returns the tier that serves an organisation. If its tier is not configured, for example after a change of the
    /// configuration, this is the smallest tier with the catalog: an operator's mistake does not lock the organisation out. Logs
    /// it once.
    fn tier_of(&self, owner: &Organisation) -> (String, Tier) {
        let serving = serving_tier(&self.tiers, &owner.tier);
        if serving != Some(owner.tier.as_str()) && self.told.lock().insert((owner.id, owner.tier.clone())) {
            tracing::warn!(
                organisation = owner.name,
                tier = owner.tier,
                served_by = serving.unwrap_or("none"),
                "an organisation's tier is not configured, so another serves it: define the tier and run `tidewater reload`, or \
                 move the organisation with `tidewater org set-tier`"
            );
        }
        let tier = serving.and_then(|name| Some((name.to_owned(), self.tiers.get(name)?.clone())));
        tier.unwrap_or_else(|| (owner.tier.clone(), Tier { catalog: false, requests_per_day: None, max_tables: None }))
    }
}

fn judge_operator(operator: Operator) -> Verdict {
    match operator.revoked_ms {
        Some(_) => Verdict::Revoked,
        None => Verdict::Operator(Arc::new(OperatorCaller { id: operator.id, name: operator.name.into() })),
    }
}

impl Verdict {
    fn admit(self, now_ms: i64) -> Result<Identity, AuthError> {
        match self {
            Self::Good(caller) if caller.key_expires_ms().is_some_and(|expires_ms| expires_ms <= now_ms) => {
                Err(AuthError::ExpiredKey)
            }
            Self::Good(caller) => Ok(Identity::Key(caller)),
            Self::Operator(operator) => Ok(Identity::Operator(operator)),
            Self::Suspended(organisation) => Err(AuthError::Suspended(organisation)),
            Self::Deleted(organisation) => Err(AuthError::Deleted(organisation)),
            Self::Unknown => Err(AuthError::UnknownKey),
            Self::UnknownUser => Err(AuthError::UnknownUser),
            Self::DisabledUser => Err(AuthError::DisabledUser),
            Self::Revoked => Err(AuthError::RevokedKey),
        }
    }
}
