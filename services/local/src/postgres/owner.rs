//! Whose the cluster is and where it can lie: the server refuses to run as root.

use std::fmt;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use nix::unistd::{Gid, Uid, User};
use tokio::process::Command;

/// The longest directory whose socket still fits into a socket address (108 bytes with the name and the end).
const SOCKET_DIR_MAX: usize = 108 - "/.s.PGSQL.5432.lock".len() - 1;

/// The user the server runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    name: String,
    uid: Uid,
    gid: Gid,
    /// Whether it is another one than ours: we are root.
    other: bool,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {}", self.name)
    }
}

impl Owner {
    /// Ourselves, unless we are root: then whoever owns `dir` already, else `postgres`, else `nobody`.
    pub(super) fn of(dir: &Path) -> anyhow::Result<Self> {
        let us = nix::unistd::geteuid();
        if !us.is_root() {
            let gid = nix::unistd::getegid();
            return Ok(Self { name: format!("{us}"), uid: us, gid, other: false });
        }
        let before = std::fs::metadata(dir).ok().map(|it| Uid::from_raw(it.uid())).filter(|it| !it.is_root());
        let before = before.and_then(|it| User::from_uid(it).ok().flatten());
        let named = || ["postgres", "nobody"].into_iter().find_map(|it| User::from_name(it).ok().flatten());
        let user = before.or_else(named).filter(|it| !it.uid.is_root()).context(
            "PostgreSQL does not run as root and there is neither a user postgres nor nobody: run `useradd --system postgres`",
        )?;
        Ok(Self { name: user.name, uid: user.uid, gid: user.gid, other: true })
    }

    /// A command that runs as this user, outside our terminal's process group: Ctrl-C is for us to pass on.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.process_group(0).stdin(std::process::Stdio::null());
        // The server asks for its working directory; ours may be closed to it.
        command.current_dir("/");
        command.env_clear().env("LC_ALL", "C").env("TZ", "UTC").env("PATH", "/usr/bin:/bin");
        if self.other {
            // The standard library drops root's supplementary groups along with it.
            command.uid(self.uid.as_raw()).gid(self.gid.as_raw());
        }
        command
    }

    /// Whether this user can pass through every directory above `dir`.
    fn reaches(&self, dir: &Path) -> bool {
        !self.other
            || dir.ancestors().skip(1).filter(|it| !it.as_os_str().is_empty()).all(|it| {
                std::fs::metadata(it).is_ok_and(|meta| {
                    let mode = meta.permissions().mode();
                    if meta.uid() == self.uid.as_raw() {
                        mode & 0o100 != 0
                    } else if meta.gid() == self.gid.as_raw() {
                        mode & 0o010 != 0
                    } else {
                        mode & 0o001 != 0
                    }
                })
            })
    }

    /// Creates `dir` for this user alone, or takes it when it is that already.
    fn claim(&self, dir: &Path) -> anyhow::Result<()> {
        match std::fs::DirBuilder::new().mode(0o700).create(dir) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot create {}", dir.display())),
        }
        let meta =
            std::fs::symlink_metadata(dir).with_context(|| format!("cannot look at {}", dir.display()))?;
        let ours = meta.uid() == self.uid.as_raw() || (self.other && meta.uid() == 0);
        if !meta.is_dir() || !ours {
            bail!(
                "{} is not ours (it belongs to uid {}): choose another data directory",
                dir.display(),
                meta.uid()
            );
        }
        if self.other && meta.uid() == 0 {
            std::os::unix::fs::chown(dir, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
                .with_context(|| format!("cannot give {} to {self}", dir.display()))?;
        }
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
            .with_context(|| format!("cannot close {} to others", dir.display()))
    }
}

/// Where a cluster lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Holds the data directory, the log and the lock.
    pub(super) base: PathBuf,
    /// Holds the socket. A path of its own where `base` is too long for one.
    pub(super) socket: PathBuf,
    /// What the user should know about it.
    pub(super) note: Option<String>,
}

impl Place {
    /// Prepares the directories for a cluster wanted at `wanted`.
    ///
    /// # Errors
    /// One line when a directory cannot be had.
    pub(super) fn prepare(wanted: &Path, owner: &Owner) -> anyhow::Result<Self> {
        let wanted =
            std::path::absolute(wanted).with_context(|| format!("{} is no path", wanted.display()))?;
        if let Some(parent) = wanted.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        }
        let short = short(&wanted);
        let reached = owner.reaches(&wanted);
        let base = if reached { wanted.clone() } else { short.clone() };
        owner.claim(&base)?;
        let socket = if base.as_os_str().len() <= SOCKET_DIR_MAX { base.clone() } else { short };
        owner.claim(&socket)?;
        let note = (!reached).then(|| {
            format!("{owner} cannot reach {}: the database lies in {}", wanted.display(), base.display())
        });
        Ok(Self { base, socket, note })
    }
}

/// The short directory that stands for one that is too long or closed to the server's user.
fn short(wanted: &Path) -> PathBuf {
    let digest = blake3::hash(wanted.as_os_str().as_encoded_bytes()).to_hex();
    Path::new("/tmp").join(format!("claxton-{}", digest.get(..12).unwrap_or_default()))
}

/// Where the socket of a running server lies whose directory is `wanted`; `None` where none runs.
pub(super) fn socket_of(wanted: &Path) -> Option<PathBuf> {
    let wanted = std::path::absolute(wanted).ok()?;
    [wanted.clone(), short(&wanted)].into_iter().find(|it| it.join(".s.PGSQL.5432").exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_long_directory_keeps_its_data_and_gets_a_short_socket() {
        let scratch = Scratch::new("long");
        let wanted = scratch.path().join("d".repeat(100));
        let owner = Owner::of(&wanted).unwrap();
        let place = Place::prepare(&wanted, &owner).unwrap();
        assert!(place.socket.as_os_str().len() <= SOCKET_DIR_MAX, "{place:?}");
        assert_eq!(place.base, wanted);
        assert_eq!(Place::prepare(&wanted, &owner).unwrap(), place);
        std::fs::remove_dir(place.socket).unwrap();
    }

    #[test]
    fn root_moves_the_cluster_out_of_a_closed_directory_and_says_so() {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: only root has directories that the server's user cannot reach");
            return;
        }
        let scratch = Scratch::new("closed");
        std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let wanted = scratch.path().join("postgres");
        let owner = Owner::of(&wanted).unwrap();
        let place = Place::prepare(&wanted, &owner).unwrap();
        assert!(place.base.starts_with("/tmp") && place.base != wanted, "{place:?}");
        let note = place.note.unwrap();
        assert!(note.contains(&place.base.display().to_string()) && note.contains("cannot reach"), "{note}");
        std::fs::remove_dir(place.base).unwrap();
    }

    #[test]
    fn a_directory_of_somebody_else_is_refused() {
        let owner = Owner::of(Path::new("/nowhere")).unwrap();
        let stranger = Owner { uid: Uid::from_raw(owner.uid.as_raw() + 1), other: false, ..owner.clone() };
        let scratch = Scratch::new("stranger");
        let dir = scratch.path().join("postgres");
        owner.claim(&dir).unwrap();
        let error = stranger.claim(&dir).unwrap_err().to_string();
        assert!(error.contains("choose another data directory"), "{error}");
    }
}
