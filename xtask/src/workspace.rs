//! Where things are.

use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::step;

/// The folders of the project.
pub(crate) struct Workspace {
    /// The repository.
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Asks cargo, which knows every way to set them.
    pub(crate) fn find() -> Result<Self> {
        let here = std::env::current_dir().context("there is no current folder")?;
        let output = step::cargo(&here, &["metadata", "--format-version", "1", "--no-deps", "--locked"])
            .output()
            .context("cargo cannot be started")?;
        ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let folder = |key: &str| {
            metadata[key].as_str().map(PathBuf::from).with_context(|| format!("cargo metadata gave no {key}"))
        };
        Ok(Self { root: folder("workspace_root")?, target: folder("target_directory")? })
    }

    /// Waits until no other run prepares `name` inside the target folder. The lock ends with the returned file.
    ///
    /// # Errors
    /// When the lock's file cannot be made or locked.
    pub(crate) fn lock(&self, name: &str) -> Result<File> {
        let folder = self.target.join("locks");
        let path = folder.join(name);
        let locked = || {
            fs::create_dir_all(&folder)?;
            let file = File::create(&path)?;
            file.lock()?;
            Ok::<_, std::io::Error>(file)
        };
        locked().with_context(|| format!("{} cannot be locked", path.display()))
    }
}
