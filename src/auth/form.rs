//! The form in a token request (RFC 6749, section 3.2).

use crate::base::secret::Secret;

use super::oauth_error::{OAuthError, OAuthErrorKind};

/// The largest accepted form, in bytes.
pub(super) const MAX_FORM_BYTES: usize = 32 << 10;

/// The parameters of RFC 6749 and RFC 8693 that this server reads.
const NAMES: [&str; 9] = [
    "grant_type",
    "client_id",
    "client_secret",
    "scope",
    "subject_token",
    "subject_token_type",
    "actor_token",
    "actor_token_type",
    "requested_token_type",
];

/// The values of the parameters, in the order of [`NAMES`]. `None` if absent or empty: RFC 6749, section 3.2 treats a parameter
/// without a value as omitted.
#[derive(Debug, Default)]
pub(super) struct Form([Option<Secret<String>>; NAMES.len()]);

impl Form {
    /// Parses a form. Ignores unknown parameters, as RFC 6749 requires.
    pub(super) fn parse(body: &[u8]) -> Result<Self, OAuthError> {
        if body.len() > MAX_FORM_BYTES {
            return Err(invalid(format!("the form is too long: at most {MAX_FORM_BYTES} bytes are read")));
        }
        let mut form = Self::default();
        let mut seen = [false; NAMES.len()];
        for (name, value) in form_urlencoded::parse(body) {
            let Some(at) = NAMES.iter().position(|known| **known == *name) else { continue };
            if std::mem::replace(&mut seen[at], true) {
                return Err(invalid(format!("the parameter '{}' occurs twice: send it once", NAMES[at])));
            }
            if !value.is_empty() {
                form.0[at] = Some(Secret::new(value.into_owned()));
            }
        }
        Ok(form)
    }

    /// Returns a parameter's value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let at = NAMES.iter().position(|known| *known == name)?;
        self.0[at].as_ref().map(|value| value.expose().as_str())
    }
}

/// Returns whether a URL's query has a parameter of the form or an API key. Proxies log URLs, so credentials must not be there.
pub(super) fn is_in_query(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(name, value)| NAMES.contains(&&*name) || value.starts_with("flx_"))
}

fn invalid(description: String) -> OAuthError {
    OAuthError::new(OAuthErrorKind::InvalidRequest, description)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn form_is_parsed_with_its_escapes() {
        let form =
            Form::parse(b"grant_type=client_credentials&scope=PRINCIPAL_ROLE%3AALL+x&client_id=&audience=y").unwrap();
        assert_eq!(form.get("grant_type"), Some("client_credentials"));
        assert_eq!(form.get("scope"), Some("PRINCIPAL_ROLE:ALL x"));
        assert_eq!(form.get("client_id"), None, "empty counts as absent");
        assert_eq!(form.get("audience"), None, "not used here");
        assert_eq!(format!("{form:?}").matches("client_credentials").count(), 0, "values are not shown");
    }

    #[test]
    fn repeated_parameter_is_refused() {
        for body in ["client_id=a&client_id=a", "client_id=&client_id=b", "scope=a&client%5Fid=x&client_id=y"] {
            let error = Form::parse(body.as_bytes()).unwrap_err();
            assert_eq!(error.kind, OAuthErrorKind::InvalidRequest, "{body}");
            assert!(error.description.contains("'client_id'"));
        }
        assert!(Form::parse(b"resource=a&resource=b").is_ok(), "RFC 8693 allows several resources");
    }

    #[test]
    fn credential_in_a_query_is_found() {
        assert!(is_in_query("client_secret=flx_x"));
        assert!(is_in_query("a=b&client%5Fid=x"));
        assert!(is_in_query("key=flx_x"));
        assert!(!is_in_query("warehouse=w&request_id=1"));
    }

    proptest! {
        #[test]
        fn no_body_makes_the_parser_panic(body in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Form::parse(&body);
            let _ = Form::parse(&[b"client_id=", &body[..]].concat());
        }
    }
}
