//! Opens connections to the database.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::{task, time};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{CancelToken, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{Address, Destination, destinations};
use super::cancel::cancel;
use super::convert::{may_connect_later, message};
use super::settings::{PostgresSettings, Target, UrlError, Verification};
use super::tls::{Tls, TlsError};
use crate::base::named_file;
use crate::base::secret::Secret;

/// Why no connection was opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// The database cannot be reached, or refused the connection.
    #[error("{}", message(.0))]
    Database(#[source] tokio_postgres::Error),
    /// The last host did not answer in time.
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
    /// The maximum time for each host.
    timeout: Duration,
    /// The host of the newest connection, which is tried first.
    last: AtomicUsize,
}

/// A new connection.
pub(super) struct Connected {
    pub(super) client: tokio_postgres::Client,
    /// The task that sends and receives.
    pub(super) task: AbortHandle,
    /// Cancels the statement of this connection.
    pub(super) cancellation: Cancellation,
}

/// What is needed to cancel a connection's statement.
#[derive(Clone)]
pub(super) struct Cancellation {
    token: CancelToken,
    address: Option<Address>,
    /// The name in the database's certificate.
    host: String,
}

impl Connector {
    /// Reads the settings.
    pub(super) fn new(settings: &PostgresSettings) -> Result<Self, UrlError> {
        let target = Target::parse(settings.url.expose(), settings.connect_timeout)?;
        Ok(Self {
            tls: Tls::new(target.tls.clone()),
            password: settings.password.clone(),
            password_file: settings.password_file.clone(),
            timeout: settings.connect_timeout,
            last: AtomicUsize::new(0),
            target,
        })
    }

    /// Opens a connection to the first host that accepts it, with the present password and certificates.
    pub(super) async fn connect(self: &Arc<Self>) -> Result<Connected, ConnectError> {
        let (this, hosts) = (Arc::clone(self), &self.target.hosts);
        // Files are read.
        let prepared = move || Ok::<_, ConnectError>((this.password()?, this.tls()?));
        let (password, tls) = task::spawn_blocking(prepared).await??;
        let first = self.last.load(Ordering::Relaxed);
        let mut failed: Option<ConnectError> = None;
        for at in (first..hosts.len()).chain(0..first) {
            let mut config = hosts[at].clone();
            if let Some(password) = &password {
                config.password(password.expose());
            }
            match time::timeout(self.timeout, connect_to_host(&config, tls.as_ref())).await {
                Ok(Ok(connected)) => {
                    self.last.store(at, Ordering::Relaxed);
                    return Ok(connected);
                }
                // If one host may accept a connection later, that is what to wait for.
                _ if failed.as_ref().is_some_and(ConnectError::may_pass) => {}
                Ok(Err(error)) => failed = Some(ConnectError::Database(error)),
                Err(_) => failed = Some(ConnectError::TimedOut(self.timeout)),
            }
        }
        Err(failed.unwrap_or(ConnectError::TimedOut(self.timeout)))
    }

    /// Asks the database to stop the statement of another connection. Best effort: the statement may have ended, and nothing tells
    /// whether it was stopped.
    pub(super) async fn cancel(self: Arc<Self>, statement: Cancellation) {
        let this = Arc::clone(&self);
        let Cancellation { token, address: Some(address), host } = statement else { return };
        let cancelled = async {
            match task::spawn_blocking(move || this.tls()).await {
                Ok(Ok(tls)) => cancel(&token, &address, tls, &host).await,
                Ok(Err(_)) | Err(_) => Ok(()),
            }
        };
        if let Ok(Err(error)) = time::timeout(self.timeout, cancelled).await {
            tracing::debug!(%error, "a statement could not be cancelled");
        }
    }

    /// Returns the password, if it is not that of the URL.
    fn password(&self) -> Result<Option<Secret<String>>, ConnectError> {
        let Some(file) = &self.password_file else { return Ok(self.password.clone()) };
        let read = named_file::read_text(file);
        let text = read.map_err(|cause| ConnectError::Password { file: file.clone(), cause })?;
        Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned())))
    }

    fn uses_tls(&self) -> bool {
        self.target.hosts.iter().any(|host| host.get_ssl_mode() != SslMode::Disable)
    }

    /// Returns what makes TLS, or `None` if connections have none.
    fn tls(&self) -> Result<Option<MakeRustlsConnect>, TlsError> {
        if self.uses_tls() { self.tls.connector().map(Some) } else { Ok(None) }
    }

    /// Returns a warning about an encrypted connection whose other side is not checked.
    pub(super) fn warning(&self) -> Option<&'static str> {
        let is_checked = self.target.tls.verification == Verification::IssuerAndHost;
        (self.uses_tls() && !is_checked).then_some(
            "the certificate of the database is not checked: set sslmode=verify-full in store.url outside of a trusted network",
        )
    }
}

/// Connects to the first address of a host that accepts it.
async fn connect_to_host(
    host: &tokio_postgres::Config,
    tls: Option<&MakeRustlsConnect>,
) -> Result<Connected, tokio_postgres::Error> {
    let mut all = destinations(host).await;
    let last = all.pop();
    for destination in all {
        if let Ok(connected) = connect_to(destination, tls).await {
            return Ok(connected);
        }
    }
    let last = last.unwrap_or_else(|| Destination { config: host.clone(), address: None });
    connect_to(last, tls).await
}

async fn connect_to(
    Destination { config, address }: Destination,
    tls: Option<&MakeRustlsConnect>,
) -> Result<Connected, tokio_postgres::Error> {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(_)) | None => String::new(),
    };
    Ok(match tls {
        Some(tls) => started(config.connect(tls.clone()).await?, address, host),
        None => started(config.connect(NoTls).await?, address, host),
    })
}

/// Starts the task of a connection.
fn started<S, T>(
    (client, connection): (tokio_postgres::Client, tokio_postgres::Connection<S, T>),
    address: Option<Address>,
    host: String,
) -> Connected
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let task = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = message(&error), "a connection to the database ended");
        }
    });
    let cancellation = Cancellation { token: client.cancel_token(), address, host };
    Connected { client, task: task.abort_handle(), cancellation }
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
