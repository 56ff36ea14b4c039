//! Tests of the packages: `tests/packages`.

use anyhow::Result;

use super::{Kind, Packaging};
use crate::{engines, step, tools};

const FOLDER: &str = "tests/packages";

/// Runs the tests of these kinds. The long ones install and run packages.
pub(super) fn run(packaging: &Packaging<'_>, kinds: &[Kind], with_long: bool) -> Result<()> {
    let workspace = packaging.workspace;
    let python = engines::environment(workspace, FOLDER)?;
    let mut pytest = step::command(&workspace.root, python, &["-m", "pytest", "-p", "no:cacheprovider"]);
    if !with_long {
        pytest.args(["-m", "not long"]);
    }
    for kind in kinds {
        let file = match kind {
            Kind::Binaries => "test_binaries.py",
            Kind::Deb => "test_deb.py",
            Kind::Image => "test_image.py",
            Kind::Chart => "test_chart.py",
            Kind::Wheel => "test_wheel.py",
            Kind::Sbom => "test_sbom.py",
            Kind::All => continue,
        };
        pytest.arg(format!("{FOLDER}/{file}"));
    }
    if kinds.contains(&Kind::Chart) {
        pytest.env("TIDEWATER_HELM", tools::helm(workspace)?);
    }
    if let Ok(program) = packaging.program_that_runs() {
        pytest.env("TIDEWATER_PROGRAM", &program.path);
    }
    step::run(pytest.env("TIDEWATER_PACKAGES", &packaging.output).env("TIDEWATER_VERSION", &packaging.version))
}
