//! What a quickstart remembers beside its database: its key in the clear, in a file that only its owner can read.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use tidewater::auth::key::check_format;
use tidewater::data_folder::owner::give_to_owner_of;

const FILE: &str = "quickstart.json";
const TEMPORARY: &str = "quickstart.json.new";
const OWNER_ONLY: u32 = 0o600;

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// The key's text.
    pub(super) api_key: String,
    /// Whether the sample table was finished once: from then on it is its owner's, to change or drop.
    pub(super) sample_complete: bool,
}

impl Memory {
    /// What an earlier quickstart in this folder left, if there was one.
    ///
    /// # Errors
    /// When the file cannot be read, others can read it, or it holds no key.
    pub(super) fn read(data_dir: &Path) -> Result<Option<Self>> {
        let path = data_dir.join(FILE);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let mode = fs::metadata(&path)?.permissions().mode() & 0o777;
        ensure!(
            mode & 0o077 == 0,
            "others may read the API key in {0} (its mode is {mode:o}): run `chmod 600 {0}`, and if it may have been \
             read, remove the file instead, so that the next start makes a new key and revokes this one",
            path.display()
        );
        let unreadable = || format!("{} is not what a quickstart wrote: remove it to get a new key", path.display());
        let memory: Self = serde_json::from_str(&text).with_context(unreadable)?;
        check_format(memory.api_key.as_bytes()).with_context(unreadable)?;
        Ok(Some(memory))
    }

    /// Writes the file as a whole or not at all. At no moment can others read it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, data_dir: &Path) -> Result<()> {
        let temporary = data_dir.join(TEMPORARY);
        self.write_to(&temporary, &data_dir.join(FILE))
            .with_context(|| format!("cannot write {}", data_dir.join(FILE).display()))
    }

    fn write_to(&self, temporary: &PathBuf, path: &Path) -> Result<()> {
        // What a killed start left could have another mode, and `mode` is for new files only.
        match fs::remove_file(temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(temporary)?;
        give_to_owner_of(path.parent().unwrap_or(Path::new(".")), &file)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(temporary, path)?;
        // The rename itself is durable once the folder is.
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidewater::auth::key::key_text;

    fn memory() -> Memory {
        Memory { api_key: key_text(&[7; 32]).expose().clone(), sample_complete: false }
    }

    #[test]
    fn only_the_owner_can_read_what_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Memory::read(folder.path()).unwrap(), None);
        memory().write(folder.path()).unwrap();
        assert_eq!(Memory::read(folder.path()).unwrap(), Some(memory()));
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_a_killed_start_left_is_replaced_with_the_right_mode() {
        let folder = tempfile::tempdir().unwrap();
        let temporary = folder.path().join(TEMPORARY);
        fs::write(&temporary, "half").unwrap();
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o644)).unwrap();
        memory().write(folder.path()).unwrap();
        assert_eq!(Memory::read(folder.path()).unwrap(), Some(memory()));
        assert!(!temporary.exists());
    }

    #[test]
    fn a_key_that_others_can_read_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        memory().write(folder.path()).unwrap();
        fs::set_permissions(folder.path().join(FILE), fs::Permissions::from_mode(0o640)).unwrap();
        let error = Memory::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("chmod 600") && !error.contains("flx_"), "{error}");
    }

    #[test]
    fn a_file_without_a_key_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "{}", r#"{"api_key":"flx_x","sample_complete":true}"#] {
            let path = folder.path().join(FILE);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = format!("{:#}", Memory::read(folder.path()).unwrap_err());
            assert!(error.contains("remove it to get a new key"), "{error}");
        }
    }
}
