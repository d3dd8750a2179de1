//! Judged rows by day: they come by id, and so in no order of days; past a budget they go to one temporary file.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::hash::BuildHasherDefault;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::{ENTRY_BYTES, Entry, read_entry, write_entry};
use crate::unhashed::Unhashed;

/// Rows that are held in memory before they go to a temporary file.
const HELD: usize = 1 << 19;

/// Bytes of a run that are read at once.
const BUFFER: usize = 32 << 10;

/// Rows that are fetched from memory at once: they stay in the cache.
const GATHERED: usize = 256;

/// Rows of one day.
#[derive(Default)]
pub(crate) struct OfDay {
    day: i64,
    /// Whether the day has to be written.
    pub(crate) is_touched: bool,
    /// Places of its rows in memory.
    held: Vec<u32>,
    /// Offsets and lengths of what is in the temporary file.
    runs: Vec<(u64, u64)>,
}

impl OfDay {
    fn is_empty(&self) -> bool {
        self.held.is_empty() && self.runs.is_empty()
    }
}

/// Rows by day.
#[derive(Default)]
pub(crate) struct Scattered {
    days: HashMap<u64, OfDay, BuildHasherDefault<Unhashed>>,
    /// Rows in memory, of all days.
    held: Vec<Entry>,
    /// How many of them days know of.
    n_noted: u32,
    file: Option<NamedTempFile>,
    written: u64,
}

impl Scattered {
    /// Adds a row and gives its day. Rows come in the order of their ids. `folder`: where the temporary file is made when it is needed.
    pub(crate) fn push(&mut self, row: Entry, folder: &Path) -> io::Result<&mut OfDay> {
        if self.held.len() == HELD {
            self.flush(folder)?;
        }
        self.held.push(row);
        Ok(self.note(&row))
    }

    /// Notes the next one of the rows that [`Self::hold`] is given, and gives its day.
    pub(crate) fn note(&mut self, row: &Entry) -> &mut OfDay {
        let day = row.day();
        let of_day = self.days.entry(spread(day)).or_insert_with(|| OfDay { day, ..OfDay::default() });
        of_day.held.push(self.n_noted);
        self.n_noted += 1;
        of_day
    }

    /// Takes all rows, which were noted in this order.
    pub(crate) fn hold(&mut self, rows: Vec<Entry>) {
        self.held = rows;
    }

    fn flush(&mut self, folder: &Path) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => tempfile::Builder::new().prefix(".judged-").tempfile_in(folder)?,
        };
        let mut out = BufWriter::with_capacity(1 << 20, &file);
        for of_day in self.days.values_mut().filter(|of_day| !of_day.held.is_empty()) {
            let places = std::mem::take(&mut of_day.held);
            let length = (places.len() * ENTRY_BYTES) as u64;
            places.iter().filter_map(|place| self.held.get(*place as usize)).try_for_each(|row| write_entry(row, &mut out))?;
            of_day.runs.push((self.written, length));
            self.written += length;
        }
        out.flush()?;
        drop(out);
        self.file = Some(file);
        self.held.clear();
        self.n_noted = 0;
        Ok(())
    }

    /// Days that have rows.
    pub(crate) fn days(&self) -> BTreeSet<i64> {
        self.days.values().filter(|of_day| !of_day.is_empty()).map(|of_day| of_day.day).collect()
    }

    /// Days that have to be written.
    pub(crate) fn touched(&self) -> impl Iterator<Item = i64> {
        self.days.values().filter(|of_day| of_day.is_touched).map(|of_day| of_day.day)
    }

    /// The rows of a day in the order of their ids.
    pub(crate) fn rows(&self, day: i64) -> Rows<'_> {
        let of_day = self.days.get(&spread(day));
        let (runs, places) = of_day.map_or((&[][..], &[][..]), |of_day| (&of_day.runs, &of_day.held));
        Rows {
            file: self.file.as_ref(),
            runs: runs.iter(),
            run: None,
            held: &self.held,
            places: places.iter(),
            gathered: Vec::new().into_iter(),
        }
    }
}

/// A day's number, spread over all bits.
fn spread(day: i64) -> u64 {
    /// The golden ratio of 2⁶⁴ (Knuth 1973, 6.4).
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    (day as u64).wrapping_mul(SPREAD)
}

/// Rows of one day in the order of their ids.
pub(crate) struct Rows<'s> {
    file: Option<&'s NamedTempFile>,
    runs: std::slice::Iter<'s, (u64, u64)>,
    run: Option<BufReader<io::Take<File>>>,
    held: &'s [Entry],
    places: std::slice::Iter<'s, u32>,
    /// The next ones from memory.
    gathered: std::vec::IntoIter<Entry>,
}

impl Rows<'_> {
    /// The next row.
    pub(crate) fn next(&mut self) -> io::Result<Option<Entry>> {
        loop {
            if let Some(run) = &mut self.run
                && let Some(row) = read_entry(run)?
            {
                return Ok(Some(row));
            }
            let (Some((offset, length)), Some(file)) = (self.runs.next(), self.file) else {
                return Ok(self.next_held());
            };
            let mut file = File::open(file.path())?;
            file.seek(SeekFrom::Start(*offset))?;
            self.run = Some(BufReader::with_capacity(BUFFER, file.take(*length)));
        }
    }

    /// The next row from memory. Rows of a day lie far apart there: they are fetched together, so that one need not wait for another.
    fn next_held(&mut self) -> Option<Entry> {
        if self.gathered.len() == 0 {
            let places = self.places.by_ref().take(GATHERED);
            self.gathered = places.filter_map(|place| self.held.get(*place as usize)).copied().collect::<Vec<_>>().into_iter();
        }
        self.gathered.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_day_come_in_order_from_the_file_and_from_memory() {
        let folder = tempfile::tempdir().unwrap();
        let row = |id| Entry { id, timestamp: if id % 3 == 0 { -1 } else { 1 }, ..Entry::default() };
        let mut scattered = Scattered::default();
        for id in 0..9 {
            scattered.push(row(id), folder.path()).unwrap().is_touched = id % 3 == 0;
            if id == 3 || id == 6 {
                scattered.flush(folder.path()).unwrap();
            }
        }
        let ids = |day| {
            let mut rows = scattered.rows(day);
            std::iter::from_fn(|| rows.next().unwrap()).map(|row| row.id).collect::<Vec<_>>()
        };
        assert_eq!((ids(-1), ids(0), ids(1)), (vec![0, 3, 6], vec![1, 2, 4, 5, 7, 8], vec![]));
        assert_eq!(scattered.days(), BTreeSet::from([-1, 0]));
        assert_eq!(scattered.touched().collect::<Vec<_>>(), [-1]);
    }

    #[test]
    fn rows_that_are_held_as_they_were_noted_come_by_day() {
        let rows: Vec<Entry> = (0..6).map(|id| Entry { id, timestamp: if id % 3 == 0 { -1 } else { 1 }, ..Entry::default() }).collect();
        let mut scattered = Scattered::default();
        rows.iter().for_each(|row| scattered.note(row).is_touched |= row.id == 4);
        scattered.hold(rows);
        let ids = |day| {
            let mut rows = scattered.rows(day);
            std::iter::from_fn(|| rows.next().unwrap()).map(|row| row.id).collect::<Vec<_>>()
        };
        assert_eq!((ids(-1), ids(0), scattered.touched().collect::<Vec<_>>()), (vec![0, 3], vec![1, 2, 4, 5], vec![0]));
    }
}
