//! `tidewater login` and `tidewater logout`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::client::RemoteArguments;
use super::engine_settings::{Engine, settings};
use super::output::{self, Format};
use super::sign_in::{
    Http, Provider, SavedSessions, Session, SignInOption, bearer_for, by_browser, by_device_code, is_private,
    write_private,
};
use super::time;
use tidewater::base::secret::Secret;
use tidewater_console::snippets::Catalog;

/// Arguments of `login`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidewater login --uri https://catalog.example.com
  tidewater login --uri https://catalog.example.com --browser
  tidewater login --uri https://catalog.example.com --write pyiceberg --to ~/.pyiceberg.yaml

Later commands with this address use the sign-in and renew it. --print-token and --write use it too, if there is one.")]
pub(crate) struct LoginArguments {
    /// Sign in with this identity provider; not needed when the server has only one
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,

    /// Sign in with a browser on this machine, instead of a code for any device
    #[arg(long)]
    browser: bool,

    /// Let the browser answer to this port, for providers that need a fixed redirect URI [default: any free port]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true, requires = "browser")]
    port: u16,

    /// Print the catalog's token
    #[arg(long, conflicts_with_all = ["write", "json"])]
    print_token: bool,

    /// Write the settings of this client, with the token
    #[arg(long, value_enum, value_name = "CLIENT", conflicts_with = "json")]
    write: Option<Engine>,

    /// Write them to this file, which only you can read, instead of standard output
    #[arg(long, value_name = "FILE", requires = "write")]
    to: Option<PathBuf>,

    /// The warehouse in these settings [default: the organisation's default]
    #[arg(long, value_name = "NAME", env = "TIDEWATER_WAREHOUSE")]
    warehouse: Option<String>,

    #[command(flatten)]
    format: Format,
}

/// Arguments of `logout`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidewater logout --uri https://catalog.example.com
  tidewater logout --all")]
pub(crate) struct LogoutArguments {
    /// Forget the sign-ins at all servers
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    format: Format,
}

/// Signs a person in, and saves the sign-in. Prints it, its token, or the settings of a client.
pub(crate) async fn login(remote: &RemoteArguments, arguments: &LoginArguments) -> Result<()> {
    ensure!(remote.uri.is_some(), "give the server's address with --uri, such as --uri https://catalog.example.com");
    let uri = remote.address()?;
    let http = Http::new(remote.ca_file.as_deref())?;
    if !is_private(uri) {
        output::note(&format!("warning: {uri} has no https, so tokens are sent without encryption"));
    }
    let only_token = arguments.print_token || arguments.write.is_some();
    if only_token
        && arguments.issuer.is_none()
        && let Some(token) = bearer_for(uri, remote.ca_file.as_deref()).await?
    {
        return show_token(&http, uri, &token, arguments).await;
    }
    let provider = Provider::discover(&http, &chosen(&http, uri, arguments.issuer.as_deref()).await?).await?;
    let tokens = match arguments.browser {
        true => by_browser(&http, &provider, arguments.port, show_address).await?,
        false => {
            by_device_code(&http, &provider, |todo| {
                show_code(&todo.address, &todo.code, todo.complete_address.as_deref());
                Ok(())
            })
            .await?
        }
    };
    let session = Session::begin(&http, uri, provider, tokens).await?;
    let (token, shown) = (session.token.clone(), json_of(uri, &session));
    let mut saved = SavedSessions::open()?;
    saved.save(uri, session)?;
    if only_token {
        return show_token(&http, uri, &token, arguments).await;
    }
    let until = time::shown_or(shown["expires-ms"].as_i64(), "-");
    let renewal = if shown["renewable"] == true { "Commands renew it" } else { "It cannot be renewed" };
    let file = saved.path().display();
    let sentence = format!("Signed in at {uri}. The token is valid until {until}. {renewal}. It is saved in {file}.");
    output::done(arguments.format, &sentence, &shown)
}

/// Returns a session without its secrets.
fn json_of(uri: &str, session: &Session) -> Value {
    json!({
        "uri": uri, "name": session.provider.name, "issuer": session.provider.endpoints.issuer,
        "expires-ms": session.expires_ms, "renewable": session.refresh_token.is_some(),
    })
}

