//! `tidewater who-am-i`.

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::Value;

use super::client::Client;
use super::output::{self, Format, text};

/// Arguments of `who-am-i`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidewater who-am-i --uri https://catalog.example.com")]
pub(crate) struct Arguments {
    #[command(flatten)]
    format: Format,
}

/// Shows the caller of a remote server, with its roles.
pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<()> {
    ensure!(
        client.config().is_none(),
        "commands on {} need no sign-in: for a server, give its address with --uri",
        client.catalog()
    );
    let caller = client.get("/management/v1/who-am-i").await?;
    if arguments.format.json {
        return output::json(&caller);
    }
    output::fields(&fields(client.catalog(), &caller))
}

/// Returns the lines about a caller.
fn fields(server: String, caller: &Value) -> Vec<(&'static str, String)> {
    let mut fields = vec![("server", server), ("organisation", text(&caller["organisation"], "name"))];
    if caller["key"].is_object() {
        fields.push(("key", text(&caller["key"], "name")));
    }
    if caller["user"].is_object() {
        fields.push(("user", text(&caller["user"], "name")));
    }
    fields.push(("built-in role", text(caller, "role")));
    let roles = caller["roles"].as_array().into_iter().flatten();
    let roles = roles.map(|role| match (role["principal-role"].as_str(), role["catalog-role"].as_str()) {
        (Some(principal), Some(catalog)) => format!("{principal} ({catalog})"),
        (principal, catalog) => principal.or(catalog).unwrap_or_default().to_owned(),
    });
    fields.push(("roles", roles.collect::<Vec<_>>().join(", ")));
    fields
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn caller_is_shown_with_its_roles() {
        let caller = json!({
            "organisation": { "name": "acme" }, "key": { "name": "etl" }, "role": "none",
            "roles": [{ "principal-role": "analysts", "catalog-role": "sales-readers" }],
        });
        let shown = |caller| fields("https://c".into(), caller).into_iter().map(|(_, value)| value).collect::<Vec<_>>();
        assert_eq!(shown(&caller), ["https://c", "acme", "etl", "none", "analysts (sales-readers)"]);
        let user = json!({ "organisation": { "name": "acme" }, "user": { "name": "Ann" }, "role": "reader" });
        assert_eq!(shown(&user), ["https://c", "acme", "Ann", "reader", ""]);
    }
}
