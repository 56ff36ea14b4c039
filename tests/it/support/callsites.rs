//! Keeps every log line's callsite asking its thread's subscriber.
//!
//! A callsite that is used for the first time while another thread sets a subscriber can miss it: tracing computes the callsite's
//! interest before it adds the callsite to the list that the new subscriber goes through. The callsite then stays silent. A
//! subscriber that lives as long as the process and says "sometimes" prevents this.

use std::sync::LazyLock;

use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Subscriber};

struct Sometimes;

impl Subscriber for Sometimes {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Starts it. Later calls do nothing.
pub(super) fn keep_interested() {
    static KEPT: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Sometimes));
    LazyLock::force(&KEPT);
}
