//! The settings of clients that sign in with a token, for `tidewater login --write`.

use clap::ValueEnum;
use tidewater_console::snippets::{
    Catalog, duckdb_attach, environment, pyiceberg_settings, spark_settings, trino_settings,
};

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

/// Returns the engine's settings for the catalog, with a token or an API key.
pub(crate) fn settings(engine: Engine, catalog: &Catalog<'_>) -> String {
    match engine {
        Engine::Pyiceberg => pyiceberg_settings(catalog),
        Engine::Spark => {
            let lines = spark_settings(catalog, "token");
            let lines: Vec<_> = lines.iter().map(|(name, value)| format!("{name} {value}")).collect();
            lines.join("\n")
        }
        Engine::Trino => trino_settings(catalog, "token"),
        Engine::Duckdb => duckdb_attach(catalog, ""),
        Engine::Env => environment(catalog),
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
