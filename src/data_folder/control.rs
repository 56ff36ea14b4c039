//! The Unix socket in the data folder: how commands on the same machine reach the server that runs there.
//!
//! The server speaks HTTP over it, by the same routes as over TCP (`server/machine.rs`). Only the server's user and root can
//! use it. The lock of the folder says whether a server runs; the socket is only how to talk to it.

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

/// The longest path that every system takes for a socket, in bytes.
const MAX_PATH_BYTES: usize = 100;

/// Why a server cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The socket is not this user's.
    #[error("may not use {}: run the command as the server's user", path.display())]
    NotAllowed {
        /// The socket.
        path: PathBuf,
    },
    /// It does not accept connections.
    #[error("the server behind {} does not answer: {source}", path.display())]
    NoAnswer {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
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
    /// Makes the socket in the data folder. The caller has the folder's lock, so a socket that is there is a dead server's.
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
        // A client that connects before that is asked for its user all the same.
        fs::set_permissions(&socket.path, Permissions::from_mode(0o600))?;
        Ok(socket)
    }

    /// Accepts a connection. Returns it with the name of the user at its other end.
    ///
    /// # Errors
    /// When none can be accepted; `PermissionDenied` for a user who is neither the server's nor root.
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
        // One that stays is replaced by the next server.
        let _ = fs::remove_file(&self.path);
    }
}

/// Connects to the server that runs on a data folder. Returns nothing when none accepts connections there.
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
        // There is none, or a server that was killed has left its own.
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(ControlError::NotAllowed { path: folder.join(SOCKET) })
        }
        Err(source) => Err(ControlError::NoAnswer { path: folder.join(SOCKET), source }),
    }
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

    #[tokio::test]
    async fn connection_has_the_name_of_its_user_and_ends_with_the_socket() {
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
    async fn socket_of_a_killed_server_is_none_and_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        drop(std::os::unix::net::UnixListener::bind(folder.path().join(SOCKET)).unwrap());
        assert!(connect(folder.path()).unwrap().is_none());
        let _socket = ControlSocket::bind(folder.path()).unwrap();
        assert!(connect(folder.path()).unwrap().is_some());
    }

    #[tokio::test]
    async fn data_folder_with_a_long_path_has_a_socket_too() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a".repeat(120));
        fs::create_dir(&folder).unwrap();
        let _socket = ControlSocket::bind(&folder).unwrap();
        assert!(connect(&folder).unwrap().is_some());
    }
}
