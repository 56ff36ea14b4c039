//! The line for a few places, such as connections or memory: who waits, and who is next.
//!
//! Organisations take turns, and whoever has just had a place is last. Shares keep an organisation from having all places at once: one
//! with slow lists, or whose changes wait for each other's locks, cannot stop the others.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidewater_core::ids::OrganisationId;
use tokio::sync::oneshot;
use tokio::time;

/// The most places that one organisation has at once, and that the server itself has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shares {
    pub(crate) of_one: usize,
    pub(crate) of_server: usize,
}

impl Shares {
    /// Returns the shares that let an organisation have all places while no other waits.
    pub(crate) const fn all(places: usize) -> Self {
        Self { of_one: places, of_server: places }
    }

    /// Returns the shares for changes: a quarter of the places, and at least one, is always for others than one organisation. The server
    /// itself may have all: it has few tasks.
    pub(crate) fn for_changes(places: usize) -> Self {
        Self { of_one: places.saturating_sub((places / 4).max(1)).max(1), of_server: places }
    }

    /// Returns the shares for lists: an organisation has at most half of the places, the server and its operators all but one.
    pub(crate) fn for_lists(places: usize) -> Self {
        Self { of_one: (places / 2).max(1), of_server: places.saturating_sub(1).max(1) }
    }
}

/// The most work that waits for connections, of all organisations and of one.
const MOST_WAITING: Waiting = Waiting { of_all: 4_096, of_one: 2_048 };

/// Numbers of waiting pieces of work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    /// Of all organisations.
    pub(crate) of_all: usize,
    /// Of one organisation.
    pub(crate) of_one: usize,
}

/// Why a place was not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoPlace {
    /// Too many wait.
    #[error("too many wait already")]
    Busy,
    /// No place became free in time.
    #[error("no turn came in time")]
    TimedOut,
}

/// Whose work it is. `None` for that of the server itself, and of its operators.
pub(crate) type Owner = Option<OrganisationId>;

/// A number of places, and those who wait for one.
pub(crate) struct Line {
    state: Mutex<State>,
    most_waiting: Waiting,
    shares: Shares,
}

#[derive(Default)]
struct State {
    free: usize,
    /// The waiting work of organisations. Work of the server itself is not counted: it has few tasks, each of which waits for its
    /// answer.
    waiting: usize,
    owners: HashMap<Owner, Places>,
    /// Who has waiting work, in the order of their turns.
    turns: VecDeque<Owner>,
}

#[derive(Default)]
struct Places {
    held: usize,
    waiting: VecDeque<oneshot::Sender<Place>>,
}

/// The right to one place, until its drop.
#[derive(Debug)]
pub(crate) struct Place {
    line: Option<Arc<Line>>,
    owner: Owner,
}

/// What a line gives to one who joins it.
#[derive(Debug)]
pub(crate) enum Joined {
    /// A place.
    Has(Place),
    /// A turn to come.
    Waits(Turn),
}

/// A turn to come. Its drop leaves the line.
#[derive(Debug)]
pub(crate) struct Turn(oneshot::Receiver<Place>);

impl Turn {
    /// Waits for the place.
    ///
    /// # Errors
    /// `TimedOut`.
    pub(crate) async fn wait(self, at_most: Duration) -> Result<Place, NoPlace> {
        // A place that is given at the last moment comes back when the receiver is dropped with it.
        match time::timeout(at_most, self.0).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(NoPlace::TimedOut),
        }
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("free", &self.state.lock().free).finish_non_exhaustive()
    }
}

impl Line {
    /// Creates a line for a number of places.
    pub(crate) fn new(places: usize, shares: Shares) -> Arc<Self> {
        Self::with_limits(places, shares, MOST_WAITING)
    }

    /// Creates a line with limits for those who wait.
    pub(crate) fn with_limits(places: usize, shares: Shares, most_waiting: Waiting) -> Arc<Self> {
        let state = Mutex::new(State { free: places, ..State::default() });
        Arc::new(Self { state, most_waiting, shares })
    }

