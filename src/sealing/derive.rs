//! Derives keys for passes and a fingerprint from a master key.

use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};

use super::error::SealError;

/// The length of a master key in bytes.
pub const KEY_BYTES: usize = 32;

const FINGERPRINT: &[u8] = b"tidewater master key fingerprint 1";

/// A public name of a master key, from which nobody can compute the key.
pub type Fingerprint = [u8; 16];

/// Returns the pseudorandom key of HKDF, from which further keys are derived (RFC 5869, "extract").
pub(super) fn derive(master: &[u8; KEY_BYTES]) -> Prk {
    Salt::new(HKDF_SHA256, &[]).extract(master)
}

/// Derives a key for the purpose that `info` names (RFC 5869, "expand").
pub(super) fn expand(from: &Prk, info: &[&[u8]]) -> Result<[u8; KEY_BYTES], SealError> {
    let mut key = [0; KEY_BYTES];
    let expanded = from.expand(info, HKDF_SHA256).and_then(|okm| okm.fill(&mut key));
    expanded.map(|()| key).map_err(|_| SealError::NoKey)
}

/// Returns the fingerprint of a master key.
pub(super) fn fingerprint(master: &[u8; KEY_BYTES]) -> Result<Fingerprint, SealError> {
    let key = expand(&derive(master), &[FINGERPRINT])?;
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(&key[..16]);
    Ok(fingerprint)
}
