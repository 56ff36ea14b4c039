//! The header `traceparent` (W3C Trace Context, level 2, section 3.2).

use http::HeaderName;

/// The header with the ids of a trace and of the span that a request belongs to.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The header with values of tracing systems, which are passed on unchanged.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The flag of a trace whose spans are recorded.
pub(super) const SAMPLED: u8 = 1;

/// The flag of a trace whose id is random.
pub(super) const RANDOM: u8 = 2;

/// The content of a `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
    pub(super) flags: u8,
}

impl Parent {
    /// Parses a header. Returns `None` if it is not valid: then the request begins a trace of its own.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (version, rest) = (text.get(..2)?, text.get(2..)?);
        let version = u8::try_from(lower_hex(version)?).ok().filter(|version| *version != 0xff)?;
        let fields = rest.get(..53)?;
        // A later version may have more fields, after a dash.
        match (version, rest.get(53)) {
            (_, None) => {}
            (0, Some(_)) => return None,
            (_, Some(next)) => (*next == b'-').then_some(())?,
        }
        if fields[0] != b'-' || fields[33] != b'-' || fields[50] != b'-' {
            return None;
        }
        let trace_id = lower_hex(&fields[1..33])?;
        let span_id = u64::try_from(lower_hex(&fields[34..50])?).ok()?;
        let flags = u8::try_from(lower_hex(&fields[51..53])?).ok()?;
        (trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id, flags: flags & (SAMPLED | RANDOM) })
    }

    /// Writes the header.
    pub(super) fn to_text(self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

/// Parses at most 32 lower-case hexadecimal digits.
fn lower_hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn valid_header_is_parsed_and_written_alike() {
        let parent = Parent::parse(VALID.as_bytes()).unwrap();
        assert_eq!(parent.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!((parent.span_id, parent.flags), (0xb7ad_6b71_6920_3331, SAMPLED));
        assert_eq!(parent.to_text(), VALID);
        let later = VALID.replacen("00", "cc", 1) + "-more";
        assert_eq!(Parent::parse(later.as_bytes()).unwrap().trace_id, parent.trace_id);
        let unknown_flags = VALID.replace("-01", "-ff");
        assert_eq!(Parent::parse(unknown_flags.as_bytes()).unwrap().flags, SAMPLED | RANDOM);
    }

    #[test]
    fn invalid_header_is_ignored() {
        for invalid in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
        ] {
            assert_eq!(Parent::parse(invalid.as_bytes()), None, "{invalid}");
        }
    }
}
