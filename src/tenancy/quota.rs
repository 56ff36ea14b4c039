//! The daily limit of an organisation: exact over any number of servers, without a write per request.
//!
//! A server leases a slice of the day's budget from the store in one atomic statement and spends it in memory. Leased requests
//! count as used: a crash loses at most one slice, and the limit is never exceeded. A server gives unspent requests back when nothing
//! was spent of them for some seconds, when the day changes, when the organisation's new tier allows only a smaller slice, and at
//! shutdown. Leases become smaller towards the end of the budget, so that other servers get the rest.
//!
//! The requests of an organisation without a limit are counted in memory and written every few seconds.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::RwLock;
use tidewater_core::ids::OrganisationId;
use tidewater_core::limits::{day_of, lease_of, seconds_left_of_day, slice_of};

use crate::auth::Caller;
use crate::background::Task;
use crate::base::clock::Clock;
use crate::base::flight::{AskGuard, Joined};
use crate::base::trace;
use crate::store::{Store, StoreError};

use super::bursts::{self, TooFast};
use super::id_hash::BuildIdHasher;
use super::key_counts::KeyCounts;
use super::meter::{Exhausted, Lease, Meter};

/// The interval at which the requests of organisations without a limit are written.
const WRITE_INTERVAL: Duration = Duration::from_secs(5);

/// An organisation's remaining requests of the day after a request: the source of the `RateLimit` headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Requests a day, if there is a limit.
    pub limit: Option<u64>,
    /// The remaining requests that this server knows of. Leases of other servers since its own last lease are not subtracted.
    /// The number never grows during a day, unless another server gives requests back or the tier changes. `u64::MAX` without
    /// a limit.
    pub remaining: u64,
    /// The time until the next day (UTC) begins, in seconds.
    pub reset_s: u64,
}

/// The day's budget is spent. Answered 429.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "your organisation has reached its tier's limit of {limit} requests a day: the limit is reset in {retry_after_s} seconds, at \
     midnight UTC; an administrator can see the usage with `tidewater org usage` and change the tier"
)]
pub struct LimitExceeded {
    /// Requests a day.
    pub limit: u64,
    /// The time until the next day (UTC) begins, in seconds.
    pub retry_after_s: u64,
}

