//! Large values that take long to drop: a table with 50,000 columns has some hundred thousand allocations.

use std::fmt;
use std::ops::Deref;
use std::sync::Weak;

use super::workers::Workers;

/// A value that a worker drops if it is large. A small value is dropped on the current thread.
pub struct Large<T> {
    /// None once it is dropped.
    value: Option<T>,
    drop_elsewhere: Option<Drops<T>>,
}

/// The workers that drop a value, and the function that hands it over.
type Drops<T> = (Weak<Workers>, fn(&Workers, T));

impl<T: Send + 'static> Large<T> {
    /// Wraps a value that the current thread drops.
    pub(super) const fn small(value: T) -> Self {
        Self { value: Some(value), drop_elsewhere: None }
    }

    /// Wraps a value that one of `workers` drops, as long as they exist.
    pub(super) fn new(value: T, workers: Weak<Workers>) -> Self {
        let hand_over = |workers: &Workers, value: T| workers.submit(Box::new(move || drop(value)));
        Self { value: Some(value), drop_elsewhere: Some((workers, hand_over)) }
    }
}

impl<T> Deref for Large<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.value {
            Some(value) => value,
            None => unreachable!("only its drop takes the value"),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Large<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> Drop for Large<T> {
    fn drop(&mut self) {
        let Some((workers, hand_over)) = self.drop_elsewhere.take() else { return };
        if let (Some(workers), Some(value)) = (workers.upgrade(), self.value.take()) {
            hand_over(&workers, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use super::*;

    /// Sends the id of the thread that drops it.
    struct Told(mpsc::Sender<std::thread::ThreadId>);

    impl Drop for Told {
        fn drop(&mut self) {
            self.0.send(std::thread::current().id()).unwrap();
        }
    }

    #[test]
    fn large_value_is_dropped_by_a_worker_while_the_workers_exist() {
        let here = std::thread::current().id();
        let workers = Arc::new(Workers::new(1));
        let (tell, told) = mpsc::channel();
        drop(Large::new(Told(tell.clone()), Arc::downgrade(&workers)));
        assert_ne!(told.recv().unwrap(), here);
        drop(Large::small(Told(tell.clone())));
        assert_eq!(told.recv().unwrap(), here);
        let late = Large::new(Told(tell), Arc::downgrade(&workers));
        drop(workers);
        drop(late);
        assert_eq!(told.recv().unwrap(), here);
    }
}
