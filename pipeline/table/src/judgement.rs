//! Judges rows by id: what is kept, what every file and day has of it, and which days have to be written.
//!
//! Of an earlier ingest only those rows are judged again that share an id with a row that is new or gone. What is known of a day's other rows
//! stays as it is; the ledger of a day without such rows is taken over.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use rayon::prelude::*;
use routewright_domain::Timestamp;

use crate::duplicates::judge;
use crate::ledger::{DayLedger, DayWriter, Entry, IdSet, Ledger, Scattered, Verdict};
use crate::reason::Reason;
use crate::report::Counts;
use crate::state::{FileState, State, StatePlaces};
use crate::write::{Kept, link_file};

/// What an earlier ingest left, and what became of its files.
pub(crate) struct Remembered<'r> {
    /// Where it stands.
    pub(crate) places: StatePlaces,
    pub(crate) state: &'r State,
    /// The position now of every earlier file, and the offset from which on it was read again; none for files that are gone.
    pub(crate) moved: &'r [Option<(u32, u64)>],
}

/// What became of all rows.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    /// Rows of every file, rejected ones only where they contradict others; `read` is not filled.
    pub(crate) files: Vec<Counts>,
    /// Kept rows per day.
    pub(crate) days: BTreeMap<i64, u64>,
    /// Days of which an earlier ingest parsed rows that are kept.
    earlier_days: BTreeSet<i64>,
    /// Days whose rows are not those of the earlier ingest.
    pub(crate) touched: BTreeSet<i64>,
    /// Rows that contradict others, in the order of reading.
    pub(crate) conflicts: Vec<Entry>,
    /// What is known of every day's rows.
    pub(crate) ledgers: Vec<DayLedger>,
    /// Days whose ledgers were taken over: no row of theirs is of this ingest.
    linked: BTreeSet<i64>,
    /// Positions of the files by number.
    positions: BTreeMap<u32, u32>,
    /// Earliest and latest kept row.
    pub(crate) first: Option<Timestamp>,
    pub(crate) last: Option<Timestamp>,
}

/// Rows of a day of an earlier ingest that are judged again.
struct Again {
    /// Places in the day's ledger, in order; none: all of them.
    positions: Option<Vec<u64>>,
    /// Whether a row that was kept is gone.
    is_touched: bool,
}

/// The ledger of a day as it stands now.
struct DayNow {
    ledger: DayLedger,
    /// Whether it was taken over as a whole.
    is_linked: bool,
    /// Whether it has kept rows that an earlier ingest parsed.
    has_earlier: bool,
    conflicts: Vec<Entry>,
}

impl Judgement {
    /// Judges the rows of a ledger together with those of an earlier ingest. Rows that are not kept are dropped in `kept`; all rows go to the
    /// ledgers of days at `to`, for the next ingest.
    ///
    /// # Errors
    /// What the file system says; [`io::ErrorKind::InvalidData`] for an earlier ledger that is not what was written.
    pub(crate) fn of(
        ledger: &mut Ledger,
        earlier: Option<&Remembered<'_>>,
        files: &[FileState],
        kept: &mut Kept,
        to: &StatePlaces,
    ) -> io::Result<Self> {
        let positions = files.iter().zip(0..).map(|(file, position)| (file.number, position)).collect();
        let mut judgement = Self { files: vec![Counts::default(); files.len()], positions, ..Self::default() };
        let again = match earlier {
            Some(earlier) => earlier.judge_again(ledger, &to.ledger)?,
            None => BTreeMap::new(),
        };
        let judged = judge_all(ledger, kept, &to.ledger)?;
        judgement.touched.extend(judged.touched());
        judgement.touched.extend(again.iter().filter(|(_, again)| again.is_touched).map(|(day, _)| *day));
        let earlier_days: BTreeMap<i64, &DayLedger> =
            earlier.iter().flat_map(|earlier| &earlier.state.days).map(|ledger| (ledger.day, ledger)).collect();
        let days: BTreeSet<i64> = judged.days().into_iter().chain(earlier_days.keys().copied()).collect();
        let days: Vec<i64> = days.into_iter().collect();
        let now = days.par_iter().map(|day| {
            let before = earlier.zip(earlier_days.get(day).copied());
            let before = before.map(|(earlier, ledger)| (earlier, ledger, again.get(day)));
            judgement.write_day(*day, &judged, before, files, to)
        });
        for now in now.collect::<io::Result<Vec<DayNow>>>()? {
            judgement.take_day(now);
        }
        judgement.conflicts.sort_unstable_by_key(|row| (row.file, row.offset));
        Ok(judgement)
    }

