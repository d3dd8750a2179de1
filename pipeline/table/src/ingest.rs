//! Log files in, canonical tables out: reads, judges, keeps or quarantines every record, and accounts for each.

use std::collections::HashSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use routewright_domain::Timestamp;

use crate::draft::{Draft, Extras};
use crate::duplicates::{Candidate, Duplicates, Verdict, candidate};
use crate::error::{IngestError, TableError};
use crate::extras::{ExtraKind, KINDS, Keys, kinds_seen};
use crate::formats::{FORMATS, Format, format_named, sniff};
use crate::json::Json;
use crate::quarantine::Quarantine;
use crate::reason::{Reason, Rejection};
use crate::records::{Batch, Record, RecordLimits, RecordReader};
use crate::report::{Counts, FileReport, IngestReport};
use crate::rows::encode;
use crate::source::{find, open};
use crate::spill::Spill;
use crate::write::{Kept, Writing};

/// How to ingest.
#[derive(Clone, Debug, PartialEq)]
pub struct IngestSettings {
    /// Name of the format of every file; none: sniffed per file.
    pub format: Option<String>,
    /// Share of records that may be rejected, in [0, 1].
    pub max_rejected: f64,
    /// Limits of a single record.
    pub limits: RecordLimits,
    /// Bytes of rows that are held in memory before they go to a temporary file.
    pub memory_bytes: usize,
    /// Columns that further scalars may take; keys past it, by name, are reported and left out.
    pub max_extras: usize,
    /// Version of the program, for the footers.
    pub product_version: String,
}

impl Default for IngestSettings {
    fn default() -> Self {
        Self {
            format: None,
            max_rejected: 0.05,
            limits: RecordLimits::default(),
            memory_bytes: 192 << 20,
            max_extras: 4096,
            product_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// Where the tables go: scratch places, from which the caller moves them. Folders are made where they are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestPlaces {
    /// Folder of decisions, one sub-folder per day.
    pub decisions: PathBuf,
    /// Folder of layers, one sub-folder per day that has any.
    pub layers: PathBuf,
    /// Folder of rejected records, one file per format.
    pub quarantine: PathBuf,
}

/// Reads log files and folders of them, and writes `decisions`, `layers` and the quarantine.
///
/// Every record becomes a decision, a duplicate or a line of the quarantine, and the report accounts for each. The tables depend on the
/// files' content and order only, not on the number of threads. `progress` is told bytes done and bytes in all, of the files on disk.
/// Memory: the batches being read, [`IngestSettings::memory_bytes`] of rows, and 40 bytes per distinct id.
///
/// # Errors
/// [`IngestError::TooManyRejected`] carries the report; the quarantine is complete then and the tables are not written.
/// Other variants of [`IngestError`] for sources without records and for files that cannot be read or written.
pub fn ingest(
    sources: &[PathBuf],
    settings: &IngestSettings,
    places: &IngestPlaces,
    progress: &dyn Fn(u64, u64),
) -> Result<IngestReport, IngestError> {
    let forced = match &settings.format {
        Some(name) => Some(format_named(name).ok_or_else(|| unknown_format(name))?),
        None => None,
    };
    let inputs = find(sources)?;
    if inputs.files.is_empty() {
        return Err(IngestError::NoFiles {
            sources: sources.iter().map(|source| format!("`{}`", source.display())).collect::<Vec<_>>().join(", "),
        });
    }
    for folder in [&places.decisions, &places.quarantine] {
        fs::create_dir_all(folder).map_err(|error| TableError::write(folder, error))?;
    }
    let total_bytes = inputs.files.iter().map(|file| fs::metadata(file).map_or(0, |metadata| metadata.len())).sum();
    let mut ingest = Ingest::new(settings, places);
    for file in &inputs.files {
        ingest.read_file(file, forced, &|done| progress(done.min(total_bytes), total_bytes))?;
    }
    ingest.quarantine.finish()?;
    let skipped = inputs.skipped.iter().map(|file| file.display().to_string()).collect();
    let report = ingest.finish(skipped)?;
    progress(total_bytes, total_bytes);
    Ok(report)
}

fn unknown_format(name: &str) -> IngestError {
    let known = FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().join(", ");
    IngestError::UnknownFormat { name: name.to_owned(), known }
}

/// Records that are looked at to find a file's format.
const SNIFFED: usize = 64;

/// Records that one task parses.
const PIECE: usize = 256;

/// A record that can become a decision, encoded.
struct ParsedRow {
    /// Its bytes in [`Piece::rows`].
    range: Range<usize>,
    timestamp: Timestamp,
    candidate: Candidate,
    completed: bool,
}

/// What one task made of its records.
#[derive(Default)]
struct Piece {
    rows: Vec<u8>,
    outcomes: Vec<Result<ParsedRow, Rejection>>,
    keys: Keys,
}

/// An ingest under way.
struct Ingest<'s> {
    settings: &'s IngestSettings,
    places: &'s IngestPlaces,
    quarantine: Quarantine,
    duplicates: Duplicates,
    spill: Spill,
    kept: Kept,
    files: Vec<FileReport>,
    keys: Keys,
    bytes_done: u64,
}

impl<'s> Ingest<'s> {
    fn new(settings: &'s IngestSettings, places: &'s IngestPlaces) -> Self {
        Self {
            settings,
            places,
            quarantine: Quarantine::new(&places.quarantine),
            duplicates: Duplicates::default(),
            spill: Spill::new(settings.memory_bytes),
            kept: Kept::default(),
            files: Vec::new(),
            keys: Keys::default(),
            bytes_done: 0,
        }
    }

