//! The form of a record for the API and for exports: one schema for changes and all other records.

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use tidewater_core::access::Role;
use tidewater_core::ids::OrganisationId;

use crate::store::{AuditDecision, AuditEntry, AuditRecord, AuditType, Event};

/// The version of the schema. It changes when a field is removed or changes its meaning, not when one is added.
const SCHEMA_VERSION: u32 = 1;

/// A record as the API, files and syslog show it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AuditLine {
    schema_version: u32,
    /// The record's id, which no other record has. An exported record may come twice, with the same id.
    id: String,
    time: String,
    at_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    organisation_id: Option<OrganisationId>,
    #[serde(flatten)]
    entry: AuditEntry,
}

impl AuditLine {
    fn new(id: String, at_ms: i64, organisation_id: Option<OrganisationId>, entry: AuditEntry) -> Self {
        let time = DateTime::from_timestamp_millis(at_ms).unwrap_or_default();
        let time = time.to_rfc3339_opts(SecondsFormat::Millis, true);
        Self { schema_version: SCHEMA_VERSION, id, time, at_ms, organisation_id, entry }
    }

    /// Returns the time of the record, in milliseconds since 1970.
    #[must_use]
    pub const fn at_ms(&self) -> i64 {
        self.at_ms
    }

    /// Returns its time in RFC 3339.
    pub(super) fn time(&self) -> &str {
        &self.time
    }

    /// Returns its content.
    pub(super) const fn entry(&self) -> &AuditEntry {
        &self.entry
    }

    /// Returns it as JSON on one line. Without details, if it has more than `most` bytes.
    pub(super) fn json(&self, most: usize) -> String {
        let text = |line: &Self| serde_json::to_string(line).unwrap_or_default();
        let whole = text(self);
        if whole.len() <= most {
            return whole;
        }
        let mut short = self.clone();
        short.entry.details.clear();
        short.entry.details.insert("details-left-out".to_owned(), true.into());
        text(&short)
    }
}

/// Returns the content of the record of a change.
pub(super) fn entry_of_change(event: Event) -> AuditEntry {
    let mut entry = AuditEntry::new(AuditType::Change, event.operation.as_str(), AuditDecision::Allowed);
    entry.set_actor(&event.actor);
    entry.role = event.role.map(|role: Role| role.as_str().to_owned());
    entry.object = event.object.name;
    event.object.kind.as_str().clone_into(&mut entry.object_type);
    entry.object_id = event.object.id;
    entry.new_name = event.object.new_name;
    entry.warehouse_id = event.warehouse.map(|id| id.0);
    entry.address = event.client;
    entry.user_agent = event.agent.map(|agent| agent.to_string());
    entry.request_id = event.request_id.map(|id| id.to_string());
    entry.details = event.details;
    entry
}

impl From<Event> for AuditLine {
    fn from(event: Event) -> Self {
        let (id, at_ms, organisation) = (event.id, event.at_ms, event.organisation);
        Self::new(format!("event-{id}"), at_ms, organisation, entry_of_change(event))
    }
}

impl From<AuditRecord> for AuditLine {
    fn from(AuditRecord { id, organisation, at_ms, entry }: AuditRecord) -> Self {
        Self::new(format!("record-{id}"), at_ms, organisation, entry)
    }
}
