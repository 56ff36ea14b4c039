//! The facts of the machine that a reader of the figures needs.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// The machine. Unknown facts are `None`.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// The processor's name.
    pub processor: Option<String>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Operating system and kernel release.
    pub kernel: String,
    /// Type of the file system of the durable writes.
    pub file_system: Option<String>,
    /// Version of the SQLite library of the durable writes.
    pub sqlite: String,
}

impl Machine {
    /// Returns the facts of this machine and of a folder's file system.
    #[must_use]
    pub fn look(folder: Option<&Path>) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let release = read("/proc/sys/kernel/osrelease");
        let folder = folder.and_then(|folder| folder.canonicalize().ok());
        Self {
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            processor: field(&read("/proc/cpuinfo"), "model name"),
            memory_bytes: memory_bytes(&read("/proc/meminfo")),
            kernel: format!("{} {}", std::env::consts::OS, release.trim()).trim().to_owned(),
            file_system: folder.and_then(|folder| file_system(&read("/proc/self/mountinfo"), &folder)),
            sqlite: rusqlite::version().to_owned(),
        }
    }

    /// Returns whether the folder is in memory, where nothing is durable.
    #[must_use]
    pub fn folder_is_in_memory(&self) -> bool {
        matches!(self.file_system.as_deref(), Some("tmpfs" | "ramfs"))
    }
}

fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory_bytes(meminfo: &str) -> Option<u64> {
    let kibibytes: u64 = field(meminfo, "MemTotal")?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Returns the file system type of the innermost mount with the folder. Of two mounts at one path, the later one counts.
fn file_system(mountinfo: &str, folder: &Path) -> Option<String> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (place, kind) = line.split_once(" - ")?;
            let mount_point = Path::new(place.split(' ').nth(4)?);
            folder.starts_with(mount_point).then(|| (mount_point.components().count(), kind.split(' ').next()))
        })
        .max_by_key(|(depth, _)| *depth)
        .and_then(|(_, kind)| kind.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
        30 22 0:26 / /tmp rw - tmpfs tmpfs rw\n\
        31 22 8:1 / /tmp/disk rw - xfs /dev/sda1 rw\n";

    #[test]
    fn file_system_is_that_of_the_innermost_mount() {
        let of = |folder: &str| file_system(MOUNTS, Path::new(folder)).unwrap();
        assert_eq!(of("/home/u"), "ext4");
        assert_eq!(of("/tmp/x"), "tmpfs");
        assert_eq!(of("/tmp/disk/x"), "xfs");
        assert_eq!(of("/tmpfoo"), "ext4");
    }

    #[test]
    fn memory_is_parsed_to_bytes() {
        assert_eq!(memory_bytes("MemTotal:       24609000 kB\nMemFree: 1 kB\n"), Some(24_609_000 * 1024));
        assert_eq!(memory_bytes(""), None);
    }
}
