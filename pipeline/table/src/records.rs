//! Cuts a stream of bytes into records: one JSON value each, on one line, over several, or several on one line.
//!
//! A record ends where its outermost bracket closes, so line breaks inside it do not matter. What cannot be such a record is cut out as
//! a fault and reading goes on at the next line that begins with `{`, so one torn line costs one record and not the rest of the file:
//! a line break inside a string, or a value that follows a value without a comma, shows that the line before was torn.
//!
//! Most logs have one record on every line, so counting brackets is mostly waste: a reader may guess that a line from `{` to `}` is a
//! record. A text that parses as one object is what counting brackets would have cut out; one that does not is cut again by counting.

use std::io::{self, Read};
use std::ops::Range;

use memchr::{memchr, memchr3};

use crate::reason::Reason;

/// Limits that keep one bad record from taking the memory of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLimits {
    /// Largest record, in bytes.
    pub max_record_bytes: usize,
    /// Deepest nesting of objects and lists; at most 120, which the parser allows.
    pub max_depth: usize,
}

impl Default for RecordLimits {
    fn default() -> Self {
        Self { max_record_bytes: 16 << 20, max_depth: 64 }
    }
}

impl RecordLimits {
    /// The nearest limits that can be kept.
    pub(crate) fn usable(self) -> Self {
        Self { max_depth: self.max_depth.min(120), max_record_bytes: self.max_record_bytes.max(2) }
    }
}

/// One record of a [`Batch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its bytes in [`Batch::bytes`]; only the first of them where the record is over the size limit.
    pub range: Range<usize>,
    /// Its first line in the file, from 1.
    pub line: u64,
    /// Its first byte in the (decompressed) file, from 0.
    pub offset: u64,
    /// Why it cannot be a record, where its bytes already say so.
    pub fault: Option<Reason>,
    /// Whether only the ends of its line were looked at: what of it does not parse must be asked of [`Batch::counted`].
    pub(crate) is_guess: bool,
}

/// Records with the bytes they stand in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Bytes that the records point into.
    pub bytes: Vec<u8>,
    /// The records, in the order of the file.
    pub records: Vec<Record>,
    /// Where the reader was before.
    start: Position,
}

/// Where a reader is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    line: u64,
    offset: u64,
    /// Inside a record over the size limit: everything up to the next line break is dropped.
    skipping: bool,
}

impl Batch {
    /// A guessed record as counting its brackets cuts it: with its fault, if it has one. Nothing where the guess was wrong.
    pub(crate) fn counted(&self, position: usize, limits: RecordLimits) -> Option<Record> {
        let guess = self.records.get(position)?;
        let next = self.records.get(position + 1).map_or(self.bytes.len(), |record| record.range.start);
        let start = Position { line: guess.line, ..self.start };
        let mut cutter = Cutter { at: guess.range.start, ..Cutter::new(&self.bytes, limits, start, None) };
        cutter.cut_one();
        let is_same = |record: &Record| record.range == guess.range && cutter.at <= next && !cutter.position.skipping;
        cutter.records.first().filter(|record| is_same(record)).cloned()
    }
}

/// Reads records from a stream, with memory for one batch and one record.
pub struct RecordReader<R> {
    source: R,
    limits: RecordLimits,
    batch_bytes: usize,
    /// Bytes that belong to no batch yet.
    rest: Vec<u8>,
    /// Of the first of them.
    position: Position,
    /// Offset from which on lines may be guessed to be records; none: never.
    guess_from: Option<u64>,
    /// Batches that were guessed wrong.
    n_wrong: u32,
    ended: bool,
    failure: Option<io::Error>,
    /// Batches that are done with, whose memory the next ones take.
    spare: Vec<Batch>,
}

/// Batches that are kept for their memory: one that is parsed and one that is read.
const MAX_SPARE: usize = 2;

/// Bytes that are asked of a stream at once.
const READ_BYTES: usize = 256 << 10;

/// Batches that may be guessed wrong before nothing is guessed any more.
const MAX_WRONG: u32 = 3;

