//! Repeated requests share records, so that one client cannot fill the store: an address that guesses, a job that is refused again and again,
//! and an engine that loads the same table each second.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tidewater_core::ids::OrganisationId;
use tokio::time::Instant;

use crate::store::AuditRecord;

/// The key that all requests of an owner share for which there is no room.
const SHARED: u64 = 0;

/// The most networks that are told apart. Requests of the others count for one owner.
const MAX_NETWORKS: usize = 1_024;

/// What happens to requests for whose key there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// They share the records of one key, with others of their owner.
    Share,
    /// Each has a record of its own.
    Record,
}

/// Whose requests share room. No owner can take the room of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// An organisation.
    Organisation(OrganisationId),
    /// A network of unknown actors: an IPv4 /24, or an IPv6 /48.
    Network(u128),
    /// All others.
    Others,
}

/// How many keys are told apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// The most keys of all owners, apart from their own room.
    pub(super) all: usize,
    /// The most keys of an owner.
    pub(super) of_owner: usize,
    /// The keys of an owner for which there is always room.
    pub(super) own_of_owner: usize,
}

/// The recent requests by owner and key. The first `own` of a key in a period have records of their own. One record at the end of the period counts the
/// others.
pub(super) struct Repeats {
    own: u64,
    room: Room,
    no_room: NoRoom,
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    owners: HashMap<Owner, HashMap<u64, Period>>,
    keys: usize,
    networks: usize,
}

impl Recent {
    /// Returns the periods of an owner.
    fn of(&mut self, owner: Owner) -> &mut HashMap<u64, Period> {
        let is_new = !self.owners.contains_key(&owner);
        let owner = match owner {
            Owner::Network(_) if is_new && self.networks >= MAX_NETWORKS => Owner::Others,
            owner => owner,
        };
        if is_new && matches!(owner, Owner::Network(_)) {
            self.networks += 1;
        }
        self.owners.entry(owner).or_default()
    }

    /// Removes the periods for which `keep` returns false.
    fn retain(&mut self, mut keep: impl FnMut(u64, &mut Period) -> bool) {
        self.owners.retain(|_, periods| {
            periods.retain(|key, period| keep(*key, period));
            !periods.is_empty()
        });
        self.keys = self.owners.values().map(HashMap::len).sum();
        self.networks = self.owners.keys().filter(|owner| matches!(owner, Owner::Network(_))).count();
    }
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
    fn rest(&mut self, key: u64) -> Option<AuditRecord> {
        let mut record = *self.last.take()?;
        record.entry.count = std::mem::take(&mut self.counted);
        if key == SHARED {
            record.entry.details.insert("mixed".to_owned(), true.into());
        }
        Some(record)
    }
}

impl Repeats {
    pub(super) fn new(own: u64, room: Room, no_room: NoRoom) -> Self {
        Self { own, room, no_room, recent: Mutex::default() }
    }

    /// Notes a request of an owner with a key. Returns its record if it is to be written now.
    pub(super) fn note(
        &self,
        (owner, key): (Owner, u64),
        record: AuditRecord,
        period: Duration,
    ) -> Option<AuditRecord> {
        let now = Instant::now();
        let mut recent = self.recent.lock();
        let (has_room_for_all, room) = (recent.keys < self.room.all, self.room);
        let periods = recent.of(owner);
        let has_room = periods.contains_key(&key)
            || periods.len() < if has_room_for_all { room.of_owner } else { room.own_of_owner };
        let key = match self.no_room {
            _ if has_room => key,
            NoRoom::Share => SHARED,
            NoRoom::Record => return Some(record),
        };
        let before = periods.len();
        let entry = periods.entry(key).or_insert_with(|| Period::new(now));
        let is_over = now.duration_since(entry.begun) >= period;
        // A period with counted requests ends with their record, which the next `ended` returns.
        if is_over && entry.last.is_none() {
            *entry = Period::new(now);
        }
        let own = if entry.recorded < self.own {
            entry.recorded += 1;
            Some(record)
        } else {
            entry.counted += 1;
            entry.last = Some(Box::new(record));
            None
        };
        let added = periods.len() - before;
        recent.keys += added;
        own
    }

    /// Returns the records of the requests that were only counted in periods that are over.
    pub(super) fn ended(&self, period: Duration) -> Vec<AuditRecord> {
        let now = Instant::now();
        let mut rest = Vec::new();
        self.recent.lock().retain(|key, entry| {
            let is_over = now.duration_since(entry.begun) >= period;
            if is_over {
                rest.extend(entry.rest(key));
            }
            !is_over
        });
        rest
    }

