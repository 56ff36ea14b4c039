//! Stops long work before its end. The rules have no clock: the caller decides when to stop.

use std::fmt;

/// Asks between the steps of long work whether it is still wanted.
#[derive(Clone, Copy)]
pub struct Stop<'a>(&'a (dyn Fn() -> bool + 'a));

/// The work was no longer wanted, and has changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work was stopped before its end")]
pub struct Stopped;

impl<'a> Stop<'a> {
    /// Lets work run to its end.
    pub const NEVER: Stop<'static> = Stop(&|| false);

    /// Stops work once `is_over` says so. It is asked often, and has to be quick.
    #[must_use]
    pub const fn when(is_over: &'a (dyn Fn() -> bool + 'a)) -> Self {
        Self(is_over)
    }

    /// Fails once the work is no longer wanted.
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
