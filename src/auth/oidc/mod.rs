//! Tokens of identity providers (OpenID Connect), and of Kubernetes' service accounts.
//!
//! A token is parsed (`jws.rs`), its provider is found by its `iss`, its signature is checked with one of that provider's keys
//! (`key_set.rs`, `provider_keys.rs`), and then its claims (`claims.rs`, `groups.rs`). Everything but the keys' cache is pure.

mod claims;
mod code_grant;
mod error;
mod fetch;
mod groups;
mod json;
mod jws;
mod key_set;
mod provider_keys;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::claims::{Rules, TokenUser, Validity};
use self::jws::Unverified;
use self::provider_keys::ProviderKeys;
use super::error::AuthError;
use crate::background::{Task, TaskError};
use crate::base::clock::Clock;
use crate::config::IssuerConfig;

pub use self::code_grant::{CodeError, CodeGrant, CodeRequest};
pub use self::error::ProviderTokenError;

/// How often the keys of all providers are read.
const KEYS_INTERVAL: Duration = Duration::from_secs(300);

/// Reads the keys of a provider once, to check its settings.
///
/// # Errors
/// Why they cannot be read, for people.
pub async fn check_provider(config: &IssuerConfig) -> Result<(), String> {
    fetch::read_key_set(config).await.map(drop)
}

/// The configured providers.
pub(super) struct Providers(Vec<Provider>);

struct Provider {
    rules: Rules,
    keys: Arc<ProviderKeys>,
}

/// The keys of all providers, which stay when the settings change.
pub(super) struct SharedKeys {
    clock: Clock,
    in_use: Mutex<Vec<Arc<ProviderKeys>>>,
    changed: Arc<Notify>,
}

/// A verified token.
pub(super) struct VerifiedToken<'a> {
    /// The settings of its provider.
    pub(super) provider: &'a IssuerConfig,
    /// Its user.
    pub(super) user: TokenUser,
    /// What is checked at each request.
    pub(super) seen: SeenProviderToken,
}

/// A verified token that was seen before.
#[derive(Debug, Clone, Copy)]
pub(super) struct SeenProviderToken {
    /// The index of its provider.
    provider: usize,
    /// The keys that it was verified with.
    generation: u64,
    validity: Validity,
    /// When it was issued, in milliseconds since 1970.
    pub(super) issued_ms: i64,
}

impl SeenProviderToken {
    /// Checks that now is within its validity.
    ///
    /// # Errors
    /// `NotYet`, `Expired`.
    pub(super) fn check_time(&self, now_ms: i64) -> Result<(), ProviderTokenError> {
        self.validity.check(now_ms)
    }
}

impl SharedKeys {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, in_use: Mutex::default(), changed: Arc::default() }
    }

    /// Replaces the providers. Keys of providers whose source is the same stay.
    fn replace(&self, configs: &[IssuerConfig]) -> Vec<Arc<ProviderKeys>> {
        let mut in_use = self.in_use.lock();
        let keys = configs.iter().map(|config| {
            let known = in_use.iter().find(|keys| keys.is_for(config));
            known.map_or_else(|| Arc::new(ProviderKeys::new(config.clone(), self.clock.clone())), Arc::clone)
        });
        let keys: Vec<_> = keys.collect();
        in_use.clone_from(&keys);
        self.changed.notify_one();
        keys
    }

    /// Reads the keys of all providers. Returns how many there are.
    async fn read_all(&self) -> Result<u64, TaskError> {
        let in_use = self.in_use.lock().clone();
        let read = join_all(in_use.iter().map(|keys| async move {
            keys.refresh().await.map_err(|why| format!("the provider '{}': {why}", keys.name()))
        }));
        let failed: Vec<String> = read.await.into_iter().filter_map(Result::err).collect();
        if failed.is_empty() { Ok(in_use.len() as u64) } else { Err(failed.join("; ").into()) }
    }

    /// Returns the task that reads the keys of all providers every five minutes, and when the settings change.
    pub(super) fn task(self: &Arc<Self>) -> Task {
        let read = |keys: Arc<Self>, stop: CancellationToken| async move {
            stop.run_until_cancelled(keys.read_all()).await.unwrap_or(Ok(0))
        };
        Task::every("provider-keys", KEYS_INTERVAL, self, read).wake_on(Arc::clone(&self.changed)).while_failing(
            "Tokens that are signed with new keys of an identity provider are refused: compare `auth.issuers` with the \
                 provider, and check that this server reaches it",
        )
    }
}

