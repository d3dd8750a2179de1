//! Digests of files and folders, and the memory of them that spares reading what nobody has touched.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
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

/// The files of a place are read on all threads.
fn digest_by(place: &Path, of_file: &(dyn Fn(&Path, &Metadata) -> io::Result<String> + Sync)) -> io::Result<Option<String>> {
    let Some(files) = files_of(place)? else { return Ok(None) };
    let digests = files.par_iter().map(|file| of_file(file, &std::fs::metadata(file)?)).collect::<io::Result<Vec<_>>>()?;
    Ok(Some(digest_of_files(place, &files, digests)))
}

/// The files of a place in order: itself, or those of a folder; nothing where there is nothing.
fn files_of(place: &Path) -> io::Result<Option<Vec<PathBuf>>> {
    let metadata = match std::fs::metadata(place) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if metadata.is_file() {
        return Ok(Some(vec![place.to_owned()]));
    }
    let mut files = Vec::new();
    list_files(place, &mut files)?;
    files.sort_unstable();
    Ok(Some(files))
}

/// The digest of a place whose files have these digests.
fn digest_of_files(place: &Path, files: &[PathBuf], mut digests: Vec<String>) -> String {
    if files.first().is_some_and(|file| file == place) {
        return digests.swap_remove(0);
    }
    let mut hasher = blake3::Hasher::new();
    for (file, digest) in files.iter().zip(digests) {
        let relative = file.strip_prefix(place).unwrap_or(file);
        hasher.update(relative.to_string_lossy().as_bytes());
        hasher.update(&[0]);
        hasher.update(digest.as_bytes());
        hasher.update(b"\n");
    }
    hasher.finalize().to_hex().to_string()
}

