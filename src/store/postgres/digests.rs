//! Digests of names and locations, which are the keys of indexes in their place: some are longer than a key can be.

use sha2::{Digest, Sha256};
use tidewater_core::name::NamespaceIdent;

/// The size of a digest, as the generated columns of the schema have it.
const SIZE: usize = 16;

/// Returns the digest of a namespace's key.
pub(super) fn namespace_digest(namespace: &NamespaceIdent) -> Vec<u8> {
    digest(namespace.as_key().as_bytes())
}

/// Returns the digest of bytes.
pub(super) fn digest(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes)[..SIZE].to_vec()
}
