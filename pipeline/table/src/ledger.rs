//! Every valid row of the logs in 64 bytes: whose it is, where it stands, what tells it from others, and whether it is kept.
//!
//! Rows are sorted by id in runs, in memory and past a budget in a temporary file, so any number of them is judged in bounded memory.
//! What was judged stands by day for the next ingest, which takes from there the rows that new ones may change: that is what makes an
//! ingest go on instead of beginning again.

mod day;
mod ids;
mod scattered;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

pub(crate) use day::{DayLedger, DayWriter};
pub(crate) use ids::IdSet;
pub(crate) use scattered::Scattered;

use rayon::prelude::*;
use routewright_domain::Timestamp;
use tempfile::NamedTempFile;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::draft::Draft;
use crate::rows::{RowShape, parts, trace_id};

/// What became of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It stands in the table.
    #[default]
    Kept,
    /// A copy or forerunner of the kept row.
    Duplicate,
    /// It contradicts the row that was read first.
    Conflict,
}

/// One row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Digest of the id.
    pub(crate) id: u64,
    /// Digest of everything known at the decision, the id included: an accidental equality of id digests shows as a conflict.
    pub(crate) decision: u64,
    /// Digest of the outcome.
    pub(crate) outcome: u64,
    /// When the decision was made, in microseconds since 1970.
    pub(crate) timestamp: i64,
    /// Where its record begins in the (decompressed) file.
    pub(crate) offset: u64,
    /// Its place among the rows that this ingest parsed; none for rows of an earlier one.
    pub(crate) sequence: Option<u64>,
    /// Bytes of its record.
    pub(crate) length: u32,
    /// Line of its record, from 1; the last one that can be counted for any after it.
    pub(crate) line: u32,
    /// Position of its file.
    pub(crate) file: u32,
    /// One bit per outcome column with a value.
    pub(crate) outcome_fields: u16,
    /// Whether it has an outcome.
    pub(crate) completed: bool,
    /// What became of it.
    pub(crate) verdict: Verdict,
}

/// Bytes of an entry.
pub(crate) const ENTRY_BYTES: usize = 64;

/// Stands for no sequence number.
const NO_SEQUENCE: u64 = u64::MAX;

impl Entry {
    /// The digests of an encoded row; its place is not known yet.
    pub(crate) fn of(row: &[u8], shape: RowShape, draft: &Draft<'_>) -> Self {
        let (decision, outcome, outcome_shape) = parts(row, shape);
        Self {
            id: xxh3_64(trace_id(row)),
            decision: xxh3_64(decision),
            outcome: xxh3_64_with_seed(outcome, outcome_shape),
            timestamp: draft.timestamp.0,
            outcome_fields: shape.outcome_fields,
            completed: draft.success.is_some(),
            ..Self::default()
        }
    }

    /// The day it belongs to.
    pub(crate) fn day(&self) -> i64 {
        Timestamp(self.timestamp).day()
    }

    fn order(&self) -> (u64, u32, u64) {
        (self.id, self.file, self.offset)
    }

    fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        let sequence = self.sequence.unwrap_or(NO_SEQUENCE);
        let words = [self.id, self.decision, self.outcome, self.timestamp as u64, self.offset, sequence];
        for (slot, word) in bytes.chunks_exact_mut(8).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        bytes[48..52].copy_from_slice(&self.length.to_le_bytes());
        bytes[52..56].copy_from_slice(&self.line.to_le_bytes());
        bytes[56..60].copy_from_slice(&self.file.to_le_bytes());
        bytes[60..62].copy_from_slice(&self.outcome_fields.to_le_bytes());
        bytes[62] = u8::from(self.completed);
        bytes[63] = self.verdict as u8;
        bytes
    }

    fn from_bytes(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        let half = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        Self {
            id: word(0),
            decision: word(8),
            outcome: word(16),
            timestamp: word(24) as i64,
            offset: word(32),
            sequence: Some(word(40)).filter(|sequence| *sequence != NO_SEQUENCE),
            length: half(48),
            line: half(52),
            file: half(56),
            outcome_fields: u16::from_le_bytes([bytes[60], bytes[61]]),
            completed: bytes[62] == 1,
            verdict: match bytes[63] {
                0 => Verdict::Kept,
                1 => Verdict::Duplicate,
                _ => Verdict::Conflict,
            },
        }
    }
}

