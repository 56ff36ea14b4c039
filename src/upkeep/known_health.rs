//! What is known of the health of tables, for metrics: each run measures its table at its end.

use std::time::Duration;

use super::health::read_health;
use super::run::{Run, RunError};
use crate::store::KnownHealth;

/// How long a measurement takes at most.
const LONGEST: Duration = Duration::from_secs(30);

/// Measures the health of a run's table, unless its document was measured already, and stores it in the state of the lease. A
/// failure changes nothing: what an earlier run found stays known.
pub(super) async fn note(run: &Run<'_>) {
    let watch = run.held.watch();
    let measured = tokio::select! {
        biased;
        () = watch.ended() => return,
        measured = tokio::time::timeout(LONGEST, measure(run)) => measured,
    };
    let table = &run.table.ident;
    match measured {
        Ok(Ok(None)) => {}
        Ok(Ok(Some(health))) => {
            if let Err(error) = run.held.change_state(|state| state.health = Some(health)).await {
                tracing::debug!(%table, %error, "the health of a table was not stored");
            }
        }
        Ok(Err(error)) => tracing::debug!(%table, ?error, "the health of a table was not measured"),
        Err(_) => tracing::debug!(%table, "the health of a table was not measured in time"),
    }
}

async fn measure(run: &Run<'_>) -> Result<Option<KnownHealth>, RunError> {
    let location = run.pointer().await?.metadata_location;
    if run.held.state().health.is_some_and(|known| known.document == location) {
        return Ok(None);
    }
    let document = run.parts.documents.get(&run.table.warehouse.storage, &location).await?;
    let policy = run.policy(&document)?;
    let health = read_health(run.parts, &run.table, &document, &policy, false).await;
    let counts = (&health.map_err(|error| RunError::Failed(error.to_string()))?.figures).into();
    Ok(Some(KnownHealth { document: location, counts }))
}