/// All files below a folder that are not hidden, in no order.
fn list_files(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let (kind, path) = (entry.file_type()?, entry.path());
        if kind.is_dir() || (kind.is_symlink() && path.is_dir()) {
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

/// A place outside the line as it stood before a stage read it.
pub(crate) struct Seen {
    place: PathBuf,
    files: Vec<PathBuf>,
    looks: Vec<Look>,
}

/// What was known of a file before a stage read it.
enum Look {
    /// What tells whether somebody writes to it meanwhile, and whether its last change was long enough ago to tell the next one from it.
    Stamp(Stamp, u128, bool),
    /// Its digest, where the system tells nothing.
    Digest(String),
}

/// Stands for the digest of a file that changed while a stage ran which did not say what it read of it: no file has it.
const CHANGED_MEANWHILE: &str = "changed while it was read";

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
        // At once: a file is written to with every token otherwise.
        file.write_all(&serde_json::to_vec(&*self.known())?)?;
        file.persist(&self.place).map_err(|error| error.error)?;
        Ok(())
    }

    /// As [`digest_of`], but reads only files that were written to since they were last read.
    pub(crate) fn of(&self, place: &Path, writers: Writers) -> io::Result<Option<String>> {
        digest_by(place, &|file, metadata| self.of_file(file, metadata, writers))
    }

    /// As [`Self::of`] for anybody's files, but a file of another size than the remembered one is not read: it holds something else, and its
    /// size stands for its digest. Good for finding out whether a place changed, and for nothing else.
    pub(crate) fn glance(&self, place: &Path) -> io::Result<Option<String>> {
        digest_by(place, &|file, metadata| {
            let size = self.known().get(file.to_string_lossy().as_ref()).map(|known| known.stamp.size);
            match size {
                Some(size) if size != metadata.len() => Ok(format!("{} bytes", metadata.len())),
                _ => self.of_file(file, metadata, Writers::Anybody),
            }
        })
    }

    /// Looks at a place that a stage will read, without reading it; nothing where there is nothing.
    pub(crate) fn look(&self, place: &Path) -> io::Result<Option<Seen>> {
        let Some(files) = files_of(place)? else { return Ok(None) };
        let looks = files.par_iter().map(|file| {
            let Some((stamp, changed)) = stamp(&std::fs::metadata(file)?) else { return digest_of_file(file).map(Look::Digest) };
            let is_settled = is_settled(&stamp, changed, now());
            Ok(Look::Stamp(stamp, changed, is_settled))
        });
        let looks = looks.collect::<io::Result<Vec<_>>>()?;
        Ok(Some(Seen { place: place.to_owned(), files, looks }))
    }

    /// The digest of a place as a stage read it. `told`: digests of files by path, as the stage says; any other file is read now.
    pub(crate) fn of_seen(&self, seen: Seen, told: &BTreeMap<PathBuf, String>) -> io::Result<String> {
        let digest = |(file, look): (&PathBuf, &Look)| {
            let (before, is_settled) = match look {
                Look::Digest(digest) => return Ok(told.get(file).unwrap_or(digest).clone()),
                Look::Stamp(stamp, changed, is_settled) => ((stamp, changed), *is_settled),
            };
            // A file may be gone by now.
            let metadata = std::fs::metadata(file).ok();
            let now = metadata.as_ref().and_then(stamp);
            let is_same = now.as_ref().is_some_and(|(stamp, changed)| (stamp, changed) == before);
            match (told.get(file), metadata) {
                (Some(digest), _) => {
                    self.remember(file, before.0, *before.1, digest, is_same && is_settled);
                    Ok(digest.clone())
                }
                (None, Some(metadata)) if is_same => self.of_file(file, &metadata, Writers::Anybody),
                _ => Ok(CHANGED_MEANWHILE.to_owned()),
            }
        };
        let digests = seen.files.par_iter().zip(&seen.looks).map(digest).collect::<io::Result<Vec<_>>>()?;
        Ok(digest_of_files(&seen.place, &seen.files, digests))
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of_file(&self, path: &Path, metadata: &Metadata, writers: Writers) -> io::Result<String> {
        let Some((stamp, changed)) = stamp(metadata) else { return digest_of_file(path) };
        if let Some(known) = self.known().get(path.to_string_lossy().as_ref())
            && known.stamp == stamp
            && (writers == Writers::Stages || known.changed == changed)
        {
            return Ok(known.digest.clone());
        }
        let now = now();
        let digest = digest_of_file(path)?;
        self.remember(path, &stamp, changed, &digest, is_settled(&stamp, changed, now));
        Ok(digest)
    }

    /// Remembers the digest of a file, or that nothing certain is known of it.
    fn remember(&self, path: &Path, stamp: &Stamp, changed: u128, digest: &str, is_certain: bool) {
        let name = path.to_string_lossy().into_owned();
        if is_certain {
            self.known().insert(name, Known { stamp: stamp.clone(), changed, digest: digest.to_owned() });
        } else {
            self.known().remove(&name);
        }
    }
}

/// Time since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Whether a file's last change was long enough ago: a writer may still be at it within the same tick of the clock, and then it is read again
/// next time.
fn is_settled(stamp: &Stamp, changed: u128, now: Duration) -> bool {
    changed.max(stamp.modified) + TICK.as_nanos() < now.as_nanos()
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

        fn told(file: &Path, digest: &str) -> BTreeMap<PathBuf, String> {
            BTreeMap::from([(file.to_owned(), digest.to_owned())])
        }

        #[test]
        fn what_a_stage_read_is_not_read_again() {
            let (folder, file) = settled("a");
            std::fs::write(folder.path().join("other"), "b").unwrap();
            let digests = Digests::load(folder.path());
            let seen = digests.look(folder.path()).unwrap().unwrap();
            let right = digest_of(&file).unwrap().unwrap();
            assert_eq!(Some(digests.of_seen(seen, &told(&file, &right)).unwrap()), digest_of(folder.path()).unwrap());
            let seen = digests.look(&file).unwrap().unwrap();
            assert_eq!(digests.of_seen(seen, &told(&file, "as it was told")).unwrap(), "as it was told");
            assert_eq!(digests.glance(&file).unwrap().as_deref(), Some("as it was told"), "and remembered");
        }

        #[test]
        fn what_was_written_while_a_stage_read_counts_next_time() {
            let (folder, file) = settled("a");
            let digests = Digests::load(folder.path());
            let seen = digests.look(&file).unwrap().unwrap();
            std::fs::write(&file, "ab").unwrap();
            assert_eq!(digests.of_seen(seen, &told(&file, "of a")).unwrap(), "of a");
            assert_eq!(digests.glance(&file).unwrap(), digest_of(&file).unwrap(), "nothing was remembered");
            let seen = digests.look(&file).unwrap().unwrap();
            std::fs::write(&file, "abc").unwrap();
            assert_eq!(digests.of_seen(seen, &BTreeMap::new()).unwrap(), CHANGED_MEANWHILE);
        }

        #[test]
        fn a_file_of_another_size_is_known_to_differ_without_reading() {
            let (folder, file) = settled("a");
            let digests = Digests::load(folder.path());
            let first = digests.glance(&file).unwrap();
            assert_eq!(first, digest_of(&file).unwrap());
            std::fs::write(&file, "ab").unwrap();
            assert_eq!(digests.glance(&file).unwrap().as_deref(), Some("2 bytes"));
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
