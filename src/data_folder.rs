//! The data folder: made and looked at before anything is opened in it, and served by one server at a time.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::owner::{give_to_owner_of, name_of};
use rustix::fs::Access;
use rustix::io::Errno;
use rustix::process::Pid;

/// The file that a server keeps locked as long as it lives. It stays when the server ends: to remove it would let a second
/// one lock a new file of that name beside one that holds the old.
const LOCK_FILE: &str = "server.lock";

/// What stands in the lock file after a server has ended as it should.
const STOPPED: &str = "stopped";

/// The file of the master keys, where no other is set.
pub const MASTER_KEY_FILE: &str = "master.key";

/// How another folder is named, in every message that ends with that advice.
const ANOTHER: &str = "choose another folder with --data-dir or TIDEWATER_DATA_DIR";

/// Why a data folder cannot be used, with what to do.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Something else is there.
    #[error("{} is not a folder, so no data can be kept in it: {ANOTHER}", path.display())]
    NotAFolder {
        /// What was named.
        path: PathBuf,
    },
    /// It is not there and cannot be made.
    #[error("cannot make the data folder {}: {source}; make it for {me}, who runs tidewater, or {ANOTHER}", path.display())]
    CannotMake {
        /// The folder.
        path: PathBuf,
        /// Who this process is.
        me: String,
        /// What the system said.
        source: io::Error,
    },
    /// It, or the database in it, is another user's.
    #[error(
        "{} belongs to {owner}, and tidewater runs as {me}, who may not write it: run it as {owner}, give the data folder over \
         with `chown -R`, or {ANOTHER}",
        path.display()
    )]
    SomeoneElses {
        /// The folder, or the file in it.
        path: PathBuf,
        /// Whose it is.
        owner: String,
        /// Who this process is.
        me: String,
    },
    /// It is ours, and may not be written.
    #[error(
        "{} may not be written by {me}, whose it is (its mode is {mode:o}): run `chmod u+rwX` on it, or {ANOTHER}",
        path.display()
    )]
    Closed {
        /// The folder, or the file in it.
        path: PathBuf,
        /// Who this process is.
        me: String,
        /// The permission bits.
        mode: u32,
    },
    /// Its file system cannot be written.
    #[error("{} is on a file system that can only be read: mount it for writing, or {ANOTHER}", path.display())]
    ReadOnly {
        /// The folder.
        path: PathBuf,
    },
    /// There is no room.
    #[error("there is no space left where the data folder {} is: free some, or {ANOTHER}", path.display())]
    NoSpace {
        /// The folder.
        path: PathBuf,
    },
    /// Another server has it.
    #[error(
        "a server of tidewater runs on the data folder {} already{by}: use that one, stop it first, or {ANOTHER}",
        path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Which server, as far as it is known: empty, or in brackets.
        by: String,
    },
    /// The file system has no locks, which the database needs too.
    #[error("cannot lock {}: {source}; the data folder must be on a disk with file locks, such as a local one", path.display())]
    NoLocks {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database of a catalog that was here is not.
    #[error(
        "the database {} is {state}, and its folder has what a catalog leaves: {found}. An empty catalog is not begun in its \
         place. Put the database back, or restore a backup with `tidewater restore FILE --data-dir {}`; to begin anew, move \
         what is named here away, or {ANOTHER}",
        database.display(), database.parent().unwrap_or(database).display()
    )]
    DatabaseLost {
        /// The database.
        database: PathBuf,
        /// How it is: missing or empty.
        state: &'static str,
        /// The names of the files that tell of a catalog.
        found: String,
    },
    /// Anything else.
    #[error("cannot use the data folder {}: {source}", path.display())]
    Other {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Makes the folder, for its owner only, if it is not there. Sees to it that the folder is there and that it, and the database `file` in it if there is one, can be written.
///
/// # Errors
/// All of [`FolderError`] but `InUse`, `NoLocks` and `DatabaseLost`.
pub fn prepare(folder: &Path, file: &Path) -> Result<(), FolderError> {
    match fs::metadata(folder) {
        Ok(found) if !found.is_dir() => return Err(FolderError::NotAFolder { path: folder.to_owned() }),
        Ok(_) => {}
        Err(_) => {
            // It holds the secrets of signing keys: nobody else's, unless somebody opens it on purpose.
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|source| not_made(folder, source))?;
        }
    }
    check(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)?;
    for suffix in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        check(Path::new(&name), Access::READ_OK | Access::WRITE_OK)?;
    }
    Ok(())
}

/// Fails where there is no database `file` in `folder`, or an empty one, though there was a catalog: what it would be opened
/// for would be done to an empty catalog in its place.
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

/// Whether a lock file tells of a server that had opened its database.
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

/// What is not there needs no permission.
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

/// A user as a person calls them.
fn user(id: u32) -> String {
    let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(&known, id).map_or_else(|| format!("the user with the id {id}"), |name| format!("the user '{name}'"))
}

/// How long to wait for a command that has the folder.
const COMMAND_TIME: Duration = Duration::from_secs(10);

