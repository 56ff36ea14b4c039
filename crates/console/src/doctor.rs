//! The client doctor: finds well-known mistakes in a client's error or configuration.

use askama::Template;

use crate::frame::Frame;
use crate::snippets::{self, Catalog};
use crate::texts as t;

/// The most bytes of a text that are read.
pub const MAX_TEXT: usize = 32 << 10;

/// A found mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub cause: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// A rule: the texts that must all be there, any of the second ones if there are some, and what they mean.
struct Rule {
    all: &'static [&'static str],
    any: &'static [&'static str],
    finding: Finding,
}

const fn rule(
    all: &'static [&'static str],
    any: &'static [&'static str],
    (cause, remedy): (&'static str, &'static str),
) -> Rule {
    Rule { all, any, finding: Finding { cause, remedy } }
}

/// The rules, the most specific first. All texts are in lower case.
const RULES: &[Rule] = &[
    rule(&["placeholder, such as 'none'"], &[], t::DOCTOR_PLACEHOLDER),
    rule(&["this one has", "characters", "copy the whole key"], &[], t::DOCTOR_CUT_KEY),
    rule(&["has a typing mistake"], &[], t::DOCTOR_MISTYPED),
    rule(&["unknown api key"], &[], t::DOCTOR_UNKNOWN_KEY),
    rule(&["api key is expired"], &[], t::DOCTOR_EXPIRED_KEY),
    rule(&["api key is revoked"], &[], t::DOCTOR_REVOKED_KEY),
    rule(&["belongs to an operator"], &[], t::DOCTOR_OPERATOR),
    rule(&["too many wrong credentials"], &[], t::DOCTOR_GUESSES),
    rule(&["not for this catalog", "audience"], &[], t::DOCTOR_AUDIENCE),
    rule(&["is not a provider of this catalog"], &[], t::DOCTOR_ISSUER),
    rule(&["token is not valid yet"], &[], t::DOCTOR_CLOCK),
    rule(&["link instead of the user's groups"], &[], t::DOCTOR_GROUPS),
    rule(&["the token is expired"], &[], t::DOCTOR_EXPIRED_TOKEN),
    rule(&["cannot use this authorization header"], &[], t::DOCTOR_SCHEME),
    rule(&["no credential: send"], &[], t::DOCTOR_NO_CREDENTIAL),
    rule(
        &[],
        &["nosuchwarehouse", "no default warehouse", "warehouse does not exist", "has no such warehouse"],
        t::DOCTOR_WAREHOUSE,
    ),
    rule(&["no such route"], &["/v1/v1", "/v1//", "/catalog", "/iceberg", "/api/catalog"], t::DOCTOR_BASE_PATH),
    rule(&["no such route"], &[], t::DOCTOR_ROUTE),
    rule(
        &[],
        &[
            "pkix path building failed",
            "unable to get local issuer",
            "certificate verify failed",
            "self-signed certificate",
            "self signed certificate",
            "unknownissuer",
        ],
        t::DOCTOR_CERTIFICATE,
    ),
    rule(
        &[],
        &[
            "wrong version number",
            "unsupported or unrecognized ssl message",
            "record layer failure",
            "http request to an https",
        ],
        t::DOCTOR_PLAIN_OR_TLS,
    ),
    rule(&[], &["connection refused", "econnrefused", "could not connect", "couldn't connect"], t::DOCTOR_CONNECTION),
    rule(
        &[],
        &[
            "name or service not known",
            "unknownhostexception",
            "could not resolve host",
            "nodename nor servname",
            "getaddrinfo",
        ],
        t::DOCTOR_NAME,
    ),
    rule(&["snowflake"], &["127.0.0.1", "localhost"], t::DOCTOR_SNOWFLAKE),
    rule(&["classnotfoundexception", "org.apache.iceberg"], &[], t::DOCTOR_RUNTIME),
    rule(&["cannot find catalog plugin class"], &[], t::DOCTOR_RUNTIME),
    rule(&["unauthorized_401"], &[], t::DOCTOR_DUCKDB_401),
    rule(&["notfound_404"], &[], t::DOCTOR_DUCKDB_404),
    rule(&[], &["requests of the day", "requests-per-day", "toomanyrequestsexception"], t::DOCTOR_LIMIT),
    rule(&[], &["your key's role is", "forbiddenexception"], t::DOCTOR_FORBIDDEN),
    rule(&[], &["notauthorizedexception", "401 unauthorized", "401 client error", "invalid_client"], t::DOCTOR_401),
    rule(
        &[],
        &["unable to load region", "region is required", "unable to load credentials from any of the providers"],
        t::DOCTOR_REGION,
    ),
    rule(&[], &["file:/", "no such file or directory"], t::DOCTOR_LOCAL_FILES),
];

