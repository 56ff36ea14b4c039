//! Backups of the catalog's database. The server that owns the database writes them.

use std::io;
use std::path::{Path, PathBuf};

use super::{Admin, AdminError};
use crate::backup::{self, BackupFileError, Done};
use crate::data_folder::owner::user_name;
use crate::store::{CopyProgress, Proceed};

impl Admin {
    /// Writes a backup to `file`, an absolute path, and calls `progress` after every few MiB. The work continues if this future
    /// is dropped, until `progress` stops it.
    ///
    /// # Errors
    /// `Unsupported` if the database is not a file of this server; `Invalid` if the file cannot be written; `Exists` if it exists
    /// and `overwrite` is false.
    pub async fn backup(
        &self,
        file: PathBuf,
        overwrite: bool,
        mut progress: impl FnMut(CopyProgress) -> Proceed + Send + 'static,
    ) -> Result<Done, AdminError> {
        if self.config.store.url.is_shared() {
            return Err(AdminError::Unsupported(format!(
                "The catalog is in the database {}: back it up with PostgreSQL's own tools, pg_basebackup or pg_dump, as \
                 docs/production-postgresql.md describes",
                self.config.store.url
            )));
        }
        check_path(&file)?;
        let database = self.config.database();
        let work = tokio::task::spawn_blocking(move || backup::create(&database, &file, overwrite, &mut progress));
        let done = work.await.map_err(|error| AdminError::Failed(error.to_string().into()))?;
        done.map_err(|error| match error {
            BackupFileError::Exists(_) => AdminError::Exists(error.to_string()),
            BackupFileError::File { ref source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                let user = user_name(rustix::process::geteuid().as_raw());
                AdminError::Invalid(format!(
                    "{error}. The server writes the backup as the user '{user}': choose a folder in which that user may write"
                ))
            }
            error => AdminError::Invalid(error.to_string()),
        })
    }
}

fn check_path(file: &Path) -> Result<(), AdminError> {
    if file.is_absolute() {
        return Ok(());
    }
    Err(AdminError::Invalid("`file` must be an absolute path on the server's machine".to_owned()))
}
