//! Reads the files of an ingest: what is known of them is taken over, the rest goes from records to rows. While the rows of one batch are
//! parsed, the next batch is read, of the next file too, and days that are whole are written.

use std::collections::{BTreeSet, HashSet};
use std::io::{self, Read};

use routewright_domain::Timestamp;

use super::{Ingest, format_name};
use crate::error::{IngestError, TableError};
use crate::extras::Keys;
use crate::formats::{Format, format_named};
use crate::ledger::Entry;
use crate::pieces::{PIECE, ParsedRow, Piece, Rules, SNIFFED, sniff_batch};
use crate::quarantine::Refused;
use crate::reason::{Reason, Rejection};
use crate::records::{Batch, Record, RecordReader};
use crate::source::{OpenFile, Watch, open, open_at, read_pieces};
use crate::spill::NewRow;
use crate::state::{FileState, Stamp, Standing, Tally};
use crate::write::Written;

/// A file that is about to be read, and its first records.
struct Begun {
    state: FileState,
    file: FileTraits,
    reader: RecordReader<Box<dyn Read + Send>>,
    first: io::Result<Batch>,
}

/// What is known of an open file beside its records.
struct FileTraits {
    watch: Watch,
    stamp: Option<Stamp>,
    is_compressed: bool,
    is_wide: bool,
}

/// The next file that is read, if it was begun while the one before it was read.
type Ahead = Option<Result<Begun, IngestError>>;