/// Bytes of a record over the size limit that are kept to show it.
const SHOWN: usize = 64 << 10;

/// Bytes of a batch: enough to keep all threads busy, so few that they are still in the cache when they are parsed, and that the first batch
/// of a file, which nothing is done beside, is soon there.
const BATCH_BYTES: usize = 4 << 20;

impl<R: Read> RecordReader<R> {
    /// Reads from the start of a file.
    pub fn new(source: R, limits: RecordLimits) -> Self {
        Self::with_batches(source, limits, BATCH_BYTES)
    }

    /// Reads from a record on that begins at an offset, on a line.
    pub(crate) fn resume(source: R, limits: RecordLimits, (offset, line): (u64, u64)) -> Self {
        Self { position: Position { line, offset, skipping: false }, ..Self::new(source, limits) }
    }

    /// Guesses lines to be records. Who reads them gives batches back that were guessed wrong.
    pub(crate) fn by_lines(self) -> Self {
        Self { guess_from: Some(0), ..self }
    }

    /// Takes batches that are done with, for their memory.
    pub(crate) fn with_spare(self, spare: Vec<Batch>) -> Self {
        Self { spare, ..self }
    }

    /// Takes a batch that is done with, for its memory.
    pub(crate) fn recycle(&mut self, batch: Batch) {
        if self.spare.len() < MAX_SPARE {
            self.spare.push(batch);
        }
    }

    /// Gives the batches that are done with to the next reader.
    pub(crate) fn take_spare(&mut self) -> Vec<Batch> {
        std::mem::take(&mut self.spare)
    }

    /// Takes the last two batches back, of which the first was guessed wrong: it comes again, cut with care.
    pub(crate) fn give_back(&mut self, wrong: Batch, next: io::Result<Batch>) {
        let mut bytes = wrong.bytes;
        self.n_wrong += 1;
        self.guess_from = self.guess_from.filter(|_| self.n_wrong <= MAX_WRONG).map(|_| wrong.start.offset + bytes.len() as u64);
        match next {
            Ok(next) => {
                // What was dropped between the two is no part of a record.
                let n_lines = next.start.line.saturating_sub(wrong.start.line + n_line_breaks(&bytes)) as usize;
                let n_dropped = next.start.offset.saturating_sub(wrong.start.offset + bytes.len() as u64) as usize;
                bytes.extend((0..n_dropped).map(|at| if at + n_lines < n_dropped { b' ' } else { b'\n' }));
                bytes.extend_from_slice(&next.bytes);
            }
            Err(error) => self.failure = Some(error),
        }
        bytes.append(&mut self.rest);
        self.rest = bytes;
        self.position = wrong.start;
    }

    /// Reads in batches of about a number of bytes.
    pub(crate) fn with_batches(source: R, limits: RecordLimits, batch_bytes: usize) -> Self {
        let limits = limits.usable();
        Self {
            source,
            limits,
            batch_bytes: batch_bytes.max(1),
            rest: Vec::new(),
            position: Position { line: 1, ..Position::default() },
            guess_from: None,
            n_wrong: 0,
            ended: false,
            failure: None,
            spare: Vec::new(),
        }
    }