/// Why a request is refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QuotaError {
    /// The tier does not include the catalog. Answered 403.
    #[error("the catalog is not included in the tier '{tier}' of organisation '{organisation}'")]
    TierExcludes {
        /// The organisation's name.
        organisation: String,
        /// Its tier's name.
        tier: String,
    },
    /// The day's budget is spent. Answered 429.
    #[error(transparent)]
    LimitExceeded(#[from] LimitExceeded),
    /// The request comes too soon after others. Answered 429.
    #[error(transparent)]
    TooFast(#[from] TooFast),
    /// The lease is spent and the store does not answer. Answered 503.
    #[error("cannot count requests now: {0}")]
    Unavailable(#[source] Arc<StoreError>),
}

/// Counts the requests of every organisation.
pub struct Quota {
    store: Arc<dyn Store>,
    clock: Clock,
    /// One for each organisation that has asked for something since the start; they are few and stay.
    meters: RwLock<HashMap<OrganisationId, Arc<Meter>, BuildIdHasher>>,
    keys: KeyCounts,
}

impl Quota {
    /// Creates the counter, without any lease.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Clock) -> Self {
        Self { store, clock, meters: RwLock::default(), keys: KeyCounts::default() }
    }

    /// Takes one request from the caller's limits per second, and from the day's budget of its organisation, at `now_ms`.
    ///
    /// # Errors
    /// All of [`QuotaError`]. Then no request is taken.
    pub async fn charge(&self, caller: &Caller, now_ms: i64) -> Result<Budget, QuotaError> {
        let tier = caller.tier();
        let (day, reset_s) = (day_number(now_ms), seconds_left_of_day(now_ms));
        let meter = self.meter(caller.organisation());
        if let Err(excluded) = Self::admit(caller) {
            let_go_of_lease(&meter);
            return Err(excluded);
        }
        bursts::take(caller)?;
        let Some(limit) = tier.requests_per_day else {
            let_go_of_lease(&meter);
            meter.count(day);
            self.keys.add(caller.organisation(), caller.key(), day_of(now_ms), 1);
            return Ok(Budget { limit: None, remaining: u64::MAX, reset_s });
        };
        if meter.left() > slice_of(limit) {
            Box::pin(self.trim(caller.organisation(), &meter, slice_of(limit))).await;
        }
        let remaining = match meter.spend(day, limit) {
            Some(remaining) => remaining,
            None => match meter.flight.join(|| meter.spend(day, limit)).await.map_err(QuotaError::Unavailable)? {
                Joined::Ready(remaining) => remaining,
                Joined::Ask(turn) => {
                    let lease = LeaseRequest { organisation: caller.organisation(), day, limit, now_ms };
                    let refilled = Box::pin(self.refill(Arc::clone(&meter), lease, turn)).await;
                    refilled.inspect_err(|error| log_spent_limit(error, caller, &meter, day))?
                }
            },
        };
        self.keys.add(caller.organisation(), caller.key(), day_of(now_ms), 1);
        Ok(Budget { limit: Some(limit), remaining, reset_s })
    }

    /// Admits a request without counting it, if the caller's tier includes the catalog.
    ///
    /// # Errors
    /// `TierExcludes`.
    pub fn admit(caller: &Caller) -> Result<(), QuotaError> {
        if caller.tier().catalog {
            return Ok(());
        }
        Err(QuotaError::TierExcludes {
            organisation: caller.organisation_name().to_owned(),
            tier: caller.tier_name().to_owned(),
        })
    }

    /// Leases a slice and spends one request of it. Returns the remaining requests of the day.
    async fn refill(&self, meter: Arc<Meter>, wanted: LeaseRequest, turn: AskGuard) -> Result<u64, QuotaError> {
        if meter.is_exhausted(wanted.day, wanted.limit, wanted.now_ms) {
            return Err(wanted.exceeded().into());
        }
        // In a separate task, so that the slice is not lost if the client disconnects.
        let store = Arc::clone(&self.store);
        let leased = tokio::spawn(trace::carry(async move {
            let leased = lease(&*store, &meter, &wanted).await;
            let leased = leased.map_err(|error| QuotaError::Unavailable(meter.flight.fail(Arc::new(error))));
            drop(turn);
            leased?.ok_or_else(|| wanted.exceeded().into())
        }));
        let broken = |error| QuotaError::Unavailable(Arc::new(StoreError::Unavailable(Box::new(error))));
        leased.await.map_err(broken)?
    }

    /// Gives back the part of a larger tier's lease that exceeds the present tier's slice. The slice itself stays: otherwise
    /// keys whose cached check has the old tier would cause a lease with every request. So after a downgrade a server may exceed
    /// the limit once, by one slice.
    async fn trim(&self, organisation: OrganisationId, meter: &Arc<Meter>, slice: u64) {
        let (store, meter) = (Arc::clone(&self.store), Arc::clone(meter));
        // In a separate task, so that the slice is not lost if the client disconnects.
        let trimmed = tokio::spawn(async move { give_back(&*store, organisation, meter.trim(slice)).await });
        if let Err(error) = trimmed.await {
            tracing::error!(%error, %organisation, "could not give back leased requests");
        }
    }

    /// Gives back leases of past days, of organisations that have no limit now, and those of which nothing was spent since the last
    /// call. Writes the requests of organisations
    /// without a limit, and the counts of keys. Returns the number of written counts of keys.
    ///
    /// # Errors
    /// Fails if the store does not answer. Unwritten requests are kept for the next call.
    pub async fn tick(&self) -> Result<u64, StoreError> {
        let mut failed = None;
        let today = day_number(self.clock.now_ms());
        for (organisation, meter) in self.all() {
            give_back(&*self.store, organisation, meter.take_lease_before(today)).await;
            if meter.needs_no_lease.swap(false, Ordering::AcqRel) {
                give_back(&*self.store, organisation, meter.trim(0)).await;
            }
            give_back(&*self.store, organisation, meter.take_idle_lease()).await;
            meter.set_all_aside();
            if let Err(error) = write_backlog(&*self.store, organisation, &meter).await {
                failed = Some(error);
            }
        }
        let written = self.keys.write(&*self.store).await;
        failed.map_or(written, Err)
    }

    /// Gives back and writes all that this process holds: the last thing before it ends. Returns the same as [`Self::tick`].
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub async fn flush(&self) -> Result<u64, StoreError> {
        for (organisation, meter) in self.all() {
            give_back(&*self.store, organisation, meter.replace(Lease::default())).await;
        }
        self.tick().await
    }

    /// Returns the task that calls [`Self::tick`] every few seconds, and [`Self::flush`] at the end. It must be stopped after
    /// the last request.
    pub fn task(self: &Arc<Self>) -> Task {
        Task::every("usage", WRITE_INTERVAL, self, |quota, _| async move { Ok(quota.tick().await?) })
            .last(self, |quota, _| async move { Ok(quota.flush().await?) })
            .while_failing("Counts of requests stay in memory until then: check the database and its disk")
    }

    fn all(&self) -> Vec<(OrganisationId, Arc<Meter>)> {
        self.meters.read().iter().map(|(organisation, meter)| (*organisation, Arc::clone(meter))).collect()
    }

    fn meter(&self, organisation: OrganisationId) -> Arc<Meter> {
        if let Some(meter) = self.meters.read().get(&organisation) {
            return Arc::clone(meter);
        }
        Arc::clone(self.meters.write().entry(organisation).or_default())
    }
}

/// Logs a spent limit: as a warning the first time in a day, and at `debug` after that, because refused clients often repeat
/// their requests.
fn log_spent_limit(error: &QuotaError, caller: &Caller, meter: &Meter, day: u64) {
    let QuotaError::LimitExceeded(LimitExceeded { limit, retry_after_s }) = *error else { return };
    let (organisation, tier) = (caller.organisation_name(), caller.tier_name());
    if meter.is_news(day, limit) {
        tracing::warn!(
            organisation,
            tier,
            limit,
            retry_after_s,
            "an organisation has spent its requests of the day and is answered 429 until midnight UTC (see `tidewater org set-tier`)"
        );
    } else {
        tracing::debug!(
            organisation,
            tier,
            limit,
            retry_after_s,
            "refused: the organisation has spent its requests of the day"
        );
    }
}

/// The parameters of a lease.
#[derive(Debug, Clone, Copy)]
struct LeaseRequest {
    organisation: OrganisationId,
    day: u64,
    limit: u64,
    now_ms: i64,
}

impl LeaseRequest {
    const fn exceeded(&self) -> LimitExceeded {
        LimitExceeded { limit: self.limit, retry_after_s: seconds_left_of_day(self.now_ms) }
    }
}

/// Marks a lease that the organisation does not need. The next tick gives it back. Not at once: keys whose cached check has the
/// old tier may lease again meanwhile.
fn let_go_of_lease(meter: &Meter) {
    if meter.left() > 0 {
        meter.needs_no_lease.store(true, Ordering::Release);
    }
}

/// Leases a slice from the store and spends one request of it. Returns the remaining requests of the day, or `None` if the
/// budget is spent.
async fn lease(store: &dyn Store, meter: &Meter, wanted: &LeaseRequest) -> Result<Option<u64>, StoreError> {
    let LeaseRequest { organisation, day, limit, now_ms } = *wanted;
    // Requests that were served without a limit count towards a later limit.
    meter.set_all_aside();
    write_backlog(store, organisation, meter).await?;
    // Requests that are left of an old lease no longer count as used.
    let old = meter.replace(Lease::default());
    give_back(store, organisation, old).await;
    let used = if old.day == day { old.total.saturating_sub(old.left) } else { 0 };
    let slice = lease_of(limit, used);
    let taken = store.usage_take(organisation, stored_day(day), slice, Some(limit)).await?;
    let Some(left) = taken.granted.min(slice).checked_sub(1) else {
        *meter.exhausted.lock() = Some(Exhausted { day, limit, found_ms: now_ms });
        return Ok(None);
    };
    meter.replace(Lease { day, left, total: taken.total });
    Ok(Some(limit.saturating_sub(taken.total.saturating_sub(left))))
}

/// Gives back the rest of a lease. Does not retry: if the answer is lost, the outcome is unknown, and a second time could serve
/// more than the limit.
async fn give_back(store: &dyn Store, organisation: OrganisationId, lease: Lease) {
    if lease.left == 0 {
        return;
    }
    if let Err(error) = store.usage_give_back(organisation, stored_day(lease.day), lease.left).await {
        tracing::warn!(%error, %organisation, lost = lease.left, "could not give back leased requests: they count as used");
    }
}

/// Writes the counts of requests that were served without a limit. Counts that could not be written stay.
async fn write_backlog(store: &dyn Store, organisation: OrganisationId, meter: &Meter) -> Result<(), StoreError> {
    loop {
        let Some((day, requests)) = meter.backlog.lock().pop_first() else { return Ok(()) };
        if let Err(error) = store.usage_take(organisation, stored_day(day), requests, None).await {
            *meter.backlog.lock().entry(day).or_default() += requests;
            return Err(error);
        }
    }
}

/// Returns the day as in a lease: counted from 1970, in 20 bits.
fn day_number(now_ms: i64) -> u64 {
    u64::try_from(day_of(now_ms)).unwrap_or(0).min((1 << 20) - 1)
}

fn stored_day(day: u64) -> i64 {
    i64::try_from(day).unwrap_or(i64::MAX)
}
