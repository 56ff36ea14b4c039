//! Seals stored secrets with a master key that is not in the database.
//!
//! The cipher is AES-256-GCM with a random nonce (NIST SP 800-38D). The owner's name is authenticated with the secret, so a
//! secret that was moved to another row does not open. The first key of the ring seals, and all of them open. So keys can be
//! changed while a server runs: put the new key first, reseal, and remove the old one.

mod derive;
mod error;
mod key_file;
pub mod master_key;
mod passes;
mod ring;

pub use derive::{Fingerprint, KEY_BYTES};
pub use error::SealError;
pub use key_file::{KeyFileError, KeySource, fresh_key};
pub use passes::PassKeys;
pub use ring::KeyRing;
