//! Follows log files: reads what was appended since the last look, without the tables.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use bumpalo::Bump;
use rayon::prelude::*;
use routewright_domain::{Decision, LayerAttempt};

use crate::draft::Draft;
use crate::error::IngestError;
use crate::formats::{Format, format_named, sniff};
use crate::json::Json;
use crate::reason::Reason;
use crate::records::{Batch, Record, RecordLimits, RecordReader};
use crate::source::{find, open};
use crate::wide::MatrixSettings;

/// Records of a batch that are looked at to find a file's format.
const SNIFFED: usize = 64;

/// What one look at the files found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Records that became decisions.
    pub n_decisions: u64,
    /// Records that cannot be read; `ingest` says why.
    pub n_rejected: u64,
}

/// Log files and how far each was read.
pub struct Tail {
    sources: Vec<PathBuf>,
    files: BTreeMap<PathBuf, Followed>,
    /// Files whose first bytes were read before, as they were named then: perhaps relative to another folder.
    before: Vec<(PathBuf, u64, Option<&'static Format>)>,
}

/// A file that is followed.
#[derive(Default)]
struct Followed {
    /// Bytes on disk that were read.
    n_bytes: u64,
    format: Option<&'static Format>,
}

impl Tail {
    /// Follows files and the logs of folders, from their first records on. Files that come later to a folder are read, too.
    pub fn new(sources: Vec<PathBuf>) -> Self {
        Self { sources, files: BTreeMap::new(), before: Vec::new() }
    }

    /// Leaves out the first bytes of a file, which were read before. `format`: its name, where it is known.
    pub fn skip(&mut self, file: &Path, n_bytes: u64, format: Option<&str>) {
        let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        let named = file.components().skip_while(|part| !matches!(part, Component::Normal(_))).collect();
        self.before.push((named, n_bytes, format.and_then(format_named)));
    }

    /// Reads what was appended. A last record that is not complete waits for the next look; a file that became shorter was rotated and is
    /// read from its start; a compressed file is read once.
    ///
    /// # Errors
    /// [`IngestError`] for a source or file that cannot be read. A source that does not exist (yet) has no records.
    pub fn read(&mut self, take: &mut dyn FnMut(Decision, Vec<LayerAttempt>)) -> Result<Appended, IngestError> {
        let sources: Vec<PathBuf> = self.sources.iter().filter(|source| source.exists()).cloned().collect();
        let mut appended = Appended::default();
        for path in find(&sources)?.files {
            let known = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            let before = self.before.iter().find(|(named, ..)| known.ends_with(named));
            let (n_bytes, format) = before.map_or((0, None), |(_, n_bytes, format)| (*n_bytes, *format));
            let followed = self.files.entry(known).or_insert(Followed { n_bytes, format });
            read_appended(&path, followed, take, &mut appended).map_err(|error| IngestError::read(&path, error))?;
        }
        Ok(appended)
    }
}

fn read_appended(
    path: &Path,
    followed: &mut Followed,
    take: &mut dyn FnMut(Decision, Vec<LayerAttempt>),
    appended: &mut Appended,
) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    if length < followed.n_bytes {
        followed.n_bytes = 0;
    }
    if length == followed.n_bytes {
        return Ok(());
    }
    let start = followed.n_bytes;
    let text: Box<dyn Read + Send> = if start == 0 && is_compressed(&mut file)? {
        followed.n_bytes = length;
        open(path, &MatrixSettings::default()).map_err(std::io::Error::other)?.text
    } else {
        file.seek(SeekFrom::Start(start))?;
        Box::new(file.take(length - start))
    };
    let is_plain = followed.n_bytes == start;
    let mut reader = RecordReader::new(text, RecordLimits::default());
    loop {
        let batch = reader.next_batch()?;
        if batch.records.is_empty() {
            break;
        }
        if followed.format.is_none() {
            followed.format = sniff_batch(&batch);
        }
        let format = followed.format;
        let parsed: Vec<Option<(Decision, Vec<LayerAttempt>)>> =
            batch.records.par_iter().map(|record| parse(record, &batch.bytes, format)).collect();
        for (record, parsed) in batch.records.iter().zip(parsed) {
            match parsed {
                Some((decision, layers)) => {
                    appended.n_decisions += 1;
                    take(decision, layers);
                }
                // The writer is in the middle of this record.
                None if is_plain && record.fault == Some(Reason::TruncatedLine) => {
                    followed.n_bytes = start + record.offset;
                    return Ok(());
                }
                None => appended.n_rejected += 1,
            }
        }
    }
    followed.n_bytes = length;
    Ok(())
}

