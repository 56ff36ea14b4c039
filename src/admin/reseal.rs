//! Reseals all storage credentials with a new master key, which must be the first in the list of keys.

use super::{Admin, AdminError};
use crate::delivery::secret_owner;
use crate::sealing::{KeyRing, master_key};
use crate::store::{Change, Operation, SecretUpdate, SubscriptionUpdate, WarehouseRef};

/// The outcome of a reseal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resealed {
    /// The number of warehouses whose credentials were resealed.
    pub sealed_anew: u64,
    /// The number of warehouses whose credentials were sealed with the first master key already.
    pub unchanged: u64,
    /// The warehouses whose credentials cannot be opened, with their organisations. Empty unless `key_is_lost` was set.
    pub lost: Vec<String>,
}

impl Admin {
    /// Reseals all storage credentials with the first master key. With `key_is_lost`, continues although the previous key is
    /// lost: credentials that cannot be opened must be set again.
    ///
    /// # Errors
    /// `Invalid` if the master key is not the catalog's, or credentials cannot be opened.
    pub async fn reseal(&self, key_is_lost: bool, change: &Change) -> Result<Resealed, AdminError> {
        let invalid = |error: &dyn std::fmt::Display| AdminError::Invalid(error.to_string());
        if !key_is_lost {
            // Otherwise a wrong key would be accepted as a new one.
            master_key::check(self.store.as_ref(), &self.access.keys).await.map_err(|error| invalid(&error))?;
        }
        let keys = self.access.keys.read().map_err(|error| invalid(&error))?;
        let mut done = Resealed::default();
        for organisation in self.store.organisation_list().await? {
            for warehouse in self.store.warehouse_list(organisation.id).await? {
                let Some(known) = &warehouse.storage.sealed_credentials else { continue };
                let name = format!("'{}' of '{}'", warehouse.name, organisation.name);
                if key_is_lost && !keys.has_key_of(known) {
                    done.lost.push(name);
                    continue;
                }
                let warehouse_ref = WarehouseRef { organisation: organisation.id, warehouse: warehouse.id };
                let resealed = self.access.reseal(warehouse_ref, known);
                let resealed = resealed.map_err(|error| AdminError::Invalid(format!("Warehouse {name}: {error}")))?;
                let Some(sealed) = resealed else {
                    done.unchanged += 1;
                    continue;
                };
                // Credentials that were set meanwhile stay: they are sealed with the first key.
                let is_resealed = self.store.warehouse_reseal(warehouse_ref, known, &sealed, change).await?;
                done.sealed_anew += u64::from(is_resealed);
                done.unchanged += u64::from(!is_resealed);
            }
        }
        self.reseal_subscriptions(&keys, key_is_lost, change, &mut done).await?;
        master_key::set_fingerprint(self.store.as_ref(), &keys).await.map_err(|error| invalid(&error))?;
        Ok(done)
    }

    /// Reseals the secrets of subscriptions. A previous secret is dropped: it is used for a short time only.
    async fn reseal_subscriptions(
        &self,
        keys: &KeyRing,
        key_is_lost: bool,
        change: &Change,
        done: &mut Resealed,
    ) -> Result<(), AdminError> {
        for subscription in self.store.subscription_list_all().await? {
            let name = format!("subscription '{}' (id {})", subscription.name, subscription.id);
            if key_is_lost && !keys.has_key_of(&subscription.sealed_secret) {
                done.lost.push(name);
                continue;
            }
            if keys.is_current(&subscription.sealed_secret) {
                done.unchanged += 1;
                continue;
            }
            let owner = secret_owner(subscription.scope, subscription.id);
            let resealed = keys.open(&subscription.sealed_secret, &owner);
            let resealed = resealed.and_then(|secret| keys.seal(secret.expose(), &owner));
            let sealed_secret = resealed.map_err(|error| AdminError::Invalid(format!("{name}: {error}")))?;
            // A secret that was rotated meanwhile stays: it is sealed with the first key.
            let reseal = Some(SecretUpdate::Reseal { from: subscription.sealed_secret, to: sealed_secret });
            let update = SubscriptionUpdate { secret: reseal, ..SubscriptionUpdate::default() };
            let (scope, id) = (subscription.scope, subscription.id);
            self.store.subscription_update(scope, id, &update, Operation::UpdateSubscription, change).await?;
            done.sealed_anew += 1;
        }
        Ok(())
    }
}
