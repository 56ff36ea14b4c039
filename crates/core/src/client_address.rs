//! The address of a client behind reverse proxies, from the headers that a trusted proxy writes.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// A network in CIDR notation (RFC 4632), such as `10.0.0.0/8`. An address alone is a network of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    prefix_bits: u8,
}

/// Why a text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// It has another form.
    #[error("'{0}' is not an IP address or a network: write one as in 10.0.0.7 or 10.0.0.0/8")]
    Malformed(String),
    /// Its address is not the first of the network.
    #[error("'{text}' has address bits after its first {prefix_bits} bits: write {network}")]
    HostBits {
        /// The text.
        text: String,
        /// The length of the prefix.
        prefix_bits: u8,
        /// The network that has this address.
        network: Network,
    },
}

impl Network {
    fn new(address: IpAddr, prefix_bits: u8) -> Self {
        Self { first: masked(address, prefix_bits), prefix_bits }
    }

    /// Returns whether an address belongs to the network. An IPv4 address in IPv6 form counts as the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && masked(address, self.prefix_bits) == self.first
    }
}

/// Returns the first address of the network of `prefix_bits` that contains an address.
fn masked(address: IpAddr, prefix_bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix_bits.into())).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix_bits.into())).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let malformed = || NetworkError::Malformed(text.to_owned());
        let (address, prefix_bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| malformed())?;
        let all_bits = if address.is_ipv4() { 32 } else { 128 };
        let is_number = |bits: &str| !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
        let prefix_bits = match prefix_bits {
            None => all_bits,
            Some(bits) if is_number(bits) => {
                bits.parse().ok().filter(|bits| *bits <= all_bits).ok_or_else(malformed)?
            }
            Some(_) => return Err(malformed()),
        };
        let network = Self::new(address, prefix_bits);
        if network.first != address {
            return Err(NetworkError::HostBits { text: text.to_owned(), prefix_bits, network });
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all_bits = if self.first.is_ipv4() { 32 } else { 128 };
        if self.prefix_bits == all_bits {
            return self.first.fmt(f);
        }
        write!(f, "{}/{}", self.first, self.prefix_bits)
    }
}

/// Returns the address by which a client is counted. Of an IPv6 address, this is the network of 64 bits: a client usually has all
/// its addresses.
#[must_use]
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

/// Returns the client's address from the addresses that proxies wrote, the nearest proxy's last. `peer` is the address of the
/// connection, which must be trusted.
///
/// Each trusted proxy appends the address that it saw. So the client is the last address that is not trusted; the addresses before
/// it can be forged. `None` is an entry without an address (`unknown`, a name, an error). The search ends there, and the last
/// trusted address counts.
pub fn client_of(
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = Option<IpAddr>>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let mut client = peer;
    for address in forwarded.rev() {
        let Some(address) = address else { return client };
        client = address.to_canonical();
        if !is_trusted(client) {
            return client;
        }
    }
    client
}

/// Returns the entries of one line of `X-Forwarded-For`.
pub fn x_forwarded_for(line: &[u8]) -> impl DoubleEndedIterator<Item = Option<IpAddr>> {
    line.split(|byte| *byte == b',').map(|entry| parse_node(entry.trim_ascii()))
}

/// Returns the entries of one line of `Forwarded` (RFC 7239): the parameter `for` of each element.
pub fn forwarded(line: &[u8]) -> impl DoubleEndedIterator<Item = Option<IpAddr>> {
    split_quoted(line, b',').into_iter().map(element_for)
}

/// Returns the address in the parameter `for` of an element.
fn element_for(element: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    for pair in split_quoted(element, b';') {
        let pair = pair.trim_ascii();
        if pair.is_empty() {
            continue;
        }
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (&pair[..at], &pair[at + 1..]);
        if name.eq_ignore_ascii_case(b"for") && found.replace(value).is_some() {
            return None;
        }
    }
    parse_node(&unquoted(found?)?)
}

/// Splits a text at a separator outside of quoted strings. Reads from the end: so an error at the front, which a client may have
/// sent, does not change the elements that proxies appended.
fn split_quoted(text: &[u8], separator: u8) -> Vec<&[u8]> {
    let (mut parts, mut end, mut is_quoted) = (Vec::new(), text.len(), false);
    for at in (0..text.len()).rev() {
        if text[at] == b'"' && !ends_with_escape(&text[..at]) {
            is_quoted = !is_quoted;
        } else if text[at] == separator && !is_quoted {
            parts.push(&text[at + 1..end]);
            end = at;
        }
    }
    parts.push(&text[..end]);
    parts.reverse();
    parts
}

/// Returns whether a text escapes the character after it.
fn ends_with_escape(text: &[u8]) -> bool {
    text.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// Returns the content of a quoted string, or a token unchanged.
fn unquoted(value: &[u8]) -> Option<Vec<u8>> {
    let Some(inner) = value.strip_prefix(b"\"") else { return Some(value.to_vec()) };
    let inner = inner.strip_suffix(b"\"")?;
    let mut text = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        text.push(if *byte == b'\\' { *bytes.next()? } else { *byte });
    }
    Some(text)
}

/// Parses an address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn parse_node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let has_port = port.strip_prefix(':').is_some_and(is_port);
        return (port.is_empty() || has_port).then(|| address.parse().ok().map(IpAddr::V6))?;
    }
    match text.split_once(':') {
        Some((address, port)) if !port.contains(':') => is_port(port).then(|| address.parse().ok().map(IpAddr::V4))?,
        _ => text.parse().ok(),
    }
}