    /// The next records; an empty batch at the end of the file.
    ///
    /// # Errors
    /// The stream's own error, after the records that stand before it.
    pub fn next_batch(&mut self) -> io::Result<Batch> {
        let Batch { mut bytes, mut records, .. } = self.spare.pop().unwrap_or_default();
        // What it holds is written over: bytes that come anew are zeroed first.
        let mut n_held = self.rest.len();
        bytes.resize(bytes.len().max(n_held), 0);
        bytes[..n_held].copy_from_slice(&self.rest);
        self.rest.clear();
        let mut wanted = self.batch_bytes.max(n_held);
        let mut start = self.position;
        loop {
            self.fill(&mut bytes, n_held, wanted);
            records.clear();
            let mut cutter = Cutter { ended: self.ended, records, ..Cutter::new(&bytes, self.limits, start, self.guess_from) };
            cutter.cut();
            let at;
            (at, records) = (cutter.at, cutter.records);
            self.position = Position { offset: start.offset + at as u64, ..cutter.position };
            if records.is_empty() && !self.ended {
                // No record ends in these bytes: drop what is done with, and read on.
                // Blanks are kept for who gives a batch back, as long as they are few.
                let is_kept = self.guess_from.is_some() && !self.position.skipping && at <= self.limits.max_record_bytes;
                if is_kept {
                    self.position = start;
                } else {
                    start = self.position;
                    bytes.drain(..at);
                }
                n_held = bytes.len();
                wanted = n_held + self.batch_bytes;
                continue;
            }
            if records.is_empty()
                && let Some(error) = self.failure.take()
            {
                return Err(error);
            }
            self.rest.extend_from_slice(&bytes[at..]);
            bytes.truncate(at);
            let batch = Batch { bytes, records, start };
            // The first records show what a file is, so they are no guesses.
            let is_first = start.offset == 0 && self.n_wrong == 0;
            if is_first && (0..batch.records.len().min(CHECKED)).any(|guess| batch.counted(guess, self.limits).is_none()) {
                self.give_back(batch, Ok(Batch::default()));
                return self.next_batch();
            }
            return Ok(batch);
        }
    }

    /// Line and offset of the first byte that belongs to no batch yet.
    pub fn position(&self) -> (u64, u64) {
        (self.position.line, self.position.offset)
    }

    /// Reads until there are so many bytes, or the stream ends. `filled`: bytes that are there; what is behind them is nothing.
    fn fill(&mut self, bytes: &mut Vec<u8>, mut filled: usize, wanted: usize) {
        bytes.reserve_exact(wanted.saturating_sub(bytes.len()));
        while filled < wanted && !self.ended {
            let end = wanted.min(filled + READ_BYTES);
            bytes.resize(end.max(bytes.len()), 0);
            match self.source.read(&mut bytes[filled..end]) {
                Ok(n_read) => {
                    filled += n_read;
                    self.ended = n_read == 0;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    self.failure = Some(error);
                }
            }
        }
        bytes.truncate(filled);
    }
}

/// How the bytes at a position begin.
enum Cut {
    /// A value that ends here.
    Complete(usize),
    /// No record: the reason, and where its first line was found to be broken.
    Broken(Reason),
    /// The bytes end inside it.
    Open,
}

struct Cutter<'a> {
    bytes: &'a [u8],
    limits: RecordLimits,
    ended: bool,
    at: usize,
    /// Of the bytes' start; the line is that of `at`.
    position: Position,
    guess_from: Option<u64>,
    records: Vec<Record>,
}

