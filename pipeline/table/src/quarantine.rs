//! Rejected records, written where people can look at them: one file per format, in the order of reading.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use serde::Serialize;
use tempfile::NamedTempFile;

use crate::error::TableError;
use crate::reason::{Reason, Rejection};
use crate::redact::{RedactCounts, Redactor};

/// One line of a quarantine file, its first key excepted: `file`, the file as it was named.
#[derive(Clone, Debug, Serialize)]
struct Quarantined<'a> {
    /// First line of the record, from 1.
    line: u64,
    /// First byte of the record in the decompressed file, from 0.
    byte_offset: u64,
    /// Why it was rejected.
    reason: Reason,
    /// What was found where.
    message: &'a str,
    /// The record; bytes that are no UTF-8 are replaced, long records cut.
    raw: &'a str,
    /// Whether `raw` is not all of it, byte for byte; the offset leads to the original.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    raw_is_altered: bool,
}

/// Longest raw text that is written, in bytes.
const RAW_BYTES: usize = 64 << 10;

/// Where a rejected record stands in a file of them, and in the order of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    file: u32,
    offset: u64,
    source: usize,
    at: u64,
}

/// Rejected records that wait until all are known, in a temporary file.
pub(crate) struct Rejected {
    out: Option<BufWriter<NamedTempFile>>,
    at: u64,
    places: Vec<Place>,
}

/// A record that is rejected.
pub(crate) struct Refused<'a> {
    /// Position of its file.
    pub(crate) file: u32,
    /// Name of the file's format.
    pub(crate) format: &'a str,
    pub(crate) line: u64,
    pub(crate) offset: u64,
    pub(crate) rejection: &'a Rejection,
    pub(crate) raw: &'a [u8],
}

impl Rejected {
    pub(crate) fn new() -> Self {
        Self { out: None, at: 0, places: Vec::new() }
    }

    /// Takes a record, without personal data and secrets where they are to be taken out; gives what was. `folder`: where the temporary file
    /// is made.
    pub(crate) fn put(&mut self, refused: &Refused<'_>, redact: Option<&Redactor>, folder: &Path) -> Result<RedactCounts, TableError> {
        let failed = |error| TableError::write(folder, error);
        let mut counts = RedactCounts::new();
        let text = String::from_utf8_lossy(refused.raw);
        let text = match redact {
            Some(redact) => Cow::Owned(cleaned(redact, &text, &mut counts)),
            None => text,
        };
        let message = match redact {
            Some(redact) => redact.anything(&refused.rejection.message, &mut RedactCounts::new()),
            None => Cow::Borrowed(refused.rejection.message.as_str()),
        };
        let text = &text[..text.floor_char_boundary(RAW_BYTES)];
        let entry = Quarantined {
            line: refused.line,
            byte_offset: refused.offset,
            reason: refused.rejection.reason,
            message: &message,
            raw: text,
            raw_is_altered: refused.rejection.reason == Reason::RecordTooLarge || text.as_bytes() != refused.raw,
        };
        let json = serde_json::to_vec(&entry).map_err(|error| failed(error.into()))?;
        let frame = Frame { file: refused.file, offset: refused.offset, format: refused.format.to_owned(), json };
        let out = match &mut self.out {
            Some(out) => out,
            slot => slot.insert(BufWriter::new(tempfile::Builder::new().prefix(".rejected-").tempfile_in(folder).map_err(failed)?)),
        };
        self.places.push(Place { file: frame.file, offset: frame.offset, source: 0, at: self.at });
        self.at += frame.write(out).map_err(failed)?;
        Ok(counts)
    }
}

/// A rejected record as it waits.
struct Frame {
    file: u32,
    offset: u64,
    format: String,
    /// The line of the quarantine without `file`.
    json: Vec<u8>,
}

impl Frame {
    /// Appends it; how many bytes that took.
    fn write(&self, out: &mut impl Write) -> io::Result<u64> {
        // Formats have short names, and raw texts are cut.
        let (format, json) = (self.format.as_bytes(), &self.json);
        out.write_all(&self.file.to_le_bytes())?;
        out.write_all(&self.offset.to_le_bytes())?;
        out.write_all(&(format.len() as u32).to_le_bytes())?;
        out.write_all(&(json.len() as u32).to_le_bytes())?;
        out.write_all(format)?;
        out.write_all(json)?;
        Ok(20 + (format.len() + json.len()) as u64)
    }

    /// The next one, with the bytes it took.
    fn read(source: &mut impl BufRead) -> io::Result<Option<(Self, u64)>> {
        if source.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut head = [0; 20];
        source.read_exact(&mut head)?;
        let half = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| head[at + byte]));
        let offset = u64::from_le_bytes(std::array::from_fn(|byte| head[4 + byte]));
        let (mut format, mut json) = (vec![0; half(12) as usize], vec![0; half(16) as usize]);
        source.read_exact(&mut format)?;
        source.read_exact(&mut json)?;
        let length = 20 + (format.len() + json.len()) as u64;
        let format = String::from_utf8_lossy(&format).into_owned();
        Ok(Some((Self { file: half(0), offset, format, json }, length)))
    }
}

