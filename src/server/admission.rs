//! Limits connections, in total and for each address. At the limit, an idle connection is closed for a new one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tidewater_core::client_address::client_network;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::activity::{Activity, Stage};
use super::descriptors::{connections_for, descriptor_limit};
use super::throttle::Throttle;
use crate::config::{ConnectionsConfig, TrustedProxies};

/// How long a connection must be idle before it is closed for a new one: after this, its next request is not in flight.
const IDLE_ENOUGH: Duration = Duration::from_secs(1);

/// The pause before the next search for an idle connection after a search without a result.
const PAUSE_AFTER_NONE_IDLE: Duration = Duration::from_millis(100);

/// Admits connections up to the limits.
pub(super) struct Admission {
    room: Mutex<Room>,
    open: Mutex<Open>,
    /// Woken when the last connection has ended.
    all_ended: Notify,
    refused: Throttle,
}

/// The limits of connections.
#[derive(Debug, Clone)]
struct Room {
    max: usize,
    /// The most of one address; `None` without a limit.
    max_per_address: Option<usize>,
    /// The reverse proxies that have no limit of their own, because their connections are those of many clients.
    proxies: Arc<TrustedProxies>,
}

#[derive(Default)]
struct Open {
    by_address: HashMap<IpAddr, usize>,
    connections: HashMap<u64, Arc<Connection>>,
    /// The number of connections that make room for others and no longer count.
    leaving: usize,
    next_number: u64,
    none_idle_until: Option<Instant>,
}

/// A connection's entry, for the admission of others.
pub(super) struct Connection {
    pub(super) activity: Arc<Activity>,
    /// Wakes the connection's task at a stop.
    pub(super) waker: AtomicWaker,
    address: IpAddr,
    /// Whether it makes room for another one.
    leaving: AtomicBool,
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    All,
    Address,
}

/// The place of an admitted connection. A drop releases it.
pub(super) struct Permit {
    admission: Arc<Admission>,
    number: u64,
    pub(super) connection: Arc<Connection>,
}

impl Admission {
    pub(super) fn new(config: &ConnectionsConfig) -> Self {
        Self {
            room: Mutex::new(Room::from_config(config)),
            open: Mutex::default(),
            all_ended: Notify::new(),
            refused: Throttle::default(),
        }
    }

    /// Changes the limits. Open connections stay.
    pub(super) fn set_room(&self, config: &ConnectionsConfig) {
        *self.room.lock() = Room::from_config(config);
    }

    fn room(&self) -> Room {
        self.room.lock().clone()
    }

    /// Returns the most open connections.
    pub(super) fn max(&self) -> usize {
        self.room().max
    }

