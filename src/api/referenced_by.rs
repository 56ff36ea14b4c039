//! The parameter `referenced-by`: the views through which a client reads a table, the outermost first.

use percent_encoding::percent_decode_str;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::error::ApiError;

/// The most views that lead to one table.
const MAX_VIEWS: usize = 64;

/// Separates the levels of a view's name.
const SEPARATOR: char = '\u{1f}';

/// Parses view names that are separated by commas, and their levels by 0x1F. Clients encode each name before they encode the
/// parameter, so each name is decoded again. Ignores invalid names.
///
/// # Errors
/// 400 if there are more than [`MAX_VIEWS`] names.
pub(super) fn parse(text: &str) -> Result<Vec<TableIdent>, ApiError> {
    if text.split(',').count() > MAX_VIEWS {
        return Err(ApiError::bad_request(format!("referenced-by must name at most {MAX_VIEWS} views")));
    }
    Ok(text.split(',').filter_map(view).collect())
}

fn view(name: &str) -> Option<TableIdent> {
    let name = percent_decode_str(name).decode_utf8().ok()?;
    let (namespace, name) = name.rsplit_once(SEPARATOR)?;
    let namespace = NamespaceIdent::new(&namespace.split(SEPARATOR).collect::<Vec<_>>()).ok()?;
    TableIdent::new(namespace, name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_keep_their_order_and_invalid_names_are_ignored() {
        let names = |text: &str| parse(text).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names("db\u{1f}outer,a\u{1f}b\u{1f}inner"), ["db.outer", "a.b.inner"]);
        assert_eq!(names("db%1Fwith%2Ccomma"), ["db.with,comma"]);
        assert_eq!(names("alone,,\u{1f}v,db\u{1f}"), [] as [&str; 0]);
        assert!(parse(&vec!["a\u{1f}v"; 65].join(",")).is_err());
    }
}
