//! An identity provider: its discovery document (OpenID Connect Discovery 1.0) and its token endpoint.

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use tidewater::base::secret::Secret;

use super::http::{Http, Reply, check_is_private};

/// The environment variable with the secret of the sign-in's client, for providers that require one of apps too.
const CLIENT_SECRET: &str = "TIDEWATER_LOGIN_CLIENT_SECRET";

/// The longest accepted text of a token, in bytes.
const MAX_TOKEN_BYTES: usize = 64 << 10;

/// A way to sign in, as the catalog lists it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct SignInOption {
    /// The name in the catalog's settings.
    pub(crate) name: String,
    /// The issuer of tokens.
    pub(crate) issuer: String,
    /// The id of the client to sign in with.
    pub(crate) client_id: String,
    /// The scopes to request.
    pub(crate) scopes: Vec<String>,
}

/// A provider, and the client to sign in with. It is saved with a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Provider {
    /// The name in the catalog's settings.
    pub(crate) name: String,
    pub(crate) client_id: String,
    pub(crate) scopes: Vec<String>,
    #[serde(flatten)]
    pub(crate) endpoints: Endpoints,
}

/// The part of a discovery document that a sign-in needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Endpoints {
    pub(crate) issuer: String,
    pub(crate) token_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authorization_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device_authorization_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revocation_endpoint: Option<String>,
}

/// The tokens of a provider.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    /// The tokens that the catalog may know, in the order in which to try them.
    pub(crate) candidates: Vec<Secret<String>>,
    pub(crate) refresh_token: Option<Secret<String>>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Option<String>,
    id_token: Option<String>,
    refresh_token: Option<String>,
}

impl Provider {
    /// Reads the provider's discovery document.
    ///
    /// # Errors
    /// Fails if it cannot be read, has another issuer, or an address in it is not private.
    pub(crate) async fn discover(http: &Http, option: &SignInOption) -> Result<Self> {
        let SignInOption { name, issuer, client_id, scopes } = option;
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        check_is_private(&address)?;
        let reply = http.get(&address).await?;
        ensure!(reply.status.is_success(), "{address} answered {}", reply.status);
        let endpoints: Endpoints = serde_json::from_value(reply.body)
            .with_context(|| format!("{address} is not the discovery document of an OpenID provider"))?;
        ensure!(
            endpoints.issuer == *issuer,
            "{address} names the issuer '{}', but the catalog is set to '{issuer}'",
            endpoints.issuer
        );
        endpoints.check_are_private()?;
        Ok(Self { name: name.clone(), client_id: client_id.clone(), scopes: scopes.clone(), endpoints })
    }

    /// Returns the requested scopes as one text.
    pub(super) fn scope(&self) -> String {
        self.scopes.join(" ")
    }

    /// Sends a form to an endpoint of the provider, with the client's id and secret.
    pub(super) async fn post(&self, http: &Http, endpoint: &str, form: &[(&str, &str)]) -> Result<Reply> {
        let secret = std::env::var(CLIENT_SECRET).unwrap_or_default();
        let mut form = form.to_vec();
        form.push(("client_id", &self.client_id));
        if !secret.is_empty() {
            form.push(("client_secret", &secret));
        }
        http.post(endpoint, &form).await
    }

