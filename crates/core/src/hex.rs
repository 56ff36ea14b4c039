//! Hexadecimal digits, as percent-encoding has them (RFC 3986, section 2.1).

/// The value of a digit, in either case; none where it is no digit.
pub(crate) const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
