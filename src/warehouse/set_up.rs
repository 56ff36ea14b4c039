//! Setting up a warehouse: tests its storage, and seals its credentials.

use std::path::Path;

use tokio::task::JoinError;

use super::check::{CheckStep, warehouse_check};
use super::open::{OpenWarehouse, StorageAccess, WarehouseError, seal_credentials};
use super::settings::{InvalidSettings, StorageSettings};
use crate::base::clock::Clock;
use crate::data_folder::owner::Owner;
use crate::sealing::master_key::{MasterKeyError, check_or_make};
use crate::storage::StorageCredentials;
use crate::store::{Store, WarehouseRef, WarehouseStorage};

/// The outcome of a test of a warehouse's storage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trial {
    /// Each step, in order.
    pub steps: Vec<CheckStep>,
}

impl Trial {
    /// Returns whether all steps succeeded.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.steps.iter().all(|step| step.outcome.is_ok())
    }

    /// Returns the trial if all steps succeeded.
    ///
    /// # Errors
    /// Fails if a step failed. The text has all of them.
    pub fn into_result(self) -> Result<Self, InvalidSettings> {
        if self.is_ok() {
            return Ok(self);
        }
        let failed =
            self.steps.iter().filter_map(|step| Some(format!("{}: {}", step.what, step.outcome.as_ref().err()?)));
        Err(InvalidSettings(format!("The storage test failed. {}", failed.collect::<Vec<_>>().join("; "))))
    }
}

/// Tests a warehouse in a separate task, so that its test objects are removed even if the caller goes away.
///
/// # Errors
/// Fails if the task panicked.
pub async fn test_storage(open: OpenWarehouse, clock: &Clock) -> Result<Trial, JoinError> {
    let clock = clock.clone();
    let trial = tokio::spawn(async move {
        let mut steps = Vec::new();
        warehouse_check(&open, &clock, |step| steps.push(step.clone())).await;
        Trial { steps }
    });
    trial.await
}

/// Why credentials were not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SettingsSealError {
    /// The master key cannot be used.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The credentials cannot be sealed with it.
    #[error(transparent)]
    Seal(#[from] WarehouseError),
}

impl StorageAccess {
    /// Seals the credentials of a storage for their warehouse, as the store keeps them. Creates the master key if the catalog
    /// has none. Does not store the machine's own credentials.
    ///
    /// # Errors
    /// All of [`SettingsSealError`].
    pub async fn seal(
        &self,
        store: &dyn Store,
        warehouse_ref: WarehouseRef,
        settings: StorageSettings,
    ) -> Result<WarehouseStorage, SettingsSealError> {
        let StorageSettings { profile, credentials } = settings;
        let sealed_credentials = match &credentials {
            StorageCredentials::Ambient => None,
            credentials => {
                let keys = check_or_make(store, &self.keys).await?;
                Some(seal_credentials(&keys, warehouse_ref, credentials)?)
            }
        };
        Ok(WarehouseStorage { profile, sealed_credentials })
    }
}

/// Checks that the server's user, who owns the data folder, can write to a warehouse's root.
///
/// # Errors
/// Fails if the user cannot.
pub fn check_owner_can_write(owner: Owner, root: &Path) -> Result<(), InvalidSettings> {
    if root.exists() && owner.can_write(root) == Some(false) {
        return Err(InvalidSettings(format!(
            "root may write in {root}, but {owner}, who owns the data folder, may not: change the folder's owner with \
             `chown -R`, or send `check` as false if the server runs as another user",
            root = root.display(),
            owner = owner.name()
        )));
    }
    Ok(())
}