/// Whether a file begins as gzip or zstd does; leaves the position at its start.
fn is_compressed(file: &mut File) -> std::io::Result<bool> {
    let mut begin = Vec::new();
    file.by_ref().take(4).read_to_end(&mut begin)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(begin.starts_with(&[0x1f, 0x8b]) || begin.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]))
}

fn sniff_batch(batch: &Batch) -> Option<&'static Format> {
    let good = batch.records.iter().filter(|record| record.fault.is_none());
    let texts = good.filter_map(|record| std::str::from_utf8(&batch.bytes[record.range.clone()]).ok());
    let arena = Bump::new();
    let records: Vec<Json<'_>> = texts.filter_map(|text| Json::parse(text, &arena).ok()).take(SNIFFED).collect();
    // What two formats claim is of none; an ingest of it says so.
    sniff(&records).unwrap_or_default()
}

fn parse(record: &Record, bytes: &[u8], format: Option<&Format>) -> Option<(Decision, Vec<LayerAttempt>)> {
    if record.fault.is_some() {
        return None;
    }
    let text = std::str::from_utf8(&bytes[record.range.clone()]).ok()?;
    let arena = Bump::new();
    let json = Json::parse(text, &arena).ok()?;
    let mut draft = Draft::default();
    (format?.parse)(&json, &mut draft).ok()?;
    Some(draft.into_parts())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::formats::samples;

    fn event(id: &str) -> String {
        samples::CORTEX.replace("0000007f", id).replace('\n', " ") + "\n"
    }

    fn ids(tail: &mut Tail) -> Vec<String> {
        let mut ids = Vec::new();
        tail.read(&mut |decision, _| ids.push(decision.trace_id.rsplit('-').next().unwrap().to_owned())).unwrap();
        ids
    }

    #[test]
    fn only_what_was_appended_is_read_and_a_torn_line_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("performance.jsonl");
        let mut tail = Tail::new(vec![folder.path().to_owned(), folder.path().join("none-yet")]);
        assert_eq!(ids(&mut tail), Vec::<String>::new());
        fs::write(&path, event("1")).unwrap();
        assert_eq!(ids(&mut tail), ["1"]);
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        let (second, third) = (event("2"), event("3"));
        file.write_all(second.as_bytes()).unwrap();
        file.write_all(&third.as_bytes()[..200]).unwrap();
        assert_eq!(ids(&mut tail), ["2"]);
        assert_eq!(ids(&mut tail), Vec::<String>::new());
        file.write_all(&third.as_bytes()[200..]).unwrap();
        assert_eq!(ids(&mut tail), ["3"]);
        fs::write(&path, event("4")).unwrap();
        assert_eq!(ids(&mut tail), ["4"], "a file that became shorter was rotated");
    }

    #[test]
    fn bytes_that_were_read_before_are_left_out_and_what_cannot_be_read_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        fs::write(&path, event("1") + &event("2") + "{\"a\":\n" + &event("3")).unwrap();
        let mut tail = Tail::new(vec![path.clone()]);
        // Named as from another working folder.
        let named = Path::new("..").join(folder.path().file_name().unwrap()).join("x.jsonl");
        tail.skip(&named, event("1").len() as u64, Some("cortex"));
        let mut n_seen = 0;
        assert_eq!(tail.read(&mut |_, _| n_seen += 1).unwrap(), Appended { n_decisions: 2, n_rejected: 1 });
        assert_eq!(n_seen, 2);
    }

    #[test]
    fn a_compressed_file_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl.gz");
        let mut encoder = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
        encoder.write_all(event("1").as_bytes()).unwrap();
        encoder.finish().unwrap();
        let mut tail = Tail::new(vec![path]);
        assert_eq!(ids(&mut tail), ["1"]);
        assert_eq!(ids(&mut tail), Vec::<String>::new());
    }
}
