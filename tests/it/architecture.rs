//! Checks the rules of ARCHITECTURE.md that the compiler cannot check: imports between modules, and the length of files.

use std::collections::BTreeSet;

use crate::project::{ProjectFile, files, root};

/// Every module, from the inside out, with the modules that it may import. Add each new module here, at its place in the
/// architecture.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("base", &[]),
    // The runner of the work beside requests.
    ("background", &["base"]),
    ("data_folder", &[]),
    // Shared workers and memory.
    ("heavy", &["base"]),
    ("config", &["base", "data_folder"]),
    // One concern of the outside world each.
    ("store", &["base"]),
    ("copy", &["data_folder", "store"]),
    // The store has the master key's fingerprint.
    ("sealing", &["base", "data_folder", "store"]),
    ("storage", &["base"]),
    ("vending", &["base", "storage"]),
    // A document carries the proof of its files' locations.
    ("metadata", &["base", "heavy", "storage", "vending"]),
    ("manifests", &["base", "heavy", "metadata", "storage"]),
    // Combines the modules above.
    ("warehouse", &["base", "data_folder", "sealing", "storage", "store", "vending"]),
    // To a file, and by a server itself to a folder or bucket.
    ("backup", &["background", "base", "config", "data_folder", "sealing", "storage", "store", "warehouse"]),
    // The registry of metrics, those of requests, and the export of traces.
    ("telemetry", &["base", "config"]),
    // Use cases.
    ("auth", &["background", "base", "config", "store"]),
    ("access", &["auth", "store", "vending", "warehouse"]),
    ("tenancy", &["auth", "background", "base", "store"]),
    (
        "catalog",
        &["access", "auth", "background", "base", "heavy", "metadata", "storage", "store", "vending", "warehouse"],
    ),
    // The files of a scan, for clients.
    (
        "planning",
        &[
            "access",
            "base",
            "config",
            "heavy",
            "manifests",
            "metadata",
            "sealing",
            "storage",
            "store",
            "vending",
            "warehouse",
        ],
    ),
    ("history", &["background", "base", "store"]),
    // Audit records, and their export.
    ("audit", &["background", "base", "config", "store"]),
    ("delivery", &["background", "base", "config", "sealing", "store"]),
    ("maintenance", &["background", "base", "manifests", "metadata", "storage", "store", "vending", "warehouse"]),
    // Maintenance of live tables.
    (
        "upkeep",
        &[
            "access",
            "background",
            "base",
            "catalog",
            "config",
            "heavy",
            "maintenance",
            "manifests",
            "metadata",
            "storage",
            "store",
            "vending",
            "warehouse",
        ],
    ),
    (
        "admin",
        &[
            "auth",
            "background",
            "backup",
            "base",
            "catalog",
            "config",
            "data_folder",
            "delivery",
            "metadata",
            "sealing",
            "storage",
            "store",
            "warehouse",
        ],
    ),
    ("sample", &[]),
    // Edges.
    (
        "api",
        &[
            "access",
            "admin",
            "audit",
            "auth",
            "background",
            "backup",
            "base",
            "catalog",
            "config",
            "delivery",
            "heavy",
            "history",
            "maintenance",
            "metadata",
            "planning",
            "sealing",
            "storage",
            "store",
            "telemetry",
            "tenancy",
            "upkeep",
            "vending",
            "warehouse",
        ],
    ),
    // Pages for browsers, made from the API's answers.
    ("console", &["api", "auth", "base", "config"]),
    ("server", &["api", "auth", "base", "config", "console", "data_folder"]),
    // The module that knows all others, and the command line that starts it.
    (
        "app",
        &[
            "admin",
            "api",
            "audit",
            "auth",
            "background",
            "backup",
            "base",
            "catalog",
            "config",
            "console",
            "data_folder",
            "delivery",
            "heavy",
            "history",
            "maintenance",
            "manifests",
            "metadata",
            "planning",
            "sealing",
            "server",
            "storage",
            "store",
            "telemetry",
            "tenancy",
            "upkeep",
            "vending",
            "warehouse",
        ],
    ),
    (
        "cli",
        &[
            "access",
            "admin",
            "api",
            "app",
            "auth",
            "backup",
            "base",
            "catalog",
            "config",
            "copy",
            "data_folder",
            "sample",
            "storage",
            "store",
            "warehouse",
        ],
    ),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// Crates for one concern, with the modules that may use them.
