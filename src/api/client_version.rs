//! Detects the version of Iceberg's Java client from a request.
//!
//! Java clients send `X-Client-Version: Apache Iceberg 1.12.0 (commit ...)` (Iceberg, `HTTPClient.Builder.build`). PyIceberg
//! sends a bare number.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

const CLIENT_VERSION: HeaderName = HeaderName::from_static("x-client-version");

/// The first release of the Java client that encodes a space as `%20` and ignores the case of header names.
const FIRST_OF_THE_STANDARDS: (u32, u32) = (1, 12);

/// The version that a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientVersion {
    /// No version.
    Unsaid,
    /// A bare number.
    Number,
    /// A Java client before 1.12.
    OldJava,
    /// A Java client from 1.12 on.
    Java,
    /// An unknown form, such as that of a Java client that was built without a version.
    Unknown,
}

impl ClientVersion {
    /// Reads the version from a request's headers.
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        headers.get(CLIENT_VERSION).map_or(Self::Unsaid, |version| Self::parse(HeaderValue::as_bytes(version)))
    }

    fn parse(text: &[u8]) -> Self {
        let Some(version) = text.strip_prefix(b"Apache Iceberg ") else {
            let is_number = text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
            return if is_number { Self::Number } else { Self::Unknown };
        };
        let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u32>().ok();
        let mut numbers = version.split(|byte| !byte.is_ascii_digit()).map(number);
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(major), Some(minor)) if (major, minor) < FIRST_OF_THE_STANDARDS => Self::OldJava,
            (Some(_), Some(_)) => Self::Java,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_versions_are_parsed() {
        for (text, version) in [
            ("Apache Iceberg 1.9.2 (commit 07c088f)", ClientVersion::OldJava),
            ("Apache Iceberg 1.11.0 (commit 1)", ClientVersion::OldJava),
            ("Apache Iceberg 0.14.1", ClientVersion::OldJava),
            ("Apache Iceberg 1.12.0 (commit 1)", ClientVersion::Java),
            ("Apache Iceberg 1.13.0-SNAPSHOT", ClientVersion::Java),
            ("Apache Iceberg 2.0.0", ClientVersion::Java),
            ("Apache Iceberg unspecified (commit 1)", ClientVersion::Unknown),
            ("Apache Iceberg ", ClientVersion::Unknown),
            ("1.9.2-fork", ClientVersion::Unknown),
            ("0.10.0", ClientVersion::Number),
        ] {
            let headers = HeaderMap::from_iter([(CLIENT_VERSION, HeaderValue::from_static(text))]);
            assert_eq!(ClientVersion::from_headers(&headers), version, "{text}");
        }
        assert_eq!(ClientVersion::from_headers(&HeaderMap::new()), ClientVersion::Unsaid);
    }
}
