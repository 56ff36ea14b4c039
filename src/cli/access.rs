//! `tidewater role`, `tidewater grant` and `tidewater access`.

use anyhow::Result;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::client::{Client, encoded};
use super::output::{self, Format, text};
use super::scope::{WarehouseArgument, encoded_namespace};
use super::table_name;

/// The role of a command.
#[derive(Debug, Args)]
pub(crate) struct RoleArgument {
    /// The role's name
    name: String,
    /// Use a catalog role of the warehouse (a set of grants) instead of a principal role (a group of keys)
    #[arg(long)]
    catalog: bool,
    #[command(flatten)]
    warehouse: WarehouseArgument,
    #[command(flatten)]
    format: Format,
}

/// Commands for roles.
#[derive(Debug, Subcommand)]
pub(crate) enum RoleCommand {
    /// Create a role
    #[command(after_help = "\
Examples:
  tidewater role create analysts --org acme
  tidewater role create sales-readers --catalog --org acme --warehouse lake")]
    Create {
        #[command(flatten)]
        role: RoleArgument,
        /// Succeed if there is a role of that name already
        #[arg(long)]
        if_not_exists: bool,
    },
    /// Show a role: who has it, and the grants of a catalog role
    Show(RoleArgument),
    /// Delete a role, with its assignments and grants
    Delete(RoleArgument),
    /// List the principal roles, or the catalog roles of a warehouse
    List {
        /// List the catalog roles of the warehouse
        #[arg(long)]
        catalog: bool,
        #[command(flatten)]
        warehouse: WarehouseArgument,
        #[command(flatten)]
        format: Format,
    },
    /// Assign a principal role to a key or user, or a catalog role to a principal role
    #[command(after_help = "\
Examples:
  tidewater role assign analysts etl --org acme
  tidewater role assign analysts alice@example.com --org acme
  tidewater role assign sales-readers analysts --catalog --org acme")]
    Assign {
        #[command(flatten)]
        role: RoleArgument,
        /// The key or user, or with --catalog the principal role
        to: String,
    },
    /// Revoke a role from a key, a user or a principal role
    Revoke {
        #[command(flatten)]
        role: RoleArgument,
        /// The key or user, or with --catalog the principal role
        from: String,
    },
}

/// The object of a grant or an explanation. The default is the warehouse.
#[derive(Debug, Args)]
pub(crate) struct ObjectArgument {
    /// A namespace, such as sales.eu
    #[arg(long, value_parser = table_name::parse_namespace, conflicts_with_all = ["table", "view"])]
    namespace: Option<NamespaceIdent>,
    /// A table, such as sales.eu.orders
    #[arg(long, value_parser = table_name::parse_table, conflicts_with = "view")]
    table: Option<TableIdent>,
    /// A view, such as sales.eu.totals
    #[arg(long, value_parser = table_name::parse_table)]
    view: Option<TableIdent>,
    #[command(flatten)]
    warehouse: WarehouseArgument,
}

/// A grant of a catalog role.
#[derive(Debug, Args)]
pub(crate) struct GrantArgument {
    /// The catalog role
    role: String,
    /// The privilege, such as TABLE_READ_DATA or SELECT
    privilege: String,
    #[command(flatten)]
    object: ObjectArgument,
    #[command(flatten)]
    format: Format,
}

/// Commands for grants.
#[derive(Debug, Subcommand)]
pub(crate) enum GrantCommand {
    /// Grant a privilege to a catalog role
    #[command(after_help = "Example:\n  tidewater grant add sales-readers SELECT --namespace sales --org acme")]
    Add(GrantArgument),
    /// Revoke a privilege from a catalog role
    Revoke(GrantArgument),
    /// List the grants of a catalog role
    List {
        /// The catalog role
        role: String,
        #[command(flatten)]
        warehouse: WarehouseArgument,
        #[command(flatten)]
        format: Format,
    },
}

/// Commands for access.
#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// Explain whether a key or user may do an action. Without one, list the principals that may
    #[command(after_help = "\
Examples:
  tidewater access explain read-table-data --key etl --table sales.orders --org acme
  tidewater access explain drop-table --table sales.orders --org acme
  tidewater access explain load-table --key ana --engine trino --table sales.orders --org acme")]
    Explain {
        /// The action, such as load-table, read-table-data, commit-table or drop-namespace
        action: String,
        /// The name or id of a key
        #[arg(long, conflicts_with = "user")]
        key: Option<String>,
        /// The id, subject, email address or name of a user
        #[arg(long)]
        user: Option<String>,
        /// The scope of the key's token, such as PRINCIPAL_ROLE:analysts
        #[arg(long)]
        scope: Option<String>,
        /// The name or id of the key of an engine that acts for the key's user
        #[arg(long, value_name = "KEY")]
        engine: Option<String>,
        #[command(flatten)]
        object: ObjectArgument,
        #[command(flatten)]
        format: Format,
    },
}

impl RoleArgument {
    /// Returns the path of the roles of this kind.
    async fn path(&self, client: &Client) -> Result<String> {
        roles_path(client, self.catalog, &self.warehouse).await
    }

