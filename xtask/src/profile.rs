//! Builds the server with profile-guided optimisation: instruments it, runs the benchmark's workloads against it, and builds it again with
//! what they used most (docs/decisions/0078).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use anyhow::{Context, Result, bail, ensure};

use crate::step;
use crate::workspace::Workspace;

/// Adds one flag to the compiler for the crates of the server alone. So all builds share their dependencies, and generic functions of
/// dependencies are still covered, because they are compiled with their callers.
const WRAPPER: &str = r#"#!/bin/sh
rustc=$1
shift
case " $* " in
*" --crate-name tidewater "* | *" --crate-name tidewater_core "* | *" --crate-name tidewater_manifests "*) exec "$rustc" "$@" "$TIDEWATER_PROFILE_FLAG" ;;
*) exec "$rustc" "$@" ;;
esac
"#;

/// The workloads that the profile covers.
const WORKLOADS: &str = "load,load-304,config,list,commit-many,commit-one,commit-append";

/// The crates whose code the benchmark runs. They are compiled again for each flag.
const CRATES: [&str; 6] = ["--package", "tidewater", "--package", "tidewater-core", "--package", "tidewater-manifests"];

/// Builds the server for this machine with a profile that it takes first. Says where the program is.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let compile = |flag: Flag<'_>| {
        let arguments = ["build", "--profile", "dist", "--locked", "--package", "tidewater", "--bin", "tidewater"];
        let mut cargo = step::cargo(&workspace.root, &arguments);
        flag.add_to(workspace, &mut cargo, None)?;
        step::run(&mut cargo)?;
        Ok(workspace.target.join("dist/tidewater"))
    };
    let profile = take(workspace, &compile)?;
    let binary = compile(Flag::Use(&profile))?;
    step::say(&format!("built {}", binary.display()));
    Ok(())
}

/// What the compiler does with a profile.
#[derive(Clone, Copy)]
pub(crate) enum Flag<'a> {
    /// Makes the program write its profile into this folder when it ends.
    Generate(&'a Path),
    /// Optimises with this profile.
    Use(&'a Path),
}

impl Flag<'_> {
    fn text(self) -> String {
        match self {
            Self::Generate(folder) => format!("-Cprofile-generate={}", folder.display()),
            Self::Use(file) => format!("-Cprofile-use={}", file.display()),
        }
    }

    /// Makes a cargo command with the profile `dist` compile the server's crates with the flag. `target` is the one in the command.
    ///
    /// # Errors
    /// Fails if the compiler's wrapper cannot be written, or the crates' earlier builds cannot be removed.
    pub(crate) fn add_to(self, workspace: &Workspace, cargo: &mut Command, target: Option<&str>) -> Result<()> {
        let folder = workspace.target.join("profile");
        // The path of the wrapper is part of the names of functions, so it must be the same for both builds.
        let wrapper = folder.join("rustc");
        fs::create_dir_all(&folder)?;
        fs::write(&wrapper, WRAPPER).with_context(|| format!("cannot write {}", wrapper.display()))?;
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
        // Cargo does not know the flag, and would take the program of the other one.
        let mut clean = step::cargo(&workspace.root, &["clean", "--quiet", "--profile", "dist"]);
        let on_target: Vec<&str> = target.map(|target| vec!["--target", target]).unwrap_or_default();
        step::run(clean.args(CRATES).args(&on_target))?;
        cargo.env("RUSTC_WORKSPACE_WRAPPER", &wrapper).env("TIDEWATER_PROFILE_FLAG", self.text());
        Ok(())
    }
}

