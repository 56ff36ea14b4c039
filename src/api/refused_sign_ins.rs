//! Limits the log lines of refused sign-ins. Anybody can send any number of them, so each address gets a few lines per minute.
//! The others are counted.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The address for requests that this process made, and for all addresses beyond [`ADDRESSES`].
pub(super) const NO_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The lines of an address in each period.
const LINES: u64 = 10;

/// The period for which the lines of an address are counted.
const PERIOD: Duration = Duration::from_secs(60);

/// The number of addresses that are counted separately.
const ADDRESSES: usize = 1_000;

/// The number of sign-ins that were refused to an address in this period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusals {
    /// Few enough for a line each. `unsaid` refusals of an earlier period had no line.
    Few { unsaid: u64 },
    /// Too many for a line each.
    TooMany,
}

impl Refusals {
    /// Returns the number of unlogged refusals that this line reports in addition to its own, if any.
    pub(super) fn unsaid(&self) -> Option<u64> {
        match self {
            Self::Few { unsaid } if *unsaid > 0 => Some(*unsaid),
            _ => None,
        }
    }
}

/// Counts refused sign-ins by address.
#[derive(Debug, Default)]
pub(super) struct RefusedSignIns {
    of: Mutex<HashMap<IpAddr, Period>>,
}

#[derive(Debug)]
struct Period {
    begun: Instant,
    count: u64,
}

impl RefusedSignIns {
    /// Counts a refused sign-in.
    pub(super) fn count(&self, address: IpAddr) -> Refusals {
        let now = Instant::now();
        let mut of = self.of.lock();
        let address = address.to_canonical();
        if of.len() >= ADDRESSES && !of.contains_key(&address) {
            of.retain(|address, period| {
                let is_over = now.duration_since(period.begun) >= PERIOD;
                if is_over {
                    log_rest(*address, period);
                }
                !is_over
            });
        }
        let is_told_apart = of.len() < ADDRESSES || of.contains_key(&address);
        let address = if is_told_apart { address } else { NO_ADDRESS };
        let period = of.entry(address).or_insert(Period { begun: now, count: 0 });
        let mut unsaid = 0;
        if now.duration_since(period.begun) >= PERIOD {
            unsaid = period.count.saturating_sub(LINES);
            *period = Period { begun: now, count: 0 };
        }
        period.count += 1;
        if period.count <= LINES { Refusals::Few { unsaid } } else { Refusals::TooMany }
    }
}

/// Logs the refusals of an ended period that had no line, when the address is removed.
fn log_rest(address: IpAddr, period: &Period) {
    let count = period.count.saturating_sub(LINES);
    if count > 0 {
        tracing::info!(address = address.to_string(), count, "more sign-ins were refused than were logged");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(number))
    }

    #[tokio::test(start_paused = true)]
    async fn lines_of_an_address_are_limited_and_the_rest_is_counted() {
        let refused = RefusedSignIns::default();
        let lines = (0..500).filter(|_| refused.count(address(1)) != Refusals::TooMany).count();
        assert_eq!(lines as u64, LINES);
        assert_eq!(refused.count(address(2)), Refusals::Few { unsaid: 0 });
        tokio::time::advance(PERIOD).await;
        assert_eq!(refused.count(address(1)).unsaid(), Some(490));
        assert_eq!(refused.count(address(1)), Refusals::Few { unsaid: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_beyond_the_limit_share_lines_until_others_are_removed() {
        let refused = RefusedSignIns::default();
        for number in 1..=u32::try_from(ADDRESSES).unwrap() {
            refused.count(address(number));
        }
        let lines = (10_000..20_000).filter(|number| refused.count(address(*number)) != Refusals::TooMany).count();
        assert_eq!(lines as u64, LINES);
        assert!(refused.of.lock().len() <= ADDRESSES + 1);
        tokio::time::advance(PERIOD).await;
        assert_eq!(refused.count(address(30_000)), Refusals::Few { unsaid: 0 });
        assert_eq!(refused.of.lock().len(), 1);
    }
}