    /// Returns how much work of organisations waits for a place.
    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().waiting
    }

    /// Returns how many places are free.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.state.lock().free
    }

    /// Waits for a place.
    pub(crate) async fn enter(self: &Arc<Self>, owner: Owner, at_most: Duration) -> Result<Place, NoPlace> {
        match self.join(owner)? {
            Joined::Has(place) => Ok(place),
            Joined::Waits(turn) => turn.wait(at_most).await,
        }
    }

    /// Takes a free place, or joins those who wait for one.
    ///
    /// # Errors
    /// `Busy` if too many wait.
    pub(crate) fn join(self: &Arc<Self>, owner: Owner) -> Result<Joined, NoPlace> {
        let mut state = self.state.lock();
        let is_free =
            state.free > 0 && self.may_hold(&state, owner) && state.owners.get(&owner).is_none_or(Places::has_no_line);
        match is_free {
            true => Ok(Joined::Has(self.take(&mut state, owner))),
            false => self.wait(&mut state, owner).map(|waits| Joined::Waits(Turn(waits))),
        }
    }

    fn may_hold(&self, state: &State, owner: Owner) -> bool {
        let most = if owner.is_some() { self.shares.of_one } else { self.shares.of_server };
        state.owners.get(&owner).is_none_or(|places| places.held < most)
    }

    fn take(self: &Arc<Self>, state: &mut State, owner: Owner) -> Place {
        state.free -= 1;
        state.owners.entry(owner).or_default().held += 1;
        Place { line: Some(Arc::clone(self)), owner }
    }

    fn wait(&self, state: &mut State, owner: Owner) -> Result<oneshot::Receiver<Place>, NoPlace> {
        if owner.is_some() && self.is_full(state, owner) {
            state.forget_absent();
            if self.is_full(state, owner) {
                return Err(NoPlace::Busy);
            }
        }
        let (gives, waits) = oneshot::channel();
        state.owners.entry(owner).or_default().waiting.push_back(gives);
        state.waiting += usize::from(owner.is_some());
        if !state.turns.contains(&owner) {
            state.turns.push_back(owner);
        }
        Ok(waits)
    }

    fn is_full(&self, state: &State, owner: Owner) -> bool {
        let of_one = state.owners.get(&owner).map_or(0, |places| places.waiting.len());
        state.waiting >= self.most_waiting.of_all || of_one >= self.most_waiting.of_one
    }

    /// Gives free places to those whose turn it is.
    fn give(self: &Arc<Self>, state: &mut State) {
        let mut passed = 0;
        while state.free > 0 && passed < state.turns.len() {
            let Some(owner) = state.turns.pop_front() else { break };
            if !self.may_hold(state, owner) {
                state.turns.push_back(owner);
                passed += 1;
                continue;
            }
            let next = state.owners.get_mut(&owner).and_then(|places| places.waiting.pop_front());
            let Some(gives) = next else { continue };
            state.waiting = state.waiting.saturating_sub(usize::from(owner.is_some()));
            state.turns.push_back(owner);
            passed = 0;
            let place = self.take(state, owner);
            if let Err(mut unwanted) = gives.send(place) {
                // The lock is held: the place is put back here, not by its drop.
                unwanted.line = None;
                state.put_back(owner);
            }
        }
    }
}

