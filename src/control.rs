//! The control socket: how commands on the same machine talk to the server that runs on a data folder.
//!
//! It is a Unix socket in the data folder that only the server's user and root can use. A connection carries one request and
//! one reply, each a line of JSON.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidewater_core::limits::Tier;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::config::SettingChange;

/// The socket's name in the data folder.
const SOCKET: &str = "control.sock";

/// The longest path that every system takes for a socket, in bytes.
const MAX_PATH_BYTES: usize = 100;

/// The longest request or reply, in bytes.
const MAX_MESSAGE_BYTES: u64 = 1 << 20;

/// How long one exchange may take.
const EXCHANGE_TIME: Duration = Duration::from_secs(10);

/// How many exchanges there are at the same time.
const EXCHANGES_AT_ONCE: usize = 16;

/// What a command asks of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Read the settings again.
    Reload,
    /// Tell which settings are in force that commands must know.
    Status,
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The settings were read and are in force, as far as they can change while it runs.
    Reloaded {
        /// What is different.
        taken: Vec<SettingChange>,
        /// What holds only after a restart.
        needs_restart: Vec<SettingChange>,
    },
    /// How the server is set up.
    Status {
        /// The process.
        process: u32,
        /// Its version.
        version: String,
        /// The tiers that it knows.
        tiers: BTreeMap<String, Tier>,
    },
    /// It was not done, and why.
    Refused(String),
}

/// Why a server cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The socket is not this user's.
    #[error("may not use {}: run the command as the server's user", path.display())]
    NotAllowed {
        /// The socket.
        path: PathBuf,
    },
    /// It does not answer, or not as expected.
    #[error("the server behind {} does not answer: {source}", path.display())]
    NoAnswer {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// The server's end of the socket, which is removed when this is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Makes the socket in the data folder. The caller holds the folder's lock: one that is there is a dead server's.
    ///
    /// # Errors
    /// When the system does not let it be made.
    pub fn bind(folder: &Path) -> io::Result<Self> {
        let path = folder.join(SOCKET);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = with_short_path(folder, |path| UnixListener::bind(path))?;
        let socket = Self { listener, path };
        // Who connects before that is asked for their user all the same.
        fs::set_permissions(&socket.path, Permissions::from_mode(0o600))?;
        Ok(socket)
    }

    /// Answers every request with what `answer` says, until it is dropped.
    pub async fn serve<F>(&self, answer: impl Fn(Request) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let (answer, room) = (Arc::new(answer), Arc::new(Semaphore::new(EXCHANGES_AT_ONCE)));
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection to the control socket was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let exchange = tokio::time::timeout(EXCHANGE_TIME, exchange(stream, &*answer)).await;
                if let Err(error) = exchange.map_err(io::Error::from).flatten() {
                    tracing::debug!(%error, "an exchange over the control socket ended early");
                }
                drop(place);
            });
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // One that stays is replaced by the next server.
        let _ = fs::remove_file(&self.path);
    }
}

/// Reads a request and writes the reply.
async fn exchange<F: Future<Output = Reply>>(mut stream: UnixStream, answer: &impl Fn(Request) -> F) -> io::Result<()> {
    let user = stream.peer_cred()?.uid();
    let me = rustix::process::geteuid().as_raw();
    let reply = if user == me || user == 0 {
        let mut line = String::new();
        BufReader::new((&mut stream).take(MAX_MESSAGE_BYTES)).read_line(&mut line).await?;
        match serde_json::from_str(&line) {
            Ok(request) => answer(request).await,
            Err(error) => Reply::Refused(format!("the server does not know this request: {error}")),
        }
    } else {
        Reply::Refused("only the server's user and root may use the control socket".to_owned())
    };
    let mut text = serde_json::to_vec(&reply)?;
    text.push(b'\n');
    stream.write_all(&text).await?;
    stream.shutdown().await
}

