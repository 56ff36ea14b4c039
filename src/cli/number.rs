//! Arguments that are numbers or ids. The errors of standard parsers name no argument and no right form.

use tidewater_core::ids::TableId;

/// Parses the most entries to show.
///
/// # Errors
/// Fails if the text is not a whole number above 0.
pub(crate) fn parse_limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| *limit > 0);
    limit.ok_or_else(|| "it must be a whole number above 0".to_owned())
}

/// Parses the id of a table or view.
///
/// # Errors
/// Fails if the text is not a UUID.
pub(crate) fn parse_id(text: &str) -> Result<TableId, String> {
    text.parse().map_err(|_| "it must be a UUID, as in the list of dropped objects".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_is_a_whole_number_above_0() {
        assert_eq!(parse_limit("20"), Ok(20));
        assert!(["", "0", "-1", "x", "1.5"].iter().all(|text| parse_limit(text).is_err()));
    }

    #[test]
    fn id_is_a_uuid() {
        assert!(parse_id("0198c2a4-5e1f-7a60-9d1b-2f6f0c1d2e3a").is_ok() && parse_id("orders").is_err());
    }
}
