//! Trusted engines: Trino, Spark Connect and others that send requests for their users. They exchange a user's token for one that
//! has the user as its subject and the engine in `act` (RFC 8693).

use std::sync::Arc;

use super::caller::Caller;
use super::oauth_error::{OAuthError, OAuthErrorKind};

/// Returns the subject of an exchanged token, with the engine that acts for it. `others` are the callers that presented themselves
/// beside the subject: the client and the actor. Those with the subject's principal renew their own token.
///
/// # Errors
/// `InvalidGrant` if the engine may not act for users, is one of several, has a token through another engine, or is not the one of
/// the subject's token.
pub(super) fn through(subject: Arc<Caller>, others: [Option<&Arc<Caller>>; 2]) -> Result<Arc<Caller>, OAuthError> {
    let is_other = |other: &&Arc<Caller>| other.principal() != subject.principal();
    let mut engines = others.into_iter().flatten().filter(is_other);
    let Some(engine) = engines.next() else { return Ok(subject) };
    if engines.any(|other| other.principal() != engine.principal()) {
        return Err(refused(
            "the client and the actor_token belong to different principals: send one of them".to_owned(),
        ));
    }
    if engine.engine().is_some() {
        return Err(refused(
            "the engine's own token is for a user of another engine: send the engine's own key".to_owned(),
        ));
    }
    if !engine.acts_for_users() {
        return Err(refused(format!(
            "key '{}' may not act for users: an administrator can allow it with `tidewater key update --acts-for-users`",
            engine.key_name()
        )));
    }
    match subject.engine() {
        None => Ok(Arc::new(Caller { engine: Some(Arc::clone(engine)), ..(*subject).clone() })),
        Some(same) if same.principal() == engine.principal() => Ok(subject),
        Some(_) => Err(refused("the token is already for another engine: exchange the user's own token".to_owned())),
    }
}

fn refused(description: String) -> OAuthError {
    OAuthError::new(OAuthErrorKind::InvalidGrant, description)
}
