//! Counts the changes of each principal's access, of each organisation, and of the server.
//!
//! Triggers on the writer's connection report every change, as for the cache (`memory/changes.rs`). The counters increase after
//! the commit and before its changes are answered.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use tidewater_core::ids::{OrganisationId, PrincipalId};
use uuid::Uuid;

/// What a change concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Concern {
    /// The access of a principal.
    Principal(OrganisationId, PrincipalId),
    /// An organisation itself, its keys, users or warehouses.
    Organisation(OrganisationId),
    /// Operators or signing keys.
    Server,
}

/// The number of counters from which unused ones are removed.
const FEW: usize = 1_024;

/// The counters in use.
#[derive(Default)]
pub(super) struct Generations {
    counters: Mutex<Counters>,
    changes: AtomicU64,
}

#[derive(Default)]
struct Counters {
    by_concern: HashMap<Concern, Arc<AtomicU64>>,
    /// The number of counters at which unused ones are removed next.
    full: usize,
}

impl Generations {
    /// Returns the counter of a principal's access.
    pub(super) fn of_principal(&self, organisation: OrganisationId, principal: PrincipalId) -> Arc<AtomicU64> {
        self.counter(Concern::Principal(organisation, principal))
    }

    /// Returns the counter of an organisation.
    pub(super) fn of_organisation(&self, organisation: OrganisationId) -> Arc<AtomicU64> {
        self.counter(Concern::Organisation(organisation))
    }

    /// Returns the counter of the server.
    pub(super) fn of_server(&self) -> Arc<AtomicU64> {
        self.counter(Concern::Server)
    }

