//! Signing in with an identity provider: OAuth 2.0 for native apps (RFC 8252), without the catalog's own credentials.
//!
//! A person signs in at the provider. Its token is exchanged for one of the catalog. Both are kept in a private file, and
//! later commands renew them.

mod browser;
mod device;
mod http;
mod provider;
mod renewal;
mod saved;
mod session;

pub(crate) use browser::by_browser;
pub(crate) use device::by_device_code;
pub(crate) use http::{Http, connect, is_private};
pub(crate) use provider::{Provider, SignInOption};
pub(crate) use renewal::bearer_for;
pub(crate) use saved::{SavedSessions, write_private};
pub(crate) use session::Session;
