//! The Debian package: cargo-deb packs the assets that Cargo.toml names, with the scripts of deploy/debian and the unit of
//! deploy/systemd.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{Packaging, check_installed, copy, pages};
use crate::{step, tools};

const CARGO_DEB: &str = "3.8.0";

/// Makes a package of each program.
pub(super) fn make(packaging: &Packaging<'_>) -> Result<()> {
    let workspace = packaging.workspace;
    check_installed("dpkg", "the package is made on Debian or Ubuntu (apt-get install dpkg)")?;
    let tool = tools::cargo_tool(workspace, "cargo-deb", CARGO_DEB)?;
    for program in &packaging.programs {
        // cargo-deb looks for assets that start with `target/release` here.
        let target_folder = packaging.empty_folder("deb")?;
        let target = program.architecture.target();
        let folder = target_folder.join(&target).join("release");
        copy(&program.path, &folder.join("tidewater"))?;
        copy(&packaging.notices, &folder.join("THIRD-PARTY-LICENSES.txt"))?;
        pages::write(packaging, &folder.join("pages"))?;
        compress(&folder.join("pages/man"))?;
        changelog(packaging, &folder)?;
        let mut cargo_deb =
            step::command(&workspace.root, &tool, &["--no-build", "--no-strip", "--locked", "--target"]);
        cargo_deb.args([&target, "--package", "tidewater", "--output"]).arg(&packaging.output);
        cargo_deb.env("CARGO_TARGET_DIR", &target_folder).env("SOURCE_DATE_EPOCH", &packaging.source_date);
        step::run(&mut cargo_deb)?;
    }
    Ok(())
}

/// Compresses the files in a folder, without their names and times.
fn compress(folder: &Path) -> Result<()> {
    let mut gzip = step::command(folder, "gzip", &["-9n"]);
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        gzip.arg(entry?.file_name());
    }
    let status = gzip.status().context("gzip is needed")?;
    ensure!(status.success(), "gzip failed in {} ({status})", folder.display());
    Ok(())
}

/// Writes the changelog in Debian's form. It names the release; what changed is in CHANGELOG.md.
fn changelog(packaging: &Packaging<'_>, folder: &Path) -> Result<()> {
    let root = &packaging.workspace.root;
    let mut date = step::command(root, "date", &["--utc", "--rfc-email"]);
    let output = date.arg(format!("--date=@{}", packaging.source_date)).env("LC_ALL", "C").output()?;
    let text = format!(
        "tidewater ({}-1) unstable; urgency=medium\n\n  * Release {}. CHANGELOG.md in the sources has its changes.\n\n -- {}  {}",
        packaging.version,
        packaging.version,
        MAINTAINER,
        String::from_utf8_lossy(&output.stdout)
    );
    let file = folder.join("changelog.Debian");
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    step::run(step::command(folder, "gzip", &["-9n"]).arg(&file))
}

/// The same as in Cargo.toml.
const MAINTAINER: &str = "The Tidewater developers <tidewater@tidewater.invalid>";
