//! The licences and notices of what is built in, which must go with a program.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Architecture, Packaging};
use crate::step;

/// Beginnings of the names of files with licences and notices, in capitals.
const NAMES: [&str; 4] = ["LICENSE", "LICENCE", "COPYING", "NOTICE"];

/// Writes the texts of all crates in a static program to a file. Equal texts appear once, after the names of their crates.
///
/// # Errors
/// Fails if cargo fails.
pub(super) fn write(packaging: &Packaging<'_>, file: &Path) -> Result<()> {
    let root = &packaging.workspace.root;
    let built_in = built_in(root)?;
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, (folder, licence)) in crates(root)? {
        if !built_in.contains(&name) {
            continue;
        }
        let found = files(&folder)?;
        // The licence's usual text is then that of another crate with the same licence.
        let found = if found.is_empty() { vec![format!("Licence: {licence}")] } else { found };
        for text in found {
            texts.entry(text).or_default().insert(name.clone());
        }
    }
    let mut all = String::from("Licences and notices of the crates in the program tidewater.\n");
    for (text, names) in texts {
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        write!(all, "\n{}\n{names}\n\n{}\n", "=".repeat(80), text.trim_end())?;
    }
    fs::write(file, all).with_context(|| format!("cannot write {}", file.display()))
}

/// Returns the crates in a program, as `name version`.
fn built_in(root: &Path) -> Result<BTreeSet<String>> {
    let arguments =
        ["tree", "--locked", "--edges=normal", "--prefix=none", "--package=tidewater", "--format={p}", "--target"];
    let output = step::cargo(root, &arguments).arg(Architecture::X86_64.target()).output()?;
    ensure!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr).trim());
    let lines = String::from_utf8_lossy(&output.stdout);
    // "name v1.2.3", and for some more about them.
    let name = |line: &str| {
        let mut words = line.split(' ');
        Some(format!("{} {}", words.next()?, words.next()?.trim_start_matches('v')))
    };
    Ok(lines.lines().filter_map(name).collect())
}

/// Returns the folder and the licence of each crate of others.
fn crates(root: &Path) -> Result<BTreeMap<String, (PathBuf, String)>> {
    let output = step::cargo(root, &["metadata", "--format-version=1", "--locked"]).output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let described = |one: &Value| {
        one["source"].as_str()?;
        let name = format!("{} {}", one["name"].as_str()?, one["version"].as_str()?);
        let folder = Path::new(one["manifest_path"].as_str()?).parent()?.to_path_buf();
        Some((name, (folder, one["license"].as_str().unwrap_or("see its sources").to_owned())))
    };
    Ok(metadata["packages"].as_array().into_iter().flatten().filter_map(described).collect())
}

/// Returns the texts of the files with licences and notices in a crate's folder.
fn files(folder: &Path) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if path.is_file() && NAMES.iter().any(|begin| name.starts_with(begin)) {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path: &PathBuf| {
        let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok::<_, anyhow::Error>(String::from_utf8_lossy(&content).replace('\r', ""))
    };
    paths.iter().map(read).collect()
}
