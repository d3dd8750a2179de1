//! Batches of records to rows, piece by piece on all threads: cleaned, checked, parsed, encoded.

use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bumpalo::Bump;
use rayon::prelude::*;

use crate::draft::{Draft, Extras, KnownVectors};
use crate::error::IngestError;
use crate::extras::Keys;
use crate::formats::{Format, Reading, sniff};
use crate::ingest::IngestSettings;
use crate::json::{Json, Parser};
use crate::ledger::Entry;
use crate::outline::Outlines;
use crate::reason::{Reason, Rejection};
use crate::records::{Batch, Record, RecordLimits};
use crate::redact::{Cleaner, RedactCounts, Redactor};
use crate::rows::encode;
use crate::shapes::Shapes;

/// Records that are looked at to find a file's format.
pub(crate) const SNIFFED: usize = 64;

/// Records that one task parses.
pub(crate) const PIECE: usize = 256;

/// What is done with every record before it is parsed.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Rules<'s> {
    redact: Option<&'s Redactor>,
    limits: RecordLimits,
    pub(crate) check_schema: bool,
}

impl<'s> Rules<'s> {
    /// What the settings want.
    pub(crate) fn of(settings: &'s IngestSettings) -> Self {
        Self { redact: settings.redact.as_ref(), limits: settings.limits.usable(), check_schema: settings.check_schema }
    }

    /// The rules of a file that begins with a batch: the schema is that of one kind of cascade, so it holds where most of the first records keep it.
    pub(crate) fn for_file(self, batch: &Batch, format: Option<&Format>) -> Self {
        let Some(schema) = format.and_then(|format| format.schema).filter(|_| self.check_schema) else { return self };
        let arena = Bump::new();
        let records = first_records(batch, &arena);
        let n_kept = records.iter().filter(|record| schema.check(record).is_ok()).count();
        self.with_schema(2 * n_kept > records.len())
    }

    /// With or without the schema.
    pub(crate) fn with_schema(self, check_schema: bool) -> Self {
        Self { check_schema, ..self }
    }
}

/// A record that can become a decision, encoded.
#[derive(Debug)]
pub(crate) struct ParsedRow {
    /// Its bytes in [`Piece::rows`].
    pub(crate) range: Range<usize>,
    /// Digests of its shapes: of the further scalars known at the decision, and of the outcome's.
    pub(crate) shapes: [u64; 2],
    /// Its digests; its place in the file is the record's.
    pub(crate) entry: Entry,
}

/// What one task made of its records.
#[derive(Default)]
pub(crate) struct Piece {
    pub(crate) rows: Vec<u8>,
    pub(crate) outcomes: Vec<Result<ParsedRow, Rejection>>,
    pub(crate) keys: Keys,
    pub(crate) shapes: Shapes,
    pub(crate) redacted: RedactCounts,
}
/// The format that the first records of a batch show, and how many were looked at.
///
/// # Errors
/// [`IngestError::AmbiguousFormat`] when several formats claim them. `path`: the file they are of.
pub(crate) fn sniff_batch(batch: &Batch, path: &Path) -> Result<(Option<&'static Format>, usize), IngestError> {
    let arena = Bump::new();
    let records = first_records(batch, &arena);
    match sniff(&records) {
        Ok(format) => Ok((format, records.len())),
        Err(formats) => Err(IngestError::AmbiguousFormat { path: path.to_owned(), formats: formats.join(", ") }),
    }
}

/// The first objects of a batch.
fn first_records<'a>(batch: &'a Batch, arena: &'a Bump) -> Vec<Json<'a>> {
    let texts = batch
        .records
        .iter()
        .filter(|record| record.fault.is_none())
        .filter_map(|record| std::str::from_utf8(&batch.bytes[record.range.clone()]).ok());
    texts.filter_map(|text| Json::parse(text, arena).ok()).filter(|json| matches!(json, Json::Object(_))).take(SNIFFED).collect()
}

/// Parses the batches of files one after the other: what was learned of a format's records serves the next ones.
#[derive(Default)]
pub(crate) struct Tasks<'s> {
    idle: Mutex<Vec<Task<'s>>>,
}

impl<'s> Tasks<'s> {
    /// Parses a batch with all threads; the pieces are in the order of the records, the last record is one of its own. Nothing where a line
    /// was guessed to be a record and is none.
    pub(crate) fn parse(&self, batch: &Batch, format: Option<&'static Format>, rules: Rules<'s>) -> Option<Vec<Piece>> {
        let last = batch.records.len().saturating_sub(1);
        let starts: Vec<usize> = (0..last).step_by(PIECE).chain([last]).collect();
        let ends = starts[1..].iter().copied().chain([batch.records.len()]);
        let pieces: Vec<_> = starts.iter().copied().zip(ends).collect();
        let parse = |(start, end)| {
            let mut task = self.idle_one(format, rules);
            let piece = task.parse_piece(batch, start..end);
            self.idle().push(task);
            piece
        };
        pieces.into_par_iter().map(parse).collect()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Task<'s>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A task for a format; those of another one are dropped.
    fn idle_one(&self, format: Option<&'static Format>, rules: Rules<'s>) -> Task<'s> {
        let idle = self.idle().pop();
        idle.filter(|task| task.is_for(format, rules)).unwrap_or_else(|| Task::new(format, rules))
    }
}

