//! Log files in, canonical tables out: reads, judges, keeps or quarantines every record, and accounts for each.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use routewright_domain::Timestamp;

use crate::decisions::day_name;
use crate::error::{IngestError, TableError};
use crate::extras::Keys;
use crate::formats::{FORMATS, Format, format_named};
use crate::judgement::{Judgement, Remembered};
use crate::ledger::{Entry, Ledger};
use crate::pieces::{PIECE, ParsedRow, Piece, Rules, SNIFFED, parse_batch, sniff_batch};
use crate::quarantine::{Earlier, Refused, Rejected, write_quarantine};
use crate::reason::{Reason, Rejection};
use crate::records::{Batch, Record, RecordLimits, RecordReader};
use crate::redact::Redactor;
use crate::report::{FileReport, IngestReport};
use crate::shapes::Shapes;
use crate::source::{OpenFile, find, open, open_at, read_pieces};
use crate::spill::{NewRow, Spill};
use crate::state::{FileState, Standing, State, StatePlaces, standings};
use crate::wide::MatrixSettings;
use crate::write::{Kept, Writing, link_day};

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
    /// Names of the columns of wide tables.
    pub matrix: MatrixSettings,
    /// Whether records are checked against their format's own schema too, in files whose first records mostly keep it.
    pub check_schema: bool,
    /// Takes personal data and secrets out of every record before anything of it is written; none: nothing is taken out.
    pub redact: Option<Redactor>,
    /// Version of the program, for the footers.
    pub product_version: String,
}

