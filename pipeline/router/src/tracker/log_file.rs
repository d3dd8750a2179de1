//! A JSONL file that many threads and processes append to: whole lines or nothing.
//!
//! Writers take turns by an advisory lock on a hidden file beside the log. Whoever holds it first mends the end of the log: a line that a
//! killed writer left unfinished is cut off (nobody was told that it was written), a finished one gets its line break.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use routewright_domain::Timestamp;
use serde::de::IgnoredAny;

use super::clock;

/// Bytes that are read at a time when looking for the start of a line from its end.
const BLOCK: u64 = 1 << 16;

/// How the log's file is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FileName {
    /// Always the same.
    Fixed(String),
    /// The day in front, `YYYY-MM-DD-`: a new file every day.
    Dated(String),
}

/// A log on disk.
#[derive(Debug)]
pub(super) struct LogFile {
    folder: PathBuf,
    name: FileName,
    /// Bytes from which a new file is begun; 0 never.
    max_bytes: u64,
    is_synced: bool,
    /// One descriptor per process and log: the operating system's lock belongs to it, the mutex is for the threads.
    turn: Mutex<File>,
}

impl LogFile {
    /// Makes the folder and the lock's file; the log itself comes with its first line.
    pub(super) fn open(folder: &Path, name: FileName, max_bytes: u64, is_synced: bool) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let suffix = match &name {
            FileName::Fixed(name) | FileName::Dated(name) => name,
        };
        let lock = folder.join(format!(".{suffix}.lock"));
        let turn = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(lock)?;
        Ok(Self { folder: folder.to_owned(), name, max_bytes, is_synced, turn: Mutex::new(turn) })
    }

    /// Appends whole lines; when it returns, they are in the file, and on the disk where syncing is asked for.
    ///
    /// On an error none of them is there.
    pub(super) fn append(&self, lines: &[u8]) -> io::Result<()> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        turn.lock()?;
        let result = self.append_in_turn(lines);
        turn.unlock()?;
        result
    }

    fn append_in_turn(&self, lines: &[u8]) -> io::Result<()> {
        let path = self.path();
        let mut file = open_log(&path)?;
        let mut length = file.metadata()?.len();
        if 0 < self.max_bytes && 0 < length && self.max_bytes < length + lines.len() as u64 {
            mend(&mut file, length)?;
            archive(&path, clock::now())?;
            file = open_log(&path)?;
            length = 0;
        }
        let start = mend(&mut file, length)?;
        if let Err(error) = file.write_all(lines) {
            // A full disk must not leave half a line behind.
            file.set_len(start)?;
            return Err(error);
        }
        if self.is_synced { file.sync_data() } else { Ok(()) }
    }

    /// Moves the present file to the archive, whatever its size; `None` where there is nothing to move.
    pub(super) fn rotate(&self) -> io::Result<Option<PathBuf>> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        turn.lock()?;
        let path = self.path();
        let result = if path.exists() { archive(&path, clock::now()).map(Some) } else { Ok(None) };
        turn.unlock()?;
        result
    }

    /// Where lines go now.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(match &self.name {
            FileName::Fixed(name) => name.clone(),
            FileName::Dated(name) => format!("{}-{name}", clock::format(clock::now(), "%Y-%m-%d")),
        })
    }

    /// Every file of the log, the newest first, archived ones included.
    pub(super) fn files(&self) -> io::Result<Vec<PathBuf>> {
        let ours = |name: &str| match &self.name {
            FileName::Fixed(own) => name == own,
            FileName::Dated(own) => name.ends_with(own.as_str()) && !name.starts_with('.'),
        };
        let archived = |name: &str| {
            let (FileName::Fixed(own) | FileName::Dated(own)) = &self.name;
            name.contains(own.strip_suffix(".jsonl").unwrap_or(own))
        };
        let mut files = list(&self.folder, ours)?;
        files.extend(list(&self.folder.join(ARCHIVE), archived)?);
        Ok(files)
    }
}

/// Folder of the files that were rotated away, beside the log.
const ARCHIVE: &str = "archive";

/// Files of a folder whose names fit, by falling name; none where the folder is not there.
fn list(folder: &Path, fits: impl Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    #[expect(clippy::disallowed_methods, reason = "the tracker's log is the one thing this crate reads and writes")]
    let entries = std::fs::read_dir(folder)?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_file() && path.file_name().and_then(|name| name.to_str()).is_some_and(&fits) {
            files.push(path);
        }
    }
    files.sort_unstable_by(|a, b| b.cmp(a));
    Ok(files)
}

fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).read(true).append(true).open(path)
}

/// Moves a file to `archive/<name>-<day>.jsonl`, numbered where there is one already.
fn archive(path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let folder = path.with_file_name(ARCHIVE);
    std::fs::create_dir_all(&folder)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let day = clock::format(now, "%Y%m%d");
    let mut target = folder.join(format!("{stem}-{day}.jsonl"));
    let mut number = 2;
    while target.exists() {
        target = folder.join(format!("{stem}-{day}-{number:04}.jsonl"));
        number += 1;
    }
    std::fs::rename(path, &target)?;
    Ok(target)
}

