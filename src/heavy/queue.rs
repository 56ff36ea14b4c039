//! The order of heavy work: each owner has a queue, and the owners take turns.

use std::collections::{HashMap, VecDeque};

use uuid::Uuid;

/// How often a demand may be passed over because there is no memory for it. After that, free memory is kept for it.
const MAX_PASSED_OVER: u32 = 64;

/// The resources of running work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    /// Memory, in bytes.
    pub(super) bytes: u64,
    /// Workers: 1, or 0 for a reservation of memory.
    pub(super) workers: usize,
}

/// The available resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Capacity {
    /// Memory for all owners together and for one owner, in bytes.
    pub(super) bytes: u64,
    pub(super) owner_bytes: u64,
    /// Workers for all owners together and for one owner.
    pub(super) workers: usize,
    pub(super) owner_workers: usize,
    /// The most waiting demands of one owner.
    pub(super) owner_waiting: usize,
}

/// What heavy work uses at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeavyUsage {
    /// Work that waits.
    pub waiting: u64,
    /// Busy workers.
    pub workers: u64,
    /// Reserved memory, in bytes.
    pub bytes: u64,
}

/// Waiting demands, and the resources of granted demands.
pub(super) struct FairQueue<T> {
    capacity: Capacity,
    bytes: u64,
    workers: usize,
    owners: HashMap<Uuid, Owner<T>>,
    /// The owners with waiting demands, in the order of their turns.
    turns: VecDeque<Uuid>,
}

struct Owner<T> {
    bytes: u64,
    workers: usize,
    waiting: VecDeque<(Need, T)>,
    passed_over: u32,
}

impl<T> Default for Owner<T> {
    fn default() -> Self {
        Self { bytes: 0, workers: 0, waiting: VecDeque::new(), passed_over: 0 }
    }
}

/// Whether a demand can be granted now.
enum Fit {
    Fits,
    /// Its owner has reached the limits of one owner.
    OwnerIsFull,
    /// All workers are in use.
    NoWorker,
    /// Not enough memory is free.
    NoMemory,
}

impl<T> FairQueue<T> {
    /// Returns what waits, and what is granted.
    pub(super) fn usage(&self) -> HeavyUsage {
        let waiting = self.owners.values().map(|owner| owner.waiting.len() as u64).sum();
        HeavyUsage { waiting, workers: self.workers as u64, bytes: self.bytes }
    }

    pub(super) fn new(capacity: Capacity) -> Self {
        Self { capacity, bytes: 0, workers: 0, owners: HashMap::new(), turns: VecDeque::new() }
    }

    /// Adds a demand at the end of its owner's queue. A demand that needs no memory goes before those that do: its owner may hold
    /// the memory that they wait for.
    ///
    /// # Errors
    /// Returns the demand if too many demands of its owner wait already.
    pub(super) fn push(&mut self, owner: Uuid, need: Need, demand: T) -> Result<(), T> {
        let of_owner = self.owners.entry(owner).or_default();
        if of_owner.waiting.len() >= self.capacity.owner_waiting {
            return Err(demand);
        }
        if of_owner.waiting.is_empty() {
            self.turns.push_back(owner);
        }
        let at = match need.bytes {
            0 => of_owner.waiting.iter().take_while(|(before, _)| before.bytes == 0).count(),
            _ => of_owner.waiting.len(),
        };
        of_owner.waiting.insert(at, (need, demand));
        Ok(())
    }

    /// Grants the first demand of the next owner in turn whose first demand fits.
    pub(super) fn pop(&mut self) -> Option<(Uuid, Need, T)> {
        let mut memory_is_kept = false;
        for at in 0..self.turns.len() {
            let id = self.turns[at];
            let Some(owner) = self.owners.get(&id) else { continue };
            let Some(&(need, _)) = owner.waiting.front() else { continue };
            match self.fit(owner, need) {
                Fit::Fits if need.bytes > 0 && memory_is_kept => {}
                Fit::Fits => return self.grant(at, id),
                Fit::OwnerIsFull | Fit::NoWorker => {}
                Fit::NoMemory => {
                    let passed_over = self.owners.get_mut(&id).map_or(0, |owner| {
                        owner.passed_over += 1;
                        owner.passed_over
                    });
                    memory_is_kept |= passed_over > MAX_PASSED_OVER;
                }
            }
        }
        None
    }

