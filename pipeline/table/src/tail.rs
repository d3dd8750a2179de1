//! Follows log files: reads what was appended since the last look, without the tables.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use bumpalo::Bump;
use memchr::{memchr, memmem};
use rayon::prelude::*;
use routewright_domain::{CascadeLog, Decision, LayerAttempt, Timestamp};

use crate::error::IngestError;
use crate::formats::{Format, Reading, format_named};
use crate::json::Json;
use crate::pieces::sniff_batch;
use crate::reason::Reason;
use crate::records::{Batch, Record, RecordLimits, RecordReader};
use crate::source::{find, open};
use crate::wide::MatrixSettings;

/// Records that one thread parses at a time.
const PARSED: usize = 128;

/// Bytes at the end of a file that tell of its last events.
const END_BYTES: u64 = 256 << 10;

/// The key of an event's time, in every format.
const TIME_KEY: &[u8] = b"\"timestamp\"";

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
    /// Microseconds before the last event whose events are wanted.
    span: Option<i64>,
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
        Self { sources, files: BTreeMap::new(), before: Vec::new(), span: None }
    }

    /// Leaves out events that lie more than a number of microseconds before the last one. They need not stand in order; those left out are
    /// hardly parsed, and not counted as rejected where something is wrong with them.
    pub fn within(self, span: i64) -> Self {
        Self { span: Some(span), ..self }
    }

    /// Leaves out the first bytes of a file, which were read before. `format`: its name, where it is known.
    pub fn skip(&mut self, file: &Path, n_bytes: u64, format: Option<&str>) {
        let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        let named = file.components().skip_while(|part| !matches!(part, Component::Normal(_))).collect();
        self.before.push((named, n_bytes, format.and_then(format_named)));
    }

    /// Reads what was appended into a log. A last record that is not complete waits for the next look; a file that became shorter was
    /// rotated and is read from its start; a compressed file is read once.
    ///
    /// # Errors
    /// [`IngestError`] for a source or file that cannot be read. A source that does not exist (yet) has no records.
    pub fn read(&mut self, log: &mut CascadeLog) -> Result<Appended, IngestError> {
        let sources: Vec<PathBuf> = self.sources.iter().filter(|source| source.exists()).cloned().collect();
        let mut files = Vec::new();
        for path in find(&sources)?.files {
            let known = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            let before =
                self.before.iter().filter(|(named, ..)| known.ends_with(named)).max_by_key(|(named, ..)| named.components().count());
            let (n_bytes, format) = before.map_or((0, None), |(_, n_bytes, format)| (*n_bytes, *format));
            self.files.entry(known.clone()).or_insert(Followed { n_bytes, format });
            files.push((path, known));
        }
        let mut from = None;
        if let Some(span) = self.span {
            let mut last = log.events().last().map(|event| event.timestamp);
            for (path, known) in &files {
                let end = self.files.get(known).map(|followed| end_of(path, followed)).transpose();
                last = last.max(end.map_err(|error| IngestError::read(path, error))?.flatten());
            }
            from = last.map(|last| Timestamp(last.0.saturating_sub(span)));
        }
        let mut appended = Appended::default();
        for (path, known) in &files {
            let followed = self.files.entry(known.clone()).or_default();
            read_appended(path, followed, from, log, &mut appended).map_err(|error| IngestError::read(path, error))?;
        }
        Ok(appended)
    }
}

/// A time that the last event of a file does not lie before; nothing where the file is short, compressed, or ends with no event.
fn end_of(path: &Path, followed: &Followed) -> std::io::Result<Option<Timestamp>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(END_BYTES);
    if start <= followed.n_bytes || is_compressed(&mut file)? {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(END_BYTES).read_to_end(&mut bytes)?;
    let Some(torn) = memchr(b'\n', &bytes) else { return Ok(None) };
    let mut reader = RecordReader::new(&bytes[torn..], RecordLimits::default());
    let batch = reader.next_batch()?;
    let format = followed.format.or_else(|| format_of(&batch, path));
    let mut arena = Bump::new();
    let mut last = None;
    for record in &batch.records {
        last = last.max(parse(record, &batch.bytes, format, &arena).map(|(decision, _)| decision.timestamp));
        arena.reset();
    }
    Ok(last)
}

