//! What an ingest leaves for the next one: which files were read how far, hidden beside the days that came of them.
//!
//! The state stands in the folder of decisions, so that both are put in place by one rename. It is checked before it is used: whatever is
//! missing, torn, or of another version or other settings makes the next ingest read everything.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::blocks::BlockHasher;
use crate::decisions::day_name;
use crate::error::{IngestError, TableError};
use crate::extras::Keys;
use crate::ledger::DayLedger;
use crate::redact::RedactCounts;

/// Version of the state; any other is not understood.
const VERSION: u32 = 3;

/// Name of the folder among the days.
const FOLDER: &str = ".ingest";

/// Which files were read how far.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    version: u32,
    /// Everything that the rows depend on beside the files.
    pub(crate) settings: String,
    /// Keys without a column because there are too many.
    pub(crate) left_out: Vec<String>,
    /// What is known of every day's rows, in the order of days.
    pub(crate) days: Vec<DayLedger>,
    /// Digest of the rejected records.
    rejected: String,
    /// The files in the order of reading.
    pub(crate) files: Vec<FileState>,
}

impl State {
    /// A number that no file has, and none had of which the ledgers of days may still tell.
    pub(crate) fn free_number(&self) -> u32 {
        let of_days = self.days.iter().filter_map(|day| day.files.last_key_value()).map(|(number, _)| *number);
        self.files.iter().map(|file| file.number).chain(of_days).max().map_or(0, |number| number.saturating_add(1))
    }
}

/// A file that was read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct FileState {
    /// Its number, which stays as long as the file is known; what a day's ledger calls it.
    pub(crate) number: u32,
    /// As it was named.
    pub(crate) path: String,
    /// What tells that nobody wrote to it since; none where that cannot be told.
    pub(crate) stamp: Option<Stamp>,
    /// Bytes on disk, and their digest.
    pub(crate) n_bytes: u64,
    pub(crate) digest: String,
    /// Digest of its first record, which stays while it grows or gets another name.
    pub(crate) fingerprint: String,
    /// Its format, where it was found.
    pub(crate) format: Option<String>,
    /// Whether what is appended can be read from [`Self::resume`] on; not where the format may still change or the file is compressed.
    pub(crate) can_grow: bool,
    /// Offset and line from which on records may change when the file grows.
    pub(crate) resume: (u64, u64),
    /// Whether its records are checked against their format's schema, once that was found out.
    pub(crate) keeps_schema: Option<bool>,
    /// Records before [`Self::resume`] and after it.
    pub(crate) head: Tally,
    pub(crate) tail: Tally,
}

/// What was counted of some records beside the ledger.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Records that were found.
    pub(crate) read: u64,
    /// Rejected records by reason, conflicts excepted.
    pub(crate) rejected: BTreeMap<String, u64>,
    /// Further scalars.
    pub(crate) keys: Keys,
    /// What was taken out.
    pub(crate) redacted: BTreeMap<String, u64>,
}

impl Tally {
    /// Adds what was taken out.
    pub(crate) fn take_redacted(&mut self, counts: RedactCounts) {
        counts.into_iter().for_each(|(name, count)| *self.redacted.entry(name.to_owned()).or_default() += count);
    }
}

/// What tells that nobody wrote to a file: the system sets the last part with every change, and nobody else can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: i128,
    changed: i128,
}

/// Steps of the clock that file systems stamp with, in nanoseconds: a change this soon after another may carry the same stamp.
const TICK: i128 = 50_000_000;

impl Stamp {
    /// The stamp of an open file, if its last change is long enough ago to tell it from the next one.
    pub(crate) fn of(file: &File) -> Option<Self> {
        let stamp = stamp(&file.metadata().ok()?)?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
        let is_settled = stamp.changed.max(stamp.modified) + TICK < i128::try_from(now.as_nanos()).ok()?;
        is_settled.then_some(stamp)
    }
}

#[cfg(unix)]
fn stamp(metadata: &fs::Metadata) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    Some(Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: nanos(metadata.mtime(), metadata.mtime_nsec()),
        changed: nanos(metadata.ctime(), metadata.ctime_nsec()),
    })
}

/// Other systems do not tell when a file's status changed.
#[cfg(not(unix))]
fn stamp(_metadata: &fs::Metadata) -> Option<Stamp> {
    None
}

/// Places of a state in a folder of decisions.
pub(crate) struct StatePlaces {
    folder: PathBuf,
    /// Folder of every row: a file per day.
    pub(crate) ledger: PathBuf,
    /// Every rejected record, conflicts excepted.
    pub(crate) rejected: PathBuf,
}

impl StatePlaces {
    /// The places in a folder of decisions.
    pub(crate) fn of(decisions: &Path) -> Self {
        let folder = decisions.join(FOLDER);
        Self { ledger: folder.join("ledger"), rejected: folder.join("rejected"), folder }
    }

