//! `tidewater label`.

use anyhow::Result;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::client::{Client, encoded};
use super::output::{self, Format, text};
use super::scope::{WarehouseArgument, encoded_namespace};
use super::table_name;

/// The object of labels: one of these options.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ObjectArgument {
    /// The namespace, such as sales.eu. Its tables, views and child namespaces inherit the labels
    #[arg(long, value_parser = table_name::parse_namespace)]
    namespace: Option<NamespaceIdent>,
    /// The table, such as sales.eu.orders
    #[arg(long, value_parser = table_name::parse_table)]
    table: Option<TableIdent>,
    /// The view, such as sales.eu.totals
    #[arg(long, value_parser = table_name::parse_table)]
    view: Option<TableIdent>,
}

/// The column of labels, if they are not of the object itself.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct ColumnArgument {
    /// The column of the table or view, such as customer.email
    #[arg(long, conflicts_with = "namespace")]
    column: Option<String>,
    /// The field id of the column
    #[arg(long, value_name = "ID", conflicts_with = "namespace")]
    field_id: Option<i32>,
}

/// An object and its warehouse.
#[derive(Debug, Args)]
pub(crate) struct OnArgument {
    #[command(flatten)]
    object: ObjectArgument,
    #[command(flatten)]
    warehouse: WarehouseArgument,
    #[command(flatten)]
    format: Format,
}

/// Commands for labels.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set labels of a namespace, table or view, or of a column. Others stay
    #[command(after_help = "\
Examples:
  tidewater label set owner=sales domain=retail --namespace sales
  tidewater label set class=pii --table sales.orders --column customer.email")]
    Set {
        /// The labels
        #[arg(required = true, value_name = "NAME=VALUE", value_parser = parse_label)]
        labels: Vec<(String, String)>,
        #[command(flatten)]
        column: ColumnArgument,
        #[command(flatten)]
        on: OnArgument,
    },
    /// Find the namespaces, tables and views that have or inherit a label, or whose columns have it
    #[command(after_help = "Example:\n  tidewater label find class=pii --org acme")]
    Find {
        /// The label's name, and its value unless any will do
        #[arg(value_name = "NAME[=VALUE]")]
        label: String,
        /// Leave out objects that only inherit the label
        #[arg(long)]
        own: bool,
        #[command(flatten)]
        warehouse: WarehouseArgument,
        #[command(flatten)]
        format: Format,
    },
    /// Show the labels of a namespace, table or view, and those that it inherits
    Show(OnArgument),
    /// Delete labels of a namespace, table or view, or of a column. Others stay
    #[command(after_help = "Example:\n  tidewater label delete owner --table sales.orders")]
    Delete {
        /// The names of the labels
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        column: ColumnArgument,
        #[command(flatten)]
        on: OnArgument,
    },
}

/// Reads a label.
fn parse_label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write the name, = and the value, such as owner=sales")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl OnArgument {
    /// Returns the path of the object's labels.
    async fn path(&self, client: &Client) -> Result<String> {
        let path = match (&self.object.namespace, &self.object.table, &self.object.view) {
            (Some(namespace), ..) => format!("/namespaces/{}", encoded_namespace(namespace)),
            (None, Some(table), _) => below("tables", table),
            (None, None, Some(view)) => below("views", view),
            // The command line requires one.
            (None, None, None) => anyhow::bail!("Give --namespace, --table or --view"),
        };
        Ok(self.warehouse.find(client).await?.path(&format!("{path}/labels")))
    }

    /// Returns the object, for a sentence.
    fn shown(&self) -> String {
        let ObjectArgument { namespace, table, view } = &self.object;
        let namespace = namespace.as_ref().map(|namespace| format!("namespace '{namespace}'"));
        let table = table.as_ref().map(|table| format!("table '{table}'"));
        namespace.or(table).or_else(|| view.as_ref().map(|view| format!("view '{view}'"))).unwrap_or_default()
    }

    /// Changes labels of the object, or of a column.
    async fn change(&self, client: &Client, column: &ColumnArgument, change: Value, done: &str) -> Result<()> {
        let (body, of) = column.apply(change);
        let labels = client.send(Method::PATCH, &self.path(client).await?, Some(&body)).await?;
        output::done(self.format, &format!("{done} {of}{}.", self.shown()), &labels)
    }
}

