//! The file of the master keys.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::derive::KEY_BYTES;
use super::error::SealError;
use super::ring::KeyRing;
use crate::base::named_file;
use crate::base::secret::Secret;
use crate::data_folder::owner::give_to_owner_of;

/// Why the master keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("the master key file {} cannot be used: {source}", .path.display())]
    File {
        /// The file's path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file has no valid key.
    #[error("the master key file {} cannot be used: {source}", .path.display())]
    Content {
        /// The file's path.
        path: PathBuf,
        /// The fault.
        source: SealError,
    },
    /// The configured keys are not valid.
    #[error("the setting 'storage.master_key' cannot be used: {0}")]
    Text(SealError),
    /// The settings name no keys, and servers that share a database create none.
    #[error(
        "no master key is configured, and servers that share a database create none: create one with `openssl rand -base64 32`, \
         and set `storage.master_key_file` or `storage.master_key` to it on all servers"
    )]
    Unset,
    /// The system gives no random bytes to create a key.
    #[error(transparent)]
    Fresh(SealError),
}

impl KeyFileError {
    /// Returns whether there are no keys: the file does not exist, or the settings name none.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Unset => true,
            Self::File { source, .. } => source.kind() == ErrorKind::NotFound,
            Self::Content { .. } | Self::Text(_) | Self::Fresh(_) => false,
        }
    }
}

/// The source of the master keys.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A file. It is read whenever keys are needed, so that they can be changed while a server runs.
    File {
        /// The file's path.
        path: PathBuf,
        /// Whether a missing file is created when there is a secret to seal.
        make: bool,
    },
    /// The keys as text, in the format of the file.
    Text(Secret<String>),
    /// Nowhere: the settings name no keys, and none may be created.
    Unset,
}

impl KeySource {
    /// Reads the keys.
    ///
    /// # Errors
    /// All of [`KeyFileError`].
    pub fn read(&self) -> Result<KeyRing, KeyFileError> {
        self.ring(false)
    }

    /// Reads the keys. Creates a missing file with a new key if the source permits that.
    ///
    /// # Errors
    /// All of [`KeyFileError`].
    pub fn read_or_make(&self) -> Result<KeyRing, KeyFileError> {
        self.ring(true)
    }

    /// Returns the source of the keys, for a message.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::File { path, .. } => path.display().to_string(),
            Self::Text(_) => "the setting `storage.master_key`".to_owned(),
            Self::Unset => "the settings `storage.master_key_file` and `storage.master_key`".to_owned(),
        }
    }

    fn ring(&self, may_make: bool) -> Result<KeyRing, KeyFileError> {
        match self {
            Self::File { path, make } => read_or_make(path, *make && may_make),
            Self::Text(text) => KeyRing::parse(text.expose()).map_err(KeyFileError::Text),
            Self::Unset => Err(KeyFileError::Unset),
        }
    }
}

/// Creates a new master key, as text for a file.
///
/// # Errors
/// `NoEntropy`.
pub fn fresh_key() -> Result<Secret<String>, SealError> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(SealError::NoEntropy)?;
    Ok(Secret::new(STANDARD.encode(bytes)))
}

/// Reads the keys in the file at `path`. With `make`, creates a missing file with a new key, readable by its owner only.
fn read_or_make(path: &Path, make: bool) -> Result<KeyRing, KeyFileError> {
    let file = |source| KeyFileError::File { path: path.to_owned(), source };
    let text = match named_file::read_text(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && make => {
            let key = fresh_key().map_err(KeyFileError::Fresh)?;
            write_new(path, &format!("{}\n", key.expose())).map_err(file)?;
            // Another process may have created the file first: its key counts.
            named_file::read_text(path).map_err(file)?
        }
        read => read.map_err(file)?,
    };
    KeyRing::parse(&text).map_err(|source| KeyFileError::Content { path: path.to_owned(), source })
}

/// Writes the file completely or not at all, so that a second process never reads half a key.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let draft = folder.join(format!(".{}.{}", path.file_name().unwrap_or_default().display(), std::process::id()));
    let written = write_private(&draft, text).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => fs::File::open(folder)?.sync_all(),
    });
    // Best effort: no secret was sealed with its key.
    let _ = fs::remove_file(&draft);
    written
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    // If root runs this next to the server of another user, the server must be able to read the key.
    give_to_owner_of(path.parent().unwrap_or(Path::new(".")), &file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_key_file_is_created_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        assert!(matches!(read_or_make(&path, false), Err(KeyFileError::File { .. })));
        let made = read_or_make(&path, true).unwrap();
        let sealed = made.seal(b"hush", b"o").unwrap();
        assert_eq!(read_or_make(&path, true).unwrap().open(&sealed, b"o").unwrap().expose(), b"hush");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn servers_without_a_configured_key_are_told_to_configure_one() {
        let error = KeySource::Unset.read_or_make().unwrap_err();
        assert!(error.is_missing());
        assert!(error.to_string().contains("set `storage.master_key_file` or `storage.master_key`"), "{error}");
    }

    #[test]
    fn error_of_a_file_without_a_key_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        fs::write(&path, "hello").unwrap();
        let error = read_or_make(&path, true).unwrap_err().to_string();
        assert!(error.contains("master.key") && error.contains("base64"), "{error}");
    }
}