/// Why a record became no row, and whether it was JSON at least.
struct Refused {
    rejection: Rejection,
    is_json: bool,
}

/// What one task keeps from record to record, and from piece to piece.
struct Task<'s> {
    format: Option<&'static Format>,
    rules: Rules<'s>,
    cleaner: Cleaner<'s>,
    /// What the records so far look like.
    outlines: Outlines,
    /// Memory of one record's values.
    arena: Bump,
    /// Memory and keys of further scalars.
    extras: Extras,
    vectors: KnownVectors,
    /// Rows of the piece at hand.
    rows: Vec<u8>,
}

impl<'s> Task<'s> {
    fn new(format: Option<&'static Format>, rules: Rules<'s>) -> Self {
        Self {
            format,
            rules,
            cleaner: Cleaner::new(rules.redact),
            outlines: Outlines::default(),
            arena: Bump::new(),
            extras: Extras::default(),
            vectors: KnownVectors::default(),
            rows: Vec::new(),
        }
    }

    fn is_for(&self, format: Option<&Format>, rules: Rules<'s>) -> bool {
        let name = |format: Option<&Format>| format.map(|format| format.name);
        (name(self.format), self.rules) == (name(format), rules)
    }

    /// Parses some records; nothing where one was guessed to be a record and is none.
    fn parse_piece(&mut self, batch: &Batch, positions: Range<usize>) -> Option<Piece> {
        let mut redacted = RedactCounts::new();
        self.rows.clear();
        self.outlines.begin_piece();
        let parse = |position: usize| {
            let record = &batch.records[position];
            let bytes = &batch.bytes[record.range.clone()];
            let row = match self.parse(record, bytes) {
                Err(Refused { rejection, is_json: false }) if record.is_guess => {
                    let fault = batch.counted(position, self.rules.limits)?.fault;
                    Err(fault.map_or(rejection, |reason| self::fault(reason, bytes)))
                }
                row => row.map_err(|refused| refused.rejection),
            };
            self.arena.reset();
            let of_record = self.cleaner.end_record();
            // What is rejected is counted when the quarantine cleans it.
            if row.is_ok() {
                of_record.into_iter().for_each(|(name, count)| *redacted.entry(name).or_default() += count);
            }
            Some(row)
        };
        let outcomes = positions.map(parse).collect::<Option<_>>()?;
        let (keys, shapes) = self.extras.take_seen();
        // A copy of the size it takes: the memory that rows are written to is the next piece's.
        Some(Piece { rows: self.rows.as_slice().to_vec(), outcomes, keys, shapes, redacted })
    }

    /// Appends the row of a record.
    fn parse(&mut self, record: &Record, bytes: &[u8]) -> Result<ParsedRow, Refused> {
        let no_json = |rejection| Refused { rejection, is_json: false };
        if let Some(reason) = record.fault {
            return Err(no_json(fault(reason, bytes)));
        }
        let text = text_of(bytes).map_err(no_json)?;
        if let Some(row) = self.parse_known(text) {
            return Ok(row);
        }
        // What was taken out on the way is taken out again.
        self.cleaner.end_record();
        let json = Json::parse_with(text, &self.arena, self.rules.limits.max_depth, &mut self.cleaner).map_err(no_json)?;
        let Some(format) = self.format else {
            return Err(Refused { rejection: no_format(&json), is_json: true });
        };
        let schema = format.schema.filter(|_| self.rules.check_schema);
        let mut reading = Reading::with(std::mem::take(&mut self.extras));
        let read = schema.map_or(Ok(()), |schema| schema.check(&json)).and_then(|()| format.read(&json, &mut reading));
        let row = read.map(|()| append(&mut reading.draft, &mut self.vectors, &mut self.rows));
        self.extras = reading.draft.extras;
        if row.is_ok() && self.outlines.are_worth_it() {
            self.outlines.learn(text, format, schema, &mut self.cleaner);
        }
        row.map_err(|rejection| Refused { rejection, is_json: true })
    }

    /// Appends the row of a record with a known outline.
    fn parse_known(&mut self, text: &str) -> Option<ParsedRow> {
        let format = self.format.filter(|_| self.outlines.are_worth_it())?;
        let mut parser = Parser::new(text, &self.arena, self.rules.limits.max_depth, &mut self.cleaner);
        let mut reading = Reading::with(std::mem::take(&mut self.extras));
        let read = self.outlines.read(&mut parser, &mut reading).filter(|()| (format.finish)(&mut reading).is_ok());
        let row = read.map(|()| append(&mut reading.draft, &mut self.vectors, &mut self.rows));
        self.extras = reading.draft.extras;
        row
    }
}

