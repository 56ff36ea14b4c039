//! The settings of clients that sign in with a token, for `tidewater login --write`.

use clap::ValueEnum;

use super::snippets::{duckdb_attach, spark_settings, trino_settings};

/// A client, or the environment of a shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// `.pyiceberg.yaml`
    Pyiceberg,
    /// A properties file for Spark's `--properties-file`
    Spark,
    /// A file of `etc/catalog`
    Trino,
    /// Statements for DuckDB
    Duckdb,
    /// Variables for a shell, PyIceberg and `tidewater`
    Env,
}

/// The catalog of an engine, named `tidewater`.
pub(crate) struct Catalog<'a> {
    /// The server's address, without a slash at its end.
    pub(crate) uri: &'a str,
    pub(crate) warehouse: &'a str,
    /// A token, or an API key.
    pub(crate) token: &'a str,
}

/// Returns the engine's settings for the catalog.
pub(crate) fn settings(engine: Engine, catalog: &Catalog<'_>) -> String {
    let Catalog { uri, warehouse, token } = *catalog;
    match engine {
        Engine::Pyiceberg => format!(
            "\
catalog:
  tidewater:
    type: rest
    uri: '{uri}'
    warehouse: '{warehouse}'
    token: '{token}'"
        ),
        Engine::Spark => {
            let lines = spark_settings(uri, warehouse, ("token", token));
            let lines: Vec<_> = lines.iter().map(|(name, value)| format!("{name} {value}")).collect();
            lines.join("\n")
        }
        Engine::Trino => trino_settings(uri, warehouse, ("token", token)),
        Engine::Duckdb => duckdb_attach(uri, warehouse, token, ""),
        Engine::Env => format!(
            "\
export TIDEWATER_URI='{uri}'
export TIDEWATER_API_KEY='{token}'
export TIDEWATER_WAREHOUSE='{warehouse}'
export PYICEBERG_CATALOG__TIDEWATER__TYPE='rest'
export PYICEBERG_CATALOG__TIDEWATER__URI='{uri}'
export PYICEBERG_CATALOG__TIDEWATER__WAREHOUSE='{warehouse}'
export PYICEBERG_CATALOG__TIDEWATER__TOKEN='{token}'"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_every_engine_have_the_address_the_warehouse_and_the_token() {
        let catalog = Catalog { uri: "https://c.example.com", warehouse: "lake", token: "t.t.t" };
        for engine in Engine::value_variants() {
            let text = settings(*engine, &catalog);
            assert!(["https://c.example.com", "lake", "t.t.t"].iter().all(|part| text.contains(part)), "{text}");
        }
    }
}