/// How often to look whether it has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Proof that no other process works on a data folder: the database is opened with it alone. The system releases it when the
/// process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
}

impl FolderLock {
    /// Takes the lock for a command, when no server has it. Waits for another command.
    ///
    /// # Errors
    /// `InUse`; `NoLocks`; what [`prepare`] would give.
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
            // Which process it is only helps.
            let _ = file.rewind().and_then(|()| file.read_to_string(&mut text));
            // Commands write nothing, so the text is that of the last server.
            if process_of(&text).is_some() || Instant::now() >= until {
                return Err(FolderError::InUse { path: folder.to_owned(), by: told_of(&text) });
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
}

impl FolderLock {
    /// Notes that the folder has a catalog, so that a database that goes missing is told from one that never was. What a server
    /// writes stays.
    ///
    /// # Errors
    /// What the system says.
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
    /// Takes it.
    ///
    /// # Errors
    /// `InUse`; `NoLocks`; what [`prepare`] would give.
    pub fn take(folder: &Path) -> Result<Self, FolderError> {
        let mut taken = FolderLock::take(folder)?;
        let mut text = String::new();
        // What is not text was not written by a server.
        let _ = taken.file.rewind().and_then(|()| taken.file.read_to_string(&mut text));
        let after_unclean_stop = !text.is_empty() && text.lines().next() != Some(STOPPED);
        let mut lock = Self { folder: taken, after_unclean_stop };
        lock.write(&format!("{}\n", std::process::id())).map_err(|error| denied(folder, error))?;
        Ok(lock)
    }

    /// Writes where this server is, for a second server and for commands. Best effort.
    pub fn announce(&mut self, address: SocketAddr) {
        let _ = self.write(&format!("{} {address}\n", std::process::id()));
    }

    /// Whether the server before this one was ended in the middle of its work.
    #[must_use]
    pub const fn is_after_unclean_stop(&self) -> bool {
        self.after_unclean_stop
    }

    /// Gives the lock back after all is written. Best effort: else the next server takes this one for killed.
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

    /// Proof that no other process works on the folder.
    #[must_use]
    pub const fn folder(&self) -> &FolderLock {
        &self.folder
    }
}

/// The process that has, or was about to have, the data folder; none when that has ended.
#[must_use]
pub fn process_of_server(folder: &Path) -> Option<i32> {
    // To try the lock could keep a server from starting at that moment.
    process_of(&fs::read_to_string(folder.join(LOCK_FILE)).ok()?)
}

/// The living process that the text of a lock names.
fn process_of(text: &str) -> Option<i32> {
    let number = text.split_whitespace().next()?.parse().ok()?;
    let process = Pid::from_raw(number)?;
    (rustix::process::test_kill_process(process) != Err(Errno::SRCH)).then_some(number)
}

/// What a lock says of its server, for a message.
fn told_of(text: &str) -> String {
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
    fn a_folder_is_made_with_those_above_it() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b");
        prepare(&folder, &folder.join("tidewater.db")).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700, "others cannot look into it");
        // One that is there keeps the mode that its owner gave it.
        fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o750)).unwrap();
        prepare(&folder, &folder.join("tidewater.db")).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o750);
    }

    #[test]
    fn a_file_is_no_folder_and_nothing_can_be_made_below_it() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("below")] {
            let text = refused(&path);
            assert!(text.contains("is not a folder") && text.contains("--data-dir"), "{text}");
        }
    }

    #[test]
    fn who_may_not_write_is_told_whose_it_is() {
        let root = tempfile::tempdir().unwrap();
        let (path, denial) = (root.path(), || io::Error::from(ErrorKind::PermissionDenied));
        let mine = denied(path, denial());
        assert!(matches!(mine, FolderError::Closed { .. }) && mine.to_string().contains("chmod u+rwX"), "{mine}");
        let full = denied(path, io::Error::from(ErrorKind::StorageFull)).to_string();
        assert!(full.contains("no space left") && full.contains(path.to_str().unwrap()), "{full}");
        assert!(denied(path, io::Error::from(ErrorKind::ReadOnlyFilesystem)).to_string().contains("only be read"));
        let theirs = FolderError::SomeoneElses { path: path.to_owned(), owner: user(1), me: user(4_000_000_000) };
        assert!(theirs.to_string().contains("chown -R") && theirs.to_string().contains("id 4000000000"), "{theirs}");
    }

    #[test]
    fn a_second_server_is_told_of_the_first_and_let_in_when_that_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = ServerLock::take(folder.path()).unwrap();
        let text = ServerLock::take(folder.path()).unwrap_err().to_string();
        assert!(text.contains(&format!("already (process {})", std::process::id())), "{text}");
        first.announce("127.0.0.1:8181".parse().unwrap());
        assert_eq!(process_of_server(folder.path()), i32::try_from(std::process::id()).ok());
        let text = ServerLock::take(folder.path()).unwrap_err().to_string();
        assert!(text.contains(", at 127.0.0.1:8181): use that one, stop it first"), "{text}");
        drop(first);
        // The number of a process that cannot be.
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
    fn lock_tells_a_clean_stop_from_an_unclean_one() {
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
