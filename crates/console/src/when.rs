//! Times that people write.

/// Parses a time in UTC, written as `2026-08-01`, `2026-08-01T12:30` or with a space for the `T`. Returns milliseconds since 1970, or
/// `None` for another text.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    let (date, clock) = text.trim().split_once(['T', ' ']).unwrap_or((text.trim(), "00:00"));
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute] = numbers(clock, ':')?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let of_month = *days.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    let is_valid = (1970..=9999).contains(&year) && (1..=of_month).contains(&day) && hour < 24 && minute < 60;
    // Days since 1970-01-01 in years that begin in March, after Hinnant's algorithm.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let day = era * 146_097 + day_of_era - 719_468;
    is_valid.then_some(((day * 24 + hour) * 60 + minute) * 60_000)
}

/// Parses whole numbers of at most four digits between separators.
fn numbers<const COUNT: usize>(text: &str, separator: char) -> Option<[i64; COUNT]> {
    let number = |part: &str| {
        let is_number = (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { part.parse().ok() } else { None }
    };
    let numbers: Vec<i64> = text.split(separator).map(number).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format;

    #[test]
    fn days_and_minutes_are_parsed_and_other_texts_are_not() {
        assert_eq!(parse("2026-08-01T12:30"), Some(1_785_587_400_000));
        assert_eq!((parse("1970-01-01"), parse("1970-01-01 00:01")), (Some(0), Some(60_000)));
        assert!(parse("2024-02-29").is_some());
        for wrong in [
            "",
            "2026",
            "2025-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-08-01T24:00",
            "+026-08-01",
            "1-1-1-1",
            "1969-12-31",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn written_time_is_parsed_back(minutes in 0_i64..4_223_371_680) {
            let text = format::time(minutes * 60_000);
            prop_assert_eq!(parse(&text[..16]), Some(minutes * 60_000), "{}", text);
        }

        #[test]
        fn no_text_panics(text in ".{0,30}") {
            let _ = parse(&text);
        }
    }
}