impl Ingest<'_> {
    /// Reads all files. `progress` is told the bytes on disk that are done with.
    pub(super) fn read_all(&mut self, progress: &(dyn Fn(u64) + Sync)) -> Result<(), IngestError> {
        let mut ahead = None;
        for position in 0..self.paths.len() {
            match &self.standings[position] {
                Standing::Same(at) => self.take_over(position, *at)?,
                standing => {
                    if let Standing::Grown(at, _) = standing {
                        self.moved[*at] = Some((position as u32, self.known(*at).resume.0));
                    }
                    let mut begun = match ahead.take() {
                        Some(begun) => begun?,
                        None => self.begin(position, Vec::new())?,
                    };
                    if matches!(self.standings[position], Standing::New) {
                        begun.state.number = self.next_number;
                        self.next_number = self.next_number.saturating_add(1);
                    }
                    ahead = self.read_file(position, begun, progress)?;
                }
            }
            progress(self.bytes_done);
        }
        Ok(())
    }

    /// What an earlier ingest knew of a file.
    fn known(&self, at: usize) -> FileState {
        self.earlier.as_ref().and_then(|(_, state)| state.files.get(at)).cloned().unwrap_or_default()
    }

    /// Takes over what is known of a file that did not change.
    fn take_over(&mut self, position: usize, at: usize) -> Result<(), IngestError> {
        let path = &self.paths[position];
        let name = path.display().to_string();
        let mut known = self.known(at);
        if known.path != name || known.stamp.is_none() {
            known.stamp = open(path, &self.settings.matrix)?.stamp;
            known.path = name;
        }
        self.moved[at] = Some((position as u32, u64::MAX));
        self.bytes_done += known.n_bytes;
        self.files.push(known);
        Ok(())
    }

    /// Opens a file that is new or has grown, and reads the first records that are not known. `spare`: batches that are done with.
    fn begin(&self, position: usize, spare: Vec<Batch>) -> Result<Begun, IngestError> {
        let path = &self.paths[position];
        let (mut state, opened) = match &self.standings[position] {
            Standing::Grown(at, hasher) => {
                let known = self.known(*at);
                let opened = open_at(path, known.resume.0, (**hasher).clone(), known.n_bytes)?;
                let fingerprint = if known.resume.0 == 0 { String::new() } else { known.fingerprint };
                let FileState { number, format, resume, keeps_schema, head, .. } = known;
                (FileState { number, format, resume, keeps_schema, head, fingerprint, ..FileState::default() }, opened)
            }
            _ => (FileState { resume: (0, 1), ..FileState::default() }, open(path, &self.settings.matrix)?),
        };
        state.path = path.display().to_string();
        let file = FileTraits { watch: opened.watch(), stamp: opened.stamp, is_compressed: opened.is_compressed, is_wide: opened.is_wide };
        let OpenFile { text, .. } = opened;
        let mut reader = RecordReader::resume(text, self.settings.limits, state.resume).by_lines().with_spare(spare);
        let first = reader.next_batch();
        Ok(Begun { state, file, reader, first })
    }

    /// Begins the file that is read after one, if there is any.
    fn begin_after(&self, position: usize, spare: Vec<Batch>) -> Ahead {
        let is_read = |next: &usize| !matches!(self.standings[*next], Standing::Same(_));
        let next = (position + 1..self.paths.len()).find(is_read)?;
        Some(self.begin(next, spare))
    }

    /// The state of the file that is being read.
    fn file(&mut self) -> &mut FileState {
        let last = self.files.len() - 1;
        &mut self.files[last]
    }

    /// Reads a file to its end; gives the next one where it was begun.
    fn read_file(&mut self, position: usize, begun: Begun, progress: &(dyn Fn(u64) + Sync)) -> Result<Ahead, IngestError> {
        let path = self.paths[position].clone();
        let Begun { state, file: FileTraits { watch, stamp, is_compressed, is_wide }, mut reader, first: mut next } = begun;
        self.files.push(state);
        self.n_read += 1;
        self.kept.begin_file(self.files.len() - 1);
        let known = self.file().format.as_deref().and_then(format_named);
        let mut format = if is_wide { format_named("matrix") } else { self.forced.or(known) };
        let mut rules = Rules::of(self.settings);
        if let Some(keeps_schema) = self.file().keeps_schema {
            rules = rules.with_schema(keeps_schema);
        }
        // A format that was found in many records does not change when more are appended.
        let mut is_settled = format.is_some();
        let mut is_broken = false;
        let mut ahead = None;
        loop {
            let batch = match next {
                Ok(batch) if batch.records.is_empty() => {
                    reader.recycle(batch);
                    break;
                }
                Ok(batch) => batch,
                Err(error) => {
                    // An error of the disk ends the ingest here; any other is the decompressor's.
                    watch.finish(&path)?;
                    let (line, offset) = reader.position();
                    let record = Record { range: 0..0, line, offset, fault: None, is_guess: false };
                    self.reject(&record, &Rejection::new(Reason::DecompressionError, error.to_string()), &[], format, Part::Head)?;
                    is_broken = true;
                    break;
                }
            };
            if format.is_none() {
                let n_sniffed;
                (format, n_sniffed) = sniff_batch(&batch, &path)?;
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
            let days = self.days_that_are_whole();
            let (this, is_begun) = (&*self, ahead.is_some());
            let read_on = || {
                let following = reader.next_batch();
                let is_end = !is_begun && following.as_ref().is_ok_and(|batch| batch.records.is_empty());
                let ahead = if is_end { this.begin_after(position, reader.take_spare()) } else { None };
                (following, ahead)
            };
            let parse = || rayon::join(|| this.tasks.parse(&batch, format, rules), read_on);
            let (written, (pieces, (following, begun))) = rayon::join(|| this.write_early(&days), parse);
            ahead = ahead.or(begun);
            self.early.take(&days, written?, &self.kept, &mut self.spill);
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
        if let Some(Ok(begun)) = &mut ahead {
            // Its memory is the next file's.
            reader.take_spare().into_iter().for_each(|batch| begun.reader.recycle(batch));
        }
        let digest = watch.finish(&path)?;
        self.bytes_done += digest.n_bytes;
        let file = self.file();
        file.format = format.map(|format| format.name.to_owned());
        (file.n_bytes, file.digest, file.stamp) = (digest.n_bytes, digest.blake3, stamp);
        file.can_grow = is_settled && !is_compressed && !is_broken;
        Ok(ahead)
    }

    /// Days whose rows seem to be all there, ready to be written.
    fn days_that_are_whole(&mut self) -> Vec<i64> {
        let known = self.earlier.as_ref().map_or(&[][..], |(_, state)| &state.days);
        let days = self.early.choose(&self.spill, |day| known.binary_search_by_key(&day, |ledger| ledger.day).is_ok());
        self.spill.sort_days(&days);
        days
    }

    /// Writes days that seem to be whole.
    fn write_early(&self, days: &[i64]) -> Result<Vec<Written>, IngestError> {
        if days.is_empty() {
            return Ok(Vec::new());
        }
        let files: BTreeSet<usize> = days.iter().flat_map(|day| self.spill.traits(*day).files).collect();
        let mut keys = Keys::default();
        for file in files.into_iter().filter_map(|file| self.files.get(file)) {
            keys.merge(file.head.keys.clone())?;
            keys.merge(file.tail.keys.clone())?;
        }
        Ok(self.writing(&keys, &HashSet::new(), &self.fingerprints()).write_each(days)?)
    }

    /// Takes the records of a batch in the order of the file. The last record of a file may still change when the file grows: where it has
    /// no line break after it, or is no record.
    fn merge(&mut self, batch: &Batch, pieces: Vec<Piece>, format: Option<&Format>, is_last: bool) -> Result<(), IngestError> {
        let open_end = batch.records.last().filter(|record| {
            let is_open = !batch.bytes[record.range.end..].contains(&b'\n') || record.fault.is_some();
            is_last && is_open
        });
        let mut records = batch.records.iter();
        self.spill.begin_batch();
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

    fn tally(&mut self, part: Part) -> &mut Tally {
        let file = self.file();
        match part {
            Part::Head => &mut file.head,
            Part::Tail => &mut file.tail,
        }
    }

    /// Reads rows of one file again that stand in days that are written again.
    pub(super) fn read_again(&mut self, rows: &[Entry]) -> Result<(), IngestError> {
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
            for piece in self.tasks.parse(&batch, format, Rules::of(self.settings).with_schema(false)).into_iter().flatten() {
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

/// Offset and line of the first byte after the records so far.
fn reader_position<R: Read>(reader: &RecordReader<R>) -> (u64, u64) {
    let (line, offset) = reader.position();
    (offset, line)
}