    /// Admits a connection of that address. Returns `None` at the limit, and logs it.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        match self.take_room(address) {
            Ok(permit) => Some(permit),
            Err(full) => {
                self.log_refused(full, address);
                None
            }
        }
    }

    fn take_room(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Full> {
        let room = self.room();
        let max_per_address = room.max_per_address.filter(|_| !room.proxies.contains(address));
        let address = client_network(address);
        let mut open = self.open.lock();
        if max_per_address.is_some_and(|max| open.count_of(address) >= max) && !open.close_idle(Some(address)) {
            return Err(Full::Address);
        }
        if open.connections.len() - open.leaving >= room.max && !open.close_idle(None) {
            return Err(Full::All);
        }
        let connection = Arc::new(Connection {
            activity: Arc::new(Activity::new()),
            waker: AtomicWaker::new(),
            address,
            leaving: AtomicBool::new(false),
        });
        let number = open.next_number;
        open.next_number += 1;
        open.connections.insert(number, Arc::clone(&connection));
        *open.by_address.entry(address).or_default() += 1;
        Ok(Permit { admission: Arc::clone(self), number, connection })
    }

    fn log_refused(&self, full: Full, address: IpAddr) {
        let Some(refused) = self.refused.count() else { return };
        let (last_address, Room { max, max_per_address, .. }) = (address.to_string(), self.room());
        match full {
            Full::All => tracing::warn!(
                refused,
                last_address,
                max,
                "connections are refused: all that `connections.max` or the limit of file descriptors allows are open"
            ),
            Full::Address => tracing::warn!(
                refused,
                last_address,
                max_per_address,
                "connections are refused: one address has all that `connections.max_per_address` allows"
            ),
        }
    }

    /// Moves every connection to a stage.
    pub(super) fn all_go_on_to(&self, stage: Stage) {
        let connections: Vec<_> = self.open.lock().connections.values().cloned().collect();
        for connection in connections {
            connection.activity.go_on_to(stage);
            connection.waker.wake();
        }
    }

    /// Waits until all connections have ended.
    pub(super) async fn all_ended(&self) {
        loop {
            let mut ended = std::pin::pin!(self.all_ended.notified());
            ended.as_mut().enable();
            if self.open.lock().connections.is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// Returns the number of open connections and of their running requests.
    pub(super) fn count(&self) -> (usize, usize) {
        let open = self.open.lock();
        let requests = open.connections.values().map(|connection| connection.activity.requests() as usize).sum();
        (open.connections.len(), requests)
    }
}

impl Room {
    fn from_config(config: &ConnectionsConfig) -> Self {
        let max = if config.max == 0 { connections_for(descriptor_limit()) } else { config.max };
        // One address must not be able to take all connections.
        let of_one = config.max_per_address.min(max.div_ceil(2));
        Self {
            max,
            max_per_address: (config.max_per_address > 0).then_some(of_one),
            proxies: Arc::new(config.trusted_proxies.clone()),
        }
    }
}

impl Open {
    fn count_of(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).copied().unwrap_or(0)
    }

    /// Closes the connection that has been idle for longest: of that address, else of those that have most. Returns whether
    /// there was one.
    fn close_idle(&mut self, of: Option<IpAddr>) -> bool {
        let now = Instant::now();
        if self.none_idle_until.is_some_and(|until| now < until) {
            return false;
        }
        let idle = self.connections.values().filter(|one| !one.leaving.load(Ordering::Relaxed));
        let idle = idle.filter(|one| of.is_none_or(|address| address == one.address));
        let idle = idle.filter_map(|one| Some((one, one.activity.idle_for().filter(|idle| *idle >= IDLE_ENOUGH)?)));
        let longest =
            idle.max_by_key(|(one, idle)| (self.count_of(one.address), *idle)).map(|(one, _)| Arc::clone(one));
        let Some(longest) = longest else {
            self.none_idle_until = Some(now + PAUSE_AFTER_NONE_IDLE);
            return false;
        };
        longest.leaving.store(true, Ordering::Relaxed);
        self.leaving += 1;
        self.uncount(longest.address);
        longest.activity.go_on_to(Stage::Stopping);
        longest.waker.wake();
        true
    }

    fn uncount(&mut self, address: IpAddr) {
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock();
        open.connections.remove(&self.number);
        if self.connection.leaving.load(Ordering::Relaxed) {
            open.leaving -= 1;
        } else {
            open.uncount(self.connection.address);
        }
        if open.connections.is_empty() {
            self.admission.all_ended.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Version;

    use super::*;

    fn admission(max: usize, max_per_address: usize) -> Arc<Admission> {
        Arc::new(Admission::new(&ConnectionsConfig { max, max_per_address, ..ConnectionsConfig::default() }))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn connections_are_limited_for_each_address_and_in_total() {
        let admission = admission(4, 100);
        let [one, other] = [address("10.0.0.1"), address("10.0.0.2")];
        let of_one: Vec<_> = (0..2).map(|_| admission.admit(one).unwrap()).collect();
        assert!(admission.admit(one).is_none(), "half of all, though more are set");
        let of_other: Vec<_> = (0..2).map(|_| admission.admit(other).unwrap()).collect();
        assert!(admission.admit(address("10.0.0.3")).is_none());
        assert_eq!(admission.count(), (4, 0));
        drop(of_one);
        assert!(admission.admit(one).is_some());
        drop(of_other);
        assert_eq!(admission.count(), (0, 0));
        assert!(admission.open.lock().by_address.is_empty(), "nothing is kept of addresses that have gone");
    }

    #[test]
    fn address_limit_of_zero_means_no_limit() {
        let admission = admission(3, 0);
        let permits: Vec<_> = (0..4).map(|_| admission.admit(address("10.0.0.1"))).collect();
        assert_eq!(permits.iter().filter(|permit| permit.is_some()).count(), 3);
    }

    /// Returns a connection that is idle after one request.
    fn idle(admission: &Arc<Admission>, of: &str) -> Permit {
        let permit = admission.admit(address(of)).unwrap();
        permit.connection.activity.begin_turn();
        drop(permit.connection.activity.begin_request(Version::HTTP_11));
        permit
    }

    fn is_told_to_end(permit: &Permit) -> bool {
        permit.connection.activity.has_reached(Stage::Stopping)
    }

    #[tokio::test(start_paused = true)]
    async fn longest_idle_connection_makes_room_for_a_new_one() {
        let admission = admission(3, 0);
        let silent = admission.admit(address("10.0.0.1")).unwrap();
        let longest = idle(&admission, "10.0.0.1");
        tokio::time::advance(Duration::from_millis(700)).await;
        let shorter = idle(&admission, "10.0.0.1");
        assert!(admission.admit(address("10.0.0.2")).is_none(), "nothing was idle for long enough");
        tokio::time::advance(Duration::from_millis(500)).await;
        let new = admission.admit(address("10.0.0.2")).unwrap();
        let told = [&silent, &longest, &shorter, &new].map(is_told_to_end);
        assert_eq!(told, [false, true, false, false]);
        assert!(admission.admit(address("10.0.0.2")).is_none(), "one connection makes room once");
        drop((longest, silent));
        assert!(admission.admit(address("10.0.0.2")).is_some());
        drop((shorter, new));
        assert_eq!((admission.count(), admission.open.lock().leaving), ((0, 0), 0));
        assert!(admission.open.lock().by_address.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn address_with_most_connections_makes_room_and_a_full_one_only_for_itself() {
        let admission = admission(6, 3);
        let other = idle(&admission, "10.0.0.2");
        tokio::time::advance(Duration::from_secs(5)).await;
        let of_one: Vec<_> = (0..3).map(|_| idle(&admission, "10.0.0.1")).collect();
        tokio::time::advance(Duration::from_secs(5)).await;
        let fourth = admission.admit(address("10.0.0.1")).unwrap();
        assert!(!is_told_to_end(&other) && of_one.iter().filter(|one| is_told_to_end(one)).count() == 1);
        let _more: Vec<_> = (0..2).map(|_| admission.admit(address("10.0.0.3")).unwrap()).collect();
        let _last = admission.admit(address("10.0.0.4")).unwrap();
        assert!(!is_told_to_end(&other), "idle for longer, but alone");
        assert_eq!(of_one.iter().filter(|one| is_told_to_end(one)).count(), 2);
        drop(fourth);
    }

    #[tokio::test(start_paused = true)]
    async fn busy_connection_makes_no_room() {
        let admission = admission(1, 0);
        let busy = admission.admit(address("10.0.0.1")).unwrap();
        let _request = busy.connection.activity.begin_request(Version::HTTP_11);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(admission.admit(address("10.0.0.2")).is_none());
    }
}