    /// Reads one file to its end. The next batch is read while one is parsed.
    fn read_file(&mut self, path: &Path, forced: Option<&'static Format>, progress: &dyn Fn(u64)) -> Result<(), IngestError> {
        let file = open(path)?;
        let watch = file.watch();
        let mut reader = RecordReader::new(file.text, self.settings.limits);
        self.files.push(FileReport { path: path.display().to_string(), ..FileReport::default() });
        self.kept.begin_file();
        let mut format = forced;
        let mut next = reader.next_batch();
        loop {
            let batch = match next {
                Ok(batch) if batch.records.is_empty() => break,
                Ok(batch) => batch,
                Err(error) => {
                    // An error of the disk ends the ingest here; any other is the decompressor's.
                    watch.finish(path)?;
                    let (line, offset) = reader.position();
                    let record = Record { range: 0..0, line, offset, fault: None };
                    self.reject(&record, &Rejection::new(Reason::DecompressionError, error.to_string()), &[], format)?;
                    self.count(|counts| counts.read += 1);
                    break;
                }
            };
            if format.is_none() {
                format = sniff_batch(&batch);
            }
            let (pieces, following) = rayon::join(|| parse_batch(&batch, format), || reader.next_batch());
            next = following;
            self.merge(&batch, pieces, format)?;
            progress(self.bytes_done + watch.n_bytes());
        }
        let digest = watch.finish(path)?;
        self.bytes_done += digest.n_bytes;
        if let Some(report) = self.files.last_mut() {
            report.format = format.map(|format| format.name.to_owned());
            report.bytes = digest.n_bytes;
            report.sha256 = digest.sha256;
        }
        Ok(())
    }

    /// Judges the records of a batch in the order of the file.
    fn merge(&mut self, batch: &Batch, pieces: Vec<Piece>, format: Option<&Format>) -> Result<(), IngestError> {
        let mut records = batch.records.iter();
        for piece in pieces {
            self.keys.merge(piece.keys)?;
            let folder = &self.places.decisions;
            self.spill.begin_piece(piece.rows, folder).map_err(|error| TableError::write(folder, error))?;
            for (outcome, record) in piece.outcomes.into_iter().zip(&mut records) {
                self.count(|counts| counts.read += 1);
                match outcome {
                    Ok(row) => self.keep(&row, record, batch, format)?,
                    Err(rejection) => self.reject(record, &rejection, &batch.bytes[record.range.clone()], format)?,
                }
            }
        }
        Ok(())
    }

