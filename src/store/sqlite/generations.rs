//! Counts the changes of each principal's access.
//!
//! Triggers on the writer's connection report every change, as for the cache (`memory/changes.rs`). The counters increase after
//! the commit and before its changes are answered.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use tidewater_core::ids::{OrganisationId, PrincipalId};
use uuid::Uuid;

type Key = (OrganisationId, PrincipalId);

/// The number of counters from which unused ones are removed.
const FEW: usize = 1_024;

/// The counters in use, by principal.
#[derive(Default)]
pub(super) struct Generations(Mutex<Counters>);

#[derive(Default)]
struct Counters {
    by_principal: HashMap<Key, Arc<AtomicU64>>,
    /// The number of counters at which unused ones are removed next.
    full: usize,
}

impl Generations {
    /// Returns a principal's counter.
    pub(super) fn counter(&self, principal: Key) -> Arc<AtomicU64> {
        let mut counters = self.0.lock();
        if counters.by_principal.len() >= counters.full.max(FEW) {
            counters.by_principal.retain(|_, counter| Arc::strong_count(counter) > 1);
            counters.full = counters.by_principal.len().saturating_mul(2);
        }
        Arc::clone(counters.by_principal.entry(principal).or_default())
    }

    fn raise(&self, principals: impl Iterator<Item = Key>) {
        let counters = self.0.lock();
        principals.filter_map(|principal| counters.by_principal.get(&principal)).for_each(|counter| {
            counter.fetch_add(1, Ordering::AcqRel);
        });
    }
}

/// Follows the transactions of the writer.
pub(super) struct AccessChanges {
    generations: Arc<Generations>,
    changed: Arc<Mutex<HashSet<Key>>>,
}

/// Reports the principals with a catalog role.
const WITH_CATALOG_ROLE: &str = "SELECT access_changed(member.organisation, member.principal)
    FROM main.catalog_role_member AS held
    JOIN main.principal_role_member AS member
         ON member.organisation = held.organisation AND member.role = held.principal_role
    WHERE held.organisation = {row}.organisation AND held.role = {row}.role;";

/// Reports the principals with a principal role.
const WITH_PRINCIPAL_ROLE: &str = "SELECT access_changed(member.organisation, member.principal)
    FROM main.principal_role_member AS member
    WHERE member.organisation = {row}.organisation AND member.role = {row}.principal_role;";

/// Reports the principals with a grant on a table or view.
const WITH_GRANT_ON: &str = "SELECT access_changed(member.organisation, member.principal)
    FROM main.access_grant AS granted
    JOIN main.catalog_role_member AS held ON held.organisation = granted.organisation AND held.role = granted.role
    JOIN main.principal_role_member AS member
         ON member.organisation = held.organisation AND member.role = held.principal_role
    WHERE granted.organisation = {row}.organisation AND granted.securable = {row}.id;";

/// Reports the owner.
const OWNER: &str = "SELECT access_changed({row}.organisation, {row}.owner) WHERE {row}.owner IS NOT NULL;";

/// Reports the owner of a table or view, if it owns no other in the namespace: then its list of namespaces changes.
const OWNER_OF_ONE: &str = "SELECT access_changed({row}.organisation, {row}.owner)
    WHERE {row}.owner IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM main.tabular AS other
        WHERE other.organisation = {row}.organisation AND other.owner = {row}.owner
              AND other.warehouse = {row}.warehouse AND other.namespace = {row}.namespace AND other.id <> {row}.id);";

/// The triggers: a name, an event, the row, and the reports. A role that is removed takes its assignments along, and those report.
const TRIGGERS: [(&str, &str, &str, &[&str]); 12] = [
    ("granted", "INSERT ON main.access_grant", "new", &[WITH_CATALOG_ROLE]),
    ("revoked", "DELETE ON main.access_grant", "old", &[WITH_CATALOG_ROLE]),
    ("grant_renamed", "UPDATE OF namespace ON main.access_grant", "new", &[WITH_CATALOG_ROLE]),
    ("catalog_role_assigned", "INSERT ON main.catalog_role_member", "new", &[WITH_PRINCIPAL_ROLE]),
    ("catalog_role_revoked", "DELETE ON main.catalog_role_member", "old", &[WITH_PRINCIPAL_ROLE]),
    ("role_assigned", "INSERT ON main.principal_role_member", "new", &[MEMBER]),
    ("role_revoked", "DELETE ON main.principal_role_member", "old", &[MEMBER]),
    ("tabular_added", "INSERT ON main.tabular", "new", &[WITH_GRANT_ON, OWNER_OF_ONE]),
    ("tabular_removed", "DELETE ON main.tabular", "old", &[WITH_GRANT_ON, OWNER_OF_ONE]),
    ("tabular_renamed", "UPDATE OF namespace, name ON main.tabular", "new", &[WITH_GRANT_ON, OWNER]),
    ("namespace_added", "INSERT ON main.namespace", "new", &[OWNER]),
    ("namespace_removed", "DELETE ON main.namespace", "old", &[OWNER]),
];

/// Reports the principal of an assignment.
const MEMBER: &str = "SELECT access_changed({row}.organisation, {row}.principal);";

/// The triggers for the roles of keys and users.
const ROLE_CHANGED: &str = "
    CREATE TEMP TRIGGER access_user_changed AFTER UPDATE OF role ON main.principal WHEN old.role IS NOT new.role BEGIN
        SELECT access_changed(new.organisation, new.id);
    END;
    CREATE TEMP TRIGGER access_key_changed AFTER UPDATE OF role ON main.api_key WHEN old.role <> new.role BEGIN
        SELECT access_changed(new.organisation, new.principal);
    END;";

impl AccessChanges {
    /// Follows the transactions of `connection`.
    pub(super) fn follow(connection: &Connection, generations: Arc<Generations>) -> rusqlite::Result<Self> {
        let changed: Arc<Mutex<HashSet<Key>>> = Arc::default();
        let noted = Arc::clone(&changed);
        connection.create_scalar_function("access_changed", 2, FunctionFlags::SQLITE_UTF8, move |context| {
            let (organisation, principal) = (context.get::<[u8; 16]>(0)?, context.get::<[u8; 16]>(1)?);
            let principal = PrincipalId(Uuid::from_bytes(principal));
            noted.lock().insert((OrganisationId(Uuid::from_bytes(organisation)), principal));
            Ok(true)
        })?;
        connection.pragma_update(None, "temp_store", "memory")?;
        let mut triggers = ROLE_CHANGED.to_owned();
        for (name, event, row, reports) in TRIGGERS {
            let reports = reports.concat().replace("{row}", row);
            triggers.push_str(&format!("CREATE TEMP TRIGGER access_{name} AFTER {event} BEGIN {reports} END;"));
        }
        connection.execute_batch(&triggers)?;
        Ok(Self { generations, changed })
    }

    /// Discards the changes of a transaction that was undone.
    pub(super) fn begin(&self) {
        self.changed.lock().clear();
    }

    /// Raises the counters of the principals whose access the transaction changed. Called after failed commits too, since they
    /// may have been made.
    pub(super) fn ended(&self) {
        self.generations.raise(self.changed.lock().drain());
    }
}
