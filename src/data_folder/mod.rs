//! The data folder: created and checked before anything in it is opened, and locked by one server at a time.

pub mod control;
pub mod owner;

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::data_folder::owner::{give_to_owner_of, name_of};
use rustix::fs::Access;
use rustix::io::Errno;
use rustix::process::Pid;

/// The file that a server locks while it runs. It is never removed: a second server could then lock a new file of that name
/// while the first still has the old one.
const LOCK_FILE: &str = "server.lock";

/// The content of the lock file after a clean stop.
const STOPPED: &str = "stopped";

/// The default file of the master keys.
pub const MASTER_KEY_FILE: &str = "master.key";

/// The advice to choose another folder, for messages.
const ANOTHER: &str = "choose another folder with --data-dir or TIDEWATER_DATA_DIR";

/// Why a data folder cannot be used. The messages say what to do.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The path is not a folder.
    #[error("{} is not a folder, so it cannot store data: {ANOTHER}", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// The folder does not exist and cannot be created.
    #[error("cannot create the data folder {}: {source}; create it for {me}, who runs tidewater, or {ANOTHER}", path.display())]
    CannotMake {
        /// The folder.
        path: PathBuf,
        /// The user of this process.
        me: String,
        /// The system's error.
        source: io::Error,
    },
    /// The folder, or the database in it, belongs to another user.
    #[error(
        "{} belongs to {owner}, and tidewater runs as {me}, who may not write it: run it as {owner}, give the data folder over \
         with `chown -R`, or {ANOTHER}",
        path.display()
    )]
    SomeoneElses {
        /// The folder, or the file in it.
        path: PathBuf,
        /// Its owner.
        owner: String,
        /// The user of this process.
        me: String,
    },
    /// The folder belongs to this user, but is not writable.
    #[error(
        "{me} owns {} but may not write to it (its mode is {mode:o}): run `chmod u+rwX` on it, or {ANOTHER}",
        path.display()
    )]
    Closed {
        /// The folder, or the file in it.
        path: PathBuf,
        /// The user of this process.
        me: String,
        /// The permission bits.
        mode: u32,
    },
    /// Its file system is read-only.
    #[error("{} is on a read-only file system: mount it for writing, or {ANOTHER}", path.display())]
    ReadOnly {
        /// The folder.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("there is no space left on the disk of the data folder {}: free some, or {ANOTHER}", path.display())]
    NoSpace {
        /// The folder.
        path: PathBuf,
    },
    /// Another server uses the folder.
    #[error(
        "a server of tidewater runs on the data folder {} already{by}: use that one, stop it first, or {ANOTHER}",
        path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The server's process and address in brackets, or empty if unknown.
        by: String,
    },
    /// The file system has no file locks. The database needs them too.
    #[error("cannot lock {}: {source}; the data folder must be on a disk with file locks, such as a local one", path.display())]
    NoLocks {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The database of an earlier catalog is missing or empty.
    #[error(
        "the database {} is {state}, but its folder has files of an earlier catalog: {found}. Tidewater does not start an empty \
         catalog in its place. Put the database back, or restore a backup with `tidewater restore FILE --data-dir {}`; if the \
         catalog is in PostgreSQL, set `store.url`; to start a new catalog, move these files away, or {ANOTHER}",
        database.display(), database.parent().unwrap_or(database).display()
    )]
    DatabaseLost {
        /// The database.
        database: PathBuf,
        /// Its state: missing or empty.
        state: &'static str,
        /// The names of the files that an earlier catalog left.
        found: String,
    },
    /// Another error.
    #[error("cannot use the data folder {}: {source}", path.display())]
    Other {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Creates the folder if it does not exist, accessible only to its owner. Checks that the folder, and the database `file` in
/// it if there is one, can be written.
///
/// # Errors
/// All of [`FolderError`] except `InUse`, `NoLocks` and `DatabaseLost`.
pub fn prepare(folder: &Path, file: &Path) -> Result<(), FolderError> {
    match fs::metadata(folder) {
        Ok(found) if !found.is_dir() => return Err(FolderError::NotAFolder { path: folder.to_owned() }),
        Ok(_) => {}
        Err(_) => {
            // It contains secrets of signing keys. An owner may still open it to others.
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|source| not_made(folder, source))?;
        }
    }
    check_access(folder, file)
}

