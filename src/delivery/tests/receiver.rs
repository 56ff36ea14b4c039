//! A small HTTP server that answers as a test wants.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How a request is answered.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// With a status and no body.
    Status(u16),
    /// With a redirect.
    Redirect(String),
    /// The connection ends without an answer.
    Reset,
    /// Never, while the connection stays.
    Silence,
    /// With the start of a 200, and the end of the connection.
    Part,
    /// With a status and a body without an end.
    Endless(u16),
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) path: String,
    headers: BTreeMap<String, String>,
    pub(super) body: String,
    is_accepted: bool,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> &str {
        &self.headers[name]
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

type Answers = dyn Fn(usize, &Request) -> Answer + Send + Sync;

/// A receiver of events.
pub(super) struct Receiver {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Receiver {
    /// Starts a receiver. `answers` gets the number of each request, from 0.
    pub(super) async fn start(answers: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (requests, answers): (Arc<Mutex<Vec<Request>>>, Arc<Answers>) = (Arc::default(), Arc::new(answers));
        let known = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (known, answers) = (Arc::clone(&known), Arc::clone(&answers));
                tokio::spawn(async move {
                    // A client that goes away is no failure of the test.
                    let _ = serve(connection, &known, &*answers).await;
                });
            }
        });
        Self { port, requests }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().clone()
    }

    /// Returns the times of the events that were accepted, in milliseconds since 1970.
    pub(super) fn accepted(&self) -> Vec<i64> {
        let requests = self.requests.lock();
        let accepted = requests.iter().filter(|request| request.is_accepted);
        accepted
            .map(|request| request.json()["time"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap())
            .map(|time| time.timestamp_millis())
            .collect()
    }
}

async fn serve(connection: TcpStream, known: &Mutex<Vec<Request>>, answers: &Answers) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    loop {
        let Some(mut request) = read(&mut connection).await? else { return Ok(()) };
        let answer = {
            let mut known = known.lock();
            let answer = answers(known.len(), &request);
            request.is_accepted = matches!(answer, Answer::Status(200..300) | Answer::Endless(200));
            known.push(request);
            answer
        };
        let head = |status: u16, rest: &str| format!("HTTP/1.1 {status} x\r\n{rest}\r\n");
        match answer {
            Answer::Status(204) => connection.write_all(head(204, "").as_bytes()).await?,
            Answer::Status(status) => connection.write_all(head(status, "content-length: 0\r\n").as_bytes()).await?,
            Answer::Redirect(to) => {
                let rest = format!("location: {to}\r\ncontent-length: 0\r\n");
                connection.write_all(head(307, &rest).as_bytes()).await?;
            }
            Answer::Reset => return Ok(()),
            Answer::Silence => std::future::pending().await,
            Answer::Part => {
                return connection.write_all(head(200, "content-length: 99\r\n").as_bytes()).await;
            }
            Answer::Endless(status) => {
                connection.write_all(head(status, "").as_bytes()).await?;
                loop {
                    connection.write_all(&[b'a'; 8 << 10]).await?;
                }
            }
        }
    }
}

async fn read(connection: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if connection.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        connection.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await?;
    Ok(Some(Request { path, headers, body: String::from_utf8(body).unwrap(), is_accepted: false }))
}
