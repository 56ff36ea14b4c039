//! Seals passes, which clients store and send back. The keys are derived from the master keys and stay in memory.
//!
//! HKDF with SHA-256 (RFC 5869) derives the key of each seal from the master key and a random salt. So the key that protects
//! credentials seals nothing else, and the number of passes is not limited by nonces (NIST SP 800-38D, section 8.3).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::Prk;

use super::derive::{derive, expand};
use super::error::SealError;
use super::ring::KeyRing;
use crate::base::secret::Secret;

const VERSION: u8 = 2;
const SALT_BYTES: usize = 24;
const PASS: &[u8] = b"tidewater pass 2";

/// The keys of passes. The first one seals, and all of them open.
#[derive(Debug, Clone)]
pub struct PassKeys(Vec<Secret<Prk>>);

impl PassKeys {
    /// Derives the keys from the master keys.
    #[must_use]
    pub fn new(ring: &KeyRing) -> Self {
        Self(ring.master_keys().map(|key| Secret::new(derive(key))).collect())
    }

    /// Seals `pass` for an owner. It opens only with the same `owner`.
    ///
    /// # Errors
    /// `NoEntropy`.
    pub fn seal(&self, pass: &[u8], owner: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = self.0.first().ok_or(SealError::NoKey)?;
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(SealError::NoEntropy)?;
        let mut sealed = pass.to_vec();
        cipher(key, &salt)?
            .seal_in_place_append_tag(nonce(), Aad::from(owner), &mut sealed)
            .map_err(|_| SealError::Broken)?;
        Ok([&[VERSION], salt.as_slice(), &sealed].concat())
    }

    /// Opens a pass that [`PassKeys::seal`] sealed for the same owner with one of these keys.
    ///
    /// # Errors
    /// `Broken`.
    pub fn open(&self, sealed: &[u8], owner: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
        let Some((&VERSION, rest)) = sealed.split_first() else { return Err(SealError::Broken) };
        let (salt, rest) = rest.split_at_checked(SALT_BYTES).ok_or(SealError::Broken)?;
        for key in &self.0 {
            let mut text = rest.to_vec();
            if let Ok(opened) = cipher(key, salt)?.open_in_place(nonce(), Aad::from(owner), &mut text) {
                let length = opened.len();
                text.truncate(length);
                return Ok(Secret::new(text));
            }
        }
        Err(SealError::Broken)
    }
}

fn cipher(key: &Secret<Prk>, salt: &[u8]) -> Result<LessSafeKey, SealError> {
    let key = expand(key.expose(), &[PASS, salt])?;
    UnboundKey::new(&AES_256_GCM, &key).map(LessSafeKey::new).map_err(|_| SealError::NoKey)
}

/// Returns the nonce, always zero: each key seals only once.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::sealing::KEY_BYTES;
    use crate::sealing::derive::fingerprint;

    fn ring(numbers: &[u8]) -> KeyRing {
        let keys: Vec<_> = numbers.iter().map(|number| STANDARD.encode([*number; KEY_BYTES])).collect();
        KeyRing::parse(&keys.join("\n")).unwrap()
    }

    #[test]
    fn pass_opens_only_unchanged_for_its_owner_with_its_key() {
        let keys = PassKeys::new(&ring(&[1]));
        let sealed = keys.seal(b"where", b"acme/lake").unwrap();
        assert_eq!(keys.open(&sealed, b"acme/lake").unwrap().expose(), b"where");
        assert!(keys.open(&sealed, b"other/lake").is_err());
        assert!(PassKeys::new(&ring(&[2])).open(&sealed, b"acme/lake").is_err());
        assert_ne!(sealed, keys.seal(b"where", b"acme/lake").unwrap(), "each seal has a different key");
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(keys.open(&changed, b"acme/lake").is_err(), "byte {index}");
            assert!(keys.open(&sealed[..index], b"acme/lake").is_err());
        }
    }

    #[test]
    fn pass_of_an_older_master_key_opens_while_the_ring_has_it() {
        let sealed = PassKeys::new(&ring(&[1])).seal(b"where", b"o").unwrap();
        assert_eq!(PassKeys::new(&ring(&[2, 1])).open(&sealed, b"o").unwrap().expose(), b"where");
    }

    #[test]
    fn passes_and_sealed_secrets_are_not_interchangeable() {
        let (ring, keys) = (ring(&[1]), PassKeys::new(&ring(&[1])));
        assert!(ring.open(&keys.seal(b"x", b"o").unwrap(), b"o").is_err());
        assert!(keys.open(&ring.seal(b"x", b"o").unwrap(), b"o").is_err());
    }

    #[test]
    fn debug_output_hides_keys_and_fingerprints_differ() {
        assert_eq!(format!("{:?}", PassKeys::new(&ring(&[1]))), "PassKeys([***])");
        assert_ne!(fingerprint(&[1; KEY_BYTES]).unwrap(), fingerprint(&[2; KEY_BYTES]).unwrap());
        assert_eq!(fingerprint(&[1; KEY_BYTES]).unwrap(), fingerprint(&[1; KEY_BYTES]).unwrap());
    }
}
