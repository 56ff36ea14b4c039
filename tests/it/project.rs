//! Reads the project's own files, for tests about them.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the project.
pub(crate) struct ProjectFile {
    /// The path from the root, with `/`.
    pub(crate) path: String,
    /// The whole text.
    pub(crate) text: String,
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns all files with one of these endings, sorted by path.
pub(crate) fn files(endings: &[&str]) -> Vec<ProjectFile> {
    let mut found = Vec::new();
    walk(&root(), endings, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "nothing ends in {endings:?}");
    found
}

fn walk(folder: &Path, endings: &[&str], found: &mut Vec<ProjectFile>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        let built = name == "target" || name == "__pycache__" || name.starts_with('.');
        if path.is_dir() && !built {
            walk(&path, endings, found);
        } else if path.is_file() && endings.iter().any(|ending| name.ends_with(ending)) {
            let path_from_root = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
            found.push(ProjectFile { path: path_from_root, text: fs::read_to_string(&path).unwrap() });
        }
    }
}

impl ProjectFile {
    /// Returns whether the file contains only tests.
    pub(crate) fn is_test(&self) -> bool {
        let test_folder = self.path.split('/').any(|part| matches!(part, "tests" | "suite"));
        test_folder || ["/tests.rs", "/testing.rs", "/suite.rs"].iter().any(|name| self.path.ends_with(name))
    }

    /// Returns the lines before its tests, with line numbers, without comments.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        let lines = self.text[..tests].lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}
