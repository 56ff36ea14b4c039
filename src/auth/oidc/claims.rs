//! The rules for the claims of a provider's token.

use std::sync::Arc;

use serde_json::{Map, Value};
use tidewater_core::access::Role;

use super::error::ProviderTokenError;
use super::groups::{groups_of, map_groups};
use crate::config::{IssuerConfig, SigningAlgorithm};

/// The longest id of a user, in bytes.
const MAX_SUBJECT_BYTES: usize = 255;

/// The longest name and email address of a user, in characters.
const MAX_NAME_CHARS: usize = 200;

/// The times of the claims that are accepted, in seconds since 1970: the years 1970 to 9999.
const TIMES_S: std::ops::Range<f64> = 0.0..253_402_300_800.0;

/// When a token is valid, in milliseconds since 1970. Includes the tolerance for the provider's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::auth) struct Validity {
    begins_ms: i64,
    ends_ms: i64,
}

impl Validity {
    /// Checks that now is within it.
    ///
    /// # Errors
    /// `NotYet`, `Expired`.
    pub(in crate::auth) const fn check(self, now_ms: i64) -> Result<(), ProviderTokenError> {
        if now_ms < self.begins_ms {
            return Err(ProviderTokenError::NotYet);
        }
        if now_ms >= self.ends_ms {
            return Err(ProviderTokenError::Expired);
        }
        Ok(())
    }
}

/// The user of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::auth) struct TokenUser {
    /// The user's id at the provider.
    pub(in crate::auth) subject: String,
    /// The user's name.
    pub(in crate::auth) name: String,
    /// The user's email address, unless the provider says that it is not verified.
    pub(in crate::auth) email: Option<String>,
    /// The built-in role.
    pub(in crate::auth) role: Role,
    /// The names of the principal roles, sorted.
    pub(in crate::auth) principal_roles: Vec<String>,
    /// When the token was issued, in milliseconds since 1970.
    pub(in crate::auth) issued_ms: i64,
    /// When the token is valid.
    pub(in crate::auth) validity: Validity,
}

/// The rules of one provider.
pub(super) struct Rules {
    config: IssuerConfig,
    name: Arc<str>,
}

impl Rules {
    pub(super) fn new(config: IssuerConfig) -> Self {
        let name = config.name.as_str().into();
        Self { config, name }
    }

    pub(super) const fn config(&self) -> &IssuerConfig {
        &self.config
    }

    /// Returns the provider's name.
    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Returns whether the provider issues tokens with this `iss`.
    pub(super) fn is_issuer(&self, issuer: &str) -> bool {
        self.config.spellings().any(|spelling| spelling == issuer)
    }

    /// Returns whether the algorithm is accepted.
    pub(super) fn accepts(&self, algorithm: SigningAlgorithm) -> bool {
        self.config.algorithms.contains(&algorithm)
    }

    /// Returns whether a token is for one of the audiences.
    pub(super) fn is_audience(&self, claims: &Map<String, Value>) -> bool {
        let accepted = |audience: &Value| {
            audience.as_str().is_some_and(|text| self.config.audiences.iter().any(|known| known == text))
        };
        match claims.get("aud") {
            Some(Value::Array(audiences)) => audiences.iter().any(accepted),
            Some(audience) => accepted(audience),
            None => false,
        }
    }

    /// Checks the claims of a token with a valid signature, except its time. The caller must call [`Validity::check`].
    ///
    /// # Errors
    /// `UnknownIssuer`, `Audience`, `Claim`, `TooManyGroups`.
    pub(super) fn check(&self, claims: &Map<String, Value>) -> Result<TokenUser, ProviderTokenError> {
        let issuer = text(claims, "iss").unwrap_or_default();
        if !self.is_issuer(issuer) {
            return Err(ProviderTokenError::UnknownIssuer(super::jws::shown(issuer)));
        }
        if !self.is_audience(claims) {
            return Err(ProviderTokenError::Audience(self.name()));
        }
        let (issued_ms, validity) = self.times(claims)?;
        let subject = self.config.subject_claims.iter().find_map(|claim| text(claims, claim));
        let subject =
            subject.filter(|subject| subject.len() <= MAX_SUBJECT_BYTES && !subject.contains(char::is_control));
        let subject = subject.ok_or(ProviderTokenError::Claim("sub"))?;
        let groups = match &self.config.groups_claim {
            Some(path) => groups_of(claims, path)?,
            None => Vec::new(),
        };
        let roles = map_groups(&groups, &self.config.group_mappings, self.config.role);
        let email = self.email(claims);
        let name = [text(claims, &self.config.name_claim), text(claims, "preferred_username"), email, Some(subject)];
        Ok(TokenUser {
            subject: subject.to_owned(),
            name: plain(name.into_iter().flatten().next().unwrap_or_default()),
            email: email.map(plain),
            role: roles.built_in,
            principal_roles: roles.principal_roles.into_iter().collect(),
            issued_ms,
            validity,
        })
    }

