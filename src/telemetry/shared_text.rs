//! One text of the metrics for many clients.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::last_texts::Written;
use super::{Format, Telemetry};

/// The shortest time from one text to the next.
const LEAST_PAUSE: Duration = Duration::from_millis(100);

impl Telemetry {
    /// Returns all metrics as text, with all requests that ended before this call.
    ///
    /// Writes one text at a time, at most ten a second. Calls that wait for it share it, so many clients cost no more than one.
    ///
    /// # Errors
    /// Fails if a metric cannot be written.
    pub async fn shared_text(self: &Arc<Self>, format: Format) -> Result<Bytes, fmt::Error> {
        let arrived = Instant::now();
        let mut last = self.last_texts.0.lock().await;
        let last = match format {
            Format::Prometheus => &mut last[0],
            Format::OpenMetrics => &mut last[1],
        };
        if let Some(written) = last {
            if written.begun > arrived {
                return Ok(written.text.clone());
            }
            sleep_until(written.begun + LEAST_PAUSE).await;
        }
        let (telemetry, begun) = (Arc::clone(self), Instant::now());
        // Some figures are read from files of the system.
        let writing = tokio::task::spawn_blocking(move || telemetry.encode(format));
        let text = Bytes::from(writing.await.map_err(|_| fmt::Error)??);
        *last = Some(Written { begun, text: text.clone() });
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures_util::future::join_all;
    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
    use prometheus_client::metrics::counter::ConstCounter;

    use super::*;
    use crate::base::clock::Clock;
    use crate::telemetry::SlowRequests;

    /// Counts how often it is read.
    #[derive(Debug, Clone, Default)]
    struct Reads(Arc<AtomicU64>);

    impl Collector for Reads {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
            let counter = ConstCounter::new(self.0.fetch_add(1, Ordering::SeqCst) + 1);
            counter.encode(encoder.encode_descriptor("reads", "Reads", None, counter.metric_type())?)
        }
    }

    fn counted() -> (Arc<Telemetry>, Reads) {
        let (telemetry, reads) = (Arc::new(Telemetry::new(0, SlowRequests::new(0, Clock::System))), Reads::default());
        telemetry.register(|registry| registry.register_collector(Box::new(reads.clone())));
        (telemetry, reads)
    }

    #[tokio::test]
    async fn many_clients_share_a_text() {
        let (telemetry, reads) = counted();
        let texts = join_all((0..64).map(|_| telemetry.shared_text(Format::Prometheus))).await;
        assert!(texts.iter().all(|text| text.as_ref().is_ok_and(|text| !text.is_empty())));
        let written = reads.0.load(Ordering::SeqCst);
        assert!((1..=2).contains(&written), "{written}");
    }

    #[tokio::test(start_paused = true)]
    async fn text_has_all_that_happened_before_the_call() {
        let (telemetry, _) = counted();
        for number in 1..4 {
            let text = telemetry.shared_text(Format::OpenMetrics).await.unwrap();
            let line = format!("reads_total {number}\n");
            assert!(String::from_utf8_lossy(&text).contains(&line), "{line}");
        }
    }
}
