//! The file with a person's sessions, one for each catalog. Only its owner can read it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::session::Session;

const FILE: &str = "login.json";
const LOCK: &str = "login.lock";
const OWNER_ONLY: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// The content of the file: sessions by the address of their catalog.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    sessions: BTreeMap<String, Session>,
}

/// The saved sessions, locked against other commands.
pub(crate) struct SavedSessions {
    path: PathBuf,
    content: Content,
    /// Ends the lock when it is dropped.
    _lock: File,
}

impl SavedSessions {
    /// Opens the person's file, and locks it until the returned value is dropped. Without a file there are no sessions.
    ///
    /// # Errors
    /// Fails if there is no home folder, or the file cannot be read or may be read by others.
    pub(crate) fn open() -> Result<Self> {
        match folder(|name| std::env::var(name).ok()) {
            Some(folder) => Self::open_in(&folder),
            None => bail!("there is no folder for the sign-in: set HOME or XDG_CONFIG_HOME"),
        }
    }

    /// Returns whether the person has saved any session. Creates no file.
    pub(crate) fn exist() -> bool {
        folder(|name| std::env::var(name).ok()).is_some_and(|folder| folder.join(FILE).exists())
    }

    fn open_in(folder: &Path) -> Result<Self> {
        let made = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder);
        made.with_context(|| format!("cannot create {}", folder.display()))?;
        let path = folder.join(LOCK);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(OWNER_ONLY).open(&path);
        let lock = lock.and_then(|file| file.lock().map(|()| file));
        let lock = lock.with_context(|| format!("cannot lock {}", path.display()))?;
        let path = folder.join(FILE);
        Ok(Self { content: Content::read(&path)?, path, _lock: lock })
    }

    /// Returns the session of the catalog at this address.
    pub(crate) fn session(&self, uri: &str) -> Option<&Session> {
        self.content.sessions.get(key(uri))
    }

    /// Returns the addresses of all catalogs with a session.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.content.sessions.keys().cloned().collect()
    }

    /// Saves a session in place of an earlier one of the same catalog.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub(crate) fn save(&mut self, uri: &str, session: Session) -> Result<()> {
        self.content.sessions.insert(key(uri).to_owned(), session);
        self.write()
    }

    /// Removes a session, and returns it. Removes the file after the last session.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub(crate) fn remove(&mut self, uri: &str) -> Result<Option<Session>> {
        let Some(removed) = self.content.sessions.remove(key(uri)) else { return Ok(None) };
        if self.content.sessions.is_empty() {
            fs::remove_file(&self.path).with_context(|| format!("cannot remove {}", self.path.display()))?;
        } else {
            self.write()?;
        }
        Ok(Some(removed))
    }

    /// Returns the path of the file, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn write(&self) -> Result<()> {
        write_private(&self.path, &serde_json::to_vec_pretty(&self.content)?)
    }
}

/// Returns the folder of the file: `tidewater` in the user's folder for configuration.
fn folder(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(base.join("tidewater"))
}

/// Returns the address without a slash at its end.
fn key(uri: &str) -> &str {
    uri.trim_end_matches('/')
}

/// Writes a file that only its owner can read, atomically.
///
/// # Errors
/// Fails if it cannot be written.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let written = || {
        // A file that a killed command left may have another mode, and `mode` only applies to new files.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(&temporary)?;
        file.write_all(bytes)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}

impl Content {
    fn read(path: &Path) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            other => other.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let mode = fs::metadata(path)?.permissions().mode() & 0o777;
        ensure!(
            mode & 0o077 == 0,
            "others may read the tokens in {0} (its mode is {mode:o}): remove the file and run `tidewater login` again",
            path.display()
        );
        serde_json::from_str(&text).with_context(|| {
            format!("{} is not a file of `tidewater login`: remove it and run `tidewater login` again", path.display())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::sign_in::session::tests::session;

    #[test]
    fn session_is_found_again_in_a_file_that_only_its_owner_can_read() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("new/tidewater");
        SavedSessions::open_in(&folder).unwrap().save("https://one.example.com/", session("a")).unwrap();
        let mut saved = SavedSessions::open_in(&folder).unwrap();
        assert_eq!(saved.session("https://one.example.com"), Some(&session("a")));
        assert_eq!(saved.session("https://two.example.com"), None);
        assert_eq!(fs::metadata(saved.path()).unwrap().permissions().mode() & 0o777, OWNER_ONLY);
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, FOLDER_MODE);
        saved.save("https://two.example.com", session("b")).unwrap();
        assert_eq!(saved.addresses(), ["https://one.example.com", "https://two.example.com"]);
        assert_eq!(saved.remove("https://one.example.com").unwrap(), Some(session("a")));
        assert_eq!(saved.remove("https://one.example.com").unwrap(), None);
        saved.remove("https://two.example.com").unwrap();
        assert!(!saved.path().exists());
    }

    #[test]
    fn file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut saved = SavedSessions::open_in(folder.path()).unwrap();
        saved.save("https://one.example.com", session("a")).unwrap();
        fs::set_permissions(saved.path(), fs::Permissions::from_mode(0o644)).unwrap();
        drop(saved);
        let refused = SavedSessions::open_in(folder.path()).err().unwrap().to_string();
        assert!(refused.contains("mode is 644"), "{refused}");
    }

    #[test]
    fn file_is_in_the_folder_for_configuration() {
        let with = |xdg: Option<&str>, home: Option<&str>| {
            folder(|name| match name {
                "XDG_CONFIG_HOME" => xdg.map(str::to_owned),
                _ => home.map(str::to_owned),
            })
        };
        assert_eq!(with(Some("/x"), Some("/home/ann")), Some("/x/tidewater".into()));
        assert_eq!(with(Some("relative"), Some("/home/ann")), Some("/home/ann/.config/tidewater".into()));
        assert_eq!(with(None, None), None);
    }
}
