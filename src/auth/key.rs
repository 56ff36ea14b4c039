//! API keys: their text, and how keys are issued.
//!
//! A key is `flx_` and 48 characters of base64url: 32 random bytes and a checksum of 4 bytes. The checksum distinguishes a
//! mistyped key from an unknown one without a read of the database. It does not change the key's strength. 36 bytes fill 48
//! characters exactly, so every key has one spelling.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use tidewater_core::access::{LabelError, Role, check_key_name};
use tidewater_core::ids::{KeyId, OrganisationId, PrincipalId};

use crate::base::clock::fresh_ordered_uuid;
use crate::base::secret::Secret;
use crate::store::{ApiKey, Change, KeyDigest, Store, StoreError};

/// The prefix of every key.
pub const KEY_PREFIX: &str = "flx_";

/// The length of a key's text, in bytes.
pub const KEY_LEN: usize = KEY_PREFIX.len() + 48;

const RANDOM_BYTES: usize = 32;
const CHECK_BYTES: usize = 4;

/// Why a text is not an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFormatError {
    /// It does not begin with [`KEY_PREFIX`].
    #[error("an API key begins with '{KEY_PREFIX}'")]
    NoPrefix,
    /// It is too long or too short.
    #[error("an API key has {KEY_LEN} characters, this one has {0}: copy the whole key")]
    Length(usize),
    /// Its checksum is wrong.
    #[error("the API key has a typing mistake: copy it again")]
    Mistyped,
}

/// Why a key was not issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// Its name is invalid.
    #[error(transparent)]
    Name(#[from] LabelError),
    /// Its expiry is in the past.
    #[error("the API key would be expired already: give a time in the future")]
    ExpiresInThePast,
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Returns 32 random bytes from the system, for a key or a signing key.
///
/// # Errors
/// The system's error, if it returns no random bytes.
pub fn entropy() -> Result<[u8; RANDOM_BYTES], getrandom::Error> {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// Returns the text of the key with these random bytes.
#[must_use]
pub fn key_text(entropy: &[u8; RANDOM_BYTES]) -> Secret<String> {
    let mut bytes = [0; RANDOM_BYTES + CHECK_BYTES];
    bytes[..RANDOM_BYTES].copy_from_slice(entropy);
    bytes[RANDOM_BYTES..].copy_from_slice(&check_bytes(entropy));
    let mut text = String::with_capacity(KEY_LEN);
    text.push_str(KEY_PREFIX);
    URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
    Secret::new(text)
}

/// Checks that a text has the form of an API key. The key may be unknown.
///
/// # Errors
/// Fails if it has another form: see [`KeyFormatError`].
pub fn check_format(text: &[u8]) -> Result<(), KeyFormatError> {
    let body = text.strip_prefix(KEY_PREFIX.as_bytes()).ok_or(KeyFormatError::NoPrefix)?;
    if text.len() != KEY_LEN {
        return Err(KeyFormatError::Length(text.len()));
    }
    let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| KeyFormatError::Mistyped)?;
    match bytes.split_at_checked(RANDOM_BYTES) {
        Some((random, check)) if check == check_bytes(random) => Ok(()),
        _ => Err(KeyFormatError::Mistyped),
    }
}

/// Returns whether a text was meant to be an API key.
pub(super) fn looks_like_key(text: &[u8]) -> bool {
    text.starts_with(KEY_PREFIX.as_bytes())
}

/// Returns the digest by which the store finds a key.
#[must_use]
pub fn digest(text: &[u8]) -> KeyDigest {
    KeyDigest(Sha256::digest(text).into())
}

fn check_bytes(random: &[u8]) -> [u8; CHECK_BYTES] {
    let hash = Sha256::new().chain_update(b"tidewater key check").chain_update(random).finalize();
    [hash[0], hash[1], hash[2], hash[3]]
}

/// The options of a new key.
#[derive(Debug, Clone, Copy)]
pub struct NewKey<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its role.
    pub role: Role,
    /// Whether its vended credentials cannot remove files.
    pub no_delete: bool,
    /// When it expires, in milliseconds since 1970, if it does.
    pub expires_ms: Option<i64>,
}

/// Creates a key and stores all of it except its text, which cannot be shown again.
///
/// # Errors
/// `Name` if the name is invalid; `ExpiresInThePast`; `Store`, with `NotFound` if the organisation does not exist.
pub async fn issue_key(
    store: &dyn Store,
    organisation: OrganisationId,
    new: &NewKey<'_>,
    change: &Change,
    entropy: &[u8; RANDOM_BYTES],
) -> Result<(ApiKey, Secret<String>), IssueError> {
    check_key_name(new.name)?;
    if new.expires_ms.is_some_and(|expires_ms| expires_ms <= change.at_ms) {
        return Err(IssueError::ExpiresInThePast);
    }
    let (key, text) = new_key(organisation, new, change.at_ms, entropy);
    store.key_create(&key, change).await?;
    Ok((key, text))
}

/// Creates a key that is not stored yet, with its text.
#[must_use]
pub fn new_key(
    organisation: OrganisationId,
    new: &NewKey<'_>,
    created_ms: i64,
    entropy: &[u8; RANDOM_BYTES],
) -> (ApiKey, Secret<String>) {
    let NewKey { name, role, no_delete, expires_ms } = *new;
    let text = key_text(entropy);
    let id = fresh_ordered_uuid();
    let key = ApiKey {
        id: KeyId(id),
        organisation,
        principal: PrincipalId(id),
        name: name.to_owned(),
        role,
        no_delete,
        acts_for_users: false,
        digest: digest(text.expose().as_bytes()),
        created_ms,
        expires_ms,
        last_used_ms: None,
        revoked_ms: None,
    };
    (key, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn key_is_masked_in_debug_output() {
        let text = key_text(&[7; 32]);
        assert_eq!(format!("{text} {text:?}"), "*** ***");
    }

    #[test]
    fn malformed_key_is_refused_with_the_reason() {
        let text = key_text(&[7; 32]);
        let text = text.expose().as_bytes();
        assert_eq!(check_format(text), Ok(()));
        assert_eq!(check_format(&text[1..]), Err(KeyFormatError::NoPrefix));
        assert_eq!(check_format(&text[..text.len() - 1]), Err(KeyFormatError::Length(KEY_LEN - 1)));
        assert_eq!(check_format(b"flx_"), Err(KeyFormatError::Length(4)));
    }

    proptest! {
        #[test]
        fn any_one_wrong_character_is_noticed(
            entropy in any::<[u8; 32]>(), at in KEY_PREFIX.len()..KEY_LEN, wrong in any::<u8>()
        ) {
            let mut text = key_text(&entropy).expose().clone().into_bytes();
            prop_assert_eq!(check_format(&text), Ok(()));
            prop_assume!(text[at] != wrong);
            text[at] = wrong;
            prop_assert_eq!(check_format(&text), Err(KeyFormatError::Mistyped));
        }

        #[test]
        fn arbitrary_bytes_are_no_key(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(check_format(&bytes).is_err());
            let prefixed = [KEY_PREFIX.as_bytes(), &bytes].concat();
            prop_assert!(check_format(&prefixed).is_err());
        }
    }
}