/// Returns whether a text is a port, or an obfuscated port (RFC 7239, section 6).
fn is_port(text: &str) -> bool {
    let is_obfuscated = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    text.parse::<u16>().is_ok() || text.strip_prefix('_').is_some_and(|rest| !rest.is_empty() && is_obfuscated(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn network_contains_its_addresses_only() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.7/32", "::ffff:192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "203.0.113.1", "::1"),
            ("2001:db8::/32", "2001:db8:1::1", "2001:db9::1"),
            ("::1", "::1", "127.0.0.1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
        ] {
            assert!(network(text).contains(address(inside)), "{text} {inside}");
            assert!(!network(text).contains(address(outside)), "{text} {outside}");
        }
        assert_eq!(network("192.0.2.7/32").to_string(), "192.0.2.7");
        assert_eq!(network("10.0.0.0/8").to_string(), "10.0.0.0/8");
    }

    #[test]
    fn malformed_network_is_refused_with_advice() {
        for text in ["", "10.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "::/129", "proxy.example", "10.0.0.0/8/8"]
        {
            assert!(matches!(text.parse::<Network>(), Err(NetworkError::Malformed(_))), "{text}");
        }
        let error = "10.1.2.3/8".parse::<Network>().unwrap_err();
        assert_eq!(error.to_string(), "'10.1.2.3/8' has address bits after its first 8 bits: write 10.0.0.0/8");
    }

    #[test]
    fn address_of_ipv6_counts_with_its_network() {
        assert_eq!(client_network(address("2001:db8:1:2:3:4:5:6")), address("2001:db8:1:2::"));
        assert_eq!(client_network(address("::ffff:10.0.0.1")), address("10.0.0.1"));
    }

    /// Returns the client of a request from 10.0.0.1, if 10.0.0.0/8 is trusted.
    fn client(entries: impl DoubleEndedIterator<Item = Option<IpAddr>>) -> String {
        client_of(address("10.0.0.1"), entries, |address| network("10.0.0.0/8").contains(address)).to_string()
    }

    #[test]
    fn last_address_that_is_not_trusted_is_the_client() {
        for (line, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("203.0.113.9, 192.0.2.1", "192.0.2.1"),
            ("203.0.113.9, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            (" 192.0.2.1 ,\t10.0.0.2 ", "192.0.2.1"),
        ] {
            assert_eq!(client(x_forwarded_for(line.as_bytes())), expected, "{line}");
        }
    }

    #[test]
    fn search_ends_at_a_malformed_entry() {
        for (line, expected) in [
            ("", "10.0.0.1"),
            ("unknown", "10.0.0.1"),
            ("192.0.2.1,", "10.0.0.1"),
            ("192.0.2.1, 999.0.0.1", "10.0.0.1"),
            ("192.0.2.1, evil, 10.0.0.2", "10.0.0.2"),
            ("192.0.2.1:99999", "10.0.0.1"),
            ("192.0.2.1 10.0.0.2", "10.0.0.1"),
            ("[2001:db8::1", "10.0.0.1"),
            ("fe80::1%eth0", "10.0.0.1"),
        ] {
            assert_eq!(client(x_forwarded_for(line.as_bytes())), expected, "{line}");
        }
        assert_eq!(client(x_forwarded_for(b"\xff\xfe")), "10.0.0.1");
    }

    #[test]
    fn forwarded_elements_are_read_with_quotes_and_parameters() {
        for (line, expected) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            ("for=203.0.113.9, for=192.0.2.1;host=\"a,b;for=9.9.9.9\", for=10.0.0.2", "192.0.2.1"),
            ("for=\"192\\.0.2.1:_port\"", "192.0.2.1"),
            ("for=\"evil, for=192.0.2.1", "192.0.2.1"),
            ("for=\"a\\\", for=192.0.2.1", "192.0.2.1"),
            ("for=_hidden, for=10.0.0.2", "10.0.0.2"),
            ("for=unknown", "10.0.0.1"),
            ("proto=https", "10.0.0.1"),
            ("for=192.0.2.1;for=192.0.2.2", "10.0.0.1"),
            ("for=\"192.0.2.1", "10.0.0.1"),
            ("for=192.0.2.1, for=\"10.0.0.2", "10.0.0.1"),
            ("for", "10.0.0.1"),
        ] {
            assert_eq!(client(forwarded(line.as_bytes())), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_the_parsers_panic(line in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = x_forwarded_for(&line).count();
            let _ = forwarded(&line).count();
        }

        /// What a client sends in the header never changes the address that the trusted proxy appended.
        #[test]
        fn forged_entries_do_not_change_the_client(forged in "[ -~]{0,80}", client_bits in any::<u32>()) {
            let real = IpAddr::V4(client_bits.into());
            let trusted = network("10.0.0.0/8");
            prop_assume!(!trusted.contains(real));
            let (peer, is_trusted) = (address("10.0.0.1"), |one| trusted.contains(one));
            let line = format!("{forged}, {real}");
            prop_assert_eq!(client_of(peer, x_forwarded_for(line.as_bytes()), is_trusted), real);
            let line = format!("{forged}, for={real}");
            prop_assert_eq!(client_of(peer, forwarded(line.as_bytes()), is_trusted), real);
        }

        #[test]
        fn network_is_parsed_from_its_text(bits in any::<u128>(), is_v4 in any::<bool>(), prefix_bits in 0u8..=128) {
            let (address, prefix_bits) = if is_v4 {
                (IpAddr::V4((bits as u32).into()), prefix_bits % 33)
            } else {
                (IpAddr::V6(bits.into()), prefix_bits)
            };
            let one = Network::new(address, prefix_bits);
            prop_assert_eq!(one.to_string().parse::<Network>(), Ok(one));
            prop_assert!(one.contains(address) || matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()));
        }
    }
}
