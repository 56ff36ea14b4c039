//! Strict percent-decoding, for texts that every store must read in the same way.

use crate::hex::hex;

/// Decodes `text` once. Accepts letters, digits, `-._~`, `/`, and `%` with two hexadecimal digits, as S3 clients write
/// them. Refuses `+`, which some readers decode as a space.
pub(super) fn decode(text: &str) -> Result<String, &'static str> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits = bytes.next().and_then(hex).zip(bytes.next().and_then(hex));
                let (high, low) = digits.ok_or("it has a '%' without two hexadecimal digits behind it")?;
                decoded.push(high << 4 | low);
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => decoded.push(byte),
            _ => return Err("it has a character that must be percent-encoded"),
        }
    }
    String::from_utf8(decoded).map_err(|_| "it is not UTF-8")
}

/// Checks an object's name, or a prefix of names, for parts that a store could read as another name.
///
/// A `%` in a name is allowed: file names contain escaped partition values (`day=2026%2F11`). But a store, or a proxy
/// before it, may decode once too often, so no number of decodings may produce a `..`.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    /// More levels of encoding than any real file name has.
    const MOST_DECODINGS: usize = 8;
    if name.chars().any(char::is_control) || name.contains(['\\', '?', '#']) {
        return Err("it has a control character, a backslash, '?' or '#'");
    }
    if name.starts_with('/') || name.contains("//") {
        return Err("it has an empty segment ('//')");
    }
    let mut seen = name.to_owned();
    for _ in 0..MOST_DECODINGS {
        if seen.split(['/', '\\']).any(|segment| matches!(segment, "." | "..")) {
            return Err("it has a '.' or '..' segment");
        }
        let next = decode_leniently(&seen);
        if next == seen {
            return Ok(());
        }
        seen = next;
    }
    Err("it is encoded too many times")
}

/// Decodes valid escapes and leaves the rest.
fn decode_leniently(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |offset: usize| bytes.get(at + offset).copied().and_then(hex);
        match (bytes[at], digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(high << 4 | low);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn name_is_decoded_once() {
        assert_eq!(decode("a/b%20c%2Bd%252F").unwrap(), "a/b c+d%2F");
        for text in ["%", "%2", "%zz", "a b", "a+b", "a=b", "ü", "%ff"] {
            assert!(decode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn name_that_decodes_to_dots_is_refused() {
        for name in ["a/b", "a/day=x%2Fy", "a/..b", "a/b..", "a/100%", "a/%zz", "a/", "a b/ü"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in [
            "a/../b",
            "a/./b",
            "..",
            "a/..",
            "/a",
            "a//b",
            "a\\b",
            "a?b",
            "a#b",
            "a\nb",
            "a/%2e%2e/b",
            "a/%252E./b",
            "a/..%2Fb",
            "a/x%2F..%2Fb",
            "a/x%5c..%5cb",
            "a/%25252525252525252525252525252e",
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn encoded_name_decodes_to_itself(name in "\\PC{0,12}") {
            let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(decode(&encoded).unwrap(), name);
        }

        #[test]
        fn arbitrary_text_does_not_panic(text in any::<String>()) {
            let _ = (decode(&text), check_name(&text));
        }
    }
}
