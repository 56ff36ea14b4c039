//! The keys that sign tokens: list, add, remove.

use super::{Admin, AdminError};
use crate::auth::{ACTIVE_AFTER_MS, OlderKeys, active_signing_key};
use crate::store::{Change, SigningKey};

/// The state of a signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningKeyState {
    /// It verifies tokens, and will sign soon.
    Next,
    /// It signs new tokens.
    Active,
    /// It no longer signs. It verifies its tokens until they expire.
    Retired,
}

impl SigningKeyState {
    /// Returns the state's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }
}

/// A signing key without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKeyInfo {
    /// Its id.
    pub id: String,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: i64,
    /// Its state.
    pub state: SigningKeyState,
    /// When it starts to sign, in milliseconds since 1970.
    pub signs_from_ms: i64,
}

impl Admin {
    /// Lists the keys that sign tokens, newest first.
    ///
    /// # Errors
    /// `Store`.
    pub async fn signing_key_list(&self) -> Result<Vec<SigningKeyInfo>, AdminError> {
        Ok(describe(&self.store.signing_key_list().await?, self.clock.now_ms()))
    }

    /// Adds a signing key. It starts to sign after two minutes, when every server knows it. With `remove_older`, removes the
    /// other keys now: the new key signs at once, and every client must sign in again. Returns all keys, newest first.
    ///
    /// # Errors
    /// `Auth`; `Store`.
    pub async fn signing_key_rotate(
        &self,
        remove_older: bool,
        change: &Change,
    ) -> Result<Vec<SigningKeyInfo>, AdminError> {
        let older = if remove_older { OlderKeys::Remove } else { OlderKeys::Retire };
        self.authenticator.rotate_signing_key(older, change).await?;
        self.signing_key_list().await
    }

    /// Removes the signing keys created before `created_before_ms`, but never the newest. Their tokens are refused from then
    /// on. Returns the number of removed keys.
    ///
    /// # Errors
    /// `Store`.
    pub async fn signing_key_remove_before(&self, created_before_ms: i64, change: &Change) -> Result<u64, AdminError> {
        let removed = self.store.signing_key_remove_before(created_before_ms, change).await?;
        self.authenticator.reload_signing_keys().await?;
        Ok(removed)
    }
}

/// Returns the state of each key. `keys` must be sorted, newest first.
fn describe(keys: &[SigningKey], now_ms: i64) -> Vec<SigningKeyInfo> {
    let active = active_signing_key(keys, now_ms).map(|key| &key.id);
    let mut later = SigningKeyState::Next;
    let each = keys.iter().map(|key| {
        let mut state = later;
        if Some(&key.id) == active {
            (state, later) = (SigningKeyState::Active, SigningKeyState::Retired);
        }
        let signs_from_ms = key.created_ms.saturating_add(ACTIVE_AFTER_MS);
        SigningKeyInfo { id: key.id.clone(), created_ms: key.created_ms, state, signs_from_ms }
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::SigningKeyState::{Active, Next, Retired};
    use super::*;
    use crate::base::secret::Secret;

    #[test]
    fn one_key_is_active_at_any_time() {
        let key = |created_ms| SigningKey { id: format!("k{created_ms}"), secret: Secret::new([0; 32]), created_ms };
        let keys = [key(ACTIVE_AFTER_MS * 3), key(ACTIVE_AFTER_MS), key(0)];
        let at = |now_ms| describe(&keys, now_ms).iter().map(|key| key.state).collect::<Vec<_>>();
        assert_eq!(at(ACTIVE_AFTER_MS * 3), [Next, Active, Retired]);
        assert_eq!(at(ACTIVE_AFTER_MS * 4), [Active, Retired, Retired]);
        assert_eq!(at(0), [Next, Next, Active], "the oldest key signs if no key is old enough");
        assert_eq!(describe(&[], 0), []);
    }
}
