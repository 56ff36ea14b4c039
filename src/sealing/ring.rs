//! The master keys. The first one seals, and each opens its own seals.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::derive::{Fingerprint, KEY_BYTES, fingerprint};
use super::error::SealError;
use crate::base::secret::Secret;

/// The first byte of a seal: the version of its format.
const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 8;

/// The master keys, in the order of the settings or the file.
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
    /// Parses keys in base64, separated by commas or newlines. Lines that begin with `#` are comments. The first key seals.
    ///
    /// # Errors
    /// `NoKey` if there is no key, or one is not valid.
    pub fn parse(text: &str) -> Result<Self, SealError> {
        let lines = text.split([',', '\n']).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let key = |line: &str| {
            let bytes = STANDARD.decode(line).map_err(|_| SealError::NoKey)?;
            Ok(MasterKey::new(bytes.try_into().map_err(|_| SealError::NoKey)?))
        };
        let keys = lines.map(key).collect::<Result<Vec<_>, SealError>>()?;
        if keys.is_empty() { Err(SealError::NoKey) } else { Ok(Self { keys }) }
    }

    /// Returns the id of the key that seals, in hexadecimal. Nobody can compute the key from it.
    #[must_use]
    pub fn key_id(&self) -> String {
        self.keys.first().map(|key| hex(&key.id)).unwrap_or_default()
    }

    /// Seals `secret` for an owner. It opens only with the same `owner`.
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

    /// Opens a secret that [`KeyRing::seal`] sealed for the same owner.
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

    /// Returns the bytes of each key, in their order.
    pub(super) fn master_keys(&self) -> impl Iterator<Item = &[u8; KEY_BYTES]> {
        self.keys.iter().map(|key| key.bytes.expose())
    }

    /// Returns the fingerprint of each key, in their order.
    ///
    /// # Errors
    /// `NoKey` if a fingerprint cannot be derived.
    pub fn fingerprints(&self) -> Result<Vec<Fingerprint>, SealError> {
        self.keys.iter().map(|key| fingerprint(key.bytes.expose())).collect()
    }

    /// Returns the position of the key that made this seal, by the key's id in it.
    #[must_use]
    pub fn position(&self, sealed: &[u8]) -> Option<usize> {
        let id = sealed.get(1..=KEY_ID_BYTES)?;
        self.keys.iter().position(|key| key.id == id)
    }

    /// Returns whether one of the keys made this seal, by the key's id in it.
    #[must_use]
    pub fn has_key_of(&self, sealed: &[u8]) -> bool {
        self.position(sealed).is_some()
    }

    /// Returns whether the first key made this seal. If not, the secret should be sealed again.
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
    fn seal_opens_only_for_its_owner() {
        let keys = ring(&[1]);
        let sealed = keys.seal(b"hush", b"acme/lake").unwrap();
        assert!(!sealed.windows(4).any(|window| window == b"hush"));
        assert_eq!(keys.open(&sealed, b"acme/lake").unwrap().expose(), b"hush");
        assert!(matches!(keys.open(&sealed, b"other/lake"), Err(SealError::Broken)));
        assert_ne!(sealed, keys.seal(b"hush", b"acme/lake").unwrap(), "each seal has a different nonce");
    }

    #[test]
    fn new_first_key_seals_and_old_key_still_opens() {
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
    fn text_without_a_valid_key_is_refused() {
        for wrong in ["", "# nothing", "c2hvcnQ=", "not base64!"] {
            assert!(matches!(KeyRing::parse(wrong), Err(SealError::NoKey)), "{wrong}");
        }
        assert!(format!("{:?}", ring(&[7])).contains("bytes: ***"), "debug output hides the key");
    }

    proptest! {
        #[test]
        fn seal_with_a_changed_byte_does_not_open(index in 0_usize..64, flip in 1_u8..) {
            let keys = ring(&[1]);
            let mut sealed = keys.seal(&[9; 16], b"o").unwrap();
            let index = index % sealed.len();
            sealed[index] ^= flip;
            prop_assert!(keys.open(&sealed, b"o").is_err());
        }

        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(ring(&[1]).open(&bytes, b"o").is_err());
        }
    }
}
