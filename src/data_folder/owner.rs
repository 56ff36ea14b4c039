//! Gives files that root creates in another user's folder to that user, whose server needs them afterwards.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, chown, fchown, lchown};
use std::path::{Path, PathBuf};

/// The owner of a folder, if this process is root and the owner is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    user: u32,
    group: u32,
}

impl Owner {
    /// Returns the owner of `folder`, if this process is root and the owner is not. Only root can give files away.
    #[must_use]
    pub fn for_root(folder: &Path) -> Option<Self> {
        let found = fs::metadata(folder).ok()?;
        let is_root = rustix::process::geteuid().is_root();
        (is_root && found.uid() != 0).then(|| Self { user: found.uid(), group: found.gid() })
    }

    /// Returns the owner's name for messages: `the user 'tidewater'`, or `the user with the id 990`.
    #[must_use]
    pub fn name(self) -> String {
        let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
        name_of(&known, self.user)
            .map_or_else(|| format!("the user with the id {}", self.user), |name| format!("the user '{name}'"))
    }

    /// Gives an open file to the owner.
    ///
    /// # Errors
    /// Fails with the system's error.
    pub fn give(self, file: &File) -> io::Result<()> {
        fchown(file, Some(self.user), Some(self.group))
    }

    /// Gives the file at `path` to the owner, if it exists. Does not follow a link.
    ///
    /// # Errors
    /// Fails with the system's error.
    pub fn give_path(self, path: &Path) -> io::Result<()> {
        match lchown(path, Some(self.user), Some(self.group)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Creates a folder and its missing parents, and gives the new folders to the owner.
    ///
    /// # Errors
    /// Fails with the system's error.
    pub fn make_folder(self, folder: &Path) -> io::Result<()> {
        let missing: Vec<PathBuf> =
            folder.ancestors().take_while(|folder| !folder.exists()).map(Path::to_owned).collect();
        for folder in missing.iter().rev() {
            fs::create_dir(folder)?;
            chown(folder, Some(self.user), Some(self.group))?;
        }
        Ok(())
    }

    /// Returns whether the owner can write in `folder`. Checks it in a thread with the owner's rights only. None if the check is not
    /// possible.
    #[must_use]
    pub fn can_write(self, folder: &Path) -> Option<bool> {
        let folder = folder.to_owned();
        std::thread::spawn(move || as_user(self, &folder)).join().ok().flatten()
    }
}

/// Gives up root's rights for the owner's in this thread (credentials(7)), and returns whether it can write in `folder`. The thread
/// must end afterwards.
#[cfg(target_os = "linux")]
fn as_user(owner: Owner, folder: &Path) -> Option<bool> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    use rustix::process::{Gid, Uid};
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

    let (user, group) = (Uid::from_raw(owner.user), Gid::from_raw(owner.group));
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let others = groups_of(&users, &groups, owner.user);
    let groups: Vec<Gid> = others.into_iter().map(Gid::from_raw).chain([group]).collect();
    set_thread_groups(&groups).ok()?;
    set_thread_res_gid(group, group, group).ok()?;
    set_thread_res_uid(user, user, user).ok()?;
    let wanted = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    Some(accessat(CWD, folder, wanted, AtFlags::EACCESS).is_ok())
}

#[cfg(not(target_os = "linux"))]
fn as_user(_owner: Owner, _folder: &Path) -> Option<bool> {
    None
}

/// Gives a file in `folder` to the folder's owner, if this process is root and the owner is not.
///
/// # Errors
/// Fails with the system's error.
pub fn give_to_owner_of(folder: &Path, file: &File) -> io::Result<()> {
    Owner::for_root(folder).map_or(Ok(()), |owner| owner.give(file))
}

/// Returns a user's name in the system: `tidewater`, or `uid 990` without a name.
#[must_use]
pub fn user_name(id: u32) -> String {
    let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(&known, id).map_or_else(|| format!("uid {id}"), str::to_owned)
}

/// Returns the name of a user from the lines of `/etc/passwd` (passwd(5)).
pub(crate) fn name_of(known: &str, id: u32) -> Option<&str> {
    known.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(id)).then_some(name)
    })
}

/// Returns the groups of a user from the lines of `/etc/passwd` and `/etc/group` (group(5)).
fn groups_of(users: &str, groups: &str, id: u32) -> Vec<u32> {
    let own = users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.get(2)?.parse() == Ok(id)).then(|| fields.get(3)?.parse().ok()).flatten()
    });
    let Some(name) = name_of(users, id) else { return own.into_iter().collect() };
    let others = groups.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        fields.get(3)?.split(',').any(|member| member == name).then(|| fields.get(2)?.parse().ok()).flatten()
    });
    own.into_iter().chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\ntide:x:10:20::/:/bin/false\n";

    #[test]
    fn user_is_named_from_passwd_or_by_its_id() {
        assert_eq!((name_of(USERS, 0), name_of(USERS, 10), name_of(USERS, 1)), (Some("root"), Some("tide"), None));
        assert_eq!(Owner { user: 4_000_000_000, group: 1 }.name(), "the user with the id 4000000000");
    }

    #[test]
    fn groups_of_a_user_are_its_own_and_those_that_list_it() {
        let groups = "root:x:0:\nlake:x:30:other,tide\nbroken\nmore:x:40:tider\n";
        assert_eq!(groups_of(USERS, groups, 10), [20, 30]);
        assert_eq!(groups_of(USERS, groups, 11), [] as [u32; 0]);
    }
}
