//! Runs that people start. A run begins at once, or waits for its turn: then its record says that it is queued.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::lease::Held;
use super::operations::execute;
use super::records::Queued;
use super::run::Run;
use super::turns::{self, Kind};
use super::{RunRequest, Upkeep, UpkeepError};
use crate::access::action::{CommitTable, MaintainTable};
use crate::access::{Authorizer, Permit, Table};
use crate::base::line::{Joined, Place, Turn};
use crate::store::{Change, MaintenanceRun, RunOutcome, StoreError};

/// How often a queued run whose turn has come tries to lease its table, and the pauses between.
const CLAIMS: u32 = 20;
const BETWEEN_CLAIMS: Duration = Duration::from_millis(250);

/// Why a queued run does not begin any more.
const STOPPED: &str = "the server stopped before its turn: start it again";

/// A requested run, with the rights of the person who started it.
struct Asked {
    table: Table,
    authorizer: Authorizer<CommitTable>,
    change: Change,
}

impl Upkeep {
    /// Begins a run on a table, or queues it, and returns its id. The run continues when the caller leaves; its record shows the
    /// outcome. A queued run that gets no turn within an hour ends.
    ///
    /// # Errors
    /// `Busy`; `TooMany`; `NoDelete`; `Denied`; `Store`.
    pub async fn start(
        self: &Arc<Self>,
        table: Permit<MaintainTable, Table>,
        request: RunRequest,
        change: Change,
    ) -> Result<Uuid, UpkeepError> {
        let authorizer = table.authorizer().for_action::<CommitTable>()?;
        if !request.dry_run && table.is_no_delete() {
            return Err(UpkeepError::NoDelete(table.ident.to_string()));
        }
        let organisation = authorizer.principal().organisation();
        let kind = Kind::from_operation(request.operation);
        let joined = self.turns().join_by_hand(kind, organisation).map_err(|_| UpkeepError::TooMany)?;
        let asked = Asked { table: table.into_object(), authorizer, change };
        match joined {
            Joined::Has(place) => self.start_at_once(asked, request, place).await,
            Joined::Waits(turn) => self.start_in_turn(asked, request, turn).await,
        }
    }

    async fn start_at_once(
        self: &Arc<Self>,
        asked: Asked,
        request: RunRequest,
        place: Place,
    ) -> Result<Uuid, UpkeepError> {
        let table = &asked.table;
        let held = Held::claim(&self.parts, table.warehouse.warehouse_ref, table.record.id).await?;
        let Some(held) = held else { return Err(UpkeepError::Busy(table.ident.to_string())) };
        let record = match self.begin(table, request, asked.started_by(), RunOutcome::Running).await {
            Ok(record) => record,
            Err(error) => {
                held.release().await;
                return Err(error.into());
            }
        };
        let id = record.id;
        let this = Arc::clone(self);
        self.running.spawn(async move {
            let _place = place;
            this.run_by_hand(asked, record, held).await;
        });
        Ok(id)
    }

    async fn start_in_turn(
        self: &Arc<Self>,
        asked: Asked,
        request: RunRequest,
        turn: Turn,
    ) -> Result<Uuid, UpkeepError> {
        let record = self.begin(&asked.table, request, asked.started_by(), RunOutcome::Queued).await?;
        let id = record.id;
        let this = Arc::clone(self);
        let queued = Queued::new(self, id);
        self.running.spawn(async move {
            let place = tokio::select! {
                biased;
                () = this.stop.cancelled() => Err(STOPPED),
                place = turns::wait(turn) => place.map_err(|_| "other runs took all of the time: start it again"),
            };
            let begun = match place {
                Ok(place) => this.take_up(&asked, record.clone()).await.map(|(record, held)| (place, record, held)),
                Err(why) => Err(why.to_owned()),
            };
            drop(queued);
            match begun {
                Ok((_place, record, held)) => this.run_by_hand(asked, record, held).await,
                Err(why) => this.give_up(record, why).await,
            }
        });
        Ok(id)
    }

    /// Leases the table of a queued run whose turn has come.
    async fn take_up(&self, asked: &Asked, record: MaintenanceRun) -> Result<(MaintenanceRun, Held), String> {
        let claimed = self.claim_soon(&record).await;
        let held = claimed.map_err(|error| error.to_string())?;
        if held.is_none() && self.stop.is_cancelled() {
            return Err(STOPPED.to_owned());
        }
        let Some(held) = held else {
            let table = &asked.table.ident;
            return Err(format!("another run worked on the table {table} when its turn came: start it again"));
        };
        let record = MaintenanceRun { outcome: RunOutcome::Running, ..record };
        match self.parts.store.run_update(&record).await {
            Ok(()) => Ok((record, held)),
            Err(error) => {
                held.release().await;
                Err(error.to_string())
            }
        }
    }

    /// Leases the table of a run. Another run that is about to end may still have it. Ends early when the server stops.
    async fn claim_soon(&self, record: &MaintenanceRun) -> Result<Option<Held>, StoreError> {
        for _ in 0..CLAIMS {
            if let Some(held) = Held::claim(&self.parts, record.warehouse_ref, record.table).await? {
                return Ok(Some(held));
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(BETWEEN_CLAIMS) => {}
            }
        }
        Held::claim(&self.parts, record.warehouse_ref, record.table).await
    }

    async fn run_by_hand(&self, asked: Asked, record: MaintenanceRun, held: Held) {
        let Asked { table, authorizer, change } = asked;
        match self.policies(table.warehouse.warehouse_ref.organisation).await {
            Ok(policies) => {
                let warehouse = table.warehouse.warehouse_ref.warehouse;
                let policy = policies.of_table(warehouse, &table.ident, table.record.id);
                let run = Run::new(&self.parts, &held, table, policy, record, (authorizer, change));
                held.while_held(execute(&run), &self.stop).await;
            }
            Err(error) => self.give_up(record, error.to_string()).await,
        }
        held.release().await;
    }

    /// Stores that a run did not begin.
    async fn give_up(&self, record: MaintenanceRun, why: String) {
        let mut ended =
            MaintenanceRun { outcome: RunOutcome::Stopped, ended_ms: Some(self.parts.clock.now_ms()), ..record };
        ended.details.message = Some(why);
        let stored: Result<(), StoreError> = self.parts.store.run_update(&ended).await;
        if let Err(error) = stored {
            // A later look ends it as abandoned.
            tracing::warn!(table = ended.details.table, %error, "could not record that a run did not begin");
        }
    }
}

impl Asked {
    fn started_by(&self) -> Option<String> {
        Some(self.change.actor.name().unwrap_or(self.change.actor.kind()).to_owned())
    }
}
