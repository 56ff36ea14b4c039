//! Opens connections to the database.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::{task, time};
use tokio_postgres::config::SslMode;
use tokio_postgres::{CancelToken, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::convert::{may_connect_later, message};
use super::settings::{PostgresSettings, Target, UrlError, Verification};
use super::tls::{Tls, TlsError};
use crate::base::secret::Secret;

/// Why no connection was opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// The database cannot be reached, or refused the connection.
    #[error("{}", message(.0))]
    Database(#[source] tokio_postgres::Error),
    /// No host answered in time.
    #[error("no connection to the database within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The file of the password cannot be read.
    #[error("the file of the database's password, {}, cannot be read: {cause}", file.display())]
    Password {
        /// The file.
        file: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The certificates or the key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The process ends.
    #[error("the connection was not opened: {0}")]
    Ended(#[from] task::JoinError),
}

/// Opens connections.
pub(super) struct Connector {
    target: Target,
    tls: Tls,
    password: Option<Secret<String>>,
    password_file: Option<PathBuf>,
    timeout: Duration,
}

/// A new connection.
pub(super) struct Connected {
    pub(super) client: tokio_postgres::Client,
    /// The task that sends and receives.
    pub(super) task: AbortHandle,
}

impl Connector {
    /// Reads the settings.
    pub(super) fn new(settings: &PostgresSettings) -> Result<Self, UrlError> {
        let target = Target::parse(settings.url.expose(), settings.connect_timeout)?;
        let hosts = u32::try_from(target.config.get_hosts().len().max(target.config.get_hostaddrs().len()));
        Ok(Self {
            tls: Tls::new(target.tls.clone()),
            password: settings.password.clone(),
            password_file: settings.password_file.clone(),
            timeout: settings.connect_timeout.saturating_mul(hosts.unwrap_or(1).max(1)),
            target,
        })
    }

    /// Opens a connection, with the present password and certificates.
    pub(super) async fn connect(self: &Arc<Self>) -> Result<Connected, ConnectError> {
        match time::timeout(self.timeout, self.connect_to_one()).await {
            Ok(connected) => connected,
            Err(_) => Err(ConnectError::TimedOut(self.timeout)),
        }
    }

    async fn connect_to_one(self: &Arc<Self>) -> Result<Connected, ConnectError> {
        let this = Arc::clone(self);
        let (config, tls) =
            task::spawn_blocking(move || Ok::<_, ConnectError>((this.config()?, this.tls()?))).await??;
        Ok(match tls {
            Some(tls) => started(config.connect(tls).await.map_err(ConnectError::Database)?),
            None => started(config.connect(NoTls).await.map_err(ConnectError::Database)?),
        })
    }

    /// Asks the database to stop the statement of another connection. Best effort: the statement may have ended, and nothing tells
    /// whether it was stopped.
    pub(super) async fn cancel(self: Arc<Self>, statement: CancelToken) {
        let this = Arc::clone(&self);
        let cancel = async {
            match task::spawn_blocking(move || this.tls()).await {
                Ok(Ok(Some(tls))) => statement.cancel_query(tls).await,
                Ok(Ok(None)) => statement.cancel_query(NoTls).await,
                Ok(Err(_)) | Err(_) => Ok(()),
            }
        };
        let cancelled = time::timeout(self.timeout, cancel).await;
        if let Ok(Err(error)) = cancelled {
            tracing::debug!(error = message(&error), "a statement could not be cancelled");
        }
    }

    fn config(&self) -> Result<tokio_postgres::Config, ConnectError> {
        let mut config = self.target.config.clone();
        if let Some(file) = &self.password_file {
            let read = std::fs::read_to_string(file);
            let text = read.map_err(|cause| ConnectError::Password { file: file.clone(), cause })?;
            config.password(text.trim_end_matches(['\r', '\n']));
        } else if let Some(password) = &self.password {
            config.password(password.expose());
        }
        Ok(config)
    }

    /// Returns what makes TLS, or `None` if connections have none.
    fn tls(&self) -> Result<Option<MakeRustlsConnect>, TlsError> {
        if self.target.config.get_ssl_mode() == SslMode::Disable { Ok(None) } else { self.tls.connector().map(Some) }
    }

    /// Returns a warning about an encrypted connection whose other side is not checked.
    pub(super) fn warning(&self) -> Option<&'static str> {
        let is_checked = self.target.tls.verification == Verification::IssuerAndHost;
        (self.target.config.get_ssl_mode() != SslMode::Disable && !is_checked).then_some(
            "the certificate of the database is not checked: set sslmode=verify-full in store.url outside of a trusted network",
        )
    }
}

/// Starts the task of a connection.
fn started<S, T>((client, connection): (tokio_postgres::Client, tokio_postgres::Connection<S, T>)) -> Connected
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let task = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = message(&error), "a connection to the database ended");
        }
    });
    Connected { client, task: task.abort_handle() }
}

impl ConnectError {
    /// Returns whether another attempt may succeed without a person's help.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::TimedOut(_) => true,
            Self::Database(error) => may_connect_later(error),
            Self::Password { .. } | Self::Tls(_) | Self::Ended(_) => false,
        }
    }
}
