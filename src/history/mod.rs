//! Data about the past that is kept for a time: events of changes, and metrics reports of clients.

pub mod events;
pub mod reports;
