//! TLS in the server: its certificate, which is replaced while the server runs, and the begin of each connection.

mod files;
mod handshake;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use tokio_rustls::TlsAcceptor;

pub use files::TlsError;
use files::{Files, Identity};
pub(super) use handshake::{Opening, open};

use super::throttle::Throttle;
use crate::config::TlsConfig;

/// The TLS of a server. Connections that have begun keep the certificate of their beginning.
pub struct Tls {
    settings: TlsConfig,
    identity: RwLock<Arc<Identity>>,
    handshakes: [AtomicU64; Outcome::ALL.len()],
    failed: Throttle,
}

/// How the begin of a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The client and the server agreed.
    Ok,
    /// They did not agree, or the client left.
    Failed,
    /// The client spoke plain HTTP.
    PlainHttp,
    /// The client took too long.
    TimedOut,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Ok, Self::Failed, Self::PlainHttp, Self::TimedOut];

    /// Returns the outcome's name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::PlainHttp => "plain-http",
            Self::TimedOut => "timed-out",
        }
    }
}

impl Tls {
    /// Reads the files of the settings. `now_ms` is the time in milliseconds since 1970.
    ///
    /// # Errors
    /// Fails if a file cannot be read or used, or the certificate has expired. The text says what to do.
    pub fn load(settings: &TlsConfig, now_ms: i64) -> Result<Self, TlsError> {
        let identity = Files::read(settings)?.identity(settings, now_ms)?;
        Ok(Self {
            settings: settings.clone(),
            identity: RwLock::new(Arc::new(identity)),
            handshakes: Default::default(),
            failed: Throttle::default(),
        })
    }

    /// Reads the files again, and uses their content for new connections if it has changed. Returns whether it has.
    ///
    /// # Errors
    /// Fails like [`Self::load`]. Then the present certificate stays in use.
    pub fn reload(&self, now_ms: i64) -> Result<bool, TlsError> {
        let files = Files::read(&self.settings)?;
        if files.digest() == self.identity().digest {
            return Ok(false);
        }
        let identity = files.identity(&self.settings, now_ms)?;
        tracing::info!(
            subject = identity.subject,
            expires = identity.expires.to_string(),
            "the TLS certificate was replaced: new connections use it"
        );
        *self.identity.write() = Arc::new(identity);
        Ok(true)
    }

    /// Returns the settings.
    #[must_use]
    pub const fn settings(&self) -> &TlsConfig {
        &self.settings
    }

    /// Returns when the first certificate of the server's chain expires, in seconds since 1970.
    #[must_use]
    pub fn expires_s(&self) -> u64 {
        self.identity().expires.to_unix_duration().as_secs()
    }

    /// Returns how many connections began with each outcome.
    pub fn handshakes(&self) -> impl Iterator<Item = (Outcome, u64)> {
        Outcome::ALL.into_iter().zip(&self.handshakes).map(|(outcome, count)| (outcome, count.load(Ordering::Relaxed)))
    }

    pub(super) fn count(&self, outcome: Outcome) {
        self.handshakes[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of failures since the last line in the log, if it is time for the next one.
    pub(super) fn count_for_log(&self) -> Option<u64> {
        self.failed.count()
    }

    fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.identity.read())
    }

    fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.identity().config))
    }
}
