//! The restrictions of a token: its role, the principal roles that it is narrowed to, and the engine that acts for its subject.
//!
//! A token never has more rights than its key has now. The roles that it is narrowed to are those that the principal still has.

use std::sync::Arc;

use tidewater_core::access::Role;

use super::caller::Caller;
use super::error::AuthError;
use super::grants::Selected;
use super::standing::{Source, Standing};
use super::token::{Claims, TokenError};

/// Returns the caller of a token, with the token's role and principal roles.
///
/// # Errors
/// `UnknownKey` if the key belongs to another organisation than the token.
pub(super) fn restrict(source: &Source, claims: &Claims, caller: Arc<Caller>) -> Result<Arc<Caller>, AuthError> {
    if caller.organisation() != claims.organisation {
        return Err(TokenError::UnknownKey.into());
    }
    Ok(narrow(source, caller, claims.role, &claims.selected))
}

/// Returns the caller with at most this role. If principal roles are selected, it has their grants alone: neither the built-in role
/// nor the rights of an owner.
fn narrow(source: &Source, caller: Arc<Caller>, role: Role, selected: &Selected) -> Arc<Caller> {
    let Some(selected) = selected else {
        return if caller.role() <= role { caller } else { Arc::new(Caller { role, ..(*caller).clone() }) };
    };
    let store = source.store.as_ref();
    let grants = source.grants.find(store, caller.organisation(), caller.principal(), Some(Arc::clone(selected)));
    Arc::new(Caller { role: Role::None, grants, ..(*caller).clone() })
}

/// Returns the caller of a token through its engine. `engine` is the check of the engine's key.
///
/// # Errors
/// `Engine` if the engine's key is unknown, revoked, expired, or not allowed to act for users.
pub(super) async fn with_engine(
    source: &Arc<Source>,
    claims: &Claims,
    caller: Arc<Caller>,
    engine: &Arc<Standing>,
    now_ms: i64,
) -> Result<Arc<Caller>, AuthError> {
    let Some(of_engine) = &claims.engine else { return Ok(caller) };
    let found = match engine.caller(source, now_ms).await {
        Ok(found) => found.into_caller()?,
        Err(error @ AuthError::Unavailable(_)) => return Err(error),
        Err(_) => return Err(TokenError::Engine.into()),
    };
    if found.organisation() != caller.organisation() || !found.acts_for_users() {
        return Err(TokenError::Engine.into());
    }
    let engine = Some(narrow(source, found, of_engine.role, &of_engine.selected));
    Ok(Arc::new(Caller { engine, ..(*caller).clone() }))
}

/// Returns the caller with its present grants, and those of its engine.
///
/// # Errors
/// `Unavailable` if the store does not answer.
pub(super) async fn with_grants(source: &Source, caller: Arc<Caller>) -> Result<Arc<Caller>, AuthError> {
    let engine = match caller.engine() {
        Some(engine) => Some(with_own_grants(source, Arc::clone(engine)).await?),
        None => return with_own_grants(source, caller).await,
    };
    with_own_grants(source, Arc::new(Caller { engine, ..(*caller).clone() })).await
}

async fn with_own_grants(source: &Source, caller: Arc<Caller>) -> Result<Arc<Caller>, AuthError> {
    // An admin needs no grants.
    if caller.role() == Role::Admin {
        return Ok(caller);
    }
    let loaded = source.grants.load(source.store.as_ref(), &caller.grants).await;
    let (compiled, compiled_at) = loaded.map_err(AuthError::Unavailable)?;
    // Most callers with a built-in role have no grants, and need no copy.
    if compiled.is_empty() {
        return Ok(caller);
    }
    Ok(Arc::new(Caller { compiled, compiled_at, ..(*caller).clone() }))
}