const BELONGS_TO: &[(&str, &[&str])] = &[
    ("rusqlite", &["store"]),
    ("refinery", &["store"]),
    ("object_store", &["cli", "storage", "vending"]),
    ("axum", &["api", "app", "console", "server"]),
    ("hyper", &["api", "cli", "server"]),
    ("hyper_util", &["api", "cli", "server"]),
    ("http", &["api", "app", "base", "cli", "server", "storage", "telemetry", "vending"]),
    ("http_body_util", &["api", "cli", "server", "telemetry", "vending"]),
    ("aws_lc_rs", &["delivery", "sealing", "store", "vending"]),
    ("tower", &["api", "server"]),
    ("tower_http", &["api", "server"]),
    ("jsonwebtoken", &["auth", "vending"]),
    ("reqwest", &["auth", "delivery", "telemetry"]),
    ("apache_avro", &["sample"]),
    ("tidewater_rewrite", &["upkeep"]),
    (
        "prometheus_client",
        &[
            "app",
            "audit",
            "backup",
            "base",
            "catalog",
            "delivery",
            "manifests",
            "metadata",
            "planning",
            "telemetry",
            "upkeep",
            "vending",
        ],
    ),
    ("serde_path_to_error", &["api"]),
    ("zstd", &["backup"]),
    ("rustls", &["audit", "base", "server", "store"]),
    ("tokio_rustls", &["audit", "server"]),
    ("x509_cert", &["server"]),
    ("figment", &["config"]),
    ("clap", &["cli", "config"]),
    ("tidewater_console", &["cli", "console"]),
];

/// The crates that `core` may depend on.
const CORE_DEPENDENCIES: [&str; 4] = ["serde", "serde_json", "thiserror", "uuid"];

/// The maximum length of a file, without its tests.
const MAX_LINES: usize = 600;

fn module(file: &ProjectFile) -> &str {
    let below = file.path.strip_prefix("src/").unwrap();
    below.split(['/', '.']).next().unwrap()
}

fn sources() -> Vec<ProjectFile> {
    let mut all = files(&[".rs"]);
    all.retain(|file| file.path.starts_with("src/"));
    all
}

