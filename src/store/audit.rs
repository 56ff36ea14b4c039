//! Audit records: refusals, sign-ins and granted access. Changes have events instead.

use std::net::IpAddr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tidewater_core::ids::OrganisationId;
use uuid::Uuid;

use super::change::Actor;
use super::error::Result;
use super::events::Event;

/// What an audit record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditType {
    /// A change of the catalog or its administration. The store has it as an event.
    Change,
    /// A refused request.
    Refusal,
    /// A sign-in that succeeded.
    SignIn,
    /// Credentials or signatures for a table's files.
    Credentials,
    /// An operation of an administrator that changes nothing in the catalog, such as a backup.
    Administration,
    /// A read that succeeded.
    Read,
    /// Records that were lost.
    Lost,
}

impl AuditType {
    /// All types.
    pub const ALL: [Self; 7] =
        [Self::Change, Self::Refusal, Self::SignIn, Self::Credentials, Self::Administration, Self::Read, Self::Lost];

    /// Returns the type's name, as stores, the API and exports write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Refusal => "refusal",
            Self::SignIn => "sign-in",
            Self::Credentials => "credentials",
            Self::Administration => "administration",
            Self::Read => "read",
            Self::Lost => "lost",
        }
    }
}

/// Whether a request was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditDecision {
    /// It was allowed.
    Allowed,
    /// It was refused.
    Denied,
}

impl AuditDecision {
    /// Returns the decision's name, as stores, the API and exports write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
        }
    }
}

/// The content of an audit record. Stored and exported as JSON in this form; fields without a value are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AuditEntry {
    /// What the record is about.
    #[serde(rename = "type")]
    pub kind: AuditType,
    /// The name of the request's key, user or operator, of the person who ran a command on the server's machine, or the kind of actor.
    pub actor: String,
    /// The kind of actor: `key`, `user`, `operator`, `command-line`, `catalog`, or `anonymous` without a valid credential.
    pub actor_type: String,
    /// The id of the key, user or operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<Uuid>,
    /// The name of the key of the engine that acted for the actor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// The id of that key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_id: Option<Uuid>,
    /// The actor's built-in role at the time of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The organisation's name, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// The operation.
    pub operation: String,
    /// The object's name. A table or view has its namespace before it, joined by dots.
    pub object: String,
    /// The object's kind.
    pub object_type: String,
    /// The object's id, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_id: Option<Uuid>,
    /// The object's new name, after a rename or a restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_name: Option<String>,
    /// The warehouse's name in the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warehouse: Option<String>,
    /// The warehouse's id, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warehouse_id: Option<Uuid>,
    /// Whether the request was allowed.
    pub decision: AuditDecision,
    /// Why it was refused, as a word for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it was refused, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The client's `User-Agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The id of the request, as in the answer's `x-request-id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The number of requests that the record stands for.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub count: u64,
    /// Further details. Each operation has its own.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
}

const fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_one(count: &u64) -> bool {
    *count == 1
}

impl AuditEntry {
    /// Creates an entry by the catalog itself, without an object.
    #[must_use]
    pub fn new(kind: AuditType, operation: &str, decision: AuditDecision) -> Self {
        Self {
            kind,
            actor: Actor::Catalog.kind().to_owned(),
            actor_type: Actor::Catalog.kind().to_owned(),
            actor_id: None,
            engine: None,
            engine_id: None,
            role: None,
            organisation: None,
            operation: operation.to_owned(),
            object: String::new(),
            object_type: String::new(),
            object_id: None,
            new_name: None,
            warehouse: None,
            warehouse_id: None,
            decision,
            reason: None,
            message: None,
            status: None,
            address: None,
            user_agent: None,
            request_id: None,
            count: 1,
            details: Map::new(),
        }
    }

    /// Sets the actor.
    pub fn set_actor(&mut self, actor: &Actor) {
        actor.name().unwrap_or(actor.kind()).clone_into(&mut self.actor);
        actor.kind().clone_into(&mut self.actor_type);
        self.actor_id = actor.id();
        self.engine = actor.engine().map(|engine| engine.name.to_string());
        self.engine_id = actor.engine().map(|engine| engine.id.0);
    }
}

/// An audit record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its number. The store assigns it; later records have higher numbers.
    pub id: i64,
    /// The organisation of the actor; none if the actor is not known or belongs to none.
    pub organisation: Option<OrganisationId>,
    /// The time of the request, in milliseconds since 1970.
    pub at_ms: i64,
    /// The content.
    pub entry: AuditEntry,
}

