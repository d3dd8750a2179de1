//! Digests of files and folders, and the memory of them that spares reading what nobody has touched.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::record::FOLDER;

/// Size of the buffer that files are read through, in bytes.
const BUFFER: usize = 1 << 18;

/// SHA-256 of bytes, in hexadecimal.
pub fn digest_of_bytes(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// BLAKE3 of a file's content, or of a folder's sorted relative paths and contents, in hexadecimal; `None` where there is nothing.
/// Hidden files (named `.…`) do not count.
///
/// # Errors
/// What the file system says.
pub fn digest_of(place: &Path) -> io::Result<Option<String>> {
    digest_by(place, &|file, _| digest_of_file(file))
}

/// The files of a folder are read on all threads.
fn digest_by(place: &Path, of_file: &(dyn Fn(&Path, &Metadata) -> io::Result<String> + Sync)) -> io::Result<Option<String>> {
    let metadata = match std::fs::metadata(place) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if metadata.is_file() {
        return of_file(place, &metadata).map(Some);
    }
    let mut files = Vec::new();
    list_files(place, &mut files)?;
    files.sort_unstable();
    let digests = files.par_iter().map(|file| of_file(file, &std::fs::metadata(file)?)).collect::<io::Result<Vec<_>>>()?;
    let mut hasher = blake3::Hasher::new();
    for (file, digest) in files.iter().zip(digests) {
        let relative = file.strip_prefix(place).unwrap_or(file);
        hasher.update(relative.to_string_lossy().as_bytes());
        hasher.update(&[0]);
        hasher.update(digest.as_bytes());
        hasher.update(b"\n");
    }
    Ok(Some(hasher.finalize().to_hex().to_string()))
}

/// All files below a folder that are not hidden, in no order.
fn list_files(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        if path.is_dir() {
            list_files(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// BLAKE3 of one file, read in pieces.
fn digest_of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let n_read = file.read(&mut buffer)?;
        if n_read == 0 {
            return Ok(hasher.finalize().to_hex().to_string());
        }
        hasher.update(&buffer[..n_read]);
    }
}

/// Name of the file that keeps [`Digests`] between runs.
const MEMORY: &str = ".digests.json";

/// Steps of the clock that file systems stamp with: a change this soon after another may carry the same stamp.
const TICK: Duration = Duration::from_millis(50);

/// Digests of files that were read before, with what tells that nobody wrote to them since. A wrong or lost memory costs reading.
#[derive(Default)]
pub(crate) struct Digests {
    place: PathBuf,
    known: Mutex<BTreeMap<String, Known>>,
}

/// A file as it was when its content had a digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    stamp: Stamp,
    /// When the status last changed, in nanoseconds since 1970: the system sets it with every change, and nobody else can.
    changed: u128,
    digest: String,
}

/// What stays as it is while nobody writes to a file, even where hard links to it come and go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: u128,
}

/// Who could have changed a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writers {
    /// Anybody: programs that keep or set times of modification count.
    Anybody,
    /// Stages, under the project's lock.
    Stages,
}

impl Digests {
    /// Reads what is remembered of a project; nothing where that cannot be read.
    pub(crate) fn load(project: &Path) -> Self {
        let place = project.join(FOLDER).join(MEMORY);
        let known = std::fs::read(&place).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Self { place, known: Mutex::new(known) }
    }

    /// Remembers for the next run.
    pub(crate) fn save(&self) -> io::Result<()> {
        let folder = self.place.parent().unwrap_or(&self.place);
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut file, &*self.known())?;
        file.persist(&self.place).map_err(|error| error.error)?;
        Ok(())
    }

    /// As [`digest_of`], but reads only files that were written to since they were last read.
    pub(crate) fn of(&self, place: &Path, writers: Writers) -> io::Result<Option<String>> {
        digest_by(place, &|file, metadata| self.of_file(file, metadata, writers))
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of_file(&self, path: &Path, metadata: &Metadata, writers: Writers) -> io::Result<String> {
        let Some((stamp, changed)) = stamp(metadata) else { return digest_of_file(path) };
        let name = path.to_string_lossy().into_owned();
        if let Some(known) = self.known().get(&name)
            && known.stamp == stamp
            && (writers == Writers::Stages || known.changed == changed)
        {
            return Ok(known.digest.clone());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let digest = digest_of_file(path)?;
        // A writer may still be at it within the same tick of the clock: such a file is read again next time.
        let is_settled = changed.max(stamp.modified) + TICK.as_nanos() < now.as_nanos();
        if is_settled {
            self.known().insert(name, Known { stamp, changed, digest: digest.clone() });
        } else {
            self.known().remove(&name);
        }
        Ok(digest)
    }
}

/// What tells a file from its later selves, where the system says it.
#[cfg(unix)]
fn stamp(metadata: &Metadata) -> Option<(Stamp, u128)> {
    use std::os::unix::fs::MetadataExt;
    let nanos = |seconds: i64, nanos: i64| u128::try_from(i128::from(seconds) * 1_000_000_000 + i128::from(nanos)).ok();
    let stamp = Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: nanos(metadata.mtime(), metadata.mtime_nsec())?,
    };
    Some((stamp, nanos(metadata.ctime(), metadata.ctime_nsec())?))
}