impl Providers {
    /// Creates the providers of the configuration.
    pub(super) fn new(configs: &[IssuerConfig], shared: &SharedKeys) -> Self {
        let keys = shared.replace(configs);
        let rules = configs.iter().cloned().map(Rules::new);
        Self(rules.zip(keys).map(|(rules, keys)| Provider { rules, keys }).collect())
    }

    /// Returns whether a token is to be checked as a provider's: there are providers, and it is not of the issuer `own`.
    pub(super) fn are_for(&self, token: &[u8], own: &str) -> bool {
        !self.0.is_empty() && jws::issuer_of(token).is_none_or(|issuer| issuer != own)
    }

    /// Returns whether a token was verified with the present keys of its provider.
    pub(super) fn is_current(&self, seen: &SeenProviderToken) -> bool {
        self.0.get(seen.provider).is_some_and(|provider| provider.keys.generation() == seen.generation)
    }

    /// Checks all of a token, at `now_ms`. Reads the provider's keys again if the token names an unknown one.
    ///
    /// # Errors
    /// `Provider`; `ProviderUnavailable` if the keys cannot be read.
    pub(super) async fn verify(&self, token: &[u8], now_ms: i64) -> Result<VerifiedToken<'_>, AuthError> {
        let token = Unverified::parse(token)?;
        let (index, provider) = self.find(&token)?;
        let (rules, name) = (&provider.rules, provider.rules.name());
        let refused = || ProviderTokenError::Algorithm { algorithm: token.algorithm.clone(), provider: name.clone() };
        let algorithm = token.signing_algorithm().filter(|algorithm| rules.accepts(*algorithm)).ok_or_else(refused)?;
        let mut generation = provider.keys.generation();
        let mut verified = match provider.keys.present() {
            Some(keys) => keys.verify(&token, algorithm, &name),
            None => Err(ProviderTokenError::UnknownKey(name.clone())),
        };
        if matches!(verified, Err(ProviderTokenError::UnknownKey(_))) {
            let reread = Box::pin(provider.keys.reread()).await;
            generation = provider.keys.generation();
            verified = match (provider.keys.present(), reread.err().or_else(|| provider.keys.failure())) {
                (Some(keys), None) => keys.verify(&token, algorithm, &name),
                (Some(keys), Some(why)) => match keys.verify(&token, algorithm, &name) {
                    Err(ProviderTokenError::UnknownKey(_)) => return Err(AuthError::ProviderUnavailable(name, why)),
                    verified => verified,
                },
                (None, why) => {
                    let why = why.unwrap_or_else(|| "its keys are being read".into());
                    return Err(AuthError::ProviderUnavailable(name, why));
                }
            };
        }
        verified?;
        let user = rules.check(&token.claims)?;
        user.validity.check(now_ms)?;
        let seen =
            SeenProviderToken { provider: index, generation, validity: user.validity, issued_ms: user.issued_ms };
        Ok(VerifiedToken { provider: rules.config(), user, seen })
    }

    /// Finds the provider of a token by its issuer. Several can have the same issuer, with different audiences.
    fn find(&self, token: &Unverified<'_>) -> Result<(usize, &Provider), ProviderTokenError> {
        let issuer = token.issuer().ok_or(ProviderTokenError::Claim("iss"))?;
        let mut of_issuer =
            self.0.iter().enumerate().filter(|(_, provider)| provider.rules.is_issuer(issuer)).peekable();
        let Some((_, first)) = of_issuer.peek() else {
            return Err(ProviderTokenError::UnknownIssuer(jws::shown(issuer)));
        };
        let refused = ProviderTokenError::Audience(first.rules.name());
        of_issuer.find(|(_, provider)| provider.rules.is_audience(&token.claims)).ok_or(refused)
    }
}
