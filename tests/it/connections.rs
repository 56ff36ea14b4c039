//! Tests of connections: timeouts, limits, malformed requests and the stop of the server.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tidewater::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::support::{Catalog, Tenant, create_table};

/// The limit for every wait in these tests: far more than any of them needs.
const AT_MOST: Duration = Duration::from_secs(20);

/// A listening server.
struct Listening {
    address: SocketAddr,
    tenant: Tenant,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<anyhow::Result<()>>,
    _folder: std::sync::Arc<tempfile::TempDir>,
}

impl Listening {
    /// Starts a server with short timeouts, and with a table whose documents have some megabytes.
    async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let catalog = Catalog::with(|config| {
            config.connections.head_timeout_s = 1;
            config.connections.write_timeout_s = 1;
            config.connections.idle_timeout_s = 1;
            config.connections.body_timeout_s = 1;
            config.limits.property_value_bytes = 8 << 20;
            change(config);
        })
        .await;
        let tenant = catalog.tenant("acme", "enterprise").await;
        catalog.post(&tenant.key, "/v1/namespaces", &json!({ "namespace": ["ns"] })).await.ok(200);
        let mut table = create_table("t");
        table["properties"] = json!({ "large": "x".repeat(6 << 20) });
        catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &table).await.ok(200);
        let Catalog { app, folder } = catalog;
        let address = app.local_addr().unwrap();
        let (stop, told) = oneshot::channel();
        let ended = tokio::spawn(app.run_until(async move {
            let _ = told.await;
        }));
        Self { address, tenant, stop, ended, _folder: folder }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Returns the head of a request without a body.
    fn head(&self, method: &str, path: &str, more: &str) -> String {
        format!("{method} {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n{more}\r\n", self.tenant.key)
    }

    /// Waits until the server answers another connection: until then, it refuses it because of `connections.max`.
    async fn wait_for_a_free_connection(&self) {
        let free = async {
            loop {
                let mut stream = self.connect().await;
                // A refused connection may be reset before the request is sent.
                let _ = stream.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
                if read_to_end(&mut stream).await.starts_with(b"HTTP/1.1 200") {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(AT_MOST, free).await.expect("the server closes a connection");
    }

    /// Stops the server. Returns its result and the duration of the stop.
    async fn stop(self) -> (anyhow::Result<()>, Duration) {
        let begun = Instant::now();
        self.stop.send(()).unwrap();
        let ended = timeout(AT_MOST, self.ended).await.expect("it stops").unwrap();
        (ended, begun.elapsed())
    }
}

/// Waits until a stopping server accepts no more connections.
async fn wait_for_the_stop(address: SocketAddr) {
    let stopping = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(AT_MOST, stopping).await.expect("the server stops to accept connections");
}

/// Reads until the server closes the connection. Returns the bytes.
async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    match timeout(AT_MOST, stream.read_to_end(&mut read)).await.expect("the server closes the connection") {
        Ok(_) => read,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => read,
        Err(error) => panic!("{error}"),
    }
}

/// Reads one response and returns its status and body.
async fn answer(stream: &mut TcpStream) -> (u16, Value) {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                return (status, serde_json::from_str(body).unwrap_or_default());
            }
        }
        let count = timeout(AT_MOST, stream.read_buf(&mut read)).await.expect("an answer").unwrap();
        assert!(count > 0, "the connection ended: {}", String::from_utf8_lossy(&read));
    }
}

async fn exchange(stream: &mut TcpStream, request: &str) -> (u16, Value) {
    stream.write_all(request.as_bytes()).await.unwrap();
    answer(stream).await
}

