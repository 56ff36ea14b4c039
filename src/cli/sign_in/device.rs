//! The device authorization grant (RFC 8628): the person signs in on any device, with an address and a short code.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde::Deserialize;
use tidewater::auth::pkce::{METHOD, challenge, random_text};
use tokio::time::{Instant, sleep};

use super::http::{Http, Reply};
use super::provider::{Provider, Tokens};

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The longest wait for a person, whatever the provider allows.
const MOST_PATIENCE: Duration = Duration::from_secs(1_800);

/// The interval of requests if the provider names none (RFC 8628, 3.2), and what `slow_down` adds to it (3.5).
const INTERVAL_S: u64 = 5;

/// The longest interval of requests that a provider may ask for.
const MAX_INTERVAL_S: u64 = 60;

/// The provider's answer to the start of the grant.
#[derive(Deserialize)]
struct DeviceCode {
    device_code: String,
    user_code: String,
    #[serde(alias = "verification_url")]
    verification_uri: String,
    #[serde(alias = "verification_url_complete")]
    verification_uri_complete: Option<String>,
    #[serde(rename = "expires_in")]
    expires_in_s: u64,
    #[serde(rename = "interval", default = "default_interval_s")]
    interval_s: u64,
}

const fn default_interval_s() -> u64 {
    INTERVAL_S
}

/// What a person has to do.
pub(crate) struct Instructions {
    /// The address to open.
    pub(crate) address: String,
    /// The code to enter there.
    pub(crate) code: String,
    /// The address with the code in it, if the provider has one.
    pub(crate) complete_address: Option<String>,
}

/// Signs a person in with a code. `show` gets what the person has to do.
///
/// # Errors
/// Fails if the provider has no device flow, refuses it, or the person does not finish in time.
pub(crate) async fn by_device_code(
    http: &Http,
    provider: &Provider,
    show: impl FnOnce(&Instructions) -> Result<()>,
) -> Result<Tokens> {
    let issuer = &provider.endpoints.issuer;
    let Some(endpoint) = &provider.endpoints.device_authorization_endpoint else {
        bail!("{issuer} has no sign-in with a code: use --browser");
    };
    // Some providers (Keycloak) require the proof in this grant too if they require it of the client. Others ignore it.
    let verifier = random_text().map_err(|error| anyhow!("the system gives no random numbers: {error}"))?;
    let form = [
        ("scope", provider.scope()),
        ("code_challenge", challenge(&verifier)),
        ("code_challenge_method", METHOD.to_owned()),
    ];
    let reply = provider.post(http, endpoint, &form.each_ref().map(|(name, value)| (*name, value.as_str()))).await?;
    ensure!(reply.status.is_success(), "{issuer} refused the sign-in with a code: {}", reply.error());
    let started: DeviceCode =
        serde_json::from_value(reply.body).with_context(|| format!("{issuer} answered without a code"))?;
    show(&Instructions {
        address: started.verification_uri.clone(),
        code: started.user_code.clone(),
        complete_address: started.verification_uri_complete.clone(),
    })?;
    let form = [
        ("grant_type", DEVICE_CODE),
        ("device_code", started.device_code.as_str()),
        ("code_verifier", verifier.as_str()),
    ];
    let ask = async || provider.post(http, &provider.endpoints.token_endpoint, &form).await;
    let reply = poll(&started, ask).await?;
    Tokens::parse(reply, issuer)
}