/// Why a record of a file without a format is none.
fn no_format(json: &Json<'_>) -> Rejection {
    match json {
        Json::Object(_) => Rejection::new(Reason::UnknownFormat, "no known format has records like the first ones of this file"),
        other => Rejection::new(Reason::NotAnObject, format!("a record must be an object, found {}", other.kind())),
    }
}

/// Bytes as text.
fn text_of(bytes: &[u8]) -> Result<&str, Rejection> {
    simdutf8::basic::from_utf8(bytes).or_else(|_| std::str::from_utf8(bytes).map_err(|error| fault_of_bytes(bytes, &error)))
}

fn append(draft: &mut Draft<'_>, vectors: &mut KnownVectors, rows: &mut Vec<u8>) -> ParsedRow {
    draft.extras.settle();
    let start = rows.len();
    let shape = encode(draft, vectors, rows);
    let shapes = [true, false].map(|at_decision| draft.extras.shape(at_decision));
    ParsedRow { range: start..rows.len(), shapes, entry: Entry::of(&rows[start..], shape, draft) }
}

/// A fault that the reader saw; bytes that explain it better come first.
fn fault(reason: Reason, bytes: &[u8]) -> Rejection {
    match (reason, std::str::from_utf8(bytes)) {
        (Reason::NotJson, _) if bytes.contains(&0) => Rejection::new(Reason::NulBytes, "the text holds zero bytes"),
        (Reason::NotJson, Err(error)) => fault_of_bytes(bytes, &error),
        (Reason::NotJson, Ok(text)) => match Json::parse(text, &Bump::new()) {
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What becomes of some records: rows, digests and counts, as text; and whether the first one has an outline that is known then.
    fn parsed(mut task: Task<'_>, texts: &[String]) -> (Vec<String>, bool) {
        let record = Record { range: 0..0, offset: 0, line: 1, fault: None, is_guess: false };
        let mut outcomes = Vec::new();
        for text in texts {
            task.rows.clear();
            let row = task.parse(&record, text.as_bytes()).map_err(|refused| refused.rejection);
            outcomes.push(format!("{row:?} {:?} {:?}", task.rows, task.cleaner.end_record()));
            task.arena.reset();
        }
        let (keys, shapes) = task.extras.take_seen();
        // Keys that no row has are those of records that were given up.
        let counted = keys.by_name().into_iter().filter(|(_, (_, key))| key.ignored > 0 || key.kinds != [0; 4]);
        outcomes.push(format!("{:?} {shapes:?}", counted.collect::<Vec<_>>()));
        let is_known = texts.first().is_some_and(|text| task.parse_known(text).is_some());
        (outcomes, is_known)
    }

    fn rules(redact: Option<&Redactor>, check_schema: bool) -> Rules<'_> {
        Rules { redact, limits: RecordLimits::default().usable(), check_schema }
    }

    /// What becomes of records, and whether the first one's outline is known then.
    pub(crate) fn parsed_by_outline(
        texts: &[String],
        format: &'static Format,
        redact: Option<&Redactor>,
        check_schema: bool,
    ) -> (Vec<String>, bool) {
        parsed(Task::new(Some(format), rules(redact, check_schema)), texts)
    }

    /// What becomes of records that are read key by key.
    pub(crate) fn parsed_by_key(texts: &[String], format: &'static Format, redact: Option<&Redactor>, check_schema: bool) -> Vec<String> {
        let task = Task { outlines: Outlines::worthless(), ..Task::new(Some(format), rules(redact, check_schema)) };
        parsed(task, texts).0
    }

    #[test]
    fn a_part_of_a_log_that_is_like_nothing_else_does_not_slow_the_rest() {
        use crate::formats::{format_named, samples};

        let mut task = Task::new(format_named("e009"), rules(None, true));
        let record = Record { range: 0..0, offset: 0, line: 1, fault: None, is_guess: false };
        // More outlines than are remembered, and more records without a known one than are waited for.
        for number in 0..500 {
            let text = samples::E009.replace("trace_id", &format!("key_{number}\":{number},\"trace_id"));
            task.outlines.begin_piece();
            assert!(task.parse_known(&text).is_none() && task.parse(&record, text.as_bytes()).is_ok(), "{number}");
        }
        (0..100).for_each(|_| assert!(task.parse_known("{}").is_none()));
        assert!(!task.outlines.are_worth_it());
        task.outlines.begin_piece();
        assert!(task.parse(&record, samples::E009.as_bytes()).is_ok());
        assert!(task.parse_known(samples::E009).is_some());
    }
}
