//! What is kept of the past for a time: events of changes, and the metrics reports of clients.

pub mod events;
pub mod reports;
