//! Events as CloudEvents 1.0 in JSON (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>).

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use uuid::Uuid;

use crate::store::{Actor, Event, EventDetails, Operation};

/// A change as receivers outside the catalog get it.
///
/// Fields are added without notice. A change that breaks receivers gets another version in `type`.
#[derive(Debug, Clone, Serialize)]
pub struct CloudEvent {
    specversion: &'static str,
    /// The organisation's id, the event's number and its time. A repeated delivery has the same id; no other event ever has it.
    pub id: String,
    /// The organisation, and the warehouse of the object if it is in one, as a reference of URI.
    pub source: String,
    /// The operation with a version, such as `io.tidewater.table.updated.v1`.
    #[serde(rename = "type")]
    pub event_type: &'static str,
    /// The name of the object before the change.
    pub subject: String,
    /// The time of the change, in RFC 3339 with milliseconds.
    pub time: String,
    datacontenttype: &'static str,
    /// The object's id, or its kind and name if it has none: events with the same key are in order (the extension "partitioning").
    pub partitionkey: String,
    /// The event's number with leading zeros. It ascends for one `partitionkey` (the extension "sequence").
    pub sequence: String,
    /// The change.
    pub data: CloudEventData,
}

/// The change in a [`CloudEvent`].
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CloudEventData {
    event_id: i64,
    organisation_id: Option<Uuid>,
    warehouse_id: Option<Uuid>,
    operation: &'static str,
    object: CloudEventObject,
    actor: CloudEventActor,
    request_id: Option<String>,
    details: EventDetails,
}

/// The object of a change.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
struct CloudEventObject {
    #[serde(rename = "type")]
    kind: &'static str,
    id: Option<Uuid>,
    name: String,
    new_name: Option<String>,
}

/// The actor of a change, and the engine that acted for it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
struct CloudEventActor {
    #[serde(rename = "type")]
    kind: &'static str,
    id: Option<Uuid>,
    name: Option<String>,
    engine_id: Option<Uuid>,
    engine_name: Option<String>,
}

impl From<&Actor> for CloudEventActor {
    fn from(actor: &Actor) -> Self {
        let engine = actor.engine();
        Self {
            kind: actor.kind(),
            id: actor.id(),
            name: actor.name().map(str::to_owned),
            engine_id: engine.map(|engine| engine.id.0),
            engine_name: engine.map(|engine| engine.name.to_string()),
        }
    }
}

impl From<&Event> for CloudEvent {
    fn from(event: &Event) -> Self {
        let object = &event.object;
        let kind = object.kind.as_str();
        Self {
            specversion: "1.0",
            id: id_of(event),
            source: source_of(event),
            event_type: event_type(event.operation),
            subject: object.name.clone(),
            time: time_text(event.at_ms),
            datacontenttype: "application/json",
            partitionkey: object.id.map_or_else(|| format!("{kind}:{}", object.name), |id| id.to_string()),
            sequence: format!("{:020}", event.id),
            data: CloudEventData {
                event_id: event.id,
                organisation_id: event.organisation.map(|id| id.0),
                warehouse_id: event.warehouse.map(|id| id.0),
                operation: event.operation.as_str(),
                object: CloudEventObject {
                    kind,
                    id: object.id,
                    name: object.name.clone(),
                    new_name: object.new_name.clone(),
                },
                actor: CloudEventActor::from(&event.actor),
                request_id: event.request_id.as_deref().map(str::to_owned),
                details: event.details.clone(),
            },
        }
    }
}

/// Returns the id of an event for receivers. A database that is restored from a backup uses numbers again, so the time is a part of it.
fn id_of(event: &Event) -> String {
    let owner = event.organisation.map_or_else(|| "server".to_owned(), |id| id.to_string());
    format!("{owner}:{}:{}", event.id, event.at_ms)
}

fn source_of(event: &Event) -> String {
    match (event.organisation, event.warehouse) {
        (None, _) => "/server".to_owned(),
        (Some(organisation), None) => format!("/organisations/{organisation}"),
        (Some(organisation), Some(warehouse)) => format!("/organisations/{organisation}/warehouses/{}", warehouse.0),
    }
}

