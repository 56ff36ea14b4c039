//! The columns of an event that tell who made a change, for statements that write the event with the change.

use uuid::Uuid;

use crate::store::Change;

/// Who made a change, as the columns of an event have it.
pub(super) struct Author<'a> {
    pub(super) kind: &'static str,
    pub(super) id: Option<Uuid>,
    pub(super) name: Option<&'a str>,
    pub(super) engine: Option<Uuid>,
    pub(super) engine_name: Option<&'a str>,
    pub(super) request: Option<&'a str>,
    pub(super) client: Option<String>,
}

impl<'a> Author<'a> {
    /// Returns the author of a change.
    pub(super) fn of_change(change: &'a Change) -> Self {
        let engine = change.actor.engine();
        Self {
            kind: change.actor.kind(),
            id: change.actor.id(),
            name: change.actor.name(),
            engine: engine.map(|engine| engine.id.0),
            engine_name: engine.map(|engine| &*engine.name),
            request: change.request_id.as_deref(),
            client: change.client.map(|client| client.to_string()),
        }
    }
}