/// Records at the start of a file that are not only guessed.
const CHECKED: usize = 256;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl<'a> Cutter<'a> {
    fn new(bytes: &'a [u8], limits: RecordLimits, position: Position, guess_from: Option<u64>) -> Self {
        Self { bytes, limits, ended: false, at: 0, position, guess_from, records: Vec::new() }
    }

    /// Cuts until the bytes end, or end inside a record.
    fn cut(&mut self) {
        while self.cut_one() {}
    }

    /// Cuts one record; whether to go on.
    fn cut_one(&mut self) -> bool {
        if self.position.skipping && !self.skip_line() {
            return false;
        }
        self.skip_blanks();
        let Some(&first) = self.bytes.get(self.at) else { return false };
        if first == b'{' && self.guess_from.is_some_and(|from| self.position.offset + self.at as u64 >= from) && self.guess_line() {
            return true;
        }
        let cut = if matches!(first, b'{' | b'[') { self.value_end() } else { self.word_end() };
        match cut {
            Cut::Complete(end) => self.emit(end, None),
            Cut::Broken(reason) => self.cut_out(reason),
            Cut::Open if self.bytes.len() - self.at > self.limits.max_record_bytes => self.cut_out(Reason::RecordTooLarge),
            Cut::Open if self.ended => self.cut_out(Reason::TruncatedLine),
            Cut::Open => false,
        }
    }

    /// Takes the rest of the line where it ends as an object does; whether it did.
    fn guess_line(&mut self) -> bool {
        let Some(length) = memchr(b'\n', &self.bytes[self.at..]) else { return false };
        let line = self.bytes[self.at..self.at + length].trim_ascii_end();
        if length > self.limits.max_record_bytes || line.last() != Some(&b'}') {
            return false;
        }
        let record = Record {
            range: self.at..self.at + line.len(),
            line: self.position.line,
            offset: self.position.offset + self.at as u64,
            fault: None,
            is_guess: true,
        };
        self.records.push(record);
        self.at += length;
        true
    }

    /// Drops bytes up to a line break; whether there was one.
    fn skip_line(&mut self) -> bool {
        match memchr(b'\n', &self.bytes[self.at..]) {
            Some(length) => {
                self.at += length;
                self.position.skipping = false;
                true
            }
            None => {
                self.at = self.bytes.len();
                false
            }
        }
    }

    /// Passes white space, line breaks and byte order marks.
    fn skip_blanks(&mut self) {
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'\n' => {
                    self.position.line += 1;
                    self.at += 1;
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                0xef if self.bytes[self.at..].starts_with(BYTE_ORDER_MARK) => self.at += BYTE_ORDER_MARK.len(),
                _ => return,
            }
        }
    }

    /// The end of a text that begins with no bracket: the end of its line.
    fn word_end(&self) -> Cut {
        match memchr(b'\n', &self.bytes[self.at..]) {
            Some(length) if length > self.limits.max_record_bytes => Cut::Broken(Reason::RecordTooLarge),
            Some(length) => Cut::Complete(self.at + length),
            None if self.ended && self.bytes.len() - self.at <= self.limits.max_record_bytes => Cut::Complete(self.bytes.len()),
            None => Cut::Open,
        }
    }

    /// The end of an object or list: where as many brackets are closed as were opened.
    fn value_end(&self) -> Cut {
        let limit = self.bytes.len().min(self.at.saturating_add(self.limits.max_record_bytes));
        let bytes = &self.bytes[..limit];
        let mut depth = 0_usize;
        let mut before = b'[';
        let mut at = self.at;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'"' => {
                    if !begins_value(before) {
                        return Cut::Broken(Reason::NotJson);
                    }
                    match string_end(bytes, at + 1) {
                        StringEnd::Quote(end) => at = end,
                        StringEnd::LineBreak => return Cut::Broken(Reason::NotJson),
                        StringEnd::Open => break,
                    }
                    before = b'"';
                }
                b'{' | b'[' => {
                    if !begins_value(before) {
                        return Cut::Broken(Reason::NotJson);
                    }
                    depth += 1;
                    if depth > self.limits.max_depth {
                        return Cut::Broken(Reason::NestingTooDeep);
                    }
                    before = byte;
                }
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        return Cut::Complete(at + 1);
                    }
                    before = byte;
                }
                b' ' | b'\n' | b'\r' | b'\t' => {}
                _ => before = byte,
            }
            at += 1;
        }
        if limit < self.bytes.len() { Cut::Broken(Reason::RecordTooLarge) } else { Cut::Open }
    }

    /// Takes the bytes up to `end` as a record; always goes on.
    fn emit(&mut self, end: usize, fault: Option<Reason>) -> bool {
        let start = self.at;
        let mut text_end = end;
        while text_end > start && matches!(self.bytes[text_end - 1], b'\r' | b' ' | b'\t' | b'\n') {
            text_end -= 1;
        }
        let (line, offset) = (self.position.line, self.position.offset + start as u64);
        self.records.push(Record { range: start..text_end, line, offset, fault, is_guess: false });
        self.position.line += n_line_breaks(&self.bytes[start..end]);
        self.at = end;
        true
    }

    /// Takes what cannot be a record: up to the next line that begins with `{`, or the first bytes of a line over the size limit.
    /// Whether to go on; not where the bytes end before that is known.
    fn cut_out(&mut self, reason: Reason) -> bool {
        let rest = &self.bytes[self.at..];
        let limit = self.limits.max_record_bytes;
        let first_break = memchr(b'\n', rest);
        if first_break.unwrap_or(rest.len()) > limit {
            let end = self.at + SHOWN.min(limit);
            self.emit(end, Some(Reason::RecordTooLarge));
            self.position.skipping = true;
            return true;
        }
        // A record that grew over the limit over many lines was torn in its first.
        let reason = match reason {
            Reason::RecordTooLarge => Reason::NotJson,
            reason => reason,
        };
        let window = &rest[..rest.len().min(limit + 1)];
        match next_record_start(window, first_break) {
            Some(length) => {
                let reason = if reason == Reason::TruncatedLine { Reason::NotJson } else { reason };
                self.emit(self.at + length, Some(reason))
            }
            None if window.len() > limit => {
                let end = first_break.map_or(self.bytes.len(), |length| self.at + length);
                self.emit(end, Some(reason))
            }
            None if self.ended => self.emit(self.bytes.len(), Some(reason)),
            None => false,
        }
    }
}

