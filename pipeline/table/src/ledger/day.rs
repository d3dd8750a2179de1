//! The ledger of one day in one file: its rows by id, and after them their ids alone, which is all that a later ingest reads of most days.
//!
//! What is known of the rows as a whole stands in the state: [`DayLedger`]. Files are named in it by numbers that stay theirs as long as
//! they live, so that a day's file is taken over as it is when files come, go, and move.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use routewright_domain::Timestamp;
use serde::{Deserialize, Serialize};

use super::{BUFFER, ENTRY_BYTES, Entry, Verdict, read_entry, write_entry};
use crate::state::Digesting;

/// What is known of a day's rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DayLedger {
    /// The day's number since 1970.
    pub(crate) day: i64,
    /// Rows, kept or not.
    pub(crate) n_rows: u64,
    /// Earliest and latest kept row.
    pub(crate) first: Option<Timestamp>,
    pub(crate) last: Option<Timestamp>,
    /// The rows of each file, by the file's number.
    pub(crate) files: BTreeMap<u32, OfFile>,
    /// Digests of the rows, and of the ids after them.
    rows: String,
    ids: String,
}

/// What is known of a day's rows of one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OfFile {
    pub(crate) kept: u64,
    /// Of these, rows whose outcome is pending.
    pub(crate) pending: u64,
    pub(crate) duplicate: u64,
    pub(crate) conflict: u64,
    /// Where the last of the rows begins.
    pub(crate) last_offset: u64,
}

/// Bytes of an id.
const ID_BYTES: usize = 8;

impl DayLedger {
    /// Kept rows.
    pub(crate) fn n_kept(&self) -> u64 {
        self.files.values().map(|of_file| of_file.kept).sum()
    }

    /// Whether any row contradicts another.
    pub(crate) fn has_conflicts(&self) -> bool {
        self.files.values().any(|of_file| of_file.conflict > 0)
    }

    /// Whether a file is as long as that of the rows.
    pub(crate) fn is_as_long_as(&self, path: &Path) -> bool {
        let expected = self.n_rows.checked_mul((ENTRY_BYTES + ID_BYTES) as u64);
        fs::metadata(path).is_ok_and(|metadata| Some(metadata.len()) == expected)
    }

    /// Calls back with every row in the order of the ids; rows name their files by number.
    ///
    /// # Errors
    /// What the file system and the callback say; [`io::ErrorKind::InvalidData`], in the end, for rows that are not those that were written.
    pub(crate) fn each_row(&self, path: &Path, mut take: impl FnMut(Entry) -> io::Result<()>) -> io::Result<()> {
        let rows = File::open(path)?.take(self.n_rows.saturating_mul(ENTRY_BYTES as u64));
        let mut rows = BufReader::with_capacity(BUFFER, Digesting::new(rows));
        while let Some(row) = read_entry(&mut rows)? {
            take(row)?;
        }
        if rows.get_ref().digest() == self.rows { Ok(()) } else { Err(torn(path)) }
    }

    /// The places of ids that satisfy a condition, in order.
    ///
    /// # Errors
    /// As [`Self::each_row`].
    pub(crate) fn positions(&self, path: &Path, is_wanted: impl Fn(u64) -> bool) -> io::Result<Vec<u64>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(self.n_rows.saturating_mul(ENTRY_BYTES as u64)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        if blake3::hash(&bytes).to_hex().as_str() != self.ids {
            return Err(torn(path));
        }
        let (ids, _) = bytes.as_chunks::<ID_BYTES>();
        let wanted = ids.iter().zip(0..).filter(|(id, _)| is_wanted(u64::from_le_bytes(**id)));
        Ok(wanted.map(|(_, position)| position).collect())
    }

    /// The rows at some places, which are in order. They are not checked: whoever changes a day reads all of it.
    pub(crate) fn rows_at(&self, path: &Path, positions: &[u64]) -> io::Result<Vec<Entry>> {
        let mut file = BufReader::new(File::open(path)?);
        let mut at = 0;
        let mut rows = Vec::with_capacity(positions.len());
        for position in positions {
            file.seek_relative(((position - at) * ENTRY_BYTES as u64) as i64)?;
            rows.push(read_entry(&mut file)?.ok_or_else(|| torn(path))?);
            at = position + 1;
        }
        Ok(rows)
    }
}

