//! An identity provider for tests: a real HTTP server on this machine, whose keys are made when it starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::config::IssuerConfig;

/// A key pair of a provider.
pub(in crate::auth) struct TestKey {
    pub(in crate::auth) id: String,
    algorithm: Algorithm,
    private: EncodingKey,
    /// The public key, as a key set has it.
    pub(in crate::auth) public: Value,
}

impl TestKey {
    pub(in crate::auth) fn rsa(id: &str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        // The crate takes the key in PKCS #1, which PKCS #8 contains after 26 bytes.
        Self::new(id, Algorithm::RS256, EncodingKey::from_rsa_der(&der.as_ref()[26..]))
    }

    pub(in crate::auth) fn p256(id: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self::new(id, Algorithm::ES256, EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref()))
    }

    pub(in crate::auth) fn ed25519(id: &str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        Self::new(id, Algorithm::EdDSA, EncodingKey::from_ed_der(der.as_ref()))
    }

    fn new(id: &str, algorithm: Algorithm, private: EncodingKey) -> Self {
        let mut public = serde_json::to_value(Jwk::from_encoding_key(&private, algorithm).unwrap()).unwrap();
        public["kid"] = json!(id);
        public["use"] = json!("sig");
        Self { id: id.to_owned(), algorithm, private, public }
    }

    /// Signs a token with claims.
    pub(in crate::auth) fn sign(&self, claims: &Value) -> String {
        let algorithm = format!("{:?}", self.algorithm);
        self.sign_with(&json!({ "alg": algorithm, "kid": self.id, "typ": "JWT" }), self.algorithm, &claims.to_string())
    }

    /// Signs a token with any header and claims.
    pub(in crate::auth) fn sign_with(&self, header: &Value, algorithm: Algorithm, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.private, algorithm).unwrap();
        format!("{signed}.{signature}")
    }
}

/// How a provider answers from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::auth) enum Answering {
    /// With its documents.
    Well,
    /// With status 500.
    Badly,
    /// With a redirect of the key set to another address.
    Redirect(String),
    /// With a key set that is too large.
    TooMuch,
}

/// A provider with discovery and a key set.
pub(in crate::auth) struct TestProvider {
    pub(in crate::auth) issuer: String,
    state: Arc<State>,
    server: tokio::task::JoinHandle<()>,
}

struct State {
    issuer: String,
    keys: Mutex<Vec<Value>>,
    answering: Mutex<Answering>,
    /// The address of the key set in the discovery document.
    keys_address: Mutex<String>,
    /// The bearer token that it requires.
    bearer: Mutex<Option<String>>,
    key_reads: AtomicUsize,
}

impl TestProvider {
    /// Starts a provider with a key.
    pub(in crate::auth) async fn start(keys: &[&TestKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            keys_address: Mutex::new(format!("{issuer}/keys")),
            issuer: issuer.clone(),
            keys: Mutex::default(),
            answering: Mutex::new(Answering::Well),
            bearer: Mutex::new(None),
            key_reads: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&state);
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(Arc::clone(&serving), stream));
            }
        });
        let provider = Self { issuer, state, server };
        provider.publish(keys);
        provider
    }

    /// Returns the settings of an issuer of the organisation `acme`.
    pub(in crate::auth) fn config(&self) -> IssuerConfig {
        IssuerConfig {
            name: "sso".to_owned(),
            issuer: self.issuer.clone(),
            organisation: "acme".to_owned(),
            audiences: vec!["tidewater".to_owned()],
            ..IssuerConfig::default()
        }
    }

    /// Returns the claims of a token that is valid for five minutes.
    pub(in crate::auth) fn claims(&self, subject: &str, now_ms: i64) -> Value {
        let now_s = now_ms / 1_000;
        json!({ "iss": self.issuer, "aud": "tidewater", "sub": subject, "iat": now_s, "exp": now_s + 300 })
    }

    /// Replaces the published keys.
    pub(in crate::auth) fn publish(&self, keys: &[&TestKey]) {
        *self.state.keys.lock() = keys.iter().map(|key| key.public.clone()).collect();
    }

    /// Replaces the published keys by JSON.
    pub(in crate::auth) fn publish_json(&self, keys: Vec<Value>) {
        *self.state.keys.lock() = keys;
    }

    pub(in crate::auth) fn answer(&self, answering: Answering) {
        *self.state.answering.lock() = answering;
    }

    pub(in crate::auth) fn name_keys_at(&self, address: String) {
        *self.state.keys_address.lock() = address;
    }

    pub(in crate::auth) fn require_bearer(&self, token: &str) {
        *self.state.bearer.lock() = Some(token.to_owned());
    }

    /// Returns how often the key set was read.
    pub(in crate::auth) fn key_reads(&self) -> usize {
        self.state.key_reads.load(Ordering::SeqCst)
    }
}

impl Drop for TestProvider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(state: Arc<State>, mut stream: TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read_exact(&mut byte).await.is_err() {
            return;
        }
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap_or_default();
    let answer = document(&state, path, &request.to_ascii_lowercase());
    // A client that has read enough may have disconnected.
    let _ = stream.write_all(answer.as_bytes()).await;
}

fn document(state: &State, path: &str, request: &str) -> String {
    let with = |status: &str, headers: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    };
    let bearer = state.bearer.lock().clone();
    if bearer.is_some_and(|token| !request.contains(&format!("authorization: bearer {token}\r\n"))) {
        return with("401 Unauthorized", "", "");
    }
    let answering = state.answering.lock().clone();
    match (answering, path) {
        (Answering::Badly, _) => with("500 Internal Server Error", "", ""),
        (_, "/.well-known/openid-configuration") => {
            let keys = state.keys_address.lock().clone();
            with("200 OK", "", &json!({ "issuer": state.issuer, "jwks_uri": keys }).to_string())
        }
        (answering, "/keys") => {
            state.key_reads.fetch_add(1, Ordering::SeqCst);
            match answering {
                Answering::Redirect(to) => with("302 Found", &format!("location: {to}\r\n"), ""),
                Answering::TooMuch => with("200 OK", "", &" ".repeat(600 << 10)),
                _ => with("200 OK", "", &json!({ "keys": *state.keys.lock() }).to_string()),
            }
        }
        _ => with("404 Not Found", "", ""),
    }
}
