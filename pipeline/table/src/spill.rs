//! Rows by day in the order (timestamp, id), whatever order they come in and however many they are: sorted runs in memory and, past a
//! budget, in one temporary file, merged when a day is read.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;
use routewright_domain::Timestamp;
use tempfile::NamedTempFile;

use crate::rows::trace_id;

/// A row in the order it is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    timestamp: i64,
    sequence: u64,
    piece: u32,
    start: u32,
    length: u32,
}

/// A sorted run of one day in the temporary file.
#[derive(Clone, Copy, Debug)]
struct Run {
    offset: u64,
    length: u64,
}

/// Rows by day.
pub(crate) struct Spill {
    /// Buffers of rows, as they were parsed.
    pieces: Vec<Vec<u8>>,
    days: BTreeMap<i64, Vec<Slot>>,
    runs: BTreeMap<i64, Vec<Run>>,
    /// Bytes in memory, and how many there may be.
    held: usize,
    budget: usize,
    file: Option<NamedTempFile>,
    written: u64,
}

/// Bytes of a row beside its content.
const HEADER: usize = 20;

impl Spill {
    /// Holds up to a number of bytes in memory.
    pub(crate) fn new(budget: usize) -> Self {
        Self { pieces: Vec::new(), days: BTreeMap::new(), runs: BTreeMap::new(), held: 0, budget, file: None, written: 0 }
    }

    /// Takes a buffer of rows. `folder`: where the temporary file is made when it is needed.
    pub(crate) fn begin_piece(&mut self, rows: Vec<u8>, folder: &Path) -> io::Result<()> {
        if self.held > self.budget {
            self.flush(folder)?;
        }
        self.held += rows.capacity();
        self.pieces.push(rows);
        Ok(())
    }

    /// Takes a row of the last buffer.
    pub(crate) fn push(&mut self, timestamp: Timestamp, sequence: u64, row: Range<usize>) {
        let piece = self.pieces.len().saturating_sub(1) as u32;
        // Buffers are of a few hundred rows: `PIECE` of at most `max_record_bytes`.
        let slot = Slot { timestamp: timestamp.0, sequence, piece, start: row.start as u32, length: row.len() as u32 };
        self.days.entry(timestamp.day()).or_default().push(slot);
        self.held += size_of::<Slot>();
    }

    /// Days that have rows, in order.
    pub(crate) fn days(&self) -> Vec<i64> {
        let mut days: Vec<i64> = self.days.keys().chain(self.runs.keys()).copied().collect();
        days.sort_unstable();
        days.dedup();
        days
    }

    /// Sorts what is still in memory, so that days can be read.
    pub(crate) fn finish(&mut self) {
        let pieces = &self.pieces;
        self.days.par_iter_mut().for_each(|(_, slots)| sort(slots, pieces));
    }

    /// The rows of a day in the order (timestamp, id, sequence).
    pub(crate) fn read(&self, day: i64) -> io::Result<DayRows<'_>> {
        let mut sources = Vec::new();
        for run in self.runs.get(&day).into_iter().flatten() {
            let Some(file) = &self.file else { continue };
            let mut file = File::open(file.path())?;
            file.seek(SeekFrom::Start(run.offset))?;
            sources.push(Source::File { rest: io::BufReader::with_capacity(RUN_BUFFER, file.take(run.length)) });
        }
        if let Some(slots) = self.days.get(&day) {
            sources.push(Source::Memory { pieces: &self.pieces, slots: slots.iter() });
        }
        let mut rows = DayRows { heads: Vec::with_capacity(sources.len()), sources };
        for position in 0..rows.sources.len() {
            let head = rows.sources[position].next()?;
            rows.heads.push(head);
        }
        Ok(rows)
    }

    /// Writes everything in memory to the temporary file, one sorted run per day.
    fn flush(&mut self, folder: &Path) -> io::Result<()> {
        self.finish();
        let file = match self.file.take() {
            Some(file) => file,
            None => tempfile::Builder::new().prefix(".rows-").tempfile_in(folder)?,
        };
        let mut out = BufWriter::with_capacity(1 << 20, &file);
        for (day, slots) in std::mem::take(&mut self.days) {
            let mut length = 0;
            for slot in &slots {
                out.write_all(&slot.timestamp.to_le_bytes())?;
                out.write_all(&slot.sequence.to_le_bytes())?;
                out.write_all(&slot.length.to_le_bytes())?;
                out.write_all(slot.row(&self.pieces))?;
                length += HEADER as u64 + u64::from(slot.length);
            }
            self.runs.entry(day).or_default().push(Run { offset: self.written, length });
            self.written += length;
        }
        out.flush()?;
        drop(out);
        self.file = Some(file);
        self.pieces.clear();
        self.held = 0;
        Ok(())
    }
}

impl Slot {
    fn row<'p>(&self, pieces: &'p [Vec<u8>]) -> &'p [u8] {
        let start = self.start as usize;
        pieces.get(self.piece as usize).and_then(|piece| piece.get(start..start + self.length as usize)).unwrap_or_default()
    }
}

