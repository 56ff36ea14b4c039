//! Organisations.

use async_trait::async_trait;
use tidewater_core::ids::OrganisationId;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::attempts::transact;
use super::connection::Transaction;
use super::convert::{Failure, Violation, get, violation};
use super::events::{NewEvent, details, event_add, events_add};
use super::generations::raise;
use super::pages::{after_name, one_more, page_of};
use super::params::params;
use super::state_rows::{self, Added, Affected};
use crate::store::{
    Change, Deletion, EventDetails, EventObject, ObjectKind, Operation, Organisation, OrganisationStore,
    OrganisationUpdate, Page, PageRequest, Resource, Result, Standing, StoreError,
};

/// Lists the columns of an organisation, for `concat!`.
macro_rules! organisation_columns {
    () => {
        "organisation.id, organisation.name, organisation.tier, organisation.created_ms, organisation.suspended_ms,
         organisation.delete_after_ms, organisation.delete_purge"
    };
}
pub(super) use organisation_columns;

const BY_ID: &str = concat!("SELECT ", organisation_columns!(), " FROM organisation WHERE id = $1");

/// Reads an organisation from the columns of a row from `first` on.
pub(super) fn organisation_at(row: &Row, first: usize) -> Result<Organisation> {
    Ok(Organisation {
        id: OrganisationId(get(row, first)?),
        name: get(row, first + 1)?,
        tier: get(row, first + 2)?,
        created_ms: get(row, first + 3)?,
        standing: Standing {
            suspended_ms: get(row, first + 4)?,
            deletion: match get(row, first + 5)? {
                Some(after_ms) => Some(Deletion { after_ms, purge: get(row, first + 6)? }),
                None => None,
            },
        },
    })
}

/// Returns the object of an organisation's events.
pub(super) fn object(id: Uuid, name: &str) -> EventObject {
    EventObject::new(ObjectKind::Organisation, Some(id), name)
}

/// Adds an organisation, and its row of counts.
async fn organisation_create(
    transaction: &Transaction,
    new: &Organisation,
    change: &Change,
) -> std::result::Result<(), Failure> {
    let added = transaction
        .count(
            "WITH added AS (INSERT INTO organisation (id, name, tier, created_ms) VALUES ($1, $2, $3, $4)
                            ON CONFLICT DO NOTHING RETURNING id)
             INSERT INTO organisation_state (organisation) SELECT id FROM added RETURNING 1",
            params![new.id.0, new.name, new.tier, new.created_ms],
        )
        .await?;
    if added == 0 {
        return Err(StoreError::AlreadyExists(Resource::Organisation).into());
    }
    let details = details([("tier", new.tier.as_str().into())]);
    let object = object(new.id.0, &new.name);
    event_add(transaction, change, new.id, Operation::CreateOrganisation, &object, &details).await
}

/// Locks an organisation against other changes of it, and returns it.
///
/// # Errors
/// `NotFound` if it does not exist.
pub(super) async fn lock(transaction: &Transaction, id: OrganisationId) -> std::result::Result<Organisation, Failure> {
    state_rows::lock(transaction, id, Added::default()).await?;
    let row = transaction.query_first(BY_ID, params![id.0]).await?;
    Ok(organisation_at(&row.ok_or(StoreError::NotFound(Resource::Organisation))?, 0)?)
}

/// Writes an organisation's fields that may change.
async fn save(transaction: &Transaction, organisation: &Organisation) -> std::result::Result<(), Failure> {
    let Standing { suspended_ms, deletion } = organisation.standing;
    let saved = transaction
        .query(
            "UPDATE organisation SET name = $2, tier = $3, suspended_ms = $4, delete_after_ms = $5, delete_purge = $6
             WHERE id = $1",
            params![
                organisation.id.0,
                organisation.name,
                organisation.tier,
                suspended_ms,
                deletion.map(|deletion| deletion.after_ms),
                deletion.is_some_and(|deletion| deletion.purge)
            ],
        )
        .await;
    match saved {
        Err(failure) if violation(&failure) == Some(Violation::Unique) => {
            Err(StoreError::AlreadyExists(Resource::Organisation).into())
        }
        Err(failure) => Err(failure),
        Ok(_) => raise(transaction, organisation.id, &[Affected::Organisation]).await,
    }
}

async fn organisation_update(
    transaction: &Transaction,
    id: OrganisationId,
    update: &OrganisationUpdate,
    change: &Change,
) -> std::result::Result<Organisation, Failure> {
    let before = lock(transaction, id).await?;
    let suspended_ms = match update.suspended {
        None => before.standing.suspended_ms,
        Some(true) => before.standing.suspended_ms.or(Some(change.at_ms)),
        Some(false) => None,
    };
    let after = Organisation {
        name: update.name.clone().unwrap_or_else(|| before.name.clone()),
        tier: update.tier.clone().unwrap_or_else(|| before.tier.clone()),
        standing: Standing { suspended_ms, ..before.standing },
        ..before.clone()
    };
    if after != before {
        save(transaction, &after).await?;
        events_add(transaction, change, id, &update_events(&before, &after)).await?;
    }
    Ok(after)
}