/// Asks the server for its providers. Returns the named one, or the only one.
async fn chosen(http: &Http, uri: &str, name: Option<&str>) -> Result<SignInOption> {
    let reply = http.get(&format!("{uri}/management/v1/sign-in")).await?;
    ensure!(reply.status.is_success(), "{uri} does not tell its identity providers: {}", reply.error());
    let all: Vec<SignInOption> = serde_json::from_value(reply.body["issuers"].clone())
        .with_context(|| format!("{uri} is not a Tidewater server: check the address"))?;
    let names = || all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ");
    match (name, all.as_slice()) {
        (_, []) => bail!(
            "{uri} has no identity provider for people: have its administrator set `login_client_id` of one in \
             `auth.issuers`, or use an API key"
        ),
        (Some(name), all) => match all.iter().find(|one| one.name == name) {
            Some(found) => Ok(found.clone()),
            None => bail!("{uri} has no identity provider '{name}' for people: choose one of {}", names()),
        },
        (None, [only]) => Ok(only.clone()),
        (None, _) => bail!("{uri} has several identity providers: choose one with --issuer: {}", names()),
    }
}

fn show_code(address: &str, code: &str, complete_address: Option<&str>) {
    output::note(&format!("To sign in, open {address} and enter the code {code}"));
    if let Some(complete) = complete_address {
        output::note(&format!("or open {complete}"));
    }
    output::note("Waiting for the sign-in...");
}

fn show_address(address: &str) -> Result<()> {
    output::note(&format!("To sign in, use the page in your browser. If none opened, open {address}"));
    Ok(())
}

/// Prints the token, or writes the settings of a client.
async fn show_token(http: &Http, uri: &str, token: &Secret<String>, arguments: &LoginArguments) -> Result<()> {
    let Some(engine) = arguments.write else { return output::line(token.expose()) };
    let warehouse = match &arguments.warehouse {
        Some(named) => named.clone(),
        None => default_warehouse(http, uri, token).await?,
    };
    let text = settings(engine, &Catalog { uri, warehouse: &warehouse, token: token.expose() });
    match &arguments.to {
        None => output::line(&text),
        Some(file) => write_new(file, &text),
    }
}

/// Writes a file. Does not replace one that has other content.
fn write_new(file: &Path, text: &str) -> Result<()> {
    ensure!(
        !file.exists(),
        "{} exists already: choose another file, or print the settings without --to and add them by hand",
        file.display()
    );
    write_private(file, text.as_bytes())?;
    output::line(&format!("Wrote {}.", file.display()))
}

/// Returns the name of the warehouse that the server gives to clients that name none.
async fn default_warehouse(http: &Http, uri: &str, token: &Secret<String>) -> Result<String> {
    let reply = http.get_with(&format!("{uri}/v1/config"), token).await?;
    match reply.body["defaults"]["warehouse"].as_str() {
        Some(name) if reply.status.is_success() => Ok(name.to_owned()),
        _ => bail!("{uri} has no default warehouse for you: choose one with --warehouse ({})", reply.error()),
    }
}

/// Forgets a sign-in, and revokes it at the provider.
pub(crate) async fn logout(remote: &RemoteArguments, arguments: &LogoutArguments) -> Result<()> {
    let mut saved = SavedSessions::open()?;
    let addresses = match (&remote.uri, arguments.all) {
        (_, true) => saved.addresses(),
        (Some(_), false) => vec![remote.address()?.to_owned()],
        (None, false) => {
            let all = saved.addresses();
            ensure!(
                all.len() < 2,
                "you are signed in at several servers: give one with --uri, or use --all: {}",
                all.join(", ")
            );
            all
        }
    };
    let http = Http::new(remote.ca_file.as_deref())?;
    let mut forgotten = Vec::new();
    for uri in addresses {
        let Some(session) = saved.remove(&uri)? else { continue };
        if let Some(refresh_token) = &session.refresh_token
            && let Err(error) = session.provider.revoke(&http, refresh_token).await
        {
            output::note(&format!(
                "the provider did not confirm the end of its session: {}",
                output::with_causes(&error)
            ));
        }
        forgotten.push(uri);
    }
    ensure!(!forgotten.is_empty(), "you are not signed in");
    output::done(arguments.format, &format!("Signed out of {}.", forgotten.join(", ")), &json!({ "uris": forgotten }))
}
