//! Makes the packages: static programs, a Debian package, an image, a Helm chart, a wheel, the list of what is built in, and checksums.
//! A file for each kind. docs/packages.md says how to use them.

mod binaries;
mod chart;
mod checksums;
mod deb;
mod elf;
mod image;
mod notices;
mod pages;
mod sbom;
mod trial;
mod wheel;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::step;
use crate::workspace::Workspace;
use elf::Linkage;

/// A kind of package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Static programs (musl), in archives with man pages and completions
    Binaries,
    /// A Debian package with a systemd unit, for each architecture
    Deb,
    /// A container image for all architectures, as an archive (needs buildah)
    Image,
    /// The Helm chart (needs Go, or Helm on the path)
    Chart,
    /// A wheel for PyPI that carries the program, for each architecture
    Wheel,
    /// The list of what is built in (CycloneDX)
    Sbom,
    /// All kinds
    All,
}

/// An architecture of programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Architecture {
    /// 64-bit Intel and AMD
    #[value(name = "x86_64")]
    X86_64,
    /// 64-bit ARM
    #[value(name = "aarch64")]
    Aarch64,
}

impl Architecture {
    /// Returns the name in Rust's targets, and in wheels.
    fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Returns the target of static programs.
    fn target(self) -> String {
        format!("{}-unknown-linux-musl", self.name())
    }

    /// Returns the name in Debian packages and in images.
    fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// Returns whether this machine runs such programs.
    fn runs_here(self) -> bool {
        std::env::consts::ARCH == self.name()
    }
}

/// Options of `dist`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask dist                              all packages, for both architectures (takes 45 minutes on two cores)
  cargo xtask dist deb --arch x86_64            one package
  cargo xtask dist wheel --binary target/release/tidewater
                                                from a program that exists, to try the package on this machine
  cargo xtask dist --try                        all packages; then installs and runs each (as root)

Packages are in target/packages/, with their SHA256SUMS.")]
pub(crate) struct Options {
    /// The kinds to make
    #[arg(value_enum, default_value = "all")]
    kinds: Vec<Kind>,

    /// The architectures of programs
    #[arg(long, value_enum, value_name = "ARCH", default_values = ["x86_64", "aarch64"])]
    arch: Vec<Architecture>,

    /// Package this program instead of building one. Only a static one runs on other distributions
    #[arg(long, value_name = "FILE", conflicts_with_all = ["arch", "profile"])]
    binary: Option<PathBuf>,

    /// The profile that cargo builds with
    #[arg(long, default_value = "dist", value_name = "NAME")]
    profile: String,

    /// Then run the tests of these packages that take seconds
    #[arg(long)]
    check: bool,

    /// Then run all tests of these packages: the quickstart in a chroot, in a container and from the wheel, read by DuckDB (needs root,
    /// debootstrap, buildah)
    #[arg(long = "try", conflicts_with = "check")]
    trial: bool,
}

/// A program to package.
struct Program {
    path: PathBuf,
    architecture: Architecture,
    linkage: Linkage,
}

/// What all kinds of packages need to know.
struct Packaging<'a> {
    workspace: &'a Workspace,
    /// The folder of the packages.
    output: PathBuf,
    /// The folder for intermediate files.
    work: PathBuf,
    /// The version of the workspace.
    version: String,
    /// The time of the sources, in seconds since 1970, which all packages carry instead of the time of the build.
    source_date: String,
    /// The licences and notices of what is built in. Written with the programs.
    notices: PathBuf,
    programs: Vec<Program>,
}

/// Makes the packages; stops at the first failure.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let all = [Kind::Binaries, Kind::Sbom, Kind::Deb, Kind::Image, Kind::Chart, Kind::Wheel];
    // In the order of `all`: the wheel carries the list of what is built in.
    let kinds: Vec<Kind> =
        all.into_iter().filter(|kind| options.kinds.contains(kind) || options.kinds.contains(&Kind::All)).collect();
    let output = workspace.target.join("packages");
    let work = output.join("work");
    fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    if options.kinds.contains(&Kind::All) {
        remove_files(&output)?;
    }
    let mut packaging = Packaging {
        workspace,
        notices: work.join("THIRD-PARTY-LICENSES.txt"),
        output,
        work,
        version: workspace.version()?,
        source_date: source_date(&workspace.root),
        programs: Vec::new(),
    };
    if kinds.iter().any(|kind| !matches!(kind, Kind::Chart | Kind::Sbom)) {
        packaging.programs = programs(&packaging, options)?;
        notices::write(&packaging, &packaging.notices)?;
    }
    for kind in &kinds {
        match kind {
            Kind::Binaries => binaries::archive(&packaging)?,
            Kind::Sbom => sbom::make(&packaging)?,
            Kind::Deb => deb::make(&packaging)?,
            Kind::Image => image::make(&packaging)?,
            Kind::Chart => chart::make(&packaging)?,
            Kind::Wheel => wheel::make(&packaging)?,
            Kind::All => {}
        }
    }
    checksums::write(&packaging.output)?;
    if options.check || options.trial {
        trial::run(&packaging, &kinds, options.trial)?;
    }
    Ok(())
}

fn programs(packaging: &Packaging<'_>, options: &Options) -> Result<Vec<Program>> {
    let Some(binary) = &options.binary else {
        return options
            .arch
            .iter()
            .map(|&architecture| binaries::build(packaging, architecture, &options.profile))
            .collect();
    };
    let path = binary.canonicalize().with_context(|| format!("cannot find the program {}", binary.display()))?;
    let program = Program::inspect(path)?;
    if program.linkage == Linkage::Dynamic {
        step::say(&format!(
            "{} needs this machine's C library: its packages are for trials on this machine",
            program.path.display()
        ));
    }
    Ok(vec![program])
}

impl Program {
    /// Reads the architecture and the linkage from a program.
    fn inspect(path: PathBuf) -> Result<Self> {
        let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let (architecture, linkage) =
            elf::inspect(&content).with_context(|| format!("{} is not a program of a known kind", path.display()))?;
        Ok(Self { path, architecture, linkage })
    }
}

impl Packaging<'_> {
    /// Returns a program that this machine can run, for its man pages and completions.
    fn program_that_runs(&self) -> Result<&Program> {
        let found = self.programs.iter().find(|program| program.architecture.runs_here());
        found.with_context(|| {
            format!(
                "man pages and completions come from the program itself: also build for this machine (--arch {})",
                std::env::consts::ARCH
            )
        })
    }

    /// Returns an empty folder for intermediate files.
    fn empty_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.work.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(folder)
    }
}

/// Returns the time of the sources: SOURCE_DATE_EPOCH, else of the last commit, else the first day that all formats can express.
fn source_date(root: &Path) -> String {
    if let Ok(set) = std::env::var("SOURCE_DATE_EPOCH") {
        return set;
    }
    let asked = step::command(root, "git", &["log", "-1", "--format=%ct"]).output();
    let text = asked.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    if text.parse::<u64>().is_ok() { text } else { "315532800".to_owned() }
}

/// Fails with advice if a program is not on the path.
fn check_installed(program: &str, advice: &str) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    ensure!(found, "{program} is missing: {advice}");
    Ok(())
}

/// Removes the packages of earlier runs, which may be of other versions.
fn remove_files(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_file() {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
