//! Signed JSON Web Tokens (RFC 7515, RFC 7519) before their signature is checked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::error::ProviderTokenError;
use super::json::parse_object;
use crate::config::SigningAlgorithm;

/// The longest accepted token, in bytes. Tokens of Microsoft Entra with 200 groups have about 11,000.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// The longest text of a token in a message.
const MAX_SHOWN: usize = 200;

/// A token whose signature is not checked yet. Nothing in its header can name a key or an address to fetch one from, except a
/// name (`kid`) among the provider's own keys: `jku`, `x5u`, `jwk` and `x5c` are ignored.
#[derive(Debug)]
pub(super) struct Unverified<'a> {
    /// The name of the algorithm.
    pub(super) algorithm: String,
    /// The name of the key.
    pub(super) key_id: Option<String>,
    /// The claims.
    pub(super) claims: Map<String, Value>,
    signed: &'a str,
    signature: &'a str,
}

impl<'a> Unverified<'a> {
    /// Parses a token.
    ///
    /// # Errors
    /// `TooLong`, `Malformed`, `Critical`, `Kind`.
    pub(super) fn parse(token: &'a [u8]) -> Result<Self, ProviderTokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(ProviderTokenError::TooLong { bytes: token.len(), most: MAX_TOKEN_BYTES });
        }
        let no_token = ProviderTokenError::Malformed("it is not a JSON Web Token");
        let token = std::str::from_utf8(token).map_err(|_| no_token.clone())?;
        let (signed, signature) = token.rsplit_once('.').ok_or(no_token.clone())?;
        let (header, claims) = signed.split_once('.').ok_or(no_token.clone())?;
        if claims.contains('.') {
            return Err(no_token);
        }
        let header =
            part(header).ok_or(ProviderTokenError::Malformed("its header is not valid, or has a name twice"))?;
        let claims =
            part(claims).ok_or(ProviderTokenError::Malformed("its claims are not valid, or have a name twice"))?;
        if header.contains_key("crit") {
            return Err(ProviderTokenError::Critical);
        }
        if let Some(kind) = header.get("typ") {
            check_kind(kind)?;
        }
        let Some(Value::String(algorithm)) = header.get("alg") else {
            return Err(ProviderTokenError::Malformed("its header has no algorithm"));
        };
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err(ProviderTokenError::Malformed("its header has a key's name that is not a text")),
        };
        Ok(Self { algorithm: shown(algorithm), key_id, claims, signed, signature })
    }

    /// Returns the claimed issuer.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// Returns the algorithm, if it is one with a public key.
    pub(super) fn signing_algorithm(&self) -> Option<SigningAlgorithm> {
        SigningAlgorithm::ALL.into_iter().find(|known| format!("{known:?}") == self.algorithm)
    }

    /// Returns whether the signature is of a key.
    pub(super) fn is_signed_with(&self, key: &DecodingKey, algorithm: SigningAlgorithm) -> bool {
        let verified =
            jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), key, crate_algorithm(algorithm));
        verified.unwrap_or(false)
    }
}

/// Returns the claimed issuer of a token, before anything is checked.
pub(super) fn issuer_of(token: &[u8]) -> Option<String> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let claims = token.split(|byte| *byte == b'.').nth(1)?;
    let claims = parse_object(&URL_SAFE_NO_PAD.decode(claims).ok()?)?;
    claims.get("iss")?.as_str().map(str::to_owned)
}

/// Returns a token's text for a message.
pub(super) fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(MAX_SHOWN).collect()
}

fn part(text: &str) -> Option<Map<String, Value>> {
    parse_object(&URL_SAFE_NO_PAD.decode(text).ok()?)
}

