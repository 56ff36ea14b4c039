//! Helpers for every module: clock and new ids, secrets, deadlines, single flight, and a lock for each key.

pub mod clock;
pub mod deadline;
pub(crate) mod flight;
pub(crate) mod keyed_lock;
pub mod secret;
