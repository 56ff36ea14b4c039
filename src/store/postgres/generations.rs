//! Counts the changes of access, of organisations and of the server, on this server and others.
//!
//! The truth is in the database. `organisation_state.generation` increases in the transaction of each change, under the row's lock, so
//! generations become visible in their order. `principal.generation` is the organisation's generation at the last change of the
//! principal's access, and `organisation_state.standing` at the last change of the organisation, its keys, its users or its warehouses.
//!
//! A read of a request returns the generation too. If it is newer than the one that was read last, the counters of all that changed
//! since increase before the read is answered ([`PostgresStore::seen`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tidewater_core::ids::{OrganisationId, PrincipalId};
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::connection::Transaction;
use super::convert::{Failure, get};
use super::counters::{Counters, Raised};
use super::params::params;
use super::state_rows::Affected;
use super::table_rows::record_at;
use crate::store::{AccessGenerations, Result, TableRecord};

/// The most changed principals that are read. If there are more, the counters of all principals increase.
const MOST_READ: usize = 1_000;

impl PostgresStore {
    /// Reads the generations of the server and of an organisation, and raises the counters of all that changed.
    async fn read_generations(&self, organisation: Option<(OrganisationId, &Counters)>) -> Result<()> {
        let seen = organisation.map_or(0, |(_, counters)| counters.seen.load(Ordering::Acquire));
        let id = organisation.map_or(Uuid::nil(), |(id, _)| id.0);
        // Of an organisation that was never read all may have changed: no list is needed.
        let rows = self
            .pool
            .read_few(
                "SELECT v.generation, s.generation, s.standing, p.id FROM server_state AS v
                 LEFT JOIN organisation_state AS s ON s.organisation = $1
                 LEFT JOIN principal AS p ON p.organisation = $1 AND p.generation > $2 AND $2 > 0
                 LIMIT 1001",
                params![id, seen],
            )
            .await?;
        let Some(first) = rows.first() else { return Ok(()) };
        self.generations.note_change();
        self.generations.server.note(get(first, 0)?);
        let Some((_, counters)) = organisation else { return Ok(()) };
        let (generation, standing): (Option<i64>, Option<i64>) = (get(first, 1)?, get(first, 2)?);
        let (Some(generation), Some(standing)) = (generation, standing) else {
            counters.raise_all();
            return Ok(());
        };
        if seen == 0 || rows.len() > MOST_READ {
            counters.raise_all();
        } else {
            let changed: Vec<Option<Uuid>> = rows.iter().map(|row| get(row, 3)).collect::<Result<_>>()?;
            counters.raise(standing > seen, changed.into_iter().flatten().map(PrincipalId));
        }
        // After the counters: whoever finds the generation seen finds them increased.
        counters.seen.fetch_max(generation, Ordering::AcqRel);
        Ok(())
    }

    /// Counts the changes up to the generation of an organisation that a read returned, before the read is answered. `None` if the
    /// organisation has no row.
    pub(super) async fn seen(&self, organisation: OrganisationId, generation: Option<i64>) -> Result<()> {
        let Some(counters) = self.generations.known(organisation) else { return Ok(()) };
        match generation {
            Some(generation) if counters.has_seen(generation) => Ok(()),
            Some(generation) => {
                let refresh = self.read_generations(Some((organisation, &counters)));
                Box::pin(counters.turns.read_unless(|| counters.has_seen(generation), refresh)).await
            }
            None => {
                self.generations.note_change();
                counters.raise_all();
                Ok(())
            }
        }
    }

    /// Returns the table or view of a row that has its organisation's generation before it, and counts the changes up to that.
    pub(super) async fn record_seen(
        &self,
        organisation: OrganisationId,
        row: Option<&Row>,
    ) -> Result<Option<TableRecord>> {
        self.seen(organisation, row.map(|row| get(row, 0)).transpose()?).await?;
        row.map_or(Ok(None), |row| record_at(row, 1))
    }

    async fn refresh(&self, organisation: Option<OrganisationId>) -> Result<()> {
        let Some(organisation) = organisation else {
            return self.generations.server.turns.read(self.read_generations(None)).await;
        };
        let counters = self.generations.counters(organisation);
        counters.turns.read(self.read_generations(Some((organisation, &counters)))).await
    }
}

impl AccessGenerations for PostgresStore {
    fn access_generation(&self, organisation: OrganisationId, principal: PrincipalId) -> Arc<AtomicU64> {
        self.generations.counters(organisation).of_principal(principal)
    }

    fn organisation_generation(&self, organisation: OrganisationId) -> Arc<AtomicU64> {
        Arc::clone(&self.generations.counters(organisation).counter)
    }

    fn server_generation(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.generations.server.counter)
    }

    fn change_count(&self) -> u64 {
        self.generations.change_count()
    }

    fn access_refresh(&self, organisation: Option<OrganisationId>) -> Option<BoxFuture<'_, Result<()>>> {
        Some(self.refresh(organisation).boxed())
    }
}

