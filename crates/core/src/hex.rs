//! Reads hexadecimal digits, as percent-encoding uses them (RFC 3986, section 2.1).

/// Returns the value of a hexadecimal digit in either case, or `None` for any other byte.
pub(crate) const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
