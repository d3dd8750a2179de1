//! The files of an ingest: found in a fixed order, decompressed, counted and digested while they are read.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::blocks::BlockHasher;
use crate::error::IngestError;
use crate::state::Stamp;
use crate::wide::{self, MatrixSettings};

/// The files that sources name.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// Files to read: sources in the order given, the files of a folder by name.
    pub(crate) files: Vec<PathBuf>,
    /// Files of folders that are no logs by their names.
    pub(crate) skipped: Vec<PathBuf>,
}

/// Names that a log in a folder ends with, before `.gz` or `.zst`.
const LOG_NAMES: &[&str] = &[".jsonl", ".ndjson", ".csv", ".tsv", ".parquet"];

/// Finds the files of sources: a file is taken whatever its name, of a folder the logs at any depth, hidden ones excepted. No file twice.
pub(crate) fn find(sources: &[PathBuf]) -> Result<Inputs, IngestError> {
    let mut inputs = Inputs::default();
    for source in sources {
        let metadata = fs::metadata(source).map_err(|error| IngestError::read(source, error))?;
        if metadata.is_dir() { find_in_folder(source, &mut inputs)? } else { inputs.files.push(source.clone()) }
    }
    let mut seen = std::collections::BTreeSet::new();
    inputs.files.retain(|file| seen.insert(fs::canonicalize(file).unwrap_or_else(|_| file.clone())));
    Ok(inputs)
}

fn find_in_folder(folder: &Path, inputs: &mut Inputs) -> Result<(), IngestError> {
    let entries = fs::read_dir(folder).map_err(|error| IngestError::read(folder, error))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(|error| IngestError::read(folder, error))?.path());
    }
    paths.sort_unstable();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let is_link = fs::symlink_metadata(&path).map_err(|error| IngestError::read(&path, error))?.is_symlink();
        if path.is_dir() {
            // A link to a folder may lead in a circle.
            if is_link { inputs.skipped.push(path) } else { find_in_folder(&path, inputs)? }
        } else if is_log(&name) {
            inputs.files.push(path);
        } else {
            inputs.skipped.push(path);
        }
    }
    Ok(())
}

fn is_log(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let stem = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    // What rotation appends: `.1`, `-20260105`.
    let rotated = stem.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let unrotated = if rotated.len() < stem.len() { rotated.strip_suffix(['.', '-']).unwrap_or(stem) } else { stem };
    LOG_NAMES.iter().any(|ending| unrotated.ends_with(ending))
}

/// A file that is being read: its text, and what was read of it so far.
pub(crate) struct OpenFile {
    /// The text, decompressed.
    pub(crate) text: Box<dyn Read + Send>,
    /// Whether the text is not what stands on disk.
    pub(crate) is_compressed: bool,
    /// Whether it is a wide table: records stand in the place of its rows.
    pub(crate) is_wide: bool,
    /// The file before anything was read of it.
    pub(crate) stamp: Option<Stamp>,
    meter: Arc<Mutex<Meter>>,
}

/// What was read of a file on disk.
struct Meter {
    file: File,
    hasher: BlockHasher,
    /// Bytes before this one are in the digest already.
    hashed: u64,
    /// Where the file is read.
    n_bytes: u64,
    failure: Option<io::Error>,
}

impl Meter {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Ok(n_read) => {
                let known = usize::try_from(self.hashed.saturating_sub(self.n_bytes)).unwrap_or(usize::MAX).min(n_read);
                self.hasher.update(&buffer[known..n_read]);
                self.n_bytes += n_read as u64;
                Ok(n_read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let copy = io::Error::new(error.kind(), error.to_string());
                self.failure = Some(error);
                Err(copy)
            }
        }
    }
}

/// Reads through the meter.
struct Metered(Arc<Mutex<Meter>>);

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read(buffer)
    }
}

/// Bytes that are read of a file at once.
const READ_BYTES: usize = 256 << 10;

/// Bytes that are read to see whether a file has ended.
const PROBE: usize = 512;

/// Opens a file; its first bytes, not its name, say how it is compressed.
pub(crate) fn open(path: &Path, matrix: &MatrixSettings) -> Result<OpenFile, IngestError> {
    let failed = |error| IngestError::read(path, error);
    let file = File::open(path).map_err(failed)?;
    let stamp = Stamp::of(&file);
    let meter = Meter { file, hasher: BlockHasher::default(), hashed: 0, n_bytes: 0, failure: None };
    let meter = Arc::new(Mutex::new(meter));
    let mut raw = BufReader::with_capacity(READ_BYTES, Metered(Arc::clone(&meter)));
    let begin = raw.fill_buf().map_err(failed)?;
    if begin.starts_with(b"PAR1") {
        // Parquet is read from its end; the meter reads the whole file for the digest afterwards.
        let file = File::open(path).map_err(failed)?;
        return Ok(OpenFile { text: wide::of_parquet(path, file, matrix), is_compressed: true, is_wide: true, stamp, meter });
    }
    let mut is_compressed = true;
    let text: Box<dyn Read + Send> = if begin.starts_with(&[0x1f, 0x8b]) {
        Box::new(flate2::bufread::MultiGzDecoder::new(raw))
    } else if begin.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Box::new(zstd::stream::read::Decoder::with_buffer(raw).map_err(failed)?)
    } else {
        is_compressed = false;
        Box::new(raw)
    };
    Ok(match wide::of_csv(path, text, matrix) {
        Ok(records) => OpenFile { text: records, is_compressed: true, is_wide: true, stamp, meter },
        Err(text) => OpenFile { text, is_compressed, is_wide: false, stamp, meter },
    })
}

