//! Attacks over real connections: guesses of keys, forged addresses, and floods of requests. Time stands still unless a test
//! advances it, so the numbers are exact.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use tidewater::auth::key::{entropy, key_text};
use tidewater::base::clock::Clock;
use tidewater::config::Config;
use tidewater_core::access::Role;
use tidewater_core::limits::Tier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::support::{Catalog, Tenant};

/// The limit for every wait in these tests: far more than any of them needs.
const AT_MOST: Duration = Duration::from_secs(20);

const ATTACKER: &str = "127.0.0.1";
const CLIENT: &str = "127.0.0.2";

const CONNECTIONS: usize = 64;

/// A listening server whose clock stands still.
struct Server {
    address: SocketAddr,
    acme: Tenant,
    other: Tenant,
    /// A second key of `acme`.
    second_key: String,
    now_ms: Arc<AtomicI64>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<anyhow::Result<()>>,
    _folder: Arc<tempfile::TempDir>,
}

impl Server {
    async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let now_ms = Arc::new(AtomicI64::new(Clock::System.now_ms()));
        let catalog = Catalog::with_clock(Clock::Manual(Arc::clone(&now_ms)), |config| {
            let tier = Tier { requests_per_second: Some(20), burst: Some(50), ..Tier::default() };
            config.tiers.insert("bursts".to_owned(), tier);
            change(config);
        })
        .await;
        let (acme, other) = (catalog.tenant("acme", "bursts").await, catalog.tenant("other", "bursts").await);
        let second_key = catalog.key(acme.organisation, Role::Admin, None).await;
        let Catalog { app, folder } = catalog;
        let address = app.local_addr().unwrap();
        let (stop, told) = oneshot::channel();
        let ended = tokio::spawn(app.run_until(async move {
            let _ = told.await;
        }));
        Self { address, acme, other, second_key, now_ms, stop, ended, _folder: folder }
    }

    /// Connects from a local address.
    async fn connect(&self, from: &str) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        Client(timeout(AT_MOST, socket.connect(self.address)).await.unwrap().unwrap())
    }

    /// Sends a request with a key over a new connection.
    async fn get_config(&self, from: &str, key: &str) -> Reply {
        self.connect(from).await.get("/v1/config", key, "").await
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(AT_MOST, self.ended).await.expect("it stops").unwrap().unwrap();
    }
}

struct Client(TcpStream);

#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: Value,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.split_once(": ").filter(|(key, _)| *key == name));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.head)).1
    }
}

impl Client {
    async fn get(&mut self, path: &str, key: &str, more: &str) -> Reply {
        self.exchange(&format!("GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\n{more}\r\n")).await
    }

    async fn sign_in(&mut self, secret: &str, more: &str) -> Reply {
        let form = format!("grant_type=client_credentials&client_secret={secret}");
        let head = "content-type: application/x-www-form-urlencoded\r\n";
        let length = form.len();
        self.exchange(&format!(
            "POST /v1/oauth/tokens HTTP/1.1\r\nhost: a\r\n{head}content-length: {length}\r\n{more}\r\n{form}"
        ))
        .await
    }

    async fn exchange(&mut self, request: &str) -> Reply {
        self.0.write_all(request.as_bytes()).await.unwrap();
        let mut read = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&read);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let head = head.to_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                    let body = serde_json::from_str(body).unwrap_or_default();
                    return Reply { status, head, body };
                }
            }
            let count = timeout(AT_MOST, self.0.read_buf(&mut read)).await.expect("an answer").unwrap();
            assert!(count > 0, "the connection ended: {}", String::from_utf8_lossy(&read));
        }
    }
}

fn made_up_key() -> String {
    key_text(&entropy().unwrap()).expose().clone()
}

/// A request of a flood.
#[derive(Clone)]
enum Flood {
    /// Guesses keys: as bearer credentials, and at the token endpoint.
    Guesses,
    /// Sends requests with a key.
    Requests(String),
}

