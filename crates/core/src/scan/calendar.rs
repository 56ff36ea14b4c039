//! Dates and times: between numbers since 1970 and ISO 8601 text (specification, appendix D, "JSON single-value
//! serialization"). The calendar is the proleptic Gregorian one, also for years before 0 and after 9999.

/// The microseconds of a day.
pub const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The nanoseconds of a day.
pub const NANOS_PER_DAY: i64 = 86_400_000_000_000;

/// The highest offset from UTC that Java accepts, in seconds.
const MAX_OFFSET_S: i128 = 18 * 3600;

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// The year. 0 is the year before 1.
    pub year: i64,
    /// The month, from 1 to 12.
    pub month: i64,
    /// The day of the month, from 1 to 31.
    pub day: i64,
}

impl Date {
    /// Returns the date of a day since 1970-01-01. Shifts years to begin in March, so that a leap day is the last of its year.
    #[must_use]
    pub fn from_days(days: i64) -> Self {
        // Days since 0000-03-01. 400 years have 146,097 days.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        Self { year, month, day }
    }

    /// Returns the days since 1970-01-01.
    #[must_use]
    pub fn to_days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month_from_march = (self.month + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// Returns the date if its month has such a day.
    fn checked(year: i64, month: i64, day: i64) -> Option<Self> {
        let leap = year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
        let days = match month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        (1..=days).contains(&day).then_some(Self { year, month, day })
    }
}

/// Parses `2026-01-31` to days since 1970-01-01. As in Java, a year has four to ten digits, with `-` before year 0, and with
/// `+` if it has more than four. Returns None for any other text.
#[must_use]
pub fn parse_date(text: &str) -> Option<i64> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (0, text),
    };
    let (year, rest) = rest.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let plausible = match sign {
        0 => year.len() == 4,
        1 => (5..=10).contains(&year.len()),
        _ => (4..=10).contains(&year.len()),
    };
    let year = number(year).filter(|year| plausible && (sign >= 0 || *year != 0))?;
    let year = if sign < 0 { -year } else { year };
    Some(Date::checked(year, two_digits(month)?, two_digits(day)?)?.to_days())
}

/// Parses `22:31:08.123456789` to nanoseconds since midnight. Seconds and the fraction are optional, as in Java. Returns None
/// for any other text.
#[must_use]
pub fn parse_time(text: &str) -> Option<i64> {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let mut parts = clock.split(':');
    let hours = two_digits(parts.next()?).filter(|hours| *hours < 24)?;
    let minutes = two_digits(parts.next()?).filter(|minutes| *minutes < 60)?;
    let seconds = match parts.next() {
        Some(seconds) => two_digits(seconds).filter(|seconds| *seconds < 60)?,
        None if fraction.is_some() => return None,
        None => 0,
    };
    let nanos = match fraction {
        Some(digits) if (1..=9).contains(&digits.len()) => {
            number(digits)? * 10_i64.pow(9 - u32::try_from(digits.len()).ok()?)
        }
        Some(_) => return None,
        None => 0,
    };
    let whole = (hours * 60 + minutes) * 60 + seconds;
    parts.next().is_none().then_some(whole * 1_000_000_000 + nanos)
}

/// Parses `2026-01-31T22:31:08.123456+00:00` to nanoseconds since 1970-01-01T00:00.
///
/// With `zoned`, converts the time to UTC; a text without an offset is in UTC, as some clients send it. Otherwise an offset is
/// refused, as in Java. Returns None for any other text.
#[must_use]
pub fn parse_timestamp(text: &str, zoned: bool) -> Option<i128> {
    let (date, rest) = text.split_once(['T', 't'])?;
    let (time, offset) = match rest.find(['+', '-', 'Z', 'z']) {
        Some(at) if zoned => (&rest[..at], parse_offset(&rest[at..])?),
        Some(_) => return None,
        None => (rest, 0),
    };
    let local = i128::from(parse_date(date)?) * i128::from(NANOS_PER_DAY) + i128::from(parse_time(time)?);
    Some(local - offset * 1_000_000_000)
}