/// Opens a plain file at an offset. `hasher`: of its first `hashed` bytes.
pub(crate) fn open_at(path: &Path, offset: u64, hasher: BlockHasher, hashed: u64) -> Result<OpenFile, IngestError> {
    let failed = |error| IngestError::read(path, error);
    let mut file = File::open(path).map_err(failed)?;
    let stamp = Stamp::of(&file);
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let meter = Arc::new(Mutex::new(Meter { file, hasher, hashed, n_bytes: offset, failure: None }));
    let text = Box::new(BufReader::with_capacity(READ_BYTES, Metered(Arc::clone(&meter))));
    Ok(OpenFile { text, is_compressed: false, is_wide: false, stamp, meter })
}

/// Reads pieces of a file's text, in the order of their offsets.
pub(crate) fn read_pieces(
    path: &Path,
    matrix: &MatrixSettings,
    pieces: &[(u64, usize)],
    mut take: impl FnMut(usize, Vec<u8>) -> Result<(), IngestError>,
) -> Result<(), IngestError> {
    let failed = |error| IngestError::read(path, error);
    let opened = open(path, matrix)?;
    let mut text = opened.text;
    let mut file = if opened.is_compressed { None } else { Some(BufReader::new(File::open(path).map_err(failed)?)) };
    let mut at = 0;
    for (position, (offset, length)) in pieces.iter().enumerate() {
        let gap = offset.saturating_sub(at);
        let mut bytes = vec![0; *length];
        match &mut file {
            Some(file) => {
                file.seek_relative(gap as i64).map_err(failed)?;
                file.read_exact(&mut bytes).map_err(failed)?;
            }
            None => {
                io::copy(&mut text.by_ref().take(gap), &mut io::sink()).map_err(failed)?;
                text.read_exact(&mut bytes).map_err(failed)?;
            }
        }
        at = offset + *length as u64;
        take(position, bytes)?;
    }
    Ok(())
}

/// What is known of a file after it was read.
pub(crate) struct FileDigest {
    /// Bytes on disk.
    pub(crate) n_bytes: u64,
    /// BLAKE3 of them, in hexadecimal digits.
    pub(crate) blake3: String,
}

/// Watches a file that is being read.
#[derive(Clone)]
pub(crate) struct Watch(Arc<Mutex<Meter>>);

impl OpenFile {
    pub(crate) fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.meter))
    }
}

impl Watch {
    /// Bytes on disk that were read so far.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).n_bytes
    }

    /// Reads what is left of the file, and gives size and digest of all of it.
    pub(crate) fn finish(&self, path: &Path) -> Result<FileDigest, IngestError> {
        let mut meter = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = meter.failure.take() {
            return Err(IngestError::read(path, error));
        }
        // Most files were read to their end: the first bytes that are asked for are few.
        let mut buffer = vec![0; PROBE];
        loop {
            match meter.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => buffer.resize(READ_BYTES, 0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(IngestError::read(path, error)),
            }
        }
        Ok(FileDigest { n_bytes: meter.n_bytes, blake3: meter.hasher.digest() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_logs_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["b.jsonl", "b.jsonl.1", "b.jsonl-20260105.gz", "b.json1", "a.jsonl.gz", ".hidden.jsonl", "notes.md", "sub/c.NDJSON.zst"]
        {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let inputs = find(&[folder.path().to_owned(), folder.path().join("b.jsonl")]).unwrap();
        let names: Vec<_> = inputs.files.iter().map(|file| file.strip_prefix(folder.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.jsonl.gz", "b.jsonl", "b.jsonl-20260105.gz", "b.jsonl.1", "sub/c.NDJSON.zst"]);
        assert_eq!(inputs.skipped, [folder.path().join("b.json1"), folder.path().join("notes.md")]);
    }

    #[test]
    fn a_missing_source_is_named() {
        let error = find(&[PathBuf::from("/nowhere/x.jsonl")]).unwrap_err();
        assert_eq!(error.to_string(), "cannot read `/nowhere/x.jsonl`");
    }

    #[test]
    fn the_digest_covers_the_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, "abc").unwrap();
        let file = open(&path, &MatrixSettings::default()).unwrap();
        let digest = file.watch().finish(&path).unwrap();
        assert_eq!(digest.n_bytes, 3);
        assert_eq!(digest.blake3, "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
    }
}