/// Takes a profile of the server while the benchmark runs against it. Returns its file.
///
/// `compile` builds the server with a flag, for a target that this machine runs, and returns the program. A profile fits only builds
/// with the same command, because names of functions depend on it.
///
/// # Errors
/// Fails if the toolchain has no `llvm-profdata`, or a step fails.
pub(crate) fn take(workspace: &Workspace, compile: &dyn Fn(Flag<'_>) -> Result<PathBuf>) -> Result<PathBuf> {
    let tool = profdata(workspace)?;
    let folder = workspace.target.join("profile");
    let raw = folder.join("raw");
    if raw.exists() {
        fs::remove_dir_all(&raw).with_context(|| format!("cannot empty {}", raw.display()))?;
    }
    fs::create_dir_all(&raw).with_context(|| format!("cannot create {}", raw.display()))?;
    step::run(&mut step::cargo(
        &workspace.root,
        &["build", "--profile", "dist", "--locked", "--package", "tidewater-bench"],
    ))?;
    let binary = compile(Flag::Generate(&raw))?;
    exercise(workspace, &binary, &folder)?;
    let merged = folder.join("merged.profdata");
    let mut merge = step::command(&folder, tool, &["merge", "-o"]);
    step::run(merge.arg(&merged).arg(&raw))?;
    Ok(merged)
}

/// Runs the benchmark against a server, which then ends as after a signal, since it writes its profile at its end.
fn exercise(workspace: &Workspace, binary: &Path, folder: &Path) -> Result<()> {
    let data = folder.join("data");
    if data.exists() {
        fs::remove_dir_all(&data)?;
    }
    fs::create_dir_all(&data)?;
    let tidewater = |arguments: &[&str]| {
        let mut command = step::command(&data, binary, arguments);
        command.env("TIDEWATER_DATA_DIR", data.join("catalog"));
        command.env("TIDEWATER_TIERS__PROFILE__REQUESTS_PER_DAY", "1000000000000");
        command
    };
    step::run(&mut tidewater(&["org", "create", "profile", "--tier", "profile"]))?;
    let root = format!("file://{}", data.join("lake").display());
    step::run(&mut tidewater(&["warehouse", "create", "lake", "--org", "profile", "--root", &root]))?;
    let key = json(&mut tidewater(&["key", "create", "bench", "--org", "profile", "--role", "admin", "--json"]))?;
    let key = key["api_key"].as_str().context("the new key has no api_key")?;
    let address = free_address()?;
    let server = Server(tidewater(&["serve", "--listen", &address]).spawn().context("cannot start the server")?);
    server.wait_for(&address)?;
    let bench = workspace.target.join("dist/tidewater-bench");
    let uri = format!("http://{address}");
    let arguments = ["run", "--uri", &uri, "--workload", WORKLOADS, "--snapshots", "1,100", "--connections", "8,32"];
    let mut run = step::command(&data, bench, &arguments);
    step::run(run.args(["--rounds", "1", "--seconds", "2", "--quiet"]).env("TIDEWATER_BENCH_TOKEN", key))?;
    server.end()?;
    fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))
}

/// A server that is killed if it is dropped.
struct Server(Child);

impl Server {
    /// Waits until it listens.
    fn wait_for(&self, address: &str) -> Result<()> {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while std::time::Instant::now() < until {
            if std::net::TcpStream::connect(address).is_ok() {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        bail!("the server does not listen on {address} after 60 s");
    }

    /// Ends it by a signal, and waits.
    fn end(mut self) -> Result<()> {
        step::run(Command::new("kill").args(["-TERM", &self.0.id().to_string()]))?;
        let status = self.0.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command that prints JSON.
fn json(command: &mut Command) -> Result<serde_json::Value> {
    let output = command.output().context("cannot start the command")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Returns an address of this machine with a free port.
fn free_address() -> Result<String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("no port is free")?;
    Ok(listener.local_addr()?.to_string())
}

/// Returns the program that merges profiles, from the toolchain: its format belongs to the compiler's version.
fn profdata(workspace: &Workspace) -> Result<PathBuf> {
    let output = step::command(&workspace.root, "rustc", &["--print", "target-libdir"])
        .output()
        .context("cannot start rustc")?;
    let libraries = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let tool = libraries.with_file_name("bin").join("llvm-profdata");
    ensure!(tool.exists(), "{} is missing: install it with `rustup component add llvm-tools`", tool.display());
    Ok(tool)
}
