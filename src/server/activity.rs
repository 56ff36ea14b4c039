//! The activity of a connection, and its deadlines.
//!
//! The parts of a connection record events in a few atomic numbers, without a lock. Each connection has one timer, which reads
//! them when the earliest deadline may have passed. So a request needs no timer here.
//!
//! The clock is read once in each turn of a connection's task. Events in the turn get the time of its beginning.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use axum::http::Version;
use tokio::time::Instant;

use crate::config::ConnectionsConfig;

/// The longest pauses of a client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    pub(super) head: Duration,
    pub(super) write: Duration,
    pub(super) idle: Duration,
}

impl Timeouts {
    pub(super) fn from_config(config: &ConnectionsConfig) -> Self {
        Self { head: config.head_timeout(), write: config.write_timeout(), idle: config.idle_timeout() }
    }

    /// Returns the shortest time-out. A check this often notices every deadline in time.
    fn shortest(&self) -> Duration {
        self.head.min(self.write).min(self.idle)
    }
}

/// Why a connection is closed before the client closes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The head of a request did not arrive in time.
    Head,
    /// The client does not read its answer.
    Unread,
    /// No request arrived for too long.
    Idle,
}

/// The stage of a connection: it serves, or it is ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    /// It accepts requests.
    Serving,
    /// It ends as soon as it is not busy.
    Stopping,
    /// It ends now.
    CutOff,
}

const NO_REQUEST_YET: u8 = 0;
const HTTP_1: u8 = 1;
const HTTP_2: u8 = 2;

