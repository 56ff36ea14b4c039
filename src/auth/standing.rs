//! Cached checks of API keys and users: the store's last answer about one, and how long it is valid.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, OrganisationId, PrincipalId};
use tidewater_core::limits::{Tier, serving_tier};

use crate::base::clock::Clock;
use crate::base::flight::{Flight, Joined};
use crate::store::{Actor, ApiKey, KeyDigest, Operator, Organisation, Store, StoreError, User};

use super::buckets::BucketRegistry;
use super::caller::{Caller, Holder, Identity, OperatorCaller};
use super::counted::Counted;
use super::error::{AuthError, RefusedHolder};
use super::grants::GrantsCache;

/// The parts for asking the store about a key.
pub(super) struct Source {
    pub(super) store: Arc<dyn Store>,
    pub(super) tiers: BTreeMap<String, Tier>,
    /// The grants of recent callers.
    pub(super) grants: GrantsCache,
    /// The recent requests of callers.
    pub(super) buckets: Arc<BucketRegistry>,
    /// The organisations whose unknown tier was logged, with that tier.
    pub(super) told: Mutex<HashSet<(OrganisationId, String)>>,
    pub(super) clock: Clock,
    /// The changes of operators, and of all keys that the store does not know.
    pub(super) server: Arc<AtomicU64>,
    /// How long an answer is valid, in milliseconds. After half of it, a request asks again in the background, so that requests with
    /// a key in use never wait.
    pub(super) believed_ms: i64,
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
    /// An operator: the client sent a token of the operator.
    Operator(KeyId),
}

/// The cached check of one API key or user.
pub(super) struct Standing {
    lookup: Lookup,
    /// The organisation of the key or user, once it is known, and the counter of its changes.
    organisation: OnceLock<(OrganisationId, Arc<AtomicU64>)>,
    answer: RwLock<Option<Answer>>,
    flight: Flight<Arc<StoreError>>,
    refreshing: AtomicBool,
    /// When its use was last recorded, in milliseconds since 1970.
    pub(super) noted_ms: AtomicI64,
}

#[derive(Clone)]
struct Answer {
    asked_ms: i64,
    /// The changes before the store was asked. The answer may miss later ones.
    standing: Counted,
    verdict: Verdict,
}

#[derive(Clone)]
enum Verdict {
    Unknown,
    Revoked(Arc<RefusedHolder>),
    UnknownUser,
    DisabledUser(Arc<RefusedHolder>),
    Suspended(Arc<str>),
    Deleted(Arc<str>),
    Good(Arc<Caller>),
    Operator(Arc<OperatorCaller>),
}

impl Standing {
    pub(super) fn new(lookup: Lookup) -> Self {
        Self {
            lookup,
            organisation: OnceLock::new(),
            answer: RwLock::new(None),
            flight: Flight::default(),
            refreshing: AtomicBool::new(false),
            noted_ms: AtomicI64::new(i64::MIN),
        }
    }

    /// Returns the key's owner. Fails if the key is not valid at `now_ms`.
    pub(super) async fn caller(self: &Arc<Self>, source: &Arc<Source>, now_ms: i64) -> Result<Identity, AuthError> {
        match self.answer_within(source, now_ms) {
            Some((_, verdict)) if verdict.is_refusal() => {
                Box::pin(self.refused_again(source, verdict, now_ms)).await?.admit(now_ms)
            }
            Some((age_ms, verdict)) => {
                if age_ms >= source.believed_ms / 2 {
                    self.refresh_in_background(source);
                }
                verdict.admit(now_ms)
            }
            None => Box::pin(self.ask_or_wait(source, now_ms)).await?.admit(now_ms),
        }
    }

    /// Returns the verdict that a cached refusal is now, on this server or another: the key's organisation may have been resumed, or its
    /// user enabled.
    async fn refused_again(&self, source: &Arc<Source>, verdict: Verdict, now_ms: i64) -> Result<Verdict, AuthError> {
        let Some((organisation, _)) = self.organisation.get() else { return Ok(verdict) };
        let Some(refreshed) = source.store.access_refresh(Some(*organisation)) else { return Ok(verdict) };
        refreshed.await.map_err(|error| AuthError::Unavailable(Arc::new(error)))?;
        match self.answer_within(source, now_ms) {
            Some((_, verdict)) => Ok(verdict),
            None => self.ask_or_wait(source, now_ms).await,
        }
    }

