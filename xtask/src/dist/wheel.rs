//! The wheel for PyPI.

use anyhow::{Context, Result};

use super::{Linkage, Packaging, Program, sbom};
use crate::step;

/// Makes a wheel of each program.
pub(super) fn make(packaging: &Packaging<'_>) -> Result<()> {
    let root = &packaging.workspace.root;
    for program in &packaging.programs {
        let mut wheel =
            step::command(root, "python3", &["deploy/python/wheel.py", "--license", "LICENSE", "--license"]);
        wheel.arg(&packaging.notices).arg("--version");
        wheel.arg(version(&packaging.version)).args(["--tag", &tag(program), "--binary"]).arg(&program.path);
        let sbom = sbom::file(packaging);
        if sbom.exists() {
            wheel.arg("--sbom").arg(sbom);
        }
        wheel.arg("--output").arg(&packaging.output).env("SOURCE_DATE_EPOCH", &packaging.source_date);
        step::run(&mut wheel).context("Python 3 is needed (Debian: apt-get install python3)")?;
    }
    Ok(())
}

/// Returns the platforms of a wheel. A static program runs with every C library, so it takes the oldest tags that pip knows for
/// its architecture. PyPI refuses the tag of other programs.
fn tag(program: &Program) -> String {
    let name = program.architecture.name();
    match program.linkage {
        Linkage::Static => format!("manylinux2014_{name}.manylinux_2_17_{name}.musllinux_1_1_{name}"),
        Linkage::Dynamic => format!("linux_{name}"),
    }
}

/// Returns a version in the spelling of Python's packages: 1.2.3-rc.1 is 1.2.3rc1.
fn version(version: &str) -> String {
    match version.split_once('-') {
        Some((release, rest)) => format!("{release}{}", rest.replace(['.', '-'], "")),
        None => version.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_spelled_as_for_python() {
        assert_eq!(version("1.2.3"), "1.2.3");
        assert_eq!(version("1.2.3-rc.1"), "1.2.3rc1");
    }
}