    fn times(&self, claims: &Map<String, Value>) -> Result<(i64, Validity), ProviderTokenError> {
        let skew_ms = i64::try_from(self.config.clock_skew().as_millis()).unwrap_or(i64::MAX);
        let issued_ms = time_ms(claims, "iat")?.ok_or(ProviderTokenError::Claim("iat"))?;
        let expires_ms = time_ms(claims, "exp")?.ok_or(ProviderTokenError::Claim("exp"))?;
        let begins_ms = time_ms(claims, "nbf")?.map_or(issued_ms, |begins_ms| begins_ms.max(issued_ms));
        let validity =
            Validity { begins_ms: begins_ms.saturating_sub(skew_ms), ends_ms: expires_ms.saturating_add(skew_ms) };
        Ok((issued_ms, validity))
    }

    /// Returns the email address. People can enter any address at some providers, so one that is not verified does not count.
    fn email<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a str> {
        let unverified = match claims.get("email_verified") {
            Some(Value::Bool(verified)) => !verified,
            Some(Value::String(verified)) => verified != "true",
            _ => false,
        };
        text(claims, &self.config.email_claim).filter(|_| !unverified)
    }
}

/// Returns a claim's text, if it is not empty.
fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// Returns a time (RFC 7519: seconds since 1970, also with a fraction) in milliseconds.
fn time_ms(claims: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, ProviderTokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_f64().filter(|seconds| TIMES_S.contains(seconds)).ok_or(ProviderTokenError::Claim(name))?;
    // Within the accepted times a number of milliseconds always fits.
    Ok(Some((seconds * 1_000.0) as i64))
}