    /// Writes the ledger of a day, or takes over that of an earlier ingest.
    fn write_day(
        &self,
        day: i64,
        judged: &Scattered,
        before: Option<(&Remembered<'_>, &DayLedger, Option<&Again>)>,
        files: &[FileState],
        to: &StatePlaces,
    ) -> io::Result<DayNow> {
        let path = to.day(day);
        let mut rows = judged.rows(day);
        let mut next = rows.next()?;
        if let Some((earlier, ledger, None)) = before
            && next.is_none()
        {
            let place = earlier.places.day(day);
            link_file(&place, &path).map_err(io::Error::other)?;
            let conflicts = if ledger.has_conflicts() { self.conflicts_of(ledger, &path)? } else { Vec::new() };
            return Ok(DayNow { ledger: ledger.clone(), is_linked: true, has_earlier: ledger.n_kept() > 0, conflicts });
        }
        let mut writer = DayWriter::create(day, &path)?;
        let (mut has_earlier, mut conflicts) = (false, Vec::new());
        let mut write = |row: &Entry| -> io::Result<()> {
            has_earlier |= row.sequence.is_none() && row.verdict == Verdict::Kept;
            writer.push(row)
        };
        let mut write_judged = |row: Entry, write: &mut dyn FnMut(&Entry) -> io::Result<()>| {
            conflicts.extend((row.verdict == Verdict::Conflict).then_some(row));
            let number = files.get(row.file as usize).map_or(row.file, |file| file.number);
            write(&Entry { file: number, ..row })
        };
        if let Some((earlier, ledger, again)) = before {
            let is_all = again.is_some_and(|again| again.positions.is_none());
            let mut judged_again = again.and_then(|again| again.positions.as_ref()).into_iter().flatten().peekable();
            let mut position = 0;
            // All of it is read, even where nothing of it stays: what was judged again came from it.
            ledger.each_row(&earlier.places.day(day), |row| {
                let is_judged_again = is_all || judged_again.next_if_eq(&&position).is_some();
                position += 1;
                if is_judged_again {
                    return Ok(());
                }
                while let Some(new) = next.take_if(|new| new.id < row.id) {
                    write_judged(new, &mut write)?;
                    next = rows.next()?;
                }
                write(&Entry { sequence: None, ..row })
            })?;
        }
        while let Some(row) = next {
            write_judged(row, &mut write)?;
            next = rows.next()?;
        }
        let ledger = writer.finish()?;
        // What stayed as it was contradicts others still.
        let n_conflicts: u64 = ledger.files.values().map(|of_file| of_file.conflict).sum();
        if n_conflicts > conflicts.len() as u64 {
            conflicts = self.conflicts_of(&ledger, &path)?;
        }
        Ok(DayNow { ledger, is_linked: false, has_earlier, conflicts })
    }

    /// Rows of a day that contradict others.
    fn conflicts_of(&self, ledger: &DayLedger, path: &Path) -> io::Result<Vec<Entry>> {
        let mut conflicts = Vec::new();
        ledger.each_row(path, |row| {
            conflicts.extend((row.verdict == Verdict::Conflict).then(|| self.at_position(row)));
            Ok(())
        })?;
        Ok(conflicts)
    }

    /// A row of a ledger, which names its file by number, with its file's position.
    fn at_position(&self, row: Entry) -> Entry {
        Entry { file: self.positions.get(&row.file).copied().unwrap_or(u32::MAX), ..row }
    }

    /// Counts a day.
    fn take_day(&mut self, now: DayNow) {
        let DayNow { ledger, is_linked, has_earlier, conflicts } = now;
        for (number, of_file) in &ledger.files {
            let Some(counts) = self.positions.get(number).and_then(|position| self.files.get_mut(*position as usize)) else { continue };
            counts.kept += of_file.kept;
            counts.pending += of_file.pending;
            counts.duplicate += of_file.duplicate;
            if of_file.conflict > 0 {
                *counts.quarantined.entry(Reason::ConflictingDuplicate.code().to_owned()).or_default() += of_file.conflict;
            }
        }
        let (day, n_kept) = (ledger.day, ledger.n_kept());
        self.days.extend((n_kept > 0).then_some((day, n_kept)));
        self.earlier_days.extend(has_earlier.then_some(day));
        self.linked.extend(is_linked.then_some(day));
        self.conflicts.extend(conflicts);
        self.first = [self.first, ledger.first].into_iter().flatten().min();
        self.last = self.last.max(ledger.last);
        if ledger.n_rows > 0 {
            self.ledgers.push(ledger);
        }
    }

    /// Makes every day one that has to be written.
    pub(crate) fn touch_all(&mut self) {
        self.touched.extend(self.days.keys());
    }

    /// Days that have to be written of which an earlier ingest parsed rows: these are to be read again.
    pub(crate) fn days_to_read_again(&self) -> BTreeSet<i64> {
        self.touched.intersection(&self.earlier_days).copied().collect()
    }

    /// All kept rows of some days in the order of reading; those that an earlier ingest parsed have no sequence.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(crate) fn kept_rows(&self, days: &BTreeSet<i64>, places: &StatePlaces) -> io::Result<Vec<Entry>> {
        let ledgers: Vec<&DayLedger> = self.ledgers.iter().filter(|ledger| days.contains(&ledger.day)).collect();
        let rows = ledgers.par_iter().map(|ledger| {
            let is_linked = self.linked.contains(&ledger.day);
            let mut kept = Vec::new();
            ledger.each_row(&places.day(ledger.day), |row| {
                if row.verdict == Verdict::Kept {
                    kept.push(self.at_position(Entry { sequence: row.sequence.filter(|_| !is_linked), ..row }));
                }
                Ok(())
            })?;
            Ok(kept)
        });
        let mut rows = rows.collect::<io::Result<Vec<_>>>()?.concat();
        rows.par_sort_unstable_by_key(|row| (row.file, row.offset));
        Ok(rows)
    }
}