fn time_text(at_ms: i64) -> String {
    DateTime::from_timestamp_millis(at_ms).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Returns the `type` of the events of an operation.
#[must_use]
pub const fn event_type(operation: Operation) -> &'static str {
    match operation {
        Operation::CreateOrganisation => "io.tidewater.organisation.created.v1",
        Operation::SetTier => "io.tidewater.organisation.tier-changed.v1",
        Operation::RenameOrganisation => "io.tidewater.organisation.renamed.v1",
        Operation::SuspendOrganisation => "io.tidewater.organisation.suspended.v1",
        Operation::ResumeOrganisation => "io.tidewater.organisation.resumed.v1",
        Operation::DeleteOrganisation => "io.tidewater.organisation.deleted.v1",
        Operation::RestoreOrganisation => "io.tidewater.organisation.restored.v1",
        Operation::ForgetOrganisation => "io.tidewater.organisation.forgotten.v1",
        Operation::CreateOperator => "io.tidewater.operator.created.v1",
        Operation::RevokeOperator => "io.tidewater.operator.revoked.v1",
        Operation::UpdateKey => "io.tidewater.key.updated.v1",
        Operation::RotateKey => "io.tidewater.key.rotated.v1",
        Operation::CreateKey => "io.tidewater.key.created.v1",
        Operation::RevokeKey => "io.tidewater.key.revoked.v1",
        Operation::CreateUser => "io.tidewater.user.created.v1",
        Operation::UpdateUser => "io.tidewater.user.updated.v1",
        Operation::DeleteUser => "io.tidewater.user.deleted.v1",
        Operation::CreateSubscription => "io.tidewater.subscription.created.v1",
        Operation::UpdateSubscription => "io.tidewater.subscription.updated.v1",
        Operation::RotateSubscription => "io.tidewater.subscription.rotated.v1",
        Operation::DisableSubscription => "io.tidewater.subscription.disabled.v1",
        Operation::DeleteSubscription => "io.tidewater.subscription.deleted.v1",
        Operation::AddSigningKey => "io.tidewater.signing-key.added.v1",
        Operation::RemoveSigningKeys => "io.tidewater.signing-key.removed.v1",
        Operation::CreatePrincipalRole => "io.tidewater.principal-role.created.v1",
        Operation::DeletePrincipalRole => "io.tidewater.principal-role.deleted.v1",
        Operation::AssignPrincipalRole => "io.tidewater.principal-role.assigned.v1",
        Operation::RevokePrincipalRole => "io.tidewater.principal-role.revoked.v1",
        Operation::CreateCatalogRole => "io.tidewater.catalog-role.created.v1",
        Operation::DeleteCatalogRole => "io.tidewater.catalog-role.deleted.v1",
        Operation::AssignCatalogRole => "io.tidewater.catalog-role.assigned.v1",
        Operation::RevokeCatalogRole => "io.tidewater.catalog-role.revoked.v1",
        Operation::AddGrant => "io.tidewater.grant.added.v1",
        Operation::RevokeGrant => "io.tidewater.grant.revoked.v1",
        Operation::SetRestriction => "io.tidewater.restriction.set.v1",
        Operation::RemoveRestriction => "io.tidewater.restriction.removed.v1",
        Operation::TrustEngine => "io.tidewater.engine.trusted.v1",
        Operation::DistrustEngine => "io.tidewater.engine.distrusted.v1",
        Operation::SetLabels => "io.tidewater.labels.set.v1",
        Operation::SetProperties => "io.tidewater.properties.set.v1",
        Operation::CreateWarehouse => "io.tidewater.warehouse.created.v1",
        Operation::SetWarehouseStorage => "io.tidewater.warehouse.storage-changed.v1",
        Operation::SetWarehouseOptions => "io.tidewater.warehouse.options-changed.v1",
        Operation::SetDefaultWarehouse => "io.tidewater.warehouse.default-changed.v1",
        Operation::DropWarehouse => "io.tidewater.warehouse.dropped.v1",
        Operation::SetMaintenancePolicy => "io.tidewater.maintenance-policy.set.v1",
        Operation::RemoveMaintenancePolicy => "io.tidewater.maintenance-policy.removed.v1",
        Operation::CreateNamespace => "io.tidewater.namespace.created.v1",
        Operation::UpdateNamespaceProperties => "io.tidewater.namespace.updated.v1",
        Operation::DropNamespace => "io.tidewater.namespace.dropped.v1",
        Operation::CreateTable => "io.tidewater.table.created.v1",
        Operation::RegisterTable => "io.tidewater.table.registered.v1",
        Operation::UndoRegisterTable => "io.tidewater.table.registration-undone.v1",
        Operation::UpdateTable => "io.tidewater.table.updated.v1",
        Operation::RenameTable => "io.tidewater.table.renamed.v1",
        Operation::DropTable => "io.tidewater.table.dropped.v1",
        Operation::RestoreTable => "io.tidewater.table.restored.v1",
        Operation::RequestPurge => "io.tidewater.table.purge-requested.v1",
        Operation::PurgeTable => "io.tidewater.table.purged.v1",
        Operation::ForgetTable => "io.tidewater.table.forgotten.v1",
        Operation::CreateView => "io.tidewater.view.created.v1",
        Operation::RegisterView => "io.tidewater.view.registered.v1",
        Operation::UndoRegisterView => "io.tidewater.view.registration-undone.v1",
        Operation::UpdateView => "io.tidewater.view.updated.v1",
        Operation::RenameView => "io.tidewater.view.renamed.v1",
        Operation::DropView => "io.tidewater.view.dropped.v1",
        Operation::RestoreView => "io.tidewater.view.restored.v1",
        Operation::ForgetView => "io.tidewater.view.forgotten.v1",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;
    use tidewater_core::ids::{KeyId, OrganisationId, WarehouseId};

    use super::*;
    use crate::store::{EventObject, ObjectKind};

    #[test]
    fn renamed_table_has_the_form_of_the_specification() {
        let id = |number: u128| Uuid::from_u128(number);
        let event = Event {
            id: 7,
            organisation: Some(OrganisationId(id(1))),
            warehouse: Some(WarehouseId(id(2))),
            at_ms: 1_790_000_000_123,
            actor: Actor::Key { id: KeyId(id(3)), name: "etl".into() },
            operation: Operation::RenameTable,
            object: EventObject::new(ObjectKind::Table, Some(id(4)), "sales.orders").renamed("sales.old"),
            request_id: Some("r-1".into()),
            client: None,
            agent: None,
            role: None,
            details: json!({"attempts": 2}).as_object().unwrap().clone(),
        };
        let uuid = |number: u128| id(number).to_string();
        assert_eq!(
            serde_json::to_value(CloudEvent::from(&event)).unwrap(),
            json!({
                "specversion": "1.0",
                "id": format!("{}:7:1790000000123", uuid(1)),
                "source": format!("/organisations/{}/warehouses/{}", uuid(1), uuid(2)),
                "type": "io.tidewater.table.renamed.v1",
                "subject": "sales.orders",
                "time": "2026-09-21T14:13:20.123Z",
                "datacontenttype": "application/json",
                "partitionkey": uuid(4),
                "sequence": "00000000000000000007",
                "data": {
                    "event-id": 7,
                    "organisation-id": uuid(1),
                    "warehouse-id": uuid(2),
                    "operation": "rename-table",
                    "object": {"type": "table", "id": uuid(4), "name": "sales.orders", "new-name": "sales.old"},
                    "actor": {"type": "key", "id": uuid(3), "name": "etl", "engine-id": null, "engine-name": null},
                    "request-id": "r-1",
                    "details": {"attempts": 2},
                },
            })
        );
    }

    #[test]
    fn each_operation_has_a_type_of_its_own_with_a_version() {
        let types: BTreeSet<_> = Operation::ALL.iter().map(|operation| event_type(*operation)).collect();
        assert_eq!(types.len(), Operation::ALL.len());
        assert!(types.iter().all(|one| one.starts_with("io.tidewater.") && one.ends_with(".v1")), "{types:?}");
    }
}
