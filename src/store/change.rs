//! The origin of every change of the store: actor, request, client address, time and receipt.

use std::net::IpAddr;
use std::sync::Arc;

use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, PrincipalId};
use uuid::Uuid;

use super::receipts::Receipt;

/// Who makes a change, when, from where and for which request.
///
/// The store writes an event ([`super::Event`]) in the transaction of the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Who makes it.
    pub actor: Actor,
    /// The id of its request, as in the answer's `x-request-id`.
    pub request_id: Option<Arc<str>>,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The client's `User-Agent`, shortened.
    pub agent: Option<Arc<str>>,
    /// The actor's built-in role.
    pub role: Option<Role>,
    /// The time of the change, in milliseconds since 1970.
    pub at_ms: i64,
    /// The receipt to store with the change, so that a repeated request changes nothing again.
    pub receipt: Option<Arc<Receipt>>,
}

/// Who makes a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// The holder of an API key.
    Key {
        /// The key's id.
        id: KeyId,
        /// Its name.
        name: Arc<str>,
    },
    /// A user of an identity provider.
    User {
        /// The user's id.
        id: PrincipalId,
        /// The user's name.
        name: Arc<str>,
    },
    /// An operator, who manages organisations and belongs to none.
    Operator {
        /// The operator's id.
        id: KeyId,
        /// Its name.
        name: Arc<str>,
    },
    /// A user who runs a command on the server's machine: the user's name, if it is known.
    CommandLine(Option<Arc<str>>),
    /// The catalog itself, for example its background work.
    Catalog,
    /// An actor for whom a trusted engine acts.
    Through {
        /// The actor, who is not another `Through`.
        actor: Box<Actor>,
        /// The engine.
        engine: EngineKey,
    },
}

/// The key of an engine that acts for users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineKey {
    /// The key's id.
    pub id: KeyId,
    /// Its name.
    pub name: Arc<str>,
}

impl Actor {
    /// Returns the kind of actor, as stores and the API write it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Through { actor, .. } => actor.kind(),
            Self::Key { .. } => "key",
            Self::User { .. } => "user",
            Self::Operator { .. } => "operator",
            Self::CommandLine(_) => "command-line",
            Self::Catalog => "catalog",
        }
    }

    /// Returns the id of the actor's key, or of the user.
    #[must_use]
    pub fn id(&self) -> Option<Uuid> {
        match self {
            Self::Through { actor, .. } => actor.id(),
            Self::Key { id, .. } | Self::Operator { id, .. } => Some(id.0),
            Self::User { id, .. } => Some(id.0),
            Self::CommandLine(_) | Self::Catalog => None,
        }
    }

    /// Returns the actor's name at the time of the change, for people.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Key { name, .. } | Self::User { name, .. } | Self::Operator { name, .. } => Some(name),
            Self::CommandLine(user) => user.as_deref(),
            Self::Catalog => None,
            Self::Through { actor, .. } => actor.name(),
        }
    }

    /// Returns the engine that acts for the actor, if there is one.
    #[must_use]
    pub const fn engine(&self) -> Option<&EngineKey> {
        match self {
            Self::Through { engine, .. } => Some(engine),
            _ => None,
        }
    }
}

impl Change {
    /// Creates a change that the catalog makes by itself.
    #[must_use]
    pub const fn by_catalog(at_ms: i64) -> Self {
        Self::by(Actor::Catalog, at_ms)
    }

    /// Creates a change by an actor, without a request.
    #[must_use]
    pub const fn by(actor: Actor, at_ms: i64) -> Self {
        Self { actor, request_id: None, client: None, agent: None, role: None, at_ms, receipt: None }
    }

    /// Returns the same change at another time.
    #[must_use]
    pub fn with_time(&self, at_ms: i64) -> Self {
        Self { at_ms, ..self.clone() }
    }

    /// Returns the same change without its receipt.
    #[must_use]
    pub fn without_receipt(&self) -> Self {
        Self { receipt: None, ..self.clone() }
    }
}
