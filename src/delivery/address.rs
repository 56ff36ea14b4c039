//! The addresses of receivers: only public ones, unless the settings allow others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::config::DeliveryConfig;

/// The longest URL of a receiver.
const MAX_URL_BYTES: usize = 2_000;

/// The error for a name of which no address can be used. It is the same for unknown names and those of internal addresses: otherwise
/// tenants could list the names of the server's network.
const NO_ADDRESS: &str = "the host is unknown, or has an address inside a network (the server's log has the reason; see the setting `delivery.allow_networks`)";

/// The addresses that events may be sent to.
#[derive(Debug, Clone)]
pub struct AllowedAddresses(Arc<DeliveryConfig>);

impl AllowedAddresses {
    /// Creates the rules from the settings.
    #[must_use]
    pub const fn new(config: Arc<DeliveryConfig>) -> Self {
        Self(config)
    }

    /// Parses and checks the URL of a receiver. The addresses of a name are checked again with each connection.
    ///
    /// # Errors
    /// The reason, for people. It does not repeat the URL.
    pub fn check_url(&self, text: &str) -> Result<Url, String> {
        if text.len() > MAX_URL_BYTES {
            return Err(format!("the URL is longer than {MAX_URL_BYTES} bytes"));
        }
        // The parser would remove some of them, and the text is shown to people as it came.
        if text.chars().any(char::is_control) {
            return Err("the URL must not have control characters".to_owned());
        }
        let url = Url::parse(text).map_err(|error| format!("the URL is not valid: {error}"))?;
        if !(url.scheme() == "https" || (url.scheme() == "http" && self.0.allow_http)) {
            let hint = if url.scheme() == "http" { " (the setting `delivery.allow_http` allows http)" } else { "" };
            return Err(format!("the URL must begin with https://{hint}"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the URL must not have a user name or password: the receiver checks the signature".to_owned());
        }
        if url.fragment().is_some() {
            return Err("the URL must not have a fragment".to_owned());
        }
        if url.port() == Some(0) {
            return Err("the URL must not have the port 0".to_owned());
        }
        match url.host() {
            Some(Host::Ipv4(ip)) => self.check(IpAddr::V4(ip))?,
            Some(Host::Ipv6(ip)) => self.check(IpAddr::V6(ip))?,
            Some(Host::Domain(_)) => {}
            None => return Err("the URL has no host".to_owned()),
        }
        Ok(url)
    }

    /// Fails if nothing may be sent to an address.
    fn check(&self, ip: IpAddr) -> Result<(), String> {
        let ip = unmapped(ip);
        if !is_internal(ip) || self.0.allow_networks.contains(ip) {
            return Ok(());
        }
        Err(format!(
            "{ip} is an address inside a network: nothing is sent there unless the setting `delivery.allow_networks` names it"
        ))
    }
}

/// Resolves names of receivers, and leaves out addresses that nothing may be sent to. The client connects to these addresses without
/// resolving the name again.
#[derive(Debug)]
pub(super) struct CheckedResolver(pub(super) AllowedAddresses);

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.0.clone();
        Box::pin(async move {
            match addresses(&allowed, name.as_str()).await {
                Ok(addresses) => Ok(Box::new(addresses.into_iter()) as Addrs),
                Err(reason) => {
                    tracing::info!(host = name.as_str(), reason, "no address of a receiver can be used");
                    Err(NO_ADDRESS.into())
                }
            }
        })
    }
}

/// Returns the addresses of a name.
///
/// # Errors
/// The reason, for the operator only: the name is unknown, or one of its addresses is internal.
async fn addresses(allowed: &AllowedAddresses, name: &str) -> Result<Vec<SocketAddr>, String> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host((name, 0)).await.map_err(|error| error.to_string())?.collect();
    // Also if another address is public: such a name is made to deceive.
    found.iter().try_for_each(|address| allowed.check(address.ip()))?;
    if found.is_empty() { Err("the name has no address".to_owned()) } else { Ok(found) }
}

/// Returns the IPv4 address within an IPv6 address that stands for it.
fn unmapped(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let bytes = v6.octets();
    let last = |at: usize| IpAddr::V4(Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]));
    match v6.segments() {
        // Mapped and compatible addresses, and the prefix of NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xFFFF, ..] | [0x64, 0xFF9B, 0, 0, 0, 0, ..] => last(12),
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => last(12),
        // 6to4 (RFC 3056).
        [0x2002, ..] => last(2),
        _ => ip,
    }
}

