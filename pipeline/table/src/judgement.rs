//! Judges all rows by id: what is kept, what every file and day has of it, and which days have to be written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::hash::BuildHasherDefault;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;

use routewright_domain::Timestamp;

use crate::duplicates::judge;
use crate::ledger::{Entry, Ledger, Verdict, read_entry, write_entry};
use crate::reason::Reason;
use crate::report::Counts;
use crate::state::{Digesting, StatePlaces};
use crate::unhashed::Unhashed;
use crate::write::Kept;

/// What an earlier ingest left, and what became of its files.
pub(crate) struct Remembered<'r> {
    /// Where it stands.
    pub(crate) places: StatePlaces,
    /// The position now of every earlier file, and the offset from which on it was read again; none for files that are gone.
    pub(crate) moved: &'r [Option<(u32, u64)>],
}

/// Kept rows of a day while they are counted: rows come by id, and so in no order of days.
#[derive(Clone, Copy, Debug, Default)]
struct OfDay {
    day: i64,
    n_kept: u64,
    /// Of these, rows that an earlier ingest kept.
    n_earlier: u64,
    is_touched: bool,
}

/// Days by their numbers, spread over all bits.
#[derive(Default)]
struct Days(HashMap<u64, OfDay, BuildHasherDefault<Unhashed>>);

impl Days {
    fn of(&mut self, row: &Entry) -> &mut OfDay {
        /// The golden ratio of 2⁶⁴ (Knuth 1973, 6.4).
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let day = row.day();
        self.0.entry((day as u64).wrapping_mul(SPREAD)).or_insert(OfDay { day, ..OfDay::default() })
    }
}

/// What became of all rows.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    /// Rows of every file, rejected ones only where they contradict others; `read` is not filled.
    pub(crate) files: Vec<Counts>,
    /// Kept rows per day.
    pub(crate) days: BTreeMap<i64, u64>,
    /// Of these, rows that an earlier ingest kept.
    earlier_days: BTreeMap<i64, u64>,
    /// Days whose rows are not those of the earlier ingest.
    pub(crate) touched: BTreeSet<i64>,
    /// Rows that contradict others, in the order of reading.
    pub(crate) conflicts: Vec<Entry>,
    /// Digest of the file of all rows.
    pub(crate) digest: String,
    /// Earliest and latest kept row.
    pub(crate) first: Option<Timestamp>,
    pub(crate) last: Option<Timestamp>,
}

impl Judgement {
    /// Judges the rows of a ledger together with those of an earlier ingest. Rows that are not kept are dropped in `kept`; all rows go to the
    /// file `all`, for the next ingest.
    pub(crate) fn of(
        ledger: &mut Ledger,
        earlier: Option<&Remembered<'_>>,
        n_files: usize,
        kept: &mut Kept,
        all: &Path,
    ) -> io::Result<Self> {
        let mut judgement = Self { files: vec![Counts::default(); n_files], ..Self::default() };
        let mut out = BufWriter::with_capacity(1 << 20, Digesting::new(File::create(all)?));
        let mut merged = ledger.merged(earlier.map(|earlier| earlier.places.ledger.as_path()))?;
        let (mut rows, mut before, mut days) = (Vec::new(), Vec::new(), Days::default());
        while merged.next_id(&mut rows)? {
            rows.retain_mut(|row| row.sequence.is_some() || is_still_there(row, earlier, &mut days));
            rows.sort_unstable_by_key(|row| (row.file, row.offset));
            before.clear();
            before.extend(rows.iter().map(|row| row.verdict));
            judge(&mut rows);
            for (row, before) in rows.iter().zip(&before) {
                judgement.count(row, *before, kept, days.of(row));
                write_entry(row, &mut out)?;
            }
        }
        out.flush()?;
        judgement.digest = out.get_ref().digest();
        for OfDay { day, n_kept, n_earlier, is_touched } in days.0.into_values() {
            judgement.days.extend((n_kept > 0).then_some((day, n_kept)));
            judgement.earlier_days.extend((n_earlier > 0).then_some((day, n_earlier)));
            judgement.touched.extend(is_touched.then_some(day));
        }
        judgement.conflicts.sort_unstable_by_key(|row| (row.file, row.offset));
        Ok(judgement)
    }

    /// Counts a judged row, for all and for its day; `before`: what became of it earlier, where it was read earlier.
    fn count(&mut self, row: &Entry, before: Verdict, kept: &mut Kept, of_day: &mut OfDay) {
        let is_kept = row.verdict == Verdict::Kept;
        match row.sequence {
            Some(sequence) if !is_kept => kept.drop_row(sequence, row.day()),
            Some(_) => of_day.is_touched = true,
            None => of_day.is_touched |= (before == Verdict::Kept) != is_kept,
        }
        if let Some(counts) = self.files.get_mut(row.file as usize) {
            match row.verdict {
                Verdict::Kept => {
                    counts.kept += 1;
                    counts.pending += u64::from(!row.completed);
                }
                Verdict::Duplicate => counts.duplicate += 1,
                Verdict::Conflict => *counts.quarantined.entry(Reason::ConflictingDuplicate.code().to_owned()).or_default() += 1,
            }
        }
        match row.verdict {
            Verdict::Kept => {
                of_day.n_kept += 1;
                of_day.n_earlier += u64::from(row.sequence.is_none());
                let time = Timestamp(row.timestamp);
                self.first = Some(self.first.map_or(time, |first| first.min(time)));
                self.last = Some(self.last.map_or(time, |last| last.max(time)));
            }
            Verdict::Duplicate => {}
            Verdict::Conflict => self.conflicts.push(*row),
        }
    }

    /// Makes every day one that has to be written.
    pub(crate) fn touch_all(&mut self) {
        self.touched.extend(self.days.keys());
    }

    /// Kept rows of touched days that have to be read again: those that an earlier ingest parsed, and those that `is_gone` is true of, in the
    /// order of reading. `all`: the file of all rows.
    pub(crate) fn rows_to_read_again(
        &self,
        all: &Path,
        stale: &BTreeSet<i64>,
        is_gone: impl Fn(i64, u64) -> bool,
    ) -> io::Result<Vec<Entry>> {
        let mut wanted = Vec::new();
        if !self.touched.iter().any(|day| self.earlier_days.contains_key(day) || stale.contains(day)) {
            return Ok(wanted);
        }
        let mut source = BufReader::with_capacity(256 << 10, File::open(all)?);
        while let Some(row) = read_entry(&mut source)? {
            let (is_kept, day) = (row.verdict == Verdict::Kept, row.day());
            if is_kept && self.touched.contains(&day) && row.sequence.is_none_or(|sequence| is_gone(day, sequence)) {
                wanted.push(row);
            }
        }
        wanted.sort_unstable_by_key(|row| (row.file, row.offset));
        Ok(wanted)
    }
}

/// Whether a row of an earlier ingest still stands in its file as it did; brings it to its file's position now.
fn is_still_there(row: &mut Entry, earlier: Option<&Remembered<'_>>, days: &mut Days) -> bool {
    let moved = earlier.and_then(|earlier| earlier.moved.get(row.file as usize).copied().flatten());
    match moved {
        Some((file, from)) if row.offset < from => {
            row.file = file;
            true
        }
        _ => {
            days.of(row).is_touched |= row.verdict == Verdict::Kept;
            false
        }
    }
}
