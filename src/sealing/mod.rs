//! Secrets at rest, sealed with a master key that is not in the database.
//!
//! AES-256-GCM with a random nonce (NIST SP 800-38D). The owner's name is part of the seal, so that a secret that was moved to
//! another row does not open. The first key of the ring seals, and all of them open. So keys can be changed while a server
//! runs: put the new key first, reseal, and remove the old one.

mod key_file;
mod passes;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::secret::Secret;

pub use key_file::{KeyFileError, KeySource, fresh_key};
pub use passes::{Fingerprint, PassKeys};

/// The length of a master key in bytes.
pub const KEY_BYTES: usize = 32;

/// The version of the seal's format.
const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 8;

/// Why a secret was not sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The text is not a list of keys.
    #[error(
        "a master key is 32 bytes in base64, such as `openssl rand -base64 32` prints; several stand on a line each"
    )]
    NoKey,
    /// The seal was made with a key that this process does not have.
    #[error("it was sealed with master key {0}, which is not among those that this process has")]
    UnknownKey(String),
    /// The seal was changed, or belongs to another owner.
    #[error("it does not open: it was changed, or moved here from somewhere else")]
    Broken,
    /// The system gave no random bytes.
    #[error("the system gives no random bytes: {0}")]
    NoEntropy(getrandom::Error),
}

/// The master keys.
#[derive(Debug, Clone)]
pub struct KeyRing {
    keys: Vec<MasterKey>,
}

#[derive(Debug, Clone)]
struct MasterKey {
    id: [u8; KEY_ID_BYTES],
    bytes: Secret<[u8; KEY_BYTES]>,
}

impl MasterKey {
    fn new(bytes: [u8; KEY_BYTES]) -> Self {
        let digest = Sha256::digest([b"tidewater master key".as_slice(), &bytes].concat());
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&digest[..KEY_ID_BYTES]);
        Self { id, bytes: Secret::new(bytes) }
    }

    fn cipher(&self) -> Result<LessSafeKey, SealError> {
        UnboundKey::new(&AES_256_GCM, self.bytes.expose()).map(LessSafeKey::new).map_err(|_| SealError::NoKey)
    }
}

impl KeyRing {
    /// Parses keys in base64, one per line. The first one seals.
    ///
    /// # Errors
    /// `NoKey` when there is no key, or one is not valid.
    pub fn parse(text: &str) -> Result<Self, SealError> {
        let lines = text.split([',', '\n']).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let key = |line: &str| {
            let bytes = STANDARD.decode(line).map_err(|_| SealError::NoKey)?;
            Ok(MasterKey::new(bytes.try_into().map_err(|_| SealError::NoKey)?))
        };
        let keys = lines.map(key).collect::<Result<Vec<_>, SealError>>()?;
        if keys.is_empty() { Err(SealError::NoKey) } else { Ok(Self { keys }) }
    }

    /// Returns the name of the key that seals. It reveals nothing of the key.
    #[must_use]
    pub fn key_id(&self) -> String {
        self.keys.first().map(|key| hex(&key.id)).unwrap_or_default()
    }