    /// Returns the records of all requests that were only counted.
    pub(super) fn all(&self) -> Vec<AuditRecord> {
        let mut rest = Vec::new();
        self.recent.lock().retain(|key, entry| {
            rest.extend(entry.rest(key));
            false
        });
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{AuditDecision, AuditEntry, AuditType};

    const PERIOD: Duration = Duration::from_secs(60);

    const ROOM: Room = Room { all: 100, of_owner: 100, own_of_owner: 2 };

    fn of(organisation: u128) -> Owner {
        Owner::Organisation(OrganisationId(uuid::Uuid::from_u128(organisation)))
    }

    fn record(at_ms: i64) -> AuditRecord {
        let entry = AuditEntry::new(AuditType::Refusal, "load-table", AuditDecision::Denied);
        AuditRecord { id: 0, organisation: None, at_ms, entry }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_beyond_the_first_of_a_period_share_the_record_at_its_end() {
        let repeats = Repeats::new(10, ROOM, NoRoom::Share);
        let own = (0..500).filter(|at_ms| repeats.note((of(1), 1), record(*at_ms), PERIOD).is_some()).count();
        assert_eq!(own, 10);
        assert!(repeats.note((of(1), 2), record(0), PERIOD).is_some(), "another key has records of its own");
        assert!(repeats.ended(PERIOD).is_empty());
        tokio::time::advance(PERIOD).await;
        let rest = repeats.ended(PERIOD);
        assert_eq!(rest.iter().map(|record| (record.at_ms, record.entry.count)).collect::<Vec<_>>(), [(499, 490)]);
        assert!(repeats.note((of(1), 1), record(0), PERIOD).is_some());
        assert!(repeats.all().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn keys_beyond_the_limit_share_records_and_no_request_is_uncounted() {
        let repeats = Repeats::new(1, Room { of_owner: 5, ..ROOM }, NoRoom::Share);
        let own = (1..=1_000).filter(|key| repeats.note((of(1), *key), record(0), PERIOD).is_some()).count();
        assert_eq!(own, 6);
        assert_eq!(repeats.all().iter().map(|record| record.entry.count).sum::<u64>(), 994);
        let repeats = Repeats::new(1, Room { of_owner: 5, ..ROOM }, NoRoom::Record);
        let own = (1..=1_000).filter(|key| repeats.note((of(1), *key), record(0), PERIOD).is_some()).count();
        assert_eq!((own, repeats.all().len()), (1_000, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn owner_with_many_keys_takes_no_room_from_others_and_shares_no_record_with_them() {
        let repeats = Repeats::new(1, ROOM, NoRoom::Share);
        for key in 1..=1_000 {
            repeats.note((of(1), key), record(1), PERIOD);
        }
        for key in [1, 2] {
            assert!(repeats.note((of(2), key), record(2), PERIOD).is_some());
            assert!(repeats.note((of(2), key), record(2), PERIOD).is_none());
        }
        // Beyond its own room an owner shares with itself.
        for key in 3..=10 {
            repeats.note((of(2), key), record(3), PERIOD);
        }
        let mut rest: Vec<_> = repeats
            .all()
            .iter()
            .map(|record| (record.at_ms, record.entry.count, record.entry.details.contains_key("mixed")))
            .collect();
        rest.sort_unstable();
        assert_eq!(rest, [(1, 899, true), (2, 1, false), (2, 1, false), (3, 7, true)]);
    }

    #[tokio::test(start_paused = true)]
    async fn networks_beyond_the_limit_count_as_one_owner_and_organisations_are_not_affected() {
        let repeats = Repeats::new(1, ROOM, NoRoom::Share);
        for network in 0..5_000 {
            repeats.note((Owner::Network(network), 1), record(1), PERIOD);
        }
        assert_eq!(repeats.recent.lock().owners.len(), MAX_NETWORKS + 1);
        assert!(repeats.note((of(1), 1), record(2), PERIOD).is_some());
        tokio::time::advance(PERIOD).await;
        let counted: u64 = repeats.ended(PERIOD).iter().map(|record| record.entry.count).sum();
        assert_eq!(counted, 5_000 - 1_024 - 1);
        let recent = repeats.recent.lock();
        assert_eq!((recent.owners.len(), recent.keys, recent.networks), (0, 0, 0));
    }
}