    /// Returns whether the key was valid when the store was asked last.
    pub(super) fn was_valid(&self) -> bool {
        let answer = self.answer.read();
        matches!(answer.as_ref().map(|answer| &answer.verdict), Some(Verdict::Good(_) | Verdict::Operator(_)))
    }

    /// Returns the cached answer and its age in milliseconds, if it is still valid. An answer from the future is not: the clock
    /// was set back.
    fn answer_within(&self, source: &Source, now_ms: i64) -> Option<(i64, Verdict)> {
        let answer = self.answer.read();
        let answer = answer.as_ref().filter(|answer| answer.standing.is_current())?;
        let age_ms = now_ms.saturating_sub(answer.asked_ms);
        (0..source.believed_ms).contains(&age_ms).then(|| (age_ms, answer.verdict.clone()))
    }

    async fn ask_or_wait(&self, source: &Source, arrived_ms: i64) -> Result<Verdict, AuthError> {
        let ready = || {
            let answer = self.answer.read();
            let answer = answer.as_ref().filter(|answer| answer.standing.is_current())?;
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
        // Noted before asking: the answer may miss later changes.
        let (asked_ms, mut standing) = (source.clock.now_ms(), self.changes(source));
        let (of_server, changes) = (Counted::new(&source.server), source.store.change_count());
        let mut found = self.find(source).await?;
        if let (Some(found_now), None) = (&found, &standing) {
            let organisation = found_now.organisation();
            self.organisation.get_or_init(|| (organisation, source.store.organisation_generation(organisation)));
            standing = self.changes(source);
            // The organisation is known only now, and its changes must be noted before the read.
            if source.store.change_count() != changes {
                found = self.find(source).await?;
            }
        }
        let (verdict, standing) = match (found, standing) {
            (Some(found), Some(standing)) => (source.judge(found, &standing), standing),
            (_, standing) => match &self.lookup {
                Lookup::User(..) => (Verdict::UnknownUser, standing.unwrap_or(of_server)),
                // An organisation's token is never an operator's.
                Lookup::Id(_) => (Verdict::Unknown, of_server),
                Lookup::Digest(digest) => {
                    let operator = source.store.operator_by_digest(digest).await?;
                    (operator.map_or(Verdict::Unknown, |operator| judge_operator(operator, &of_server)), of_server)
                }
                Lookup::Operator(id) => {
                    let operator = source.store.operator_by_id(*id).await?;
                    (operator.map_or(Verdict::Unknown, |operator| judge_operator(operator, &of_server)), of_server)
                }
            },
        };
        *self.answer.write() = Some(Answer { asked_ms, standing, verdict: verdict.clone() });
        Ok(verdict)
    }

    /// Notes the changes of the organisation, if it is known.
    fn changes(&self, source: &Source) -> Option<Counted> {
        let known = match &self.lookup {
            Lookup::User(organisation, _) => {
                let changes = || (*organisation, source.store.organisation_generation(*organisation));
                Some(self.organisation.get_or_init(changes))
            }
            Lookup::Digest(_) | Lookup::Id(_) | Lookup::Operator(_) => self.organisation.get(),
        };
        known.map(|(_, changes)| Counted::new(changes))
    }

    /// Finds the key or user in the store.
    async fn find(&self, source: &Source) -> Result<Option<Found>, StoreError> {
        Ok(match &self.lookup {
            Lookup::Digest(digest) => source.store.key_by_digest(digest).await?.map(Found::Key),
            Lookup::Id(id) => source.store.key_by_id(*id).await?.map(Found::Key),
            Lookup::User(organisation, id) => source.store.user_get(*organisation, *id).await?.map(Found::User),
            Lookup::Operator(_) => None,
        })
    }
}

/// A key or user of the store, with its organisation.
enum Found {
    Key((ApiKey, Organisation)),
    User((User, Organisation)),
}

impl Found {
    const fn organisation(&self) -> OrganisationId {
        match self {
            Self::Key((_, owner)) | Self::User((_, owner)) => owner.id,
        }
    }
}

impl Source {
    fn judge(&self, found: Found, standing: &Counted) -> Verdict {
        match found {
            Found::Key((key, owner)) => self.judge_key(&key, owner, standing),
            Found::User((user, owner)) => self.judge_user(&user, owner, standing),
        }
    }