/// Entries that are held in memory before they go to a temporary file.
const HELD: usize = 1 << 20;

/// Entries of this ingest as they come.
#[derive(Default)]
pub(crate) struct Ledger {
    held: Vec<Entry>,
    runs: Vec<(u64, u64)>,
    file: Option<NamedTempFile>,
    written: u64,
}

impl Ledger {
    /// Adds an entry. `folder`: where the temporary file is made when it is needed.
    pub(crate) fn push(&mut self, entry: Entry, folder: &Path) -> io::Result<()> {
        // All at once: what is not written to takes no memory, and nothing is copied when there are more.
        self.held.reserve_exact(HELD - self.held.len());
        self.held.push(entry);
        if self.held.len() < HELD { Ok(()) } else { self.flush(folder) }
    }

    fn flush(&mut self, folder: &Path) -> io::Result<()> {
        self.held.par_sort_unstable_by_key(Entry::order);
        let file = match self.file.take() {
            Some(file) => file,
            None => tempfile::Builder::new().prefix(".ledger-").tempfile_in(folder)?,
        };
        let mut out = BufWriter::with_capacity(1 << 20, &file);
        for entry in self.held.drain(..) {
            out.write_all(&entry.to_bytes())?;
        }
        out.flush()?;
        drop(out);
        let end = file.as_file().metadata()?.len();
        self.runs.push((self.written, end - self.written));
        self.written = end;
        self.file = Some(file);
        Ok(())
    }

    /// Number of entries.
    pub(crate) fn n_entries(&self) -> usize {
        self.held.len() + (self.written / ENTRY_BYTES as u64) as usize
    }

    /// The ids of all entries, in no order.
    pub(crate) fn ids(&self) -> io::Result<Vec<u64>> {
        let mut ids: Vec<u64> = self.held.iter().map(|entry| entry.id).collect();
        for mut run in self.runs()? {
            while let Some(entry) = read_entry(&mut run)? {
                ids.push(entry.id);
            }
        }
        Ok(ids)
    }

    /// The runs in the temporary file.
    fn runs(&self) -> io::Result<Vec<BufReader<io::Take<File>>>> {
        let Some(file) = &self.file else { return Ok(Vec::new()) };
        let open = |(offset, length): &(u64, u64)| {
            let mut file = File::open(file.path())?;
            file.seek(SeekFrom::Start(*offset))?;
            Ok(BufReader::with_capacity(BUFFER, file.take(*length)))
        };
        self.runs.iter().map(open).collect()
    }

    /// Takes all entries out in the order of id, file and offset, where memory holds them all.
    pub(crate) fn take_sorted(&mut self) -> Option<Vec<Entry>> {
        self.runs.is_empty().then(|| {
            self.held.par_sort_unstable_by_key(Entry::order);
            std::mem::take(&mut self.held)
        })
    }

    /// All entries by id.
    pub(crate) fn merged(&mut self) -> io::Result<Merged<'_>> {
        self.held.par_sort_unstable_by_key(Entry::order);
        let mut sources: Vec<Source<'_>> = self.runs()?.into_iter().map(Source::File).collect();
        sources.push(Source::Memory(self.held.iter()));
        let heads = sources.iter_mut().map(Source::next).collect::<io::Result<_>>()?;
        Ok(Merged { sources, heads })
    }
}

/// Bytes of a run that are read at once.
const BUFFER: usize = 256 << 10;