/// Other systems do not tell when a file's status changed.
#[cfg(not(unix))]
fn stamp(_metadata: &Metadata) -> Option<(Stamp, u128)> {
    None
}

/// Bytes as lower-case hexadecimal digits.
fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_nothing_is_the_published_one() {
        assert_eq!(digest_of_bytes(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn a_folder_changes_with_names_and_contents_but_not_with_hidden_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "1").unwrap();
        let first = digest_of(folder.path()).unwrap();
        std::fs::write(folder.path().join(".hidden"), "x").unwrap();
        assert_eq!(digest_of(folder.path()).unwrap(), first);
        std::fs::rename(folder.path().join("a"), folder.path().join("b")).unwrap();
        assert_ne!(digest_of(folder.path()).unwrap(), first);
        assert_eq!(digest_of(&folder.path().join("none")).unwrap(), None);
    }

    #[cfg(unix)]
    mod memory {
        use super::*;

        /// A file that was last written long enough ago.
        fn settled(text: &str) -> (tempfile::TempDir, PathBuf) {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("log");
            std::fs::write(&file, text).unwrap();
            std::thread::sleep(TICK * 2);
            (folder, file)
        }

        fn remembers(digests: &Digests, file: &Path) -> bool {
            digests.known().contains_key(file.to_str().unwrap())
        }

        #[test]
        fn a_file_that_nobody_touched_is_not_read_again() {
            let (folder, file) = settled("a");
            let digests = Digests::load(folder.path());
            let first = digests.of(&file, Writers::Anybody).unwrap();
            assert_eq!(first, digest_of(&file).unwrap());
            digests.save().unwrap();
            let later = Digests::load(folder.path());
            later.known().get_mut(file.to_str().unwrap()).unwrap().digest = "remembered".to_owned();
            assert_eq!(later.of(&file, Writers::Anybody).unwrap().as_deref(), Some("remembered"));
        }

        #[test]
        fn a_change_that_keeps_size_and_time_of_modification_is_noticed() {
            let (folder, file) = settled("a");
            let digests = Digests::load(folder.path());
            let modified = std::fs::metadata(&file).unwrap().modified().unwrap();
            digests.of(&file, Writers::Anybody).unwrap();
            std::fs::write(&file, "b").unwrap();
            File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
            assert_eq!(std::fs::metadata(&file).unwrap().modified().unwrap(), modified);
            assert_eq!(digests.of(&file, Writers::Anybody).unwrap(), digest_of(&file).unwrap());
        }

        #[test]
        fn a_file_that_was_written_a_moment_ago_is_not_trusted() {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("log");
            std::fs::write(&file, "a").unwrap();
            let digests = Digests::load(folder.path());
            digests.of(&file, Writers::Anybody).unwrap();
            assert!(!remembers(&digests, &file));
        }

        #[test]
        fn hard_links_of_stages_come_and_go_without_reading() {
            let (folder, file) = settled("a");
            let digests = Digests::load(folder.path());
            digests.of(&file, Writers::Stages).unwrap();
            assert!(remembers(&digests, &file));
            digests.known().get_mut(file.to_str().unwrap()).unwrap().digest = "remembered".to_owned();
            std::fs::hard_link(&file, folder.path().join("link")).unwrap();
            assert_eq!(digests.of(&file, Writers::Stages).unwrap().as_deref(), Some("remembered"));
            assert_eq!(digests.of(&file, Writers::Anybody).unwrap(), digest_of(&file).unwrap());
        }
    }
}