/// Judges the rows of a ledger, all rows of an id together.
fn judge_all(ledger: &mut Ledger, kept: &mut Kept, folder: &Path) -> io::Result<Scattered> {
    let (mut judged, mut before) = (Scattered::default(), Vec::new());
    if let Some(mut entries) = ledger.take_sorted() {
        for rows in entries.chunk_by_mut(|a, b| a.id == b.id) {
            judge_id(rows, &mut before, kept, |row, is_touched| judged.note(row).is_touched |= is_touched);
        }
        judged.hold(entries);
        return Ok(judged);
    }
    let mut merged = ledger.merged()?;
    let mut rows = Vec::new();
    while merged.next_id(&mut rows)? {
        rows.sort_unstable_by_key(|row| (row.file, row.offset));
        let mut pushed = Ok(());
        judge_id(&mut rows, &mut before, kept, |row, is_touched| {
            if pushed.is_ok() {
                pushed = judged.push(*row, folder).map(|of_day| of_day.is_touched |= is_touched);
            }
        });
        pushed?;
    }
    Ok(judged)
}

/// Judges the rows of one id, in the order of reading, and gives each with whether its day has to be written for it. `before`: memory.
fn judge_id(rows: &mut [Entry], before: &mut Vec<Verdict>, kept: &mut Kept, mut take: impl FnMut(&Entry, bool)) {
    before.clear();
    before.extend(rows.iter().map(|row| row.verdict));
    judge(rows);
    for (row, before) in rows.iter().zip(before) {
        let is_kept = row.verdict == Verdict::Kept;
        let is_touched = match row.sequence {
            Some(sequence) if !is_kept => {
                kept.drop_row(sequence, row.day());
                false
            }
            Some(_) => true,
            None => (*before == Verdict::Kept) != is_kept,
        };
        take(row, is_touched);
    }
}

