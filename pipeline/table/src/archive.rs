//! Puts a log away as `.zst`: written beside, read back and compared, and only then is the original removed.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{IngestError, TableError};
use crate::source::find;

/// Name of the folder, beside the logs, that archives go to; an ingest of the logs' folder reads it too.
pub const ARCHIVE: &str = "archive";

/// Compression of archives: they are written once and kept for years.
const LEVEL: i32 = 9;

/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;

/// A log that could be archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// The file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was last written to.
    pub modified: SystemTime,
}

/// What became of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Archived {
    /// It is in the archive, and gone from its place.
    Moved {
        /// The archive.
        archive: PathBuf,
        /// Its size in bytes.
        bytes: u64,
    },
    /// It was written to in the meantime; it is where it was, and nothing is in the archive.
    Grew,
}

/// The logs of sources that are not compressed, in the order in which an ingest reads them.
///
/// # Errors
/// [`IngestError`] for a source that cannot be read.
pub fn plain_logs(sources: &[PathBuf]) -> Result<Vec<LogFile>, IngestError> {
    let mut logs = Vec::new();
    for path in find(sources)?.files {
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        if matches!(ending.as_str(), "gz" | "zst" | "parquet") {
            continue;
        }
        let metadata = fs::metadata(&path).map_err(|error| IngestError::read(&path, error))?;
        let modified = metadata.modified().map_err(|error| IngestError::read(&path, error))?;
        logs.push(LogFile { bytes: metadata.len(), modified, path });
    }
    Ok(logs)
}

/// Archives one log. `date`: `YYYYMMDD`, for logs whose names carry none.
///
/// A crash at any moment leaves the original, the archive, or both with the same content; the next call finishes what was begun.
///
/// # Errors
/// [`TableError`] for files that cannot be read or written, and for an archive that reads back as something else; the original stays then.
pub fn archive(log: &LogFile, date: &str) -> Result<Archived, TableError> {
    let folder = log.path.parent().unwrap_or(Path::new("")).join(ARCHIVE);
    fs::create_dir_all(&folder).map_err(|error| TableError::write(&folder, error))?;
    let digest = digest_of(&log.path, File::open(&log.path))?;
    let (target, is_there) = free_name(&folder, &log.path, date, &digest)?;
    if !is_there {
        write_archive(&log.path, &folder, &target, &digest)?;
    }
    let now = fs::metadata(&log.path).map_err(|error| TableError::read(&log.path, error))?;
    if now.len() != log.bytes || now.modified().ok() != Some(log.modified) {
        fs::remove_file(&target).map_err(|error| TableError::write(&target, error))?;
        return Ok(Archived::Grew);
    }
    fs::remove_file(&log.path).map_err(|error| TableError::write(&log.path, error))?;
    sync_folder(log.path.parent().unwrap_or(Path::new(".")))?;
    let bytes = fs::metadata(&target).map_err(|error| TableError::read(&target, error))?.len();
    Ok(Archived::Moved { archive: target, bytes })
}

/// The archive's name, and whether it is there already with the log's content: an earlier call was interrupted.
fn free_name(folder: &Path, log: &Path, date: &str, digest: &str) -> Result<(PathBuf, bool), TableError> {
    let name = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (stem, ending) = name.rsplit_once('.').unwrap_or((&name, "jsonl"));
    let stem = if has_date(stem) { stem.to_owned() } else { format!("{stem}-{date}") };
    let mut number = 1_u32;
    loop {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        let path = folder.join(format!("{stem}{suffix}.{ending}.zst"));
        if !path.exists() {
            return Ok((path, false));
        }
        if digest_of_archive(&path)? == digest {
            return Ok((path, true));
        }
        number += 1;
    }
}

/// Whether a name holds a date such as 2026-01-05.
fn has_date(name: &str) -> bool {
    name.as_bytes()
        .windows(10)
        .any(|part| part.iter().enumerate().all(|(at, byte)| if at == 4 || at == 7 { *byte == b'-' } else { byte.is_ascii_digit() }))
}

