//! Times, sizes and numbers for people.

/// The milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Formats a time in milliseconds since 1970, as `2026-08-01 12:30:05 UTC`. Returns an empty text for times after the year 9999.
#[must_use]
pub fn time(ms: i64) -> String {
    let (year, month, day) = date(ms.div_euclid(DAY_MS));
    if !(0..=9_999).contains(&year) {
        return String::new();
    }
    let seconds = ms.rem_euclid(DAY_MS) / 1_000;
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Returns the date of a day that is counted from 1970-01-01, after Hinnant's algorithm for the proleptic Gregorian calendar.
fn date(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_month)
}

/// Formats a whole number with separators: `1,234,567`.
#[must_use]
pub fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a size in bytes: `3.4 MiB`.
#[must_use]
pub fn bytes(size: i64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if size.unsigned_abs() < 1_024 {
        return format!("{size} B");
    }
    let (mut whole, mut tenths, mut unit) = (size, 0, 0);
    for (at, _) in UNITS.iter().enumerate() {
        if whole.unsigned_abs() < 1_024 {
            break;
        }
        tenths = (whole.unsigned_abs() % 1_024) * 10 / 1_024;
        whole /= 1_024;
        unit = at;
    }
    format!("{whole}.{tenths} {}", UNITS[unit])
}

/// Shortens a text to `most` characters, with an ellipsis.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_written_as_date_and_hour() {
        for (ms, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (1_785_587_405_999, "2026-08-01 12:30:05 UTC"),
            (1_709_208_000_000, "2024-02-29 12:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
            (i64::MAX, ""),
            (i64::MIN, ""),
        ] {
            assert_eq!(time(ms), text, "{ms}");
        }
    }

    #[test]
    fn numbers_have_separators_and_sizes_have_units() {
        assert_eq!([0, 999, 1_000, 1_234_567, -12_345].map(count), ["0", "999", "1,000", "1,234,567", "-12,345"]);
        assert_eq!(
            [0, 1_023, 1_024, 1_536, 5 << 20, i64::MAX].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 MiB", "7.9 EiB"]
        );
        assert_eq!((cut("größe", 2).as_str(), cut("größe", 5).as_str()), ("gr…", "größe"));
    }
}
