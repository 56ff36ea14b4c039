//! The token of a saved session, renewed if it ends soon.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use tidewater::base::clock::Clock;
use tidewater::base::secret::Secret;

use super::http::Http;
use super::saved::SavedSessions;
use super::session::Session;

/// Returns the token of the saved session at this catalog. `None` if there is no session.
///
/// # Errors
/// Fails if the session has ended, or it cannot be renewed or saved.
pub(crate) async fn bearer_for(uri: &str, ca_file: Option<&Path>) -> Result<Option<Secret<String>>> {
    if !SavedSessions::exist() {
        return Ok(None);
    }
    // Locked until the renewed session is saved: a refresh token may work only once.
    let mut saved = SavedSessions::open()?;
    let Some(session) = saved.session(uri) else { return Ok(None) };
    if session.is_valid(Clock::System.now_ms()) {
        return Ok(Some(session.token.clone()));
    }
    let (mut session, http) = (session.clone(), Http::new(ca_file)?);
    let tokens = match &session.refresh_token {
        Some(refresh_token) => {
            session.provider.refresh(&http, refresh_token).await.context("the sign-in cannot be renewed")?
        }
        None => None,
    };
    let Some(tokens) = tokens else {
        bail!("your sign-in at {uri} has ended: run `tidewater login --uri {uri}`");
    };
    // Saved before the exchange: if the catalog does not answer, the next command must not send the old one again.
    session.refresh_token.clone_from(&tokens.refresh_token);
    saved.save(uri, session.clone())?;
    let renewed =
        Session::begin(&http, uri, session.provider, tokens).await.context("the sign-in cannot be renewed")?;
    let token = renewed.token.clone();
    saved.save(uri, renewed)?;
    Ok(Some(token))
}