    fn grant(&mut self, at: usize, id: Uuid) -> Option<(Uuid, Need, T)> {
        let owner = self.owners.get_mut(&id)?;
        let (need, demand) = owner.waiting.pop_front()?;
        owner.passed_over = 0;
        owner.bytes += need.bytes;
        owner.workers += need.workers;
        self.bytes += need.bytes;
        self.workers += need.workers;
        self.turns.remove(at);
        if !owner.waiting.is_empty() {
            self.turns.push_back(id);
        }
        Some((id, need, demand))
    }

    /// Releases the resources of a granted demand.
    pub(super) fn release(&mut self, id: Uuid, need: Need) {
        self.bytes -= need.bytes;
        self.workers -= need.workers;
        let Some(owner) = self.owners.get_mut(&id) else { return };
        owner.bytes -= need.bytes;
        owner.workers -= need.workers;
        self.forget_idle(id);
    }

    /// Removes the owner's demands for which `still_waits` returns false.
    pub(super) fn retain(&mut self, id: Uuid, still_waits: impl Fn(&T) -> bool) {
        let Some(owner) = self.owners.get_mut(&id) else { return };
        owner.waiting.retain(|(_, demand)| still_waits(demand));
        if owner.waiting.is_empty() {
            self.turns.retain(|turn| *turn != id);
        }
        self.forget_idle(id);
    }

    fn forget_idle(&mut self, id: Uuid) {
        let is_idle = |owner: &Owner<T>| owner.workers == 0 && owner.bytes == 0 && owner.waiting.is_empty();
        if self.owners.get(&id).is_some_and(is_idle) {
            self.owners.remove(&id);
        }
    }

    /// Returns whether a demand fits now. A demand for more memory than there is fits if nothing else uses memory: otherwise it
    /// would never run.
    fn fit(&self, owner: &Owner<T>, need: Need) -> Fit {
        let Capacity { bytes, owner_bytes, workers, owner_workers, .. } = self.capacity;
        let is_too_much = |used: u64, limit: u64| used > 0 && need.bytes > 0 && used.saturating_add(need.bytes) > limit;
        if need.workers > 0 && owner.workers + need.workers > owner_workers || is_too_much(owner.bytes, owner_bytes) {
            Fit::OwnerIsFull
        } else if need.workers > 0 && self.workers + need.workers > workers {
            Fit::NoWorker
        } else if is_too_much(self.bytes, bytes) {
            Fit::NoMemory
        } else {
            Fit::Fits
        }
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.owners.is_empty() && self.turns.is_empty() && self.bytes == 0 && self.workers == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: Capacity =
        Capacity { bytes: 100, owner_bytes: 50, workers: 3, owner_workers: 2, owner_waiting: 1_000 };
    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);
    const C: Uuid = Uuid::from_u128(3);

    fn one(bytes: u64) -> Need {
        Need { bytes, workers: 1 }
    }

