//! Checks the documentation: its links, its lists of settings, tiers and error types.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;
use tidewater::config::Config;

use crate::project::{ProjectFile, files, root};

/// Returns the targets of a page's links within the project, as paths from its root.
fn links(page: &ProjectFile) -> Vec<String> {
    let folder = Path::new(&page.path).parent().unwrap();
    let targets = page.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let targets = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    targets.map(|target| normal(&folder.join(target.split('#').next().unwrap_or(target)))).collect()
}

fn normal(path: &Path) -> String {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => assert!(normal.pop(), "{} leaves the project", path.display()),
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal.to_str().unwrap().to_owned()
}

#[test]
fn every_link_has_a_target() {
    let mut broken = Vec::new();
    for page in files(&[".md"]) {
        for target in links(&page).iter().filter(|target| !root().join(target).exists()) {
            broken.push(format!("{}: there is no {target}", page.path));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_page_can_be_reached_from_the_readme() {
    let pages = files(&[".md"]);
    let mut reached = BTreeSet::new();
    let mut next = vec!["README.md".to_owned()];
    while let Some(path) = next.pop() {
        if let Some(page) = pages.iter().find(|page| page.path == path)
            && reached.insert(path)
        {
            next.extend(links(page));
        }
    }
    let lost: Vec<&str> = pages
        .iter()
        .map(|page| page.path.as_str())
        .filter(|path| path.starts_with("docs/") && !reached.contains(*path))
        .collect();
    assert!(lost.is_empty(), "no link leads to {lost:?}");
}

/// Readers find pages in the README's table, not through a chain of other pages.
#[test]
fn readme_table_lists_every_page_except_single_decisions() {
    let pages = files(&[".md"]);
    let readme = pages.iter().find(|page| page.path == "README.md").unwrap();
    let (_, table) = readme.text.split_once("## Read on").unwrap();
    let table = ProjectFile { path: readme.path.clone(), text: table.to_owned() };
    let listed: BTreeSet<String> = links(&table).into_iter().collect();
    let is_own = |path: &str| path.starts_with("docs/") && !path.starts_with("docs/decisions/0");
    let missing: Vec<&str> =
        pages.iter().map(|page| page.path.as_str()).filter(|path| is_own(path) && !listed.contains(*path)).collect();
    assert!(missing.is_empty(), "the README's table does not list {missing:?}");
}

/// Collects every setting and its default, in the form of `docs/configuration.md`.
fn settings(prefix: &str, value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        // Operators name their own tiers; the page has a table of the defaults.
        Value::Object(_) if prefix == "tiers" => {}
        Value::Object(fields) => {
            for (key, value) in fields {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                settings(&key, value, found);
            }
        }
        Value::String(text) => found.push((prefix.to_owned(), text.clone())),
        other => found.push((prefix.to_owned(), other.to_string())),
    }
}

/// Returns whether a reload takes a new value of a setting.
fn is_taken_by_a_reload(key: &str) -> bool {
    let old = Config::default();
    let mut other = serde_json::to_value(&old).unwrap();
    let value = other.pointer_mut(&format!("/{}", key.replace('.', "/"))).unwrap();
    *value = match (key, &*value) {
        ("listen" | "telemetry.listen", _) => "127.0.0.1:9".into(),
        ("log.format", _) => "json".into(),
        ("kafka.start", _) => "oldest".into(),
        ("kafka.compression", _) => "gzip".into(),
        ("kafka.sasl_mechanism", _) => "plain".into(),
        ("store.url", _) => "postgres://db.example.com/tidewater".into(),
        (_, Value::Bool(value)) => (!*value).into(),
        ("api.limit_headers", _) => "both".into(),
        ("connections.forwarded_header", _) => "forwarded".into(),
        ("connections.trusted_proxies", _) => vec!["10.0.0.0/8"].into(),
        (_, Value::Number(number)) => (number.as_u64().unwrap() + 1).into(),
        ("auth.issuers", _) => serde_json::json!([{ "name": "sso" }]),
        (_, Value::Array(_)) => vec!["https://app.example.com"].into(),
        _ => "other".into(),
    };
    let reload = old.reload(serde_json::from_value(other).unwrap());
    let names = |changes: &[tidewater::config::SettingChange]| -> Vec<String> {
        changes.iter().map(|change| change.setting.clone()).collect()
    };
    let (taken, needs_restart) = (names(&reload.taken), names(&reload.needs_restart));
    assert_eq!([&taken[..], &needs_restart[..]].concat(), [key], "each change is reported once");
    !taken.is_empty()
}

#[test]
fn every_setting_is_documented_with_its_variable_its_default_and_whether_a_reload_takes_it() {
    let page = std::fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let mut all = Vec::new();
    settings("", &serde_json::to_value(Config::default()).unwrap(), &mut all);
    assert!(all.len() > 10, "{all:?}");
    let mut expected = BTreeSet::new();
    for (key, default) in all {
        let variable = format!("TIDEWATER_{}", key.replace('.', "__").to_uppercase());
        let default = if key == "data_dir" { "~/.local/share/tidewater".to_owned() } else { default };
        let reload = if is_taken_by_a_reload(&key) { "yes" } else { "restart" };
        let row = format!("| `{key}` | `{variable}` | `{default}` | {reload} |");
        assert!(page.contains(&row), "docs/configuration.md has no row that begins with\n{row}");
        expected.insert(key);
    }
    for line in page.lines().filter(|line| line.contains("| `TIDEWATER_")) {
        let key = line.split('`').nth(1).unwrap();
        assert!(expected.contains(key), "docs/configuration.md has a row for `{key}`, which is not a setting");
    }
}

#[test]
fn documented_tiers_are_the_defaults() {
    let page = std::fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    for (name, tier) in Config::default().tiers {
        let or_none = |limit: Option<u64>| limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
        let included = if tier.catalog { "yes" } else { "no" };
        let row =
            format!("| `{name}` | {included} | {} | {} |", or_none(tier.requests_per_day), or_none(tier.max_tables));
        assert!(page.contains(&row), "docs/configuration.md has no row\n{row}");
    }
}

#[test]
fn every_error_type_is_documented() {
    let page = std::fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let mut types = BTreeSet::new();
    for file in files(&[".rs"]).iter().filter(|file| file.path.starts_with("src/api/") && !file.is_test()) {
        for (_, line) in file.code() {
            let words = line.split('"').skip(1).step_by(2);
            let is_type = |word: &&str| {
                word.chars().all(|c| c.is_ascii_alphanumeric())
                    && (word.ends_with("Exception") || word.ends_with("Error"))
            };
            types.extend(words.filter(is_type).map(str::to_owned));
        }
    }
    assert!(types.contains("CommitFailedException"), "{types:?}");
    for name in &types {
        assert!(page.contains(&format!("`{name}`")), "docs/errors.md does not list {name}");
    }
}