/// The most findings about one text.
const MOST: usize = 3;

/// Finds the mistakes that a client's error or configuration shows, the most specific first.
#[must_use]
pub fn examine(text: &str) -> Vec<Finding> {
    let text = cut(text).to_lowercase();
    let mut findings = Vec::new();
    findings.extend(in_configuration(&text));
    let has = |part: &&str| text.contains(*part);
    let matching =
        RULES.iter().filter(|rule| rule.all.iter().all(&has) && (rule.any.is_empty() || rule.any.iter().any(&has)));
    findings.extend(matching.map(|rule| rule.finding));
    findings.dedup();
    findings.truncate(MOST);
    findings
}

/// Finds mistakes in settings: lines with a name and a value.
fn in_configuration(text: &str) -> Vec<Finding> {
    let finding = |(cause, remedy)| Finding { cause, remedy };
    let mut found = Vec::new();
    for (name, value) in text.lines().filter_map(setting) {
        let is_uri = ["uri", "endpoint", "catalog_uri"].iter().any(|end| name.ends_with(end))
            && !name.contains("oauth2-server-uri");
        if is_uri && value.starts_with("http") {
            let path = value.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
            if path.trim_end_matches('/') == "v1" {
                found.push(finding(t::DOCTOR_V1));
            }
            if path.starts_with("console") {
                found.push(finding(t::DOCTOR_CONSOLE_URI));
            }
        }
        let is_key = ["token", "credential", "api_key", "client_secret"].iter().any(|end| name.ends_with(end));
        if is_key && ["none", "null", "undefined", "flx_...", "<an api key>"].contains(&value) {
            found.push(finding(t::DOCTOR_PLACEHOLDER));
        }
        if is_key && value.starts_with("bearer ") {
            found.push(finding(t::DOCTOR_BEARER_IN_TOKEN));
        }
        if name.ends_with(".type") && value == "hadoop" {
            found.push(finding(t::DOCTOR_HADOOP));
        }
    }
    found
}

/// Parses `name = value`, `name: value` or `name value`, without quotes.
fn setting(line: &str) -> Option<(&str, &str)> {
    let line = line.trim().trim_start_matches("--conf ").trim_end_matches(['\\', ',', ';']).trim();
    let (name, value) = line.split_once('=').or_else(|| line.split_once(": ")).or_else(|| line.split_once(' '))?;
    let (name, value) = (name.trim(), value.trim().trim_matches(['\'', '"']));
    (!name.is_empty() && !name.contains(' ')).then_some((name, value))
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A client's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// The id of its element.
    pub id: &'static str,
    /// The client.
    pub title: &'static str,
    /// The settings.
    pub text: String,
}

/// Returns the settings of every client.
#[must_use]
pub fn snippets(catalog: &Catalog<'_>) -> Vec<Snippet> {
    let snippet = |id, title, text| Snippet { id, title, text };
    vec![
        snippet("duckdb", "DuckDB", snippets::duckdb_attach(catalog, "")),
        snippet(
            "pyiceberg",
            "PyIceberg",
            format!("from pyiceberg.catalog import load_catalog\n{}", snippets::pyiceberg_load(catalog)),
        ),
        snippet("pyiceberg-file", "PyIceberg (.pyiceberg.yaml)", snippets::pyiceberg_settings(catalog)),
        snippet("spark", "Spark", snippets::spark_shell(catalog)),
        snippet("trino", "Trino (etc/catalog/tidewater.properties)", snippets::trino_settings(catalog, "credential")),
        snippet("snowflake", "Snowflake", snippets::snowflake_integration(catalog, "NAMESPACE")),
        snippet("shell", "tidewater, PyIceberg", snippets::environment(catalog)),
        snippet("curl", "curl", snippets::curl(catalog)),
    ]
}

