//! How many connections there may be, in all and from one address, and which there are.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::activity::{Activity, Stage};
use super::descriptors::{connections_for, descriptor_limit};
use super::throttle::Throttle;
use crate::config::ConnectionsConfig;

/// Lets connections in while there is room for them.
pub(super) struct Admission {
    room: Mutex<Room>,
    open: Mutex<Open>,
    /// Woken when the last connection has ended.
    all_ended: Notify,
    refused: Throttle,
}

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
struct Room {
    max: usize,
    /// The most of one address; none without a limit.
    max_per_address: Option<usize>,
}

#[derive(Default)]
struct Open {
    by_address: HashMap<IpAddr, usize>,
    connections: HashMap<u64, Arc<Connection>>,
    next_number: u64,
}

/// A connection, as others see it.
pub(super) struct Connection {
    pub(super) activity: Arc<Activity>,
    /// Wakes the connection's task when it is told to stop.
    pub(super) waker: AtomicWaker,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    All,
    Address,
}

/// The room that a connection takes, until it is dropped.
pub(super) struct Permit {
    admission: Arc<Admission>,
    number: u64,
    address: IpAddr,
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

    /// Sets how many connections there may be from now on. Those that are open stay.
    pub(super) fn set_room(&self, config: &ConnectionsConfig) {
        *self.room.lock() = Room::from_config(config);
    }

    fn room(&self) -> Room {
        *self.room.lock()
    }

    /// The most connections at the same time.
    pub(super) fn max(&self) -> usize {
        self.room().max
    }

    /// Makes room for a connection of that address. Returns nothing when there is none; the log says so.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        match self.take_room(client_network(address)) {
            Ok(permit) => Some(permit),
            Err(full) => {
                self.tell(full, address);
                None
            }
        }
    }

    fn take_room(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Full> {
        let room = self.room();
        let mut open = self.open.lock();
        let of_address = open.by_address.get(&address).copied().unwrap_or(0);
        if room.max_per_address.is_some_and(|max| of_address >= max) {
            return Err(Full::Address);
        }
        if open.connections.len() >= room.max {
            return Err(Full::All);
        }
        let connection = Arc::new(Connection { activity: Arc::new(Activity::new()), waker: AtomicWaker::new() });
        let number = open.next_number;
        open.next_number += 1;
        open.connections.insert(number, Arc::clone(&connection));
        open.by_address.insert(address, of_address + 1);
        Ok(Permit { admission: Arc::clone(self), number, address, connection })
    }

    fn tell(&self, full: Full, address: IpAddr) {
        let Some(refused) = self.refused.count() else { return };
        let (last_address, Room { max, max_per_address }) = (address.to_string(), self.room());
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

    /// Tells every connection to go on to that stage.
    pub(super) fn all_go_on_to(&self, stage: Stage) {
        let connections: Vec<_> = self.open.lock().connections.values().cloned().collect();
        for connection in connections {
            connection.activity.go_on_to(stage);
            connection.waker.wake();
        }
    }

    /// Waits until there is no connection.
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

    /// How many connections there are, and how many requests are being worked on in them.
    pub(super) fn count(&self) -> (usize, usize) {
        let open = self.open.lock();
        let requests = open.connections.values().map(|connection| connection.activity.requests() as usize).sum();
        (open.connections.len(), requests)
    }
}

impl Room {
    fn from_config(config: &ConnectionsConfig) -> Self {
        let max = if config.max == 0 { connections_for(descriptor_limit()) } else { config.max };
        // One address alone must not be able to shut out all others.
        let of_one = config.max_per_address.min(max.div_ceil(2));
        Self { max, max_per_address: (config.max_per_address > 0).then_some(of_one) }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock();
        open.connections.remove(&self.number);
        if let Some(count) = open.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&self.address);
            }
        }
        if open.connections.is_empty() {
            self.admission.all_ended.notify_waiters();
        }
    }
}

/// What counts as one address: of IPv6, the 64 leading bits, since a client usually has all that begin alike.
fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(max: usize, max_per_address: usize) -> Arc<Admission> {
        Arc::new(Admission::new(&ConnectionsConfig { max, max_per_address, ..ConnectionsConfig::default() }))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_leaves_room_for_others_and_all_together_have_a_limit() {
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
    fn address_limit_of_zero_is_none() {
        let admission = admission(3, 0);
        let permits: Vec<_> = (0..4).map(|_| admission.admit(address("10.0.0.1"))).collect();
        assert_eq!(permits.iter().filter(|permit| permit.is_some()).count(), 3);
    }

    #[test]
    fn address_of_ipv6_counts_with_its_network() {
        assert_eq!(client_network(address("2001:db8:1:2:3:4:5:6")), address("2001:db8:1:2::"));
        assert_eq!(client_network(address("::ffff:10.0.0.1")), address("10.0.0.1"));
    }
}
