//! Events as the proposal writes them.

use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::catalog::PulledEvent;
use crate::store::{Actor, Event, EventDetails, ObjectName, Operation};

/// The operations that the proposal names. The names of others begin with `x-`.
pub(super) const STANDARD: [Operation; 12] = [
    Operation::CreateTable,
    Operation::RegisterTable,
    Operation::DropTable,
    Operation::UpdateTable,
    Operation::RenameTable,
    Operation::CreateView,
    Operation::DropView,
    Operation::UpdateView,
    Operation::RenameView,
    Operation::CreateNamespace,
    Operation::UpdateNamespaceProperties,
    Operation::DropNamespace,
];

/// Returns an event's operation as clients name it.
pub(super) fn operation_type(event: &Event) -> String {
    let name = event.operation.as_str();
    if STANDARD.contains(&event.operation) { name.to_owned() } else { format!("x-{name}") }
}

/// A page of events.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct EventsAnswer {
    continuation_token: String,
    events: Vec<EventAnswer>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct EventAnswer {
    event_id: String,
    request_id: String,
    request_event_count: usize,
    timestamp_ms: i64,
    actor: Value,
    operation: Map<String, Value>,
}

impl EventsAnswer {
    pub(super) fn new(events: Vec<PulledEvent>, continuation_token: String) -> Self {
        Self { continuation_token, events: events.into_iter().map(EventAnswer::from).collect() }
    }
}

impl From<PulledEvent> for EventAnswer {
    fn from(pulled: PulledEvent) -> Self {
        let event = &pulled.event;
        let request_id = event.request_id.as_deref();
        Self {
            event_id: event.id.to_string(),
            // The catalog's own work has no request.
            request_id: request_id.map_or_else(|| format!("event-{}", event.id), str::to_owned),
            request_event_count: pulled.of_request,
            timestamp_ms: event.at_ms,
            actor: actor(&event.actor),
            operation: operation(pulled),
        }
    }
}

fn actor(actor: &Actor) -> Value {
    let mut shown = json!({ "type": actor.kind(), "id": actor.id(), "name": actor.name() });
    if let Some(engine) = actor.engine() {
        shown["engine"] = json!({ "id": engine.id.0, "name": &*engine.name });
    }
    shown
}

fn operation(PulledEvent { event, name, new_name, uuid, .. }: PulledEvent) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("operation-type".to_owned(), operation_type(&event).into());
    let uuid_field = if matches!(name, ObjectName::View(_)) { "view-uuid" } else { "table-uuid" };
    match (&name, new_name) {
        (ObjectName::Namespace(ident), _) => {
            fields.insert("namespace".to_owned(), ident.levels().collect());
        }
        (_, Some(new_name)) => {
            fields.insert("source".to_owned(), identifier(&name));
            fields.insert("destination".to_owned(), identifier(&new_name));
        }
        (_, None) => {
            fields.insert("identifier".to_owned(), identifier(&name));
        }
    }
    if let Some(uuid) = uuid {
        fields.insert(uuid_field.to_owned(), uuid.to_string().into());
    }
    add_details(&mut fields, event.operation, event.details, event.object.id);
    fields
}

fn identifier(name: &ObjectName) -> Value {
    match name {
        ObjectName::Namespace(ident) => json!({ "namespace": ident.levels().collect::<Vec<_>>() }),
        ObjectName::Table(ident) | ObjectName::View(ident) => {
            json!({ "namespace": ident.namespace.levels().collect::<Vec<_>>(), "name": ident.name() })
        }
    }
}

/// Adds the fields that an operation has of its own, and all details of the catalog as `x-details`.
fn add_details(fields: &mut Map<String, Value>, operation: Operation, mut details: EventDetails, id: Option<Uuid>) {
    let list = |details: &EventDetails, name: &str| details.get(name).cloned().unwrap_or_else(|| json!([]));
    match operation {
        // The catalog does not keep the updates, which may be megabytes: their kinds and numbers are in the details.
        Operation::CreateTable | Operation::UpdateTable | Operation::CreateView | Operation::UpdateView => {
            fields.insert("updates".to_owned(), json!([]));
        }
        Operation::DropTable => {
            fields.insert("purge".to_owned(), details.get("purge").cloned().unwrap_or(Value::Bool(false)));
        }
        Operation::UpdateNamespaceProperties => {
            fields.insert("updated".to_owned(), list(&details, "updated"));
            fields.insert("removed".to_owned(), list(&details, "removed"));
        }
        _ => {}
    }
    if let Some(id) = id {
        details.insert("object-id".to_owned(), id.to_string().into());
    }
    fields.insert("x-details".to_owned(), details.into());
}
