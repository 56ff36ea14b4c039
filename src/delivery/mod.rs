//! Delivery of events to other systems, at least once and in order for each object.
//!
//! A [`Pump`] reads the feed for one consumer, gives batches to a [`Sink`], and stores the progress. [`CloudEvent`] is the form of an event
//! outside the catalog.

mod address;
mod cloud_event;
mod courier;
pub mod kafka;
mod measures;
mod pump;
mod sequencer;
mod signature;
mod sink;
#[cfg(test)]
mod tests;
mod webhook;
mod webhooks;
mod worker;

pub use address::AllowedAddresses;
pub use cloud_event::{CloudEvent, event_type};
pub use measures::DeliveryMeasures;
pub use pump::{Pump, RetryPolicy, Selects, Step};
pub use sequencer::Sequencer;
pub use signature::fresh_secret;
pub use sink::{Delivery, Sink, SinkResult};
pub use webhook::{Receiver, Refusal, secret_owner};
pub use webhooks::Webhooks;