/// The state of a connection. Times are milliseconds since it was opened, plus one; 0 means none.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    protocol: AtomicU8,
    /// Requests without an answer yet.
    requests: AtomicU32,
    /// Answers over HTTP/2 that are not yet sent to their end.
    answers: AtomicU32,
    /// When a request last ended, or an answer made progress.
    progress: AtomicU64,
    /// When the first part of an incomplete request head arrived. HTTP/1 only.
    head_since: AtomicU64,
    /// Since when the client reads nothing that is written.
    blocked_since: AtomicU64,
    stage: AtomicU8,
    /// Whether a request has begun since the connection's task was last polled.
    turn_taken: AtomicBool,
    /// When the connection's task was last polled, in nanoseconds since the connection was opened.
    turn_since: AtomicU64,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            protocol: AtomicU8::new(NO_REQUEST_YET),
            requests: AtomicU32::new(0),
            answers: AtomicU32::new(0),
            progress: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            blocked_since: AtomicU64::new(0),
            stage: AtomicU8::new(Stage::Serving as u8),
            turn_taken: AtomicBool::new(false),
            turn_since: AtomicU64::new(0),
        }
    }

    /// Records that the connection's task is polled.
    pub(super) fn begin_turn(&self) {
        self.turn_taken.store(false, Ordering::Relaxed);
        let since = u64::try_from(self.opened.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.turn_since.store(since, Ordering::Relaxed);
    }

    /// Takes the connection's turn for a request. Returns false if another request has taken it in this poll.
    pub(super) fn take_turn(&self) -> bool {
        !self.turn_taken.swap(true, Ordering::Relaxed)
    }

    /// Returns when a request of that HTTP version arrived. Over HTTP/2, requests have tasks of their own.
    pub(super) fn arrival(&self, version: Version) -> Instant {
        if version == Version::HTTP_2 {
            return Instant::now();
        }
        self.opened + Duration::from_nanos(self.turn_since.load(Ordering::Relaxed))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    /// Returns when the present turn of the connection's task began. Only that task may call it.
    fn this_turn(&self) -> u64 {
        self.turn_since.load(Ordering::Relaxed) / 1_000_000 + 1
    }

    /// Records that a request arrived. It ends when the guard is dropped.
    pub(super) fn begin_request(self: &Arc<Self>, version: Version) -> Request {
        let protocol = if version == Version::HTTP_2 { HTTP_2 } else { HTTP_1 };
        self.protocol.store(protocol, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        Request(Arc::clone(self))
    }

    /// Records that an answer over HTTP/2 begins. It ends when the guard is dropped.
    pub(super) fn begin_answer(self: &Arc<Self>) -> Answer {
        self.answers.fetch_add(1, Ordering::Relaxed);
        Answer(Arc::clone(self))
    }

    /// Records that bytes arrived.
    pub(super) fn note_read(&self) {
        let between_requests = self.requests.load(Ordering::Relaxed) == 0;
        // Over HTTP/2, bytes between two requests need not belong to a request.
        let may_be_head = between_requests && self.protocol.load(Ordering::Relaxed) != HTTP_2;
        if may_be_head && self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(self.this_turn(), Ordering::Relaxed);
        }
    }

    /// Records that the client has read bytes.
    pub(super) fn note_written(&self) {
        if self.blocked_since.load(Ordering::Relaxed) != 0 {
            self.blocked_since.store(0, Ordering::Relaxed);
        }
        // Over HTTP/1 only answers are written. Over HTTP/2 the answers to a client's pings never end.
        if self.protocol.load(Ordering::Relaxed) == HTTP_1 {
            self.progress.store(self.this_turn(), Ordering::Relaxed);
        }
    }

    /// Records that the client has no room for more bytes.
    pub(super) fn note_blocked(&self) {
        if self.blocked_since.load(Ordering::Relaxed) == 0 {
            self.blocked_since.store(self.this_turn(), Ordering::Relaxed);
        }
    }

    /// Returns the number of running requests.
    pub(super) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Returns whether a request is running, or its answer is being sent.
    pub(super) fn is_busy(&self) -> bool {
        self.requests() > 0
            || self.answers.load(Ordering::Relaxed) > 0
            || self.blocked_since.load(Ordering::Relaxed) != 0
    }

    /// Returns how long the connection has waited for its next request. Returns `None` if it is busy or has had no request yet.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        let is_between_requests = self.protocol.load(Ordering::Relaxed) != NO_REQUEST_YET
            && !self.is_busy()
            && self.head_since.load(Ordering::Relaxed) == 0;
        let since = self.progress.load(Ordering::Relaxed);
        is_between_requests.then(|| Duration::from_millis(self.now().saturating_sub(since)))
    }

    /// Moves the connection to a stage. The caller must wake its task.
    pub(super) fn go_on_to(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    /// Returns whether the connection is at a stage or past it.
    pub(super) fn has_reached(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::Acquire) >= stage as u8
    }

    /// Returns whether the last request came over HTTP/2.
    pub(super) fn is_http_2(&self) -> bool {
        self.protocol.load(Ordering::Relaxed) == HTTP_2
    }

    /// Returns why the connection must be closed now, if it must.
    pub(super) fn overdue(&self, timeouts: &Timeouts) -> Option<Overdue> {
        let (deadline, why) = self.deadline(timeouts)?;
        (deadline <= self.now()).then_some(why)
    }

    /// Returns when to call [`Self::overdue`] again.
    pub(super) fn next_look(&self, timeouts: &Timeouts) -> Instant {
        let latest = Instant::now() + timeouts.shortest();
        match self.deadline(timeouts) {
            Some((deadline, _)) => latest.min(self.opened + Duration::from_millis(deadline)),
            None => latest,
        }
    }

    fn deadline(&self, timeouts: &Timeouts) -> Option<(u64, Overdue)> {
        let after = |since: u64, timeout: Duration| {
            since.saturating_add(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX))
        };
        let blocked_since = self.blocked_since.load(Ordering::Relaxed);
        if blocked_since != 0 {
            return Some((after(blocked_since, timeouts.write), Overdue::Unread));
        }
        if self.requests() > 0 {
            // The request has its own time-out.
            return None;
        }
        let progress = self.progress.load(Ordering::Relaxed);
        if self.answers.load(Ordering::Relaxed) > 0 {
            return Some((after(progress, timeouts.write), Overdue::Unread));
        }
        let head_since = self.head_since.load(Ordering::Relaxed);
        match self.protocol.load(Ordering::Relaxed) {
            // Counts from the opening of the connection, even if part of a request has arrived.
            NO_REQUEST_YET => Some((after(1, timeouts.head), Overdue::Head)),
            HTTP_1 if head_since != 0 => Some((after(head_since, timeouts.head), Overdue::Head)),
            _ => Some((after(progress, timeouts.idle), Overdue::Idle)),
        }
    }
}

