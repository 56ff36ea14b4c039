//! The address on which a server listens, as people write it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The usual port of Iceberg REST catalogs.
const USUAL_PORT: u16 = 8181;

/// A host and a port: `127.0.0.1:8181`, `[::1]:8181`, `localhost:8181`. A name is resolved when the server starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    host: String,
    port: u16,
}

impl ListenAddress {
    /// Returns the IP address or name. An IPv6 address has no brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port. 0 means any free port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the same host with another port.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        Self { host: self.host.clone(), port }
    }
}

impl Default for ListenAddress {
    /// Returns the IPv4 loopback address with the usual port.
    fn default() -> Self {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), USUAL_PORT).into()
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why a text is not an address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a host and a port{why}")]
pub struct NotAnAddress {
    text: String,
    why: String,
}

impl FromStr for ListenAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        let wrong = |why: String| NotAnAddress { text: text.to_owned(), why };
        if text.contains("://") {
            return Err(wrong(": leave the scheme out, as in 127.0.0.1:8181".to_owned()));
        }
        if text.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()) {
            return Err(wrong(format!(": write [{text}]:{USUAL_PORT}")));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            let with_port = match text.parse::<u16>() {
                Ok(port) => format!("127.0.0.1:{port}"),
                Err(_) if is_name(text) => format!("{text}:{USUAL_PORT}"),
                Err(_) => format!("127.0.0.1:{USUAL_PORT}"),
            };
            return Err(wrong(format!(": write {with_port}")));
        };
        let port: u16 = port.parse().map_err(|_| wrong(format!(": '{port}' is not a number up to 65535")))?;
        match host {
            "" | "*" => Err(wrong(format!(
                ": write 127.0.0.1:{port} to listen to this machine alone, 0.0.0.0:{port} to listen to all others too"
            ))),
            host if is_name(host) => Ok(Self { host: host.to_owned(), port }),
            host if host.contains(':') => {
                Err(wrong(": an address of IPv6 goes in brackets, as in [::1]:8181".to_owned()))
            }
            host => Err(wrong(format!(": '{host}' is neither an address nor a name"))),
        }
    }
}

/// Returns whether a text is a host name (RFC 1123, section 2.1). Allows the underscore, which occurs in container names.
fn is_name(text: &str) -> bool {
    text.split('.').all(|label| {
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-') && label.chars().all(inside)
    })
}

impl Serialize for ListenAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = ListenAddress;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a host and a port, such as \"127.0.0.1:8181\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ListenAddress, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_listen_address_parses_and_formats_to_the_same_text() {
        for text in ["127.0.0.1:8181", "[::1]:80", "0.0.0.0:0", "localhost:8181", "my-host.example.com:1", "a_b:65535"]
        {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        let localhost: ListenAddress = "localhost:9000".parse().unwrap();
        assert_eq!((localhost.host(), localhost.port()), ("localhost", 9000));
        assert_eq!("[::1]:80".parse::<ListenAddress>().unwrap().host(), "::1");
    }

    #[test]
    fn invalid_listen_address_is_refused_with_advice() {
        for (text, advice) in [
            ("localhost", "write localhost:8181"),
            ("9000", "write 127.0.0.1:9000"),
            (":9000", "0.0.0.0:9000 to listen to all"),
            ("*:9000", "127.0.0.1:9000 to listen to this machine alone"),
            ("http://localhost:9000", "leave the scheme out"),
            ("::1", "write [::1]:8181"),
            ("fe80::1%eth0:80", "in brackets"),
            ("127.0.0.1:99999", "'99999' is not a number up to 65535"),
            ("localhost:http", "'http' is not a number"),
            ("a b:1", "'a b' is neither an address nor a name"),
            ("-:1", "neither"),
            ("", "write 127.0.0.1:8181"),
        ] {
            let error = text.parse::<ListenAddress>().unwrap_err().to_string();
            assert!(error.contains(advice), "{error}");
        }
    }
}
