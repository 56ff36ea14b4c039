//! A connection's own timer.
//!
//! hyper bounds the wait for each request's headers with a sleep that it makes and drops again. To note one and to strike it
//! out takes the lock that all threads' timers share, both for every request. Here a sleep that is dropped is kept, noted as
//! it is, and put to a later time when it is next wanted, which takes no lock.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::time::Sleep;

/// The timer of one connection.
#[derive(Clone, Default)]
pub(super) struct ConnectionTimer {
    spare: Spare,
}

type Spare = Arc<Mutex<Option<Pin<Box<Sleep>>>>>;

impl hyper::rt::Timer for ConnectionTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        let deadline = deadline.into();
        let sleep = match self.spare.lock().take() {
            Some(mut spare) => {
                spare.as_mut().reset(deadline);
                spare
            }
            None => Box::pin(tokio::time::sleep_until(deadline)),
        };
        Box::pin(ConnectionSleep { sleep: Some(sleep), spare: Arc::clone(&self.spare) })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn hyper::rt::Sleep>>, deadline: Instant) {
        *sleep = self.sleep_until(deadline);
    }
}

struct ConnectionSleep {
    /// There until this is dropped.
    sleep: Option<Pin<Box<Sleep>>>,
    spare: Spare,
}

impl hyper::rt::Sleep for ConnectionSleep {}

impl Future for ConnectionSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().map_or(Poll::Ready(()), |sleep| sleep.as_mut().poll(context))
    }
}

impl Drop for ConnectionSleep {
    fn drop(&mut self) {
        *self.spare.lock() = self.sleep.take();
    }
}

#[cfg(test)]
mod tests {
    use hyper::rt::Timer;

    use super::*;

    /// How long a sleep takes, in seconds.
    async fn slept(sleep: Pin<Box<dyn hyper::rt::Sleep>>) -> u64 {
        let begun = tokio::time::Instant::now();
        sleep.await;
        begun.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleep_that_was_dropped_neither_ends_the_next_early_nor_late() {
        let timer = ConnectionTimer::default();
        for (first_s, second_s) in [(5, 30), (30, 5), (30, 30)] {
            let mut dropped = timer.sleep(Duration::from_secs(first_s));
            // Looked at once, so that it is noted.
            assert!(futures_util::poll!(dropped.as_mut()).is_pending());
            drop(dropped);
            assert_eq!(slept(timer.sleep(Duration::from_secs(second_s))).await, second_s);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_sleeps_at_once_are_two() {
        let timer = ConnectionTimer::default();
        let (short, long) = (timer.sleep(Duration::from_secs(1)), timer.sleep(Duration::from_secs(2)));
        assert_eq!((slept(short).await, slept(long).await), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleep_can_be_put_off() {
        let timer = ConnectionTimer::default();
        let mut sleep = timer.sleep(Duration::from_secs(1));
        timer.reset(&mut sleep, timer.now() + Duration::from_secs(3));
        assert_eq!(slept(sleep).await, 3);
    }
}
