//! The settings of clients for a catalog. The command line and the console share them.

/// A catalog as clients know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Catalog<'a> {
    /// The server's address, without a slash at its end.
    pub uri: &'a str,
    /// The warehouse.
    pub warehouse: &'a str,
    /// A token, or an API key.
    pub token: &'a str,
}

/// Returns the statements that attach a warehouse in DuckDB. `options` are further options of `ATTACH`.
#[must_use]
pub fn duckdb_attach(catalog: &Catalog<'_>, options: &str) -> String {
    let Catalog { uri, warehouse, token } = catalog;
    format!(
        "\
INSTALL iceberg; LOAD iceberg;
ATTACH '{warehouse}' AS tidewater (TYPE ICEBERG, ENDPOINT '{uri}', TOKEN '{token}'{options});"
    )
}

/// Returns the settings of a Spark catalog. `sign_in` is the name of the last one, which has the token.
#[must_use]
pub fn spark_settings(catalog: &Catalog<'_>, sign_in: &str) -> Vec<(String, String)> {
    let Catalog { uri, warehouse, token } = catalog;
    let tokens = format!("{uri}/v1/oauth/tokens");
    let of_catalog = [
        ("", "org.apache.iceberg.spark.SparkCatalog"),
        (".type", "rest"),
        (".uri", uri),
        (".warehouse", warehouse),
        (".rest.auth.type", "oauth2"),
        (".oauth2-server-uri", &tokens),
        (&format!(".{sign_in}"), token),
    ]
    .map(|(setting, value)| (format!("spark.sql.catalog.tidewater{setting}"), value.to_owned()));
    let extensions = "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions";
    std::iter::once(("spark.sql.extensions".to_owned(), extensions.to_owned())).chain(of_catalog).collect()
}

/// Returns the command of a Spark shell, without a query.
#[must_use]
pub fn spark_shell(catalog: &Catalog<'_>) -> String {
    let settings = spark_settings(catalog, "credential");
    let options: Vec<String> = settings.iter().map(|(name, value)| format!("  --conf {name}={value}")).collect();
    format!(
        "spark-sql --packages org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0 \\\n{}",
        options.join(" \\\n")
    )
}

/// Returns the settings of a Trino catalog, a line each. `sign_in` is the name of the last one, which has the token.
#[must_use]
pub fn trino_settings(catalog: &Catalog<'_>, sign_in: &str) -> String {
    let Catalog { uri, warehouse, token } = catalog;
    format!(
        "\
connector.name=iceberg
iceberg.catalog.type=rest
iceberg.rest-catalog.uri={uri}
iceberg.rest-catalog.warehouse={warehouse}
iceberg.rest-catalog.security=OAUTH2
iceberg.rest-catalog.oauth2.{sign_in}={token}"
    )
}

/// Returns `.pyiceberg.yaml`.
#[must_use]
pub fn pyiceberg_settings(catalog: &Catalog<'_>) -> String {
    let Catalog { uri, warehouse, token } = catalog;
    format!(
        "\
catalog:
  tidewater:
    type: rest
    uri: '{uri}'
    warehouse: '{warehouse}'
    token: '{token}'"
    )
}

/// Returns the Python statement that loads the catalog.
#[must_use]
pub fn pyiceberg_load(catalog: &Catalog<'_>) -> String {
    let Catalog { uri, warehouse, token } = catalog;
    format!("catalog = load_catalog('tidewater', type='rest', uri='{uri}', warehouse='{warehouse}', token='{token}')")
}

/// Returns the variables of a shell for PyIceberg and `tidewater`.
#[must_use]
pub fn environment(catalog: &Catalog<'_>) -> String {
    let Catalog { uri, warehouse, token } = catalog;
    format!(
        "\
export TIDEWATER_URI='{uri}'
export TIDEWATER_API_KEY='{token}'
export TIDEWATER_WAREHOUSE='{warehouse}'
export PYICEBERG_CATALOG__TIDEWATER__TYPE='rest'
export PYICEBERG_CATALOG__TIDEWATER__URI='{uri}'
export PYICEBERG_CATALOG__TIDEWATER__WAREHOUSE='{warehouse}'
export PYICEBERG_CATALOG__TIDEWATER__TOKEN='{token}'"
    )
}

/// Returns the statement of a catalog integration for a Snowflake worksheet. Snowflake reaches only a public address.
#[must_use]
pub fn snowflake_integration(catalog: &Catalog<'_>, namespace: &str) -> String {
    let Catalog { uri, warehouse, token } = catalog;
    format!(
        "\
CREATE CATALOG INTEGRATION tidewater
  CATALOG_SOURCE = ICEBERG_REST TABLE_FORMAT = ICEBERG CATALOG_NAMESPACE = '{namespace}'
  REST_CONFIG = (
    CATALOG_URI = '{uri}' CATALOG_NAME = '{warehouse}'
    ACCESS_DELEGATION_MODE = VENDED_CREDENTIALS
  )
  REST_AUTHENTICATION = (TYPE = BEARER BEARER_TOKEN = '{token}')
  ENABLED = TRUE;
SELECT SYSTEM$VERIFY_CATALOG_INTEGRATION('tidewater');"
    )
}

/// Returns the request for the configuration, for any shell.
#[must_use]
pub fn curl(catalog: &Catalog<'_>) -> String {
    let Catalog { uri, warehouse, token } = catalog;
    format!("curl -H 'Authorization: Bearer {token}' '{uri}/v1/config?warehouse={}'", crate::link::encoded(warehouse))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_every_client_have_the_address_the_warehouse_and_the_token() {
        let catalog = Catalog { uri: "https://c.example.com", warehouse: "lake", token: "t.t.t" };
        let texts = [
            duckdb_attach(&catalog, ""),
            spark_shell(&catalog),
            trino_settings(&catalog, "token"),
            pyiceberg_settings(&catalog),
            pyiceberg_load(&catalog),
            environment(&catalog),
            snowflake_integration(&catalog, "demo"),
            curl(&catalog),
        ];
        for text in texts {
            assert!(["https://c.example.com", "lake", "t.t.t"].iter().all(|part| text.contains(part)), "{text}");
        }
    }
}
