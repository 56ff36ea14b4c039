//! History with a retention: events of changes, and the metrics reports of clients.

pub mod events;
pub mod reports;
