//! Batches of records to rows, piece by piece on all threads: cleaned, checked, parsed, encoded.

use std::borrow::Cow;
use std::path::Path;

use rayon::prelude::*;

use crate::draft::{Draft, Extras};
use crate::error::IngestError;
use crate::extras::Keys;
use crate::formats::{Format, sniff};
use crate::ingest::IngestSettings;
use crate::json::Json;
use crate::ledger::Entry;
use crate::reason::{Reason, Rejection};
use crate::records::{Batch, Record};
use crate::redact::{RedactCounts, Redactor};
use crate::rows::encode;

/// Records that are looked at to find a file's format.
pub(crate) const SNIFFED: usize = 64;

/// Records that one task parses.
pub(crate) const PIECE: usize = 256;

/// What is done with every record before it is parsed.
#[derive(Clone, Copy)]
pub(crate) struct Rules<'s> {
    redact: Option<&'s Redactor>,
    pub(crate) check_schema: bool,
}

impl<'s> Rules<'s> {
    /// What the settings want.
    pub(crate) fn of(settings: &'s IngestSettings) -> Self {
        Self { redact: settings.redact.as_ref(), check_schema: settings.check_schema }
    }

    /// The rules of a file that begins with a batch: the schema is that of one kind of cascade, so it holds where most of the first records keep it.
    pub(crate) fn for_file(self, batch: &Batch, format: Option<&Format>) -> Self {
        let Some(check) = format.and_then(|format| format.check).filter(|_| self.check_schema) else { return self };
        let records = first_records(batch);
        let n_kept = records.iter().filter(|record| check(record).is_ok()).count();
        self.with_schema(2 * n_kept > records.len())
    }

    /// With or without the schema.
    pub(crate) fn with_schema(self, check_schema: bool) -> Self {
        Self { check_schema, ..self }
    }
}

/// A record that can become a decision, encoded.
pub(crate) struct ParsedRow {
    /// Its bytes in [`Piece::rows`].
    pub(crate) range: std::ops::Range<usize>,
    /// Its digests; its place in the file is the record's.
    pub(crate) entry: Entry,
}

/// What one task made of its records.
#[derive(Default)]
pub(crate) struct Piece {
    pub(crate) rows: Vec<u8>,
    pub(crate) outcomes: Vec<Result<ParsedRow, Rejection>>,
    pub(crate) keys: Keys,
    pub(crate) redacted: RedactCounts,
}
/// The format that the first records of a batch show, and how many were looked at.
///
/// # Errors
/// [`IngestError::AmbiguousFormat`] when several formats claim them. `path`: the file they are of.
pub(crate) fn sniff_batch(batch: &Batch, path: &Path) -> Result<(Option<&'static Format>, usize), IngestError> {
    let records = first_records(batch);
    match sniff(&records) {
        Ok(format) => Ok((format, records.len())),
        Err(formats) => Err(IngestError::AmbiguousFormat { path: path.to_owned(), formats: formats.join(", ") }),
    }
}

/// The first objects of a batch.
fn first_records(batch: &Batch) -> Vec<Json<'_>> {
    let texts = batch
        .records
        .iter()
        .filter(|record| record.fault.is_none())
        .filter_map(|record| std::str::from_utf8(&batch.bytes[record.range.clone()]).ok());
    texts.filter_map(|text| Json::parse(text).ok()).filter(|json| matches!(json, Json::Object(_))).take(SNIFFED).collect()
}

/// Parses a batch with all threads; the pieces are in the order of the records, the last record is one of its own.
pub(crate) fn parse_batch(batch: &Batch, format: Option<&'static Format>, rules: Rules<'_>) -> Vec<Piece> {
    let (last, records) = batch.records.split_last().map_or((&[][..], &[][..]), |(last, records)| (std::slice::from_ref(last), records));
    let parse = |records: &[Record]| parse_piece(records, &batch.bytes, format, rules);
    records.par_chunks(PIECE).chain(last.par_chunks(1)).map(parse).collect()
}

fn parse_piece(records: &[Record], bytes: &[u8], format: Option<&'static Format>, rules: Rules<'_>) -> Piece {
    let mut extras = Extras::default();
    let mut redacted = RedactCounts::new();
    let mut rows = Vec::with_capacity(records.iter().map(|record| record.range.len()).sum::<usize>() / 2);
    let parse = |record: &Record| {
        // What is rejected is counted when the quarantine cleans it.
        let mut of_record = RedactCounts::new();
        let row = parse_record(record, &bytes[record.range.clone()], format, rules, &mut of_record, &mut extras, &mut rows)?;
        of_record.into_iter().for_each(|(name, count)| *redacted.entry(name).or_default() += count);
        Ok(row)
    };
    let outcomes = records.iter().map(parse).collect();
    rows.shrink_to_fit();
    Piece { rows, outcomes, keys: extras.keys, redacted }
}

/// Appends the row of a record; `redacted`: counts what was taken out, `extras`: memory and keys for its further scalars.
fn parse_record(
    record: &Record,
    bytes: &[u8],
    format: Option<&Format>,
    rules: Rules<'_>,
    redacted: &mut RedactCounts,
    extras: &mut Extras,
    rows: &mut Vec<u8>,
) -> Result<ParsedRow, Rejection> {
    if let Some(reason) = record.fault {
        return Err(fault(reason, bytes));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| fault_of_bytes(bytes, &error))?;
    let text = rules.redact.map_or(Cow::Borrowed(text), |redact| redact.record(text, redacted));
    let json = Json::parse(&text)?;
    let Some(format) = format else {
        return Err(match json {
            Json::Object(_) => Rejection::new(Reason::UnknownFormat, "no known format has records like the first ones of this file"),
            other => Rejection::new(Reason::NotAnObject, format!("a record must be an object, found {}", other.kind())),
        });
    };
    if let (true, Some(check)) = (rules.check_schema, format.check) {
        check(&json)?;
    }
    let mut draft = Draft::with(std::mem::take(extras));
    let row = (format.parse)(&json, &mut draft).map(|()| append(&mut draft, rows));
    *extras = draft.extras;
    row
}

fn append(draft: &mut Draft<'_>, rows: &mut Vec<u8>) -> ParsedRow {
    draft.extras.settle();
    let start = rows.len();
    let shape = encode(draft, rows);
    ParsedRow { range: start..rows.len(), entry: Entry::of(&rows[start..], shape, draft) }
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