    fn all(queue: &mut FairQueue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop()).map(|(_, _, demand)| demand).collect()
    }

    #[test]
    fn owner_with_many_demands_leaves_a_worker_to_others() {
        let mut queue = FairQueue::new(CAPACITY);
        (0..10).for_each(|demand| queue.push(A, one(1), demand).unwrap());
        assert_eq!(all(&mut queue), [0, 1]);
        queue.push(B, one(1), 100).unwrap();
        assert_eq!(all(&mut queue), [100]);
    }

    #[test]
    fn owners_take_turns_regardless_of_the_length_of_their_queues() {
        let mut queue = FairQueue::new(CAPACITY);
        (0..4).for_each(|demand| queue.push(A, one(1), demand).unwrap());
        (10..12).for_each(|demand| queue.push(B, one(1), demand).unwrap());
        queue.push(C, one(1), 20).unwrap();
        let mut order = Vec::new();
        let mut running = Vec::new();
        loop {
            while let Some((owner, need, demand)) = queue.pop() {
                running.push((owner, need));
                order.push(demand);
            }
            if running.is_empty() {
                break;
            }
            let (owner, need) = running.remove(0);
            queue.release(owner, need);
        }
        assert_eq!(order, [0, 10, 20, 1, 11, 2, 3]);
        assert!(queue.is_idle());
    }

    #[test]
    fn memory_is_limited_for_all_and_for_each_owner() {
        let mut queue = FairQueue::new(CAPACITY);
        queue.push(A, one(40), 1).unwrap();
        queue.push(A, one(20), 2).unwrap();
        queue.push(B, one(50), 3).unwrap();
        queue.push(C, one(20), 4).unwrap();
        assert_eq!(all(&mut queue), [1, 3]);
        queue.release(B, one(50));
        assert_eq!(all(&mut queue), [4]);
        queue.release(A, one(40));
        assert_eq!(all(&mut queue), [2]);
    }

    #[test]
    fn demand_larger_than_all_memory_runs_alone() {
        let mut queue = FairQueue::new(CAPACITY);
        queue.push(A, one(1_000), 1).unwrap();
        queue.push(B, one(1), 2).unwrap();
        assert_eq!(all(&mut queue), [1]);
        queue.release(A, one(1_000));
        assert_eq!(all(&mut queue), [2]);
        queue.push(A, one(1_000), 3).unwrap();
        assert!(all(&mut queue).is_empty());
        queue.release(B, one(1));
        assert_eq!(all(&mut queue), [3]);
    }

    #[test]
    fn large_demand_is_not_passed_over_for_ever() {
        let mut queue = FairQueue::new(CAPACITY);
        queue.push(B, one(40), 0).unwrap();
        assert_eq!(all(&mut queue), [0]);
        queue.push(A, one(90), 1).unwrap();
        let mut passed = 0;
        // Other demands come and go, and one of them always runs.
        for demand in 2..1_000 {
            queue.push(C, one(10), demand).unwrap();
            match queue.pop() {
                Some((owner, need, _)) => queue.release(owner, need),
                None => break,
            }
            passed += 1;
        }
        assert_eq!(passed, MAX_PASSED_OVER);
        queue.release(B, one(40));
        assert_eq!(queue.pop().map(|(_, _, demand)| demand), Some(1));
    }

    #[test]
    fn demand_without_memory_goes_before_demands_that_wait_for_memory() {
        let mut queue = FairQueue::new(CAPACITY);
        let reserved = Need { bytes: 50, workers: 0 };
        queue.push(A, reserved, 0).unwrap();
        queue.push(B, reserved, 1).unwrap();
        assert_eq!(all(&mut queue), [0, 1]);
        queue.push(A, one(10), 2).unwrap();
        queue.push(C, one(10), 3).unwrap();
        (0..=MAX_PASSED_OVER).for_each(|_| assert_eq!(queue.pop(), None));
        queue.push(A, one(0), 4).unwrap();
        queue.push(B, one(0), 5).unwrap();
        assert_eq!(all(&mut queue), [4, 5]);
        queue.release(A, one(0));
        queue.release(A, reserved);
        assert_eq!(all(&mut queue), [3, 2]);
    }

    #[test]
    fn demand_of_an_owner_with_a_full_queue_is_refused() {
        let mut queue = FairQueue::new(Capacity { owner_waiting: 2, ..CAPACITY });
        queue.push(A, one(1), 1).unwrap();
        queue.push(A, one(1), 2).unwrap();
        assert_eq!(queue.push(A, one(1), 3), Err(3));
        queue.push(B, one(1), 4).unwrap();
        queue.retain(A, |demand| *demand != 1);
        queue.push(A, one(1), 3).unwrap();
        assert_eq!(all(&mut queue), [2, 4, 3]);
    }

    #[test]
    fn reservation_of_memory_waits_for_no_worker() {
        let mut queue = FairQueue::new(CAPACITY);
        (0..3).for_each(|demand| queue.push(Uuid::from_u128(demand), one(1), demand as u32).unwrap());
        assert_eq!(all(&mut queue), [0, 1, 2]);
        queue.push(A, Need { bytes: 1, workers: 0 }, 3).unwrap();
        assert_eq!(all(&mut queue), [3]);
    }
}