/// A running request.
#[derive(Debug)]
pub(super) struct Request(Arc<Activity>);

impl Drop for Request {
    fn drop(&mut self) {
        let ended = if self.0.is_http_2() { self.0.now() } else { self.0.this_turn() };
        self.0.progress.store(ended, Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer over HTTP/2 that is being sent.
#[derive(Debug)]
pub(super) struct Answer(Arc<Activity>);

impl Answer {
    /// Records that the client has room for more of it.
    pub(super) fn note_progress(&self) {
        self.0.progress.store(self.0.now(), Ordering::Relaxed);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.note_progress();
        self.0.answers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: Timeouts =
        Timeouts { head: Duration::from_secs(10), write: Duration::from_secs(20), idle: Duration::from_secs(100) };

    /// Returns after how many seconds a connection without further events is closed, and why. Takes turns only at its
    /// [`Activity::next_look`].
    async fn closed_after_s(activity: &Activity) -> Option<(u64, Overdue)> {
        let begun = Instant::now();
        for _ in 0..1_000 {
            activity.begin_turn();
            if let Some(why) = activity.overdue(&TIMEOUTS) {
                return Some((begun.elapsed().as_secs(), why));
            }
            tokio::time::sleep_until(activity.next_look(&TIMEOUTS)).await;
        }
        None
    }

    /// Waits, and begins the next turn of the connection's task.
    async fn pass(activity: &Activity, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        activity.begin_turn();
    }

    #[tokio::test(start_paused = true)]
    async fn connection_without_a_whole_head_is_closed_even_if_bytes_arrive() {
        let activity = Activity::new();
        assert_eq!(closed_after_s(&activity).await, Some((10, Overdue::Head)));
        let dripping = Activity::new();
        for _ in 0..9 {
            pass(&dripping, 1).await;
            dripping.note_read();
        }
        assert_eq!(closed_after_s(&dripping).await, Some((1, Overdue::Head)));
    }

    #[tokio::test(start_paused = true)]
    async fn connection_is_idle_after_its_last_request_until_a_head_begins() {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let activity = Arc::new(Activity::new());
            let request = activity.begin_request(version);
            pass(&activity, 500).await;
            assert_eq!(activity.overdue(&TIMEOUTS), None, "a request is running");
            drop(request);
            assert_eq!(closed_after_s(&activity).await, Some((100, Overdue::Idle)));

            drop(activity.begin_request(version));
            pass(&activity, 50).await;
            activity.note_read();
            let expected = if version == Version::HTTP_2 { (50, Overdue::Idle) } else { (10, Overdue::Head) };
            assert_eq!(closed_after_s(&activity).await, Some(expected));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn unread_answer_ends_the_connection_unless_it_makes_progress() {
        let activity = Arc::new(Activity::new());
        drop(activity.begin_request(Version::HTTP_11));
        for _ in 0..10 {
            activity.note_blocked();
            pass(&activity, 15).await;
            assert_eq!(activity.overdue(&TIMEOUTS), None);
            activity.note_written();
        }
        activity.note_blocked();
        assert_eq!(closed_after_s(&activity).await, Some((20, Overdue::Unread)));
        activity.note_written();
        assert_eq!(closed_after_s(&activity).await, Some((100, Overdue::Idle)), "counted from the last read byte");
    }

    #[tokio::test(start_paused = true)]
    async fn pings_over_http_2_do_not_keep_a_connection_open() {
        let activity = Arc::new(Activity::new());
        let request = activity.begin_request(Version::HTTP_2);
        let answer = activity.begin_answer();
        drop(request);
        pass(&activity, 15).await;
        answer.note_progress();
        for _ in 0..19 {
            pass(&activity, 1).await;
            activity.note_read();
            activity.note_written();
        }
        assert_eq!(closed_after_s(&activity).await, Some((1, Overdue::Unread)));
        drop(answer);
        for _ in 0..99 {
            pass(&activity, 1).await;
            activity.note_read();
            activity.note_written();
        }
        assert_eq!(closed_after_s(&activity).await, Some((1, Overdue::Idle)));
    }
}