/// Asks the server that runs on a data folder. Returns nothing when none does.
///
/// # Errors
/// All of [`ControlError`].
pub async fn ask(folder: &Path, request: Request) -> Result<Option<Reply>, ControlError> {
    let path = folder.join(SOCKET);
    let connected = with_short_path(folder, |path| std::os::unix::net::UnixStream::connect(path));
    let asked = match connected {
        Ok(stream) => tokio::time::timeout(EXCHANGE_TIME, converse(stream, request)).await,
        Err(error) => Ok(Err(error)),
    };
    match asked.map_err(io::Error::from).flatten() {
        Ok(reply) => Ok(Some(reply)),
        // There is none, or a server that was killed has left its own.
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(ControlError::NotAllowed { path }),
        Err(source) => Err(ControlError::NoAnswer { path, source }),
    }
}

async fn converse(stream: std::os::unix::net::UnixStream, request: Request) -> io::Result<Reply> {
    stream.set_nonblocking(true)?;
    let mut stream = UnixStream::from_std(stream)?;
    let mut text = serde_json::to_vec(&request)?;
    text.push(b'\n');
    stream.write_all(&text).await?;
    let mut reply = Vec::new();
    stream.take(MAX_MESSAGE_BYTES).read_to_end(&mut reply).await?;
    Ok(serde_json::from_slice(&reply)?)
}

/// Gives the socket's path in a folder, or one through a descriptor of the folder where the path is too long for a socket.
fn with_short_path<T>(folder: &Path, work: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = folder.join(SOCKET);
    if path.as_os_str().len() <= MAX_PATH_BYTES || !cfg!(target_os = "linux") {
        return work(&path);
    }
    let folder = File::open(folder)?;
    work(&PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiers(reply: Option<Reply>) -> Vec<String> {
        match reply {
            Some(Reply::Status { tiers, .. }) => tiers.into_keys().collect(),
            other => panic!("{other:?}"),
        }
    }

    fn serve(folder: &Path) -> tokio::task::JoinHandle<()> {
        let socket = ControlSocket::bind(folder).unwrap();
        tokio::spawn(async move {
            let answer = |request| async move {
                match request {
                    Request::Status => {
                        let gold = Tier { catalog: true, requests_per_day: None, max_tables: None };
                        Reply::Status { process: 1, version: "1".into(), tiers: [("gold".to_owned(), gold)].into() }
                    }
                    Request::Reload => Reply::Refused("a mistake".into()),
                }
            };
            socket.serve(answer).await;
        })
    }

    #[tokio::test]
    async fn request_is_answered_while_a_server_runs_and_by_nobody_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ask(folder.path(), Request::Status).await.unwrap(), None);
        let server = serve(folder.path());
        let mode = fs::metadata(folder.path().join(SOCKET)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(tiers(ask(folder.path(), Request::Status).await.unwrap()), ["gold"]);
        let refused = ask(folder.path(), Request::Reload).await.unwrap();
        assert_eq!(refused, Some(Reply::Refused("a mistake".to_owned())));
        server.abort();
        let _ = server.await;
        assert!(!folder.path().join(SOCKET).exists());
        assert_eq!(ask(folder.path(), Request::Status).await.unwrap(), None);
    }

    #[tokio::test]
    async fn socket_of_a_killed_server_is_none_and_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        drop(std::os::unix::net::UnixListener::bind(folder.path().join(SOCKET)).unwrap());
        assert_eq!(ask(folder.path(), Request::Status).await.unwrap(), None);
        let server = serve(folder.path());
        assert_eq!(tiers(ask(folder.path(), Request::Status).await.unwrap()), ["gold"]);
        server.abort();
    }

    #[tokio::test]
    async fn data_folder_with_a_long_path_has_a_socket_too() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a".repeat(120));
        fs::create_dir(&folder).unwrap();
        let server = serve(&folder);
        assert_eq!(tiers(ask(&folder, Request::Status).await.unwrap()), ["gold"]);
        server.abort();
    }

    #[tokio::test]
    async fn malformed_request_is_refused_with_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let server = serve(folder.path());
        let mut stream = UnixStream::connect(folder.path().join(SOCKET)).await.unwrap();
        stream.write_all(b"\"explode\"\n").await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        assert!(reply.contains("does not know this request"), "{reply}");
        server.abort();
    }
}