    /// Returns how many changes were counted.
    pub(super) fn change_count(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn counter(&self, concern: Concern) -> Arc<AtomicU64> {
        let mut counters = self.counters.lock();
        if counters.by_concern.len() >= counters.full.max(FEW) {
            counters.by_concern.retain(|_, counter| Arc::strong_count(counter) > 1);
            counters.full = counters.by_concern.len().saturating_mul(2);
        }
        Arc::clone(counters.by_concern.entry(concern).or_default())
    }

    fn raise(&self, concerns: impl Iterator<Item = Concern>) {
        let counters = self.counters.lock();
        for concern in concerns {
            // Also without a counter: somebody may ask for it only now.
            self.changes.fetch_add(1, Ordering::AcqRel);
            if let Some(counter) = counters.by_concern.get(&concern) {
                counter.fetch_add(1, Ordering::AcqRel);
            }
        }
    }
}

/// Follows the transactions of the writer.
pub(super) struct AccessChanges {
    generations: Arc<Generations>,
    changed: Arc<Mutex<HashSet<Concern>>>,
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
const TRIGGERS: [(&str, &str, &str, &[&str]); 17] = [
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
    ("restricted", "INSERT ON main.read_restriction", "new", &[WITH_PRINCIPAL_ROLE]),
    ("restriction_set", "UPDATE ON main.read_restriction", "new", &[WITH_PRINCIPAL_ROLE]),
    ("restriction_removed", "DELETE ON main.read_restriction", "old", &[WITH_PRINCIPAL_ROLE]),
    ("engine_trusted", "INSERT ON main.trusted_engine", "new", &[MEMBER]),
    ("engine_distrusted", "DELETE ON main.trusted_engine", "old", &[MEMBER]),
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

/// The triggers for an organisation itself, its keys, users and warehouses, and the labels of its namespaces. The times of a key's and a user's last use, and who signed in
/// with which token, are no changes. A key that is added changes nothing that is known about others.
const ORGANISATION_CHANGED: &str = "
    CREATE TEMP TRIGGER standing_organisation AFTER UPDATE ON main.organisation BEGIN
        SELECT organisation_changed(new.id);
    END;
    CREATE TEMP TRIGGER standing_organisation_gone AFTER DELETE ON main.organisation BEGIN
        SELECT organisation_changed(old.id);
    END;
    CREATE TEMP TRIGGER standing_key
        AFTER UPDATE OF name, role, expires_ms, revoked_ms, no_delete, principal, acts_for_users ON main.api_key BEGIN
        SELECT organisation_changed(new.organisation);
    END;
    CREATE TEMP TRIGGER standing_key_gone AFTER DELETE ON main.api_key BEGIN
        SELECT organisation_changed(old.organisation);
    END;
    CREATE TEMP TRIGGER standing_user_added AFTER INSERT ON main.principal WHEN new.issuer IS NOT NULL BEGIN
        SELECT organisation_changed(new.organisation);
    END;
    CREATE TEMP TRIGGER standing_user AFTER UPDATE OF name, role, no_delete, disabled_ms ON main.principal
        WHEN new.name <> old.name OR new.role IS NOT old.role OR new.no_delete <> old.no_delete
             OR new.disabled_ms IS NOT old.disabled_ms BEGIN
        SELECT organisation_changed(new.organisation);
    END;
    CREATE TEMP TRIGGER standing_user_gone AFTER DELETE ON main.principal BEGIN
        SELECT organisation_changed(old.organisation);
    END;
    CREATE TEMP TRIGGER standing_warehouse_added AFTER INSERT ON main.warehouse BEGIN
        SELECT organisation_changed(new.organisation);
    END;
    CREATE TEMP TRIGGER standing_warehouse AFTER UPDATE ON main.warehouse BEGIN
        SELECT organisation_changed(new.organisation);
    END;
    CREATE TEMP TRIGGER standing_labels AFTER UPDATE OF labels ON main.namespace WHEN new.labels IS NOT old.labels BEGIN
        SELECT organisation_changed(new.organisation);
    END;
    CREATE TEMP TRIGGER standing_labels_gone AFTER DELETE ON main.namespace WHEN old.labels IS NOT NULL BEGIN
        SELECT organisation_changed(old.organisation);
    END;
    CREATE TEMP TRIGGER standing_warehouse_gone AFTER DELETE ON main.warehouse BEGIN
        SELECT organisation_changed(old.organisation);
    END;";

/// The triggers for operators and signing keys.
const SERVER_CHANGED: &str = "
    CREATE TEMP TRIGGER server_operator_added AFTER INSERT ON main.operator BEGIN SELECT server_changed(); END;
    CREATE TEMP TRIGGER server_operator AFTER UPDATE OF name, revoked_ms ON main.operator BEGIN
        SELECT server_changed();
    END;
    CREATE TEMP TRIGGER server_signing_key_added AFTER INSERT ON main.signing_key BEGIN SELECT server_changed(); END;
    CREATE TEMP TRIGGER server_signing_key_gone AFTER DELETE ON main.signing_key BEGIN SELECT server_changed(); END;";

impl AccessChanges {
    /// Follows the transactions of `connection`.
    pub(super) fn follow(connection: &Connection, generations: Arc<Generations>) -> rusqlite::Result<Self> {
        let changed: Arc<Mutex<HashSet<Concern>>> = Arc::default();
        let note = |name, arguments, concern: fn(&Context<'_>) -> rusqlite::Result<Concern>| {
            let changed = Arc::clone(&changed);
            connection.create_scalar_function(name, arguments, FunctionFlags::SQLITE_UTF8, move |context| {
                changed.lock().insert(concern(context)?);
                Ok(true)
            })
        };
        note("access_changed", 2, |context| Ok(Concern::Principal(organisation(context)?, principal(context)?)))?;
        note("organisation_changed", 1, |context| Ok(Concern::Organisation(organisation(context)?)))?;
        note("server_changed", 0, |_| Ok(Concern::Server))?;
        connection.pragma_update(None, "temp_store", "memory")?;
        let mut triggers = [ROLE_CHANGED, ORGANISATION_CHANGED, SERVER_CHANGED].concat();
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

    /// Raises the counters of all that the transaction changed. Called after failed commits too, since they may have been made.
    pub(super) fn ended(&self) {
        self.generations.raise(self.changed.lock().drain());
    }
}

fn organisation(context: &Context<'_>) -> rusqlite::Result<OrganisationId> {
    Ok(OrganisationId(Uuid::from_bytes(context.get(0)?)))
}

fn principal(context: &Context<'_>) -> rusqlite::Result<PrincipalId> {
    Ok(PrincipalId(Uuid::from_bytes(context.get(1)?)))
}
