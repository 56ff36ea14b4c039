//! SHA256SUMS, in the form that `sha256sum --check` reads.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

const NAME: &str = "SHA256SUMS";

/// Writes the checksums of all packages in a folder.
pub(super) fn write(folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|path| path.is_file() && path.file_name().is_some_and(|name| name != NAME));
    files.sort();
    let mut text = String::new();
    for file in files {
        let content = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        for byte in Sha256::digest(content) {
            write!(text, "{byte:02x}")?;
        }
        writeln!(text, "  {}", file.file_name().unwrap_or_default().display())?;
    }
    let sums = folder.join(NAME);
    fs::write(&sums, text).with_context(|| format!("cannot write {}", sums.display()))
}