#[tokio::test]
async fn connection_without_a_complete_request_is_closed() {
    let server = Listening::start(|config| config.connections.idle_timeout_s = 600).await;
    let preface_and_settings = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    for sent in [&b""[..], b"PRI * HT", b"GET /health HTTP/1.1\r\nHo", preface_and_settings] {
        let mut stream = server.connect().await;
        stream.write_all(sent).await.unwrap();
        read_to_end(&mut stream).await;
    }
    // The same after a complete request.
    let mut stream = server.connect().await;
    assert_eq!(exchange(&mut stream, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await.0, 200);
    stream.write_all(b"GET /health HT").await.unwrap();
    read_to_end(&mut stream).await;
    // The same for a client that sends single bytes, slowly.
    let (mut reader, mut writer) = server.connect().await.into_split();
    let dripping = tokio::spawn(async move {
        while writer.write_all(b"G").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut read = Vec::new();
    let _ = timeout(AT_MOST, reader.read_to_end(&mut read)).await.expect("the server closes the connection");
    timeout(AT_MOST, dripping).await.unwrap().unwrap();
}

#[tokio::test]
async fn idle_connection_is_closed_over_http_1_and_http_2() {
    let server = Listening::start(|config| config.connections.head_timeout_s = 600).await;
    let mut stream = server.connect().await;
    assert_eq!(exchange(&mut stream, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await.0, 200);
    assert_eq!(read_to_end(&mut stream).await, b"");

    let stream = TokioIo::new(server.connect().await);
    let (mut sender, connection) = http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get("http://a/health").body(Full::default()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body().collect().await.unwrap();
    let _ = timeout(AT_MOST, connection).await.expect("the server closes the connection");
}

#[tokio::test]
async fn connection_of_a_client_that_does_not_read_is_closed_over_http_1() {
    let server = Listening::start(|config| {
        config.connections.idle_timeout_s = 600;
        config.connections.max = 1;
    })
    .await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    let load = server.head("GET", "/v1/namespaces/ns/tables/t", "");
    for _ in 0..8 {
        stream.write_all(load.as_bytes()).await.unwrap();
    }
    // The server accepts another connection only after it has closed this one. Then the client gets only the bytes in the
    // system's buffers.
    server.wait_for_a_free_connection().await;
    assert!(read_to_end(&mut stream).await.len() < 8 * (6 << 20));
}

#[tokio::test]
async fn connection_of_a_client_that_does_not_read_is_closed_over_http_2() {
    let server = Listening::start(|config| config.connections.idle_timeout_s = 600).await;
    let stream = TokioIo::new(server.connect().await);
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(65_535)
        .handshake::<_, Full<Bytes>>(stream)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get("http://a/v1/namespaces/ns/tables/t")
        .header("authorization", format!("Bearer {}", server.tenant.key));
    let response = sender.send_request(request.body(Full::default()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let _ = timeout(AT_MOST, connection).await.expect("the server closes the connection");
    assert!(response.into_body().collect().await.is_err(), "the answer did not come whole");
}

#[tokio::test]
async fn slow_reader_gets_its_complete_response_over_http_1_and_http_2() {
    let server = Listening::start(|_| ()).await;
    let load = server.head("GET", "/v1/namespaces/ns/tables/t", "Connection: close\r\n");
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(1 << 18).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    stream.write_all(load.as_bytes()).await.unwrap();
    let (mut read, mut piece) = (0, vec![0; 1 << 18]);
    loop {
        let count = stream.read(&mut piece).await.unwrap();
        if count == 0 {
            break;
        }
        read += count;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(read > 6 << 20, "{read}");

    let stream = TokioIo::new(server.connect().await);
    let (mut sender, connection) = http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::get("http://a/v1/namespaces/ns/tables/t")
        .header("authorization", format!("Bearer {}", server.tenant.key));
    let response = sender.send_request(request.body(Full::default()).unwrap()).await.unwrap();
    let mut body = response.into_body();
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        read += frame.unwrap().data_ref().map_or(0, Bytes::len);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(read > 6 << 20, "{read}");
}

#[tokio::test]
async fn body_that_pauses_is_refused_and_changes_nothing() {
    let server = Listening::start(|_| ()).await;
    let mut stream = server.connect().await;
    let head = server.head("POST", "/v1/namespaces", "Content-Length: 500\r\n");
    let (status, body) = exchange(&mut stream, &format!("{head}{{")).await;
    assert_eq!((status, &body["error"]["type"]), (408, &json!("RequestTimeoutException")));
    assert_eq!(read_to_end(&mut stream).await, b"");
}

#[tokio::test]
async fn head_over_the_limit_is_refused() {
    let server = Listening::start(|config| config.connections.head_timeout_s = 600).await;
    let head = |bytes| format!("GET /health HTTP/1.1\r\nHost: a\r\nX-Long: {}", "x".repeat(bytes));
    assert_eq!(exchange(&mut server.connect().await, &format!("{}\r\n\r\n", head(60_000))).await.0, 200);
    assert_eq!(exchange(&mut server.connect().await, &head(70_000)).await.0, 431);
}

#[tokio::test]
async fn connection_over_the_limit_is_refused_at_once_and_others_continue() {
    let server = Listening::start(|config| {
        config.connections.max = 4;
        config.connections.max_per_address = 0;
        (config.connections.head_timeout_s, config.connections.idle_timeout_s) = (600, 600);
    })
    .await;
    let mut working = server.connect().await;
    let silent = [server.connect().await, server.connect().await, server.connect().await];
    // This response shows that the server has accepted the connections before it.
    assert_eq!(exchange(&mut working, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await.0, 200);
    for _ in 0..10 {
        let mut refused = server.connect().await;
        let said = read_to_end(&mut refused).await;
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 503 "), "{}", String::from_utf8_lossy(&said));
        // Keeps the connection from being idle, so that the server does not close it to make room.
        assert_eq!(exchange(&mut working, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await.0, 200);
    }
    let commit = r#"{"requirements":[],"updates":[{"action":"set-properties","updates":{"a":"b"}}]}"#;
    let length = format!("Content-Length: {}\r\n", commit.len());
    let request = server.head("POST", "/v1/namespaces/ns/tables/t", &length) + commit;
    assert_eq!(exchange(&mut working, &request).await.0, 200);
    drop(silent);
    drop(working);
    let room_again = async {
        while exchange_or_none(&server).await != Some(200) {
            tokio::task::yield_now().await;
        }
    };
    timeout(AT_MOST, room_again).await.expect("there is room again");
}

/// Returns the status of a request on a new connection, or `None` if the server refuses the connection.
async fn exchange_or_none(server: &Listening) -> Option<u16> {
    let mut stream = server.connect().await;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.ok()?;
    let said = read_to_end(&mut stream).await;
    String::from_utf8_lossy(&said).split(' ').nth(1)?.parse().ok()
}

#[tokio::test]
async fn pipelined_requests_of_one_client_do_not_delay_another_client() {
    const CONNECTIONS: usize = 5;
    let server = Listening::start(|_| ()).await;
    let mut other = server.connect().await;
    exchange(&mut other, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut greedy = Vec::new();
    for _ in 0..CONNECTIONS {
        greedy.push(server.connect().await);
    }
    let many = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
    for stream in &mut greedy {
        stream.write_all(many.as_bytes()).await.unwrap();
    }
    exchange(&mut other, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut before = 0;
    for stream in &greedy {
        let mut read = vec![0; 1 << 20];
        let count = stream.try_read(&mut read).unwrap_or(0);
        before += String::from_utf8_lossy(&read[..count]).matches("HTTP/1.1 200").count();
    }
    assert!(before < CONNECTIONS * 10, "{before} answers before that of the other client");
}

#[tokio::test]
async fn one_address_cannot_use_all_connections() {
    let server = Listening::start(|config| {
        config.connections.max_per_address = 2;
        config.connections.head_timeout_s = 600;
    })
    .await;
    let from = async |address: &str| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
        socket.connect(server.address).await.unwrap()
    };
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(from("127.0.0.2").await);
    }
    let said = read_to_end(&mut from("127.0.0.2").await).await;
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 503 "));
    assert_eq!(exchange(&mut from("127.0.0.3").await, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await.0, 200);
}

#[tokio::test]
async fn malformed_request_is_refused_with_400() {
    let server = Listening::start(|_| ()).await;
    let key = &server.tenant.key;
    let signed_in = format!("Authorization: Bearer {key}\r\n");
    let body = "2\r\n{}\r\n0\r\n\r\n";
    for request in [
        format!("GET /v1/config HTTP/1.1\r\n{signed_in}\r\n"),
        format!("GET http://a/v1/config HTTP/1.1\r\n{signed_in}\r\n"),
        format!("GET /v1/config HTTP/1.1\r\nHost: a\r\nHost: b\r\n{signed_in}\r\n"),
        format!("GET /v1/namespaces/ns/tables/t HTTP/1.1\r\n{signed_in}\r\n"),
        format!("GET ftp://a/v1/config HTTP/1.1\r\nHost: a\r\n{signed_in}\r\n"),
        format!("POST /v1/namespaces HTTP/1.1\r\nHost: a\r\n{signed_in}Transfer-Encoding: gzip, chunked\r\n\r\n{body}"),
        format!("GET /v1/config HTTP/1.1\r\nHost: a\r\n{signed_in}{signed_in}\r\n"),
        format!("GET /v1/namespaces/ns/tables/t HTTP/1.1\r\nHost: a\r\n{signed_in}Authorization: Basic YTpi\r\n\r\n"),
        format!("POST /v1/namespaces/ns/tables/t/sign HTTP/1.1\r\nHost: a\r\n{signed_in}{signed_in}\r\n"),
    ] {
        let (status, said) = exchange(&mut server.connect().await, &request).await;
        assert_eq!((status, &said["error"]["type"]), (400, &json!("BadRequestException")), "{request}");
    }
    let form = format!("grant_type=client_credentials&client_secret={key}");
    let sign_in = format!(
        "POST /v1/oauth/tokens HTTP/1.1\r\nHost: a\r\n{signed_in}{signed_in}\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let (status, said) = exchange(&mut server.connect().await, &sign_in).await;
    assert_eq!((status, &said["error"]), (400, &json!("invalid_request")));
    for request in [
        format!("GET http://a/v1/config HTTP/1.1\r\nHost: a\r\n{signed_in}\r\n"),
        format!("GET /v1/config HTTP/1.0\r\n{signed_in}\r\n"),
    ] {
        assert_eq!(exchange(&mut server.connect().await, &request).await.0, 200, "{request}");
    }
}

#[tokio::test]
async fn stop_does_not_wait_for_connections_without_a_request() {
    let server = Listening::start(|config| {
        (config.connections.head_timeout_s, config.connections.idle_timeout_s) = (600, 600);
        config.api.shutdown_grace_s = 15;
    })
    .await;
    let mut silent = Vec::new();
    for sent in [&b""[..], b"PRI * HT", b"GET /v1/co", b"POST /v1/namespaces HTTP/1.1\r\nHost: a\r\n"] {
        let mut stream = server.connect().await;
        stream.write_all(sent).await.unwrap();
        silent.push(stream);
    }
    let mut idle = server.connect().await;
    assert_eq!(exchange(&mut idle, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await.0, 200);
    idle.write_all(b"GET /hea").await.unwrap();
    let stream = TokioIo::new(server.connect().await);
    let (mut sender, connection) = http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::get("http://a/health").body(Full::default()).unwrap();
    sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
    let (ended, took) = server.stop().await;
    ended.unwrap();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn draining_server_is_not_ready_and_serves_on_until_the_drain_is_over() {
    let server = Listening::start(|config| config.api.drain_s = 4).await;
    let mut old = server.connect().await;
    assert_eq!(exchange(&mut old, "GET /ready HTTP/1.1\r\nHost: a\r\n\r\n").await.0, 200);
    let (address, load) = (server.address, server.head("GET", "/v1/namespaces/ns", ""));
    let began = Instant::now();
    let stopped = tokio::spawn(server.stop());
    // The stop is known after the first answer 503.
    let not_ready = async {
        loop {
            let (status, body) = exchange(&mut old, "GET /ready HTTP/1.1\r\nHost: a\r\n\r\n").await;
            if status == 503 {
                return body;
            }
        }
    };
    assert_eq!(timeout(AT_MOST, not_ready).await.unwrap()["problems"], json!(["draining"]));
    let mut new = TcpStream::connect(address).await.expect("the listener is open");
    for stream in [&mut old, &mut new] {
        assert_eq!(exchange(stream, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await.0, 200);
        assert_eq!(exchange(stream, &load).await.0, 200);
    }
    let (ended, _) = stopped.await.unwrap();
    ended.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(4), "{:?}", began.elapsed());
    assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
}

#[tokio::test]
async fn stop_finishes_a_running_request_over_http_2() {
    let server = Listening::start(|config| config.api.shutdown_grace_s = 15).await;
    let stream = TokioIo::new(server.connect().await);
    let (mut sender, connection) = http2::handshake::<_, _, Body>(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let (body, rest) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let rest = futures_util::stream::unfold(rest, async |mut rest| rest.recv().await.map(|piece| (piece, rest)));
    let request = hyper::Request::post("http://a/v1/namespaces")
        .header("authorization", format!("Bearer {}", server.tenant.key))
        .body(Body::from_stream(rest))
        .unwrap();
    body.send(Ok(Bytes::from_static(b"{"))).await.unwrap();
    let response = tokio::spawn(sender.send_request(request));
    // A response on the same connection shows that the request before it has arrived.
    let health = hyper::Request::get("http://a/health").body(Body::empty()).unwrap();
    assert_eq!(sender.send_request(health).await.unwrap().status(), 200);
    let address = server.address;
    let stopped = tokio::spawn(server.stop());
    wait_for_the_stop(address).await;
    body.send(Ok(Bytes::from_static(b"\"namespace\":[\"late\"]}"))).await.unwrap();
    drop(body);
    let response = timeout(AT_MOST, response).await.unwrap().unwrap().unwrap();
    assert_eq!(response.status(), 200);
    response.into_body().collect().await.unwrap();
    let (ended, took) = stopped.await.unwrap();
    ended.unwrap();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn stop_finishes_a_running_request_and_aborts_after_the_grace_time() {
    let change = |grace_s| {
        move |config: &mut Config| {
            config.connections.body_timeout_s = 600;
            config.api.shutdown_grace_s = grace_s;
        }
    };
    let body = r#"{"namespace":["late"]}"#;
    let head = |server: &Listening| {
        let length = format!("Content-Length: {}\r\nExpect: 100-continue\r\n", body.len());
        server.head("POST", "/v1/namespaces", &length)
    };
    // The request runs once the server asks for its body.
    let asked = async |stream: &mut TcpStream, head: String| {
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut asked = [0; 25];
        timeout(AT_MOST, stream.read_exact(&mut asked)).await.unwrap().unwrap();
        assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    };

    let server = Listening::start(change(15)).await;
    let mut stream = server.connect().await;
    asked(&mut stream, head(&server)).await;
    let address = server.address;
    let stopped = tokio::spawn(server.stop());
    wait_for_the_stop(address).await;
    assert_eq!(exchange(&mut stream, body).await.0, 200);
    stopped.await.unwrap().0.unwrap();

    let server = Listening::start(change(1)).await;
    let mut stream = server.connect().await;
    asked(&mut stream, head(&server)).await;
    let (ended, took) = server.stop().await;
    let told = ended.unwrap_err().to_string();
    assert!(
        told.contains("after 1 s (api.shutdown_grace_s)") && told.contains("1 requests on 1 connections"),
        "{told}"
    );
    assert!(took < Duration::from_secs(5), "{took:?}");
}