/// Checks that an existing folder, and the database `file` in it if there is one, can be written. Creates and changes nothing.
///
/// # Errors
/// As for [`prepare`].
pub fn check_access(folder: &Path, file: &Path) -> Result<(), FolderError> {
    if fs::metadata(folder).is_ok_and(|found| !found.is_dir()) {
        return Err(FolderError::NotAFolder { path: folder.to_owned() });
    }
    check(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)?;
    for suffix in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        check(Path::new(&name), Access::READ_OK | Access::WRITE_OK)?;
    }
    Ok(())
}

/// Fails if the database `file` in `folder` is missing or empty although there was a catalog. Opening it would start an empty
/// catalog in its place.
///
/// # Errors
/// `DatabaseLost`.
pub fn check_database_is_there(folder: &Path, file: &Path) -> Result<(), FolderError> {
    let state = match fs::metadata(file) {
        Ok(found) if found.len() > 0 => return Ok(()),
        Ok(_) => "empty",
        Err(error) if error.kind() == ErrorKind::NotFound => "missing",
        Err(source) => return Err(denied(file, source)),
    };
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    let log = PathBuf::from(log);
    let mut found = Vec::new();
    if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        found.push(log.display().to_string());
    }
    let key = folder.join(MASTER_KEY_FILE);
    if key.exists() {
        found.push(key.display().to_string());
    }
    if fs::read_to_string(folder.join(LOCK_FILE)).is_ok_and(|text| has_served(&text)) {
        found.push(folder.join(LOCK_FILE).display().to_string());
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(FolderError::DatabaseLost { database: file.to_owned(), state, found: found.join(", ") })
}

/// Returns whether a lock file was written by a server that had opened its database.
fn has_served(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    first == STOPPED || first.split_whitespace().nth(1).is_some()
}

fn not_made(folder: &Path, source: io::Error) -> FolderError {
    let path = folder.to_owned();
    match source.kind() {
        // A part of the path is a file.
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => FolderError::NotAFolder { path },
        ErrorKind::StorageFull => FolderError::NoSpace { path },
        ErrorKind::ReadOnlyFilesystem => FolderError::ReadOnly { path },
        _ => FolderError::CannotMake { path, me: me(), source },
    }
}

/// Checks access to a path. Accepts a path that does not exist.
fn check(path: &Path, wanted: Access) -> Result<(), FolderError> {
    let Err(error) = rustix::fs::access(path, wanted) else { return Ok(()) };
    let error = io::Error::from(error);
    match error.kind() {
        ErrorKind::NotFound => Ok(()),
        _ => Err(denied(path, error)),
    }
}

fn denied(path: &Path, source: io::Error) -> FolderError {
    let (path, found) = (path.to_owned(), fs::metadata(path));
    match (source.kind(), found) {
        (ErrorKind::ReadOnlyFilesystem, _) => FolderError::ReadOnly { path },
        (ErrorKind::StorageFull, _) => FolderError::NoSpace { path },
        (ErrorKind::PermissionDenied, Ok(found)) if found.uid() != my_id() => {
            FolderError::SomeoneElses { path, owner: user(found.uid()), me: me() }
        }
        (ErrorKind::PermissionDenied, Ok(found)) => FolderError::Closed { path, me: me(), mode: found.mode() & 0o777 },
        _ => FolderError::Other { path, source },
    }
}

fn my_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn me() -> String {
    user(my_id())
}

/// Returns a user's name for messages, or its id if it has no name.
fn user(id: u32) -> String {
    let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(&known, id).map_or_else(|| format!("the user with the id {id}"), |name| format!("the user '{name}'"))
}

/// How long to wait for another command that has the lock.
const COMMAND_TIME: Duration = Duration::from_secs(10);

/// How often to try the lock again.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Proof that no other process uses a data folder. Needed to open the database. The system releases the lock when the process
/// ends, even if it is killed.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
}

