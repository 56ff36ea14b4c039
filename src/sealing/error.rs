//! The errors of sealing and opening secrets.

/// Why a secret was not sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The text has no key, or an invalid one.
    #[error(
        "a master key must be 32 bytes in base64, as `openssl rand -base64 32` prints them; write several keys on separate lines"
    )]
    NoKey,
    /// The seal was made with a key that this process does not have.
    #[error("the secret was sealed with master key {0}, which this process does not have")]
    UnknownKey(String),
    /// The sealed bytes were changed, or belong to another owner.
    #[error("the secret cannot be opened: it was changed, or moved here from another object")]
    Broken,
    /// The system gave no random bytes.
    #[error("the system gives no random bytes: {0}")]
    NoEntropy(getrandom::Error),
}
