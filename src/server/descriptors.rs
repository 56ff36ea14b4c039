//! File descriptors: each connection, the database's files and each request to storage need one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit of descriptors that the server asks for.
const WANTED: u64 = 1 << 16;

/// The most open connections, unless `connections.max` is set.
const MOST_CONNECTIONS: u64 = 16_384;

/// Raises this process's limit of descriptors as far as the system allows. Many systems start a process with 1024 and allow far
/// more. Returns the new limit.
pub fn raise_descriptor_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = WANTED.min(maximum.unwrap_or(u64::MAX));
    if current.is_some_and(|current| current < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
    {
        tracing::warn!(%error, wanted, "could not raise the limit of file descriptors");
    }
    descriptor_limit()
}

/// Returns this process's limit of descriptors.
pub(super) fn descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Returns the most connections for a limit of descriptors. At least a quarter of the descriptors stays free for the database
/// and storage, and at least 64 if the limit is 128 or more.
pub(super) fn connections_for(descriptors: u64) -> usize {
    let kept_free = (descriptors / 4).max(64).min(descriptors / 2);
    usize::try_from((descriptors - kept_free).min(MOST_CONNECTIONS)).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_stay_free_for_the_database_and_storage() {
        for (descriptors, connections) in
            [(20, 10), (100, 50), (256, 192), (1_024, 768), (65_536, 16_384), (u64::MAX, 16_384), (0, 1)]
        {
            assert_eq!(connections_for(descriptors), connections, "{descriptors}");
        }
    }

    #[test]
    fn raised_limit_is_returned_and_in_force() {
        let before = descriptor_limit();
        let raised = raise_descriptor_limit();
        assert!(raised >= before.min(WANTED) && raised == descriptor_limit());
    }
}