/// Sees to it that the file ends with a whole line, and returns its length.
fn mend(file: &mut File, length: u64) -> io::Result<u64> {
    if length == 0 {
        return Ok(0);
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(length - 1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" {
        return Ok(length);
    }
    let (start, tail) = last_line(file, length)?;
    let is_whole = tail.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(&tail).is_ok();
    if is_whole {
        file.write_all(b"\n")?;
        return Ok(length + 1);
    }
    file.set_len(start)?;
    Ok(start)
}

/// Where the bytes after the last line break begin, and these bytes.
fn last_line(file: &mut File, length: u64) -> io::Result<(u64, Vec<u8>)> {
    let mut tail = Vec::new();
    let mut start = length;
    while 0 < start {
        let from = start.saturating_sub(BLOCK);
        let mut block = vec![0; (start - from) as usize];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut block)?;
        let line_break = block.iter().rposition(|&byte| byte == b'\n');
        let kept = line_break.map_or(0, |position| position + 1);
        tail.splice(0..0, block.drain(kept..));
        start = from + kept as u64;
        if line_break.is_some() {
            break;
        }
    }
    Ok((start, tail))
}

/// Reads a file's whole lines from the last to the first until `visit` says that it has enough. A file that is gone has no lines.
pub(super) fn lines_backwards(path: &Path, mut visit: impl FnMut(&[u8]) -> std::ops::ControlFlow<()>) -> io::Result<()> {
    let mut file = match OpenOptions::new().read(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let mut end = file.metadata()?.len();
    // Bytes of the line whose start has not been read yet.
    let mut rest: Vec<u8> = Vec::new();
    while 0 < end {
        let from = end.saturating_sub(BLOCK);
        let mut block = vec![0; (end - from) as usize];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut block)?;
        block.append(&mut rest);
        let first_break = if from == 0 { 0 } else { block.iter().position(|&byte| byte == b'\n').map_or(block.len(), |at| at + 1) };
        for line in block[first_break..].split(|&byte| byte == b'\n').rev() {
            if !line.is_empty() && visit(line).is_break() {
                return Ok(());
            }
        }
        block.truncate(first_break);
        rest = block;
        end = from;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;

    fn log(folder: &Path, max_bytes: u64) -> LogFile {
        LogFile::open(folder, FileName::Fixed("log.jsonl".into()), max_bytes, false).unwrap()
    }

    fn content(folder: &Path) -> String {
        let mut text = String::new();
        File::options().read(true).open(folder.join("log.jsonl")).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    fn put(folder: &Path, text: &str) {
        let mut file = File::options().create(true).truncate(true).write(true).open(folder.join("log.jsonl")).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn an_unfinished_line_is_cut_off_and_a_finished_one_gets_its_break() {
        let folder = tempfile::tempdir().unwrap();
        for (before, after) in [
            ("", "{\"n\":1}\n"),
            ("{\"a\":0}\n", "{\"a\":0}\n{\"n\":1}\n"),
            ("{\"a\":0}\n{\"b\":", "{\"a\":0}\n{\"n\":1}\n"),
            ("{\"a\":0}\n{\"b\":2}", "{\"a\":0}\n{\"b\":2}\n{\"n\":1}\n"),
            ("{\"b\"", "{\"n\":1}\n"),
            ("{\"a\":0}\n12", "{\"a\":0}\n{\"n\":1}\n"),
        ] {
            put(folder.path(), before);
            log(folder.path(), 0).append(b"{\"n\":1}\n").unwrap();
            assert_eq!(content(folder.path()), after, "{before}");
        }
        let long = format!("{{\"a\":0}}\n{{\"b\":\"{}", "x".repeat(3 * BLOCK as usize));
        put(folder.path(), &long);
        log(folder.path(), 0).append(b"{\"n\":1}\n").unwrap();
        assert_eq!(content(folder.path()), "{\"a\":0}\n{\"n\":1}\n");
    }

    #[test]
    fn a_full_file_moves_to_the_archive_and_nothing_there_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path(), 20);
        for number in 0..5 {
            log.append(format!("{{\"n\":{number},\"x\":0}}\n").as_bytes()).unwrap();
        }
        assert_eq!(content(folder.path()), "{\"n\":4,\"x\":0}\n");
        assert_eq!(log.files().unwrap().len(), 5);
        assert!(log.rotate().unwrap().unwrap().starts_with(folder.path().join("archive")));
        assert_eq!(log.rotate().unwrap(), None);
    }

    #[test]
    fn lines_come_back_from_the_last_to_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let wide = "y".repeat(BLOCK as usize - 3);
        put(folder.path(), &format!("a\nbb\n{wide}\nc\nunfinished"));
        let mut seen = Vec::new();
        lines_backwards(&folder.path().join("log.jsonl"), |line| {
            seen.push(String::from_utf8(line.to_vec()).unwrap());
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(seen, ["unfinished", "c", &wide, "bb", "a"]);
    }
}
