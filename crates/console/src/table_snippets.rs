//! How each engine reads a table: the settings of the catalog, and a query.

use crate::browse::Location;
use crate::doctor::Snippet;
use crate::link::encoded;
use crate::snippets::{self, Catalog};

/// Returns the statements and commands that read the first rows of a table, for each engine.
#[must_use]
pub fn table_snippets(catalog: &Catalog<'_>, place: &Location, table: &str) -> Vec<Snippet> {
    let snippet = |id, title, text| Snippet { id, title, text };
    // Engines with two levels have the levels of a namespace as one name.
    let flat = format!("tidewater.{}.{}", doubled(&place.levels.join("."), '"'), doubled(table, '"'));
    let parts = place.levels.iter().map(String::as_str).chain([table]);
    let nested = parts.clone().map(|part| doubled(part, '`')).collect::<Vec<_>>().join(".");
    let query = format!("SELECT * FROM tidewater.{nested} LIMIT 10").replace('\'', r"'\''");
    let tuple = parts.map(python).collect::<Vec<_>>().join(", ");
    vec![
        snippet(
            "duckdb",
            "DuckDB",
            format!("{}\nSELECT * FROM {flat} LIMIT 10;", snippets::duckdb_attach(catalog, "")),
        ),
        snippet(
            "pyiceberg",
            "PyIceberg",
            format!(
                "from pyiceberg.catalog import load_catalog\n{}\ntable = catalog.load_table(({tuple}))\nprint(table.scan(limit=10).to_arrow())",
                snippets::pyiceberg_load(catalog)
            ),
        ),
        snippet("spark", "Spark", format!("{} \\\n  -e '{query}'", snippets::spark_shell(catalog))),
        snippet("trino", "Trino", format!("SELECT * FROM {flat} LIMIT 10;")),
        snippet("curl", "curl", load(catalog, place, table)),
    ]
}

/// Returns the request that loads a table.
fn load(catalog: &Catalog<'_>, place: &Location, table: &str) -> String {
    let Catalog { uri, warehouse, token } = catalog;
    let [warehouse, namespace, table] = [warehouse, place.key().as_str(), table].map(encoded);
    format!("curl -H 'Authorization: Bearer {token}' '{uri}/v1/{warehouse}/namespaces/{namespace}/tables/{table}'")
}

/// Quotes a name for SQL.
fn doubled(name: &str, quote: char) -> String {
    let twice = format!("{quote}{quote}");
    format!("{quote}{}{quote}", name.replace(quote, &twice))
}

/// Quotes a text for Python.
fn python(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(key: &str, table: &str) -> Vec<(&'static str, String)> {
        let catalog = Catalog { uri: "http://h", warehouse: "lake", token: "flx_x" };
        let snippets = table_snippets(&catalog, &Location::new("lake", key), table);
        snippets.into_iter().map(|one| (one.id, one.text)).collect()
    }

    fn text(all: &[(&'static str, String)], id: &str) -> String {
        all.iter().find(|(one, _)| *one == id).unwrap().1.clone()
    }

    #[test]
    fn levels_are_one_name_or_several_as_the_engine_has_them() {
        let all = all("sales\u{1f}eu", "orders");
        assert!(text(&all, "duckdb").ends_with("SELECT * FROM tidewater.\"sales.eu\".\"orders\" LIMIT 10;"));
        assert_eq!(text(&all, "trino"), "SELECT * FROM tidewater.\"sales.eu\".\"orders\" LIMIT 10;");
        assert!(text(&all, "spark").ends_with("-e 'SELECT * FROM tidewater.`sales`.`eu`.`orders` LIMIT 10'"));
        assert!(text(&all, "pyiceberg").contains("load_table(('sales', 'eu', 'orders'))"));
        assert!(text(&all, "curl").ends_with("'http://h/v1/lake/namespaces/sales%1Feu/tables/orders'"));
    }

    #[test]
    fn names_cannot_end_their_quotes() {
        let all = all("a\"b", "c`d'e\\");
        assert!(text(&all, "trino").contains("\"a\"\"b\".\"c`d'e\\\""));
        assert!(text(&all, "spark").contains(r"`c``d'\''e\`"));
        assert!(text(&all, "pyiceberg").contains(r#"('a"b', 'c`d\'e\\')"#));
    }
}
