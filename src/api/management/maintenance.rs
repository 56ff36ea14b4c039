//! `/management/v1/organisations/{organisation}/warehouses/{warehouse}/maintenance`: policies, runs and the health of tables.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tidewater_core::access::Action;
use tidewater_core::ids::TableId;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::upkeep::{Finding, HealthFigures, MaintenanceOperation, MaintenancePolicy};
use uuid::Uuid;

use super::fields::Fields;
use super::files::{PartitionsEntry, SizeEntry};
use super::scoped::Scoped;
use crate::access::action::{MaintainTable, ManageMaintenance, On, ShowMaintenance};
use crate::access::{Namespace, Table, Warehouse};
use crate::api::Api;
use crate::api::body::Parameters;
use crate::api::error::ApiError;
use crate::api::permission::Scope;
use crate::api::requests::{Identifier, namespace_parameter};
use crate::api::timed_paging::{TimedPaging, token_before};
use crate::catalog::CatalogError;
use crate::store::{Actor, MaintenanceRun, Moment, PolicyObject, RunDetails, RunFilter};
use crate::upkeep::{RunRequest, TableHealth};

/// The object of a request: the path's warehouse, or a namespace or table in it.
#[derive(Deserialize)]
pub(in crate::api) struct Asked {
    namespace: Option<String>,
    table: Option<String>,
}

/// A parsed [`Asked`].
enum AskedObject {
    Warehouse,
    Namespace(NamespaceIdent),
    Table(TableIdent),
}

impl Asked {
    fn parse(&self) -> Result<AskedObject, ApiError> {
        match (&self.namespace, &self.table) {
            (None, None) => Ok(AskedObject::Warehouse),
            (Some(namespace), None) => Ok(AskedObject::Namespace(namespace_parameter(namespace)?)),
            (Some(namespace), Some(table)) => {
                let ident = TableIdent::new(namespace_parameter(namespace)?, table);
                Ok(AskedObject::Table(ident.map_err(|error| ApiError::bad_request(error.to_string()))?))
            }
            (None, Some(_)) => Err(ApiError::bad_request("Name the namespace of the table")),
        }
    }

