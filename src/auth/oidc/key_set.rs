//! The public keys of a provider (JSON Web Key Set, RFC 7517).

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use serde::Deserialize;
use serde_json::Value;

use super::error::ProviderTokenError;
use super::jws::Unverified;
use crate::config::SigningAlgorithm;

/// The most keys of a set that are used.
const MAX_KEYS: usize = 100;

/// A provider's keys. Only keys for signatures with a public key are in it.
#[derive(Debug)]
pub(super) struct KeySet(Vec<ProviderKey>);

#[derive(Debug)]
struct ProviderKey {
    id: Option<String>,
    /// The only algorithm of the key, if it has one.
    algorithm: Option<KeyAlgorithm>,
    kind: Kind,
    key: DecodingKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Kind {
    const fn of(algorithm: SigningAlgorithm) -> Self {
        match algorithm {
            SigningAlgorithm::ES256 => Self::P256,
            SigningAlgorithm::ES384 => Self::P384,
            SigningAlgorithm::EdDSA => Self::Ed25519,
            _ => Self::Rsa,
        }
    }
}

/// A key set as it is read. Keys of unknown kinds are skipped, as the standard asks.
#[derive(Deserialize)]
struct Wire {
    keys: Vec<Value>,
}

impl KeySet {
    /// Parses a key set.
    ///
    /// # Errors
    /// The reason if it is not a key set, or has no usable key.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let wire: Wire =
            serde_json::from_slice(text).map_err(|error| format!("it is not a key set (JWKS): {error}"))?;
        let keys: Vec<_> = wire.keys.into_iter().filter_map(usable).take(MAX_KEYS).collect();
        if keys.is_empty() {
            return Err("it has no key for RS, PS, ES or EdDSA signatures".to_owned());
        }
        Ok(Self(keys))
    }

    /// Finds the key that a token names. A token without a name has the only key of its kind.
    ///
    /// # Errors
    /// `UnknownKey`, `NoKeyId`.
    fn find(
        &self,
        token: &Unverified<'_>,
        algorithm: SigningAlgorithm,
        provider: &std::sync::Arc<str>,
    ) -> Result<&DecodingKey, ProviderTokenError> {
        let fits = |key: &&ProviderKey| {
            let of_algorithm = key.algorithm.is_none_or(|only| only.to_string() == format!("{algorithm:?}"));
            of_algorithm && key.kind == Kind::of(algorithm)
        };
        let named = |key: &&ProviderKey| token.key_id.is_none() || key.id == token.key_id;
        let mut found = self.0.iter().filter(fits).filter(named);
        match (found.next(), found.next()) {
            (Some(_), Some(_)) if token.key_id.is_none() => Err(ProviderTokenError::NoKeyId(provider.clone())),
            (Some(first), _) => Ok(&first.key),
            (None, _) => Err(ProviderTokenError::UnknownKey(provider.clone())),
        }
    }

    /// Checks a token's signature.
    ///
    /// # Errors
    /// `UnknownKey`, `NoKeyId`, `Signature`.
    pub(super) fn verify(
        &self,
        token: &Unverified<'_>,
        algorithm: SigningAlgorithm,
        provider: &std::sync::Arc<str>,
    ) -> Result<(), ProviderTokenError> {
        let key = self.find(token, algorithm, provider)?;
        if token.is_signed_with(key, algorithm) { Ok(()) } else { Err(ProviderTokenError::Signature) }
    }
}

/// Returns a key that can check signatures of tokens.
fn usable(wire: Value) -> Option<ProviderKey> {
    let jwk: Jwk = serde_json::from_value(wire).ok()?;
    let for_signatures = jwk.common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature);
    let operations = jwk.common.key_operations.as_ref();
    if !for_signatures || operations.is_some_and(|operations| !operations.contains(&KeyOperations::Verify)) {
        return None;
    }
    let kind = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Kind::Rsa,
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => Kind::P256,
            EllipticCurve::P384 => Kind::P384,
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Kind::Ed25519,
        _ => return None,
    };
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some(ProviderKey { id: jwk.common.key_id, algorithm: jwk.common.key_algorithm, kind, key })
}