/// Selects audit records. A record has to match every field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only records of this type.
    pub kind: Option<AuditType>,
    /// Only records about the actor with this name, id or kind, or through the engine with this name or id.
    pub actor: Option<String>,
    /// Only records of this operation.
    pub operation: Option<String>,
    /// Only records whose object has this name, before or after the change.
    pub object: Option<String>,
    /// Only records with this decision.
    pub decision: Option<AuditDecision>,
    /// Only requests from this address.
    pub address: Option<IpAddr>,
    /// Only records at this time or later, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Only records before this time, in milliseconds since 1970.
    pub until_ms: Option<i64>,
}

impl AuditFilter {
    /// Returns whether a record matches the filter.
    #[must_use]
    pub fn matches(&self, at_ms: i64, entry: &AuditEntry) -> bool {
        let is_actor = |actor: &str| {
            let is_id = |id: Option<Uuid>| id.is_some_and(|id| id.to_string() == actor);
            entry.actor == actor
                || entry.actor_type == actor
                || entry.engine.as_deref() == Some(actor)
                || is_id(entry.actor_id)
                || is_id(entry.engine_id)
        };
        let is_object = |name: &String| entry.object == *name || entry.new_name.as_ref() == Some(name);
        self.kind.is_none_or(|kind| entry.kind == kind)
            && self.actor.as_deref().is_none_or(is_actor)
            && self.operation.as_ref().is_none_or(|operation| entry.operation == *operation)
            && self.object.as_ref().is_none_or(is_object)
            && self.decision.is_none_or(|decision| entry.decision == decision)
            && self.address.is_none_or(|address| entry.address == Some(address))
            && self.since_ms.is_none_or(|since_ms| at_ms >= since_ms)
            && self.until_ms.is_none_or(|until_ms| at_ms < until_ms)
    }
}

/// A page of the records that a filter selects, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The records. The list may be empty although older records follow, since the store reads a bounded number for one page.
    pub records: Vec<AuditRecord>,
    /// The `before` of the next page; none when no more records follow.
    pub before: Option<i64>,
}

/// How far a sink's export is: the positions of the last exported event and record.
///
/// A position is a number that an event or a record gets once, when it is visible. It becomes visible itself after all lower ones. So an export that
/// continues after its last position misses nothing. Positions of events are those of the feed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuditPosition {
    /// The position of the last exported event.
    pub event: i64,
    /// The position of the last exported record.
    pub record: i64,
}

/// Events and records for an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditBatch {
    /// The events by position.
    pub events: Vec<Event>,
    /// The records by position.
    pub records: Vec<AuditRecord>,
    /// The position after them.
    pub position: AuditPosition,
}

/// Adds, lists and removes audit records, and remembers how far they were exported.
///
/// Records whose addition is dropped may be added or not. A read whose future is dropped has no effect. The next removal
/// completes a removal whose future is dropped.
#[async_trait]
pub trait AuditStore: Send + Sync + 'static {
    /// Adds records, all or none. Assigns their numbers in their order.
    async fn audit_add(&self, records: &[AuditRecord]) -> Result<()>;

    /// Lists records that match a filter, newest first: those of an organisation, or of all organisations and of unknown actors. With
    /// `before`, only records with a lower number.
    async fn audit_list(
        &self,
        organisation: Option<OrganisationId>,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<AuditPage>;

    /// Gives up to `at_most` records that have no position the next positions, lowest numbers first. Returns their number. A store whose
    /// records have positions from the start does nothing. Events get theirs by `feed_sequence`.
    async fn audit_sequence(&self, at_most: u32) -> Result<u64>;

    /// Reads the events and the records with positions above a position, at most `limit` of each.
    async fn audit_after(&self, position: AuditPosition, limit: u32) -> Result<AuditBatch>;

    /// Returns the time of an event or record that a sink at a position has not exported, in milliseconds since 1970: of the first one with a
    /// position, or of the oldest one that has none yet, whichever is earlier. Returns `None` if all are exported.
    async fn audit_waiting(&self, position: AuditPosition) -> Result<Option<i64>>;

    /// Returns how far a sink's export is, if it has begun.
    async fn audit_position(&self, sink: &str) -> Result<Option<AuditPosition>>;

    /// Moves a sink's position. Returns false, and changes nothing, if it is not at `expected`.
    async fn audit_position_set(
        &self,
        sink: &str,
        expected: Option<AuditPosition>,
        position: AuditPosition,
    ) -> Result<bool>;

    /// Removes up to `at_most` records from before `before_ms`, oldest first. Returns the number removed.
    async fn audit_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64>;

    /// Lists the organisations with more than `most` records, each with the number of its newest surplus record. The records of unknown actors
    /// count together.
    async fn audit_surplus(&self, most: u32) -> Result<Vec<(Option<OrganisationId>, i64)>>;

    /// Removes up to `at_most` records of an organisation, or of unknown actors, up to record number `last`, oldest first. Returns the number
    /// removed.
    async fn audit_remove_up_to(&self, organisation: Option<OrganisationId>, last: i64, at_most: u32) -> Result<u64>;
}
