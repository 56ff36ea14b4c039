//! The authorization code grant with PKCE (RFC 7636) for a browser on this machine. The provider's answer comes to a port of
//! the loopback address (RFC 8252, 7.3).

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use tidewater::auth::pkce::{METHOD, challenge, random_text};
use tidewater::base::secret::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use url::Url;

use super::http::Http;
use super::provider::{Provider, Tokens};

/// How long to wait for the person.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long a connection to the port may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The maximum size of a request's head, in bytes.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// The path of the redirect URI.
const PATH: &str = "/callback";

const DONE: &str = "You are signed in. Return to the terminal; you can close this page.";
const FAILED: &str = "The sign-in failed. The terminal shows the reason; you can close this page.";

/// What the provider sends back through the browser.
#[derive(Debug, PartialEq, Eq)]
struct Callback {
    /// The code, or the provider's error.
    code: Result<Secret<String>, String>,
}

/// The values that an answer must repeat.
struct Expected {
    state: String,
    issuer: String,
}

/// Signs a person in with a browser. `show` gets the address, in case that no browser opens. `port` 0 is any free port.
///
/// # Errors
/// Fails if the provider has no browser sign-in, refuses it, or the person does not finish in time.
pub(crate) async fn by_browser(
    http: &Http,
    provider: &Provider,
    port: u16,
    show: impl FnOnce(&str) -> Result<()>,
) -> Result<Tokens> {
    let issuer = &provider.endpoints.issuer;
    let Some(endpoint) = &provider.endpoints.authorization_endpoint else {
        bail!("{issuer} has no sign-in with a browser: leave --browser out");
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener = listener.with_context(|| format!("cannot listen on port {port} for the browser's answer"))?;
    let redirect_uri = format!("http://127.0.0.1:{}{PATH}", listener.local_addr()?.port());
    let random = || random_text().map_err(|error| anyhow!("the system gives no random numbers: {error}"));
    let (verifier, expected) = (random()?, Expected { state: random()?, issuer: issuer.clone() });
    let mut address = Url::parse(endpoint).with_context(|| format!("'{endpoint}' is not a valid address"))?;
    address.query_pairs_mut().extend_pairs([
        ("response_type", "code"),
        ("client_id", &provider.client_id),
        ("redirect_uri", &redirect_uri),
        ("scope", &provider.scope()),
        ("state", &expected.state),
        ("code_challenge", &challenge(&verifier)),
        ("code_challenge_method", METHOD),
    ]);
    show(address.as_str())?;
    open(address.as_str());
    let callback = timeout(PATIENCE, wait(listener, expected)).await;
    let callback = callback.map_err(|_| anyhow!("nobody signed in within {} min", PATIENCE.as_secs() / 60))??;
    let code = callback.code.map_err(|error| anyhow!("{issuer} refused the sign-in: {error}"))?;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.expose().as_str()),
        ("redirect_uri", &redirect_uri),
        ("code_verifier", &verifier),
    ];
    let reply = provider.post(http, &provider.endpoints.token_endpoint, &form).await?;
    ensure!(reply.status.is_success(), "{issuer} refused the browser's code: {}", reply.error());
    Tokens::parse(reply, issuer)
}

/// Opens the address in the person's browser. The person can open it by hand if this fails.
fn open(address: &str) {
    let usual = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let browser = std::env::var("BROWSER").ok().filter(|named| !named.is_empty());
    let mut command = Command::new(browser.as_deref().unwrap_or(usual));
    // The process is not awaited: some browsers run until they are closed.
    let _ = command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
}

/// Waits for the browser's request with the expected state. Each connection has a task: browsers open some that they do not
/// use.
async fn wait(listener: TcpListener, expected: Expected) -> Result<Callback> {
    let expected = Arc::new(expected);
    let (sender, mut receiver) = mpsc::channel(1);
    loop {
        tokio::select! {
            Some(callback) = receiver.recv() => return Ok(callback),
            accepted = listener.accept() => {
                let (stream, _) = accepted.context("cannot accept the browser's connection")?;
                let (expected, sender) = (Arc::clone(&expected), sender.clone());
                tokio::spawn(async move {
                    if let Ok(Some(callback)) = timeout(REQUEST_TIMEOUT, serve(stream, &expected)).await {
                        // Another connection may have been first.
                        let _ = sender.try_send(callback);
                    }
                });
            }
        }
    }
}

