//! The folders of the project.

use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::step;

/// The folders of the project.
pub(crate) struct Workspace {
    /// The repository's root folder.
    pub(crate) root: PathBuf,
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Asks cargo for both folders, since they have several settings.
    pub(crate) fn find() -> Result<Self> {
        let here = std::env::current_dir().context("there is no current folder")?;
        let output = step::cargo(&here, &["metadata", "--format-version", "1", "--no-deps", "--locked"])
            .output()
            .context("cannot start cargo")?;
        ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let folder = |key: &str| {
            metadata[key]
                .as_str()
                .map(PathBuf::from)
                .with_context(|| format!("the output of cargo metadata has no {key}"))
        };
        Ok(Self { root: folder("workspace_root")?, target: folder("target_directory")? })
    }

    /// Returns the version of the workspace's packages.
    ///
    /// # Errors
    /// Fails if Cargo.toml cannot be read or has none.
    pub(crate) fn version(&self) -> Result<String> {
        let manifest = fs::read_to_string(self.root.join("Cargo.toml")).context("cannot read Cargo.toml")?;
        let section = manifest.split("[workspace.package]").nth(1);
        let line = section.and_then(|section| section.lines().find(|line| line.starts_with("version = ")));
        let version = line.and_then(|line| line.split('"').nth(1));
        version.map(str::to_owned).context("Cargo.toml has no version of the workspace")
    }

    /// Waits until no other process prepares `name` inside the target folder. The lock ends with the returned file.
    ///
    /// # Errors
    /// Fails if the lock file cannot be created or locked.
    pub(crate) fn lock(&self, name: &str) -> Result<File> {
        let folder = self.target.join("locks");
        let path = folder.join(name);
        let locked = || {
            fs::create_dir_all(&folder)?;
            let file = File::create(&path)?;
            file.lock()?;
            Ok::<_, std::io::Error>(file)
        };
        locked().with_context(|| format!("cannot lock {}", path.display()))
    }
}