    /// Keeps a row unless another with its id is better.
    fn keep(&mut self, row: &ParsedRow, record: &Record, batch: &Batch, format: Option<&Format>) -> Result<(), IngestError> {
        let sequence = self.kept.n_sequences();
        match self.duplicates.judge(row.candidate, sequence) {
            Verdict::Duplicate => {
                self.count(|counts| counts.duplicate += 1);
                return Ok(());
            }
            Verdict::Conflict => {
                let rejection =
                    Rejection::new(Reason::ConflictingDuplicate, "another record with this id was read before, with other content");
                return self.reject(record, &rejection, &batch.bytes[record.range.clone()], format);
            }
            Verdict::Replaces { sequence, was_pending } => {
                let file = self.kept.drop_row(sequence);
                if let Some(report) = self.files.get_mut(file) {
                    report.counts.kept -= 1;
                    report.counts.pending -= u64::from(was_pending);
                    report.counts.duplicate += 1;
                }
            }
            Verdict::New => {}
        }
        self.kept.add_row();
        self.count(|counts| {
            counts.kept += 1;
            counts.pending += u64::from(!row.completed);
        });
        self.spill.push(row.timestamp, sequence, row.range.clone());
        Ok(())
    }

    fn reject(&mut self, record: &Record, rejection: &Rejection, raw: &[u8], format: Option<&Format>) -> Result<(), IngestError> {
        self.count(|counts| *counts.quarantined.entry(rejection.reason.code().to_owned()).or_default() += 1);
        let file = self.files.last().map_or("", |report| report.path.as_str());
        let name = format.map_or("unknown", |format| format.name);
        self.quarantine.put(name, file, record.line, record.offset, rejection, raw)?;
        Ok(())
    }

    fn count(&mut self, count: impl FnOnce(&mut Counts)) {
        if let Some(report) = self.files.last_mut() {
            count(&mut report.counts);
        }
    }

    /// Judges the whole, and writes the tables.
    fn finish(mut self, skipped: Vec<String>) -> Result<IngestReport, IngestError> {
        let mut report = IngestReport { files: self.files, skipped, ..IngestReport::default() };
        report.files.iter().for_each(|file| report.totals.add(&file.counts));
        let totals = &report.totals;
        if totals.read == 0 {
            return Err(IngestError::NoRecords { n_files: report.files.len() });
        }
        if let Some(file) = report.files.iter().find(|file| !file.counts.adds_up()) {
            return Err(IngestError::RowsDoNotAddUp { detail: format!("`{}`: {:?}", file.path, file.counts) });
        }
        let left_out = report_keys(&self.keys, self.settings.max_extras, &mut report);
        let totals = &report.totals;
        if totals.n_quarantined() as f64 > self.settings.max_rejected * totals.read as f64 {
            return Err(IngestError::TooManyRejected {
                quarantined: totals.n_quarantined(),
                read: totals.read,
                max_rejected: self.settings.max_rejected,
                counts: totals.reasons(),
                report: Box::new(report),
            });
        }
        self.spill.finish();
        let digests: Vec<&str> = report.files.iter().map(|file| file.sha256.as_str()).collect();
        let writing = Writing {
            spill: &self.spill,
            kept: &self.kept,
            keys: &self.keys,
            left_out: &left_out,
            digests: &digests,
            places: self.places,
            product_version: &self.settings.product_version,
        };
        let written = writing.write()?;
        if (written.n_rows(), written.n_pending) != (totals.kept, totals.pending) {
            let detail = format!(
                "{} decisions ({} pending) were kept, {} ({}) written",
                totals.kept,
                totals.pending,
                written.n_rows(),
                written.n_pending
            );
            return Err(IngestError::RowsDoNotAddUp { detail });
        }
        (report.first, report.last) = (written.first, written.last);
        report.n_layers = written.n_layers;
        report.days = written.days;
        Ok(report)
    }
}

/// Reports the further scalars: their kinds, what rows disagree about, what has no column. Gives the digests of keys past the limit.
fn report_keys(keys: &Keys, max_extras: usize, report: &mut IngestReport) -> HashSet<u64> {
    let mut left_out = HashSet::new();
    let mut n_columns = 0;
    for (name, (digest, entry)) in keys.by_name() {
        let mut n_ignored = entry.ignored;
        let seen: Vec<ExtraKind> = kinds_seen(&entry.kinds).collect();
        if seen.len() > 1 {
            let counts = KINDS.into_iter().zip(entry.kinds).filter(|(_, count)| *count > 0).collect();
            report.type_conflicts.insert(name.to_owned(), counts);
        }
        if let Some(kind) = seen.first() {
            n_columns += 1;
            if n_columns > max_extras {
                left_out.insert(digest);
                n_ignored += entry.kinds.iter().sum::<u64>();
            } else {
                report.extras.insert(name.to_owned(), if seen.len() > 1 { ExtraKind::Text } else { *kind });
            }
        }
        if n_ignored > 0 {
            report.ignored_keys.insert(name.to_owned(), n_ignored);
        }
    }
    left_out
}

/// The format that the first records of a batch show.
fn sniff_batch(batch: &Batch) -> Option<&'static Format> {
    let texts = batch
        .records
        .iter()
        .filter(|record| record.fault.is_none())
        .filter_map(|record| std::str::from_utf8(&batch.bytes[record.range.clone()]).ok());
    let records: Vec<Json<'_>> =
        texts.filter_map(|text| Json::parse(text).ok()).filter(|json| matches!(json, Json::Object(_))).take(SNIFFED).collect();
    sniff(&records)
}