/// Parses `Z`, `+01:00` or `-01:30:15` to seconds.
fn parse_offset(text: &str) -> Option<i128> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let negative = text.starts_with('-');
    let mut parts = text.get(1..)?.split(':');
    let hours = two_digits(parts.next()?)?;
    let minutes = two_digits(parts.next()?).filter(|minutes| *minutes < 60)?;
    let seconds = parts.next().map_or(Some(0), two_digits).filter(|seconds| *seconds < 60)?;
    let offset = i128::from((hours * 60 + minutes) * 60 + seconds);
    let valid = parts.next().is_none() && offset <= MAX_OFFSET_S;
    valid.then_some(if negative { -offset } else { offset })
}

fn two_digits(text: &str) -> Option<i64> {
    (text.len() == 2).then(|| number(text)).flatten()
}

fn number(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Returns `2026-01-31` for days since 1970-01-01, with the signs that [`parse_date`] reads.
#[must_use]
pub fn format_date(days: i32) -> String {
    format_day(i64::from(days))
}

/// Returns `22:31:08.123456` for microseconds since midnight.
#[must_use]
pub fn format_time(micros: i64) -> String {
    format_clock(micros, 1_000_000, 6)
}

/// Returns `2026-01-31T22:31:08.123456` for microseconds since 1970, with `+00:00` at the end if it is zoned.
#[must_use]
pub fn format_timestamp(micros: i64, zoned: bool) -> String {
    let clock = format_clock(micros.rem_euclid(MICROS_PER_DAY), 1_000_000, 6);
    joined(micros.div_euclid(MICROS_PER_DAY), &clock, zoned)
}

/// Returns `2026-01-31T22:31:08.123456789` for nanoseconds since 1970, with `+00:00` at the end if it is zoned.
#[must_use]
pub fn format_timestamp_nano(nanos: i64, zoned: bool) -> String {
    let clock = format_clock(nanos.rem_euclid(NANOS_PER_DAY), 1_000_000_000, 9);
    joined(nanos.div_euclid(NANOS_PER_DAY), &clock, zoned)
}

fn joined(days: i64, clock: &str, zoned: bool) -> String {
    format!("{}T{clock}{}", format_day(days), if zoned { "+00:00" } else { "" })
}

fn format_day(days: i64) -> String {
    let Date { year, month, day } = Date::from_days(days);
    let sign = match year {
        ..0 => "-",
        0..10_000 => "",
        _ => "+",
    };
    format!("{sign}{:04}-{month:02}-{day:02}", year.abs())
}

fn format_clock(units: i64, units_per_second: i64, digits: usize) -> String {
    let (seconds, fraction) = (units / units_per_second, units % units_per_second);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{fraction:0digits$}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_of_all_years_are_parsed() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2024-02-29", 19_782),
            ("2000-02-29", 11_016),
            ("0001-01-01", -719_162),
            ("0000-01-01", -719_528),
            ("-0001-12-31", -719_529),
            ("9999-12-31", 2_932_896),
            ("+10000-01-01", 2_932_897),
            ("+5881580-07-11", 2_147_483_647),
            ("-5877641-06-23", -2_147_483_648),
        ] {
            assert_eq!(parse_date(text), Some(days), "{text}");
            assert_eq!(format_date(i32::try_from(days).unwrap()), text);
        }
    }

    #[test]
    fn text_that_is_no_date_is_refused() {
        for text in [
            "",
            "-",
            "1970",
            "1970-1-1",
            "1970-01-1",
            "1970-13-01",
            "1970-00-01",
            "1970-01-00",
            "2023-02-29",
            "1900-02-29",
            "10000-01-01",
            "+1970-01-01",
            "-0000-01-01",
            "1970-01-01T00:00",
            " 1970-01-01",
            "1970-01-01 ",
            "19700101",
            "1970-04-31",
            "+99999999999-01-01",
            "é970-01-01",
            "1970-é-01",
            "1970-01-0a",
            "--001-01-01",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn times_have_optional_seconds_and_fractions() {
        for (text, nanos) in [
            ("00:00", 0),
            ("22:31", 81_060_000_000_000),
            ("00:00:01", 1_000_000_000),
            ("00:00:00.1", 100_000_000),
            ("00:00:00.000000001", 1),
            ("23:59:59.999999999", NANOS_PER_DAY - 1),
        ] {
            assert_eq!(parse_time(text), Some(nanos), "{text}");
        }
        for text in [
            "",
            "24:00:00",
            "00:60:00",
            "00:00:60",
            "0:00:00",
            "00:00:00.",
            "00:00:00.0000000001",
            "00:00.5",
            "00",
            "00:00:00:00",
            "00:00:0é",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn zoned_timestamps_are_converted_to_utc() {
        let second = 1_000_000_000;
        for (text, nanos) in [
            ("1970-01-01T00:00:01Z", second),
            ("1970-01-01T00:00:01+00:00", second),
            ("1970-01-01t00:00:01z", second),
            ("1970-01-01T01:00:01+01:00", second),
            ("1969-12-31T22:30:01-01:30", second),
            ("1970-01-01T00:00:01", second),
            ("1970-01-01T00:00:31+00:00:30", second),
            ("1970-01-01T18:00:01+18:00", second),
        ] {
            assert_eq!(parse_timestamp(text, true), Some(nanos), "{text}");
        }
        for text in [
            "1970-01-01T00:00:01+18:01",
            "1970-01-01T00:00:01+1",
            "1970-01-01T00:00:01+0100",
            "1970-01-01T00:00+01:00[Europe/Paris]",
            "1970-01-01",
            "1970-01-01 00:00:01",
            "1970-01-01T00:00:01Zé",
        ] {
            assert_eq!(parse_timestamp(text, true), None, "{text}");
        }
    }

    #[test]
    fn offset_of_an_unzoned_timestamp_is_refused() {
        assert_eq!(parse_timestamp("1969-12-31T23:59:59.999999999", false), Some(-1));
        for text in ["1970-01-01T00:00:01Z", "1970-01-01T00:00:01+00:00"] {
            assert_eq!(parse_timestamp(text, false), None, "{text}");
        }
    }

    #[test]
    fn timestamps_before_1970_are_formatted() {
        assert_eq!(format_timestamp(-1, false), "1969-12-31T23:59:59.999999");
        assert_eq!(format_timestamp_nano(-1, true), "1969-12-31T23:59:59.999999999+00:00");
        assert_eq!(format_time(81_068_000_001), "22:31:08.000001");
    }

    proptest! {
        #[test]
        fn formatted_numbers_are_parsed_to_themselves(days: i32, number: i64, zoned: bool, micros in 0..MICROS_PER_DAY) {
            prop_assert_eq!(parse_date(&format_date(days)), Some(i64::from(days)));
            prop_assert_eq!(parse_time(&format_time(micros)), Some(micros * 1_000));
            prop_assert_eq!(parse_timestamp(&format_timestamp(number, zoned), zoned), Some(i128::from(number) * 1_000));
            prop_assert_eq!(parse_timestamp(&format_timestamp_nano(number, zoned), zoned), Some(i128::from(number)));
        }

        #[test]
        fn each_day_follows_the_day_before(days in -1_000_000_000_i64..1_000_000_000) {
            let (today, tomorrow) = (Date::from_days(days), Date::from_days(days + 1));
            prop_assert_eq!(today.to_days(), days);
            prop_assert!((today.year, today.month, today.day) < (tomorrow.year, tomorrow.month, tomorrow.day));
            prop_assert!(Date::checked(today.year, today.month, today.day).is_some());
        }

        #[test]
        fn parsers_never_panic(text: String, clock in "[-+0-9TtZz:.é]{0,40}") {
            for text in [text, clock] {
                let _ = (parse_date(&text), parse_time(&text), parse_timestamp(&text, true), parse_timestamp(&text, false));
            }
        }
    }
}