impl ColumnArgument {
    /// Returns the body of a change of the column's labels, and the column for a sentence.
    fn apply(&self, mut change: Value) -> (Value, String) {
        let of = match (&self.column, self.field_id) {
            (Some(column), _) => {
                change["column"] = column.as_str().into();
                format!("column '{column}' of ")
            }
            (None, Some(id)) => {
                change["field-id"] = id.into();
                format!("field {id} of ")
            }
            (None, None) => return (change, String::new()),
        };
        (json!({ "fields": [change] }), of)
    }
}

fn below(kind: &str, ident: &TableIdent) -> String {
    format!("/namespaces/{}/{kind}/{}", encoded_namespace(&ident.namespace), encoded(ident.name()))
}

/// Runs a command for labels.
pub(crate) async fn run(client: &Client, command: &Command) -> Result<()> {
    match command {
        Command::Set { labels, column, on } => {
            let set: Map<String, Value> =
                labels.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
            on.change(client, column, json!({ "set": set }), "Set labels of").await
        }
        Command::Delete { names, column, on } => {
            on.change(client, column, json!({ "remove": names }), "Deleted labels of").await
        }
        Command::Find { label, own, warehouse, format } => {
            let query = match label.split_once('=') {
                Some((name, value)) => format!("key={}&value={}", encoded(name), encoded(value)),
                None => format!("key={}", encoded(label)),
            };
            let path = warehouse.find(client).await?.path(&format!("/labels?inherited={}&{query}", !own));
            let found = client.list(&path, "objects").await?;
            if format.json {
                return output::json(&found);
            }
            let rows: Vec<_> = found.iter().flat_map(found_rows).collect();
            output::table(&["type", "object", "of", "value", "from"], &rows, "no object has the label")
        }
        Command::Show(on) => {
            let labels = client.get(&on.path(client).await?).await?;
            if on.format.json {
                return output::json(&labels);
            }
            output::table(&["of", "label", "value", "from"], &rows(&labels), "there are no labels here")
        }
    }
}

/// Returns an object with a label as rows: the object, then its columns.
fn found_rows(object: &Value) -> Vec<Vec<String>> {
    let levels = |levels: &Value| -> Vec<String> {
        levels.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let name = levels(&object["namespace"]).into_iter().chain(object["name"].as_str().map(str::to_owned));
    let name = name.collect::<Vec<_>>().join(".");
    let row = |of: String, value: &Value, from: String| {
        vec![text(object, "type"), name.clone(), of, value.as_str().unwrap_or_default().to_owned(), from]
    };
    let itself = || "itself".to_owned();
    let from = object.get("inherited-from").map_or_else(itself, |from| format!("namespace {}", levels(from).join(".")));
    let own = object.get("value").map(|value| row("the object".to_owned(), value, from));
    let fields = object["fields"].as_array().into_iter().flatten();
    own.into_iter()
        .chain(fields.map(|field| row(format!("field {}", field["field-id"]), &field["value"], itself())))
        .collect()
}

/// Returns the labels in an answer as rows: of the object, then of columns.
fn rows(labels: &Value) -> Vec<Vec<String>> {
    let pairs = |labels: &Value| -> Vec<(String, String)> {
        let labels = labels.as_object().into_iter().flatten();
        labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
    };
    let own = &labels["object-labels"];
    let mut rows: Vec<_> = pairs(&labels["effective-labels"])
        .into_iter()
        .map(|(name, value)| {
            let from = if own.get(&name).is_some() { "itself" } else { "a namespace" };
            vec!["the object".to_owned(), name, value, from.to_owned()]
        })
        .collect();
    for field in labels["fields"].as_array().into_iter().flatten() {
        let of = field["column"].as_str().map_or_else(|| format!("field {}", field["field-id"]), str::to_owned);
        let of_column = pairs(&field["labels"]).into_iter();
        rows.extend(of_column.map(|(name, value)| vec![of.clone(), name, value, "itself".to_owned()]));
    }
    rows
}
