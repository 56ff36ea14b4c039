//! A catalog to measure: its address, its sign-in and the prefix of its paths.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, SERVER, USER_AGENT};
use hyper::{HeaderMap, Method, StatusCode, Uri};
use serde_json::Value;

use crate::client::{self, Connection, Outgoing};

/// The client's name in the server's logs.
const AGENT: &str = concat!("tidewater-bench/", env!("CARGO_PKG_VERSION"));

/// How requests authenticate.
#[derive(Clone, PartialEq, Eq)]
pub enum SignIn {
    /// Without credentials.
    Nothing,
    /// With this token.
    Token(String),
    /// With a token from the token endpoint, for a client id and secret.
    Credential {
        /// The client id; empty for a secret alone.
        id: String,
        /// The secret.
        secret: String,
    },
}

// Secrets stay out of messages.
impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Token(_) => "token",
            Self::Credential { .. } => "credential",
        })
    }
}

impl SignIn {
    /// Reads the options. A credential is `id:secret`, or a secret alone if it has no colon, as in other clients.
    ///
    /// # Errors
    /// Fails if both are given.
    pub fn from_options(token: Option<String>, credential: Option<String>) -> Result<Self> {
        match (token, credential) {
            (Some(_), Some(_)) => bail!("give a token or a credential, not both"),
            (Some(token), None) => Ok(Self::Token(token)),
            (None, Some(credential)) => {
                let (id, secret) = credential.split_once(':').unwrap_or(("", &credential));
                Ok(Self::Credential { id: id.to_owned(), secret: secret.to_owned() })
            }
            (None, None) => Ok(Self::Nothing),
        }
    }
}

/// The parts of a catalog's URI. `/v1` at its end is optional.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The path before `/v1`, without a trailing slash.
    pub path: String,
}

impl Base {
    /// Parses a URI.
    ///
    /// # Errors
    /// Fails if it is not an `http` URI.
    pub fn parse(uri: &str) -> Result<Self> {
        let parsed: Uri = uri.parse().with_context(|| format!("{uri:?} is no URI"))?;
        if parsed.scheme_str() != Some("http") {
            bail!("{uri:?}: the URI must begin with http:// (with https:// you would measure TLS)");
        }
        let host = parsed.host().with_context(|| format!("{uri:?} names no host"))?;
        let path = parsed.path().trim_end_matches('/');
        let path = path.strip_suffix("/v1").unwrap_or(path).trim_end_matches('/');
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: parsed.port_u16().unwrap_or(80),
            path: path.to_owned(),
        })
    }
}

/// Percent-encodes a path segment, query value or form value: all but unreserved characters.
#[must_use]
pub fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// A connected catalog: signed in, its configuration read.
#[derive(Clone, Debug)]
pub struct Target {
    /// The URI as given on the command line.
    pub uri: String,
    /// Its network address.
    pub addr: SocketAddr,
    /// The prefix from the catalog's configuration.
    pub prefix: Option<String>,
    /// The `Server` header of its responses.
    pub server: Option<String>,
    base: Base,
    warehouse: Option<String>,
    sign_in: SignIn,
    headers: HeaderMap,
}

impl Target {
    /// Connects, signs in and reads the configuration.
    ///
    /// # Errors
    /// Fails if the catalog cannot be reached, refuses the sign-in, or sends a malformed response.
    pub async fn connect(uri: &str, warehouse: Option<String>, sign_in: SignIn) -> Result<Self> {
        let base = Base::parse(uri)?;
        let addr = client::resolve(&base.host, base.port).await?;
        let mut headers = HeaderMap::new();
        let authority = uri.split('/').nth(2).unwrap_or_default();
        headers.insert(HOST, HeaderValue::from_str(authority)?);
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let mut target =
            Self { uri: uri.to_owned(), addr, prefix: None, server: None, base, warehouse, sign_in, headers };
        target.renew_sign_in().await?;
        target.read_config().await.context("cannot read the catalog's configuration")?;
        Ok(target)
    }

    /// Signs in again, since tokens from the token endpoint expire. Does nothing for other ways of signing in.
    ///
    /// # Errors
    /// Fails if the catalog refuses.
    pub async fn renew_sign_in(&mut self) -> Result<()> {
        let token = match &self.sign_in {
            SignIn::Nothing => return Ok(()),
            SignIn::Token(token) => token.clone(),
            SignIn::Credential { id, secret } => self.exchange(id, secret).await.context("cannot sign in")?,
        };
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).context("the token cannot be sent")?;
        value.set_sensitive(true);
        self.headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    async fn exchange(&self, id: &str, secret: &str) -> Result<String> {
        let mut form = "grant_type=client_credentials&scope=catalog".to_owned();
        for (name, value) in [("client_id", id), ("client_secret", secret)] {
            if !value.is_empty() {
                form.push_str(&format!("&{name}={}", percent_encode(value)));
            }
        }
        let mut outgoing = self.at_root(Method::POST, "oauth/tokens", Bytes::from(form))?;
        outgoing.headers.remove(AUTHORIZATION);
        outgoing.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let (_, answer) = self.ask(&outgoing).await?;
        Ok(answer["access_token"].as_str().context("the answer has no access_token")?.to_owned())
    }

