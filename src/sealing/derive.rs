//! What is derived from a master key: keys for passes, and a fingerprint that tells nothing of it.

use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};

use super::error::SealError;

/// How many bytes a master key has.
pub const KEY_BYTES: usize = 32;

const FINGERPRINT: &[u8] = b"tidewater master key fingerprint 1";

/// Stands for a master key, and tells nothing of it.
pub type Fingerprint = [u8; 16];

/// Makes the source of the keys that are derived from a master key.
pub(super) fn derive(master: &[u8; KEY_BYTES]) -> Prk {
    Salt::new(HKDF_SHA256, &[]).extract(master)
}

pub(super) fn expand(from: &Prk, info: &[&[u8]]) -> Result<[u8; KEY_BYTES], SealError> {
    let mut key = [0; KEY_BYTES];
    let expanded = from.expand(info, HKDF_SHA256).and_then(|okm| okm.fill(&mut key));
    expanded.map(|()| key).map_err(|_| SealError::NoKey)
}

/// Returns what stands for a master key.
pub(super) fn fingerprint(master: &[u8; KEY_BYTES]) -> Result<Fingerprint, SealError> {
    let key = expand(&derive(master), &[FINGERPRINT])?;
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(&key[..16]);
    Ok(fingerprint)
}
