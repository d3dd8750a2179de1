//! One run per project at a time: an advisory lock of the operating system, which dies with its process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process number.
    pub pid: u32,
    /// Name of the machine.
    pub host: String,
    /// The command line.
    pub command: String,
    /// When it was taken, in seconds since 1970.
    pub since: u64,
}

/// Why the lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error("another run holds the lock: {}", describe(holder.as_ref()))]
    Held {
        /// Who, where it could be read.
        holder: Option<Holder>,
    },
    /// The file system refused.
    #[error("cannot lock `{}`", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// The held lock; released when dropped, and by the system when the process ends in any way.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    holder_path: PathBuf,
}

impl Lock {
    /// Takes the lock of a project.
    ///
    /// # Errors
    /// [`LockError::Held`] names the holder; [`LockError::Io`] where the folder cannot be written.
    pub fn take(project: &Path, command: &str) -> Result<Self, LockError> {
        let folder = project.join(crate::record::FOLDER);
        let path = folder.join(".lock");
        let io_error = |source| LockError::Io { path: path.clone(), source };
        std::fs::create_dir_all(&folder).map_err(io_error)?;
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(io_error)?;
        let holder_path = folder.join(".lock.json");
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = std::fs::read(&holder_path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
                return Err(LockError::Held { holder });
            }
            Err(TryLockError::Error(source)) => return Err(io_error(source)),
        }
        let holder = Holder { pid: std::process::id(), host: host(), command: command.to_owned(), since: now() };
        let text = serde_json::to_vec(&holder).map_err(|error| io_error(error.into()))?;
        std::fs::write(&holder_path, text).map_err(io_error)?;
        Ok(Self { _file: file, holder_path })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The lock itself goes with the file; a note left behind misleads nobody, since it is read only while the lock is held.
        let _ = std::fs::remove_file(&self.holder_path);
    }
}

/// The holder in words.
fn describe(holder: Option<&Holder>) -> String {
    holder.map_or_else(
        || "it did not say who it is".to_owned(),
        |holder| {
            format!("process {} on {}, since {} s ago: `{}`", holder.pid, holder.host, now().saturating_sub(holder.since), holder.command)
        },
    )
}

/// Name of this machine.
fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| "an unnamed machine".to_owned(), |name| name.trim().to_owned())
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_told_who_holds_the_lock() {
        let project = tempfile::tempdir().unwrap();
        let held = Lock::take(project.path(), "routewright run").unwrap();
        let error = Lock::take(project.path(), "routewright run").unwrap_err();
        let LockError::Held { holder: Some(holder) } = error else { panic!("{error:?}") };
        assert_eq!((holder.pid, holder.command.as_str()), (std::process::id(), "routewright run"));
        drop(held);
        assert!(Lock::take(project.path(), "routewright run").is_ok());
    }
}
