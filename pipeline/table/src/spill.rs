//! Rows by day in the order (timestamp, id), whatever order they come in and however many they are: sorted runs in memory and, past a
//! budget, in one temporary file, merged when a day is read. Days that later rows have left behind can be taken out before all are there.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
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

/// A row that is taken.
#[derive(Clone, Debug)]
pub(crate) struct NewRow {
    /// When the decision was made.
    pub(crate) timestamp: Timestamp,
    /// Its place in the order of reading.
    pub(crate) sequence: u64,
    /// Position of its file.
    pub(crate) file: usize,
    /// Digests of its shapes.
    pub(crate) shapes: [u64; 2],
    /// Its bytes in the last buffer.
    pub(crate) range: Range<usize>,
}

/// What all rows of a day have, dropped ones too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traits {
    /// Digests of their shapes.
    pub(crate) shapes: BTreeSet<[u64; 2]>,
    /// Positions of their files.
    pub(crate) files: BTreeSet<usize>,
    /// Of the row that was taken last.
    last: Option<([u64; 2], usize)>,
}

/// Rows of one day.
#[derive(Default)]
struct Day {
    /// Those in memory.
    slots: Vec<Slot>,
    /// Those in the temporary file.
    runs: Vec<Run>,
    /// Those that were taken.
    n_rows: u64,
    traits: Traits,
    /// The batch that its last row came with.
    last_batch: u64,
}

/// A buffer of rows.
#[derive(Default)]
struct Piece {
    rows: Vec<u8>,
    /// Rows of days that were not taken out.
    n_rows: u32,
}

/// Rows by day.
pub(crate) struct Spill {
    /// Buffers of rows, as they were parsed.
    pieces: Vec<Piece>,
    days: BTreeMap<i64, Day>,
    /// Batches that were begun.
    n_batches: u64,
    /// Bytes in memory, and how many there may be.
    held: usize,
    budget: usize,
    file: Option<NamedTempFile>,
    written: u64,
}

/// Part of the memory that rows may take, from which on days are taken out before all rows are there.
const EARLY_PART: usize = 16;

/// Bytes of a row beside its content.
const HEADER: usize = 20;

impl Spill {
    /// Holds up to a number of bytes in memory.
    pub(crate) fn new(budget: usize) -> Self {
        Self { pieces: Vec::new(), days: BTreeMap::new(), n_batches: 0, held: 0, budget, file: None, written: 0 }
    }

    /// Begins a batch of rows: days that get none of them may be left behind.
    pub(crate) fn begin_batch(&mut self) {
        self.n_batches += 1;
    }

    /// Days that the last batch had nothing of and that lie at least so many days behind the newest one, once rows take a good part of the
    /// memory that they may.
    pub(crate) fn days_behind(&self, lag: i64) -> Vec<i64> {
        if self.held < self.budget / EARLY_PART {
            return Vec::new();
        }
        let newest = self.days.keys().next_back().copied().unwrap_or(0);
        let is_behind = |day: i64, rows: &Day| rows.last_batch < self.n_batches && day.saturating_add(lag) <= newest;
        self.days.iter().filter(|(day, rows)| is_behind(**day, rows)).map(|(day, _)| *day).collect()
    }

    /// Makes days ready for [`Self::read`].
    pub(crate) fn sort_days(&mut self, days: &[i64]) {
        let pieces = &self.pieces;
        let wanted: Vec<_> = self.days.iter_mut().filter(|(day, _)| days.contains(day)).collect();
        wanted.into_par_iter().for_each(|(_, day)| sort(&mut day.slots, pieces));
    }

    /// Takes a day out: it has no rows then.
    pub(crate) fn remove(&mut self, day: i64) {
        let Some(day) = self.days.remove(&day) else { return };
        self.held = self.held.saturating_sub(day.slots.len() * size_of::<Slot>());
        let last = self.pieces.len().saturating_sub(1);
        for slot in &day.slots {
            let Some(piece) = self.pieces.get_mut(slot.piece as usize) else { continue };
            piece.n_rows -= 1;
            if piece.n_rows == 0 && slot.piece as usize != last {
                self.held = self.held.saturating_sub(piece.rows.capacity());
                piece.rows = Vec::new();
            }
        }
    }

    /// Whether a day has rows.
    pub(crate) fn has(&self, day: i64) -> bool {
        self.days.contains_key(&day)
    }

    /// Takes a buffer of rows. `folder`: where the temporary file is made when it is needed.
    pub(crate) fn begin_piece(&mut self, rows: Vec<u8>, folder: &Path) -> io::Result<()> {
        if self.held > self.budget {
            self.flush(folder)?;
        }
        self.held += rows.capacity();
        self.pieces.push(Piece { rows, n_rows: 0 });
        Ok(())
    }