/// Asks until the person has signed in. Returns the successful answer.
async fn poll(started: &DeviceCode, mut ask: impl AsyncFnMut() -> Result<Reply>) -> Result<Reply> {
    let deadline = Instant::now() + Duration::from_secs(started.expires_in_s).min(MOST_PATIENCE);
    let mut interval_s = started.interval_s.clamp(1, MAX_INTERVAL_S);
    loop {
        sleep(Duration::from_secs(interval_s)).await;
        ensure!(Instant::now() < deadline, "the code has expired: run `tidewater login` again");
        let Ok(reply) = ask().await else {
            // The provider did not answer: ask less often (RFC 8628, 3.5).
            interval_s = (2 * interval_s).min(MAX_INTERVAL_S);
            continue;
        };
        if reply.status.is_success() {
            return Ok(reply);
        }
        match reply.body["error"].as_str() {
            Some("authorization_pending") => {}
            Some("slow_down") => interval_s = (interval_s + INTERVAL_S).min(MAX_INTERVAL_S),
            Some("access_denied") => bail!("the sign-in was refused at the identity provider"),
            Some("expired_token") => bail!("the code has expired: run `tidewater login` again"),
            // A provider that restarts, or a proxy before it.
            None if reply.status.is_server_error() => {}
            _ => bail!("the identity provider ended the sign-in: {}", reply.error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::{Value, json};

    use super::*;

    fn started(interval: Option<u64>) -> DeviceCode {
        let interval = interval.map_or(json!({}), |interval_s| json!({ "interval": interval_s }));
        let mut answer = json!({
            "device_code": "d", "user_code": "u", "verification_uri": "https://id/device", "expires_in": 60,
        });
        answer.as_object_mut().unwrap().extend(interval.as_object().unwrap().clone());
        serde_json::from_value(answer).unwrap()
    }

    /// Polls with these answers in order; the last repeats. Returns the outcome and the seconds of each request.
    async fn polled(interval_s: Option<u64>, answers: &[Option<(u16, Value)>]) -> (Result<Reply>, Vec<u64>) {
        let (begin, mut asked) = (Instant::now(), Vec::new());
        let ask = async || {
            let answer = answers[asked.len().min(answers.len() - 1)].clone();
            asked.push(begin.elapsed().as_secs());
            let (status, body) = answer.context("no answer")?;
            Ok(Reply { status: StatusCode::from_u16(status).unwrap(), body })
        };
        let outcome = poll(&started(interval_s), ask).await;
        (outcome, asked)
    }

    fn error(code: &str) -> Option<(u16, Value)> {
        Some((400, json!({ "error": code })))
    }

    #[tokio::test(start_paused = true)]
    async fn requests_keep_the_interval_of_the_provider() {
        let answers = [error("authorization_pending"), error("authorization_pending"), Some((200, json!({})))];
        assert_eq!(polled(Some(2), &answers).await.1, [2, 4, 6]);
        assert_eq!(polled(None, &answers).await.1, [5, 10, 15]);
        assert_eq!(polled(Some(0), &answers).await.1, [1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_down_adds_five_seconds_to_all_later_intervals() {
        let answers = [error("slow_down"), error("authorization_pending"), Some((200, json!({})))];
        let (outcome, asked) = polled(Some(2), &answers).await;
        assert_eq!((outcome.unwrap().status, asked), (StatusCode::OK, vec![2, 9, 16]));
    }

    #[tokio::test(start_paused = true)]
    async fn provider_without_an_answer_is_asked_less_often() {
        let answers = [None, None, Some((502, Value::Null)), Some((200, json!({})))];
        assert_eq!(polled(Some(2), &answers).await.1, [2, 6, 14, 22]);
    }

    #[tokio::test(start_paused = true)]
    async fn polling_ends_when_the_code_has_expired() {
        let (outcome, asked) = polled(Some(20), &[error("authorization_pending")]).await;
        assert!(outcome.err().unwrap().to_string().contains("has expired"));
        assert_eq!(asked, [20, 40]);
    }

    #[tokio::test(start_paused = true)]
    async fn refusal_ends_polling_at_once() {
        for (code, says) in
            [("access_denied", "refused"), ("expired_token", "expired"), ("invalid_client", "invalid_client")]
        {
            let (outcome, asked) = polled(Some(5), &[error(code)]).await;
            assert!(outcome.err().unwrap().to_string().contains(says), "{code}");
            assert_eq!(asked, [5]);
        }
    }
}