/// Sends `each` requests over each of 64 connections from the attacker's address, at the same time. Returns the answers.
async fn flood(server: &Server, each: usize, kind: &Flood) -> Vec<Reply> {
    let mut connections = JoinSet::new();
    for number in 0..CONNECTIONS {
        let (mut client, kind) = (server.connect(ATTACKER).await, kind.clone());
        connections.spawn(async move {
            let mut replies = Vec::new();
            for _ in 0..each {
                replies.push(match &kind {
                    Flood::Guesses if number % 2 == 0 => client.get("/v1/config", &made_up_key(), "").await,
                    Flood::Guesses => client.sign_in(&made_up_key(), "").await,
                    Flood::Requests(key) => client.get("/v1/config", key, "").await,
                });
            }
            replies
        });
    }
    connections.join_all().await.into_iter().flatten().collect()
}

fn count(replies: &[Reply], status: u16) -> usize {
    replies.iter().filter(|reply| reply.status == status).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_over_64_connections_are_slowed_and_right_keys_get_in() {
    let server = Server::start(|_| ()).await;
    let (known, unknown) = (server.other.key.clone(), server.second_key.clone());
    assert_eq!(server.get_config(CLIENT, &known).await.status, 200);
    let guessing = flood(&server, 3, &Flood::Guesses);
    let working = async {
        for _ in 0..10 {
            assert_eq!(server.get_config(CLIENT, &known).await.status, 200, "from another address");
            assert_eq!(server.get_config(ATTACKER, &known).await.status, 200, "from the attacker's address");
        }
    };
    let (replies, ()) = tokio::join!(guessing, working);
    assert_eq!((count(&replies, 401), count(&replies, 429)), (20, 3 * CONNECTIONS - 20));
    for reply in replies.iter().filter(|reply| reply.status == 429) {
        let retry_after_s: u64 = reply.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&retry_after_s));
        let (iceberg, oauth) = (&reply.body["error"]["type"], &reply.body["error"]);
        assert!(iceberg == "TooManyRequestsException" || oauth == "temporarily_unavailable", "{}", reply.body);
    }
    let first_use = server.get_config(ATTACKER, &unknown).await;
    assert_eq!(first_use.status, 200, "a key that the server has not seen yet waits for its turn: {first_use:?}");
    let token = server.connect(ATTACKER).await.sign_in(&unknown, "").await;
    assert_eq!(token.status, 200);
    server.now_ms.fetch_add(60_000, Ordering::SeqCst);
    assert_eq!(server.get_config(ATTACKER, &made_up_key()).await.status, 401, "the wait has an end");
    server.stop().await;
}

