//! Removes deleted organisations after their grace time. It removes the rows in small steps, which a stop or a kill only delays.

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{LOOK_INTERVAL, Maintenance};
use crate::store::{Change, Forgotten, Organisation, StoreError};

/// The most organisations in one round.
const ORGANISATIONS: u32 = 16;

/// The most rows that one transaction removes, so that commits do not wait long.
const ROWS: u32 = 200;

impl Maintenance {
    /// Removes organisations whenever some are due, until `stopped`.
    pub(super) async fn end_organisations(&self, stopped: &CancellationToken) {
        let mut ticks = interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stopped.cancelled() => return,
                _ = ticks.tick() => self.remove_organisations(stopped).await,
            }
        }
    }

    /// Removes organisations that are due. One whose tables' files are still being removed has to wait.
    pub(super) async fn remove_organisations(&self, stopped: &CancellationToken) {
        let due = match self.store.organisation_due(self.clock.now_ms(), ORGANISATIONS).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "could not look for organisations to be removed: trying again");
                return;
            }
        };
        for organisation in due {
            if let Err(error) = self.remove_organisation(&organisation, stopped).await {
                let Organisation { id, name, .. } = &organisation;
                tracing::warn!(organisation = %id, name, %error, "could not remove an organisation: trying again");
            }
        }
    }

    async fn remove_organisation(
        &self,
        organisation: &Organisation,
        stopped: &CancellationToken,
    ) -> Result<(), StoreError> {
        while !stopped.is_cancelled() {
            let change = Change::by_catalog(self.clock.now_ms());
            match self.store.organisation_forget(organisation.id, ROWS, &change).await? {
                Forgotten::More => {}
                Forgotten::Waiting => {
                    self.wake();
                    return Ok(());
                }
                Forgotten::All => {
                    tracing::info!(organisation = %organisation.id, name = organisation.name, "removed an organisation");
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
