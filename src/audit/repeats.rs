//! Repeated requests share records, so that one client cannot fill the store: an address that guesses, a job that is refused again and again,
//! and an engine that loads the same table each second.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::store::AuditRecord;

/// The key that all requests share for which there is no room.
const SHARED: u64 = 0;

/// What happens to requests for whose key there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// They share the records of one key.
    Share,
    /// Each has a record of its own.
    Record,
}

/// The recent requests by key. The first `own` of a key in a period have records of their own. One record at the end of the period counts the
/// others.
pub(super) struct Repeats {
    own: u64,
    most_keys: usize,
    no_room: NoRoom,
    recent: Mutex<HashMap<u64, Period>>,
}

struct Period {
    begun: Instant,
    recorded: u64,
    counted: u64,
    /// The last request that has no record of its own.
    last: Option<Box<AuditRecord>>,
}

impl Period {
    fn new(begun: Instant) -> Self {
        Self { begun, recorded: 0, counted: 0, last: None }
    }

    /// Returns the record of the requests that were only counted.
    fn rest(&mut self) -> Option<AuditRecord> {
        let mut record = *self.last.take()?;
        record.entry.count = std::mem::take(&mut self.counted);
        Some(record)
    }
}

impl Repeats {
    pub(super) fn new(own: u64, most_keys: usize, no_room: NoRoom) -> Self {
        Self { own, most_keys, no_room, recent: Mutex::default() }
    }

    /// Notes a request. Returns its record if it is to be written now.
    pub(super) fn note(&self, key: u64, record: AuditRecord, period: Duration) -> Option<AuditRecord> {
        let now = Instant::now();
        let mut recent = self.recent.lock();
        let has_room = recent.len() < self.most_keys || recent.contains_key(&key);
        let key = match self.no_room {
            _ if has_room => key,
            NoRoom::Share => SHARED,
            NoRoom::Record => return Some(record),
        };
        let entry = recent.entry(key).or_insert_with(|| Period::new(now));
        let is_over = now.duration_since(entry.begun) >= period;
        // A period with counted requests ends with their record, which the next `ended` returns.
        if is_over && entry.last.is_none() {
            *entry = Period::new(now);
        }
        if entry.recorded < self.own {
            entry.recorded += 1;
            return Some(record);
        }
        entry.counted += 1;
        entry.last = Some(Box::new(record));
        None
    }

    /// Returns the records of the requests that were only counted in periods that are over.
    pub(super) fn ended(&self, period: Duration) -> Vec<AuditRecord> {
        let now = Instant::now();
        let mut rest = Vec::new();
        self.recent.lock().retain(|_, entry| {
            let is_over = now.duration_since(entry.begun) >= period;
            if is_over {
                rest.extend(entry.rest());
            }
            !is_over
        });
        rest
    }

    /// Returns the records of all requests that were only counted.
    pub(super) fn all(&self) -> Vec<AuditRecord> {
        self.recent.lock().drain().filter_map(|(_, mut entry)| entry.rest()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{AuditDecision, AuditEntry, AuditType};

    const PERIOD: Duration = Duration::from_secs(60);

    fn record(at_ms: i64) -> AuditRecord {
        let entry = AuditEntry::new(AuditType::Refusal, "load-table", AuditDecision::Denied);
        AuditRecord { id: 0, organisation: None, at_ms, entry }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_beyond_the_first_of_a_period_share_the_record_at_its_end() {
        let repeats = Repeats::new(10, 100, NoRoom::Share);
        let own = (0..500).filter(|at_ms| repeats.note(1, record(*at_ms), PERIOD).is_some()).count();
        assert_eq!(own, 10);
        assert!(repeats.note(2, record(0), PERIOD).is_some(), "another key has records of its own");
        assert!(repeats.ended(PERIOD).is_empty());
        tokio::time::advance(PERIOD).await;
        let rest = repeats.ended(PERIOD);
        assert_eq!(rest.iter().map(|record| (record.at_ms, record.entry.count)).collect::<Vec<_>>(), [(499, 490)]);
        assert!(repeats.note(1, record(0), PERIOD).is_some());
        assert!(repeats.all().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn keys_beyond_the_limit_share_records_and_no_request_is_uncounted() {
        let repeats = Repeats::new(1, 5, NoRoom::Share);
        let own = (1..=1_000).filter(|key| repeats.note(*key, record(0), PERIOD).is_some()).count();
        assert_eq!(own, 6);
        assert_eq!(repeats.all().iter().map(|record| record.entry.count).sum::<u64>(), 994);
        let repeats = Repeats::new(1, 5, NoRoom::Record);
        let own = (1..=1_000).filter(|key| repeats.note(*key, record(0), PERIOD).is_some()).count();
        assert_eq!((own, repeats.all().len()), (1_000, 0));
    }
}