impl FolderLock {
    /// Takes the lock for a command. Waits for another command, but not for a server.
    ///
    /// # Errors
    /// `InUse`; `NoLocks`; those of [`prepare`].
    pub fn take(folder: &Path) -> Result<Self, FolderError> {
        let path = folder.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(|error| denied(&path, error))?;
        give_to_owner_of(folder, &file).map_err(|error| denied(&path, error))?;
        let until = Instant::now() + COMMAND_TIME;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { file }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(FolderError::NoLocks { path, source }),
            }
            let mut text = String::new();
            // The process id is only for the message.
            let _ = file.rewind().and_then(|()| file.read_to_string(&mut text));
            // Commands do not write to the file, so the text is the last server's.
            if process_of(&text).is_some() || Instant::now() >= until {
                return Err(FolderError::InUse { path: folder.to_owned(), by: describe_server(&text) });
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
}

impl FolderLock {
    /// Records in the lock file that the folder has a catalog, so that a missing database is not taken for a new folder. Does not
    /// change a server's record.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn note_catalog(&self) -> io::Result<()> {
        if self.file.metadata()?.len() > 0 {
            return Ok(());
        }
        (&self.file).write_all(format!("{STOPPED}\n").as_bytes())
    }
}

/// Proof that this process is the only server on a data folder.
#[derive(Debug)]
pub struct ServerLock {
    folder: FolderLock,
    after_unclean_stop: bool,
}

impl ServerLock {
    /// Takes the lock for a server.
    ///
    /// # Errors
    /// `InUse`; `NoLocks`; those of [`prepare`].
    pub fn take(folder: &Path) -> Result<Self, FolderError> {
        let mut taken = FolderLock::take(folder)?;
        let mut text = String::new();
        // A server writes only text.
        let _ = taken.file.rewind().and_then(|()| taken.file.read_to_string(&mut text));
        let after_unclean_stop = !text.is_empty() && text.lines().next() != Some(STOPPED);
        let mut lock = Self { folder: taken, after_unclean_stop };
        lock.write(&format!("{}\n", std::process::id())).map_err(|error| denied(folder, error))?;
        Ok(lock)
    }

    /// Writes this server's address into the lock file, for the messages of other processes. Ignores errors.
    pub fn announce(&mut self, address: SocketAddr) {
        let _ = self.write(&format!("{} {address}\n", std::process::id()));
    }

    /// Returns whether the previous server did not stop cleanly.
    #[must_use]
    pub const fn is_after_unclean_stop(&self) -> bool {
        self.after_unclean_stop
    }

    /// Records a clean stop and releases the lock. Ignores errors: the next server then assumes that this one was killed.
    pub fn stopped(mut self) {
        let _ = self.write(&format!("{STOPPED}\n"));
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        let file = &mut self.folder.file;
        // Never empty in between: a kill then would leave no sign of a catalog.
        file.rewind()?;
        file.write_all(text.as_bytes())?;
        file.set_len(text.len() as u64)
    }

    /// Returns the proof that no other process uses the folder.
    #[must_use]
    pub const fn folder(&self) -> &FolderLock {
        &self.folder
    }
}

/// Returns the id of the process in the folder's lock file, or `None` if that process has ended.
#[must_use]
pub fn process_of_server(folder: &Path) -> Option<i32> {
    // This does not try the lock: that could keep a server from starting at that moment.
    process_of(&fs::read_to_string(folder.join(LOCK_FILE)).ok()?)
}

/// Returns the id of the running process in the text of a lock file.
fn process_of(text: &str) -> Option<i32> {
    let number = text.split_whitespace().next()?.parse().ok()?;
    let process = Pid::from_raw(number)?;
    (rustix::process::test_kill_process(process) != Err(Errno::SRCH)).then_some(number)
}

