//! A storage profile as people write it: TOML, with the credentials in it or beside it.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde::Deserialize;
use tidewater::app::storage_access;
use tidewater::master_key::check_or_make;
use tidewater::storage::StorageCredentials;
use tidewater::store::{Place, Store, WarehouseStorage};
use tidewater::warehouse::seal_credentials;
use tidewater_core::location::Location;
use tidewater_core::storage::StorageProfile;

use crate::cli::session::Session;

/// How the storage is reached.
#[derive(Debug, Clone, Args)]
pub(crate) struct StorageArgument {
    /// A TOML file with the storage's settings and credentials, or - for standard input; not needed for a folder on
    /// this machine's disk. docs/storage tells what stands in it, cloud by cloud
    #[arg(long, value_name = "FILE")]
    storage: Option<PathBuf>,
}

/// What stands in the file: the settings, and a section `[credentials]`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StorageFile {
    pub(super) profile: StorageProfile,
    pub(super) credentials: StorageCredentials,
}

impl StorageArgument {
    /// What the file says, for a warehouse at that place; the local disk when there is none.
    pub(super) fn read_for(&self, root: &Location) -> Result<StorageFile> {
        let Some(path) = &self.storage else {
            ensure!(
                root.scheme() == "file",
                "{root} is not on this machine's disk: give its settings with --storage FILE (docs/storage tells what stands \
                 in it, cloud by cloud)"
            );
            return Ok(StorageFile { profile: StorageProfile::File, credentials: StorageCredentials::Ambient });
        };
        let text = read_text(path).with_context(|| format!("{} cannot be read", path.display()))?;
        // What is wrong is told without the text around it: that may be a secret.
        parse(&text).map_err(|error| error.context(format!("{} is not a storage profile", path.display())))
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

impl StorageFile {
    /// The same as it is kept: the credentials sealed, for that warehouse.
    pub(super) async fn seal(self, session: &Session, store: &dyn Store, place: Place) -> Result<WarehouseStorage> {
        let sealed_credentials = match &self.credentials {
            // There is nothing to seal where the machine's own are used.
            StorageCredentials::Ambient => None,
            credentials => {
                let keys = check_or_make(store, &storage_access(&session.config).keys).await?;
                Some(seal_credentials(&keys, place, credentials)?)
            }
        };
        Ok(WarehouseStorage { profile: self.profile, sealed_credentials })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_settings_and_credentials() {
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
    fn what_is_wrong_is_told_and_no_secret_with_it() {
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