    /// Returns the table that a request must name.
    fn table(&self) -> Result<TableIdent, ApiError> {
        match self.parse()? {
            AskedObject::Table(ident) => Ok(ident),
            _ => Err(ApiError::bad_request("Name a table by namespace and table")),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct Wanted {
    run_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct Start {
    identifier: Identifier,
    operation: String,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct PolicyEntry {
    /// What was set on the object itself.
    own: Option<MaintenancePolicy>,
    /// With what the objects around it set.
    effective: MaintenancePolicy,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct Started {
    run_id: Uuid,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct RunList {
    next_page_token: Option<String>,
    runs: Vec<RunEntry>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct RunEntry {
    id: Uuid,
    table_id: TableId,
    operation: &'static str,
    dry_run: bool,
    outcome: &'static str,
    started_ms: i64,
    ended_ms: Option<i64>,
    #[serde(flatten)]
    details: RunDetails,
}

impl From<MaintenanceRun> for RunEntry {
    fn from(run: MaintenanceRun) -> Self {
        Self {
            id: run.id,
            table_id: run.table,
            operation: run.operation.as_str(),
            dry_run: run.dry_run,
            outcome: run.outcome.as_str(),
            started_ms: run.started_ms,
            ended_ms: run.ended_ms,
            details: run.details,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct HealthEntry {
    snapshots: u64,
    oldest_snapshot_ms: Option<i64>,
    refs: u64,
    metadata_bytes: u64,
    last_commit_ms: i64,
    manifests: u64,
    manifest_bytes: u64,
    data_files: u64,
    data_bytes: u64,
    data_records: u64,
    small_files: u64,
    position_delete_files: u64,
    equality_delete_files: u64,
    delete_bytes: u64,
    delete_records: u64,
    partial: bool,
    manifests_read: u64,
    sizes: Vec<SizeEntry>,
    partitions: Option<PartitionsEntry>,
    findings: Vec<FindingEntry>,
}

#[derive(Serialize)]
struct FindingEntry {
    kind: &'static str,
    message: String,
    advice: &'static str,
    operation: &'static str,
}

impl From<Finding> for FindingEntry {
    fn from(finding: Finding) -> Self {
        Self {
            kind: finding.kind.as_str(),
            message: finding.message,
            advice: finding.advice,
            operation: finding.operation.as_str(),
        }
    }
}

impl From<TableHealth> for HealthEntry {
    fn from(TableHealth { figures, manifests_read, sizes, partitions, findings }: TableHealth) -> Self {
        let HealthFigures {
            snapshots,
            oldest_snapshot_ms,
            refs,
            metadata_bytes,
            last_commit_ms,
            manifests,
            manifest_bytes,
            files,
        } = figures;
        Self {
            snapshots,
            oldest_snapshot_ms,
            refs,
            metadata_bytes,
            last_commit_ms,
            manifests,
            manifest_bytes,
            data_files: files.data_files,
            data_bytes: files.data_bytes,
            data_records: files.data_records,
            small_files: files.small_files,
            position_delete_files: files.position_delete_files,
            equality_delete_files: files.equality_delete_files,
            delete_bytes: files.delete_bytes,
            delete_records: files.delete_records,
            partial: files.is_partial,
            manifests_read,
            sizes: sizes.into_iter().map(Into::into).collect(),
            partitions: partitions.map(Into::into),
            findings: findings.into_iter().map(Into::into).collect(),
        }
    }
}

/// Decides about the object of a request, and returns it with its name.
async fn permitted<A>(api: &Api, scope: &Scope<A>, asked: &Asked) -> Result<(PolicyObject, String), ApiError>
where
    A: On<Warehouse> + On<Namespace> + On<Table>,
{
    match asked.parse()? {
        AskedObject::Warehouse => {
            let name = scope.warehouse()?.0.name.clone();
            Ok((PolicyObject::Warehouse, name))
        }
        AskedObject::Namespace(ident) => {
            let namespace = scope.namespace(ident)?.into_object();
            let found = api.store.namespace_get(namespace.warehouse.warehouse_ref, &namespace.ident).await?;
            let Some(_) = found else { return Err(CatalogError::NoSuchNamespace(namespace.ident).into()) };
            let name = namespace.ident.to_string();
            Ok((PolicyObject::Namespace(namespace.ident), name))
        }
        AskedObject::Table(ident) => {
            let table = scope.table(api, ident).await?;
            Ok((PolicyObject::Table(table.record.id), table.ident.to_string()))
        }
    }
}

/// Shows the policy of a warehouse, namespace or table.
pub(in crate::api) async fn policy(
    State(api): State<Arc<Api>>,
    Scoped(scope): Scoped<ShowMaintenance>,
    Parameters(asked): Parameters<Asked>,
) -> Result<Json<PolicyEntry>, ApiError> {
    let (on, _) = permitted(&api, &scope, &asked).await?;
    policy_entry(&api, &scope, &asked, &on).await
}

async fn policy_entry<A>(
    api: &Api,
    scope: &Scope<A>,
    asked: &Asked,
    on: &PolicyObject,
) -> Result<Json<PolicyEntry>, ApiError> {
    let warehouse_ref = scope.warehouse.warehouse_ref;
    let policies = api.upkeep.policies(warehouse_ref.organisation).await?;
    let warehouse = warehouse_ref.warehouse;
    let effective = match asked.parse()? {
        AskedObject::Warehouse => policies.of_namespace(warehouse, None),
        AskedObject::Namespace(ident) => policies.of_namespace(warehouse, Some(&ident)),
        AskedObject::Table(ident) => {
            let outer = policies.of_namespace(warehouse, Some(&ident.namespace));
            policies.own(warehouse, on).cloned().unwrap_or_default().within(&outer)
        }
    };
    Ok(Json(PolicyEntry { own: policies.own(warehouse, on).cloned(), effective }))
}

/// Sets the policy of a warehouse, namespace or table, in place of the one before. A policy without fields removes it.
pub(in crate::api) async fn set_policy(
    State(api): State<Arc<Api>>,
    Scoped(scope): Scoped<ManageMaintenance>,
    Parameters(asked): Parameters<Asked>,
    Fields(policy): Fields<MaintenancePolicy>,
) -> Result<Json<PolicyEntry>, ApiError> {
    let (on, name) = permitted(&api, &scope, &asked).await?;
    let policy = Some(&policy).filter(|policy| **policy != MaintenancePolicy::default());
    let (warehouse_ref, change) = (scope.warehouse.warehouse_ref, scope.change(&api));
    api.upkeep.policy_set(warehouse_ref, (&on, &name), policy, &change).await?;
    policy_entry(&api, &scope, &asked, &on).await
}

/// Lists the runs in a warehouse, or on a table, newest first.
pub(in crate::api) async fn runs(
    State(api): State<Arc<Api>>,
    Scoped(scope): Scoped<ShowMaintenance>,
    Parameters(paging): Parameters<TimedPaging>,
    Parameters(asked): Parameters<Asked>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<RunList>, ApiError> {
    let page = paging.request(api.settings.default_page_size)?;
    let table = match permitted(&api, &scope, &asked).await?.0 {
        PolicyObject::Warehouse => None,
        PolicyObject::Table(id) => Some(id),
        PolicyObject::Namespace(_) => {
            return Err(ApiError::bad_request("Name a table by namespace and table, or none"));
        }
    };
    let id = wanted.run_id.as_deref().map(str::parse::<Uuid>).transpose();
    let id = id.map_err(|_| ApiError::bad_request("run-id must be a UUID"))?;
    let filter = RunFilter { table, id };
    let found = api.store.run_list(scope.warehouse.warehouse_ref, &filter, &page).await?;
    let last = found.items.last().filter(|_| found.more);
    let next_page_token = last.map(|last| token_before(Moment { at_ms: last.started_ms, id: last.id }));
    Ok(Json(RunList { next_page_token, runs: found.items.into_iter().map(Into::into).collect() }))
}

/// Starts a run on a table, which continues after the answer.
pub(in crate::api) async fn start(
    State(api): State<Arc<Api>>,
    Scoped(scope): Scoped<MaintainTable>,
    Fields(Start { identifier, operation, dry_run }): Fields<Start>,
) -> Result<Json<Started>, ApiError> {
    let operation: MaintenanceOperation =
        operation.parse().map_err(|error| ApiError::bad_request(format!("`operation`: {error}")))?;
    let ident = identifier.ident()?;
    scope.note_object(&ident);
    let table = scope.table(&api, ident).await?;
    let run_id = api.upkeep.start(table, RunRequest { operation, dry_run }, scope.change(&api)).await?;
    Ok(Json(Started { run_id }))
}

/// Shows the health of a table.
pub(in crate::api) async fn health(
    State(api): State<Arc<Api>>,
    Scoped(scope): Scoped<ShowMaintenance>,
    Parameters(asked): Parameters<Asked>,
) -> Result<Json<HealthEntry>, ApiError> {
    let table = scope.table(&api, asked.table()?).await?;
    // Operators and users of the machine reach no data of tables, and partition values are data.
    let actor = scope.authorizer.principal().actor();
    let is_of_organisation = matches!(actor, Actor::Key { .. } | Actor::User { .. } | Actor::Through { .. });
    let with_partitions =
        is_of_organisation && table.restriction().is_none() && table.check(Action::ReadTableData).is_ok();
    Ok(Json(api.upkeep.health(&table, with_partitions).await?.into()))
}