fn torn(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("`{}` is not what was written", path.display()))
}

/// The file of a day's rows that is being written.
pub(crate) struct DayWriter {
    out: BufWriter<Digesting<File>>,
    ids: Vec<u8>,
    ledger: DayLedger,
}

impl DayWriter {
    /// Creates the file of a day.
    pub(crate) fn create(day: i64, path: &Path) -> io::Result<Self> {
        let out = BufWriter::with_capacity(BUFFER, Digesting::new(File::create(path)?));
        Ok(Self { out, ids: Vec::new(), ledger: DayLedger { day, ..DayLedger::default() } })
    }

    /// Writes a row, which names its file by number. Rows come in the order of their ids.
    pub(crate) fn push(&mut self, row: &Entry) -> io::Result<()> {
        write_entry(row, &mut self.out)?;
        self.ids.extend(row.id.to_le_bytes());
        let ledger = &mut self.ledger;
        ledger.n_rows += 1;
        let of_file = ledger.files.entry(row.file).or_default();
        of_file.last_offset = of_file.last_offset.max(row.offset);
        match row.verdict {
            Verdict::Kept => {
                of_file.kept += 1;
                of_file.pending += u64::from(!row.completed);
                let time = Timestamp(row.timestamp);
                ledger.first = Some(ledger.first.map_or(time, |first| first.min(time)));
                ledger.last = ledger.last.max(Some(time));
            }
            Verdict::Duplicate => of_file.duplicate += 1,
            Verdict::Conflict => of_file.conflict += 1,
        }
        Ok(())
    }

    /// Writes the ids, and gives what is known of the rows.
    pub(crate) fn finish(mut self) -> io::Result<DayLedger> {
        self.out.flush()?;
        self.ledger.rows = self.out.get_ref().digest();
        self.ledger.ids = blake3::hash(&self.ids).to_hex().to_string();
        self.out.write_all(&self.ids)?;
        self.out.flush()?;
        Ok(self.ledger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64, file: u32, verdict: Verdict) -> Entry {
        Entry { id, file, verdict, offset: 10 * id, timestamp: 100 - id as i64, ..Entry::default() }
    }

    fn written(path: &Path) -> (DayLedger, [Entry; 3]) {
        let rows = [entry(1, 7, Verdict::Kept), entry(4, 9, Verdict::Conflict), entry(6, 7, Verdict::Kept)];
        let mut writer = DayWriter::create(3, path).unwrap();
        rows.iter().for_each(|row| writer.push(row).unwrap());
        (writer.finish().unwrap(), rows)
    }

    #[test]
    fn rows_and_ids_come_back_and_are_counted_by_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("day");
        let (ledger, rows) = written(&path);
        let mut read = Vec::new();
        ledger
            .each_row(&path, |row| {
                read.push(row);
                Ok(())
            })
            .unwrap();
        assert_eq!(read, rows);
        assert_eq!(ledger.positions(&path, |id| id > 1).unwrap(), [1, 2]);
        assert_eq!(ledger.rows_at(&path, &[0, 2]).unwrap(), [rows[0], rows[2]]);
        assert_eq!((ledger.n_rows, ledger.n_kept(), ledger.has_conflicts(), ledger.is_as_long_as(&path)), (3, 2, true, true));
        assert_eq!((ledger.first, ledger.last), (Some(Timestamp(94)), Some(Timestamp(99))));
        assert_eq!(ledger.files[&7], OfFile { kept: 2, pending: 2, last_offset: 60, ..OfFile::default() });
        assert_eq!(ledger.files[&9], OfFile { conflict: 1, last_offset: 40, ..OfFile::default() });
    }

    #[test]
    fn a_changed_byte_is_noticed_by_whoever_reads_its_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("day");
        let (ledger, _) = written(&path);
        let bytes = fs::read(&path).unwrap();
        let with_change = |at: usize| {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            fs::write(&path, changed).unwrap();
            let kind = |result: io::Result<()>| result.err().map(|error| error.kind());
            (kind(ledger.each_row(&path, |_| Ok(()))), kind(ledger.positions(&path, |_| true).map(drop)))
        };
        assert_eq!(with_change(70), (Some(io::ErrorKind::InvalidData), None));
        assert_eq!(with_change(3 * ENTRY_BYTES + 2), (None, Some(io::ErrorKind::InvalidData)));
    }
}
