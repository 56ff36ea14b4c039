//! Parses the `Authorization` header.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// The longest accepted header, in bytes. A token of this catalog has about 400, one of an identity provider up to 16,384.
pub const MAX_HEADER_BYTES: usize = 17 << 10;

const BASIC: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why an `Authorization` header is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Its scheme is not accepted here.
    #[error("cannot use this Authorization header: send 'Authorization: Bearer' with an API key or a token")]
    Scheme,
    /// It has a scheme and nothing else.
    #[error("the Authorization header holds no credential: put an API key or a token after 'Bearer '")]
    Empty,
    /// It has a placeholder, such as `None`. Clients send it if no credential is configured.
    #[error(
        "the client sent a placeholder, such as 'None', instead of a credential: configure an API key or a token in it"
    )]
    Placeholder,
    /// It is far longer than any credential.
    #[error("the Authorization header is too long: at most {MAX_HEADER_BYTES} bytes are read")]
    TooLong,
    /// It has spaces or other characters that are not allowed in a credential.
    #[error("the credential in the Authorization header has characters that are not allowed: copy it again")]
    Characters,
    /// It is neither an API key nor a token.
    #[error("the credential is neither an API key (flx_...) nor a token of this server: copy it again")]
    Neither,
    /// The text after `Basic` is not base64 of `user:password`.
    #[error("the Basic credential cannot be read: it must be base64 of 'id:secret'")]
    Basic,
}

/// The content of an `Authorization` header.
#[derive(PartialEq, Eq)]
pub(super) enum Authorization<'a> {
    /// An API key or a token, not yet checked.
    Bearer(&'a [u8]),
    /// User and password.
    Basic(Vec<u8>, Vec<u8>),
}

/// Parses a header.
pub(super) fn parse(header: &[u8]) -> Result<Authorization<'_>, HeaderError> {
    if header.len() > MAX_HEADER_BYTES {
        return Err(HeaderError::TooLong);
    }
    let header = header.trim_ascii();
    let end = header.iter().position(u8::is_ascii_whitespace).unwrap_or(header.len());
    let (scheme, rest) = header.split_at(end);
    let credential = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return bearer(credential).map(Authorization::Bearer);
    }
    if scheme.eq_ignore_ascii_case(b"basic") {
        let (user, password) = basic(credential).ok_or(HeaderError::Basic)?;
        return Ok(Authorization::Basic(user, password));
    }
    // A key without a scheme is the most common mistake. Its error says to add `Bearer`.
    Err(HeaderError::Scheme)
}

/// Parses a header that must be `Bearer`.
pub(super) fn parse_bearer(header: &[u8]) -> Result<&[u8], HeaderError> {
    match parse(header)? {
        Authorization::Bearer(credential) => Ok(credential),
        Authorization::Basic(..) => Err(HeaderError::Scheme),
    }
}

fn bearer(credential: &[u8]) -> Result<&[u8], HeaderError> {
    if credential.is_empty() {
        return Err(HeaderError::Empty);
    }
    if [&b"none"[..], b"null", b"undefined"].iter().any(|word| credential.eq_ignore_ascii_case(word)) {
        return Err(HeaderError::Placeholder);
    }
    if !credential.iter().all(u8::is_ascii_graphic) {
        return Err(HeaderError::Characters);
    }
    Ok(credential)
}

fn basic(credential: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut user = BASIC.decode(credential).ok()?;
    let colon = user.iter().position(|byte| *byte == b':')?;
    let password = user.split_off(colon + 1);
    user.pop();
    Some((user, password))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scheme_in_any_case_and_spacing_is_accepted() {
        for header in ["Bearer flx_x", "bearer flx_x", "BEARER   flx_x ", "Bearer\tflx_x"] {
            assert_eq!(parse_bearer(header.as_bytes()), Ok(&b"flx_x"[..]), "{header:?}");
        }
    }

    #[test]
    fn placeholder_of_a_client_without_a_credential_is_refused_with_advice() {
        assert_eq!(parse_bearer(b"Bearer None"), Err(HeaderError::Placeholder));
        assert_eq!(parse_bearer(b"Bearer null"), Err(HeaderError::Placeholder));
        assert_eq!(parse_bearer(b"Bearer"), Err(HeaderError::Empty));
        assert_eq!(parse_bearer(b"Bearer "), Err(HeaderError::Empty));
    }

    #[test]
    fn invalid_headers_have_different_errors() {
        assert_eq!(parse_bearer(b""), Err(HeaderError::Scheme));
        assert_eq!(parse_bearer(b"flx_abc"), Err(HeaderError::Scheme));
        assert_eq!(parse_bearer(b"Digest a=b"), Err(HeaderError::Scheme));
        assert_eq!(parse_bearer(b"Basic YTpi"), Err(HeaderError::Scheme));
        assert_eq!(parse_bearer(b"Bearer a b"), Err(HeaderError::Characters));
        assert_eq!(parse_bearer(b"Bearer \xff\xfe"), Err(HeaderError::Characters));
        assert_eq!(parse_bearer(&[b'a'; MAX_HEADER_BYTES + 1]), Err(HeaderError::TooLong));
    }

    #[test]
    fn basic_is_split_at_its_first_colon() {
        let read = |header: &[u8]| match parse(header) {
            Ok(Authorization::Basic(user, password)) => Some((user, password)),
            _ => None,
        };
        assert_eq!(read(b"Basic YTpiOmM="), Some((b"a".to_vec(), b"b:c".to_vec())));
        assert_eq!(read(b"basic YTpiOmM"), Some((b"a".to_vec(), b"b:c".to_vec())), "without padding");
        assert_eq!(read(b"Basic Og=="), Some((vec![], vec![])));
        assert_eq!(read(b"Basic YWJj"), None, "no colon");
        assert_eq!(read(b"Basic %%%"), None);
    }

    proptest! {
        #[test]
        fn no_header_makes_the_parser_panic(header in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&header);
            let _ = parse(&[b"Bearer ", &header[..]].concat());
            let _ = parse(&[b"Basic ", &header[..]].concat());
        }

        #[test]
        fn every_basic_pair_is_read_back(user in "[^:]{0,40}", password in any::<Vec<u8>>()) {
            let pair = [user.as_bytes(), b":", &password].concat();
            let header = format!("Basic {}", BASIC.encode(&pair));
            prop_assert!(parse(header.as_bytes()) == Ok(Authorization::Basic(user.into_bytes(), password)));
        }
    }
}
