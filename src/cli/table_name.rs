//! Names of namespaces and tables as people type them: levels joined by dots, a dot inside a level written `\.`.

use tidewater_core::name::{NamespaceIdent, TableIdent};

/// Reads a namespace, such as `sales.eu`.
///
/// # Errors
/// Fails if the text is not a valid name. The error says why.
pub(crate) fn parse_namespace(text: &str) -> Result<NamespaceIdent, String> {
    NamespaceIdent::new(&levels(text)).map_err(|error| error.to_string())
}

/// Reads a table, such as `sales.eu.orders`.
///
/// # Errors
/// Fails if the text is not a valid name. The error says why.
pub(crate) fn parse_table(text: &str) -> Result<TableIdent, String> {
    let levels = levels(text);
    match levels.split_last() {
        Some((name, namespace)) if !namespace.is_empty() => {
            let namespace = NamespaceIdent::new(namespace).map_err(|error| error.to_string())?;
            TableIdent::new(namespace, name).map_err(|error| error.to_string())
        }
        _ => Err("write the namespace, a dot and the name, such as demo.tides".to_owned()),
    }
}

/// Formats a namespace so that [`parse_namespace`] reads it.
pub(crate) fn shown(namespace: &NamespaceIdent) -> String {
    joined(namespace.levels())
}

/// Joins the levels of a name, as they are typed.
pub(crate) fn joined<'a>(levels: impl Iterator<Item = &'a str>) -> String {
    let escaped = levels.map(|level| level.replace('\\', r"\\").replace('.', r"\."));
    escaped.collect::<Vec<_>>().join(".")
}

fn levels(text: &str) -> Vec<String> {
    let mut levels = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let taken = match character {
            '.' => {
                levels.push(String::new());
                continue;
            }
            '\\' => characters.next().unwrap_or('\\'),
            other => other,
        };
        if let Some(level) = levels.last_mut() {
            level.push(taken);
        }
    }
    levels
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn table_name_without_namespace_is_refused() {
        let ident = parse_table("a.b.c").unwrap();
        assert_eq!((ident.namespace.levels().count(), ident.name()), (2, "c"));
        for wrong in ["", "c", ".c", "a.", "a..c"] {
            assert!(parse_table(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn shown_namespace_parses_to_itself(levels in prop::collection::vec("[ab.\\\\é ]{1,6}", 1..4)) {
            prop_assume!(levels.iter().all(|level| level != "." && level != ".."));
            let namespace = NamespaceIdent::new(&levels).unwrap();
            prop_assert_eq!(parse_namespace(&shown(&namespace)).unwrap(), namespace);
        }
    }
}
