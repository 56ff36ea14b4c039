//! What every change of the store carries: who makes it, when and from where, and which receipt is kept with it.

use std::net::IpAddr;
use std::sync::Arc;

use tidewater_core::ids::KeyId;

use super::Receipt;

/// Who makes a change, when, from where and for which request.
///
/// The store writes an event of it in the transaction of the change ([`super::Event`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Who makes it.
    pub actor: Actor,
    /// The id of the request that it belongs to, as the `x-request-id` of the answer has it.
    pub request_id: Option<Arc<str>>,
    /// The address that the request came from.
    pub client: Option<IpAddr>,
    /// When it is made, in milliseconds since 1970.
    pub at_ms: i64,
    /// What is kept with it, so that the request can be repeated without changing anything again.
    pub receipt: Option<Arc<Receipt>>,
}

/// Who makes a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// The holder of an API key.
    Key {
        /// The key's id.
        id: KeyId,
        /// The name that it has.
        name: Arc<str>,
    },
    /// An operator, who manages organisations and belongs to none.
    Operator {
        /// The operator's id.
        id: KeyId,
        /// The name that it has.
        name: Arc<str>,
    },
    /// Whoever runs a command on the machine itself: the name of that user, if it is known.
    CommandLine(Option<Arc<str>>),
    /// The catalog itself, such as its background work.
    Catalog,
}

impl Actor {
    /// The kind of actor, as stores and the API write it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Key { .. } => "key",
            Self::Operator { .. } => "operator",
            Self::CommandLine(_) => "command-line",
            Self::Catalog => "catalog",
        }
    }

    /// The id of the key that the actor has, if it has one.
    #[must_use]
    pub const fn id(&self) -> Option<KeyId> {
        match self {
            Self::Key { id, .. } | Self::Operator { id, .. } => Some(*id),
            Self::CommandLine(_) | Self::Catalog => None,
        }
    }

    /// The actor's name, for people: of a key, the name that it had.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Key { name, .. } | Self::Operator { name, .. } => Some(name),
            Self::CommandLine(user) => user.as_deref(),
            Self::Catalog => None,
        }
    }
}

impl Change {
    /// A change that the catalog makes by itself.
    #[must_use]
    pub const fn by_catalog(at_ms: i64) -> Self {
        Self::by(Actor::Catalog, at_ms)
    }

    /// A change by somebody, without a request.
    #[must_use]
    pub const fn by(actor: Actor, at_ms: i64) -> Self {
        Self { actor, request_id: None, client: None, at_ms, receipt: None }
    }

    /// Returns the same change at another time.
    #[must_use]
    pub fn at(&self, at_ms: i64) -> Self {
        Self { at_ms, ..self.clone() }
    }

    /// Returns the same change, of which nothing is kept for a repeated request.
    #[must_use]
    pub fn without_receipt(&self) -> Self {
        Self { receipt: None, ..self.clone() }
    }
}
