//! Storage profiles as people write them: TOML, optionally with credentials.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde::Deserialize;
use serde_json::Value;
use tidewater::storage::StorageCredentials;
use tidewater_core::location::Location;
use tidewater_core::storage::StorageProfile;

/// The option for a storage profile.
#[derive(Debug, Clone, Args)]
pub(crate) struct StorageArgument {
    /// A TOML file with the storage's settings and credentials, or - for standard input; not needed for a folder on
    /// this machine's disk. docs/storage describes the file for each cloud
    #[arg(long, value_name = "FILE")]
    storage: Option<PathBuf>,
}

/// The content of the file: the settings, and a section `[credentials]`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StorageFile {
    pub(super) profile: StorageProfile,
    pub(super) credentials: StorageCredentials,
}

impl StorageArgument {
    /// Reads the file, for a warehouse at `root`. Returns its settings as the management API takes them, or `None` for the
    /// local disk.
    pub(super) fn read_for(&self, root: &Location) -> Result<Option<Value>> {
        let Some(path) = &self.storage else {
            ensure!(
                root.scheme() == "file",
                "{root} is not on this machine's disk: pass its settings with --storage FILE (docs/storage describes the file \
                 for each cloud)"
            );
            return Ok(None);
        };
        let text = read_text(path).with_context(|| format!("{} cannot be read", path.display()))?;
        // The error does not quote the file: the quoted text may be a secret.
        let explain = |error: anyhow::Error| error.context(format!("{} is not a storage profile", path.display()));
        parse(&text).map_err(explain)?;
        let table: toml::Table = text.parse()?;
        Ok(Some(serde_json::to_value(table)?))
    }
}

fn read_text(path: &Path) -> std::io::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(path)
}

fn parse(text: &str) -> Result<StorageFile> {
    let reason = |error: toml::de::Error| anyhow::anyhow!("{}", error.message());
    let mut table: toml::Table = text.parse().map_err(reason)?;
    let credentials = match table.remove("credentials") {
        Some(section) => StorageCredentials::deserialize(section).map_err(reason).context("[credentials]")?,
        None => StorageCredentials::Ambient,
    };
    Ok(StorageFile { profile: StorageProfile::deserialize(table).map_err(reason)?, credentials })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_with_settings_and_credentials_is_parsed() {
        let file = parse(
            "type = 's3'\nregion = 'eu-west-1'\npath-style = true\n\
             [credentials]\nkind = 'aws-key'\naccess-key-id = 'AKIA'\nsecret-access-key = 'hush'",
        )
        .unwrap();
        assert_eq!(file.profile.kind(), "s3");
        assert_eq!(file.credentials.kind(), "aws-key");
        assert_eq!(parse("type = 'gcs'").unwrap().credentials, StorageCredentials::Ambient);
    }

    #[test]
    fn error_names_the_mistake_and_shows_no_secret() {
        for (text, says) in [
            ("type = 's4'", "s4"),
            ("type = 's3'\nregion = 'a'\nrolearn = 'x'", "rolearn"),
            ("type = 's3'\nregion = 'a'\n[credentials]\nkind = 'aws-key'\nsecret-access-key = 'hush'", "access-key-id"),
            ("type = 's3'\nsecret-access-key = 'hush", "string"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(says) && !error.contains("hush"), "{text}: {error}");
        }
    }
}
