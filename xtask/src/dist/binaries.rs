//! Static programs: cross-compiled with zig as the C compiler, free of this machine's paths.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{Architecture, Linkage, Packaging, Program, copy, pages};
use crate::profile::{self, Flag};
use crate::{engines, step};

/// The folder whose requirements.txt names the cross compiler.
const CROSS_COMPILER: &str = "deploy";

/// The profile of cargo that packages are built with.
const PROFILE: &str = "dist";

/// Builds the static program of an architecture. If this machine runs it, and the cargo profile is `dist`, a profile of the benchmark
/// guides the build (docs/decisions/0078).
///
/// # Errors
/// Fails if a tool is missing, the build fails, or the program is not static or names this machine's folders.
pub(super) fn build(packaging: &Packaging<'_>, architecture: Architecture, profile: &str) -> Result<Program> {
    let cross = CrossBuild::new(packaging, architecture, profile)?;
    let built = if profile == PROFILE && architecture.runs_here() {
        let taken = profile::take(packaging.workspace, &|flag| cross.compile(Some(flag)))?;
        cross.compile(Some(Flag::Use(&taken)))?
    } else {
        cross.compile(None)?
    };
    let program = Program::inspect(built)?;
    ensure!(program.linkage == Linkage::Static, "{} is not static", program.path.display());
    ensure!(program.architecture == architecture, "{} has another architecture", program.path.display());
    cross.renames.check(&program.path)?;
    Ok(program)
}

/// A build of the server with zig as the C compiler.
struct CrossBuild<'a> {
    packaging: &'a Packaging<'a>,
    target: String,
    profile: &'a str,
    renames: Renames,
    /// The PATH with the cross compiler.
    path: OsString,
}

impl<'a> CrossBuild<'a> {
    /// Installs what the build needs.
    fn new(packaging: &'a Packaging<'_>, architecture: Architecture, profile: &'a str) -> Result<Self> {
        let workspace = packaging.workspace;
        let target = architecture.target();
        add_standard_library(&workspace.root, &target)?;
        let python = engines::environment(workspace, CROSS_COMPILER)?;
        let tools = python.parent().map(Path::to_path_buf).unwrap_or_default();
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths([tools].into_iter().chain(env::split_paths(&path)))?;
        let renames = Renames::new(&workspace.root, &workspace.target)?;
        Ok(Self { packaging, target, profile, renames, path })
    }

    /// Compiles the server. Returns the program.
    fn compile(&self, flag: Option<Flag<'_>>) -> Result<PathBuf> {
        let workspace = self.packaging.workspace;
        let arguments = ["zigbuild", "--locked", "--package", "tidewater", "--bin", "tidewater", "--target"];
        let mut cargo = step::cargo(&workspace.root, &arguments);
        cargo.args([&self.target, "--profile", self.profile]).env("PATH", &self.path);
        cargo.env("CARGO_ENCODED_RUSTFLAGS", self.renames.for_rust());
        cargo.env("SOURCE_DATE_EPOCH", &self.packaging.source_date);
        cargo.env(format!("CFLAGS_{}", self.target.replace('-', "_")), self.renames.for_c());
        if let Some(flag) = flag {
            flag.add_to(workspace, &mut cargo, Some(&self.target))?;
        }
        step::run(&mut cargo)?;
        Ok(workspace.target.join(&self.target).join(self.profile).join("tidewater"))
    }
}

/// Installs Rust's standard library for a target, unless it is there.
fn add_standard_library(root: &Path, target: &str) -> Result<()> {
    let asked = step::command(root, "rustc", &["--print", "target-libdir", "--target", target]).output();
    let folder =
        asked.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    if !folder.is_empty() && Path::new(&folder).is_dir() {
        return Ok(());
    }
    step::run(&mut step::command(root, "rustup", &["target", "add", target])).with_context(|| {
        format!("the static program needs Rust's standard library for {target}: install it with your Rust (https://rustup.rs)")
    })
}

/// The folders of this machine that compilers would write into a program, with the names that they write instead.
struct Renames(Vec<(PathBuf, &'static str)>);

impl Renames {
    fn new(root: &Path, target: &Path) -> Result<Self> {
        let home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let cargo = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
        let cargo = cargo.context("neither CARGO_HOME nor HOME is set")?;
        // Compilers take the last that fits.
        let folders = [(root, "/tidewater"), (target, "/target"), (&cargo, "/cargo")];
        Ok(Self(folders.into_iter().map(|(folder, name)| (folder.to_path_buf(), name)).collect()))
    }

    /// Returns flags for rustc, separated as in CARGO_ENCODED_RUSTFLAGS.
    fn for_rust(&self) -> String {
        let flags = self.0.iter().map(|(folder, name)| format!("--remap-path-prefix={}={name}", folder.display()));
        flags.collect::<Vec<_>>().join("\x1f")
    }

    /// Returns flags for the C compiler.
    fn for_c(&self) -> String {
        let flags = self.0.iter().map(|(folder, name)| format!("-ffile-prefix-map={}={name}", folder.display()));
        flags.collect::<Vec<_>>().join(" ")
    }

    /// Fails if a program contains the path of a renamed folder.
    fn check(&self, program: &Path) -> Result<()> {
        let content = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
        for (folder, _) in &self.0 {
            let path = format!("{}/", folder.display());
            let place = content.windows(path.len()).position(|window| window == path.as_bytes());
            let around =
                place.map(|at| String::from_utf8_lossy(&content[at..content.len().min(at + 120)]).into_owned());
            ensure!(around.is_none(), "{} contains a path of this machine: {around:?}", program.display());
        }
        Ok(())
    }
}

/// Packs each program with its man pages, completions and licence.
pub(super) fn archive(packaging: &Packaging<'_>) -> Result<()> {
    let folder = packaging.empty_folder("archives")?;
    for program in &packaging.programs {
        let name = format!("tidewater-{}-{}-linux", packaging.version, program.architecture.name());
        let inside = folder.join(&name);
        copy(&program.path, &inside.join("tidewater"))?;
        copy(&packaging.workspace.root.join("LICENSE"), &inside.join("LICENSE"))?;
        copy(&packaging.notices, &inside.join("THIRD-PARTY-LICENSES.txt"))?;
        pages::write(packaging, &inside)?;
        let file = packaging.output.join(format!("{name}.tar.gz"));
        pack(packaging, &folder, &name, &file)?;
    }
    Ok(())
}

/// Packs a folder so that the same content makes the same bytes.
fn pack(packaging: &Packaging<'_>, parent: &Path, name: &str, file: &Path) -> Result<()> {
    let mut tar = step::command(parent, "tar", &["--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.args(["--mode=u=rwX,go=rX", "--use-compress-program=gzip -9n"]);
    tar.arg(format!("--mtime=@{}", packaging.source_date)).arg("--create").arg("--file").arg(file).arg(name);
    step::run(&mut tar).context("GNU tar and gzip are needed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_with_a_path_of_this_machine_is_refused() {
        let renames = Renames(vec![(PathBuf::from("/home/me/project"), "/tidewater")]);
        let folder = env::temp_dir().join(format!("tidewater-xtask-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("program");
        fs::write(&file, b"\0/tidewater/src/main.rs\0").unwrap();
        renames.check(&file).unwrap();
        fs::write(&file, b"\0/home/me/project/src/main.rs\0").unwrap();
        let error = renames.check(&file).unwrap_err().to_string();
        assert!(error.contains("/home/me/project/src/main.rs"), "{error}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