/// Bytes that are read of a run at once.
const RUN_BUFFER: usize = 128 << 10;

fn sort(slots: &mut [Slot], pieces: &[Vec<u8>]) {
    slots.sort_unstable_by(|a, b| {
        let by_id = || trace_id(a.row(pieces)).cmp(trace_id(b.row(pieces)));
        a.timestamp.cmp(&b.timestamp).then_with(by_id).then_with(|| a.sequence.cmp(&b.sequence))
    });
}

/// A row as it is read back.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    /// When the decision was made.
    pub(crate) timestamp: Timestamp,
    /// Its place in the order of reading.
    pub(crate) sequence: u64,
    /// Its content.
    pub(crate) bytes: Cow<'a, [u8]>,
}

enum Source<'a> {
    File { rest: io::BufReader<io::Take<File>> },
    Memory { pieces: &'a [Vec<u8>], slots: std::slice::Iter<'a, Slot> },
}

impl<'a> Source<'a> {
    fn next(&mut self) -> io::Result<Option<Row<'a>>> {
        match self {
            Source::Memory { pieces, slots } => Ok(slots.next().map(|slot| Row {
                timestamp: Timestamp(slot.timestamp),
                sequence: slot.sequence,
                bytes: Cow::Borrowed(slot.row(pieces)),
            })),
            Source::File { rest } => {
                let (mut timestamp, mut sequence, mut length) = ([0; 8], [0; 8], [0; 4]);
                if io::BufRead::fill_buf(rest)?.is_empty() {
                    return Ok(None);
                }
                rest.read_exact(&mut timestamp)?;
                rest.read_exact(&mut sequence)?;
                rest.read_exact(&mut length)?;
                let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
                rest.read_exact(&mut bytes)?;
                let (timestamp, sequence) = (Timestamp(i64::from_le_bytes(timestamp)), u64::from_le_bytes(sequence));
                Ok(Some(Row { timestamp, sequence, bytes: Cow::Owned(bytes) }))
            }
        }
    }
}

/// Merges the runs of a day.
pub(crate) struct DayRows<'a> {
    sources: Vec<Source<'a>>,
    heads: Vec<Option<Row<'a>>>,
}

impl<'a> DayRows<'a> {
    /// The next row, or nothing at the end of the day.
    pub(crate) fn next(&mut self) -> io::Result<Option<Row<'a>>> {
        if let [source] = self.sources.as_mut_slice() {
            let following = source.next()?;
            return Ok(std::mem::replace(&mut self.heads[0], following));
        }
        // Runs are few: one per time that memory was full.
        let first = (0..self.heads.len()).filter(|&at| self.heads[at].is_some()).min_by(|&a, &b| compare(&self.heads[a], &self.heads[b]));
        let Some(first) = first else { return Ok(None) };
        let following = self.sources[first].next()?;
        Ok(std::mem::replace(&mut self.heads[first], following))
    }
}

/// The order of rows: timestamp, id, sequence.
fn compare(a: &Option<Row<'_>>, b: &Option<Row<'_>>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => {
            a.timestamp.cmp(&b.timestamp).then_with(|| trace_id(&a.bytes).cmp(trace_id(&b.bytes))).then(a.sequence.cmp(&b.sequence))
        }
        _ => b.is_some().cmp(&a.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::draft::Draft;
    use crate::rows::encode;

    fn order_of(rows: &[(i64, String)], budget: usize) -> Vec<(i64, u64)> {
        let folder = tempfile::tempdir().unwrap();
        let mut spill = Spill::new(budget);
        for (sequence, (timestamp, id)) in (0..).zip(rows) {
            let mut bytes = Vec::new();
            encode(&Draft { trace_id: id.as_str().into(), ..Draft::default() }, &mut bytes);
            let row = 0..bytes.len();
            spill.begin_piece(bytes, folder.path()).unwrap();
            spill.push(Timestamp(*timestamp), sequence, row);
        }
        spill.finish();
        let mut order = Vec::new();
        for day in spill.days() {
            let mut rows = spill.read(day).unwrap();
            while let Some(row) = rows.next().unwrap() {
                assert_eq!(row.timestamp.day(), day);
                order.push((row.timestamp.0, row.sequence));
            }
        }
        order
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn rows_come_back_sorted_whatever_fits_in_memory(rows in proptest::collection::vec((0_i64..200_000_000_000, "[ab]{1,2}"), 0..60), budget in 0_usize..3000) {
            let mut expected: Vec<(i64, String, u64)> = rows.iter().zip(0..).map(|((time, id), sequence)| (*time, id.clone(), sequence)).collect();
            expected.sort();
            let expected: Vec<(i64, u64)> = expected.into_iter().map(|(time, _, sequence)| (time, sequence)).collect();
            prop_assert_eq!(order_of(&rows, budget), expected);
        }
    }
}
