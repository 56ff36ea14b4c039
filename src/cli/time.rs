//! Times and durations as people read and write them.

/// A time in milliseconds since 1970 as `2026-11-23T01:02:03Z`.
pub(crate) fn shown(ms: i64) -> String {
    let seconds = ms.div_euclid(1_000);
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", of_day / 3_600, of_day / 60 % 60, of_day % 60)
}

/// A time that need not be.
pub(crate) fn shown_or(ms: Option<i64>, none: &str) -> String {
    ms.map_or_else(|| none.to_owned(), shown)
}

/// The date of a day counted from 1970-01-01, in the proleptic Gregorian calendar. Years are counted from March, so that
/// the leap day is the last of its year, in eras of 400 years, which all have the same number of days.
fn civil(day: i64) -> (i64, i64, i64) {
    const DAYS_FROM_MARCH_OF_YEAR_0: i64 = 719_468;
    const ERA_DAYS: i64 = 146_097;
    let day = day + DAYS_FROM_MARCH_OF_YEAR_0;
    let (era, of_era) = (day.div_euclid(ERA_DAYS), day.rem_euclid(ERA_DAYS));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Reads `90d`, `12h`, `30m` or `45s`. Gives milliseconds.
///
/// # Errors
/// When it is none of these; the text says what is.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_are_shown_right() {
        assert_eq!(shown(0), "1970-01-01T00:00:00Z");
        assert_eq!(shown(-1), "1969-12-31T23:59:59Z");
        assert_eq!(shown(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(shown(1_785_542_399_999), "2026-07-31T23:59:59Z");
        assert_eq!(shown(4_107_542_400_000), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn every_day_follows_the_one_before_it() {
        let mut before = civil(-800_000);
        for day in -799_999..800_000 {
            let now = civil(day);
            let next_day = (now.0, now.1) == (before.0, before.1) && now.2 == before.2 + 1;
            let next_month = now.2 == 1 && (28..=31).contains(&before.2) && (now.1 == before.1 % 12 + 1);
            assert!(next_day || next_month, "{before:?} {now:?}");
            before = now;
        }
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration_ms("90d"), Ok(90 * 86_400_000));
        assert_eq!(parse_duration_ms("1s"), Ok(1_000));
        for wrong in ["", "d", "90", "-1d", "0h", "1w", "1é", "99999999999d"] {
            assert!(parse_duration_ms(wrong).is_err(), "{wrong}");
        }
    }
}
