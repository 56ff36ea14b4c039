//! A person's session at a catalog: the catalog's token, and the provider's refresh token to renew it.

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize, Serializer};
use tidewater::base::clock::Clock;
use tidewater::base::secret::Secret;

use super::http::{Http, Reply};
use super::provider::{Provider, Tokens};

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// A token that ends within this time is renewed before its use.
const RENEWAL_MARGIN_MS: i64 = 30_000;

/// A session, as it is saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) provider: Provider,
    /// The catalog's token.
    #[serde(serialize_with = "exposed")]
    pub(crate) token: Secret<String>,
    /// When the token ends, in milliseconds since 1970.
    pub(crate) expires_ms: i64,
    /// The provider's refresh token, if it gave one.
    #[serde(default, serialize_with = "exposed_if_any", skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_token: Option<Secret<String>>,
}

fn exposed<S: Serializer>(secret: &Secret<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

fn exposed_if_any<S: Serializer>(secret: &Option<Secret<String>>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}

/// The answer of the catalog's token endpoint.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(rename = "expires_in")]
    expires_in_s: i64,
}

impl Session {
    /// Exchanges the provider's tokens for one of the catalog (RFC 8693).
    ///
    /// # Errors
    /// Fails if the catalog cannot be reached or accepts none of the tokens. The error is that of the first one.
    pub(crate) async fn begin(http: &Http, uri: &str, provider: Provider, tokens: Tokens) -> Result<Self> {
        let endpoint = format!("{}/v1/oauth/tokens", uri.trim_end_matches('/'));
        let mut refusal: Option<Reply> = None;
        for candidate in &tokens.candidates {
            let form = [
                ("grant_type", TOKEN_EXCHANGE),
                ("subject_token", candidate.expose().as_str()),
                ("subject_token_type", JWT),
            ];
            let asked_ms = Clock::System.now_ms();
            let reply = http.post(&endpoint, &form).await?;
            if reply.status.is_success() {
                let granted: Granted = serde_json::from_value(reply.body)
                    .with_context(|| format!("{endpoint} answered without a token: check the address"))?;
                return Ok(Self {
                    provider,
                    token: Secret::new(granted.access_token),
                    expires_ms: asked_ms.saturating_add(granted.expires_in_s.saturating_mul(1_000)),
                    refresh_token: tokens.refresh_token,
                });
            }
            ensure!(!reply.status.is_server_error(), "{uri} cannot sign you in: {}", reply.error());
            refusal.get_or_insert(reply);
        }
        let reason = refusal.map(|reply| reply.error()).unwrap_or_default();
        bail!("{} signed you in, but {uri} refused its token: {reason}", provider.endpoints.issuer)
    }

    /// Returns whether the token can be used at this time.
    pub(super) const fn is_valid(&self, now_ms: i64) -> bool {
        now_ms < self.expires_ms.saturating_sub(RENEWAL_MARGIN_MS)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::sign_in::provider::Endpoints;

    pub(in crate::cli::sign_in) fn session(token: &str) -> Session {
        Session {
            provider: Provider {
                name: "company".into(),
                client_id: "laptop".into(),
                scopes: vec!["openid".into()],
                endpoints: Endpoints {
                    issuer: "https://id.example.com".into(),
                    token_endpoint: "https://id.example.com/token".into(),
                    authorization_endpoint: None,
                    device_authorization_endpoint: None,
                    revocation_endpoint: None,
                },
            },
            token: Secret::new(token.into()),
            expires_ms: 100_000,
            refresh_token: Some(Secret::new("r".into())),
        }
    }

    #[test]
    fn token_is_valid_until_shortly_before_its_end() {
        let session = session("a");
        assert!(session.is_valid(69_999));
        assert!(!session.is_valid(70_000) && !session.is_valid(i64::MAX));
    }

    #[test]
    fn saved_session_has_its_secrets_and_its_debug_text_has_none() {
        let text = serde_json::to_string(&session("t-1")).unwrap();
        assert_eq!(serde_json::from_str::<Session>(&text).unwrap(), session("t-1"));
        assert!(text.contains("t-1"));
        assert!(!format!("{:?}", session("t-1")).contains("t-1"));
    }
}
