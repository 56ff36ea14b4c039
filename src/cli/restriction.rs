//! `tidewater restriction`.

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};
use tidewater_core::name::TableIdent;
use tidewater_core::restrictions::Mask;

use super::client::{Client, encoded};
use super::output::{self, Format, text};
use super::scope::{OrganisationArgument, WarehouseArgument, encoded_namespace};
use super::table_name;

/// The table of a restriction.
#[derive(Debug, Args)]
pub(crate) struct TableArgument {
    /// The table, such as sales.eu.orders
    #[arg(long, value_parser = table_name::parse_table)]
    table: TableIdent,
    #[command(flatten)]
    warehouse: WarehouseArgument,
    #[command(flatten)]
    format: Format,
}

/// The restriction of a principal role on a table.
#[derive(Debug, Args)]
pub(crate) struct RestrictionArgument {
    /// The principal role
    role: String,
    #[command(flatten)]
    on: TableArgument,
}

/// A key or user.
#[derive(Debug, Args)]
pub(crate) struct EngineArgument {
    /// The key or user with which the engine signs in
    principal: String,
    #[command(flatten)]
    organisation: OrganisationArgument,
    #[command(flatten)]
    format: Format,
}

/// Commands for read restrictions.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set which rows of a table a principal role may read, and how columns are masked. Replaces an earlier restriction
    #[command(after_help = "\
Examples:
  tidewater restriction set analysts --table sales.orders --mask card=show-last-4 --mask email=replace-with-null --org acme
  tidewater restriction set germany --table sales.orders --org acme \\
    --filter '{\"type\":\"eq\",\"term\":\"country\",\"value\":\"DE\"}' --others plan")]
    Set {
        #[command(flatten)]
        restriction: RestrictionArgument,
        /// The filter of visible rows, as JSON (REST specification, Expression)
        #[arg(long, value_name = "JSON")]
        filter: Option<String>,
        /// A column and how it is masked: mask-alphanum, mask-to-fixed-value, replace-with-null, show-first-4, show-last-4,
        /// truncate-to-year, truncate-to-month, sha-256-global or sha-256-query-local
        #[arg(long, value_name = "COLUMN=ACTION", value_parser = parse_mask)]
        mask: Vec<(String, Mask)>,
        /// What callers get that are not trusted engines: nothing, or plans without credentials
        #[arg(long, default_value = "refuse", value_parser = ["refuse", "plan"])]
        others: String,
    },
    /// Show the restriction of a principal role on a table
    Show(RestrictionArgument),
    /// Remove the restriction of a principal role on a table
    Delete(RestrictionArgument),
    /// List the restrictions on a table
    List(TableArgument),
    /// Trust the engine that signs in with a key or as a user: it gets restrictions, and applies them
    #[command(after_help = "Example:\n  tidewater restriction trust spark-governed --org acme")]
    Trust(EngineArgument),
    /// Trust an engine no longer
    Distrust(EngineArgument),
    /// List the trusted engines
    Trusted {
        #[command(flatten)]
        organisation: OrganisationArgument,
        #[command(flatten)]
        format: Format,
    },
}

/// Reads a column and its mask.
fn parse_mask(text: &str) -> Result<(String, Mask), String> {
    let (column, action) =
        text.rsplit_once('=').ok_or("write the column, = and the action, such as card=show-last-4")?;
    Ok((column.to_owned(), action.parse::<Mask>().map_err(|error| error.to_string())?))
}

impl TableArgument {
    /// Returns the path of the table's restrictions.
    async fn path(&self, client: &Client) -> Result<String> {
        let (namespace, name) = (encoded_namespace(&self.table.namespace), encoded(self.table.name()));
        let path = format!("/namespaces/{namespace}/tables/{name}/restrictions");
        Ok(self.warehouse.find(client).await?.path(&path))
    }
}

impl RestrictionArgument {
    async fn path(&self, client: &Client) -> Result<String> {
        Ok(format!("{}/{}", self.on.path(client).await?, encoded(&self.role)))
    }
}

/// Runs a command for read restrictions.
pub(crate) async fn run(client: &Client, command: &Command) -> Result<()> {
    match command {
        Command::Set { restriction, filter, mask, others } => {
            let masks: Vec<_> =
                mask.iter().map(|(column, mask)| json!({ "column": column, "action": mask.as_str() })).collect();
            let mut body = json!({ "masks": masks, "others": others });
            if let Some(filter) = filter {
                body["filter"] = serde_json::from_str(filter).context("The filter is not JSON")?;
            }
            let path = restriction.path(client).await?;
            client.send(Method::PUT, &path, Some(&body)).await?;
            let RestrictionArgument { role, on } = restriction;
            output::done(on.format, &format!("Restricted '{role}' on table '{}'.", on.table), &client.get(&path).await?)
        }
        Command::Show(restriction) => {
            let one = client.get(&restriction.path(client).await?).await?;
            if restriction.on.format.json {
                return output::json(&one);
            }
            output::fields(&[
                ("principal role", text(&one, "principal-role")),
                ("rows", rows_of(&one)),
                ("masks", masks_of(&one)),
                ("other callers", text(&one, "others")),
            ])
        }
        Command::Delete(restriction) => {
            client.send(Method::DELETE, &restriction.path(client).await?, None).await?;
            let RestrictionArgument { role, on } = restriction;
            let done = json!({ "principal-role": role, "table": on.table.to_string() });
            output::done(on.format, &format!("Removed the restriction of '{role}' on table '{}'.", on.table), &done)
        }
        Command::List(table) => {
            let all = client.list(&table.path(client).await?, "restrictions").await?;
            if table.format.json {
                return output::json(&all);
            }
            let row = |one: &Value| vec![text(one, "principal-role"), rows_of(one), masks_of(one), text(one, "others")];
            let rows: Vec<_> = all.iter().map(row).collect();
            output::table(&["principal role", "rows", "masks", "other callers"], &rows, "the table has no restrictions")
        }
        Command::Trust(engine) => trust(client, engine, Method::PUT, "is trusted").await,
        Command::Distrust(engine) => trust(client, engine, Method::DELETE, "is not trusted").await,
        Command::Trusted { organisation, format } => {
            let path = organisation.find(client).await?.path("/trusted-engines");
            let all = client.list(&path, "principals").await?;
            if format.json {
                return output::json(&all);
            }
            let rows: Vec<_> = all.iter().map(|one| vec![text(one, "name"), text(one, "type")]).collect();
            output::table(&["name", "type"], &rows, "no engine is trusted")
        }
    }
}

async fn trust(client: &Client, engine: &EngineArgument, method: Method, now: &str) -> Result<()> {
    let EngineArgument { principal, organisation, format } = engine;
    let path = organisation.find(client).await?.path(&format!("/trusted-engines/{}", encoded(principal)));
    client.send(method, &path, None).await?;
    output::done(*format, &format!("The engine of '{principal}' {now}."), &json!({ "principal": principal }))
}

/// Returns the filter of a restriction, for people.
fn rows_of(restriction: &Value) -> String {
    match &restriction["filter"] {
        Value::Null => "all".to_owned(),
        filter => filter.to_string(),
    }
}

/// Returns the masks of a restriction, for people.
fn masks_of(restriction: &Value) -> String {
    let mask = |mask: &Value| {
        let column = mask["column"].as_str().map_or_else(|| format!("field {}", mask["field-id"]), str::to_owned);
        format!("{column}: {}", text(mask, "action"))
    };
    let masks: Vec<_> = restriction["masks"].as_array().into_iter().flatten().map(mask).collect();
    masks.join(", ")
}
