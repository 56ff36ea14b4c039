//! The address of a request's client: the connection's, or the one that a trusted reverse proxy names.

use std::net::IpAddr;

use axum::http::header::FORWARDED;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tidewater_core::client_address::{client_of, forwarded, x_forwarded_for};

use crate::config::{ForwardedHeader, TrustedProxies};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Finds the client of a request.
#[derive(Debug, Clone, Default)]
pub struct ClientAddress {
    /// The reverse proxies whose header is trusted.
    pub trusted: TrustedProxies,
    /// The header in which they name the client. Others are ignored: a proxy passes them on as the client sent them.
    pub header: ForwardedHeader,
}

impl ClientAddress {
    /// Returns the client of a request over a connection from `peer`. Ignores the header of a peer that is not trusted.
    pub(super) fn find(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if self.trusted.is_empty() || !self.trusted.contains(peer) {
            return peer;
        }
        let is_trusted = |address| self.trusted.contains(address);
        match self.header {
            ForwardedHeader::XForwardedFor => {
                let lines = headers.get_all(X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes);
                client_of(peer, lines.flat_map(x_forwarded_for), is_trusted)
            }
            ForwardedHeader::Forwarded => {
                let lines = headers.get_all(FORWARDED).iter().map(HeaderValue::as_bytes);
                client_of(peer, lines.flat_map(forwarded), is_trusted)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(header: ForwardedHeader, peer: &str, headers: &[(HeaderName, &str)]) -> String {
        let trusted = serde_json::from_value(serde_json::json!(["10.0.0.0/8", "::1"])).unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        ClientAddress { trusted, header }.find(peer.parse().unwrap(), &map).to_string()
    }

    #[test]
    fn header_of_a_peer_that_is_not_trusted_is_ignored() {
        let headers = [(X_FORWARDED_FOR, "192.0.2.1"), (FORWARDED, "for=192.0.2.1")];
        for header in [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded] {
            assert_eq!(find(header, "203.0.113.5", &headers), "203.0.113.5");
            assert_eq!(find(header, "10.0.0.1", &headers), "192.0.2.1");
            assert_eq!(find(header, "::ffff:10.0.0.1", &headers), "192.0.2.1");
            assert_eq!(find(header, "::1", &[]), "::1");
        }
    }

    #[test]
    fn only_the_configured_header_is_read() {
        let headers = [(X_FORWARDED_FOR, "192.0.2.1"), (FORWARDED, "for=192.0.2.9")];
        assert_eq!(find(ForwardedHeader::XForwardedFor, "10.0.0.1", &headers), "192.0.2.1");
        assert_eq!(find(ForwardedHeader::Forwarded, "10.0.0.1", &headers), "192.0.2.9");
        assert_eq!(find(ForwardedHeader::Forwarded, "10.0.0.1", &headers[..1]), "10.0.0.1");
    }

    #[test]
    fn last_line_of_a_header_comes_from_the_nearest_proxy() {
        let lines = [(X_FORWARDED_FOR, "203.0.113.9"), (X_FORWARDED_FOR, "192.0.2.1, 10.0.0.2")];
        assert_eq!(find(ForwardedHeader::XForwardedFor, "10.0.0.1", &lines), "192.0.2.1");
        let lines = [(FORWARDED, "for=203.0.113.9"), (FORWARDED, "for=192.0.2.1")];
        assert_eq!(find(ForwardedHeader::Forwarded, "10.0.0.1", &lines), "192.0.2.1");
    }
}
