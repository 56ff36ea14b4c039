//! Sends a second request when an answer is slow, since a busy server rarely delays both.

use std::time::Duration;

/// Returns the outcome of `call`. If it has not ended `after` that time, begins it once more and returns the first success. If
/// both fail, returns the failure of the one that ended last.
pub(super) async fn first_of_two<T, E, F>(after: Duration, call: impl Fn() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let first = call();
    tokio::pin!(first);
    tokio::select! {
        outcome = &mut first => return outcome,
        () = tokio::time::sleep(after) => {}
    }
    let second = call();
    tokio::pin!(second);
    tokio::select! {
        outcome = &mut first => if outcome.is_ok() { outcome } else { second.await },
        outcome = &mut second => if outcome.is_ok() { outcome } else { first.await },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const AFTER: Duration = Duration::from_secs(1);

    /// Runs calls with these durations in seconds and outcomes. Returns the outcome, and the number of begun calls.
    async fn run(calls: &[(u64, Result<u32, u32>)]) -> (Result<u32, u32>, u32) {
        let begun = AtomicU32::new(0);
        let outcome = first_of_two(AFTER, || {
            let (seconds, outcome) = calls[begun.fetch_add(1, Ordering::SeqCst) as usize];
            async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                outcome
            }
        });
        (outcome.await, begun.load(Ordering::SeqCst))
    }

    #[tokio::test(start_paused = true)]
    async fn quick_call_is_made_once() {
        assert_eq!(run(&[(0, Ok(1))]).await, (Ok(1), 1));
        assert_eq!(run(&[(0, Err(1))]).await, (Err(1), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn first_success_of_two_calls_is_returned() {
        assert_eq!(run(&[(9, Ok(1)), (1, Ok(2))]).await, (Ok(2), 2));
        assert_eq!(run(&[(2, Ok(1)), (9, Ok(2))]).await, (Ok(1), 2));
        assert_eq!(run(&[(9, Ok(1)), (1, Err(2))]).await, (Ok(1), 2));
        assert_eq!(run(&[(2, Err(1)), (9, Ok(2))]).await, (Ok(2), 2));
        assert_eq!(run(&[(2, Err(1)), (9, Err(2))]).await, (Err(2), 2));
    }
}
