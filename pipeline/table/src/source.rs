//! The files of an ingest: found in a fixed order, decompressed, counted and digested while they are read.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::error::IngestError;

/// The files that sources name.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// Files to read: sources in the order given, the files of a folder by name.
    pub(crate) files: Vec<PathBuf>,
    /// Files of folders that are no logs by their names.
    pub(crate) skipped: Vec<PathBuf>,
}

/// Names that a log in a folder ends with, before `.gz` or `.zst`.
const LOG_NAMES: &[&str] = &[".jsonl", ".ndjson"];

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
    LOG_NAMES.iter().any(|ending| stem.ends_with(ending))
}

/// A file that is being read: its text, and what was read of it so far.
pub(crate) struct OpenFile {
    /// The text, decompressed.
    pub(crate) text: Box<dyn Read + Send>,
    meter: Arc<Mutex<Meter>>,
}

/// What was read of a file on disk.
struct Meter {
    file: File,
    digest: Sha256,
    n_bytes: u64,
    failure: Option<io::Error>,
}

impl Meter {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Ok(n_read) => {
                self.digest.update(&buffer[..n_read]);
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

/// Opens a file; its first bytes, not its name, say how it is compressed.
pub(crate) fn open(path: &Path) -> Result<OpenFile, IngestError> {
    let file = File::open(path).map_err(|error| IngestError::read(path, error))?;
    let meter = Arc::new(Mutex::new(Meter { file, digest: Sha256::new(), n_bytes: 0, failure: None }));
    let mut raw = BufReader::with_capacity(READ_BYTES, Metered(Arc::clone(&meter)));
    let begin = raw.fill_buf().map_err(|error| IngestError::read(path, error))?;
    let text: Box<dyn Read + Send> = if begin.starts_with(&[0x1f, 0x8b]) {
        Box::new(flate2::bufread::MultiGzDecoder::new(raw))
    } else if begin.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Box::new(zstd::stream::read::Decoder::with_buffer(raw).map_err(|error| IngestError::read(path, error))?)
    } else {
        Box::new(raw)
    };
    Ok(OpenFile { text, meter })
}

/// What is known of a file after it was read.
pub(crate) struct FileDigest {
    /// Bytes on disk.
    pub(crate) n_bytes: u64,
    /// SHA-256 of them, in hexadecimal digits.
    pub(crate) sha256: String,
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
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match meter.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(IngestError::read(path, error)),
            }
        }
        let digest = std::mem::take(&mut meter.digest).finalize();
        Ok(FileDigest { n_bytes: meter.n_bytes, sha256: hexadecimal(&digest) })
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut digits, byte| {
        // Writing to a string does not fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_logs_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.jsonl", "a.jsonl.gz", ".hidden.jsonl", "notes.md", "sub/c.NDJSON.zst"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let inputs = find(&[folder.path().to_owned(), folder.path().join("b.jsonl")]).unwrap();
        let names: Vec<_> = inputs.files.iter().map(|file| file.strip_prefix(folder.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.jsonl.gz", "b.jsonl", "sub/c.NDJSON.zst"]);
        assert_eq!(inputs.skipped, [folder.path().join("notes.md")]);
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
        let file = open(&path).unwrap();
        let digest = file.watch().finish(&path).unwrap();
        assert_eq!(digest.n_bytes, 3);
        assert_eq!(digest.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