#[tokio::test]
async fn forged_address_does_not_help_without_a_trusted_proxy() {
    let server = Server::start(|_| ()).await;
    let mut client = server.connect(ATTACKER).await;
    let mut statuses = Vec::new();
    for number in 0..25 {
        let forged = format!("x-forwarded-for: 192.0.2.{number}\r\nforwarded: for=192.0.2.{number}\r\n");
        statuses.push(client.get("/v1/config", &made_up_key(), &forged).await.status);
    }
    assert_eq!(statuses, [vec![401; 20], vec![429; 5]].concat());
    server.stop().await;
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_are_told_apart() {
    let server = Server::start(|config| {
        config.connections.trusted_proxies = serde_json::from_value(json!([ATTACKER, "10.0.0.0/8"])).unwrap();
    })
    .await;
    let mut proxy = server.connect(ATTACKER).await;
    let forwarded = |client: &str| format!("x-forwarded-for: 203.0.113.77, {client}, 10.0.0.1\r\n");
    for _ in 0..20 {
        assert_eq!(proxy.get("/v1/config", &made_up_key(), &forwarded("192.0.2.1")).await.status, 401);
    }
    assert_eq!(proxy.sign_in(&made_up_key(), &forwarded("192.0.2.1")).await.status, 429);
    assert_eq!(proxy.get("/v1/config", &made_up_key(), &forwarded("192.0.2.2")).await.status, 401);
    let mut stranger = server.connect(CLIENT).await;
    assert_eq!(stranger.get("/v1/config", &made_up_key(), &forwarded("192.0.2.1")).await.status, 401);
    // Events have the client's address.
    let body = json!({ "namespace": ["through_the_proxy"] }).to_string();
    let key = &server.acme.key;
    let created = proxy
        .exchange(&format!(
            "POST /v1/namespaces HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n{}\r\n{body}",
            body.len(),
            forwarded("192.0.2.9")
        ))
        .await;
    assert_eq!(created.status, 200, "{}", created.body);
    let events = proxy.get("/management/v1/organisations/acme/events?page-size=1", key, "").await;
    assert_eq!(events.body["events"][0]["address"], "192.0.2.9", "{}", events.body);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flood_of_one_organisation_leaves_others_untouched() {
    let server = Server::start(|_| ()).await;
    let requests = Flood::Requests(server.acme.key.clone());
    let flooding = flood(&server, 5, &requests);
    let working = async {
        for _ in 0..30 {
            assert_eq!(server.get_config(CLIENT, &server.other.key).await.status, 200);
        }
    };
    let (replies, ()) = tokio::join!(flooding, working);
    assert_eq!(
        (count(&replies, 200), count(&replies, 429)),
        (38, 5 * CONNECTIONS - 38),
        "the burst without its quarter"
    );
    let refused = replies.iter().find(|reply| reply.status == 429).unwrap();
    assert_eq!(refused.header("ratelimit-policy"), "\"second\";q=20;w=1");
    assert_eq!(refused.header("retry-after"), "1");
    let message = refused.body["error"]["message"].as_str().unwrap();
    assert!(message.contains("limit of 20 requests a second, with bursts of 50"), "{message}");
    assert!(message.contains("not the limit of the day"), "{message}");
    let quiet = server.get_config(CLIENT, &server.second_key).await;
    assert_eq!(quiet.status, 200, "another key of the organisation has its share");
    server.now_ms.fetch_add(1_000, Ordering::SeqCst);
    let replies = flood(&server, 1, &requests).await;
    assert_eq!(count(&replies, 200), 19, "20 in a second, of which the other key's request took one");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_revokes_a_key_that_floods() {
    let server = Server::start(|_| ()).await;
    let replies = flood(&server, 5, &Flood::Requests(server.acme.key.clone())).await;
    assert!(count(&replies, 429) > 0);
    let mut admin = server.connect(CLIENT).await;
    // With the flooding key itself: the management API has a limit of its own.
    let keys = admin.get("/management/v1/organisations/acme/keys", &server.acme.key, "").await;
    assert_eq!(keys.status, 200, "{}", keys.body);
    let all: Vec<_> = keys.body["keys"].as_array().unwrap().iter().filter_map(|key| key["id"].as_str()).collect();
    assert_eq!(all.len(), 2);
    for id in all {
        let path = format!("/management/v1/organisations/acme/keys/{id}");
        let key = &server.acme.key;
        let request = format!("{} {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\n\r\n", Method::DELETE);
        let _ = admin.exchange(&request).await;
    }
    assert_eq!(server.get_config(CLIENT, &server.acme.key).await.status, 401);
    server.stop().await;
}

#[tokio::test]
async fn management_requests_of_a_key_have_their_own_limit() {
    let server = Server::start(|_| ()).await;
    let mut client = server.connect(CLIENT).await;
    let path = "/management/v1/organisations/acme/keys";
    for _ in 0..50 {
        assert_eq!(client.get(path, &server.acme.key, "").await.status, 200);
    }
    let refused = client.get(path, &server.acme.key, "").await;
    assert_eq!(refused.status, 429);
    assert!(refused.body["error"]["message"].as_str().unwrap().contains("management API"), "{}", refused.body);
    assert_eq!(client.get(path, &server.second_key, "").await.status, 200, "another admin's key has its own");
    assert_eq!(client.get("/v1/config", &server.acme.key, "").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn usage_and_tiers_show_the_limits_per_second() {
    let server = Server::start(|_| ()).await;
    let mut client = server.connect(CLIENT).await;
    let usage = client.get("/management/v1/organisations/acme/usage", &server.acme.key, "").await.body;
    assert_eq!((&usage["requests-per-second"], &usage["burst"]), (&json!(20), &json!(50)));
    assert_eq!((&usage["requests-per-second-per-key"], &usage["burst-per-key"]), (&Value::Null, &Value::Null));
    let tiers = client.get("/management/v1/tiers", &server.acme.key, "").await.body;
    assert_eq!(tiers["tiers"]["bursts"]["requests-per-second"], 20);
    assert_eq!(tiers["tiers"]["premium"]["burst"], Value::Null);
    server.stop().await;
}