    const fn kind(&self) -> &'static str {
        if self.catalog { "catalog role" } else { "principal role" }
    }
}

async fn roles_path(client: &Client, catalog: bool, warehouse: &WarehouseArgument) -> Result<String> {
    Ok(match catalog {
        true => warehouse.find(client).await?.path("/catalog-roles"),
        false => warehouse.organisation().find(client).await?.path("/principal-roles"),
    })
}

/// Runs a command for roles.
pub(crate) async fn role(client: &Client, command: &RoleCommand) -> Result<()> {
    match command {
        RoleCommand::Create { role, if_not_exists } => {
            let roles = role.path(client).await?;
            if *if_not_exists && let Some(found) = find_role(client, &roles, &role.name).await? {
                return output::done(
                    role.format,
                    &format!("The {} '{}' exists already.", role.kind(), role.name),
                    &found,
                );
            }
            let created = client.post(&roles, &json!({ "name": role.name })).await?;
            output::done(role.format, &format!("Created {} '{}'.", role.kind(), role.name), &created)
        }
        RoleCommand::Show(role) => show_role(client, role).await,
        RoleCommand::Delete(role) => {
            let path = format!("{}/{}", role.path(client).await?, encoded(&role.name));
            client.send(Method::DELETE, &path, None).await?;
            let done = json!({ "name": role.name });
            output::done(role.format, &format!("Deleted {} '{}'.", role.kind(), role.name), &done)
        }
        RoleCommand::List { catalog, warehouse, format } => {
            let all = client.list(&roles_path(client, *catalog, warehouse).await?, "roles").await?;
            if format.json {
                return output::json(&all);
            }
            let rows: Vec<_> = all.iter().map(|one| vec![text(one, "name"), text(one, "id")]).collect();
            output::table(&["name", "id"], &rows, "there are no roles")
        }
        RoleCommand::Assign { role, to } => {
            assign(client, role, to, Method::PUT).await?;
            let done = json!({ "role": role.name, "to": to });
            output::done(role.format, &format!("Assigned {} '{}' to '{to}'.", role.kind(), role.name), &done)
        }
        RoleCommand::Revoke { role, from } => {
            assign(client, role, from, Method::DELETE).await?;
            let done = json!({ "role": role.name, "from": from });
            output::done(role.format, &format!("Revoked {} '{}' from '{from}'.", role.kind(), role.name), &done)
        }
    }
}

async fn find_role(client: &Client, roles: &str, name: &str) -> Result<Option<Value>> {
    Ok(client.list(roles, "roles").await?.into_iter().find(|one| one["name"] == *name))
}

/// Prints a role, its members, and the grants of a catalog role.
async fn show_role(client: &Client, role: &RoleArgument) -> Result<()> {
    let roles = role.path(client).await?;
    let one = format!("{roles}/{}", encoded(&role.name));
    let (members, field) = if role.catalog { ("principal-roles", "roles") } else { ("principals", "principals") };
    // The list of members says that the role is missing.
    let members = client.list(&format!("{one}/{members}"), field).await?;
    let mut shown = find_role(client, &roles, &role.name).await?.unwrap_or_default();
    if role.catalog {
        shown["grants"] = client.get(&format!("{one}/grants")).await?["grants"].take();
    }
    let names: Vec<_> = members.iter().map(|member| text(member, "name")).collect();
    let grants: Vec<_> = shown["grants"].as_array().into_iter().flatten().map(as_words).collect();
    shown[if role.catalog { "principal-roles" } else { "principals" }] = Value::Array(members);
    if role.format.json {
        return output::json(&shown);
    }
    let mut rows = vec![vec!["name".to_owned(), role.name.clone()], vec!["id".to_owned(), text(&shown, "id")]];
    rows.push(vec!["assigned to".to_owned(), names.join(", ")]);
    rows.extend(grants.into_iter().map(|grant| vec!["grant".to_owned(), grant]));
    output::table(&[role.kind(), ""], &rows, "")
}

/// Returns a grant, for people.
fn as_words(grant: &Value) -> String {
    format!("{} on {}", text(grant, "privilege"), object_of(grant))
}

async fn assign(client: &Client, role: &RoleArgument, member: &str, method: Method) -> Result<()> {
    let members = if role.catalog { "principal-roles" } else { "principals" };
    let path = format!("{}/{}/{members}/{}", role.path(client).await?, encoded(&role.name), encoded(member));
    client.send(method, &path, None).await.map(drop)
}

impl ObjectArgument {
    /// Returns the body of a grant on the object.
    fn as_json(&self, privilege: &str) -> Value {
        let levels = |namespace: &NamespaceIdent| namespace.levels().map(str::to_owned).collect::<Vec<_>>();
        let tabular = |kind: &str, ident: &TableIdent| json!({ "privilege": privilege, "type": kind, "namespace": levels(&ident.namespace), "name": ident.name() });
        match (&self.namespace, &self.table, &self.view) {
            (Some(namespace), ..) => {
                json!({ "privilege": privilege, "type": "namespace", "namespace": levels(namespace) })
            }
            (None, Some(table), _) => tabular("table", table),
            (None, None, Some(view)) => tabular("view", view),
            (None, None, None) => json!({ "privilege": privilege, "type": "catalog" }),
        }
    }

