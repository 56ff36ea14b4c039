//! Commands that query the sample table, for each engine. `docs/engines/` has more about each.

use std::path::Path;

use tidewater_console::snippets::{
    Catalog, duckdb_attach, pyiceberg_load, snowflake_integration, spark_shell, trino_settings,
};

use super::quickstart::Welcome;

/// Returns the catalog of a quickstart, for the settings of clients.
fn catalog(welcome: &Welcome) -> Catalog<'_> {
    Catalog { uri: &welcome.uri, warehouse: welcome.warehouse, token: &welcome.api_key }
}

/// Returns the text that a quickstart prints: connection details and snippets for each engine.
pub(crate) fn banner(welcome: &Welcome, data_dir: &Path) -> String {
    let Welcome { uri, warehouse, api_key, namespace, table } = welcome;
    let head = format!(
        "\
Tidewater answers at {uri}

  warehouse     {warehouse}
  API key       {api_key}
  sample table  {namespace}.{table}
  kept in       {}

The key administers this catalog. It is stored in quickstart.json in that folder; only you can read the file.",
        data_dir.display()
    );
    let sections = [
        ("DuckDB, on this machine (tried with 1.5.5)", duckdb(welcome)),
        (
            "PyIceberg, on this machine: python3 -m venv venv && venv/bin/pip install 'pyiceberg[pyarrow]'; run it with venv/bin/python",
            pyiceberg(welcome),
        ),
        ("Spark 4.1, on this machine: venv/bin/pip install pyspark==4.1.4, with Java 17 or newer", spark(welcome)),
        ("Trino 483 or newer, on this machine: a file, and a query", trino(welcome)),
        ("Snowflake: needs tables in object storage, and a catalog that it can reach", snowflake(welcome)),
        ("curl", curl(welcome)),
    ];
    let sections = sections.map(|(title, snippet)| format!("--- {title}\n{snippet}"));
    format!("{head}\n\n{}\n\nCtrl-C stops the server. The next start keeps all data.", sections.join("\n\n"))
}

/// Returns the snippet for DuckDB's shell.
fn duckdb(welcome: &Welcome) -> String {
    let Welcome { namespace, table, .. } = welcome;
    format!(
        "\
{}
SELECT station, count(*) AS readings, max(level_m) AS highest FROM tidewater.{namespace}.{table} GROUP BY station;",
        duckdb_attach(&catalog(welcome), ", ACCESS_DELEGATION_MODE 'none'")
    )
}

/// Returns the snippet for Python.
fn pyiceberg(welcome: &Welcome) -> String {
    let Welcome { namespace, table, .. } = welcome;
    format!(
        "\
from pyiceberg.catalog import load_catalog
{}
print(catalog.load_table('{namespace}.{table}').scan(limit=10).to_arrow())",
        pyiceberg_load(&catalog(welcome))
    )
}

/// Returns the snippet for a shell with Spark 4.1.
fn spark(welcome: &Welcome) -> String {
    let Welcome { namespace, table, .. } = welcome;
    format!("{} \\\n  -e 'SELECT * FROM tidewater.{namespace}.{table} LIMIT 10'", spark_shell(&catalog(welcome)))
}

/// Returns the file of a Trino catalog. The query is a comment in it, so the whole snippet can be pasted into the file.
fn trino(welcome: &Welcome) -> String {
    let Welcome { namespace, table, .. } = welcome;
    format!(
        "\
# etc/catalog/tidewater.properties; the two lines with `local` let it read this machine's disk, where the tables are
{}
fs.local.enabled=true
local.location=/
# then restart Trino, and in its shell:
# SELECT station, count(*) AS readings, max(level_m) AS highest FROM tidewater.{namespace}.{table} GROUP BY station;",
        trino_settings(&catalog(welcome), "credential")
    )
}

/// Returns the snippet for a Snowflake worksheet. Values that a quickstart does not have are placeholders in angle brackets.
fn snowflake(welcome: &Welcome) -> String {
    let service =
        Catalog { uri: "<A PUBLIC ADDRESS, WITH https://>", warehouse: welcome.warehouse, token: "<AN API KEY>" };
    snowflake_integration(&service, welcome.namespace)
}

/// Returns the snippet for any shell.
fn curl(welcome: &Welcome) -> String {
    let Welcome { uri, api_key, namespace, table, .. } = welcome;
    format!("curl -H 'Authorization: Bearer {api_key}' {uri}/v1/namespaces/{namespace}/tables/{table}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn welcome() -> Welcome {
        Welcome {
            uri: "http://127.0.0.1:9".into(),
            warehouse: "house",
            api_key: "flx_key".into(),
            namespace: "space",
            table: "things",
        }
    }

    #[test]
    fn every_snippet_for_this_machine_names_the_address_and_the_key() {
        for snippet in [duckdb, pyiceberg, spark, trino, curl] {
            let text = snippet(&welcome());
            assert!(text.contains("http://127.0.0.1:9") && text.contains("flx_key"), "{text}");
        }
    }

    #[test]
    fn every_snippet_with_a_query_names_the_table() {
        for snippet in [duckdb, pyiceberg, spark, trino] {
            assert!(snippet(&welcome()).contains("space.things"));
        }
        assert!(curl(&welcome()).ends_with("/v1/namespaces/space/tables/things"));
    }

    #[test]
    fn snippet_for_a_remote_service_has_no_local_address_and_no_key() {
        let text = snowflake(&welcome());
        assert!(!text.contains("127.0.0.1") && !text.contains("flx_"), "{text}");
    }

    /// Removes the differences between a page and a terminal: white space, the kind of quotes, backslashes at line ends.
    fn plain(text: &str) -> String {
        text.replace('"', "'").chars().filter(|c| !c.is_whitespace() && *c != '\\').collect()
    }

    #[test]
    fn snippets_are_the_same_in_the_documentation() {
        let documented = Welcome {
            uri: "http://127.0.0.1:8181".into(),
            warehouse: "quickstart",
            api_key: "flx_...".into(),
            namespace: "demo",
            table: "tides",
        };
        let readme = include_str!("../../README.md");
        for (snippet, page) in [
            (duckdb as fn(&Welcome) -> String, readme),
            (duckdb, include_str!("../../docs/engines/duckdb.md")),
            (pyiceberg, readme),
            (spark, include_str!("../../docs/engines/spark.md")),
            (trino, include_str!("../../docs/engines/trino.md")),
            (snowflake, include_str!("../../docs/engines/snowflake.md")),
        ] {
            let text = snippet(&documented)
                .replace("<A PUBLIC ADDRESS, WITH https://>", "https://catalog.example.com")
                .replace("<AN API KEY>", "flx_...");
            // Comments without a query are only for the terminal.
            let mut parts = text.lines().filter(|line| !line.starts_with("# ") || line.starts_with("# SELECT"));
            let missing = parts.find(|line| !plain(page).contains(&plain(line.trim_start_matches("# "))));
            assert_eq!(missing, None, "the page has another text");
        }
    }

    #[test]
    fn banner_contains_every_snippet() {
        let banner = banner(&welcome(), Path::new("/data"));
        for part in [duckdb, pyiceberg, spark, trino, snowflake, curl] {
            assert!(banner.contains(&part(&welcome())));
        }
        assert!(banner.contains("/data") && !banner.contains("{"), "{banner}");
    }
}
