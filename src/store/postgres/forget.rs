//! Removes an organisation's rows in bounded steps, referring rows first.

use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
use tidewater_core::name::TableIdent;
use tokio_postgres::Row;

use super::attempts::transact;
use super::connection::Transaction;
use super::convert::{Failure, Violation, get, violation};
use super::events::{Scope, details, event_add};
use super::generations::raise;
use super::params::params;
use super::roles::added;
use super::state_rows::{self, Added, Affected};
use super::table_rows::{kind, namespace};
use super::{PostgresStore, dropped, organisations, tables};
use crate::store::{
    Change, DropTerms, Forgotten, Operation, Organisation, Resource, Result, StoreError, TableKind, WarehouseRef,
};

type Outcome<T> = std::result::Result<T, Failure>;

/// The database tables with rows of an organisation, and the columns that identify a row, in the order of removal.
const TABLES: [(&str, &str); 27] = [
    ("tabular", "id"),
    ("dropped", "id"),
    ("location", "tabular, digest"),
    ("old_document", "digest"),
    ("report", "id"),
    ("maintenance_policy", "object"),
    ("maintenance_state", "table_id"),
    ("maintenance_run", "id"),
    ("access_grant", "role, kind, securable_digest, privilege"),
    ("entity", "id"),
    ("catalog_role_member", "principal_role, role"),
    ("principal_role_member", "principal, role, source"),
    ("catalog_role", "id"),
    ("principal_role", "id"),
    // Namespaces with children are removed in a later step.
    ("namespace", "warehouse, digest"),
    ("receipt", "principal, key"),
    ("key_usage", "day, key"),
    ("usage", "day"),
    ("api_key", "id"),
    ("principal", "id"),
    ("warehouse", "id"),
    ("dead_letter", "subscription, event"),
    ("subscription", "id"),
    ("feed_consumer", "name"),
    ("feed_removed", "organisation"),
    ("event", "id"),
    ("audit", "id"),
];

/// Makes one step. The organisation's lock keeps its changes out, except those of rows that exist already.
async fn step(transaction: &Transaction, id: OrganisationId, at_most: u32, change: &Change) -> Outcome<Forgotten> {
    let organisation = match organisations::lock(transaction, id).await {
        Err(Failure::Refused(StoreError::NotFound(Resource::Organisation))) => return Ok(Forgotten::All),
        organisation => organisation?,
    };
    let Some(deletion) = organisation.standing.deletion.filter(|deletion| deletion.after_ms <= change.at_ms) else {
        return Ok(Forgotten::All);
    };
    organisations::end_grace(transaction, id).await?;
    if deletion.purge && drop_tables(transaction, id, at_most, change).await? > 0 {
        return Ok(Forgotten::More);
    }
    if end_dropped(transaction, id, deletion.purge, at_most, change).await? > 0 {
        return Ok(Forgotten::More);
    }
    if is_purging(transaction, id, deletion.purge).await? {
        return Ok(Forgotten::Waiting);
    }
    for (table, key) in TABLES {
        let removed = added(empty(transaction, id, (table, key), at_most).await?);
        if removed > 0 {
            state_rows::add(transaction, id, counted(table, -removed)).await?;
            raise(transaction, id, &[Affected::Organisation]).await?;
            return Ok(Forgotten::More);
        }
    }
    remove(transaction, &organisation, change).await?;
    Ok(Forgotten::All)
}

/// Drops tables with a purge that is due now, and forgets views. Returns how many.
async fn drop_tables(
    transaction: &Transaction,
    organisation: OrganisationId,
    at_most: u32,
    change: &Change,
) -> Outcome<usize> {
    let found = transaction
        .query(
            "SELECT warehouse, id, namespace, name, kind FROM tabular WHERE organisation = $1 LIMIT $2",
            params![organisation.0, i64::from(at_most)],
        )
        .await?;
    for row in &found {
        let (warehouse_ref, table) = table_at(organisation, row)?;
        let ident = TableIdent::new(namespace(get(row, 2)?)?, get(row, 3)?)
            .map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let kind = kind(get(row, 4)?)?;
        let purge = DropTerms { restorable_until_ms: change.at_ms, purge: true };
        let terms = (kind == TableKind::Table).then_some(&purge);
        tables::table_drop(transaction, warehouse_ref, (&ident, table, kind), terms, change).await?;
    }
    Ok(found.len())
}

/// Ends the restore time of all dropped tables and views. Their files are removed if the drop or this deletion requested a
/// purge. Returns their number.
async fn end_dropped(
    transaction: &Transaction,
    organisation: OrganisationId,
    purge: bool,
    at_most: u32,
    change: &Change,
) -> Outcome<usize> {
    let found = transaction
        .query(
            "SELECT warehouse, id FROM dropped WHERE organisation = $1 AND state = 'kept' LIMIT $2",
            params![organisation.0, i64::from(at_most)],
        )
        .await?;
    for row in &found {
        let (warehouse_ref, table) = table_at(organisation, row)?;
        dropped::remove(transaction, warehouse_ref, table, purge.then_some(true), change).await?;
    }
    Ok(found.len())
}