    /// Makes the folders, without what stood there: it may be linked to what an earlier ingest left.
    pub(crate) fn create(&self) -> Result<(), TableError> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(TableError::write(&self.folder, error)),
            _ => {}
        }
        fs::create_dir_all(&self.ledger).map_err(|error| TableError::write(&self.ledger, error))
    }

    /// The ledger of a day.
    pub(crate) fn day(&self, day: i64) -> PathBuf {
        self.ledger.join(day_name(day))
    }

    /// Removes what stands there.
    pub(crate) fn remove(&self) -> Result<(), TableError> {
        fs::remove_dir_all(&self.folder).map_err(|error| TableError::write(&self.folder, error))
    }

    fn files(&self) -> PathBuf {
        self.folder.join("files.json")
    }

    /// Reads a state; nothing where there is none that can be gone on from. Of days' ledgers the sizes are looked at, not the content: whoever
    /// reads it compares the digests.
    pub(crate) fn read(&self, settings: &str) -> Option<State> {
        let state: State = serde_json::from_slice(&fs::read(self.files()).ok()?).ok()?;
        let is_whole = state.version == VERSION
            && state.settings == settings
            && state.days.iter().all(|day| day.is_as_long_as(&self.day(day.day)))
            && digest_of(&self.rejected).ok()? == state.rejected;
        is_whole.then_some(state)
    }

    /// Writes a state whose ledger and rejected records are in place.
    pub(crate) fn write(
        &self,
        settings: &str,
        left_out: Vec<String>,
        files: Vec<FileState>,
        days: Vec<DayLedger>,
    ) -> Result<(), TableError> {
        let path = self.files();
        let failed = |error: io::Error| TableError::write(&path, error);
        let state = State {
            version: VERSION,
            settings: settings.to_owned(),
            left_out,
            days,
            rejected: digest_of(&self.rejected).map_err(failed)?,
            files,
        };
        let bytes = serde_json::to_vec(&state).map_err(|error| failed(error.into()))?;
        fs::write(&path, bytes).map_err(failed)
    }
}

/// Makes the digest of what is written or read through it.
pub(crate) struct Digesting<W> {
    inner: W,
    hasher: blake3::Hasher,
}

impl<W> Digesting<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, hasher: blake3::Hasher::new() }
    }

    /// As [`digest_of`] a file of what went through.
    pub(crate) fn digest(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }
}

impl<W: io::Write> io::Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n_written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..n_written]);
        Ok(n_written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n_read]);
        Ok(n_read)
    }
}

/// BLAKE3 of a file.
fn digest_of(path: &Path) -> io::Result<String> {
    Ok(BlockHasher::of_prefix(path, fs::metadata(path)?.len())?.digest())
}

/// What a file is to what was read before.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    /// Nothing of it was read.
    New,
    /// It is the earlier file of that position, unchanged.
    Same(usize),
    /// It is the earlier file of that position, with more bytes; and the digest so far.
    Grown(usize, Box<BlockHasher>),
}

/// Finds out what files are to an earlier state. No two have the same earlier file.
pub(crate) fn standings(files: &[PathBuf], earlier: &State) -> Result<Vec<Standing>, IngestError> {
    let by_path: BTreeMap<&str, usize> = earlier.files.iter().enumerate().map(|(at, file)| (file.path.as_str(), at)).collect();
    let mut taken = vec![false; earlier.files.len()];
    let mut standings = vec![Standing::New; files.len()];
    for (path, standing) in files.iter().zip(&mut standings) {
        let Some(&at) = by_path.get(path.display().to_string().as_str()) else { continue };
        if let Some(found) = compare(path, at, &earlier.files[at]).map_err(|error| IngestError::read(path, error))? {
            (*standing, taken[at]) = (found, true);
        }
    }
    // What is known by content only: rotated and renamed files. Only earlier files that were not found at their place can be meant.
    for (path, standing) in files.iter().zip(&mut standings).filter(|(_, standing)| matches!(standing, Standing::New)) {
        for (at, (known, taken)) in earlier.files.iter().zip(&mut taken).enumerate() {
            if *taken || known.n_bytes == 0 {
                continue;
            }
            if let Some(found) = compare(path, at, known).map_err(|error| IngestError::read(path, error))? {
                (*standing, *taken) = (found, true);
                break;
            }
        }
    }
    Ok(standings)
}

/// What a file is to an earlier one; nothing if it is another.
fn compare(path: &Path, at: usize, earlier: &FileState) -> io::Result<Option<Standing>> {
    let metadata = fs::metadata(path)?;
    if earlier.stamp.is_some() && stamp(&metadata) == earlier.stamp {
        return Ok(Some(Standing::Same(at)));
    }
    let has_grown = metadata.len() > earlier.n_bytes;
    if metadata.len() < earlier.n_bytes || (has_grown && !earlier.can_grow) {
        return Ok(None);
    }
    let hasher = match BlockHasher::of_prefix(path, earlier.n_bytes) {
        // Somebody cut it meanwhile.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        hasher => hasher?,
    };
    let is_same = hasher.digest() == earlier.digest;
    Ok(is_same.then(|| if has_grown { Standing::Grown(at, Box::new(hasher)) } else { Standing::Same(at) }))
}
