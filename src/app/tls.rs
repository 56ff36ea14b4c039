//! The server's certificate: its files at the start, the task that reads them again, and its metrics.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::api::Api;
use crate::background::{Task, TaskError};
use crate::base::clock::Clock;
use crate::config::Config;
use crate::server::{Tls, TlsError};

/// How long to wait before files that cannot be used are read again: a program that renews them may not have written all of them.
const SECOND_LOOK: Duration = Duration::from_secs(2);

/// Reads the files of TLS and registers their metrics. Returns `None` if the server speaks plain HTTP.
pub(super) fn load(config: &Config, api: &Api) -> anyhow::Result<Option<Arc<Tls>>> {
    if !config.tls.is_on() {
        return Ok(None);
    }
    let tls = Arc::new(Tls::load(&config.tls, api.clock.now_ms()).context("the server cannot speak TLS")?);
    api.telemetry.register(|registry| registry.register_collector(Box::new(Figures(Arc::clone(&tls)))));
    Ok(Some(tls))
}

/// Returns the task that reads the files again.
pub(super) fn task(tls: &Arc<Tls>, clock: &Clock) -> Task {
    let clock = clock.clone();
    let interval = tls.settings().check_interval();
    Task::every("tls", interval, tls, move |tls, _stop| {
        let clock = clock.clone();
        async move {
            if let Ok(changed) = reload(&tls, &clock).await? {
                return Ok(changed.into());
            }
            tokio::time::sleep(SECOND_LOOK).await;
            let changed = reload(&tls, &clock).await?.map_err(TaskError::from)?;
            Ok(changed.into())
        }
    })
    .first_after(interval)
    .while_failing("the server keeps the certificate that it has: repair the files before it expires")
}

/// Reads the files on a thread that may wait for the disk.
pub(super) async fn reload(tls: &Arc<Tls>, clock: &Clock) -> Result<Result<bool, TlsError>, tokio::task::JoinError> {
    let (tls, clock) = (Arc::clone(tls), clock.clone());
    tokio::task::spawn_blocking(move || tls.reload(clock.now_ms())).await
}

/// The figures of TLS, read at a scrape.
struct Figures(Arc<Tls>);

impl std::fmt::Debug for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Figures").finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandshakeLabels {
    outcome: &'static str,
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let help =
            "When the server's certificate, or one of its authorities in the same file, expires, in seconds since 1970";
        let expiry = ConstGauge::new(self.0.expires_s());
        expiry.encode(encoder.encode_descriptor(
            "tidewater_tls_certificate_expiry_seconds",
            help,
            None,
            expiry.metric_type(),
        )?)?;
        let help = "TLS connections that began, or did not, by outcome";
        let mut all = encoder.encode_descriptor("tidewater_tls_handshakes", help, None, MetricType::Counter)?;
        for (outcome, count) in self.0.handshakes() {
            let labels = HandshakeLabels { outcome: outcome.as_str() };
            ConstCounter::new(count).encode(all.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