    /// Returns new tokens for a refresh token, or `None` if the provider refuses it. The tokens have a refresh token: a provider that
    /// does not rotate them sends no new one (RFC 6749, 6).
    ///
    /// # Errors
    /// Fails if the provider cannot be reached or has an error.
    pub(crate) async fn refresh(&self, http: &Http, refresh_token: &Secret<String>) -> Result<Option<Tokens>> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose().as_str())];
        let reply = self.post(http, &self.endpoints.token_endpoint, &form).await?;
        match reply.status.is_success() {
            true => {
                let mut tokens = Tokens::parse(reply, &self.endpoints.issuer)?;
                tokens.refresh_token.get_or_insert_with(|| refresh_token.clone());
                Ok(Some(tokens))
            }
            false if reply.body["error"] == "invalid_grant" => Ok(None),
            false => bail!("{} did not renew the sign-in: {}", self.endpoints.issuer, reply.error()),
        }
    }

    /// Revokes a refresh token, if the provider can.
    ///
    /// # Errors
    /// Fails if the provider does not confirm it.
    pub(crate) async fn revoke(&self, http: &Http, refresh_token: &Secret<String>) -> Result<()> {
        let Some(endpoint) = &self.endpoints.revocation_endpoint else { return Ok(()) };
        let form = [("token", refresh_token.expose().as_str()), ("token_type_hint", "refresh_token")];
        let reply = self.post(http, endpoint, &form).await?;
        ensure!(reply.status.is_success(), "{endpoint}: {}", reply.error());
        Ok(())
    }
}

impl Endpoints {
    fn check_are_private(&self) -> Result<()> {
        let others = [&self.authorization_endpoint, &self.device_authorization_endpoint, &self.revocation_endpoint];
        let others = others.into_iter().filter_map(Option::as_deref);
        std::iter::once(self.token_endpoint.as_str()).chain(others).try_for_each(check_is_private)
    }
}

impl Tokens {
    /// Parses the answer of a token endpoint.
    ///
    /// An access token that is not a JWT is for the provider's own services. Then only the ID token shows the catalog who
    /// signed in. It comes second too because some providers (Entra) issue access tokens for other services as JWTs.
    pub(super) fn parse(reply: Reply, issuer: &str) -> Result<Self> {
        let answer: TokenAnswer =
            serde_json::from_value(reply.body).with_context(|| format!("{issuer} answered without tokens"))?;
        let is_jwt = |token: &String| token.split('.').count() == 3;
        let found = answer.access_token.into_iter().filter(is_jwt).chain(answer.id_token);
        let candidates: Vec<_> = found.filter(|token| token.len() <= MAX_TOKEN_BYTES).map(Secret::new).collect();
        ensure!(
            !candidates.is_empty(),
            "{issuer} gave no JWT: add 'openid' to `login_scopes`, or have the provider issue access tokens for the catalog"
        );
        Ok(Self { candidates, refresh_token: answer.refresh_token.map(Secret::new) })
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::{Value, json};

    use super::*;

    fn parse(body: Value) -> Result<Vec<String>> {
        let tokens = Tokens::parse(Reply { status: StatusCode::OK, body }, "https://id")?;
        Ok(tokens.candidates.iter().map(|token| token.expose().clone()).collect())
    }

    #[test]
    fn access_token_is_tried_first_if_it_is_a_jwt() {
        let both = |access: &str| json!({ "access_token": access, "id_token": "i.d.t", "expires_in": 5 });
        assert_eq!(parse(both("a.b.c")).unwrap(), ["a.b.c", "i.d.t"]);
        assert_eq!(parse(both("opaque")).unwrap(), ["i.d.t"]);
    }

    #[test]
    fn answer_without_a_jwt_is_refused_with_advice() {
        let refused = parse(json!({ "access_token": "opaque" })).unwrap_err().to_string();
        assert!(refused.contains("login_scopes"), "{refused}");
        assert!(parse(Value::Null).is_err());
    }

    #[test]
    fn provider_with_an_address_without_https_is_refused() {
        let endpoints = |token: &str, revocation: Option<&str>| Endpoints {
            issuer: "https://id.example.com".into(),
            token_endpoint: token.into(),
            authorization_endpoint: None,
            device_authorization_endpoint: None,
            revocation_endpoint: revocation.map(str::to_owned),
        };
        endpoints("https://id.example.com/t", Some("https://id.example.com/r")).check_are_private().unwrap();
        assert!(endpoints("http://id.example.com/t", None).check_are_private().is_err());
        assert!(endpoints("https://id.example.com/t", Some("http://id.example.com/r")).check_are_private().is_err());
    }
}