/// Refuses tokens that are made for something else, such as a notice of sign-out (RFC 8725, section 3.11).
fn check_kind(kind: &Value) -> Result<(), ProviderTokenError> {
    let kind = kind.as_str().unwrap_or_default();
    let name = kind.get(.."application/".len()).filter(|start| start.eq_ignore_ascii_case("application/"));
    let name = name.map_or(kind, |start| &kind[start.len()..]);
    if ["jwt", "at+jwt"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    Err(ProviderTokenError::Kind(shown(kind)))
}

const fn crate_algorithm(algorithm: SigningAlgorithm) -> Algorithm {
    match algorithm {
        SigningAlgorithm::RS256 => Algorithm::RS256,
        SigningAlgorithm::RS384 => Algorithm::RS384,
        SigningAlgorithm::RS512 => Algorithm::RS512,
        SigningAlgorithm::PS256 => Algorithm::PS256,
        SigningAlgorithm::PS384 => Algorithm::PS384,
        SigningAlgorithm::PS512 => Algorithm::PS512,
        SigningAlgorithm::ES256 => Algorithm::ES256,
        SigningAlgorithm::ES384 => Algorithm::ES384,
        SigningAlgorithm::EdDSA => Algorithm::EdDSA,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn token(header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2ln", part(header), part(claims))
    }

    fn refusal(header: &Value) -> ProviderTokenError {
        Unverified::parse(token(header, &json!({})).as_bytes()).unwrap_err()
    }

    #[test]
    fn header_and_claims_are_read() {
        let token = token(&json!({ "alg": "RS256", "kid": "k1", "typ": "JWT" }), &json!({ "iss": "https://a" }));
        let parsed = Unverified::parse(token.as_bytes()).unwrap();
        assert_eq!((parsed.signing_algorithm(), parsed.key_id.as_deref()), (Some(SigningAlgorithm::RS256), Some("k1")));
        assert_eq!(parsed.issuer(), Some("https://a"));
        assert_eq!(issuer_of(token.as_bytes()).as_deref(), Some("https://a"));
    }

    #[test]
    fn none_and_symmetric_algorithms_are_no_signing_algorithms() {
        for name in ["none", "None", "NONE", "", "HS256", "HS384", "HS512", "rs256", "RS256 ", "ES512"] {
            let token = token(&json!({ "alg": name }), &json!({}));
            assert_eq!(Unverified::parse(token.as_bytes()).unwrap().signing_algorithm(), None, "{name}");
        }
    }

    #[test]
    fn header_with_critical_extensions_or_of_another_kind_is_refused() {
        assert_eq!(refusal(&json!({ "alg": "RS256", "crit": ["exp"] })), ProviderTokenError::Critical);
        assert_eq!(refusal(&json!({ "alg": "RS256", "crit": [] })), ProviderTokenError::Critical);
        for kind in [json!("logout+jwt"), json!("dpop+jwt"), json!(7), json!(""), json!("application/json")] {
            assert!(matches!(refusal(&json!({ "alg": "RS256", "typ": kind })), ProviderTokenError::Kind(_)), "{kind}");
        }
        for kind in ["JWT", "jwt", "at+jwt", "application/at+jwt", "Application/JWT"] {
            assert!(Unverified::parse(token(&json!({ "alg": "RS256", "typ": kind }), &json!({})).as_bytes()).is_ok());
        }
    }

    #[test]
    fn malformed_token_is_refused() {
        for header in [json!({}), json!({ "alg": 1 }), json!({ "alg": "RS256", "kid": 1 })] {
            assert!(matches!(refusal(&header), ProviderTokenError::Malformed(_)), "{header}");
        }
        let repeated = format!("{}.e30.c2ln", URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","alg":"none"}"#));
        for token in ["", "a", "a.b", "a.b.c.d", "e30.e30", "e30.%%.c", "\u{e9}.e30.e30", &repeated] {
            let error = Unverified::parse(token.as_bytes()).unwrap_err();
            assert!(matches!(error, ProviderTokenError::Malformed(_)), "{token}: {error}");
        }
        let long = [b'a'; MAX_TOKEN_BYTES + 1];
        assert_eq!(
            Unverified::parse(&long).unwrap_err(),
            ProviderTokenError::TooLong { bytes: MAX_TOKEN_BYTES + 1, most: MAX_TOKEN_BYTES }
        );
    }

    proptest! {
        #[test]
        fn no_token_makes_the_parser_panic(header in ".{0,60}", claims in ".{0,60}", rest in ".{0,20}") {
            let _ = Unverified::parse(rest.as_bytes());
            let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
            let _ = Unverified::parse(format!("{}.{}.{rest}", part(&header), part(&claims)).as_bytes());
            let _ = issuer_of(format!("{}.{}.{rest}", part(&header), part(&claims)).as_bytes());
        }
    }
}
