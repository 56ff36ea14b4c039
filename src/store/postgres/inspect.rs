//! Reads the state of a database without changing it.

use std::sync::Arc;

use super::PostgresStore;
use super::connector::Connector;
use super::migrations;
use super::open_error::{PostgresOpenError, check_encoding};
use super::settings::PostgresSettings;
use crate::store::{
    Inspected, InspectedCatalog, MasterKeyStore, OrganisationStore, Result, SigningKeyStore, WarehouseStore,
};

impl PostgresStore {
    /// Reads the state of the database. Returns `None` if it has no catalog yet.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub(crate) async fn inspect(
        settings: &PostgresSettings,
    ) -> std::result::Result<Option<Inspected>, PostgresOpenError> {
        let (connector, known) = (Arc::new(Connector::new(settings)?), migrations::all());
        check_encoding(&connector).await?;
        let state = migrations::state(&connector, &known).await?;
        let Some(schema_version) = state.newest_made else { return Ok(None) };
        let catalog = match state.pending {
            // Opening a database whose schema is up to date changes nothing.
            0 => Some(
                Self::open(settings)
                    .await?
                    .read_catalog()
                    .await
                    .map_err(|error| PostgresOpenError::Database(format!("its rows cannot be read: {error}")))?,
            ),
            _ => None,
        };
        let known_version = known.last().map_or(0, |migration| migration.version);
        Ok(Some(Inspected { schema_version, known_version, pending_migrations: state.pending, catalog }))
    }

    async fn read_catalog(&self) -> Result<InspectedCatalog> {
        let mut organisations = Vec::new();
        for organisation in self.organisation_list().await? {
            let warehouses = self.warehouse_list(organisation.id).await?;
            organisations.push((organisation, warehouses));
        }
        Ok(InspectedCatalog {
            organisations,
            master_key: self.master_key_get().await?,
            signing_keys: self.signing_key_list().await?.len(),
        })
    }
}
