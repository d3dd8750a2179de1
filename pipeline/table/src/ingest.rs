//! Log files in, canonical tables out: reads, judges, keeps or quarantines every record, and accounts for each.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use routewright_domain::Timestamp;

use crate::duplicates::{Candidate, Duplicates, Verdict, candidate};
use crate::error::{IngestError, TableError};
use crate::extras::{ExtraKinds, KINDS, kinds_seen};
use crate::formats::{FORMATS, Format, format_named, sniff};
use crate::json::Json;
use crate::parquet_file::ExtraColumn;
use crate::quarantine::Quarantine;
use crate::reason::{Reason, Rejection};
use crate::records::{Batch, Record, RecordLimits, RecordReader};
use crate::report::{Counts, FileReport, IngestReport};
use crate::rows::encode;
use crate::source::{find, open};
use crate::spill::Spill;
use crate::write::{Kept, write_tables};

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
    /// File of layers.
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
    for folder in [Some(places.decisions.as_path()), Some(places.quarantine.as_path()), places.layers.parent()].into_iter().flatten() {
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
const PIECE: usize = 128;

/// A record that can become a decision, encoded.
struct ParsedRow {
    /// Its bytes in [`Piece::rows`].
    start: usize,
    end: usize,
    timestamp: Timestamp,
    candidate: Candidate,
    completed: bool,
    has_layers: bool,
}

/// What one task made of its records.
#[derive(Default)]
struct Piece {
    rows: Vec<u8>,
    outcomes: Vec<Result<ParsedRow, Rejection>>,
    kinds: ExtraKinds,
    ignored: BTreeMap<String, u64>,
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
    kinds: ExtraKinds,
    ignored: BTreeMap<String, u64>,
    bytes_done: u64,
    has_layers: bool,
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
            kinds: ExtraKinds::default(),
            ignored: BTreeMap::new(),
            bytes_done: 0,
            has_layers: false,
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
            self.kinds.merge(piece.kinds);
            for (key, count) in piece.ignored {
                *self.ignored.entry(key).or_default() += count;
            }
            for (outcome, record) in piece.outcomes.into_iter().zip(&mut records) {
                self.count(|counts| counts.read += 1);
                match outcome {
                    Ok(row) => self.keep(&row, &piece.rows[row.start..row.end], record, batch, format)?,
                    Err(rejection) => self.reject(record, &rejection, &batch.bytes[record.range.clone()], format)?,
                }
            }
        }
        Ok(())
    }

    /// Keeps a row unless another with its id is better.
    fn keep(&mut self, row: &ParsedRow, bytes: &[u8], record: &Record, batch: &Batch, format: Option<&Format>) -> Result<(), IngestError> {
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
        self.has_layers |= row.has_layers;
        self.count(|counts| {
            counts.kept += 1;
            counts.pending += u64::from(!row.completed);
        });
        let folder = &self.places.decisions;
        self.spill.push(row.timestamp, sequence, bytes, folder).map_err(|error| TableError::write(folder, error).into())
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
        let mut report = IngestReport { files: self.files, skipped, ignored_keys: self.ignored, ..IngestReport::default() };
        report.files.iter().for_each(|file| report.totals.add(&file.counts));
        let totals = &report.totals;
        if totals.read == 0 {
            return Err(IngestError::NoRecords { n_files: report.files.len() });
        }
        if let Some(file) = report.files.iter().find(|file| !file.counts.adds_up()) {
            return Err(IngestError::RowsDoNotAddUp { detail: format!("`{}`: {:?}", file.path, file.counts) });
        }
        let extras = extra_columns(&self.kinds, self.settings.max_extras, &mut report);
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
        let written =
            write_tables(&self.spill, &self.kept, &extras, &digests, self.has_layers, self.places, &self.settings.product_version)?;
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

/// The columns of further scalars; what rows disagree about, and what is past the limit, goes into the report.
fn extra_columns(kinds: &ExtraKinds, max_extras: usize, report: &mut IngestReport) -> Vec<ExtraColumn> {
    for (key, counts) in kinds.counts() {
        if kinds_seen(&counts).count() > 1 {
            let seen = KINDS.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect();
            report.type_conflicts.insert(key.to_owned(), seen);
        }
    }
    for (key, counts) in kinds.counts().skip(max_extras) {
        *report.ignored_keys.entry(key.to_owned()).or_default() += counts.iter().sum::<u64>();
    }
    let columns: Vec<ExtraColumn> = kinds.columns().take(max_extras).map(|(key, kind)| ExtraColumn { key: key.to_owned(), kind }).collect();
    report.extras = columns.iter().map(|column| (column.key.clone(), column.kind)).collect();
    columns
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
    let mut piece = Piece::default();
    for record in records {
        let outcome = parse_record(record, &bytes[record.range.clone()], format, &mut piece);
        piece.outcomes.push(outcome);
    }
    piece
}

fn parse_record(record: &Record, bytes: &[u8], format: Option<&Format>, piece: &mut Piece) -> Result<ParsedRow, Rejection> {
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
    let parsed = (format.parse)(&json)?;
    for key in parsed.ignored {
        *piece.ignored.entry(key).or_default() += 1;
    }
    piece.kinds.count(&parsed.decision.extras);
    let start = piece.rows.len();
    let shape = encode(&parsed.decision, &parsed.layers, &mut piece.rows);
    let completed = parsed.decision.success.is_some();
    let timestamp = parsed.decision.timestamp;
    let candidate = candidate(&piece.rows[start..], shape, timestamp.0, completed);
    Ok(ParsedRow { start, end: piece.rows.len(), timestamp, candidate, completed, has_layers: !parsed.layers.is_empty() })
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
