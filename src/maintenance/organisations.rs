//! Removes deleted organisations after their grace time. It removes the rows in small steps, which a stop or a kill only delays.

use tokio_util::sync::CancellationToken;

use super::Maintenance;
use crate::store::{Change, Forgotten, Organisation, StoreError};

/// The most organisations in one round.
const ORGANISATIONS: u32 = 16;

/// The most rows that one transaction removes, so that commits do not wait long.
const ROWS: u32 = 200;

impl Maintenance {
    /// Removes organisations that are due, as far as possible now. Returns the number of completely removed ones.
    ///
    /// # Errors
    /// Fails if the store does not answer. The other organisations are removed nevertheless.
    pub(super) async fn remove_organisations(&self, stopped: &CancellationToken) -> Result<u64, StoreError> {
        let (mut removed, mut failed) = (0, None);
        for organisation in self.store.organisation_due(self.clock.now_ms(), ORGANISATIONS).await? {
            match self.remove_organisation(&organisation, stopped).await {
                Ok(is_gone) => removed += u64::from(is_gone),
                Err(error) => {
                    let Organisation { id, name, .. } = &organisation;
                    tracing::warn!(organisation = %id, name, %error, "could not remove an organisation: trying again");
                    failed = Some(error);
                }
            }
        }
        failed.map_or(Ok(removed), Err)
    }

    /// Removes an organisation, as far as possible now. Returns whether it is completely removed.
    async fn remove_organisation(
        &self,
        organisation: &Organisation,
        stopped: &CancellationToken,
    ) -> Result<bool, StoreError> {
        while !stopped.is_cancelled() {
            let change = Change::by_catalog(self.clock.now_ms());
            match self.store.organisation_forget(organisation.id, ROWS, &change).await? {
                Forgotten::More => {}
                Forgotten::Waiting => {
                    self.wake();
                    return Ok(false);
                }
                Forgotten::All => {
                    tracing::info!(organisation = %organisation.id, name = organisation.name, "removed an organisation");
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}