fn read_appended(
    path: &Path,
    followed: &mut Followed,
    from: Option<Timestamp>,
    log: &mut CascadeLog,
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
    let is_plain = start > 0 || !is_compressed(&mut file)?;
    let text: Box<dyn Read + Send> = if is_plain {
        file.seek(SeekFrom::Start(start))?;
        Box::new(file.take(length - start))
    } else {
        open(path, &MatrixSettings::default()).map_err(std::io::Error::other)?.text
    };
    let mut reader = RecordReader::new(text, RecordLimits::default());
    let mut batch = reader.next_batch()?;
    let mut end = length;
    while !batch.records.is_empty() {
        // The writer is in the middle of this record.
        if is_plain && let Some(torn) = batch.records.pop_if(|record| record.fault == Some(Reason::TruncatedLine)) {
            end = start + torn.offset;
        }
        if followed.format.is_none() {
            followed.format = format_of(&batch, path);
        }
        let format = followed.format;
        let (next, parts) = rayon::join(
            || reader.next_batch(),
            || batch.records.par_chunks(PARSED).map(|records| read_part(records, &batch.bytes, format, from)).collect::<Vec<_>>(),
        );
        for (part, counts) in parts {
            log.append(&part);
            appended.n_decisions += counts.n_decisions;
            appended.n_rejected += counts.n_rejected;
        }
        batch = next?;
    }
    followed.n_bytes = end;
    Ok(())
}

/// The events of some records, and how many there are.
fn read_part(records: &[Record], bytes: &[u8], format: Option<&Format>, from: Option<Timestamp>) -> (CascadeLog, Appended) {
    let (mut log, mut counts) = (CascadeLog::default(), Appended::default());
    let time_key = memmem::Finder::new(TIME_KEY);
    let mut arena = Bump::new();
    for record in records {
        if from.is_some_and(|from| record.fault.is_none() && is_before(&bytes[record.range.clone()], from, &time_key)) {
            continue;
        }
        match parse(record, bytes, format, &arena) {
            Some((decision, layers)) => {
                counts.n_decisions += 1;
                log.put(&decision, &layers);
            }
            None => counts.n_rejected += 1,
        }
        arena.reset();
    }
    (log, counts)
}

/// Whether every time that a record's text names lies before a moment, and there is one; found without parsing the record.
fn is_before(text: &[u8], from: Timestamp, time_key: &memmem::Finder<'_>) -> bool {
    let mut n_times = 0;
    for at in time_key.find_iter(text) {
        let rest = text[at + TIME_KEY.len()..].trim_ascii_start();
        // A text that says so is no key.
        let Some(value) = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start) else { continue };
        let time = value.strip_prefix(b"\"").and_then(|value| value.get(..memchr(b'"', value)?));
        let time = time.and_then(|time| std::str::from_utf8(time).ok()).and_then(|time| time.trim().parse::<jiff::Timestamp>().ok());
        if time.is_none_or(|time| time.as_microsecond() >= from.0) {
            return false;
        }
        n_times += 1;
    }
    n_times > 0
}

/// Whether a file begins as gzip or zstd does; leaves the position at its start.
fn is_compressed(file: &mut File) -> std::io::Result<bool> {
    let mut begin = Vec::new();
    file.by_ref().take(4).read_to_end(&mut begin)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(begin.starts_with(&[0x1f, 0x8b]) || begin.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]))
}

/// The format that the first records of a batch show. What two formats claim is of none; an ingest of it says so.
fn format_of(batch: &Batch, path: &Path) -> Option<&'static Format> {
    sniff_batch(batch, path).ok()?.0
}