enum Source<'l> {
    Memory(std::slice::Iter<'l, Entry>),
    File(BufReader<io::Take<File>>),
}

impl Source<'_> {
    fn next(&mut self) -> io::Result<Option<Entry>> {
        match self {
            Source::Memory(entries) => Ok(entries.next().copied()),
            Source::File(rest) => read_entry(rest),
        }
    }
}

/// The next entry of a file of them.
pub(crate) fn read_entry(source: &mut impl io::BufRead) -> io::Result<Option<Entry>> {
    let held = source.fill_buf()?;
    if let Some(bytes) = held.first_chunk() {
        let entry = Entry::from_bytes(bytes);
        source.consume(ENTRY_BYTES);
        return Ok(Some(entry));
    }
    if held.is_empty() {
        return Ok(None);
    }
    let mut bytes = [0; ENTRY_BYTES];
    source.read_exact(&mut bytes)?;
    Ok(Some(Entry::from_bytes(&bytes)))
}

/// Appends an entry to a file of them.
pub(crate) fn write_entry(entry: &Entry, out: &mut impl Write) -> io::Result<()> {
    out.write_all(&entry.to_bytes())
}

/// Entries of several runs by id.
pub(crate) struct Merged<'l> {
    sources: Vec<Source<'l>>,
    heads: Vec<Option<Entry>>,
}

impl Merged<'_> {
    /// Fills `rows` with all entries of the next id, in no order; whether there was one.
    pub(crate) fn next_id(&mut self, rows: &mut Vec<Entry>) -> io::Result<bool> {
        rows.clear();
        // Runs are few: one per million rows.
        let Some(id) = self.heads.iter().flatten().map(|entry| entry.id).min() else { return Ok(false) };
        for (head, source) in self.heads.iter_mut().zip(&mut self.sources) {
            while let Some(entry) = head.filter(|entry| entry.id == id) {
                rows.push(entry);
                *head = source.next()?;
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_entry_comes_back_as_it_was(words in any::<[u64; 5]>(), halves in any::<[u32; 3]>(), fields in any::<u16>(), completed in any::<bool>(), verdict in 0..3_usize, sequence in any::<Option<u32>>()) {
            let entry = Entry {
                id: words[0],
                decision: words[1],
                outcome: words[2],
                timestamp: words[3] as i64,
                offset: words[4],
                sequence: sequence.map(u64::from),
                length: halves[0],
                line: halves[1],
                file: halves[2],
                outcome_fields: fields,
                completed,
                verdict: [Verdict::Kept, Verdict::Duplicate, Verdict::Conflict][verdict],
            };
            prop_assert_eq!(Entry::from_bytes(&entry.to_bytes()), entry);
        }
    }

    #[test]
    fn entries_of_one_id_come_together_from_memory_and_runs() {
        let folder = tempfile::tempdir().unwrap();
        let entry = |id, offset| Entry { id, offset, ..Entry::default() };
        let mut ledger = Ledger::default();
        ledger.push(entry(3, 1), folder.path()).unwrap();
        ledger.push(entry(2, 1), folder.path()).unwrap();
        ledger.flush(folder.path()).unwrap();
        ledger.push(entry(3, 2), folder.path()).unwrap();
        ledger.push(entry(1, 2), folder.path()).unwrap();
        let mut ids = ledger.ids().unwrap();
        ids.sort_unstable();
        assert_eq!((ledger.n_entries(), ids), (4, vec![1, 2, 3, 3]));
        let mut merged = ledger.merged().unwrap();
        let (mut rows, mut found) = (Vec::new(), Vec::new());
        while merged.next_id(&mut rows).unwrap() {
            rows.sort_by_key(Entry::order);
            found.push((rows[0].id, rows.iter().map(|row| row.offset).collect::<Vec<_>>()));
        }
        assert_eq!(found, [(1, vec![2]), (2, vec![1]), (3, vec![1, 2])]);
    }
}
