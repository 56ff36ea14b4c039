//! What the machine can do by itself: answering with bytes and nothing else, and making bytes durable and nothing else.

pub mod bare;
pub mod durable;
pub mod measure;