/// The page that shows how clients connect.
#[derive(Debug, Template)]
#[template(path = "connect.html")]
pub struct ConnectPage {
    /// The frame.
    pub frame: Frame,
    /// The warehouses that can be chosen.
    pub warehouses: Vec<String>,
    /// The shown one.
    pub warehouse: String,
    /// The settings of clients.
    pub snippets: Vec<Snippet>,
    /// The examined text, if there is one.
    pub text: String,
    /// The findings about it.
    pub findings: Vec<Finding>,
    /// The address in the settings. The script replaces it by the browser's, which has the path of a proxy.
    pub address: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first(text: &str) -> Option<&'static str> {
        examine(text).first().map(|finding| finding.cause)
    }

    #[test]
    fn well_known_errors_are_explained() {
        for (text, (cause, _)) in [
            (
                "NotAuthorizedException: Not authorized: the client sent a placeholder, such as 'None', instead of a credential",
                t::DOCTOR_PLACEHOLDER,
            ),
            ("401: an API key has 56 characters, this one has 40: copy the whole key", t::DOCTOR_CUT_KEY),
            ("the API key has a typing mistake: copy it again", t::DOCTOR_MISTYPED),
            ("unknown API key: it was never issued here, or belongs to another deployment", t::DOCTOR_UNKNOWN_KEY),
            ("the API key is expired: ask your administrator for a new one", t::DOCTOR_EXPIRED_KEY),
            ("the API key is revoked: ask your administrator for a new one", t::DOCTOR_REVOKED_KEY),
            (
                "the token is not for this catalog: its audience (aud) has none of the audiences of the provider 'sso'",
                t::DOCTOR_AUDIENCE,
            ),
            (
                "the token's issuer 'x' is not a provider of this catalog: compare it with `auth.issuers`",
                t::DOCTOR_ISSUER,
            ),
            ("NoSuchWarehouseException: Warehouse does not exist: lke", t::DOCTOR_WAREHOUSE),
            ("404 No such route: GET /v1/v1/config", t::DOCTOR_BASE_PATH),
            ("No such route: GET /x", t::DOCTOR_ROUTE),
            ("PKIX path building failed: unable to find valid certification path", t::DOCTOR_CERTIFICATE),
            ("ssl.SSLError: [SSL: WRONG_VERSION_NUMBER] wrong version number", t::DOCTOR_PLAIN_OR_TLS),
            ("java.net.ConnectException: Connection refused", t::DOCTOR_CONNECTION),
            ("java.net.UnknownHostException: catalog", t::DOCTOR_NAME),
            ("ClassNotFoundException: org.apache.iceberg.spark.SparkCatalog", t::DOCTOR_RUNTIME),
            ("HTTP error Unauthorized_401", t::DOCTOR_DUCKDB_401),
            ("ForbiddenException: Your key's role is 'reader'", t::DOCTOR_FORBIDDEN),
        ] {
            assert_eq!(first(text), Some(cause), "{text}");
        }
        assert!(examine("all is well").is_empty());
    }

    #[test]
    fn mistakes_in_settings_are_found() {
        for (text, (cause, _)) in [
            ("uri: 'http://127.0.0.1:8181/v1'", t::DOCTOR_V1),
            ("iceberg.rest-catalog.uri=https://c.example.com/v1/", t::DOCTOR_V1),
            ("--conf spark.sql.catalog.x.uri=http://c/console/home \\", t::DOCTOR_CONSOLE_URI),
            ("    token: 'flx_...'", t::DOCTOR_PLACEHOLDER),
            ("token: 'None'", t::DOCTOR_PLACEHOLDER),
            ("spark.sql.catalog.x.token Bearer flx_abc", t::DOCTOR_BEARER_IN_TOKEN),
            ("spark.sql.catalog.x.type = hadoop", t::DOCTOR_HADOOP),
        ] {
            assert_eq!(first(text), Some(cause), "{text}");
        }
        let good = Catalog { uri: "https://c.example.com", warehouse: "lake", token: "flx_abc" };
        for snippet in snippets(&good) {
            assert!(examine(&snippet.text).is_empty(), "{snippet:?}");
        }
    }

    #[test]
    fn every_rule_is_reached_by_its_own_texts() {
        for rule in RULES {
            let any = rule.any.first().copied().unwrap_or_default();
            let text = format!("{} {any}", rule.all.join(" "));
            assert!(examine(&text).contains(&rule.finding), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_examined(text in "\\PC{0,200}(\\n\\PC{0,40}[=: ]\\PC{0,40}){0,4}") {
            prop_assert!(examine(&text).len() <= MOST);
        }
    }
}
