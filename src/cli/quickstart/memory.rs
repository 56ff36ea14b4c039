//! The quickstart's own file beside the database: the API key in the clear, readable only by its owner.

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
    /// Whether the sample table was completed once. After that, no start creates or changes it again.
    pub(super) sample_complete: bool,
}

impl Memory {
    /// Reads the file of an earlier quickstart in this folder, if there was one.
    ///
    /// # Errors
    /// Fails if the file cannot be read, others can read it, or it has no key.
    pub(super) fn read(data_dir: &Path) -> Result<Option<Self>> {
        let path = data_dir.join(FILE);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let mode = fs::metadata(&path)?.permissions().mode() & 0o777;
        ensure!(
            mode & 0o077 == 0,
            "others may read the API key in {0} (its mode is {mode:o}): run `chmod 600 {0}`. If somebody may have read it, \
             remove the file instead: the next start creates a new key and revokes this one",
            path.display()
        );
        let unreadable = || format!("{} is not a quickstart's file: remove it to get a new key", path.display());
        let memory: Self = serde_json::from_str(&text).with_context(unreadable)?;
        check_format(memory.api_key.as_bytes()).with_context(unreadable)?;
        Ok(Some(memory))
    }

    /// Writes the file atomically. Others cannot read it at any moment.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub(super) fn write(&self, data_dir: &Path) -> Result<()> {
        let temporary = data_dir.join(TEMPORARY);
        self.write_to(&temporary, &data_dir.join(FILE))
            .with_context(|| format!("cannot write {}", data_dir.join(FILE).display()))
    }

    fn write_to(&self, temporary: &PathBuf, path: &Path) -> Result<()> {
        // A file that a killed start left may have another mode, and `mode` only applies to new files.
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
        // The rename is durable only after the folder is synced.
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
    fn written_file_is_readable_only_by_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Memory::read(folder.path()).unwrap(), None);
        memory().write(folder.path()).unwrap();
        assert_eq!(Memory::read(folder.path()).unwrap(), Some(memory()));
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn file_of_a_killed_start_is_replaced_with_the_right_mode() {
        let folder = tempfile::tempdir().unwrap();
        let temporary = folder.path().join(TEMPORARY);
        fs::write(&temporary, "half").unwrap();
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o644)).unwrap();
        memory().write(folder.path()).unwrap();
        assert_eq!(Memory::read(folder.path()).unwrap(), Some(memory()));
        assert!(!temporary.exists());
    }

    #[test]
    fn file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        memory().write(folder.path()).unwrap();
        fs::set_permissions(folder.path().join(FILE), fs::Permissions::from_mode(0o640)).unwrap();
        let error = Memory::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("chmod 600") && !error.contains("flx_"), "{error}");
    }

    #[test]
    fn file_without_a_key_is_refused_with_advice() {
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
