//! Stops long work early. The rules have no clock: the caller decides when to stop.

use std::fmt;

/// A check that long work makes between its steps: whether to go on.
#[derive(Clone, Copy)]
pub struct Stop<'a>(&'a (dyn Fn() -> bool + 'a));

/// The work was stopped, and has changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work was stopped before its end")]
pub struct Stopped;

impl<'a> Stop<'a> {
    /// Never stops work.
    pub const NEVER: Stop<'static> = Stop(&|| false);

    /// Stops work once `is_over` returns `true`. Work calls it often, so it must be fast.
    #[must_use]
    pub const fn when(is_over: &'a (dyn Fn() -> bool + 'a)) -> Self {
        Self(is_over)
    }

    /// Fails once the work must stop.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn check(self) -> Result<(), Stopped> {
        if (self.0)() { Err(Stopped) } else { Ok(()) }
    }
}

impl fmt::Debug for Stop<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stop")
    }
}