    /// Seals `secret` for what `owner` names.
    ///
    /// # Errors
    /// `NoEntropy`.
    pub fn seal(&self, secret: &[u8], owner: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = self.keys.first().ok_or(SealError::NoKey)?;
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(SealError::NoEntropy)?;
        let mut sealed = secret.to_vec();
        key.cipher()?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(owner), &mut sealed)
            .map_err(|_| SealError::Broken)?;
        Ok([&[VERSION], key.id.as_slice(), &nonce, &sealed].concat())
    }

    /// Opens what [`KeyRing::seal`] made for the same owner.
    ///
    /// # Errors
    /// `UnknownKey`; `Broken`.
    pub fn open(&self, sealed: &[u8], owner: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
        let Some((&VERSION, rest)) = sealed.split_first() else { return Err(SealError::Broken) };
        let (id, rest) = rest.split_at_checked(KEY_ID_BYTES).ok_or(SealError::Broken)?;
        let (nonce, rest) = rest.split_at_checked(NONCE_LEN).ok_or(SealError::Broken)?;
        let key = self.keys.iter().find(|key| key.id == id).ok_or_else(|| SealError::UnknownKey(hex(id)))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Broken)?;
        let mut text = rest.to_vec();
        let opened = key.cipher()?.open_in_place(nonce, Aad::from(owner), &mut text).map_err(|_| SealError::Broken)?;
        let length = opened.len();
        text.truncate(length);
        Ok(Secret::new(text))
    }

    /// Returns what stands for each key, in their order.
    ///
    /// # Errors
    /// `NoKey` when a key cannot be worked with.
    pub fn fingerprints(&self) -> Result<Vec<Fingerprint>, SealError> {
        self.keys.iter().map(|key| passes::fingerprint(key.bytes.expose())).collect()
    }

    /// Returns which of the keys made this seal, by its name.
    #[must_use]
    pub fn position(&self, sealed: &[u8]) -> Option<usize> {
        let id = sealed.get(1..=KEY_ID_BYTES)?;
        self.keys.iter().position(|key| key.id == id)
    }

    /// Returns whether one of the keys made this seal, by its name.
    #[must_use]
    pub fn made(&self, sealed: &[u8]) -> bool {
        self.position(sealed).is_some()
    }

    /// Returns whether the first key made this seal. Otherwise the secret has to be resealed.
    #[must_use]
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        self.position(sealed) == Some(0)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring(numbers: &[u8]) -> KeyRing {
        let keys: Vec<_> = numbers.iter().map(|number| STANDARD.encode([*number; KEY_BYTES])).collect();
        KeyRing::parse(&keys.join("\n")).unwrap()
    }

    #[test]
    fn a_seal_opens_for_its_owner_and_no_other() {
        let keys = ring(&[1]);
        let sealed = keys.seal(b"hush", b"acme/lake").unwrap();
        assert!(!sealed.windows(4).any(|window| window == b"hush"));
        assert_eq!(keys.open(&sealed, b"acme/lake").unwrap().expose(), b"hush");
        assert!(matches!(keys.open(&sealed, b"other/lake"), Err(SealError::Broken)));
        assert_ne!(sealed, keys.seal(b"hush", b"acme/lake").unwrap(), "each seal has a nonce of its own");
    }

    #[test]
    fn keys_are_changed_by_putting_a_new_one_first() {
        let old = ring(&[1]).seal(b"hush", b"o").unwrap();
        let both = ring(&[2, 1]);
        assert_eq!(both.open(&old, b"o").unwrap().expose(), b"hush");
        assert!(!both.is_current(&old));
        let new = both.seal(b"hush", b"o").unwrap();
        assert!(both.is_current(&new));
        assert_eq!(ring(&[2]).open(&new, b"o").unwrap().expose(), b"hush");
        assert!(matches!(ring(&[2]).open(&old, b"o"), Err(SealError::UnknownKey(_))));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for wrong in ["", "# nothing", "c2hvcnQ=", "not base64!"] {
            assert!(matches!(KeyRing::parse(wrong), Err(SealError::NoKey)), "{wrong}");
        }
        assert!(format!("{:?}", ring(&[7])).contains("bytes: ***"), "a key prints nothing of itself");
    }

    proptest! {
        #[test]
        fn a_seal_that_was_changed_anywhere_does_not_open(at in 0_usize..64, flip in 1_u8..) {
            let keys = ring(&[1]);
            let mut sealed = keys.seal(&[9; 16], b"o").unwrap();
            let at = at % sealed.len();
            sealed[at] ^= flip;
            prop_assert!(keys.open(&sealed, b"o").is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(ring(&[1]).open(&bytes, b"o").is_err());
        }
    }
}
