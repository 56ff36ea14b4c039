//! Delivery of events to other systems, at least once and in order for each object.
//!
//! A [`Pump`] reads the feed for one consumer, gives batches to a [`Sink`], and stores the progress. [`CloudEvent`] is the form of an event
//! outside the catalog.

mod cloud_event;
pub mod kafka;
mod pump;
mod sink;

pub use cloud_event::{CloudEvent, event_type};
pub use pump::{Pump, Step};
pub use sink::{Delivery, Sink, SinkResult};