/// Returns the names after `prefix::` in a text, also in groups: `crate::{a, b::c}` gives `a` and `b`.
fn imported(text: &str, prefix: &str) -> BTreeSet<String> {
    let path = format!("{prefix}::");
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices(&path) {
        let part_of_a_longer_name =
            text[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ':'));
        if part_of_a_longer_name {
            continue;
        }
        let rest = &text[at + path.len()..];
        let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        let Some(group) = rest.strip_prefix('{') else {
            found.insert(name(rest));
            continue;
        };
        let mut depth = 0usize;
        let mut begins = true;
        for (at, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                c if begins && !c.is_whitespace() => {
                    found.insert(name(&group[at..]));
                    begins = false;
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn module_imports_only_allowed_modules() {
    let mut broken = Vec::new();
    for file in sources().iter().filter(|file| !file.is_test()) {
        let module = module(file);
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            broken.push(format!("{}: the module has no place in MAY_IMPORT yet", file.path));
            continue;
        };
        let code: Vec<&str> = file.code().map(|(_, line)| line).collect();
        let code = code.join("\n");
        // The command line is a separate crate, which imports the others as `tidewater`.
        let prefix = if matches!(module, "cli" | "main") { "tidewater" } else { "crate" };
        for name in imported(&code, prefix).iter().filter(|name| MAY_IMPORT.iter().any(|(known, _)| known == *name)) {
            if name != module && !allowed.contains(&name.as_str()) {
                broken.push(format!("{}: '{module}' must not import '{name}'", file.path));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn allowed_imports_come_before_the_importing_module() {
    for (position, (module, allowed)) in MAY_IMPORT.iter().enumerate() {
        for name in *allowed {
            let other = MAY_IMPORT.iter().position(|(known, _)| known == name);
            assert!(
                other.is_some_and(|other| other < position),
                "'{module}' may import '{name}', which is not before it"
            );
        }
    }
}

#[test]
fn crate_of_one_concern_is_used_only_there() {
    let mut broken = Vec::new();
    for file in sources().iter().filter(|file| !file.is_test()) {
        for (number, line) in file.code() {
            for (name, modules) in BELONGS_TO {
                if !modules.contains(&module(file)) && !imported(line, name).is_empty() {
                    broken.push(format!("{}:{number}: '{name}' belongs to {}", file.path, modules.join(", ")));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn permits_without_a_caller_are_requested_only_by_command_line_management_and_maintenance() {
    const MAY: [&str; 3] = ["src/cli/", "src/api/management/administrator.rs", "src/upkeep/mod.rs"];
    let made = "Principal::administrator(";
    let found: BTreeSet<String> = sources()
        .iter()
        .filter(|file| !file.is_test() && file.code().any(|(_, line)| line.contains(made)))
        .map(|file| file.path.clone())
        .collect();
    for one in MAY {
        assert!(found.iter().any(|path| path.starts_with(one)), "{one}: {found:?}");
    }
    for path in found {
        assert!(MAY.iter().any(|one| path.starts_with(one)), "{path}: take the permit of a caller");
    }
}

#[test]
fn core_depends_only_on_allowed_crates() {
    let manifest = std::fs::read_to_string(root().join("crates/core/Cargo.toml")).unwrap();
    let dependencies = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let dependencies: Vec<&str> = dependencies
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['=', '.', ' ']).next().filter(|name| !name.is_empty() && !name.starts_with('#')))
        .collect();
    assert!(dependencies.contains(&"serde_json"), "the dependencies were not found: {dependencies:?}");
    for name in dependencies {
        assert!(CORE_DEPENDENCIES.contains(&name), "core must not depend on '{name}'");
    }
}

#[test]
fn file_longer_than_the_maximum_fails() {
    let long: Vec<String> = files(&[".rs"])
        .iter()
        .filter(|file| !file.is_test())
        .map(|file| (file.code().map(|(number, _)| number).max().unwrap_or(0), &file.path))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .map(|(lines, path)| format!("{path} has {lines} lines without its tests, of {MAX_LINES} allowed"))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn every_to_do_names_an_issue() {
    // Split in two, so that this file does not match.
    let mark = concat!("TO", "DO");
    let mut broken = Vec::new();
    for file in files(&[".rs", ".md", ".py", ".toml", ".sql", ".sh"]) {
        for (index, line) in file.text.lines().enumerate() {
            let after = line.split_once(mark).map(|(_, after)| after.trim_start_matches(['(', ' ']));
            let has_number = |after: &str| {
                after.strip_prefix('#').is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
            };
            if after.is_some_and(|after| !has_number(after)) {
                broken.push(format!("{}:{}: name the issue, as in {mark} #12", file.path, index + 1));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn imported_names_are_found_in_groups_and_lines() {
    let names = |text: &str, prefix: &str| imported(text, prefix).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(names("use crate::store::{Store, sqlite::Sqlite};", "crate"), "store");
    assert_eq!(names("use crate::{api, store::{a, b},\n    app};", "crate"), "api app store");
    assert_eq!(names("let x = axum::Json(y); my_axum::z; a::axum::b", "axum"), "Json");
}