impl Default for IngestSettings {
    fn default() -> Self {
        Self {
            format: None,
            max_rejected: 0.05,
            limits: RecordLimits::default(),
            memory_bytes: 384 << 20,
            max_extras: 4096,
            matrix: MatrixSettings::default(),
            check_schema: true,
            redact: None,
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
/// Memory: the batches being read, [`IngestSettings::memory_bytes`] of rows, and 64 MiB of the ledger of ids.
///
/// # Errors
/// [`IngestError::TooManyRejected`] carries the report; the quarantine is complete then and the tables are not written.
/// Other variants of [`IngestError`] for sources without records and for files that cannot be read or written.
pub fn ingest(
    sources: &[PathBuf],
    settings: &IngestSettings,
    places: &IngestPlaces,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<IngestReport, IngestError> {
    ingest_more(sources, settings, places, None, progress)
}

/// As [`ingest()`], but goes on from the tables of an earlier ingest with the same settings: reads only what is new, and writes only the days
/// it touches; links the others. What comes out is what [`ingest()`] would write of the same files.
///
/// Files are known by their content. One that has grown is read from its last complete record on. One that is gone or was rewritten takes
/// its rows along. Where the earlier tables cannot be gone on from, everything is read.
///
/// # Errors
/// Those of [`ingest()`].
pub fn ingest_more(
    sources: &[PathBuf],
    settings: &IngestSettings,
    places: &IngestPlaces,
    earlier: Option<&IngestPlaces>,
    progress: &(dyn Fn(u64, u64) + Sync),
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
    let words = words_of(settings);
    let earlier = earlier.and_then(|places| Some((places, StatePlaces::of(&places.decisions).read(&words)?)));
    let standings = match &earlier {
        Some((_, state)) => standings(&inputs.files, state)?,
        None => vec![Standing::New; inputs.files.len()],
    };
    let total_bytes = inputs.files.iter().map(|file| fs::metadata(file).map_or(0, |metadata| metadata.len())).sum();
    let skipped = inputs.skipped.iter().map(|file| file.display().to_string()).collect();
    let mut ingest = Ingest::new(settings, places, inputs.files, forced, earlier);
    let work = || {
        for (position, standing) in standings.into_iter().enumerate() {
            ingest.take_file(position, standing, &|done| progress(done.min(total_bytes), total_bytes))?;
        }
        ingest.finish(skipped, &words)
    };
    // On one of the threads that parse: handing every batch over to them would cost a wait each.
    let report = rayon::join(work, || ()).0?;
    progress(total_bytes, total_bytes);
    Ok(report)
}

/// Everything in the settings that rows depend on, as text.
fn words_of(settings: &IngestSettings) -> String {
    let IngestSettings { max_rejected: _, memory_bytes: _, .. } = settings;
    format!("{:?}", IngestSettings { max_rejected: 0.0, memory_bytes: 0, ..settings.clone() })
}

fn unknown_format(name: &str) -> IngestError {
    let known = FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().join(", ");
    IngestError::UnknownFormat { name: name.to_owned(), known }
}

/// An ingest under way.
struct Ingest<'s> {
    settings: &'s IngestSettings,
    places: &'s IngestPlaces,
    paths: Vec<PathBuf>,
    forced: Option<&'static Format>,
    earlier: Option<(&'s IngestPlaces, State)>,
    /// The position now of every earlier file, and the offset from which on it is read again.
    moved: Vec<Option<(u32, u64)>>,
    rejected: Rejected,
    ledger: Ledger,
    spill: Spill,
    shapes: Shapes,
    kept: Kept,
    files: Vec<FileState>,
    n_read: usize,
    bytes_done: u64,
    /// Memory of batches, from file to file.
    spare: Vec<Batch>,
}

impl<'s> Ingest<'s> {
    fn new(
        settings: &'s IngestSettings,
        places: &'s IngestPlaces,
        paths: Vec<PathBuf>,
        forced: Option<&'static Format>,
        earlier: Option<(&'s IngestPlaces, State)>,
    ) -> Self {
        Self {
            settings,
            places,
            paths,
            forced,
            moved: vec![None; earlier.as_ref().map_or(0, |(_, state)| state.files.len())],
            earlier,
            rejected: Rejected::new(),
            ledger: Ledger::default(),
            spill: Spill::new(settings.memory_bytes),
            shapes: Shapes::default(),
            kept: Kept::default(),
            files: Vec::new(),
            n_read: 0,
            bytes_done: 0,
            spare: Vec::new(),
        }
    }

    /// Takes over what is known of a file, and reads the rest of it.
    fn take_file(&mut self, position: usize, standing: Standing, progress: &(dyn Fn(u64) + Sync)) -> Result<(), IngestError> {
        let path = self.paths[position].clone();
        let known = |at: usize| self.earlier.as_ref().and_then(|(_, state)| state.files.get(at)).cloned().unwrap_or_default();
        let name = path.display().to_string();
        match standing {
            Standing::Same(at) => {
                let mut known = known(at);
                self.moved[at] = Some((position as u32, u64::MAX));
                if known.path != name || known.stamp.is_none() {
                    known.stamp = open(&path, &self.settings.matrix)?.stamp;
                    known.path = name;
                }
                self.bytes_done += known.n_bytes;
                self.files.push(known);
                progress(self.bytes_done);
                Ok(())
            }
            Standing::Grown(at, hasher) => {
                let known = known(at);
                let (offset, _) = known.resume;
                self.moved[at] = Some((position as u32, offset));
                let file = open_at(&path, offset, *hasher, known.n_bytes)?;
                let fingerprint = if offset == 0 { String::new() } else { known.fingerprint };
                self.files.push(FileState {
                    path: name,
                    format: known.format,
                    resume: known.resume,
                    keeps_schema: known.keeps_schema,
                    head: known.head,
                    fingerprint,
                    ..FileState::default()
                });
                self.read_file(&path, file, progress)
            }
            Standing::New => {
                self.files.push(FileState { path: name, resume: (0, 1), ..FileState::default() });
                let file = open(&path, &self.settings.matrix)?;
                self.read_file(&path, file, progress)
            }
        }
    }

    /// The state of the file that is being read.
    fn file(&mut self) -> &mut FileState {
        let last = self.files.len() - 1;
        &mut self.files[last]
    }

    /// Reads the last file from where it is to be read to its end. The next batch is read while one is parsed.
    fn read_file(&mut self, path: &Path, file: OpenFile, progress: &(dyn Fn(u64) + Sync)) -> Result<(), IngestError> {
        self.n_read += 1;
        let (watch, stamp, is_compressed) = (file.watch(), file.stamp, file.is_compressed);
        let resume = self.file().resume;
        let spare = std::mem::take(&mut self.spare);
        let mut reader = RecordReader::resume(file.text, self.settings.limits, resume).by_lines().with_spare(spare);
        self.kept.begin_file(self.files.len() - 1);
        let known = self.file().format.as_deref().and_then(format_named);
        let mut format = if file.is_wide { format_named("matrix") } else { self.forced.or(known) };
        let mut rules = Rules::of(self.settings);
        if let Some(keeps_schema) = self.file().keeps_schema {
            rules = rules.with_schema(keeps_schema);
        }
        // A format that was found in many records does not change when more are appended.
        let mut is_settled = format.is_some();
        let mut is_broken = false;
        let mut next = reader.next_batch();
        loop {
            let batch = match next {
                Ok(batch) if batch.records.is_empty() => {
                    // Its memory is the next file's.
                    reader.recycle(batch);
                    break;
                }
                Ok(batch) => batch,
                Err(error) => {
                    // An error of the disk ends the ingest here; any other is the decompressor's.
                    watch.finish(path)?;
                    let (line, offset) = reader.position();
                    let record = Record { range: 0..0, line, offset, fault: None, is_guess: false };
                    self.reject(&record, &Rejection::new(Reason::DecompressionError, error.to_string()), &[], format, Part::Head)?;
                    is_broken = true;
                    break;
                }
            };
            if format.is_none() {
                let n_sniffed;
                (format, n_sniffed) = sniff_batch(&batch, path)?;
                is_settled = format.is_some() && n_sniffed == SNIFFED;
            }
            if self.file().keeps_schema.is_none() {
                rules = rules.for_file(&batch, format);
                self.file().keeps_schema = Some(rules.check_schema);
            }
            if self.file().fingerprint.is_empty()
                && let Some(first) = batch.records.first()
            {
                self.file().fingerprint = blake3::hash(&batch.bytes[first.range.clone()]).to_hex().to_string();
            }
            let (pieces, following) = rayon::join(|| parse_batch(&batch, format, rules), || reader.next_batch());
            let Some(pieces) = pieces else {
                reader.give_back(batch, following);
                next = reader.next_batch();
                continue;
            };
            next = following;
            let is_last = next.as_ref().is_ok_and(|batch| batch.records.is_empty());
            self.file().resume = reader_position(&reader);
            self.merge(&batch, pieces, format, is_last)?;
            reader.recycle(batch);
            progress(self.bytes_done + watch.n_bytes());
        }
        self.spare = reader.into_spare();
        let digest = watch.finish(path)?;
        self.bytes_done += digest.n_bytes;
        let file = self.file();
        file.format = format.map(|format| format.name.to_owned());
        (file.n_bytes, file.digest, file.stamp) = (digest.n_bytes, digest.blake3, stamp);
        file.can_grow = is_settled && !is_compressed && !is_broken;
        Ok(())
    }

    /// Takes the records of a batch in the order of the file. The last record of a file may still change when the file grows: where it has
    /// no line break after it, or is no record.
    fn merge(&mut self, batch: &Batch, pieces: Vec<Piece>, format: Option<&Format>, is_last: bool) -> Result<(), IngestError> {
        let open_end = batch.records.last().filter(|record| {
            let is_open = !batch.bytes[record.range.end..].contains(&b'\n') || record.fault.is_some();
            is_last && is_open
        });
        let mut records = batch.records.iter();
        for piece in pieces {
            self.shapes.merge(piece.shapes)?;
            let folder = &self.places.decisions;
            self.spill.begin_piece(piece.rows, folder).map_err(|error| TableError::write(folder, error))?;
            let mut part = Part::Head;
            for (outcome, record) in piece.outcomes.into_iter().zip(&mut records) {
                if open_end.is_some_and(|last| last.offset == record.offset) {
                    part = Part::Tail;
                    self.file().resume = (record.offset, record.line);
                }
                match outcome {
                    Ok(row) => self.take_row(&row, record, part)?,
                    Err(rejection) => self.reject(record, &rejection, &batch.bytes[record.range.clone()], format, part)?,
                }
            }
            // The last record of a batch is a piece of its own.
            let tally = self.tally(part);
            tally.keys.merge(piece.keys)?;
            tally.take_redacted(piece.redacted);
        }
        Ok(())
    }

    fn take_row(&mut self, row: &ParsedRow, record: &Record, part: Part) -> Result<(), IngestError> {
        self.tally(part).read += 1;
        let sequence = self.kept.add_row();
        let entry = Entry {
            offset: record.offset,
            sequence: Some(sequence),
            length: u32::try_from(record.range.len()).unwrap_or(u32::MAX),
            line: u32::try_from(record.line).unwrap_or(u32::MAX),
            file: (self.files.len() - 1) as u32,
            ..row.entry
        };
        let file = self.files.len() - 1;
        let (timestamp, shapes, range) = (Timestamp(entry.timestamp), row.shapes, row.range.clone());
        self.spill.push(&NewRow { timestamp, sequence, file, shapes, range });
        let folder = &self.places.decisions;
        self.ledger.push(entry, folder).map_err(|error| TableError::write(folder, error).into())
    }

    fn reject(
        &mut self,
        record: &Record,
        rejection: &Rejection,
        raw: &[u8],
        format: Option<&Format>,
        part: Part,
    ) -> Result<(), IngestError> {
        let tally = self.tally(part);
        tally.read += 1;
        *tally.rejected.entry(rejection.reason.code().to_owned()).or_default() += 1;
        let file = (self.files.len() - 1) as u32;
        let refused = Refused { file, format: format_name(format), line: record.line, offset: record.offset, rejection, raw };
        let redacted = self.rejected.put(&refused, self.settings.redact.as_ref(), &self.places.quarantine)?;
        self.tally(part).take_redacted(redacted);
        Ok(())
    }

    fn tally(&mut self, part: Part) -> &mut crate::state::Tally {
        let file = self.file();
        match part {
            Part::Head => &mut file.head,
            Part::Tail => &mut file.tail,
        }
    }

    /// Judges the whole, and writes the tables.
    fn finish(mut self, skipped: Vec<String>, words: &str) -> Result<IngestReport, IngestError> {
        let state = StatePlaces::of(&self.places.decisions);
        state.create()?;
        let remembered =
            self.earlier.as_ref().map(|(places, _)| Remembered { places: StatePlaces::of(&places.decisions), moved: &self.moved });
        let mut judgement = Judgement::of(&mut self.ledger, remembered.as_ref(), self.files.len(), &mut self.kept, &state.ledger)
            .map_err(|error| TableError::write(&state.ledger, error))?;
        let mut report = report_of(&self.files, &judgement, skipped, self.n_read);
        report.files_gone = self.moved.iter().filter(|moved| moved.is_none()).count() as u64;
        let totals = &report.totals;
        if totals.read == 0 {
            return Err(IngestError::NoRecords { n_files: report.files.len() });
        }
        if let Some(file) = report.files.iter().find(|file| !file.counts.adds_up()) {
            return Err(IngestError::RowsDoNotAddUp { detail: format!("`{}`: {:?}", file.path, file.counts) });
        }
        let conflicts = self.conflicts(&judgement)?;
        let names: Vec<&str> = report.files.iter().map(|file| file.path.as_str()).collect();
        let earlier_rejected = remembered.as_ref().map(|remembered| Earlier { rejected: &remembered.places.rejected, files: &self.moved });
        let rejected = std::mem::replace(&mut self.rejected, Rejected::new());
        write_quarantine(&self.places.quarantine, &names, earlier_rejected.as_ref(), rejected, conflicts, &state.rejected)?;
        let mut keys = Keys::default();
        for file in &self.files {
            keys.merge(file.head.keys.clone())?;
            keys.merge(file.tail.keys.clone())?;
        }
        let left_out = report.take_keys(&keys, self.settings.max_extras);
        let left_out_names: Vec<String> =
            keys.by_name().into_iter().filter(|(_, (digest, _))| left_out.contains(digest)).map(|(name, _)| name.to_owned()).collect();
        if self.earlier.as_ref().is_some_and(|(_, earlier)| earlier.left_out != left_out_names) {
            judgement.touch_all();
        }
        let totals = &report.totals;
        if totals.n_quarantined() as f64 > self.settings.max_rejected * totals.read as f64 {
            state.remove()?;
            return Err(IngestError::TooManyRejected {
                quarantined: totals.n_quarantined(),
                read: totals.read,
                max_rejected: self.settings.max_rejected,
                counts: totals.reasons(),
                report: Box::new(report),
            });
        }
        self.write_days(&judgement, &keys, &left_out, &state, &mut report)?;
        state.write(words, left_out_names, self.files, judgement.digest)?;
        Ok(report)
    }

    /// Reads the records that contradict others again, for the quarantine.
    fn conflicts(&self, judgement: &Judgement) -> Result<Rejected, IngestError> {
        let mut conflicts = Rejected::new();
        let rejection = Rejection::new(Reason::ConflictingDuplicate, "another record with this id was read before, with other content");
        for rows in judgement.conflicts.chunk_by(|a, b| a.file == b.file) {
            let file = rows[0].file as usize;
            let format = format_name(self.files[file].format.as_deref().and_then(format_named));
            let pieces: Vec<(u64, usize)> = rows.iter().map(|row| (row.offset, row.length as usize)).collect();
            read_pieces(&self.paths[file], &self.settings.matrix, &pieces, |position, raw| {
                let row = &rows[position];
                let refused =
                    Refused { file: row.file, format, line: u64::from(row.line), offset: row.offset, rejection: &rejection, raw: &raw };
                // What is taken out of a conflict was counted when its record was read.
                conflicts.put(&refused, self.settings.redact.as_ref(), &self.places.quarantine)?;
                Ok(())
            })?;
        }
        Ok(conflicts)
    }

    /// Writes the days that were touched, and links the others.
    fn write_days(
        &mut self,
        judgement: &Judgement,
        keys: &Keys,
        left_out: &HashSet<u64>,
        state: &StatePlaces,
        report: &mut IngestReport,
    ) -> Result<(), IngestError> {
        let wanted = judgement.rows_to_read_again(&state.ledger).map_err(|error| TableError::read(&state.ledger, error))?;
        for rows in wanted.chunk_by(|a, b| a.file == b.file) {
            self.read_again(rows)?;
        }
        self.spill.finish();
        let fingerprints: Vec<&str> = self.files.iter().map(|file| file.fingerprint.as_str()).collect();
        let writing = Writing {
            spill: &self.spill,
            shapes: &self.shapes,
            kept: &self.kept,
            keys,
            left_out,
            digests: &fingerprints,
            places: self.places,
            product_version: &self.settings.product_version,
        };
        let mut written = writing.write(&judgement.touched)?;
        for (day, n_rows) in &judgement.days {
            if let (false, Some((earlier, _))) = (judgement.touched.contains(day), &self.earlier) {
                written.n_layers += link_day(*day, earlier, self.places)?;
                written.days.insert(day_name(*day), *n_rows);
            }
        }
        let expected: BTreeMap<String, u64> = judgement.days.iter().map(|(day, n_rows)| (day_name(*day), *n_rows)).collect();
        if written.days != expected {
            return Err(IngestError::RowsDoNotAddUp { detail: format!("{expected:?} were kept, {:?} written", written.days) });
        }
        (report.first, report.last) = (judgement.first, judgement.last);
        report.n_layers = written.n_layers;
        report.days = written.days;
        report.days_written = judgement.touched.iter().filter(|day| judgement.days.contains_key(*day)).map(|day| day_name(*day)).collect();
        Ok(())
    }

    /// Reads rows of one file again that stand in days that are written again.
    fn read_again(&mut self, rows: &[Entry]) -> Result<(), IngestError> {
        let Some(first) = rows.first() else { return Ok(()) };
        let file = first.file as usize;
        let path = self.paths[file].clone();
        let format = self.files[file].format.as_deref().and_then(format_named);
        let changed = || IngestError::RowsDoNotAddUp { detail: format!("`{}` changed while it was read", path.display()) };
        self.kept.begin_file(file);
        for rows in rows.chunks(PIECE * 16) {
            let mut batch = Batch::default();
            let pieces: Vec<(u64, usize)> = rows.iter().map(|row| (row.offset, row.length as usize)).collect();
            read_pieces(&path, &self.settings.matrix, &pieces, |position, raw| {
                let start = batch.bytes.len();
                batch.bytes.extend_from_slice(&raw);
                let (line, offset) = (u64::from(rows[position].line), rows[position].offset);
                batch.records.push(Record { range: start..batch.bytes.len(), line, offset, fault: None, is_guess: false });
                Ok(())
            })?;
            let mut expected = rows.iter();
            // These records were taken once, so they need not be judged again.
            for piece in parse_batch(&batch, format, Rules::of(self.settings).with_schema(false)).into_iter().flatten() {
                self.shapes.merge(piece.shapes)?;
                let folder = &self.places.decisions;
                self.spill.begin_piece(piece.rows, folder).map_err(|error| TableError::write(folder, error))?;
                for (outcome, row) in piece.outcomes.into_iter().zip(&mut expected) {
                    let parsed = outcome.map_err(|_| changed())?;
                    let digests = |entry: &Entry| (entry.id, entry.decision, entry.outcome, entry.timestamp);
                    if digests(&parsed.entry) != digests(row) {
                        return Err(changed());
                    }
                    let (timestamp, sequence) = (Timestamp(row.timestamp), self.kept.add_row());
                    self.spill.push(&NewRow { timestamp, sequence, file, shapes: parsed.shapes, range: parsed.range });
                }
            }
        }
        Ok(())
    }
}

/// The part of a file that a record belongs to.
#[derive(Clone, Copy)]
enum Part {
    /// It stays as it is when the file grows.
    Head,
    /// It may change then.
    Tail,
}

fn format_name(format: Option<&Format>) -> &'static str {
    format.map_or("unknown", |format| format.name)
}

/// Offset and line of the first byte after the records so far.
fn reader_position<R: std::io::Read>(reader: &RecordReader<R>) -> (u64, u64) {
    let (line, offset) = reader.position();
    (offset, line)
}

/// The counts of every file, and of all.
fn report_of(files: &[FileState], judgement: &Judgement, skipped: Vec<String>, n_read: usize) -> IngestReport {
    let mut report = IngestReport { skipped, files_read: n_read as u64, ..IngestReport::default() };
    for (file, rows) in files.iter().zip(&judgement.files) {
        let mut counts = rows.clone();
        for tally in [&file.head, &file.tail] {
            counts.read += tally.read;
            for (name, count) in &tally.redacted {
                *report.redacted.entry(name.clone()).or_default() += count;
            }
            for (reason, count) in &tally.rejected {
                *counts.quarantined.entry(reason.clone()).or_default() += count;
            }
        }
        report.totals.add(&counts);
        report.files.push(FileReport {
            path: file.path.clone(),
            format: file.format.clone(),
            bytes: file.n_bytes,
            blake3: file.digest.clone(),
            fingerprint: file.fingerprint.clone(),
            counts,
        });
    }
    report
}
