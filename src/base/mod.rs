//! What every part may use: the time and fresh ids, secrets, deadlines, one question for many, and a lock for each key.

pub mod clock;
pub mod deadline;
pub(crate) mod flight;
pub(crate) mod keyed_lock;
pub mod secret;
