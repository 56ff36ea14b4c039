//! The series of a data folder's backups.

use std::fmt;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use super::files::{BackupFileError, cannot, new_private};
use crate::base::clock::fresh_uuid;
use crate::data_folder::owner::Owner;

/// The file in the data folder with the name of the series.
pub(super) const SERIES_FILE: &str = "backup.series";

/// The name of the series of a data folder's backups: 8 hexadecimal digits, by chance. It is not in the database, so a restored copy
/// begins a series of its own and never removes the backups of its original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Series(String);

impl Series {
    /// Reads the name from the data folder, or writes a new one.
    ///
    /// # Errors
    /// Fails if the file cannot be read or written.
    pub(super) fn read_or_make(data_dir: &Path) -> Result<Self, BackupFileError> {
        let path = data_dir.join(SERIES_FILE);
        match fs::read_to_string(&path) {
            Ok(text) if is_name(text.trim()) => return Ok(Self(text.trim().to_owned())),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(cannot("read", &path)(error)),
            _ => {}
        }
        let mut name = fresh_uuid().simple().to_string();
        name.truncate(8);
        let mut file = new_private(&path, "create", false)?;
        file.write_all(format!("{name}\n").as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(cannot("write", &path))?;
        if let Some(owner) = Owner::for_root(data_dir) {
            owner.give(&file).map_err(cannot("give away", &path))?;
        }
        Ok(Self(name))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_name(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_a_data_folder_stays_and_differs_from_others() {
        let [one, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let series = Series::read_or_make(one.path()).unwrap();
        assert_eq!(Series::read_or_make(one.path()).unwrap(), series);
        assert_ne!(Series::read_or_make(other.path()).unwrap(), series);
        fs::write(one.path().join(SERIES_FILE), "../../x").unwrap();
        assert!(is_name(Series::read_or_make(one.path()).unwrap().as_str()));
    }
}