/// Returns the server in the text of a lock file for messages, in brackets, or an empty text if no such process runs.
fn describe_server(text: &str) -> String {
    if process_of(text).is_none() {
        return String::new();
    }
    let mut words = text.lines().next().unwrap_or_default().split_whitespace();
    match (words.next(), words.next()) {
        (Some(process), Some(address)) => format!(" (process {process}, at {address})"),
        (Some(process), None) => format!(" (process {process})"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(folder: &Path) -> String {
        prepare(folder, &folder.join("tidewater.db")).unwrap_err().to_string()
    }

    #[test]
    fn missing_folder_is_created_with_its_parents_for_its_owner_only() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b");
        prepare(&folder, &folder.join("tidewater.db")).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700, "others cannot look into it");
        // An existing folder keeps its mode.
        fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o750)).unwrap();
        prepare(&folder, &folder.join("tidewater.db")).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o750);
    }

    #[test]
    fn file_instead_of_a_folder_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("below")] {
            let text = refused(&path);
            assert!(text.contains("is not a folder") && text.contains("--data-dir"), "{text}");
        }
    }

    #[test]
    fn folder_that_cannot_be_written_is_refused_with_the_reason() {
        let root = tempfile::tempdir().unwrap();
        let (path, denial) = (root.path(), || io::Error::from(ErrorKind::PermissionDenied));
        let mine = denied(path, denial());
        assert!(matches!(mine, FolderError::Closed { .. }) && mine.to_string().contains("chmod u+rwX"), "{mine}");
        let full = denied(path, io::Error::from(ErrorKind::StorageFull)).to_string();
        assert!(full.contains("no space left") && full.contains(path.to_str().unwrap()), "{full}");
        assert!(denied(path, io::Error::from(ErrorKind::ReadOnlyFilesystem)).to_string().contains("read-only"));
        let theirs = FolderError::SomeoneElses { path: path.to_owned(), owner: user(1), me: user(4_000_000_000) };
        assert!(theirs.to_string().contains("chown -R") && theirs.to_string().contains("id 4000000000"), "{theirs}");
    }

    #[test]
    fn second_server_is_refused_until_the_first_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = ServerLock::take(folder.path()).unwrap();
        let text = ServerLock::take(folder.path()).unwrap_err().to_string();
        assert!(text.contains(&format!("already (process {})", std::process::id())), "{text}");
        first.announce("127.0.0.1:8181".parse().unwrap());
        assert_eq!(process_of_server(folder.path()), i32::try_from(std::process::id()).ok());
        let text = ServerLock::take(folder.path()).unwrap_err().to_string();
        assert!(text.contains(", at 127.0.0.1:8181): use that one, stop it first"), "{text}");
        drop(first);
        // No process can have this id.
        fs::write(folder.path().join(LOCK_FILE), format!("{} 127.0.0.1:8181\n", i32::MAX)).unwrap();
        assert_eq!(process_of_server(folder.path()), None, "no server runs there");
        ServerLock::take(folder.path()).unwrap();
    }

    #[test]
    fn missing_or_empty_database_of_a_catalog_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tidewater.db");
        let check = || check_database_is_there(folder.path(), &file);
        check().unwrap();
        drop(ServerLock::take(folder.path()).unwrap());
        check().unwrap();
        let mut lock = ServerLock::take(folder.path()).unwrap();
        lock.announce("127.0.0.1:8181".parse().unwrap());
        let text = check().unwrap_err().to_string();
        assert!(text.contains("is missing") && text.contains("tidewater restore FILE"), "{text}");
        lock.stopped();
        assert!(check().unwrap_err().to_string().contains(LOCK_FILE));
        fs::remove_file(folder.path().join(LOCK_FILE)).unwrap();
        fs::write(&file, "").unwrap();
        check().unwrap();
        for name in ["master.key", "tidewater.db-wal"] {
            fs::write(folder.path().join(name), "x").unwrap();
            let text = check().unwrap_err().to_string();
            assert!(text.contains("is empty") && text.contains(name), "{text}");
            fs::remove_file(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("master.key"), "x").unwrap();
        fs::write(&file, "SQLite").unwrap();
        check().unwrap();
    }

    #[test]
    fn missing_database_that_a_command_made_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let check = || check_database_is_there(folder.path(), &folder.path().join("tidewater.db"));
        // A command that could not make one has left an empty lock.
        drop(FolderLock::take(folder.path()).unwrap());
        check().unwrap();
        FolderLock::take(folder.path()).unwrap().note_catalog().unwrap();
        assert!(check().unwrap_err().to_string().contains(LOCK_FILE));
        let lock = ServerLock::take(folder.path()).unwrap();
        assert!(!lock.is_after_unclean_stop(), "a command's note is no server's");
        lock.stopped();
        assert!(check().is_err());
    }

    #[test]
    fn lock_file_shows_whether_the_last_stop_was_clean() {
        let folder = tempfile::tempdir().unwrap();
        let take = || ServerLock::take(folder.path()).unwrap();
        let first = take();
        assert!(!first.is_after_unclean_stop(), "there was none before");
        drop(first);
        let second = take();
        assert!(second.is_after_unclean_stop());
        second.stopped();
        assert!(!take().is_after_unclean_stop());
    }
}