/// Rejected records of an earlier ingest: their file, and what became of its files and offsets.
pub(crate) struct Earlier<'e> {
    /// The file of rejected records.
    pub(crate) rejected: &'e Path,
    /// The position now of every earlier file, and the offset from which on it was read again; none for files that are gone.
    pub(crate) files: &'e [Option<(u32, u64)>],
}

/// Writes `<format>.jsonl` for every format that has rejected records, in the order of reading, and to `keep` what a later ingest needs of
/// them. `conflicts` are judged anew by every ingest.
pub(crate) fn write_quarantine(
    folder: &Path,
    names: &[&str],
    earlier: Option<&Earlier<'_>>,
    rejected: Rejected,
    conflicts: Rejected,
    keep: &Path,
) -> Result<(), TableError> {
    let failed = |error| TableError::write(folder, error);
    let mut places = Vec::new();
    let mut sources: Vec<Option<BufReader<File>>> = Vec::new();
    for (source, waiting) in [rejected, conflicts].into_iter().enumerate() {
        places.extend(waiting.places.into_iter().map(|place| Place { source, ..place }));
        // The temporary file is gone from the folder, and stays open here.
        let file = waiting.out.map(|out| out.into_inner().map_err(|error| failed(error.into_error()))).transpose()?;
        sources.push(file.map(|file| file.reopen().map_err(failed)).transpose()?.map(BufReader::new));
    }
    if let Some(earlier) = earlier {
        let mut source = BufReader::new(File::open(earlier.rejected).map_err(failed)?);
        let mut at = 0;
        while let Some((frame, length)) = Frame::read(&mut source).map_err(failed)? {
            if let Some(Some((file, from))) = earlier.files.get(frame.file as usize)
                && frame.offset < *from
            {
                places.push(Place { file: *file, offset: frame.offset, source: sources.len(), at });
            }
            at += length;
        }
        sources.push(Some(source));
    }
    places.sort_unstable();
    let mut keep = BufWriter::new(File::create(keep).map_err(failed)?);
    let mut files: BTreeMap<String, BufWriter<File>> = BTreeMap::new();
    for place in places {
        let Some(Some(source)) = sources.get_mut(place.source) else { continue };
        source.seek(SeekFrom::Start(place.at)).map_err(failed)?;
        let Some((frame, _)) = Frame::read(source).map_err(failed)? else { continue };
        let frame = Frame { file: place.file, ..frame };
        let path = folder.join(format!("{}.jsonl", frame.format));
        if !files.contains_key(&frame.format) {
            files.insert(frame.format.clone(), BufWriter::new(File::create(&path).map_err(failed)?));
        }
        let name = serde_json::to_string(names.get(frame.file as usize).unwrap_or(&"")).map_err(|error| failed(error.into()))?;
        if let Some(out) = files.get_mut(&frame.format) {
            let rest = frame.json.get(1..).unwrap_or_default();
            out.write_all(format!("{{\"file\":{name},").as_bytes()).and_then(|()| out.write_all(rest)).map_err(failed)?;
            out.write_all(b"\n").map_err(failed)?;
        }
        if place.source != CONFLICTS {
            frame.write(&mut keep).map_err(failed)?;
        }
    }
    keep.flush().map_err(failed)?;
    files.values_mut().try_for_each(Write::flush).map_err(failed)
}

/// Position of the conflicts among the sources.
const CONFLICTS: usize = 1;

/// Bytes at the end of a record over the size limit that may be the beginning of a secret.
const TORN_BYTES: usize = 512;

/// A rejected record without personal data and secrets. Zero bytes, which hide them in UTF-16, go where something was found.
fn cleaned(redact: &Redactor, text: &str, counts: &mut RedactCounts) -> String {
    let mut without_zeros = RedactCounts::new();
    if text.contains('\0') {
        let text = text.replace('\0', "");
        let cleaned = redact.anything(&text, &mut without_zeros);
        if !without_zeros.is_empty() {
            without_zeros.into_iter().for_each(|(name, count)| *counts.entry(name).or_default() += count);
            return cleaned.into_owned();
        }
    }
    let mut cleaned = redact.anything(text, counts).into_owned();
    if text.len() >= RAW_BYTES {
        // The cut may go through a secret that is no longer known as one.
        let from = cleaned.floor_char_boundary(cleaned.len() - TORN_BYTES.min(cleaned.len()));
        let end = cleaned[from..].rfind(|letter: char| letter.is_whitespace() || letter == '"').map_or(from, |at| from + at);
        cleaned.truncate(end);
    }
    cleaned
}