    /// Takes a row of the last buffer.
    pub(crate) fn push(&mut self, row: &NewRow) {
        let NewRow { timestamp, sequence, file, shapes, range } = row;
        let piece = self.pieces.len().saturating_sub(1) as u32;
        // Buffers are of a few hundred rows: `PIECE` of at most `max_record_bytes`.
        let slot = Slot { timestamp: timestamp.0, sequence: *sequence, piece, start: range.start as u32, length: range.len() as u32 };
        let day = self.days.entry(timestamp.day()).or_default();
        day.slots.push(slot);
        day.n_rows += 1;
        day.last_batch = self.n_batches;
        if let Some(piece) = self.pieces.last_mut() {
            piece.n_rows += 1;
        }
        let traits = &mut day.traits;
        if traits.last != Some((*shapes, *file)) {
            traits.shapes.insert(*shapes);
            traits.files.insert(*file);
            traits.last = Some((*shapes, *file));
        }
        self.held += size_of::<Slot>();
    }

    /// Days that have rows, in order.
    pub(crate) fn days(&self) -> Vec<i64> {
        self.days.keys().copied().collect()
    }

    /// Rows of a day, dropped ones too.
    pub(crate) fn n_rows(&self, day: i64) -> u64 {
        self.days.get(&day).map_or(0, |day| day.n_rows)
    }

    /// What the rows of a day have.
    pub(crate) fn traits(&self, day: i64) -> Traits {
        self.days.get(&day).map(|day| day.traits.clone()).unwrap_or_default()
    }

    /// Sorts what is still in memory, so that days can be read.
    pub(crate) fn finish(&mut self) {
        let pieces = &self.pieces;
        self.days.par_iter_mut().for_each(|(_, day)| sort(&mut day.slots, pieces));
    }

    /// The rows of a day in the order (timestamp, id, sequence).
    pub(crate) fn read(&self, day: i64) -> io::Result<DayRows<'_>> {
        let mut sources = Vec::new();
        let Some(day) = self.days.get(&day) else { return Ok(DayRows { sources, given: None }) };
        for run in &day.runs {
            let Some(file) = &self.file else { continue };
            let mut file = File::open(file.path())?;
            file.seek(SeekFrom::Start(run.offset))?;
            let rest = io::BufReader::with_capacity(RUN_BUFFER, file.take(run.length));
            sources.push(Source::File { rest, head: None, bytes: Vec::new() });
        }
        sources.push(Source::Memory { pieces: &self.pieces, slots: &day.slots });
        sources.iter_mut().try_for_each(Source::begin)?;
        Ok(DayRows { sources, given: None })
    }

    /// Writes everything in memory to the temporary file, one sorted run per day.
    fn flush(&mut self, folder: &Path) -> io::Result<()> {
        self.finish();
        let file = match self.file.take() {
            Some(file) => file,
            None => tempfile::Builder::new().prefix(".rows-").tempfile_in(folder)?,
        };
        let mut out = BufWriter::with_capacity(1 << 20, &file);
        for day in self.days.values_mut() {
            let mut length = 0;
            // Their memory is given back: the next rows may be of other days.
            for slot in std::mem::take(&mut day.slots) {
                out.write_all(&slot.timestamp.to_le_bytes())?;
                out.write_all(&slot.sequence.to_le_bytes())?;
                out.write_all(&slot.length.to_le_bytes())?;
                out.write_all(slot.row(&self.pieces))?;
                length += HEADER as u64 + u64::from(slot.length);
            }
            if length > 0 {
                day.runs.push(Run { offset: self.written, length });
                self.written += length;
            }
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
    fn row<'p>(&self, pieces: &'p [Piece]) -> &'p [u8] {
        let start = self.start as usize;
        pieces.get(self.piece as usize).and_then(|piece| piece.rows.get(start..start + self.length as usize)).unwrap_or_default()
    }
}

/// Bytes that are read of a run at once.
const RUN_BUFFER: usize = 128 << 10;

fn sort(slots: &mut [Slot], pieces: &[Piece]) {
    slots.sort_unstable_by(|a, b| {
        let by_id = || trace_id(a.row(pieces)).cmp(trace_id(b.row(pieces)));
        a.timestamp.cmp(&b.timestamp).then_with(by_id).then_with(|| a.sequence.cmp(&b.sequence))
    });
}

/// A row as it is read back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'r> {
    /// When the decision was made.
    pub(crate) timestamp: Timestamp,
    /// Its place in the order of reading.
    pub(crate) sequence: u64,
    /// Its content.
    pub(crate) bytes: &'r [u8],
}

enum Source<'a> {
    /// Timestamp and sequence of the row at hand, and its bytes.
    File { rest: io::BufReader<io::Take<File>>, head: Option<(i64, u64)>, bytes: Vec<u8> },
    /// The row at hand is the first.
    Memory { pieces: &'a [Piece], slots: &'a [Slot] },
}

