//! Times of policies as people write them: `5d`, `12h`.

/// The units, the longest first, in milliseconds.
const UNITS: [(&str, i64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

/// Formats milliseconds with the longest unit that gives a whole number.
#[must_use]
pub fn shown(ms: i64) -> String {
    let unit = UNITS.iter().find(|(_, unit_ms)| ms != 0 && ms % unit_ms == 0);
    unit.map_or_else(|| "0s".to_owned(), |(name, unit_ms)| format!("{}{name}", ms / unit_ms))
}

/// Parses a whole number with a unit, in milliseconds. `None` if it is not one.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|one: char| one.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit.trim())?;
    number.parse::<i64>().ok()?.checked_mul(*unit_ms)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn time_has_a_number_and_a_unit() {
        assert_eq!(["5d", "90 min", " 7s "].map(parse), [Some(432_000_000), Some(5_400_000), Some(7_000)]);
        for wrong in ["", "5", "d", "-5d", "5w", "1.5d", "99999999999999999999d", "9999999999999999d", "５d"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!([0, 86_400_000, 90_000, 1_500].map(shown), ["0s", "1d", "90s", "1500ms"]);
    }

    proptest! {
        #[test]
        fn shown_time_is_read_as_itself(ms in 0_i64..=i64::MAX) {
            prop_assert_eq!(parse(&shown(ms)), Some(ms));
        }
    }
}
