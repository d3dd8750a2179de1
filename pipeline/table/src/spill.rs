//! Rows by day in the order (timestamp, id), whatever order they come in and however many they are: sorted runs in memory and, past a
//! budget, in one temporary file, merged when a day is read.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use routewright_domain::Timestamp;
use tempfile::NamedTempFile;

use crate::rows::trace_id;

/// A row in the order it is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    timestamp: i64,
    sequence: u64,
    start: usize,
    length: usize,
}

/// Rows of one day that are in memory.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
}

/// A sorted run of one day in the temporary file.
#[derive(Clone, Copy, Debug)]
struct Run {
    offset: u64,
    length: u64,
}

/// Rows by day.
pub(crate) struct Spill {
    days: BTreeMap<i64, Pending>,
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
        Self { days: BTreeMap::new(), runs: BTreeMap::new(), held: 0, budget, file: None, written: 0 }
    }

    /// Adds a row. `folder`: where the temporary file is made when it is needed.
    pub(crate) fn push(&mut self, timestamp: Timestamp, sequence: u64, row: &[u8], folder: &Path) -> io::Result<()> {
        let day = self.days.entry(timestamp.day()).or_default();
        day.slots.push(Slot { timestamp: timestamp.0, sequence, start: day.bytes.len(), length: row.len() });
        day.bytes.extend_from_slice(row);
        self.held += row.len() + size_of::<Slot>();
        if self.held > self.budget { self.flush(folder) } else { Ok(()) }
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
        self.days.values_mut().for_each(sort);
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
        if let Some(pending) = self.days.get(&day) {
            sources.push(Source::Memory { pending, next: 0 });
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
        let file = match self.file.take() {
            Some(file) => file,
            None => tempfile::Builder::new().prefix(".rows-").tempfile_in(folder)?,
        };
        let mut out = BufWriter::with_capacity(1 << 20, &file);
        for (day, mut pending) in std::mem::take(&mut self.days) {
            sort(&mut pending);
            let mut length = 0;
            for slot in &pending.slots {
                out.write_all(&slot.timestamp.to_le_bytes())?;
                out.write_all(&slot.sequence.to_le_bytes())?;
                out.write_all(&(slot.length as u32).to_le_bytes())?;
                out.write_all(&pending.bytes[slot.start..slot.start + slot.length])?;
                length += (HEADER + slot.length) as u64;
            }
            self.runs.entry(day).or_default().push(Run { offset: self.written, length });
            self.written += length;
        }
        out.flush()?;
        drop(out);
        self.file = Some(file);
        self.held = 0;
        Ok(())
    }
}

/// Bytes that are read of a run at once.
const RUN_BUFFER: usize = 128 << 10;

fn sort(pending: &mut Pending) {
    let bytes = &pending.bytes;
    let id = |slot: &Slot| trace_id(&bytes[slot.start..slot.start + slot.length]);
    pending
        .slots
        .sort_unstable_by(|a, b| a.timestamp.cmp(&b.timestamp).then_with(|| id(a).cmp(id(b))).then_with(|| a.sequence.cmp(&b.sequence)));
}

/// A row as it is read back.
#[derive(Debug)]
pub(crate) struct Row {
    /// When the decision was made.
    pub(crate) timestamp: Timestamp,
    /// Its place in the order of reading.
    pub(crate) sequence: u64,
    /// Its content.
    pub(crate) bytes: Vec<u8>,
}

enum Source<'a> {
    File { rest: io::BufReader<io::Take<File>> },
    Memory { pending: &'a Pending, next: usize },
}

impl Source<'_> {
    fn next(&mut self) -> io::Result<Option<Row>> {
        match self {
            Source::Memory { pending, next } => {
                let row = pending.slots.get(*next).map(|slot| Row {
                    timestamp: Timestamp(slot.timestamp),
                    sequence: slot.sequence,
                    bytes: pending.bytes[slot.start..slot.start + slot.length].to_vec(),
                });
                *next += 1;
                Ok(row)
            }
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
                Ok(Some(Row { timestamp: Timestamp(i64::from_le_bytes(timestamp)), sequence: u64::from_le_bytes(sequence), bytes }))
            }
        }
    }
}

/// Merges the runs of a day.
pub(crate) struct DayRows<'a> {
    sources: Vec<Source<'a>>,
    heads: Vec<Option<Row>>,
}

impl DayRows<'_> {
    /// The next row, or nothing at the end of the day.
    pub(crate) fn next(&mut self) -> io::Result<Option<Row>> {
        // Runs are few: one per time that memory was full.
        let first = (0..self.heads.len()).filter(|&at| self.heads[at].is_some()).min_by(|&a, &b| compare(&self.heads[a], &self.heads[b]));
        let Some(first) = first else { return Ok(None) };
        let following = self.sources[first].next()?;
        Ok(std::mem::replace(&mut self.heads[first], following))
    }
}

/// The order of rows: timestamp, id, sequence.
fn compare(a: &Option<Row>, b: &Option<Row>) -> Ordering {
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
    use routewright_domain::Decision;

    use super::*;
    use crate::rows::encode;

    fn order_of(rows: &[(i64, String)], budget: usize) -> Vec<(i64, u64)> {
        let folder = tempfile::tempdir().unwrap();
        let mut spill = Spill::new(budget);
        for (sequence, (timestamp, id)) in (0..).zip(rows) {
            let mut bytes = Vec::new();
            encode(&Decision { trace_id: id.clone(), ..Decision::default() }, &[], &mut bytes);
            spill.push(Timestamp(*timestamp), sequence, &bytes, folder.path()).unwrap();
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