    fn judge_key(&self, key: &ApiKey, owner: Organisation, standing: &Counted) -> Verdict {
        if key.revoked_ms.is_some() {
            let actor = Actor::Key { id: key.id, name: key.name.as_str().into() };
            return Verdict::Revoked(refused_holder(&owner, actor, key.role));
        }
        let holder = Holder::Key {
            id: key.id,
            name: key.name.as_str().into(),
            expires_ms: key.expires_ms,
            acts_for_users: key.acts_for_users,
        };
        self.admit_of((owner, standing), holder, key.principal, key.role, key.no_delete)
    }

    fn judge_user(&self, user: &User, owner: Organisation, standing: &Counted) -> Verdict {
        if user.disabled_ms.is_some() {
            let actor = Actor::User { id: user.id, name: user.name.as_str().into() };
            return Verdict::DisabledUser(refused_holder(&owner, actor, user.role));
        }
        let holder = Holder::User { name: user.name.as_str().into() };
        self.admit_of((owner, standing), holder, user.id, user.role, user.no_delete)
    }

    /// Returns the caller with a valid key or user, if its organisation is served.
    fn admit_of(
        &self,
        (owner, standing): (Organisation, &Counted),
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
            grants: self.grants.find(self.store.as_ref(), owner.id, principal, None),
            compiled: Arc::default(),
            compiled_at: 0,
            standing: standing.clone(),
            no_delete,
            engine: None,
            tier: Arc::new(tier),
            tier_name: tier_name.into(),
            buckets: self.buckets.find(owner.id, principal),
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
        tier.unwrap_or_else(|| (owner.tier.clone(), Tier { catalog: false, ..Tier::default() }))
    }
}

fn refused_holder(owner: &Organisation, actor: Actor, role: Role) -> Arc<RefusedHolder> {
    let organisation = Some((owner.id, owner.name.as_str().into()));
    Arc::new(RefusedHolder { organisation, actor, role: Some(role) })
}

fn judge_operator(operator: Operator, standing: &Counted) -> Verdict {
    let Operator { id, name, revoked_ms, .. } = operator;
    match revoked_ms {
        Some(_) => {
            let actor = Actor::Operator { id, name: name.into() };
            Verdict::Revoked(Arc::new(RefusedHolder { organisation: None, actor, role: None }))
        }
        None => {
            let standing = standing.clone();
            Verdict::Operator(Arc::new(OperatorCaller { id, name: name.into(), by_token: false, standing }))
        }
    }
}

impl Verdict {
    const fn is_refusal(&self) -> bool {
        !matches!(self, Self::Good(_) | Self::Operator(_))
    }

    fn admit(self, now_ms: i64) -> Result<Identity, AuthError> {
        match self {
            Self::Good(caller) if caller.key_expires_ms().is_some_and(|expires_ms| expires_ms <= now_ms) => {
                let organisation = Some((caller.organisation, Arc::clone(&caller.organisation_name)));
                let holder = RefusedHolder { organisation, actor: caller.actor(), role: Some(caller.role) };
                Err(AuthError::ExpiredKey(Arc::new(holder)))
            }
            Self::Good(caller) => Ok(Identity::Key(caller)),
            Self::Operator(operator) => Ok(Identity::Operator(operator)),
            Self::Suspended(organisation) => Err(AuthError::Suspended(organisation)),
            Self::Deleted(organisation) => Err(AuthError::Deleted(organisation)),
            Self::Unknown => Err(AuthError::UnknownKey),
            Self::UnknownUser => Err(AuthError::UnknownUser),
            Self::DisabledUser(holder) => Err(AuthError::DisabledUser(holder)),
            Self::Revoked(holder) => Err(AuthError::RevokedKey(holder)),
        }
    }
}
