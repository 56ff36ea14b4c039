//! Times and durations as people read and write them.

use chrono::{DateTime, SecondsFormat};
use tidewater::base::clock::Clock;

/// Formats a time in milliseconds since 1970 as `2026-11-23T01:02:03Z`. Shows a time outside the calendar as the number.
pub(crate) fn shown(ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(ms);
    time.map_or_else(|| ms.to_string(), |time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// Formats a time, or returns `none` if there is no time.
pub(crate) fn shown_or(ms: Option<i64>, none: &str) -> String {
    ms.map_or_else(|| none.to_owned(), shown)
}

/// Returns the time of a duration ago, as a query parameter: in milliseconds since 1970.
pub(crate) fn ago(ago_ms: i64) -> String {
    Clock::System.now_ms().saturating_sub(ago_ms).to_string()
}

/// Parses a duration such as `90d`, `12h`, `30m` or `45s`. Returns milliseconds.
///
/// # Errors
/// Fails if the text has another form. The error shows the right form.
pub(crate) fn parse_duration_ms(text: &str) -> Result<i64, String> {
    let wrong = || format!("'{text}' is not a duration: write a number and d, h, m or s, such as 90d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: i64 = match unit {
        'd' => 86_400,
        'h' => 3_600,
        'm' => 60,
        's' => 1,
        _ => return Err(wrong()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    if number == 0 {
        return Err(wrong());
    }
    Ok(i64::from(number) * seconds * 1_000)
}

/// How long a new or changed key works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// For so many milliseconds from now.
    Ms(i64),
    /// Until it is revoked.
    Endless,
}

impl Lifetime {
    /// Parses `never`, or a duration until the key expires.
    ///
    /// # Errors
    /// Fails if the text has another form. The error shows the right form.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self::Endless),
            duration => parse_duration_ms(duration).map(Self::Ms).map_err(|error| format!("{error}, or `never`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_formatted_in_utc() {
        assert_eq!(shown(0), "1970-01-01T00:00:00Z");
        assert_eq!(shown(-1), "1969-12-31T23:59:59Z");
        assert_eq!(shown(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(shown(1_785_542_399_999), "2026-07-31T23:59:59Z");
        assert_eq!(shown(4_107_542_400_000), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn lifetime_is_a_duration_or_never() {
        assert_eq!(Lifetime::parse("never"), Ok(Lifetime::Endless));
        assert_eq!(Lifetime::parse("1s"), Ok(Lifetime::Ms(1_000)));
        assert!(Lifetime::parse("Never").unwrap_err().ends_with(", or `never`"));
    }

    #[test]
    fn duration_without_number_or_unit_is_refused() {
        assert_eq!(parse_duration_ms("90d"), Ok(90 * 86_400_000));
        assert_eq!(parse_duration_ms("1s"), Ok(1_000));
        for wrong in ["", "d", "90", "-1d", "0h", "1w", "1é", "99999999999d"] {
            assert!(parse_duration_ms(wrong).is_err(), "{wrong}");
        }
    }
}