/// Answers one request. Returns what it tells, if it is the expected one.
async fn serve(mut stream: TcpStream, expected: &Expected) -> Option<Callback> {
    let head = read_head(&mut stream).await?;
    let callback = parse(&head, expected);
    let (status, text) = match &callback {
        Some(Callback { code: Ok(_) }) => ("200 OK", DONE),
        Some(Callback { code: Err(_) }) => ("400 Bad Request", FAILED),
        None => ("404 Not Found", "This is not the expected request."),
    };
    let page = format!("<!doctype html><meta charset=utf-8><title>Tidewater</title><p>{text}</p>");
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Content-Security-Policy: default-src 'none'\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n{page}",
        page.len()
    );
    // The code counts even if the browser does not wait for the page.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
    callback
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut part = [0; 4096];
        let count = stream.read(&mut part).await.ok()?;
        if count == 0 || head.len() + count > MAX_HEAD_BYTES {
            return None;
        }
        head.extend_from_slice(&part[..count]);
    }
    String::from_utf8(head).ok()
}

/// Parses a request's head. Returns `None` for another path, a wrong state, or another issuer (RFC 9207).
fn parse(head: &str, expected: &Expected) -> Option<Callback> {
    let target = head.strip_prefix("GET ")?.split(' ').next()?;
    let query = target.strip_prefix(PATH)?.strip_prefix('?')?;
    let parameter = |wanted: &str| {
        form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    let is_issuer = parameter("iss").is_none_or(|issuer| issuer == expected.issuer);
    if parameter("state")? != expected.state || !is_issuer {
        return None;
    }
    let code = match (parameter("error"), parameter("code")) {
        (Some(error), _) => Err(match parameter("error_description") {
            Some(description) => format!("{error}: {description}"),
            None => error,
        }),
        (None, code) => Ok(Secret::new(code?)),
    };
    Some(Callback { code })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Expected {
        Expected { state: "s-1".into(), issuer: "https://id.example.com".into() }
    }

    fn parsed(target: &str) -> Option<Result<String, String>> {
        let head = format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        parse(&head, &expected()).map(|callback| callback.code.map(|code| code.expose().clone()))
    }

    #[test]
    fn callback_has_the_code_or_the_error_of_the_provider() {
        assert_eq!(parsed("/callback?code=a%2Bb&state=s-1"), Some(Ok("a+b".into())));
        assert_eq!(parsed("/callback?code=c&state=s-1&iss=https%3A%2F%2Fid.example.com"), Some(Ok("c".into())));
        assert_eq!(
            parsed("/callback?error=access_denied&error_description=not+now&state=s-1"),
            Some(Err("access_denied: not now".into()))
        );
    }

    #[test]
    fn request_with_another_state_issuer_or_path_is_ignored() {
        for target in [
            "/callback?code=c",
            "/callback?code=c&state=other",
            "/callback?code=c&state=s-1&iss=https%3A%2F%2Fevil.example.com",
            "/callback?state=s-1",
            "/callback",
            "/favicon.ico",
            "/other?code=c&state=s-1",
        ] {
            assert_eq!(parsed(target), None, "{target}");
        }
        assert_eq!(parse("POST /callback?code=c&state=s-1 HTTP/1.1\r\n\r\n", &expected()), None);
    }

    #[tokio::test]
    async fn unused_and_wrong_connections_do_not_stop_the_sign_in() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let waiting = tokio::spawn(wait(listener, expected()));
        let _unused = TcpStream::connect(address).await.unwrap();
        let send = async |target: &str| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(format!("GET {target} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        assert!(send("/callback?code=x&state=guessed").await.starts_with("HTTP/1.1 404 "));
        assert!(send("/callback?code=c&state=s-1").await.starts_with("HTTP/1.1 200 "));
        let callback = waiting.await.unwrap().unwrap();
        assert_eq!(callback.code.unwrap().expose(), "c");
    }
}
