//! API keys: their text, and how one is issued.
//!
//! A key reads `flx_` and 48 characters of base64url: 32 random bytes, then 4 that follow from them. The 4 tell a key that
//! was mistyped or cut off from one that is unknown, without asking the database; they add nothing to its strength and take
//! nothing from it. 36 bytes fill 48 characters exactly, so that every key has one spelling.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use tidewater_core::access::{LabelError, Role, check_key_name};
use tidewater_core::ids::{KeyId, OrganisationId, PrincipalId};

use crate::clock::fresh_ordered_uuid;
use crate::secret::Secret;
use crate::store::{ApiKey, Change, KeyDigest, Store, StoreError};

/// What every key begins with.
pub const KEY_PREFIX: &str = "flx_";

/// How long a key's text is, in bytes.
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
    /// Its last characters do not follow from the others.
    #[error("the API key has a typing mistake: copy it again")]
    Mistyped,
}

/// Why a key was not issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// Its name cannot be used.
    #[error(transparent)]
    Name(#[from] LabelError),
    /// It would have ended before it began.
    #[error("the API key would be expired already: give a time to come")]
    ExpiresInThePast,
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// 32 random bytes from the system, for a key or a signing key.
///
/// # Errors
/// When the system has none to give.
pub fn entropy() -> Result<[u8; RANDOM_BYTES], getrandom::Error> {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// The text of the key that is made of these random bytes.
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

/// Checks that a text is an API key, though perhaps of nobody.
///
/// # Errors
/// When it is none; see [`KeyFormatError`].
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

/// Whether a text was meant to be an API key.
pub(super) fn looks_like_key(text: &[u8]) -> bool {
    text.starts_with(KEY_PREFIX.as_bytes())
}

/// The digest under which a store knows a key.
#[must_use]
pub fn digest(text: &[u8]) -> KeyDigest {
    KeyDigest(Sha256::digest(text).into())
}

fn check_bytes(random: &[u8]) -> [u8; CHECK_BYTES] {
    let hash = Sha256::new().chain_update(b"tidewater key check").chain_update(random).finalize();
    [hash[0], hash[1], hash[2], hash[3]]
}

/// What is asked of a new key.
#[derive(Debug, Clone, Copy)]
pub struct NewKey<'a> {
    /// What its owner calls it.
    pub name: &'a str,
    /// What it may do.
    pub role: Role,
    /// Whether what is vended for it removes no files.
    pub no_delete: bool,
    /// From when it is refused, if it ends, in milliseconds since 1970.
    pub expires_ms: Option<i64>,
}

/// Makes a key and keeps all of it but its text, which is given out here and never again.
///
/// # Errors
/// When the name cannot be used, the time of expiry is past, or the store refuses (`NotFound`: no such organisation).
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

/// Makes a key that is not kept yet, with its text.
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
    fn a_key_is_not_shown() {
        let text = key_text(&[7; 32]);
        assert_eq!(format!("{text} {text:?}"), "*** ***");
    }

    #[test]
    fn what_is_wrong_with_a_key_is_told() {
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
