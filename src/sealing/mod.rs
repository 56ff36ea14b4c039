//! Secrets at rest: sealed with a master key that the database does not hold.
//!
//! AES-256-GCM with a random nonce (NIST SP 800-38D). What a secret belongs to goes into the seal, so that one that was
//! moved to another row does not open. The first key of the ring seals; all of them open, so that keys can be changed
//! while a server runs: put the new one first, reseal, take the old one away.

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
