//! The settings about reverse proxies: whose headers are trusted, and which header names the client.

use std::fmt;
use std::net::IpAddr;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tidewater_core::client_address::Network;

/// The header in which a trusted proxy names the client's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// The addresses and networks of reverse proxies whose header is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// Returns whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether an address is a trusted proxy's.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

impl Serialize for TrustedProxies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ToString::to_string))
    }
}

/// Deserializes a list, or a text with commas from an environment variable.
impl<'de> Deserialize<'de> for TrustedProxies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Networks;

        impl<'de> Visitor<'de> for Networks {
            type Value = TrustedProxies;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of addresses and networks, such as [\"127.0.0.1\", \"10.0.0.0/8\"]")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<TrustedProxies, E> {
                let networks = text.split(',').map(str::trim).filter(|network| !network.is_empty());
                networks.map(|network| network.parse().map_err(E::custom)).collect::<Result<_, _>>().map(TrustedProxies)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<TrustedProxies, A::Error> {
                let mut networks = Vec::new();
                while let Some(text) = items.next_element::<String>()? {
                    networks.push(text.parse().map_err(de::Error::custom)?);
                }
                Ok(TrustedProxies(networks))
            }
        }

        deserializer.deserialize_any(Networks)
    }
}
