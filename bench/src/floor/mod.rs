//! The limits of the machine itself: sending bytes, and writing bytes durably.

pub mod bare;
pub mod durable;
pub mod measure;