/// Reads the columns warehouse and id.
fn table_at(organisation: OrganisationId, row: &Row) -> Result<(WarehouseRef, TableId)> {
    Ok((WarehouseRef { organisation, warehouse: WarehouseId(get(row, 0)?) }, TableId(get(row, 1)?)))
}

/// Returns whether files are being removed, or their removal is blocked. A person must look at a blocked removal if this
/// deletion requested the purge.
async fn is_purging(transaction: &Transaction, organisation: OrganisationId, purge: bool) -> Outcome<bool> {
    let found = transaction
        .query_first(
            "SELECT 1 FROM dropped WHERE organisation = $1
             AND (state IN ('removing', 'finishing') OR (state = 'blocked' AND $2)) LIMIT 1",
            params![organisation.0, purge],
        )
        .await?;
    Ok(found.is_some())
}

/// Removes rows of a database table. Returns how many.
async fn empty(
    transaction: &Transaction,
    organisation: OrganisationId,
    (table, key): (&str, &str),
    at_most: u32,
) -> Outcome<usize> {
    let leaves = match table {
        "namespace" => {
            "AND NOT EXISTS (SELECT 1 FROM namespace AS child WHERE child.organisation = namespace.organisation
                             AND child.warehouse = namespace.warehouse AND child.parent_digest = namespace.digest)"
        }
        _ => "",
    };
    let some = format!(
        "organisation = $1 AND ({key}) IN (SELECT {key} FROM {table} WHERE organisation = $1 {leaves} LIMIT $2)"
    );
    let sql = match table {
        "event" => format!(
            // The events about the organisation itself become events of the server, so that they still show who deleted it.
            "WITH chosen AS MATERIALIZED (SELECT id, object_kind = 'organisation' AS stays FROM event WHERE {some}),
                  moved AS (
                      UPDATE event SET organisation = '{SERVER}', id = CASE WHEN EXISTS
                          (SELECT 1 FROM event AS other WHERE other.organisation = '{SERVER}' AND other.id = event.id)
                          THEN event.id + 1 ELSE event.id END
                      FROM chosen WHERE event.organisation = $1 AND event.id = chosen.id AND chosen.stays),
                  removed AS (
                      DELETE FROM event USING chosen
                      WHERE event.organisation = $1 AND event.id = chosen.id AND NOT chosen.stays)
             SELECT 1 FROM chosen"
        ),
        "report" => format!(
            "WITH removed AS (DELETE FROM report WHERE {some} RETURNING octet_length(body) AS size),
                  counted AS (UPDATE report_bytes SET bytes = bytes - (SELECT coalesce(sum(size), 0)::bigint FROM removed)
                              WHERE organisation = $1)
             SELECT 1 FROM removed"
        ),
        _ => format!("DELETE FROM {table} WHERE {some} RETURNING 1"),
    };
    transaction.count(&sql, params![organisation.0, i64::from(at_most)]).await
}

/// The organisation of the server's events.
const SERVER: uuid::Uuid = uuid::Uuid::nil();

/// Returns the change of the counts by rows of a database table.
fn counted(table: &str, rows: i64) -> Added {
    let none = Added::default();
    match table {
        "tabular" => Added { tables: rows, ..none },
        "principal_role" => Added { principal_roles: rows, ..none },
        "catalog_role" => Added { catalog_roles: rows, ..none },
        "catalog_role_member" | "principal_role_member" => Added { assignments: rows, ..none },
        "access_grant" => Added { grants: rows, ..none },
        _ => none,
    }
}

/// Removes the organisation itself, which has no rows left.
async fn remove(transaction: &Transaction, organisation: &Organisation, change: &Change) -> Outcome<()> {
    for sql in [
        "DELETE FROM report_bytes WHERE organisation = $1",
        "DELETE FROM organisation_state WHERE organisation = $1",
        "DELETE FROM organisation WHERE id = $1",
    ] {
        transaction.query(sql, params![organisation.id.0]).await?;
    }
    raise(transaction, organisation.id, &[Affected::Organisation]).await?;
    let object = organisations::object(organisation.id.0, &organisation.name);
    let details =
        details([("tier", organisation.tier.as_str().into()), ("created-ms", organisation.created_ms.into())]);
    event_add(transaction, change, Scope::SERVER, Operation::ForgetOrganisation, &object, &details).await
}

impl PostgresStore {
    pub(super) async fn forget_organisation(
        &self,
        id: OrganisationId,
        at_most: u32,
        change: &Change,
    ) -> Result<Forgotten> {
        let ended = transact!(self, for id, transaction => async {
            step(transaction, id, at_most, change).await.map_err(|failure| match violation(&failure) {
                Some(Violation::ForeignKey) => StoreError::NotEmpty(Resource::Organisation).into(),
                _ => failure,
            })
        });
        match ended {
            // A request that ran already wrote its receipt or its usage meanwhile.
            Err(StoreError::NotEmpty(Resource::Organisation)) => Ok(Forgotten::More),
            ended => ended,
        }
    }
}
