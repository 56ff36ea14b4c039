//! Long work on a thread of its own, beside the workers for requests.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::oneshot;

use super::workers::lower_priority;
use super::{HeavyError, panic_message};

/// Runs work that may take minutes on a thread of its own, with the priority of workers. The caller bounds how many there are.
/// Work whose caller leaves goes on, so it needs another way to be stopped.
///
/// # Errors
/// `Stopped`, if it panicked or no thread can be started.
pub(crate) async fn run_alone<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, HeavyError> {
    let (sender, done) = oneshot::channel();
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        lower_priority();
        // Unwind safe: the values that the work has changed are dropped with it.
        drop(sender.send(catch_unwind(AssertUnwindSafe(work))));
    });
    started.map_err(|error| HeavyError::Stopped(format!("no thread can be started: {error}")))?;
    match done.await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(panic)) => Err(HeavyError::Stopped(panic_message(&*panic))),
        Err(_) => Err(HeavyError::Stopped("its thread is gone".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_returns_its_result_or_the_message_of_its_panic() {
        let name = run_alone("rewrite", || std::thread::current().name().map(str::to_owned)).await;
        assert_eq!(name, Ok(Some("rewrite".to_owned())));
        let failed: Result<(), _> = run_alone("rewrite", || panic!("a fault")).await;
        assert_eq!(failed, Err(HeavyError::Stopped("it panicked: a fault".to_owned())));
    }
}