/// Days whose rows are held at a time while they are taken.
const AT_ONCE: usize = 16;

impl Remembered<'_> {
    /// Adds those earlier rows to the ledger that share an id with one of its rows or with a row that is gone; says which these are.
    fn judge_again(&self, ledger: &mut Ledger, folder: &Path) -> io::Result<BTreeMap<i64, Again>> {
        let now: BTreeMap<u32, Option<(u32, u64)>> =
            self.state.files.iter().zip(self.moved).map(|(file, moved)| (file.number, *moved)).collect();
        // A row with the position of its file now; none where its record is gone or was read again.
        let at_position = |row: &Entry| {
            let (file, from) = now.get(&row.file).copied().flatten()?;
            (row.offset < from).then_some(Entry { file, sequence: None, ..*row })
        };
        let mut again = BTreeMap::new();
        let Some(ids) = self.ids_to_judge(ledger, &now, &at_position)? else {
            for day in &self.state.days {
                let mut is_touched = false;
                day.each_row(&self.places.day(day.day), |row| match at_position(&row) {
                    Some(row) => ledger.push(row, folder),
                    None => {
                        is_touched |= row.verdict == Verdict::Kept;
                        Ok(())
                    }
                })?;
                again.insert(day.day, Again { positions: None, is_touched });
            }
            return Ok(again);
        };
        for days in self.state.days.chunks(AT_ONCE) {
            let found = days.par_iter().map(|day| {
                let path = self.places.day(day.day);
                let positions = day.positions(&path, |id| ids.contains(id))?;
                let rows = if positions.is_empty() { Vec::new() } else { day.rows_at(&path, &positions)? };
                Ok((day.day, positions, rows))
            });
            for (day, positions, rows) in found.collect::<io::Result<Vec<_>>>()? {
                let mut is_touched = false;
                for row in rows {
                    match at_position(&row) {
                        Some(row) => ledger.push(row, folder)?,
                        None => is_touched |= row.verdict == Verdict::Kept,
                    }
                }
                if !positions.is_empty() {
                    again.insert(day, Again { positions: Some(positions), is_touched });
                }
            }
        }
        Ok(again)
    }

    /// Ids of rows that are new or gone; none where there are too many, or where files stand in another order than before: which of equal rows
    /// was read first decides between them.
    fn ids_to_judge(
        &self,
        ledger: &Ledger,
        now: &BTreeMap<u32, Option<(u32, u64)>>,
        at_position: &(dyn Fn(&Entry) -> Option<Entry> + Sync),
    ) -> io::Result<Option<IdSet>> {
        if ledger.n_entries() > IdSet::MOST || !self.moved.iter().flatten().map(|(position, _)| *position).is_sorted() {
            return Ok(None);
        }
        let mut ids = ledger.ids()?;
        let has_lost = |day: &&DayLedger| {
            day.files.iter().any(|(number, of_file)| now.get(number).copied().flatten().is_none_or(|(_, from)| from <= of_file.last_offset))
        };
        for day in self.state.days.iter().filter(has_lost) {
            day.each_row(&self.places.day(day.day), |row| {
                ids.extend(at_position(&row).is_none().then_some(row.id));
                Ok(())
            })?;
        }
        Ok((ids.len() <= IdSet::MOST).then(|| IdSet::new(ids)))
    }
}
