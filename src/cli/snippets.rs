//! Commands that query the sample table, for each engine. `docs/engines/` has more about each.

use std::path::Path;

use super::quickstart::Welcome;

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
    let Welcome { uri, warehouse, api_key, namespace, table } = welcome;
    format!(
        "\
{}
SELECT station, count(*) AS readings, max(level_m) AS highest FROM tidewater.{namespace}.{table} GROUP BY station;",
        duckdb_attach(uri, warehouse, api_key, ", ACCESS_DELEGATION_MODE 'none'")
    )
}

/// Returns the statements that attach a warehouse in DuckDB. `options` are further options of `ATTACH`.
pub(super) fn duckdb_attach(uri: &str, warehouse: &str, token: &str, options: &str) -> String {
    format!(
        "\
INSTALL iceberg; LOAD iceberg;
ATTACH '{warehouse}' AS tidewater (TYPE ICEBERG, ENDPOINT '{uri}', TOKEN '{token}'{options});"
    )
}

/// Returns the snippet for Python.
fn pyiceberg(welcome: &Welcome) -> String {
    let Welcome { uri, warehouse, api_key, namespace, table } = welcome;
    format!(
        "\
from pyiceberg.catalog import load_catalog
catalog = load_catalog('tidewater', type='rest', uri='{uri}', warehouse='{warehouse}', token='{api_key}')
print(catalog.load_table('{namespace}.{table}').scan(limit=10).to_arrow())"
    )
}

/// Returns the snippet for a shell with Spark 4.1.
fn spark(welcome: &Welcome) -> String {
    let Welcome { uri, warehouse, api_key, namespace, table } = welcome;
    let settings = spark_settings(uri, warehouse, ("credential", api_key));
    let options: String = settings.iter().map(|(name, value)| format!("  --conf {name}={value} \\\n")).collect();
    format!(
        "\
spark-sql --packages org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0 \\
{options}  -e 'SELECT * FROM tidewater.{namespace}.{table} LIMIT 10'"
    )
}

/// Returns the settings of a Spark catalog. `sign_in` is the last one.
pub(super) fn spark_settings(uri: &str, warehouse: &str, sign_in: (&str, &str)) -> Vec<(String, String)> {
    let (name, value) = sign_in;
    let tokens = format!("{uri}/v1/oauth/tokens");
    let of_catalog = [
        ("", "org.apache.iceberg.spark.SparkCatalog"),
        (".type", "rest"),
        (".uri", uri),
        (".warehouse", warehouse),
        (".rest.auth.type", "oauth2"),
        (".oauth2-server-uri", &tokens),
        (&format!(".{name}"), value),
    ]
    .map(|(setting, value)| (format!("spark.sql.catalog.tidewater{setting}"), value.to_owned()));
    let extensions = "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions";
    std::iter::once(("spark.sql.extensions".to_owned(), extensions.to_owned())).chain(of_catalog).collect()
}

/// Returns the file of a Trino catalog. The query is a comment in it, so the whole snippet can be pasted into the file.
fn trino(welcome: &Welcome) -> String {
    let Welcome { uri, warehouse, api_key, namespace, table } = welcome;
    format!(
        "\
# etc/catalog/tidewater.properties; the two lines with `local` let it read this machine's disk, where the tables are
{}
fs.local.enabled=true
local.location=/
# then restart Trino, and in its shell:
# SELECT station, count(*) AS readings, max(level_m) AS highest FROM tidewater.{namespace}.{table} GROUP BY station;",
        trino_settings(uri, warehouse, ("credential", api_key))
    )
}

/// Returns the settings of a Trino catalog, a line each. `sign_in` is the last one.
pub(super) fn trino_settings(uri: &str, warehouse: &str, sign_in: (&str, &str)) -> String {
    let (name, value) = sign_in;
    format!(
        "\
connector.name=iceberg
iceberg.catalog.type=rest
iceberg.rest-catalog.uri={uri}
iceberg.rest-catalog.warehouse={warehouse}
iceberg.rest-catalog.security=OAUTH2
iceberg.rest-catalog.oauth2.{name}={value}"
    )
}

/// Returns the snippet for a Snowflake worksheet. Values that a quickstart does not have are placeholders in angle brackets.
fn snowflake(welcome: &Welcome) -> String {
    let Welcome { warehouse, namespace, .. } = welcome;
    format!(
        "\
CREATE CATALOG INTEGRATION tidewater
  CATALOG_SOURCE = ICEBERG_REST TABLE_FORMAT = ICEBERG CATALOG_NAMESPACE = '{namespace}'
  REST_CONFIG = (
    CATALOG_URI = '<A PUBLIC ADDRESS, WITH https://>' CATALOG_NAME = '{warehouse}'
    ACCESS_DELEGATION_MODE = VENDED_CREDENTIALS
  )
  REST_AUTHENTICATION = (TYPE = BEARER BEARER_TOKEN = '<AN API KEY>')
  ENABLED = TRUE;
SELECT SYSTEM$VERIFY_CATALOG_INTEGRATION('tidewater');"
    )
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
