//! File descriptors: each connection takes one, and so do the database and each request to storage.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many descriptors as are asked of the system.
const WANTED: u64 = 1 << 16;

/// The most connections at the same time, unless a setting says otherwise.
const MOST_CONNECTIONS: u64 = 16_384;

/// Raises this process's limit of descriptors as far as the system lets it: many systems start a process with 1024 and
/// allow far more to those that ask. Returns the limit that holds from now on.
pub fn raise_descriptor_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = WANTED.min(maximum.unwrap_or(u64::MAX));
    if current.is_some_and(|current| current < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
    {
        tracing::warn!(%error, wanted, "the limit of file descriptors cannot be raised");
    }
    descriptor_limit()
}

/// How many descriptors this process may have.
pub(super) fn descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many connections there may be with so many descriptors. At least a quarter of them stays free for the database and
/// for storage, and at least 64 where there are enough.
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
    fn raised_limit_is_the_one_that_holds() {
        let before = descriptor_limit();
        let raised = raise_descriptor_limit();
        assert!(raised >= before.min(WANTED) && raised == descriptor_limit());
    }
}