    /// Returns the object as query parameters.
    fn as_parameters(&self) -> String {
        let tabular = |kind: &str, ident: &TableIdent| {
            format!("&namespace={}&{kind}={}", encoded_namespace(&ident.namespace), encoded(ident.name()))
        };
        match (&self.namespace, &self.table, &self.view) {
            (Some(namespace), ..) => format!("&namespace={}", encoded_namespace(namespace)),
            (None, Some(table), _) => tabular("table", table),
            (None, None, Some(view)) => tabular("view", view),
            (None, None, None) => String::new(),
        }
    }
}

/// Runs a command for grants.
pub(crate) async fn grant(client: &Client, command: &GrantCommand) -> Result<()> {
    let change = async |grant: &GrantArgument, method: Method| {
        let warehouse = grant.object.warehouse.find(client).await?;
        let path = warehouse.path(&format!("/catalog-roles/{}/grants", encoded(&grant.role)));
        let body = grant.object.as_json(&grant.privilege);
        client.send(method, &path, Some(&body)).await.map(|_| body)
    };
    match command {
        GrantCommand::Add(grant) => {
            let body = change(grant, Method::PUT).await?;
            output::done(grant.format, &format!("Granted {} to '{}'.", grant.privilege, grant.role), &body)
        }
        GrantCommand::Revoke(grant) => {
            let body = change(grant, Method::POST).await?;
            output::done(grant.format, &format!("Revoked {} from '{}'.", grant.privilege, grant.role), &body)
        }
        GrantCommand::List { role, warehouse, format } => {
            let path = warehouse.find(client).await?.path(&format!("/catalog-roles/{}/grants", encoded(role)));
            let all = client.get(&path).await?["grants"].take();
            if format.json {
                return output::json(&all);
            }
            let rows: Vec<_> =
                all.as_array().into_iter().flatten().map(|one| vec![text(one, "privilege"), object_of(one)]).collect();
            output::table(&["privilege", "on"], &rows, "the role has no grants")
        }
    }
}

/// Returns the object of a grant, for people.
fn object_of(grant: &Value) -> String {
    let levels: Vec<_> = grant["namespace"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let (kind, namespace) = (text(grant, "type"), levels.join("."));
    match (kind.as_str(), grant["name"].as_str()) {
        ("catalog", _) => "the warehouse".to_owned(),
        ("namespace", _) => format!("namespace {namespace}"),
        (kind, Some(name)) => format!("{kind} {namespace}.{name}"),
        (kind, None) => format!("dropped {kind} {}", text(grant, "id")),
    }
}

/// Runs a command for access.
pub(crate) async fn access(client: &Client, command: &AccessCommand) -> Result<()> {
    let AccessCommand::Explain { action, key, user, scope, engine, object, format } = command;
    let token = [("principal", key.as_ref().or(user.as_ref())), ("scope", scope.as_ref()), ("engine", engine.as_ref())]
        .into_iter();
    let token = token.filter_map(|(name, value)| Some(format!("&{name}={}", encoded(value?))));
    let token: String = token.collect();
    let query = format!("/access?action={}{token}{}", encoded(action), object.as_parameters());
    let path = object.warehouse.find(client).await?.path(&query);
    let all = client.get(&path).await?["access"].take();
    if format.json {
        return output::json(&all);
    }
    let row = |one: &Value| {
        let allowed = if one["allowed"] == true { "allowed" } else { "denied" };
        vec![text(&one["principal"], "name"), allowed.to_owned(), format!("{}{}", reason(one), restriction(one))]
    };
    let rows: Vec<_> = all.as_array().into_iter().flatten().map(row).collect();
    output::table(&["principal", "access", "reason"], &rows, "no principal may do this")
}

/// Returns which roles restrict what an allowed principal reads.
fn restriction(one: &Value) -> String {
    let roles: Vec<_> = one["restricted-by"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match roles.is_empty() || one["allowed"] != true {
        true => String::new(),
        false => format!(". Restricted by the role '{}'", roles.join("', '")),
    }
}

fn reason(one: &Value) -> String {
    let by = &one["by"];
    match by["type"].as_str() {
        Some("role") => format!("its built-in role is '{}'", text(by, "role")),
        Some("owner") => "it created the object, or a namespace that it is in".to_owned(),
        Some("sight") => "the object is visible because of a grant in it".to_owned(),
        Some("grant") => format!(
            "{} on {}, by catalog role '{}' through principal role '{}'",
            text(&by["grant"], "privilege"),
            object_of(&by["grant"]),
            text(by, "catalog-role"),
            text(by, "principal-role")
        ),
        _ => match one["missing"].as_str() {
            Some(missing) => format!("it lacks {missing}. The answer to its request: {}", text(one, "message")),
            None => text(one, "message"),
        },
    }
}
