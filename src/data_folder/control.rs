//! The control socket: a Unix socket in the data folder, over which commands on the same machine reach the server.
//!
//! The server speaks HTTP over it, with the same routes as over TCP (`server/machine.rs`). Only the server's user and root can
//! use it. The folder's lock, not the socket, shows whether a server runs.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{UnixListener, UnixStream};

use crate::data_folder::owner::user_name;

/// The socket's name in the data folder.
const SOCKET: &str = "control.sock";

/// The longest path of a socket that every system accepts, in bytes.
const MAX_PATH_BYTES: usize = 100;

/// Why a server cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// This user may not use the socket.
    #[error("may not use {}: run the command as the server's user", path.display())]
    NotAllowed {
        /// The socket.
        path: PathBuf,
    },
    /// The socket does not accept connections.
    #[error("the server behind {} does not answer: {source}", path.display())]
    NoAnswer {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// The server's end of the socket. The file is removed when this is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Creates the socket in the data folder. The caller must have the folder's lock: an existing socket is a dead server's.
    ///
    /// # Errors
    /// Fails if the system cannot create it.
    pub fn bind(folder: &Path) -> io::Result<Self> {
        let path = folder.join(SOCKET);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = with_short_path(folder, |path| UnixListener::bind(path))?;
        let socket = Self { listener, path };
        // `accept` checks the user of a client that connects before this call.
        fs::set_permissions(&socket.path, Permissions::from_mode(0o600))?;
        Ok(socket)
    }

    /// Accepts a connection. Returns it with the name of the user at its other end.
    ///
    /// # Errors
    /// Fails if none can be accepted; `PermissionDenied` for a user who is neither the server's nor root.
    pub async fn accept(&self) -> io::Result<(UnixStream, Arc<str>)> {
        let (stream, _) = self.listener.accept().await?;
        let user = stream.peer_cred()?.uid();
        if user != 0 && user != rustix::process::geteuid().as_raw() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("{} may not use the control socket", user_name(user)),
            ));
        }
        Ok((stream, user_name(user).into()))
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // The next server replaces a socket that stays.
        let _ = fs::remove_file(&self.path);
    }
}

/// Connects to the server that runs on a data folder. Returns `None` if no server accepts connections there.
///
/// # Errors
/// All of [`ControlError`].
pub fn connect(folder: &Path) -> Result<Option<UnixStream>, ControlError> {
    let connected = with_short_path(folder, |path| std::os::unix::net::UnixStream::connect(path));
    let connected = connected.and_then(|stream| {
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream)
    });
    match connected {
        Ok(stream) => Ok(Some(stream)),
        // There is no socket, or a killed server left it.
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(ControlError::NotAllowed { path: folder.join(SOCKET) })
        }
        Err(source) => Err(ControlError::NoAnswer { path: folder.join(SOCKET), source }),
    }
}

/// Calls `work` with the socket's path in a folder. If that is too long for a socket, uses a path through a descriptor of the
/// folder.
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

    #[tokio::test]
    async fn connection_has_its_users_name_and_dropped_socket_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(connect(folder.path()).unwrap().is_none());
        let socket = ControlSocket::bind(folder.path()).unwrap();
        let mode = fs::metadata(folder.path().join(SOCKET)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let _client = connect(folder.path()).unwrap().unwrap();
        let (_stream, user) = socket.accept().await.unwrap();
        assert_eq!(*user, *user_name(rustix::process::geteuid().as_raw()));
        drop(socket);
        assert!(!folder.path().join(SOCKET).exists());
        assert!(connect(folder.path()).unwrap().is_none());
    }

    #[tokio::test]
    async fn socket_of_a_killed_server_is_ignored_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        drop(std::os::unix::net::UnixListener::bind(folder.path().join(SOCKET)).unwrap());
        assert!(connect(folder.path()).unwrap().is_none());
        let _socket = ControlSocket::bind(folder.path()).unwrap();
        assert!(connect(folder.path()).unwrap().is_some());
    }

    #[tokio::test]
    async fn socket_in_a_folder_with_a_long_path_works() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a".repeat(120));
        fs::create_dir(&folder).unwrap();
        let _socket = ControlSocket::bind(&folder).unwrap();
        assert!(connect(&folder).unwrap().is_some());
    }
}