/// Whether a value may follow this byte: only an opening bracket, a comma or a colon.
fn begins_value(before: u8) -> bool {
    matches!(before, b'{' | b'[' | b',' | b':')
}

enum StringEnd {
    Quote(usize),
    LineBreak,
    Open,
}

/// Where a string ends that begins before `at`.
fn string_end(bytes: &[u8], mut at: usize) -> StringEnd {
    while let Some(length) = bytes.get(at..).and_then(|rest| memchr3(b'"', b'\\', b'\n', rest)) {
        at += length;
        match bytes[at] {
            b'"' => return StringEnd::Quote(at),
            b'\n' => return StringEnd::LineBreak,
            _ if bytes.get(at + 1) == Some(&b'\n') => return StringEnd::LineBreak,
            _ => at += 2,
        }
    }
    StringEnd::Open
}

/// The first line after a line break that begins with `{`, from the start of the bytes.
fn next_record_start(bytes: &[u8], first_break: Option<usize>) -> Option<usize> {
    let mut at = first_break?;
    loop {
        if bytes.get(at + 1) == Some(&b'{') {
            return Some(at + 1);
        }
        at += 1 + memchr(b'\n', bytes.get(at + 1..)?)?;
    }
}

fn n_line_breaks(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SMALL: RecordLimits = RecordLimits { max_record_bytes: 64, max_depth: 4 };

    type Cut = (String, u64, u64, Option<Reason>);

    fn read(bytes: &[u8], limits: RecordLimits, batch_bytes: usize) -> Vec<Cut> {
        let mut reader = RecordReader::with_batches(bytes, limits, batch_bytes);
        let mut cuts = Vec::new();
        loop {
            let batch = reader.next_batch().unwrap();
            if batch.records.is_empty() {
                return cuts;
            }
            for record in &batch.records {
                let text = String::from_utf8_lossy(&batch.bytes[record.range.clone()]).into_owned();
                cuts.push((text, record.line, record.offset, record.fault));
            }
            reader.recycle(batch);
        }
    }

    fn texts(bytes: &[u8]) -> Vec<(String, Option<Reason>)> {
        read(bytes, RecordLimits::default(), 1 << 20).into_iter().map(|(text, _, _, fault)| (text, fault)).collect()
    }

    fn good(text: &str) -> (String, Option<Reason>) {
        (text.to_owned(), None)
    }

    #[test]
    fn lines_marks_and_blanks_are_no_matter() {
        let cuts = read(b"\xef\xbb\xbf{\"a\":1}\r\n\n  \r\n{\"b\":2}  \n", RecordLimits::default(), 1 << 20);
        assert_eq!(cuts, [("{\"a\":1}".to_owned(), 1, 3, None), ("{\"b\":2}".to_owned(), 4, 17, None)]);
    }

    #[test]
    fn objects_may_span_lines_or_share_one() {
        assert_eq!(
            texts(b"{\n  \"a\": [\n {\"x\": \"}\\\"\"}\n]}{\"b\":2} {}\n"),
            [good("{\n  \"a\": [\n {\"x\": \"}\\\"\"}\n]}"), good("{\"b\":2}"), good("{}")]
        );
    }

    #[test]
    fn a_torn_line_costs_one_record() {
        for torn in ["{\"a\": \"x", "{\"a\":", "{\"a\": 1,", "{\"a\": 1", "{", "{\"a\": [", "{\"a\": tr", "{\"a\": \"x\\"] {
            let text = format!("{torn}\n{{\"b\":2}}\n{{\"c\":3}}\n");
            assert_eq!(texts(text.as_bytes()), [(torn.to_owned(), Some(Reason::NotJson)), good("{\"b\":2}"), good("{\"c\":3}")], "{torn}");
        }
    }

    #[test]
    fn the_end_of_the_file_inside_a_record_is_a_truncated_line() {
        assert_eq!(texts(b"{\"a\":1}\n{\"b\": \"tw"), [good("{\"a\":1}"), ("{\"b\": \"tw".to_owned(), Some(Reason::TruncatedLine))]);
        assert_eq!(texts(b"{\n \"b\": 1,\n"), [("{\n \"b\": 1,".to_owned(), Some(Reason::TruncatedLine))]);
    }

    #[test]
    fn words_are_records_of_their_line() {
        assert_eq!(
            texts(b"hello {\"a\":1}\nnull\n{\"b\":2} rest\n"),
            [good("hello {\"a\":1}"), good("null"), good("{\"b\":2}"), good("rest")]
        );
    }

    #[test]
    fn a_line_over_the_limit_is_shown_and_skipped() {
        let long = "x".repeat(500);
        let text = format!("{{\"a\":\"{long}\"}}\n{{\"b\":2}}\n{long}\n{{\"c\":3}}\n");
        for batch_bytes in [1, 7, 64, 1 << 20] {
            let cuts = read(text.as_bytes(), SMALL, batch_bytes);
            let faults: Vec<_> = cuts.iter().map(|cut| (cut.1, cut.3)).collect();
            assert_eq!(
                faults,
                [(1, Some(Reason::RecordTooLarge)), (2, None), (3, Some(Reason::RecordTooLarge)), (4, None)],
                "{batch_bytes}"
            );
        }
    }

    #[test]
    fn nesting_over_the_limit_costs_its_line() {
        assert_eq!(
            read(b"{\"a\":[[[[1]]]]}\n{\"b\":[[[1]]]}\n", SMALL, 99).into_iter().map(|cut| cut.3).collect::<Vec<_>>(),
            [Some(Reason::NestingTooDeep), None]
        );
    }

    #[test]
    fn an_error_of_the_stream_follows_the_records_before_it() {
        struct Failing(u8);
        impl Read for Failing {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                if self.0 > 1 {
                    return Err(io::Error::other("torn"));
                }
                buffer[..8].copy_from_slice(b"{\"a\":1}\n");
                Ok(8)
            }
        }
        let mut reader = RecordReader::new(Failing(0), RecordLimits::default());
        assert_eq!(reader.next_batch().unwrap().records.len(), 1);
        assert_eq!(reader.next_batch().unwrap_err().to_string(), "torn");
        assert!(reader.next_batch().unwrap().records.is_empty());
    }

    /// Pieces that records and faults are made of, so that random texts come near the interesting cases.
    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"{\"a\":1}".to_vec()),
            Just(b"{\"a\":1}\n".to_vec()),
            Just(b"{\"a\":[{}]}\n".to_vec()),
            Just(b"{\"a\": \"t".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"{".to_vec()),
            Just(b"}".to_vec()),
            Just(b"[".to_vec()),
            Just(b"]".to_vec()),
            Just(b"\"".to_vec()),
            Just(b"\\".to_vec()),
            Just(b",".to_vec()),
            Just(b":".to_vec()),
            Just(b" ".to_vec()),
            Just(b"\xef\xbb\xbf".to_vec()),
            Just(vec![b'x'; 70]),
            proptest::collection::vec(any::<u8>(), 0..6),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn every_byte_is_blank_or_in_one_record(bytes in pieces()) {
            let mut reader = RecordReader::with_batches(bytes.as_slice(), RecordLimits::default(), 16);
            let mut covered = 0_u64;
            loop {
                let batch = reader.next_batch().unwrap();
                if batch.records.is_empty() {
                    break;
                }
                for record in batch.records {
                    prop_assert!(record.offset >= covered);
                    let gap = &bytes[covered as usize..record.offset as usize];
                    prop_assert!(gap.iter().all(|byte| b" \t\r\n\xef\xbb\xbf".contains(byte)), "{gap:?}");
                    let text = &batch.bytes[record.range.clone()];
                    prop_assert_eq!(text, &bytes[record.offset as usize..record.offset as usize + text.len()]);
                    let line = 1 + n_line_breaks(&bytes[..record.offset as usize]);
                    prop_assert_eq!(record.line, line);
                    covered = record.offset + text.len() as u64;
                }
            }
            prop_assert!(bytes[covered as usize..].iter().all(|byte| b" \t\r\n\xef\xbb\xbf".contains(byte)));
        }

        #[test]
        fn complete_lines_come_out_whatever_stands_between_them(parts in proptest::collection::vec("[a-z\"\\\\:,x 0-9]{0,20}", 0..8)) {
            let text: String = parts.iter().map(|part| format!("{{\"torn\": \"{part}\n{{\"good\":1}}\n")).collect();
            let n_good = read(text.as_bytes(), RecordLimits::default(), 32).iter().filter(|cut| cut.0 == "{\"good\":1}" && cut.3.is_none()).count();
            prop_assert_eq!(n_good, parts.len());
        }

        #[test]
        fn batches_do_not_change_the_records(bytes in pieces(), batch_bytes in 1_usize..200) {
            prop_assert_eq!(read(&bytes, RecordLimits::default(), batch_bytes), read(&bytes, RecordLimits::default(), 1 << 20));
        }

        /// What ingest does: guesses that parse are taken, others are counted, and where the guess was wrong the batch comes again.
        #[test]
        fn guessing_lines_cuts_as_counting_brackets_does(bytes in pieces(), batch_bytes in 1_usize..300) {
            for limits in [RecordLimits::default(), SMALL] {
                let mut reader = RecordReader::with_batches(bytes.as_slice(), limits, batch_bytes).by_lines();
                let (mut cuts, mut n_given_back) = (Vec::new(), 0);
                let mut next = reader.next_batch();
                loop {
                    let batch = next.unwrap();
                    if batch.records.is_empty() {
                        break;
                    }
                    let following = reader.next_batch();
                    let parses = |record: &Record| {
                        let text = std::str::from_utf8(&batch.bytes[record.range.clone()]);
                        text.is_ok_and(|text| crate::json::Json::parse_with(text, crate::json::tests::arena(), limits.max_depth, &mut crate::json::Everything).is_ok())
                    };
                    let settled = |at: usize| match &batch.records[at] {
                        guess if guess.is_guess && !parses(guess) => batch.counted(at, limits.usable()),
                        record => Some(record.clone()),
                    };
                    match (0..batch.records.len()).map(settled).collect::<Option<Vec<_>>>() {
                        Some(records) => {
                            cuts.extend(records.into_iter().map(|record| {
                                (String::from_utf8_lossy(&batch.bytes[record.range]).into_owned(), record.line, record.offset, record.fault)
                            }));
                            reader.recycle(batch);
                            next = following;
                        }
                        None => {
                            reader.give_back(batch, following);
                            n_given_back += 1;
                            prop_assert!(n_given_back <= 4);
                            next = reader.next_batch();
                        }
                    }
                }
                prop_assert_eq!(&cuts, &read(&bytes, limits, 1 << 20));
            }
        }

        #[test]
        fn batches_do_not_change_the_records_over_the_limits(bytes in pieces(), batch_bytes in 1_usize..100) {
            prop_assert_eq!(read(&bytes, SMALL, batch_bytes), read(&bytes, SMALL, 1 << 20));
        }
    }
}
