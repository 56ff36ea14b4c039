//! The lease of a table while it is held.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidewater_core::ids::TableId;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::parts::Parts;
use crate::store::{MaintenanceLease, MaintenanceState, StoreError, WarehouseRef};

/// The duration of a lease, in milliseconds. After that another server takes over.
const LEASE_MS: i64 = 30_000;

/// How often a lease is renewed.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(10);

/// How long a lease counts as held after its last renewal. It is shorter than the lease.
const HELD: Duration = Duration::from_secs(25);

/// A lease that this server has claimed.
pub(super) struct Held {
    parts: Arc<Parts>,
    lease: Mutex<MaintenanceLease>,
    /// The order in which the state is stored: a renewal must not store an older one after a change.
    storing: tokio::sync::Mutex<()>,
    watch: LeaseWatch,
}

/// Shows whether a lease is held, also to others than its holder.
#[derive(Debug, Clone)]
pub(super) struct LeaseWatch {
    renewed: Arc<Mutex<Instant>>,
    /// Cancelled when the lease is another server's, or this server stops.
    ended: CancellationToken,
}

impl LeaseWatch {
    /// Returns whether the lease is still held.
    pub(super) fn is_held(&self) -> bool {
        !self.ended.is_cancelled() && self.renewed.lock().elapsed() < HELD
    }

    /// Waits until the lease is another server's, or this server stops.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

impl Held {
    /// Claims the maintenance of a table. Returns `None` if another server has it.
    pub(super) async fn claim(
        parts: &Arc<Parts>,
        warehouse_ref: WarehouseRef,
        table: TableId,
    ) -> Result<Option<Self>, StoreError> {
        let (now_ms, renewed) = (parts.clock.now_ms(), Instant::now());
        let until_ms = now_ms.saturating_add(LEASE_MS);
        let lease = parts.store.maintenance_claim(warehouse_ref, table, now_ms, until_ms).await?;
        Ok(lease.map(|lease| Self {
            parts: Arc::clone(parts),
            lease: Mutex::new(lease),
            storing: tokio::sync::Mutex::default(),
            watch: LeaseWatch { renewed: Arc::new(Mutex::new(renewed)), ended: CancellationToken::new() },
        }))
    }

    /// Returns the state.
    pub(super) fn state(&self) -> MaintenanceState {
        self.lease.lock().state.clone()
    }

    /// Changes the state and stores it. Returns false if the lease is another server's.
    pub(super) async fn change_state(&self, change: impl FnOnce(&mut MaintenanceState)) -> Result<bool, StoreError> {
        let _order = self.storing.lock().await;
        let lease = {
            let mut lease = self.lease.lock();
            change(&mut lease.state);
            lease.clone()
        };
        self.hold(&lease, LEASE_MS).await
    }

    /// Returns whether the lease is still held.
    pub(super) fn is_held(&self) -> bool {
        self.watch.is_held()
    }

    /// Returns a watch of the lease.
    pub(super) fn watch(&self) -> LeaseWatch {
        self.watch.clone()
    }

    /// Does work as long as the lease is held and the server does not stop. The work has to notice the end itself, so that it does
    /// not stop between a commit and its record.
    pub(super) async fn while_held<T>(&self, work: impl Future<Output = T>, stop: &CancellationToken) -> T {
        let renew = async {
            let mut ticks = interval(RENEWAL_INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.tick().await;
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = stop.cancelled(), if !self.watch.ended.is_cancelled() => {
                        self.watch.ended.cancel();
                        continue;
                    }
                }
                let _order = self.storing.lock().await;
                let lease = self.lease.lock().clone();
                match self.hold(&lease, LEASE_MS).await {
                    Ok(true) => {}
                    Ok(false) => self.watch.ended.cancel(),
                    Err(error) => {
                        tracing::warn!(table = %lease.table, %error, "could not renew the lease to maintain a table")
                    }
                }
            }
        };
        tokio::select! {
            done = work => done,
            never = renew => never,
        }
    }

    async fn hold(&self, lease: &MaintenanceLease, for_ms: i64) -> Result<bool, StoreError> {
        let begun = Instant::now();
        let until_ms = self.parts.clock.now_ms().saturating_add(for_ms);
        let held = self.parts.store.maintenance_hold(lease, until_ms).await?;
        if held {
            *self.watch.renewed.lock() = begun;
        }
        Ok(held)
    }

    /// Gives the lease back, so that another run can begin at once.
    pub(super) async fn release(self) {
        let lease = self.lease.lock().clone();
        if let Err(error) = self.hold(&lease, 0).await {
            tracing::warn!(table = %lease.table, %error, "could not give back the lease of a table: it ends by itself");
        }
    }
}