impl Source<'_> {
    /// Goes to the first row.
    fn begin(&mut self) -> io::Result<()> {
        match self {
            Self::File { .. } => self.advance(),
            Self::Memory { .. } => Ok(()),
        }
    }

    /// Goes to the next row.
    fn advance(&mut self) -> io::Result<()> {
        match self {
            Self::Memory { slots, .. } => *slots = slots.get(1..).unwrap_or_default(),
            Self::File { rest, head, bytes } => {
                *head = None;
                if io::BufRead::fill_buf(rest)?.is_empty() {
                    return Ok(());
                }
                let (mut timestamp, mut sequence, mut length) = ([0; 8], [0; 8], [0; 4]);
                rest.read_exact(&mut timestamp)?;
                rest.read_exact(&mut sequence)?;
                rest.read_exact(&mut length)?;
                bytes.resize(u32::from_le_bytes(length) as usize, 0);
                rest.read_exact(bytes)?;
                *head = Some((i64::from_le_bytes(timestamp), u64::from_le_bytes(sequence)));
            }
        }
        Ok(())
    }

    /// The row at hand; none at the end.
    fn row(&self) -> Option<Row<'_>> {
        match self {
            Self::Memory { pieces, slots } => {
                slots.first().map(|slot| Row { timestamp: Timestamp(slot.timestamp), sequence: slot.sequence, bytes: slot.row(pieces) })
            }
            Self::File { head, bytes, .. } => head.map(|(timestamp, sequence)| Row { timestamp: Timestamp(timestamp), sequence, bytes }),
        }
    }
}

/// Merges the runs of a day.
pub(crate) struct DayRows<'a> {
    sources: Vec<Source<'a>>,
    /// The source whose row was given last.
    given: Option<usize>,
}

impl DayRows<'_> {
    /// The next row, or nothing at the end of the day.
    pub(crate) fn next(&mut self) -> io::Result<Option<Row<'_>>> {
        if let Some(source) = self.given.take().and_then(|given| self.sources.get_mut(given)) {
            source.advance()?;
        }
        // Runs are few: one per time that memory was full.
        let rows = self.sources.iter().enumerate().filter_map(|(at, source)| Some((at, source.row()?)));
        let Some((first, row)) = rows.min_by(|(_, a), (_, b)| compare(a, b)) else { return Ok(None) };
        self.given = Some(first);
        Ok(Some(row))
    }
}

/// The order of rows: timestamp, id, sequence.
fn compare(a: &Row<'_>, b: &Row<'_>) -> Ordering {
    a.timestamp.cmp(&b.timestamp).then_with(|| trace_id(a.bytes).cmp(trace_id(b.bytes))).then(a.sequence.cmp(&b.sequence))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::draft::{Draft, KnownVectors};
    use crate::rows::encode;

    fn order_of(rows: &[(i64, String)], budget: usize) -> Vec<(i64, u64)> {
        let folder = tempfile::tempdir().unwrap();
        let mut spill = Spill::new(budget);
        for (sequence, (timestamp, id)) in (0..).zip(rows) {
            let mut bytes = Vec::new();
            encode(&Draft { trace_id: id.as_str().into(), ..Draft::default() }, &mut KnownVectors::default(), &mut bytes);
            let row = NewRow { timestamp: Timestamp(*timestamp), sequence, file: 0, shapes: [0; 2], range: 0..bytes.len() };
            spill.begin_piece(bytes, folder.path()).unwrap();
            spill.push(&row);
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

    #[test]
    fn days_that_rows_have_left_behind_are_taken_out_with_their_memory() {
        let folder = tempfile::tempdir().unwrap();
        let mut spill = Spill::new(0);
        let batch = |spill: &mut Spill, days: &[i64]| {
            let mut bytes = Vec::new();
            encode(&Draft::default(), &mut KnownVectors::default(), &mut bytes);
            let range = 0..bytes.len();
            spill.begin_batch();
            spill.begin_piece(bytes, folder.path()).unwrap();
            for day in days {
                let timestamp = Timestamp(day * 86_400_000_000);
                spill.push(&NewRow { timestamp, sequence: 0, file: 0, shapes: [0; 2], range: range.clone() });
            }
        };
        spill.budget = 1 << 20;
        batch(&mut spill, &[1, 2]);
        batch(&mut spill, &[2, 3]);
        assert_eq!(spill.days_behind(1), [0; 0], "there is room");
        spill.budget = 1;
        assert_eq!((spill.days_behind(1), spill.days_behind(2), spill.days_behind(3)), (vec![1], vec![1], vec![]));
        spill.budget = 1 << 20;
        batch(&mut spill, &[4]);
        spill.budget = 1;
        assert_eq!(spill.days_behind(1), [1, 2, 3]);
        let before = spill.held;
        [1, 2, 3].into_iter().for_each(|day| spill.remove(day));
        assert!(spill.held < before / 2);
        assert_eq!((spill.days(), spill.has(2), spill.has(4)), (vec![4], false, true));
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
