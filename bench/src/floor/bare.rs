//! A server that sends the same bytes for every request: the limit for any catalog on this machine.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use tokio::net::TcpListener;

/// The text before a bare server's address on standard output.
pub const LISTENING: &str = "listening on ";

/// The response of a bare server.
#[derive(Clone, Debug)]
pub struct BareAnswer {
    status: StatusCode,
    body: Bytes,
}

impl BareAnswer {
    /// Creates a response with a body of this size.
    #[must_use]
    pub fn new(status: StatusCode, bytes: usize) -> Self {
        Self { status, body: Bytes::from(filler(bytes)) }
    }
}

/// Returns a JSON string of exactly this many bytes, if they suffice for its quotes.
fn filler(bytes: usize) -> Vec<u8> {
    let mut body = vec![b'x'; bytes];
    if let [first, .., last] = body.as_mut_slice() {
        (*first, *last) = (b'"', b'"');
    }
    body
}

async fn answer(State(answer): State<BareAnswer>) -> Response {
    let json = HeaderValue::from_static("application/json");
    (answer.status, [(header::CONTENT_TYPE, json)], answer.body).into_response()
}

/// Serves until the task is dropped.
///
/// # Errors
/// Fails if the listener fails.
pub async fn serve(listener: TcpListener, what: BareAnswer) -> Result<()> {
    let listener = listener.tap_io(|stream| {
        // Without this option the server is only slower.
        drop(stream.set_nodelay(true));
    });
    axum::serve(listener, Router::new().fallback(answer).with_state(what)).await?;
    Ok(())
}

/// A bare server in its own process, which ends when this is dropped.
#[derive(Debug)]
pub struct BareProcess {
    child: Child,
    /// The address that it listens on.
    pub addr: SocketAddr,
}

impl BareProcess {
    /// Starts this program as a bare server and waits until it listens.
    ///
    /// # Errors
    /// Fails if it cannot be started.
    pub fn start(status: u16, bytes: u64) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(program);
        command
            .args(["bare-server", "--listen", "127.0.0.1:0", "--end-with-input"])
            .args(["--bytes", &bytes.to_string(), "--status", &status.to_string()])
            // The server ends when this pipe closes, however this process ends.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        // This process handles Ctrl-C. It must not end the server during a measurement.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().context("cannot start the bare server")?;
        let mut line = String::new();
        let output = child.stdout.take().context("the bare server has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let addr = line.trim().strip_prefix(LISTENING).and_then(|addr| addr.parse().ok());
        match addr {
            Some(addr) => Ok(Self { child, addr }),
            None => {
                drop(child.kill());
                drop(child.wait());
                anyhow::bail!("the bare server did not start: {line:?}")
            }
        }
    }
}

impl Drop for BareProcess {
    fn drop(&mut self) {
        // The process may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Returns when standard input ends.
pub fn wait_for_end_of_input() {
    let mut buffer = [0; 64];
    while std::io::stdin().read(&mut buffer).is_ok_and(|read| read > 0) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filler_is_json_of_the_requested_size() {
        assert!(filler(0).is_empty());
        assert_eq!(filler(1).len(), 1);
        let body = filler(2400);
        assert_eq!(body.len(), 2400);
        assert!(serde_json::from_slice::<String>(&body).is_ok());
    }
}