/// Returns an event for each field that differs.
fn update_events(before: &Organisation, after: &Organisation) -> Vec<NewEvent> {
    let (object, none) = (object(before.id.0, &before.name), EventDetails::new());
    let mut events = Vec::new();
    if after.name != before.name {
        let object = object.clone().renamed(after.name.as_str());
        events.push(NewEvent { operation: Operation::RenameOrganisation, object, details: none.clone() });
    }
    if after.tier != before.tier {
        let details = details([("before", before.tier.as_str().into()), ("after", after.tier.as_str().into())]);
        events.push(NewEvent { operation: Operation::SetTier, object: object.clone(), details });
    }
    let operation = match (before.standing.suspended_ms, after.standing.suspended_ms) {
        (None, Some(_)) => Some(Operation::SuspendOrganisation),
        (Some(_), None) => Some(Operation::ResumeOrganisation),
        _ => None,
    };
    events.extend(operation.map(|operation| NewEvent { operation, object, details: none }));
    events
}

fn being_removed() -> StoreError {
    StoreError::NotRestorable("its rows are being removed".to_owned())
}

/// Ends the grace time of an organisation whose rows are being removed, for servers with slower clocks too.
pub(super) async fn end_grace(transaction: &Transaction, id: OrganisationId) -> std::result::Result<(), Failure> {
    transaction
        .query(
            "UPDATE organisation SET delete_after_ms = created_ms - 1 WHERE id = $1 AND delete_after_ms >= created_ms",
            params![id.0],
        )
        .await?;
    Ok(())
}

async fn organisation_delete(
    transaction: &Transaction,
    id: OrganisationId,
    deletion: Deletion,
    change: &Change,
) -> std::result::Result<(), Failure> {
    let mut organisation = lock(transaction, id).await?;
    if organisation.standing.deletion.is_some_and(|earlier| earlier.after_ms < organisation.created_ms) {
        return Err(being_removed().into());
    }
    organisation.standing.deletion = Some(deletion);
    save(transaction, &organisation).await?;
    let details = details([("delete-after-ms", deletion.after_ms.into()), ("purge", deletion.purge.into())]);
    let object = object(id.0, &organisation.name);
    event_add(transaction, change, id, Operation::DeleteOrganisation, &object, &details).await
}

async fn organisation_restore(
    transaction: &Transaction,
    id: OrganisationId,
    change: &Change,
) -> std::result::Result<Organisation, Failure> {
    let mut organisation = lock(transaction, id).await?;
    let Some(deletion) = organisation.standing.deletion else { return Ok(organisation) };
    if deletion.after_ms <= change.at_ms {
        return Err(being_removed().into());
    }
    organisation.standing.deletion = None;
    save(transaction, &organisation).await?;
    let object = object(id.0, &organisation.name);
    event_add(transaction, change, id, Operation::RestoreOrganisation, &object, &EventDetails::new()).await?;
    Ok(organisation)
}

#[async_trait]
impl OrganisationStore for PostgresStore {
    async fn organisation_create(&self, new: &Organisation, change: &Change) -> Result<()> {
        transact!(self, transaction => organisation_create(transaction, new, change))
    }

    async fn organisation_list(&self) -> Result<Vec<Organisation>> {
        const ALL: &str = concat!("SELECT ", organisation_columns!(), " FROM organisation ORDER BY name");
        self.read(ALL, params![]).await?.iter().map(|row| organisation_at(row, 0)).collect()
    }

    async fn organisation_by_name(&self, name: &str) -> Result<Option<Organisation>> {
        const BY_NAME: &str = concat!("SELECT ", organisation_columns!(), " FROM organisation WHERE name = $1");
        self.read_first(BY_NAME, params![name]).await?.map(|row| organisation_at(&row, 0)).transpose()
    }

    async fn organisation_set_tier(&self, id: OrganisationId, tier: &str, change: &Change) -> Result<()> {
        let update = OrganisationUpdate { tier: Some(tier.to_owned()), ..OrganisationUpdate::default() };
        self.update_organisation(id, &update, change).await.map(drop)
    }
}

impl PostgresStore {
    pub(super) async fn get_organisation(&self, id: OrganisationId) -> Result<Option<Organisation>> {
        self.read_first(BY_ID, params![id.0]).await?.map(|row| organisation_at(&row, 0)).transpose()
    }

    pub(super) async fn list_organisations(&self, page: &PageRequest) -> Result<Page<Organisation>> {
        const PAGE: &str =
            concat!("SELECT ", organisation_columns!(), " FROM organisation WHERE name > $1 ORDER BY name LIMIT $2");
        let rows = self.read(PAGE, params![after_name(page), one_more(page)]).await?;
        Ok(page_of(rows.iter().map(|row| organisation_at(row, 0)).collect::<Result<Vec<_>>>()?, page))
    }

    pub(super) async fn list_due_organisations(&self, now_ms: i64, at_most: u32) -> Result<Vec<Organisation>> {
        const DUE: &str = concat!(
            "SELECT ",
            organisation_columns!(),
            " FROM organisation WHERE delete_after_ms <= $1 ORDER BY delete_after_ms, id LIMIT $2"
        );
        let rows = self.read(DUE, params![now_ms, i64::from(at_most)]).await?;
        rows.iter().map(|row| organisation_at(row, 0)).collect()
    }

    pub(super) async fn update_organisation(
        &self,
        id: OrganisationId,
        update: &OrganisationUpdate,
        change: &Change,
    ) -> Result<Organisation> {
        transact!(self, for id, transaction => organisation_update(transaction, id, update, change))
    }

    pub(super) async fn delete_organisation(
        &self,
        id: OrganisationId,
        deletion: Deletion,
        change: &Change,
    ) -> Result<()> {
        transact!(self, for id, transaction => organisation_delete(transaction, id, deletion, change))
    }

    pub(super) async fn restore_organisation(&self, id: OrganisationId, change: &Change) -> Result<Organisation> {
        transact!(self, for id, transaction => organisation_restore(transaction, id, change))
    }
}
