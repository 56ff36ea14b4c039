//! Checks the data folder: access, owner, lock and space.

use std::path::Path;

use super::found::Found;
use super::subject::Subject;
use crate::data_folder::owner::Owner;
use crate::data_folder::{check_access, process_of_server};

/// The free space below which the check warns, in bytes.
const LITTLE_SPACE_BYTES: u64 = 1 << 30;

/// Checks the data folder.
pub(super) async fn check(subject: &Subject) -> Vec<Found> {
    let config = &subject.config;
    let Some(folder) = config.data_folder() else {
        return vec![Found::ok(
            "",
            "none: the catalog is in a shared database, and commands reach the server with --uri",
        )];
    };
    let object = folder.display().to_string();
    if !folder.exists() {
        return vec![missing(folder)];
    }
    if let Err(error) = check_access(folder, &config.database()) {
        return vec![Found::failed(&object, error)];
    }
    let mut found = vec![match process_of_server(folder) {
        Some(process) => Found::ok(&object, format!("can be written; a server runs on it (process {process})")),
        None => Found::ok(&object, "can be written; no server runs on it"),
    }];
    if let Some(owner) = Owner::for_root(folder) {
        let detail = format!(
            "this is root, and the folder belongs to {}: run the check and the server as that user, or files of tables will \
             belong to root",
            owner.name()
        );
        found.push(Found::warning(&object, detail));
    }
    found.extend(space(folder));
    found
}

/// Returns the finding for a folder that does not exist: whether it can be created.
fn missing(folder: &Path) -> Found {
    let above = folder.ancestors().skip(1).find(|above| above.exists()).unwrap_or(folder);
    match check_access(above, folder) {
        Ok(()) => Found::warning(folder.display(), "does not exist: the first start creates it with a new catalog"),
        Err(error) => Found::failed(folder.display(), format!("does not exist and cannot be created: {error}")),
    }
}

/// Returns a warning if the disk is nearly full.
fn space(folder: &Path) -> Option<Found> {
    let found = rustix::fs::statvfs(folder).ok()?;
    let free_bytes = found.f_bavail.saturating_mul(found.f_frsize);
    (free_bytes < LITTLE_SPACE_BYTES).then(|| {
        let free_mib = free_bytes >> 20;
        Found::warning(folder.display(), format!("its disk has {free_mib} MiB free: commits fail when it is full"))
    })
}