    async fn read_config(&mut self) -> Result<()> {
        let outgoing = self.at_root(Method::GET, &self.config_path(), Bytes::new())?;
        let (headers, config) = self.ask(&outgoing).await?;
        self.server = headers.get(SERVER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        self.prefix = prefix_of(&config);
        Ok(())
    }

    /// Returns the path of the configuration, below `/v1/`.
    #[must_use]
    pub fn config_path(&self) -> String {
        match &self.warehouse {
            Some(warehouse) => format!("config?warehouse={}", percent_encode(warehouse)),
            None => "config".to_owned(),
        }
    }

    async fn ask(&self, outgoing: &Outgoing) -> Result<(HeaderMap, Value)> {
        let response = Connection::open(self.addr).await?.send(outgoing).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = client::collect(response.into_body()).await?;
        if status != StatusCode::OK {
            bail!("{} answered {status}: {}", outgoing.uri, client::shorten(&body));
        }
        let value = serde_json::from_slice(&body)
            .with_context(|| format!("the response of {} is not JSON: {}", outgoing.uri, client::shorten(&body)))?;
        Ok((headers, value))
    }

    /// Builds a request below `/v1/`, without the prefix.
    ///
    /// # Errors
    /// Fails if the path is not valid in a URI.
    pub fn at_root(&self, method: Method, path: &str, body: Bytes) -> Result<Outgoing> {
        self.at(method, &format!("/v1/{path}"), body)
    }

    /// Builds a request below the catalog's address. `path` begins with a slash, and may have a query.
    ///
    /// # Errors
    /// Same as [`Self::at_root`].
    pub fn at(&self, method: Method, path: &str, body: Bytes) -> Result<Outgoing> {
        let uri = format!("{}{path}", self.base.path);
        let uri = uri.parse().with_context(|| format!("{uri:?} is no path"))?;
        let mut headers = self.headers.clone();
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Ok(Outgoing { method, uri, headers, body })
    }

    /// Builds a request below `/v1/{prefix}/`, or `/v1/` if the catalog has no prefix.
    ///
    /// # Errors
    /// Same as [`Self::at_root`].
    pub fn at_prefix(&self, method: Method, path: &str, body: Bytes) -> Result<Outgoing> {
        match &self.prefix {
            Some(prefix) => self.at_root(method, &format!("{prefix}/{path}"), body),
            None => self.at_root(method, path, body),
        }
    }

    /// Builds the same request as [`Self::at_prefix`], with one more header.
    ///
    /// # Errors
    /// Same as [`Self::at_root`], and if the value is not valid in a header.
    pub fn at_prefix_with(&self, method: Method, path: &str, header: HeaderName, value: &str) -> Result<Outgoing> {
        let mut outgoing = self.at_prefix(method, path, Bytes::new())?;
        outgoing.headers.insert(header, HeaderValue::from_str(value)?);
        Ok(outgoing)
    }
}

/// Returns the prefix. Overrides win over defaults, as in the specification.
fn prefix_of(config: &Value) -> Option<String> {
    ["overrides", "defaults"]
        .iter()
        .find_map(|section| config[*section]["prefix"].as_str())
        .map(|prefix| prefix.trim_matches('/').to_owned())
        .filter(|prefix| !prefix.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn uri_with_and_without_v1_and_slashes_has_the_same_parts() {
        for uri in
            ["http://h:8181/catalog", "http://h:8181/catalog/", "http://h:8181/catalog/v1", "http://h:8181/catalog/v1/"]
        {
            assert_eq!(Base::parse(uri).unwrap(), Base { host: "h".into(), port: 8181, path: "/catalog".into() });
        }
        assert_eq!(Base::parse("http://[::1]").unwrap(), Base { host: "::1".into(), port: 80, path: String::new() });
    }

    #[test]
    fn uri_with_another_scheme_is_refused_with_a_reason() {
        assert!(Base::parse("https://h/").unwrap_err().to_string().contains("must begin with http://"));
        assert!(Base::parse("not a uri").is_err());
    }

    #[test]
    fn credential_is_an_id_and_a_secret_or_a_secret_alone() {
        let credential = |text: &str| SignIn::from_options(None, Some(text.to_owned())).unwrap();
        assert_eq!(credential("a:b:c"), SignIn::Credential { id: "a".into(), secret: "b:c".into() });
        assert_eq!(credential("abc"), SignIn::Credential { id: String::new(), secret: "abc".into() });
        assert!(SignIn::from_options(Some("t".into()), Some("c".into())).is_err());
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let sign_in = SignIn::Credential { id: "id".into(), secret: "hidden".into() };
        assert_eq!(format!("{sign_in:?} {:?}", SignIn::Token("hidden".into())), "credential token");
    }

    #[test]
    fn prefix_of_the_overrides_wins_and_an_empty_one_is_none() {
        let both = json!({"defaults": {"prefix": "d"}, "overrides": {"prefix": "o"}});
        assert_eq!(prefix_of(&both).as_deref(), Some("o"));
        assert_eq!(prefix_of(&json!({"defaults": {"prefix": "d"}, "overrides": {}})).as_deref(), Some("d"));
        assert_eq!(prefix_of(&json!({"defaults": {}, "overrides": {"prefix": ""}})), None);
    }

    #[test]
    fn reserved_characters_are_escaped() {
        assert_eq!(percent_encode("my warehouse/ä&b=c"), "my%20warehouse%2F%C3%A4%26b%3Dc");
        assert_eq!(percent_encode("flx_a-b.c~d"), "flx_a-b.c~d");
    }
}
