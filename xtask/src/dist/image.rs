//! The container image, built from scratch by buildah without a daemon or a registry.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Linkage, Packaging, check_installed, copy};
use crate::step;

/// Mozilla's certificate authorities, where Debian's package puts them. This machine's own authorities are elsewhere.
const AUTHORITIES: &str = "/usr/share/ca-certificates/mozilla";

/// Builds the image for each architecture, and writes all into one archive in OCI's format.
pub(super) fn make(packaging: &Packaging<'_>) -> Result<()> {
    check_installed("buildah", "apt-get install buildah")?;
    for program in &packaging.programs {
        ensure!(
            program.linkage == Linkage::Static,
            "an image needs a static program, which {} is not",
            program.path.display()
        );
    }
    let context = build_folder(packaging)?;
    // A storage of its own: the machine's images stay as they are.
    let storage = packaging.empty_folder("image-storage")?;
    let name = format!("tidewater:{}", packaging.version);
    let root = &packaging.workspace.root;
    let file = root.join("deploy/image/Containerfile");
    for program in &packaging.programs {
        let mut build = buildah(root, &storage);
        build.args(["build", "--isolation=chroot", "--format=oci", "--no-cache", "--layers=false"]);
        build.arg(format!("--manifest={name}")).arg(format!("--platform=linux/{}", program.architecture.debian()));
        build.arg(format!("--timestamp={}", packaging.source_date));
        build.arg(format!("--build-arg=VERSION={}", packaging.version));
        build.arg(format!("--build-arg=REVISION={}", revision(root)));
        step::run(build.arg("--file").arg(&file).arg(&context))?;
    }
    let archive = packaging.output.join(format!("tidewater-{}-image.tar", packaging.version));
    remove_if_there(&archive)?;
    let mut push = buildah(root, &storage);
    push.args(["manifest", "push", "--all", &name]).arg(format!("oci-archive:{}:{name}", archive.display()));
    step::run(&mut push)
}

/// Returns buildah with a storage in this folder.
fn buildah(root: &Path, storage: &Path) -> Command {
    let mut command = step::command(root, "buildah", &["--storage-driver=vfs"]);
    command.arg("--root").arg(storage.join("images")).arg("--runroot").arg(storage.join("run"));
    command
}

/// Puts together what the Containerfile copies.
fn build_folder(packaging: &Packaging<'_>) -> Result<PathBuf> {
    let context = packaging.empty_folder("image")?;
    for program in &packaging.programs {
        copy(&program.path, &context.join(program.architecture.debian()).join("tidewater"))?;
    }
    let inside = context.join("root");
    let folders = [context.join("data"), inside.join("tmp"), inside.join("etc/ssl/certs")];
    for folder in &folders {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::set_permissions(inside.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    let licences = inside.join("usr/local/share/licenses/tidewater");
    copy(&packaging.workspace.root.join("LICENSE"), &licences.join("LICENSE"))?;
    copy(&packaging.notices, &licences.join("THIRD-PARTY-LICENSES.txt"))?;
    fs::write(inside.join("etc/passwd"), "tidewater:x:65532:65532::/data:/sbin/nologin\n")?;
    fs::write(inside.join("etc/group"), "tidewater:x:65532:\n")?;
    fs::write(inside.join("etc/ssl/certs/ca-certificates.crt"), authorities()?)?;
    Ok(context)
}

/// Returns the certificates of Mozilla's authorities, in the order of their names.
fn authorities() -> Result<Vec<u8>> {
    let advice = || format!("{AUTHORITIES} is missing: apt-get install ca-certificates");
    let entries = fs::read_dir(AUTHORITIES).with_context(advice)?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    let mut all = Vec::new();
    for file in files {
        all.extend(fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?);
    }
    ensure!(!all.is_empty(), advice());
    Ok(all)
}

fn revision(root: &Path) -> String {
    let asked = step::command(root, "git", &["rev-parse", "HEAD"]).output();
    asked.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn remove_if_there(file: &Path) -> Result<()> {
    if file.exists() {
        fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    Ok(())
}