/// Returns a name in one short line.
fn plain(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(MAX_NAME_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::config::GroupMapping;

    const NOW_S: i64 = 1_785_585_600;

    fn rules(change: impl FnOnce(&mut IssuerConfig)) -> Rules {
        let mut config = IssuerConfig {
            name: "sso".to_owned(),
            issuer: "https://sso.example.com".to_owned(),
            accepted_issuers: vec!["https://sts.example.com/".to_owned()],
            organisation: "acme".to_owned(),
            audiences: vec!["tidewater".to_owned(), "other".to_owned()],
            ..IssuerConfig::default()
        };
        change(&mut config);
        Rules::new(config)
    }

    fn claims() -> Value {
        json!({ "iss": "https://sso.example.com", "aud": "tidewater", "sub": "u1", "iat": NOW_S, "exp": NOW_S + 300 })
    }

    fn checked(claims: &Value) -> Result<TokenUser, ProviderTokenError> {
        rules(|_| {}).check(claims.as_object().unwrap())
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[name] = value;
        claims
    }

    fn without(name: &str) -> Value {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        claims
    }

    #[test]
    fn minimal_claims_are_accepted() {
        let user = checked(&claims()).unwrap();
        assert_eq!((user.subject.as_str(), user.name.as_str(), user.email), ("u1", "u1", None));
        assert_eq!((user.role, user.principal_roles, user.issued_ms), (Role::None, Vec::new(), NOW_S * 1_000));
    }

    #[test]
    fn foreign_issuer_is_refused_and_an_accepted_spelling_is_not() {
        for issuer in [
            "https://sso.example.com/",
            "HTTPS://sso.example.com",
            "https://sso.example.com.evil",
            "",
            "https://sts.example.com",
        ] {
            let error = checked(&with("iss", json!(issuer))).unwrap_err();
            assert_eq!(error, ProviderTokenError::UnknownIssuer(issuer.to_owned()));
        }
        assert!(checked(&with("iss", json!("https://sts.example.com/"))).is_ok());
        assert!(checked(&with("iss", json!(["https://sso.example.com"]))).is_err());
        assert!(checked(&without("iss")).is_err());
    }

    #[test]
    fn wrong_or_absent_audience_is_refused() {
        for audience in
            [json!("tidewater2"), json!("Tidewater"), json!([]), json!(["x"]), json!(null), json!(7), json!({})]
        {
            let error = checked(&with("aud", audience)).unwrap_err();
            assert_eq!(error, ProviderTokenError::Audience("sso".into()));
        }
        assert!(checked(&without("aud")).is_err());
        assert!(checked(&with("aud", json!(["x", "other"]))).is_ok());
    }

    #[test]
    fn absent_or_invalid_time_is_refused() {
        for name in ["exp", "iat"] {
            assert_eq!(checked(&without(name)), Err(ProviderTokenError::Claim(name)));
            for value in [json!("1785585600"), json!(null), json!(-1), json!(1e30), json!([1])] {
                assert_eq!(checked(&with(name, value)), Err(ProviderTokenError::Claim(name)));
            }
        }
        assert_eq!(checked(&with("nbf", json!("x"))), Err(ProviderTokenError::Claim("nbf")));
        assert_eq!(checked(&with("iat", json!(1.5))).unwrap().issued_ms, 1_500);
    }

    #[test]
    fn token_is_valid_from_its_begin_to_its_end_with_the_tolerance() {
        let at = |claims: &Value, now_s: i64| checked(claims).unwrap().validity.check(now_s * 1_000);
        assert_eq!(at(&claims(), NOW_S - 60), Ok(()));
        assert_eq!(at(&claims(), NOW_S - 61), Err(ProviderTokenError::NotYet));
        assert_eq!(at(&claims(), NOW_S + 359), Ok(()));
        assert_eq!(at(&claims(), NOW_S + 360), Err(ProviderTokenError::Expired));
        assert_eq!(at(&with("nbf", json!(NOW_S + 100)), NOW_S + 39), Err(ProviderTokenError::NotYet));
        assert_eq!(at(&with("nbf", json!(0)), NOW_S - 61), Err(ProviderTokenError::NotYet), "issued in the future");
    }

    #[test]
    fn subject_is_the_first_claim_that_the_token_has() {
        let subject = |claims: &Value| checked(claims).map(|user| user.subject);
        assert_eq!(subject(&with("oid", json!("o1"))), Ok("o1".to_owned()));
        assert_eq!(subject(&with("oid", json!(""))), Ok("u1".to_owned()));
        for value in [json!(""), json!(7), json!("a\nb"), json!("x".repeat(256))] {
            assert_eq!(subject(&with("sub", value)), Err(ProviderTokenError::Claim("sub")));
        }
        assert!(subject(&without("sub")).is_err());
    }

    #[test]
    fn name_and_email_are_for_people_and_an_unverified_email_does_not_count() {
        let mut claims = claims();
        claims["email"] = json!("alice@example.com");
        assert_eq!(checked(&claims).unwrap().name, "alice@example.com");
        claims["preferred_username"] = json!("alice");
        assert_eq!(checked(&claims).unwrap().name, "alice");
        claims["name"] = json!(" Alice\u{1b}[1m ");
        let user = checked(&claims).unwrap();
        assert_eq!((user.name.as_str(), user.email.as_deref()), ("Alice\u{fffd}[1m", Some("alice@example.com")));
        for unverified in [json!(false), json!("false")] {
            claims["email_verified"] = unverified;
            assert_eq!(checked(&claims).unwrap().email, None);
        }
        claims["email_verified"] = json!(true);
        assert!(checked(&claims).unwrap().email.is_some());
    }

    #[test]
    fn groups_count_only_if_their_claim_is_configured() {
        let claims = with("groups", json!(["ops"]));
        let mapping =
            GroupMapping { group: Some("ops".to_owned()), role: Some(Role::Admin), ..GroupMapping::default() };
        let role = |claim: Option<&str>| {
            let rules = rules(|config| {
                config.groups_claim = claim.map(str::to_owned);
                config.group_mappings = vec![mapping.clone()];
            });
            rules.check(claims.as_object().unwrap()).unwrap().role
        };
        assert_eq!((role(Some("groups")), role(Some("roles")), role(None)), (Role::Admin, Role::None, Role::None));
    }

    proptest! {
        #[test]
        fn only_configured_audiences_are_accepted(audiences in prop::collection::vec("[a-z]{0,9}|tidewater", 0..4)) {
            let accepted = checked(&with("aud", json!(audiences))).is_ok();
            prop_assert_eq!(accepted, audiences.iter().any(|one| one == "tidewater" || one == "other"));
        }

        #[test]
        fn no_claims_make_the_rules_panic(name in "iss|aud|sub|oid|iat|exp|nbf|email|name", value in any::<f64>(), text in ".{0,300}") {
            let _ = checked(&with(&name, json!(value)));
            let _ = checked(&with(&name, json!(text)));
        }
    }
}