impl Places {
    fn has_no_line(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl State {
    /// Forgets those who no longer wait.
    fn forget_absent(&mut self) {
        for places in self.owners.values_mut() {
            places.waiting.retain(|waits| !waits.is_closed());
        }
        let waiting = self.owners.iter().filter(|(owner, _)| owner.is_some()).map(|(_, of)| of.waiting.len());
        self.waiting = waiting.sum();
    }

    /// Makes an owner the last of those who wait.
    fn move_to_end(&mut self, owner: Owner) {
        if let Some(at) = self.turns.iter().position(|turn| *turn == owner) {
            self.turns.remove(at);
            self.turns.push_back(owner);
        }
    }

    fn put_back(&mut self, owner: Owner) {
        self.free += 1;
        if let Some(places) = self.owners.get_mut(&owner) {
            places.held = places.held.saturating_sub(1);
            if places.held == 0 && places.waiting.is_empty() {
                self.owners.remove(&owner);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            let mut state = line.state.lock();
            state.put_back(self.owner);
            state.move_to_end(self.owner);
            line.give(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::base::clock::fresh_uuid;

    const LONG: Duration = Duration::from_secs(60);

    fn owner() -> Owner {
        Some(OrganisationId(fresh_uuid()))
    }

    #[tokio::test]
    async fn one_organisation_never_has_all_places() {
        let line = Line::new(4, Shares::for_changes(4));
        let (a, b) = (owner(), owner());
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(line.enter(a, LONG).await.unwrap());
        }
        assert!(line.enter(a, LONG).now_or_never().is_none(), "a fourth place is for others");
        held.push(line.enter(b, LONG).now_or_never().unwrap().unwrap());
        assert!(line.enter(b, LONG).now_or_never().is_none(), "all places are taken");
    }

    #[tokio::test]
    async fn an_organisation_has_half_of_the_places_for_lists_and_the_server_all_but_one() {
        let line = Line::new(4, Shares::for_lists(4));
        let (a, b) = (owner(), owner());
        let mut held = vec![line.enter(a, LONG).await.unwrap(), line.enter(a, LONG).await.unwrap()];
        assert!(line.enter(a, LONG).now_or_never().is_none(), "a third place is for others");
        held.push(line.enter(b, LONG).now_or_never().unwrap().unwrap());
        held.clear();
        for _ in 0..3 {
            held.push(line.enter(None, LONG).await.unwrap());
        }
        assert!(line.enter(None, LONG).now_or_never().is_none(), "a fourth place is for organisations");
        held.push(line.enter(b, LONG).now_or_never().unwrap().unwrap());
    }

    #[tokio::test]
    async fn organisations_take_turns() {
        let line = Line::new(2, Shares::for_changes(2));
        let (a, b) = (owner(), owner());
        let (first, second) = (line.enter(a, LONG).await.unwrap(), line.enter(None, LONG).await.unwrap());
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = Vec::new();
        for (name, owner) in [("a1", a), ("a2", a), ("a3", a), ("b1", b), ("b2", b)] {
            let (line, order) = (Arc::clone(&line), Arc::clone(&order));
            waiting.push(async move {
                let place = line.enter(owner, LONG).await.unwrap();
                order.lock().push(name);
                drop(place);
            });
        }
        let mut waiting = futures_util::future::join_all(waiting);
        assert!((&mut waiting).now_or_never().is_none());
        drop(first);
        waiting.await;
        drop(second);
        assert_eq!(*order.lock(), ["b1", "a1", "b2", "a2", "a3"], "the one that had a place is last");
    }

    #[tokio::test]
    async fn an_organisation_with_much_work_lets_another_one_be_next() {
        let line = Line::new(1, Shares::all(1));
        let (greedy, modest) = (owner(), owner());
        let Joined::Has(held) = line.join(greedy).unwrap() else { panic!("a place is free") };
        let wait = |owner| match line.join(owner).unwrap() {
            Joined::Waits(turn) => Box::pin(turn.wait(LONG)),
            Joined::Has(_) => panic!("no place is free"),
        };
        let greedily: Vec<_> = (0..1_000).map(|_| wait(greedy)).collect();
        let modestly = wait(modest);
        drop(held);
        let place = modestly.now_or_never().expect("the one is next").unwrap();
        drop(place);
        assert!(greedily.into_iter().next().unwrap().now_or_never().is_some());
    }

    #[tokio::test]
    async fn too_many_waiting_changes_are_refused() {
        let line = Line::with_limits(1, Shares::for_changes(1), Waiting { of_all: 3, of_one: 2 });
        let (a, b, c) = (owner(), owner(), owner());
        let _held = line.enter(None, LONG).await.unwrap();
        let waits = |owner| {
            let line = Arc::clone(&line);
            tokio::spawn(async move { line.enter(owner, LONG).await.map(drop) })
        };
        let waiting = [waits(a), waits(a), waits(b)];
        while line.state.lock().waiting < 3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(line.enter(a, LONG).await.unwrap_err(), NoPlace::Busy);
        assert_eq!(line.enter(c, LONG).await.unwrap_err(), NoPlace::Busy);
        assert!(line.enter(None, LONG).now_or_never().is_none(), "work of the server itself waits");
        waiting.into_iter().for_each(|waits| waits.abort());
    }

    #[tokio::test(start_paused = true)]
    async fn wait_for_a_place_ends_in_time() {
        let line = Line::new(1, Shares::for_changes(1));
        let held = line.enter(owner(), LONG).await.unwrap();
        let late = owner();
        assert_eq!(line.enter(late, Duration::from_millis(5)).await.unwrap_err(), NoPlace::TimedOut);
        drop(held);
        assert!(line.enter(late, LONG).now_or_never().is_some(), "the place is not given to one who left");
        assert_eq!(line.state.lock().free, 1);
    }
}