fn parse(record: &Record, bytes: &[u8], format: Option<&Format>, arena: &Bump) -> Option<(Decision, Vec<LayerAttempt>)> {
    if record.fault.is_some() {
        return None;
    }
    let text = std::str::from_utf8(&bytes[record.range.clone()]).ok()?;
    let json = Json::parse(text, arena).ok()?;
    let mut reading = Reading::default();
    format?.read(&json, &mut reading).ok()?;
    Some(reading.draft.into_parts())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use routewright_domain::event_id;

    use super::*;
    use crate::formats::samples;

    fn event(id: &str) -> String {
        samples::CORTEX.replace("0000007f", id).replace('\n', " ") + "\n"
    }

    /// What one look at the files found, by [`event`]'s names, in the order of time.
    fn ids(tail: &mut Tail) -> Vec<u64> {
        let mut log = CascadeLog::default();
        tail.read(&mut log).unwrap();
        log.events().iter().map(|event| event.id).collect()
    }

    fn named<const N: usize>(ids: [&str; N]) -> Vec<u64> {
        ids.iter().map(|id| event_id(&format!("route-20260105-100000-{id}"))).collect()
    }

    #[test]
    fn only_what_was_appended_is_read_and_a_torn_line_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("performance.jsonl");
        let mut tail = Tail::new(vec![folder.path().to_owned(), folder.path().join("none-yet")]);
        assert_eq!(ids(&mut tail), named([]));
        fs::write(&path, event("1")).unwrap();
        assert_eq!(ids(&mut tail), named(["1"]));
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        let (second, third) = (event("2"), event("3"));
        file.write_all(second.as_bytes()).unwrap();
        file.write_all(&third.as_bytes()[..200]).unwrap();
        assert_eq!(ids(&mut tail), named(["2"]));
        assert_eq!(ids(&mut tail), named([]));
        file.write_all(&third.as_bytes()[200..]).unwrap();
        assert_eq!(ids(&mut tail), named(["3"]));
        fs::write(&path, event("4")).unwrap();
        assert_eq!(ids(&mut tail), named(["4"]), "a file that became shorter was rotated");
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
        let mut log = CascadeLog::default();
        assert_eq!(tail.read(&mut log).unwrap(), Appended { n_decisions: 2, n_rejected: 1 });
        assert_eq!(log.events().len(), 2);
    }

    #[test]
    fn of_two_logs_with_one_name_the_one_that_was_read_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for place in ["a", "b"] {
            fs::create_dir(folder.path().join(place)).unwrap();
            fs::write(folder.path().join(place).join("x.jsonl"), event(place)).unwrap();
        }
        let mut tail = Tail::new(vec![folder.path().to_owned()]);
        tail.skip(Path::new("b/x.jsonl"), event("b").len() as u64, Some("cortex"));
        assert_eq!(ids(&mut tail), named(["a"]));
    }

    #[test]
    fn only_events_of_the_span_are_read_whatever_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        let at = |id: &str, minute: u32| event(id).replace("2026-01-05T10:00:00+00:00", &format!("2026-01-05T10:{minute:02}:00+00:00"));
        // More than what is looked at for the last events, so that the span is known before the first one is read.
        let old: String = (0..300).map(|row| at(&format!("o{row}"), 1)).collect();
        let late = at("late", 40).replace("back up", r#"set \"timestamp\": \"2026-01-05T09:00:00Z\" and"#);
        fs::write(&path, old.clone() + &late + &old.replace("-o", "-p") + &at("newest", 50) + &at("old", 39)).unwrap();
        assert!(fs::metadata(&path).unwrap().len() > 2 * END_BYTES);
        let minutes = |minutes: i64| ids(&mut Tail::new(vec![path.clone()]).within(minutes * 60_000_000));
        assert_eq!(minutes(10), named(["late", "newest"]), "a time in a text is none of the event's");
        assert_eq!(minutes(11), named(["old", "late", "newest"]));
        assert_eq!(minutes(60).len(), 603);
    }

    #[test]
    fn an_event_is_left_out_only_where_its_text_is_sure_to_say_that_it_is_old() {
        let from = Timestamp(1_767_225_600_000_000);
        let before = |text: &str| is_before(text.as_bytes(), from, &memmem::Finder::new(TIME_KEY));
        assert!(before(r#"{"timestamp" : "2025-12-31T23:59:59.999Z"}"#));
        assert!(before(r#"{"timestamp":"2026-01-01T01:00:00+02:00","a":"timestamp"}"#));
        for text in [
            r#"{"timestamp":"2026-01-01T00:00:00Z"}"#,
            r#"{"timestamp":"2025-12-31T23:00:00Z","timestamp":"2026-01-01T00:00:00Z"}"#,
            r#"{"timestamp":"2025-12-31"}"#,
            r#"{"timestamp":1767225}"#,
            r#"{"timestamp":"2025-12"#,
            r#"{"a":"\"timestamp\":\"2025-12-31T23:00:00Z\""}"#,
            "{}",
        ] {
            assert!(!before(text), "{text}");
        }
    }

    #[test]
    fn a_compressed_file_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl.gz");
        let mut encoder = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
        encoder.write_all(event("1").as_bytes()).unwrap();
        encoder.finish().unwrap();
        let mut tail = Tail::new(vec![path]);
        assert_eq!(ids(&mut tail), named(["1"]));
        assert_eq!(ids(&mut tail), named([]));
    }
}
