//! A service account's key file, which signs assertions to get access tokens (RFC 7523, as Google Cloud uses it).

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Deserialize;
use serde_json::json;

use crate::base::secret::Secret;

const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// The scope of the token. Only tokens with this scope can be restricted by an access boundary.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The lifetime of an assertion.
const LIFE_S: i64 = 3_600;

/// The fields of a key file that are used here.
#[derive(Debug, Deserialize)]
pub(super) struct ServiceAccountKey {
    client_email: String,
    #[serde(default)]
    private_key_id: String,
    private_key: Secret<String>,
    #[serde(default = "google")]
    token_uri: String,
    /// Set in key files for emulators, which give no tokens.
    #[serde(default)]
    disable_oauth: bool,
}

fn google() -> String {
    TOKEN_URI.to_owned()
}

impl ServiceAccountKey {
    /// Parses a key file. Returns none if it cannot be used to get tokens.
    pub(super) fn parse(text: &Secret<String>) -> Option<Self> {
        serde_json::from_str(text.expose()).ok().filter(|key: &Self| !key.disable_oauth)
    }

    /// Returns the address that issues tokens.
    pub(super) fn token_uri(&self) -> &str {
        &self.token_uri
    }

    /// Signs an assertion, to exchange it for a token. Returns none if the private key is not valid.
    pub(super) fn assertion(&self, now_ms: i64) -> Option<String> {
        let now_s = now_ms / 1_000;
        let header = Header { kid: Some(self.private_key_id.clone()), ..Header::new(Algorithm::RS256) };
        let claims = json!({
            "iss": self.client_email,
            "scope": SCOPE,
            "aud": self.token_uri,
            "iat": now_s,
            "exp": now_s + LIFE_S,
        });
        let key = EncodingKey::from_rsa_pem(self.private_key.expose().as_bytes()).ok()?;
        jsonwebtoken::encode(&header, &claims, &key).ok()
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
    use base64::Engine as _;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

    use super::*;

    fn file(private_key: &str) -> Secret<String> {
        let file = json!({
            "type": "service_account", "project_id": "p", "private_key_id": "k1", "private_key": private_key,
            "client_email": "catalog@p.iam.gserviceaccount.com", "token_uri": "http://127.0.0.1:1/token",
        });
        Secret::new(file.to_string())
    }

    #[test]
    fn assertion_is_signed_by_the_accounts_key_and_has_account_scope_and_times() {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        let lines = BASE64_STANDARD
            .encode(der.as_ref())
            .as_bytes()
            .chunks(64)
            .fold(String::new(), |text, line| text + std::str::from_utf8(line).unwrap() + "\n");
        let text = file(&format!("-----BEGIN PRIVATE KEY-----\n{lines}-----END PRIVATE KEY-----\n"));
        let key = ServiceAccountKey::parse(&text).unwrap();
        assert!(!format!("{key:?}").contains("BEGIN"));
        let assertion = key.assertion(1_795_521_600_000).unwrap();
        let (signed, signature) = assertion.rsplit_once('.').unwrap();
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
        public.verify(signed.as_bytes(), &signature).unwrap();
        let claims = BASE64_URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().1).unwrap();
        assert_eq!(
            std::str::from_utf8(&claims).unwrap(),
            r#"{"iss":"catalog@p.iam.gserviceaccount.com","scope":"https://www.googleapis.com/auth/cloud-platform","aud":"http://127.0.0.1:1/token","iat":1795521600,"exp":1795525200}"#
        );
    }

    #[test]
    fn invalid_key_or_emulator_key_signs_nothing() {
        assert!(ServiceAccountKey::parse(&file("none")).unwrap().assertion(0).is_none());
        assert!(ServiceAccountKey::parse(&Secret::new("{}".to_owned())).is_none());
        let emulator = r#"{"client_email":"","private_key":"","private_key_id":"","disable_oauth":true}"#;
        assert!(ServiceAccountKey::parse(&Secret::new(emulator.to_owned())).is_none());
    }
}
