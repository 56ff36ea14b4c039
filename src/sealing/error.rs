//! Why a secret was not sealed or opened.

/// Why a secret was not sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The text of the keys is not what it should be.
    #[error(
        "a master key is 32 bytes in base64, such as `openssl rand -base64 32` prints; several stand on a line each"
    )]
    NoKey,
    /// None of the keys that this process has made the seal.
    #[error("it was sealed with master key {0}, which is not among those that this process has")]
    UnknownKey(String),
    /// It was changed, or belongs to something else.
    #[error("it does not open: it was changed, or moved here from somewhere else")]
    Broken,
    /// The system gave no random bytes.
    #[error("the system gives no random bytes: {0}")]
    NoEntropy(getrandom::Error),
}
