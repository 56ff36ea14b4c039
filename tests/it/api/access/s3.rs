//! An S3 store with a token service, in memory, on a port of this machine. It checks nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, Response, StatusCode};
use serde_json::{Value, json};

/// The most bytes of a request's body.
const MAX_BODY_BYTES: usize = 10_000_000;

#[derive(Clone, Default)]
struct Kept {
    objects: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    /// The policies of the sessions. The number of a session is in its access key.
    policies: Arc<Mutex<Vec<Value>>>,
}

/// The store.
pub(super) struct S3 {
    address: String,
    kept: Kept,
}

impl S3 {
    /// Starts the store. It ends with the test's runtime.
    pub(super) async fn start() -> Self {
        let kept = Kept::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(kept.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, kept }
    }

    /// Returns the body that creates a warehouse in this store. It vends sessions of a role, or signs requests.
    pub(super) fn warehouse(&self, name: &str, signs: bool) -> Value {
        let mut storage = json!({ "type": "s3", "region": "us-east-1", "endpoint": self.address, "path-style": true,
            "credentials": { "kind": "aws-key", "access-key-id": "own", "secret-access-key": "secret" } });
        if !signs {
            storage["role-arn"] = json!("arn:aws:iam::123456789012:role/tidewater");
        }
        json!({ "name": name, "root": format!("s3://bucket/{name}"), "check": false, "storage": storage })
    }

    /// Returns the address of a file at a location in the store.
    pub(super) fn address_of(&self, location: &str, file: &str) -> String {
        format!("{}/{}/{file}", self.address, location.strip_prefix("s3://").unwrap())
    }

    /// Returns the actions and resources that the policy of a session allows, as one text.
    pub(super) fn policy(&self, access_key: &str) -> String {
        let number: usize = access_key.strip_prefix("session-").unwrap().parse().unwrap();
        self.kept.policies.lock().unwrap()[number].to_string()
    }
}

async fn answer(State(kept): State<Kept>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY_BYTES).await.unwrap();
    let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default());
    if parts.method == Method::POST && path == "/" {
        return text(200, session(&kept, &body));
    }
    if query.contains("list-type") {
        return text(200, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>".to_owned());
    }
    let mut objects = kept.objects.lock().unwrap();
    match parts.method {
        Method::PUT if parts.headers.contains_key("if-none-match") && objects.contains_key(&path) => {
            text(412, "<Error><Code>PreconditionFailed</Code></Error>".to_owned())
        }
        Method::PUT => {
            objects.insert(path, body.to_vec());
            object(Vec::new())
        }
        Method::DELETE => {
            objects.remove(&path);
            text(204, String::new())
        }
        _ => match objects.get(&path) {
            Some(bytes) => object(bytes.clone()),
            None => text(404, "<Error><Code>NoSuchKey</Code></Error>".to_owned()),
        },
    }
}

fn object(bytes: Vec<u8>) -> Response<Body> {
    let response = Response::builder().header("etag", "\"1\"").header("last-modified", "Fri, 27 Nov 2026 09:00:00 GMT");
    response.body(Body::from(bytes)).unwrap()
}

fn text(status: u16, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn session(kept: &Kept, form: &[u8]) -> String {
    let policy = form_urlencoded::parse(form).find(|(name, _)| name == "Policy").expect("a policy").1;
    let mut policies = kept.policies.lock().unwrap();
    policies.push(serde_json::from_str(&policy).unwrap());
    format!(
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>session-{}</AccessKeyId>\
         <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
         <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
        policies.len() - 1
    )
}
