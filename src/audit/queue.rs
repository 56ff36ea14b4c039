//! The records that wait to be written. The queue is bounded, and no organisation can take all of it.

use std::collections::{HashMap, VecDeque};

use tidewater_core::ids::OrganisationId;
use tokio::sync::oneshot;

use crate::store::AuditRecord;

/// An organisation, or unknown actors together, may take one part of this many of the queue.
const SHARES: usize = 4;

/// A record that waits.
pub(super) struct Waiting {
    pub(super) record: AuditRecord,
    /// Whom to tell when it is written.
    pub(super) written: Option<oneshot::Sender<()>>,
}

/// The queue.
#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    of: HashMap<Option<OrganisationId>, usize>,
    lost: HashMap<Option<OrganisationId>, u64>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Adds a record, if the queue has fewer than `most` and its organisation has not used up its share. Otherwise counts it as lost, and
    /// returns false.
    pub(super) fn add(&mut self, waiting: Waiting, most: usize) -> bool {
        let organisation = waiting.record.organisation;
        let of = self.of.get(&organisation).copied().unwrap_or(0);
        if self.waiting.len() >= most || of >= (most / SHARES).max(1) {
            *self.lost.entry(organisation).or_default() += 1;
            return false;
        }
        self.of.insert(organisation, of + 1);
        self.waiting.push_back(waiting);
        true
    }

    /// Takes the oldest records.
    pub(super) fn take(&mut self, at_most: usize) -> Vec<Waiting> {
        let count = self.waiting.len().min(at_most);
        let batch: Vec<_> = self.waiting.drain(..count).collect();
        for waiting in &batch {
            if let Some(of) = self.of.get_mut(&waiting.record.organisation) {
                *of -= 1;
                if *of == 0 {
                    self.of.remove(&waiting.record.organisation);
                }
            }
        }
        batch
    }

    /// Puts records that could not be written back to the front.
    pub(super) fn put_back(&mut self, batch: Vec<Waiting>) {
        for waiting in batch.into_iter().rev() {
            *self.of.entry(waiting.record.organisation).or_default() += 1;
            self.waiting.push_front(waiting);
        }
    }

    /// Takes the numbers of lost records by organisation.
    pub(super) fn take_lost(&mut self) -> HashMap<Option<OrganisationId>, u64> {
        std::mem::take(&mut self.lost)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::{AuditDecision, AuditEntry, AuditType};

    fn waiting(organisation: u128, at_ms: i64) -> Waiting {
        let entry = AuditEntry::new(AuditType::Refusal, "load-table", AuditDecision::Denied);
        let organisation = Some(OrganisationId(Uuid::from_u128(organisation)));
        Waiting { record: AuditRecord { id: 0, organisation, at_ms, entry }, written: None }
    }

    #[test]
    fn organisation_beyond_its_share_loses_its_own_records_only() {
        let mut queue = Queue::default();
        let taken = (0..100).filter(|at_ms| queue.add(waiting(1, *at_ms), 40)).count();
        assert_eq!(taken, 10);
        assert!(queue.add(waiting(2, 0), 40));
        let lost = queue.take_lost();
        assert_eq!(lost.len(), 1);
        assert_eq!(lost[&Some(OrganisationId(Uuid::from_u128(1)))], 90);
        assert!(queue.take_lost().is_empty());
    }

    #[test]
    fn batch_that_is_put_back_keeps_its_order_and_its_share() {
        let mut queue = Queue::default();
        for at_ms in 0..10 {
            queue.add(waiting(1, at_ms), 40);
        }
        let batch = queue.take(4);
        assert!(queue.add(waiting(1, 10), 40), "the share is free again");
        queue.put_back(batch);
        assert!(!queue.add(waiting(1, 11), 40));
        let times: Vec<_> = queue.take(100).iter().map(|waiting| waiting.record.at_ms).collect();
        assert_eq!(times, (0..11).collect::<Vec<_>>());
    }
}