/// The principals that a change affects, by the way to them.
#[derive(Default)]
struct Ways<'a> {
    principals: Vec<Uuid>,
    principal_roles: Vec<Uuid>,
    catalog_roles: Vec<Uuid>,
    securables: Vec<&'a [u8]>,
    owned: Vec<Uuid>,
    organisation: bool,
}

impl<'a> Ways<'a> {
    fn new(affected: &'a [Affected<'_>]) -> Self {
        let mut ways = Self::default();
        for affected in affected {
            match affected {
                Affected::Principal(id) => ways.principals.push(id.0),
                Affected::PrincipalRole(id) => ways.principal_roles.push(id.0),
                Affected::CatalogRole(id) => ways.catalog_roles.push(id.0),
                Affected::GrantOn(id) => ways.securables.push(id.0.as_bytes()),
                // The row of the table has its warehouse and namespace.
                Affected::OwnerOfOne(id, _, _) => ways.owned.push(id.0),
                Affected::Organisation => ways.organisation = true,
            }
        }
        ways
    }
}

/// Raises the generation of an organisation if the change affects it or one of its principals, and those of the principals.
const RAISE: &str = "WITH affected AS (
    SELECT unnest($2::uuid[]) AS id
    UNION SELECT principal FROM principal_role_member WHERE organisation = $1 AND role = ANY($3)
    UNION SELECT member.principal FROM catalog_role_member AS held
        JOIN principal_role_member AS member
             ON member.organisation = held.organisation AND member.role = held.principal_role
        WHERE held.organisation = $1 AND held.role = ANY($4)
    UNION SELECT member.principal FROM access_grant AS granted
        JOIN catalog_role_member AS held ON held.organisation = granted.organisation AND held.role = granted.role
        JOIN principal_role_member AS member
             ON member.organisation = held.organisation AND member.role = held.principal_role
        WHERE granted.organisation = $1 AND substring(granted.securable FROM 1 FOR 16) = ANY($5)
              AND granted.securable = ANY($5)
    UNION SELECT owned.owner FROM tabular AS owned
        WHERE owned.organisation = $1 AND owned.id = ANY($6) AND owned.owner IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM tabular AS other
            WHERE other.organisation = $1 AND other.owner = owned.owner AND other.warehouse = owned.warehouse
                  AND other.namespace_digest = owned.namespace_digest AND other.namespace = owned.namespace
                  AND other.id <> owned.id)
), state AS (
    UPDATE organisation_state SET generation = generation + 1,
        standing = CASE WHEN $7 THEN generation + 1 ELSE standing END
    WHERE organisation = $1 AND ($7 OR EXISTS (SELECT 1 FROM affected))
    RETURNING generation
), raised AS (
    UPDATE principal SET generation = state.generation FROM state
    WHERE principal.organisation = $1 AND principal.id IN (SELECT id FROM affected)
    RETURNING principal.id
)
SELECT state.generation, raised.id FROM state LEFT JOIN raised ON true";

/// Records in the transaction of a change that it affects the access of these principals. Call it before the change removes the rows that
/// lead to them, or after it adds them.
pub(super) async fn raise(
    transaction: &Transaction,
    organisation: OrganisationId,
    affected: &[Affected<'_>],
) -> std::result::Result<(), Failure> {
    if affected.is_empty() {
        return Ok(());
    }
    let Ways { principals, principal_roles, catalog_roles, securables, owned, organisation: standing } =
        Ways::new(affected);
    let rows = transaction
        .query(RAISE, params![organisation.0, principals, principal_roles, catalog_roles, securables, owned, standing])
        .await?;
    let generation: Option<i64> = rows.first().map(|row| get(row, 0)).transpose()?;
    if generation.is_none() && !standing {
        return Ok(());
    }
    let raised: Vec<Option<Uuid>> = rows.iter().map(|row| get(row, 1)).collect::<Result<_>>()?;
    let principals = raised.into_iter().flatten().map(PrincipalId).collect();
    transaction.note_raised(Raised::Organisation { id: organisation, generation, standing, principals });
    Ok(())
}

/// Records in the transaction of a change that it concerns operators, or that it adds a signing key.
pub(super) async fn raise_server(transaction: &Transaction) -> std::result::Result<(), Failure> {
    transaction.query("UPDATE server_state SET generation = generation + 1", params![]).await?;
    transaction.note_raised(Raised::Server);
    Ok(())
}

/// Records in the transaction of a change that tokens of all organisations may no longer be valid: a signing key was removed.
pub(super) async fn raise_all(transaction: &Transaction) -> std::result::Result<(), Failure> {
    transaction.query("UPDATE server_state SET generation = generation + 1", params![]).await?;
    transaction
        .query("UPDATE organisation_state SET generation = generation + 1, standing = generation + 1", params![])
        .await?;
    transaction.note_raised(Raised::All);
    Ok(())
}
