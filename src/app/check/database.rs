//! Looks at the database: whether it can be opened, and whether migrations are pending.

use std::time::Duration;

use tokio::time::timeout;

use super::found::with_causes;
use crate::app::postgres_settings;
use crate::config::Config;
use crate::data_folder::check_database_is_there;
use crate::store::{self, Inspected, InspectedCatalog};

/// How long a PostgreSQL database may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(20);

/// The outcome of the check.
pub(super) struct Outcome {
    /// The catalog, if it can be read.
    pub(super) catalog: Option<InspectedCatalog>,
    /// What was found, or why the database cannot be used.
    pub(super) found: Result<String, String>,
    /// Whether a person should look at it.
    pub(super) is_warning: bool,
}

impl Outcome {
    fn failed(why: String) -> Self {
        Self { catalog: None, found: Err(why), is_warning: false }
    }
}

/// Looks at the database without changing it.
pub(super) async fn look(config: &Config) -> Outcome {
    let inspected = match postgres_settings(&config.store) {
        Some(settings) => match timeout(ANSWER_TIME, store::inspect_postgres(&settings)).await {
            Ok(inspected) => inspected.map_err(|error| with_causes(&error)),
            Err(_) => Err(format!("it has not answered within {} s", ANSWER_TIME.as_secs())),
        },
        None => look_at_file(config).await,
    };
    match inspected {
        Err(why) => Outcome::failed(why),
        Ok(None) => Outcome {
            catalog: None,
            found: Ok("there is no catalog yet: the first start creates it".to_owned()),
            is_warning: true,
        },
        Ok(Some(Inspected { schema_version, known_version, pending_migrations: 0, catalog })) => {
            let organisations = catalog.as_ref().map_or(0, |catalog| catalog.organisations.len());
            let found = match known_version < schema_version {
                true => format!(
                    "schema {schema_version}, which this program (schema {known_version}) can use; {organisations} organisations"
                ),
                false => format!("schema {schema_version}, up to date; {organisations} organisations"),
            };
            Outcome { catalog, found: Ok(found), is_warning: false }
        }
        Ok(Some(Inspected { schema_version, known_version, pending_migrations, .. })) => Outcome {
            catalog: None,
            found: Ok(format!(
                "schema {schema_version}: the next start makes {pending_migrations} migrations, to {known_version}. Make a \
                 backup first. What is in the catalog was not checked"
            )),
            is_warning: true,
        },
    }
}

async fn look_at_file(config: &Config) -> Result<Option<Inspected>, String> {
    let (folder, file) = (config.data_dir.clone(), config.database());
    check_database_is_there(&folder, &file).map_err(|error| error.to_string())?;
    if !file.exists() {
        return Ok(None);
    }
    let looking = tokio::task::spawn_blocking(move || store::inspect_sqlite(&file));
    looking.await.map_err(|error| error.to_string())?.map_err(|error| with_causes(&error))
}