/// Parses a batch with all threads; the pieces are in the order of the records.
fn parse_batch(batch: &Batch, format: Option<&'static Format>) -> Vec<Piece> {
    batch.records.par_chunks(PIECE).map(|records| parse_piece(records, &batch.bytes, format)).collect()
}

fn parse_piece(records: &[Record], bytes: &[u8], format: Option<&'static Format>) -> Piece {
    let mut extras = Extras::default();
    let mut rows = Vec::with_capacity(records.iter().map(|record| record.range.len()).sum::<usize>() / 2);
    let parse = |record: &Record| parse_record(record, &bytes[record.range.clone()], format, &mut extras, &mut rows);
    let outcomes = records.iter().map(parse).collect();
    rows.shrink_to_fit();
    Piece { rows, outcomes, keys: extras.keys }
}

/// Appends the row of a record; `extras`: memory and keys for its further scalars.
fn parse_record(
    record: &Record,
    bytes: &[u8],
    format: Option<&Format>,
    extras: &mut Extras,
    rows: &mut Vec<u8>,
) -> Result<ParsedRow, Rejection> {
    if let Some(reason) = record.fault {
        return Err(fault(reason, bytes));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| fault_of_bytes(bytes, &error))?;
    let json = Json::parse(text)?;
    let Some(format) = format else {
        return Err(match json {
            Json::Object(_) => Rejection::new(Reason::UnknownFormat, "no known format has records like the first ones of this file"),
            other => Rejection::new(Reason::NotAnObject, format!("a record must be an object, found {}", other.kind())),
        });
    };
    let mut draft = Draft::with(std::mem::take(extras));
    let row = (format.parse)(&json, &mut draft).map(|()| append(&mut draft, rows));
    *extras = draft.extras;
    row
}

fn append(draft: &mut Draft<'_>, rows: &mut Vec<u8>) -> ParsedRow {
    draft.extras.settle();
    let start = rows.len();
    let shape = encode(draft, rows);
    let completed = draft.success.is_some();
    let candidate = candidate(&rows[start..], shape, draft.timestamp.0, completed);
    ParsedRow { range: start..rows.len(), timestamp: draft.timestamp, candidate, completed }
}

/// A fault that the reader saw; bytes that explain it better come first.
fn fault(reason: Reason, bytes: &[u8]) -> Rejection {
    match (reason, std::str::from_utf8(bytes)) {
        (Reason::NotJson, _) if bytes.contains(&0) => Rejection::new(Reason::NulBytes, "the text holds zero bytes"),
        (Reason::NotJson, Err(error)) => fault_of_bytes(bytes, &error),
        (Reason::NotJson, Ok(text)) => match Json::parse(text) {
            Err(rejection) => rejection,
            Ok(_) => Rejection::new(reason, "the record does not end where its line does"),
        },
        (Reason::TruncatedLine, _) => Rejection::new(reason, "the file ends inside this record"),
        (Reason::RecordTooLarge, _) => Rejection::new(reason, "the record is larger than `max_record_bytes`"),
        (Reason::NestingTooDeep, _) => Rejection::new(reason, "the record is nested deeper than `max_depth`"),
        (reason, _) => Rejection::new(reason, reason.code()),
    }
}

fn fault_of_bytes(bytes: &[u8], error: &std::str::Utf8Error) -> Rejection {
    if bytes.contains(&0) {
        return Rejection::new(Reason::NulBytes, "the text holds zero bytes");
    }
    Rejection::new(Reason::InvalidUtf8, format!("no UTF-8 from byte {} of the record on", error.valid_up_to()))
}