/// Returns whether an address is not of the public Internet (IANA's registries of special-purpose addresses).
fn is_internal(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_internal_v4(ip),
        IpAddr::V6(ip) => is_internal_v6(ip),
    }
}

fn is_internal_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    // "This network", private, shared (carrier-grade NAT), loopback, link-local with the metadata of clouds, IETF, documentation,
    // 6to4 relays, benchmarks, multicast and reserved.
    matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

fn is_internal_v6(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    // Only 2000::/3 is assigned for the public Internet. Within it, IETF's (Teredo among them) and documentation are not.
    first & 0xE000 != 0x2000
        || (first == 0x2001 && second < 0x200)
        || (first == 0x2001 && second == 0xDB8)
        || (first == 0x3FFF && second < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(config: DeliveryConfig) -> AllowedAddresses {
        AllowedAddresses::new(Arc::new(config))
    }

    #[test]
    fn addresses_inside_networks_are_refused() {
        let rules = allowed(DeliveryConfig::default());
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:169.254.169.254]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[fe80::1]",
            "[fc00::1]",
            "[fd00:ec2::254]",
            "[ff02::1]",
            "[2001:db8::1]",
        ] {
            let refused = rules.check_url(&format!("https://{host}/hook"));
            assert!(refused.is_err_and(|reason| reason.contains("inside a network")), "{host}");
        }
        for host in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "[2606:4700::1]", "example.com"] {
            assert!(rules.check_url(&format!("https://{host}/hook")).is_ok(), "{host}");
        }
    }

    #[test]
    fn url_has_https_and_no_credentials() {
        let rules = allowed(DeliveryConfig::default());
        for url in [
            "http://example.com",
            "ftp://example.com",
            "https://a:b@example.com",
            "https://a@example.com",
            "x",
            "https://e.com/#f",
            "https://e.com:0/",
            "https://e.com/\u{1b}[2J",
            "https://e.com/\r\nline",
            "\thttps://e.com/",
            "https://e.com/\u{9b}",
            "https://e.com/\0",
        ] {
            assert!(rules.check_url(url).is_err(), "{url}");
        }
        assert!(rules.check_url(&format!("https://example.com/{}", "a".repeat(MAX_URL_BYTES))).is_err());
        let rules = allowed(DeliveryConfig { allow_http: true, ..DeliveryConfig::default() });
        assert!(rules.check_url("http://example.com/hook").is_ok());
    }

    #[test]
    fn named_networks_are_allowed() {
        let networks = serde_json::from_str(r#"["10.1.0.0/16", "::1"]"#).unwrap();
        let rules = allowed(DeliveryConfig { allow_networks: networks, ..DeliveryConfig::default() });
        assert!(rules.check_url("https://10.1.2.3").is_ok() && rules.check_url("https://[::1]").is_ok());
        assert!(rules.check_url("https://[::ffff:10.1.2.3]").is_ok());
        assert!(rules.check_url("https://10.2.0.1").is_err() && rules.check_url("https://127.0.0.1").is_err());
    }

    #[tokio::test]
    async fn name_of_an_internal_address_is_refused_unless_allowed() {
        let resolve = async |config: DeliveryConfig| {
            let resolver = CheckedResolver(allowed(config));
            resolver.resolve("localhost".parse().unwrap()).await.map(Iterator::count)
        };
        let refused = resolve(DeliveryConfig::default()).await.unwrap_err().to_string();
        assert_eq!(refused, NO_ADDRESS);
        let unknown = CheckedResolver(allowed(DeliveryConfig::default())).resolve("unknown.invalid".parse().unwrap());
        assert_eq!(unknown.await.map(Iterator::count).unwrap_err().to_string(), refused, "tenants learn no names");
        let networks = serde_json::from_str(r#"["127.0.0.0/8", "::1"]"#).unwrap();
        let config = DeliveryConfig { allow_networks: networks, ..DeliveryConfig::default() };
        assert!(resolve(config).await.is_ok_and(|addresses| addresses > 0));
    }
}