/// Writes an archive beside its place, reads it back, and renames it.
fn write_archive(log: &Path, folder: &Path, target: &Path, digest: &str) -> Result<(), TableError> {
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = folder.join(format!(".{name}.writing"));
    let failed = |error| TableError::write(&beside, error);
    let mut input = File::open(log).map_err(|error| TableError::read(log, error))?;
    let mut encoder = zstd::Encoder::new(File::create(&beside).map_err(failed)?, LEVEL).map_err(failed)?;
    encoder.include_checksum(true).map_err(failed)?;
    io::copy(&mut input, &mut encoder).map_err(failed)?;
    let mut file = encoder.finish().map_err(failed)?;
    file.flush().and_then(|()| file.sync_all()).map_err(failed)?;
    let found = digest_of_archive(&beside)?;
    if found != digest {
        // The file beside is worth nothing, and the error about it is on its way.
        let _ = fs::remove_file(&beside);
        return Err(TableError::NotTheSame { path: log.to_owned(), expected: digest.to_owned(), found });
    }
    fs::rename(&beside, target).map_err(failed)?;
    sync_folder(folder)
}

/// BLAKE3 of what an archive holds.
fn digest_of_archive(path: &Path) -> Result<String, TableError> {
    digest_of(path, File::open(path).and_then(zstd::Decoder::new))
}

fn digest_of<R: Read>(path: &Path, opened: io::Result<R>) -> Result<String, TableError> {
    let failed = |error| TableError::read(path, error);
    let mut input = opened.map_err(failed)?;
    let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; BUFFER]);
    loop {
        let n_read = input.read(&mut buffer).map_err(failed)?;
        if n_read == 0 {
            return Ok(hasher.finalize().to_hex().to_string());
        }
        hasher.update(&buffer[..n_read]);
    }
}

/// Asks the system to put a folder's names onto the disk.
fn sync_folder(folder: &Path) -> Result<(), TableError> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| TableError::write(folder, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(folder: &Path, name: &str, text: &str) -> LogFile {
        fs::write(folder.join(name), text).unwrap();
        plain_logs(&[folder.to_owned()]).unwrap().into_iter().find(|log| log.path.ends_with(name)).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = find(&[folder.to_owned()])
            .unwrap()
            .files
            .iter()
            .map(|file| file.strip_prefix(folder).unwrap().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn content(path: &Path) -> String {
        String::from_utf8(zstd::decode_all(File::open(path).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn a_log_is_moved_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let text = "line\n".repeat(1000);
        let moved = archive(&log(folder.path(), "performance.jsonl", &text), "20260131").unwrap();
        let Archived::Moved { archive: path, bytes } = moved else { panic!("{moved:?}") };
        assert_eq!(names(folder.path()), ["archive/performance-20260131.jsonl.zst"]);
        assert_eq!((content(&path), bytes < 200), (text, true));
    }

    #[test]
    fn a_second_log_of_a_name_gets_a_number_and_dates_are_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["one", "two", "three"] {
            archive(&log(folder.path(), "2026-01-05-x.jsonl", text), "20260131").unwrap();
        }
        let expected = ["2026-01-05-x-2", "2026-01-05-x-3", "2026-01-05-x"].map(|stem| format!("archive/{stem}.jsonl.zst"));
        assert_eq!(names(folder.path()), expected);
    }

    #[test]
    fn what_a_crash_left_behind_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let found = log(folder.path(), "a.jsonl", "text");
        archive(&found, "20260131").unwrap();
        // Killed before the original went, and in the middle of writing another.
        fs::write(folder.path().join("archive/.a-20260131.jsonl.zst.writing"), "half").unwrap();
        let again = log(folder.path(), "a.jsonl", "text");
        archive(&again, "20260131").unwrap();
        assert_eq!(names(folder.path()), ["archive/a-20260131.jsonl.zst"]);
    }

    #[test]
    fn a_log_that_grows_stays() {
        let folder = tempfile::tempdir().unwrap();
        let before = LogFile { bytes: 2, ..log(folder.path(), "a.jsonl", "text") };
        assert_eq!(archive(&before, "20260131").unwrap(), Archived::Grew);
        assert_eq!(names(folder.path()), ["a.jsonl"]);
    }

    #[test]
    fn an_archive_that_reads_back_as_something_else_keeps_the_original() {
        let folder = tempfile::tempdir().unwrap();
        let found = log(folder.path(), "a.jsonl", "text");
        let target = folder.path().join("a.jsonl.zst");
        let error = write_archive(&found.path, folder.path(), &target, "0000").unwrap_err();
        assert!(matches!(error, TableError::NotTheSame { .. }), "{error}");
        assert_eq!(names(folder.path()), ["a.jsonl"]);
    }

    #[test]
    fn compressed_logs_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.jsonl.gz", "b.jsonl.zst", "c.parquet", "d.csv"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let found: Vec<_> = plain_logs(&[folder.path().to_owned()]).unwrap().into_iter().map(|log| log.path).collect();
        assert_eq!(found, [folder.path().join("d.csv")]);
    }
}
